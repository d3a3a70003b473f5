"""The life of a basket: several orders that are only worth having together.

Theory. The venue has no atomic orders. All legs go out at once, each fill-or-kill; then the basket waits
until every leg is answered for certain (an UNKNOWN leg freezes it: nothing more is sent). What is then
missing or too much is put right by taking, whichever is cheaper: complete the set at today's asks, or
sell what is held at today's bids. Each attempt is bounded, and a basket that cannot be put right is
STRANDED: it says so and leaves the position to a person.

    SENT ─► COMPLETE            every leg filled (small surplus from price improvement is kept as dust)
      │ └─► ABANDONED           nothing filled
      ├──► COMPLETING ─► COMPLETE | UNWINDING
      └──► UNWINDING ──► UNWOUND | STRANDED

Invariants: the same key is run once; no order is sent while any leg is open; every attempt has its own
plan id, so a restart repeats none.
"""

from enum import StrEnum
from typing import Final

import msgspec

from overround.core.strategy import Basket

DUST_QTY_E6: Final = 1_000_000
"""A surplus below one share is kept: selling it costs more than it is worth."""

MAX_ATTEMPTS: Final = 5
"""Attempts to complete or unwind before a basket counts as stranded."""

RETRY_NS: Final = 1_000_000_000
"""Pause between attempts."""


class BasketState(StrEnum):
    """Where a basket is."""

    SENT = "sent"
    COMPLETING = "completing"
    UNWINDING = "unwinding"
    COMPLETE = "complete"
    ABANDONED = "abandoned"
    UNWOUND = "unwound"
    STRANDED = "stranded"


OPEN_STATES: Final = frozenset({BasketState.SENT, BasketState.COMPLETING, BasketState.UNWINDING})

MOVES: Final[dict[BasketState, frozenset[BasketState]]] = {
    BasketState.SENT: frozenset(
        {
            BasketState.COMPLETE,
            BasketState.ABANDONED,
            BasketState.COMPLETING,
            BasketState.UNWINDING,
            BasketState.STRANDED,
        }
    ),
    BasketState.COMPLETING: frozenset(
        {BasketState.COMPLETE, BasketState.COMPLETING, BasketState.UNWINDING, BasketState.STRANDED}
    ),
    BasketState.UNWINDING: frozenset(
        {BasketState.UNWINDING, BasketState.UNWOUND, BasketState.COMPLETE, BasketState.STRANDED}
    ),
}
"""Every legal move; states that are missing are final."""


class BasketRun(msgspec.Struct):
    """One basket under way. ``filled_e6`` counts shares held per leg, purchases less sales."""

    strategy: str
    scope: str
    basket: Basket
    plan_id: str
    started_ts_ns: int
    order_ids: list[str]
    state: BasketState = BasketState.SENT
    attempts: int = 0
    not_before_ts_ns: int = 0

    @property
    def open(self) -> bool:
        return self.state in OPEN_STATES

    def move(self, state: BasketState) -> None:
        """Move to ``state``. Raises ``ValueError`` if the table has no such move."""
        if state not in MOVES.get(self.state, frozenset()):
            raise ValueError(f"basket {self.basket.key}: {self.state} cannot become {state}")
        self.state = state


def surplus_e6(filled_e6: list[int]) -> list[int]:
    """Return what each leg holds beyond the complete sets (the least filled leg)."""
    sets_e6 = min(filled_e6)
    return [held - sets_e6 for held in filled_e6]
