"""Start is recovery: fold the journal, take over the account, open the gate. There is no other start.

The journal alone restores orders, positions, cash, markets and baskets: facts go through the engine's
handlers, commands through the same code that applied them when they were made. Books are not restored;
they become true again by fresh snapshots. Orders that were open when the process died are settled with
the venue (:meth:`Venue.take_over`) before anything new may leave.

Invariants: a new run's numbers follow everything that was ever numbered, on journal and tape; the facts
that open the gate are journaled like any other.
"""

from collections.abc import Iterable, Sequence

import msgspec

from overround.core.engine import Engine
from overround.core.events import ConfigLoaded, Deposited, Fact, Reconciled, RunStarted
from overround.polymarket.inbox import FactIn
from overround.runtime.ports import AccountState
from overround.runtime.sequencer import Sequencer, Step
from overround.storage.journal import JournalRecord, decode_command, decode_fact


class Folded(msgspec.Struct, frozen=True):
    """What a journal folded to: how much there was, and where it ends."""

    facts: int
    commands: int
    last_seq: int
    last_ts_ns: int


def fold(engine: Engine, records: Iterable[JournalRecord]) -> Folded:
    """Fold journal records into ``engine`` without deciding anything.

    Raises what the handlers raise: a journal that does not fit the engine is damage or a bug, never skipped.
    """
    facts = commands = last_seq = last_ts_ns = 0
    for record in records:
        if record.kind == "fact":
            engine.on_fact(decode_fact(record.payload), record.ts_ns)
            facts += 1
        else:
            engine.apply(decode_command(record.payload), record.ts_ns)
            commands += 1
        last_seq, last_ts_ns = record.seq, record.ts_ns
    return Folded(facts, commands, last_seq, last_ts_ns)


def account_state(engine: Engine) -> AccountState:
    """Return the account as the engine knows it."""
    holdings: dict[str, int] = {}
    for (_, token_id), qty_e6 in engine.portfolio.positions().items():
        holdings[token_id] = holdings.get(token_id, 0) + qty_e6
    return AccountState(
        cash_usd_e6=engine.portfolio.cash_e6(),
        holdings_e6=holdings,
        open_orders=tuple(engine.orders.open_orders()),
        unsettled=dict(engine.portfolio.unsettled_trades()),
    )


def open_gate(
    sequencer: Sequencer,
    started: RunStarted,
    config: ConfigLoaded,
    metadata: Sequence[Fact],
    deposit_usd_e6: int,
    now_ns: int,
) -> Step:
    """Begin a run: journal who starts with what, take over the account, and open the gate.

    ``deposit_usd_e6`` is the paper book's capital; it is entered once, into an account that never had any
    money. Returns the batch, in which the strategies were asked for the first time.
    """
    engine = sequencer.engine
    now_ns = max(now_ns, sequencer.ts_ns)
    facts: list[Fact] = [started, config]
    if deposit_usd_e6 and not engine.portfolio.balances():
        facts.append(Deposited(deposit_usd_e6, "starting capital of the paper book"))
    account = account_state(engine)
    if not engine.portfolio.balances():
        account = msgspec.structs.replace(account, cash_usd_e6=deposit_usd_e6)
    facts += metadata
    facts += sequencer.venue.take_over(account)
    facts.append(Reconciled(open_orders=0))
    return sequencer.step([FactIn(now_ns, fact) for fact in facts], now_ns)
