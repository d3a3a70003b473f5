"""What happens to a match afterwards: the table of settlement states, and times drawn for them.

    MATCHED ──► MINED ──► CONFIRMED
       │          ▲
       ▼          │ (a lost transaction is sent again)
    RETRYING ─────┴──► FAILED

Invariants: CONFIRMED and FAILED are final; a plan is drawn once, at the match, so that it depends on the
seed and the order of matches only. Balances follow in exchange/accounts.py: shares and cash that were
received exist from MINED on, FAILED undoes the match.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from overround.core.events import Settlement
from overround.exchange.models import Random, SettlementConfig, between, happens

S = Settlement

NEXT: Final[dict[Settlement, frozenset[Settlement]]] = {
    S.MATCHED: frozenset({S.MINED, S.RETRYING, S.FAILED}),
    S.MINED: frozenset({S.CONFIRMED}),
    S.RETRYING: frozenset({S.MINED, S.FAILED}),
    S.CONFIRMED: frozenset(),
    S.FAILED: frozenset(),
}
"""Every legal step (protocol sheet 4.11; a mined transaction is not taken back here)."""


class IllegalSettlement(Exception):
    """A settlement step that the table does not know; nothing was changed."""


class Step(msgspec.Struct, frozen=True):
    """One scheduled step of a trade."""

    due_ns: int
    status: Settlement
    tx_hash: str


def check_step(old: Settlement, new: Settlement) -> None:
    """Raise :class:`IllegalSettlement` unless ``new`` may follow ``old``."""
    if new not in NEXT[old]:
        raise IllegalSettlement(f"{new} after {old}")


def transaction_hash(trade_id: str, attempt: int) -> str:
    """Return the simulated transaction hash of one attempt to settle a trade."""
    return "0x" + blake2b(f"{trade_id}/{attempt}".encode(), digest_size=32).hexdigest()


def plan_settlement(
    config: SettlementConfig, trade_id: str, matched_ns: int, rng: Random
) -> tuple[Step, ...]:
    """Return the steps that follow a match at ``matched_ns``, in time order."""
    mined_ns = matched_ns + between(rng, config.mined_min_ns, config.mined_max_ns)
    first, second = transaction_hash(trade_id, 0), transaction_hash(trade_id, 1)
    if happens(rng, config.failure_chance_e6):
        failed_ns = matched_ns + between(rng, config.failed_min_ns, config.failed_max_ns)
        return (Step(min(mined_ns, failed_ns), S.RETRYING, first), Step(failed_ns, S.FAILED, first))
    if happens(rng, config.retry_chance_e6):
        again_ns = mined_ns + between(rng, config.mined_min_ns, config.mined_max_ns)
        return (
            Step(mined_ns, S.RETRYING, first),
            Step(again_ns, S.MINED, second),
            Step(again_ns + config.confirmed_after_ns, S.CONFIRMED, second),
        )
    return Step(mined_ns, S.MINED, first), Step(mined_ns + config.confirmed_after_ns, S.CONFIRMED, first)
