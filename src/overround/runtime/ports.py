"""The two objects in which modes differ, and what the sequencer writes to.

Live, paper, shadow, replay and backtest run the same sequencer and engine; they differ in where inputs
come from (anything that yields :class:`FrameIn` and :class:`FactIn`) and in who carries out commands
(a :class:`Venue`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from overround.core.commands import Command
from overround.core.events import Fact, TradePrinted
from overround.core.orders import Order
from overround.core.portfolio import Trade
from overround.storage.journal import JournalRecord
from overround.storage.tape import RecordTuple


class AccountState(msgspec.Struct, frozen=True):
    """The account as the journal knows it when a run starts."""

    cash_usd_e6: int
    holdings_e6: Mapping[str, int]
    """Shares by token, over all strategies, matched trades included."""
    open_orders: Sequence[Order]
    unsettled: Mapping[str, Trade]


class Venue(Protocol):
    """Carries out commands. What became of them comes back as facts."""

    def take_over(self, account: "AccountState") -> list[Fact]:
        """Return what became of our orders and trades while no process ran; trading begins after that."""
        ...

    def submit(self, commands: Sequence[Command], now_ns: int) -> None:
        """Take over commands that are durable. Must not block and must not answer synchronously."""
        ...

    def advance(self, now_ns: int) -> list[tuple[int, Fact]]:
        """Return what became known up to ``now_ns``, each with its time, in order."""
        ...

    def watched(self) -> Collection[str]:
        """Return the tokens whose books :meth:`observe` wants to be told about."""
        ...

    def observe(self, touched: Sequence[str], trades: Sequence[TradePrinted], now_ns: int) -> None:
        """Look at market data that was just applied to the books."""
        ...

    def next_due_ns(self) -> int | None:
        """Return when :meth:`advance` will next have something to say, ``None`` for not by itself.

        Within a batch it is asked again only after ``advance`` and ``observe``; what becomes known otherwise
        is asked for at the border.
        """
        ...


class NullVenue:
    """Drops every command: shadow mode, and replay, where the recorded answers are inputs already."""

    def take_over(self, account: AccountState) -> list[Fact]:
        """Return nothing: there is no venue."""
        return []

    def submit(self, commands: Sequence[Command], now_ns: int) -> None:
        """Count nothing, do nothing: the journal holds what would have been sent."""

    def advance(self, now_ns: int) -> list[tuple[int, Fact]]:
        """Return nothing, ever."""
        return []

    def watched(self) -> Collection[str]:
        """Return no token."""
        return ()

    def observe(self, touched: Sequence[str], trades: Sequence[TradePrinted], now_ns: int) -> None:
        """Ignore market data."""

    def next_due_ns(self) -> int | None:
        """Return ``None``."""
        return None


class JournalSink(Protocol):
    """Where facts and commands become durable."""

    def append_batch(self, records: Sequence[JournalRecord]) -> None:
        """Return only when all ``records`` are durable; raise if they could not be made so."""
        ...


class TapeSink(Protocol):
    """Where raw frames, timers and batch borders go."""

    def append_many(self, records: Sequence[RecordTuple]) -> None:
        """Hand over the records of a batch, all or none; raise if they cannot be taken."""
        ...


class NoJournal:
    """Backtests keep no journal."""

    def append_batch(self, records: Sequence[JournalRecord]) -> None:
        """Forget the records."""


class NoTape:
    """A run without recording."""

    def append_many(self, records: Sequence[RecordTuple]) -> None:
        """Forget the records."""
