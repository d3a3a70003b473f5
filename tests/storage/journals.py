"""Records for journal and projection tests."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text

from overround.core.commands import Command, OrderIntent
from overround.core.events import Fact, Filled, Liquidity, Side, TimerFired
from overround.core.market import FeeSchedule, Market, Token
from overround.core.units import E6
from overround.storage.engine import DATABASE_NAME, Durability, open_store
from overround.storage.journal import Journal, JournalRecord, command_record, fact_record

MS = 1_000_000


def database(directory: Path) -> Path:
    return directory / DATABASE_NAME


def ticks(first: int, count: int) -> list[JournalRecord]:
    return [fact_record(seq, seq * 10, TimerFired(f"t{seq}")) for seq in range(first, first + count)]


def records(*contents: Fact | Command, first_seq: int = 1) -> list[JournalRecord]:
    """Number facts and commands one after the other, one millisecond apart."""
    made = []
    for seq, content in enumerate(contents, first_seq):
        is_command = type(content).__module__.endswith("commands")
        make = command_record if is_command else fact_record
        made.append(make(seq, seq * MS, content))  # type: ignore[arg-type]  # chosen by the content's own module
    return made


def append(path: Path, batch: Sequence[JournalRecord]) -> None:
    with Journal.open(path) as journal:
        journal.append_batch(batch)


def tamper(path: Path, statement: str) -> None:
    """Change the database behind the journal's back."""
    engine = open_store(path, Durability.FULL)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def market(condition_id: str = "0xc1", yes: str = "11", no: str = "12") -> Market:
    return Market(
        condition_id=condition_id,
        yes=Token(yes, "Yes"),
        no=Token(no, "No"),
        slug="rain",
        question="Rain?",
        tick_e6=10_000,
        min_size_e6=5 * E6,
        neg_risk=False,
        active=True,
        closed=False,
        accepting_orders=True,
        as_of_ms=1,
        fee=FeeSchedule(40_000, rebate_e6=250_000),
    )


def intent(
    order_id: str = "p1-0", plan_id: str = "p1", side: Side = Side.BUY, qty_e6: int = 100 * E6
) -> OrderIntent:
    return OrderIntent(
        client_order_id=order_id,
        plan_id=plan_id,
        strategy="spread_capture",
        condition_id="0xc1",
        token_id="11",
        side=side,
        px_e6=400_000,
        qty_e6=qty_e6,
        post_only=True,
    )


def fill(trade_id: str, order_id: str = "p1-0", qty_e6: int = 100 * E6, fee_usd_e6: int = 0) -> Filled:
    return Filled(
        trade_id=trade_id,
        client_order_id=order_id,
        px_e6=400_000,
        qty_e6=qty_e6,
        usd_e6=qty_e6 * 2 // 5,
        fee_usd_e6=fee_usd_e6,
        liquidity=Liquidity.MAKER,
    )
