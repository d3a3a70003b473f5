"""What a report shows: structs without any presentation.

Invariants: money, prices and quantities in millionths, times in milliseconds; a run without orders is a
valid report.
"""

from typing import Any

import msgspec


class StrategyLine(msgspec.Struct, frozen=True):
    """One strategy's part of a run."""

    strategy: str
    orders: int
    filled_orders: int
    canceled_orders: int
    refused_orders: int
    """Refused by the venue."""
    fills: int
    volume_usd_e6: int
    fee_usd_e6: int
    cash_usd_e6: int
    position_usd_e6: int

    @property
    def pnl_usd_e6(self) -> int:
        """Cash taken in plus positions at their bids."""
        return self.cash_usd_e6 + self.position_usd_e6


class EquityLine(msgspec.Struct, frozen=True):
    """Profit of one strategy through time."""

    strategy: str
    ts_ms: list[int]
    pnl_usd_e6: list[int]


class OrderSpan(msgspec.Struct, frozen=True):
    """An order in YES terms from its decision to its end; ``bid`` tells the side of the YES book."""

    bid: bool
    px_e6: int
    from_ms: int
    to_ms: int
    label: str


class FillPoint(msgspec.Struct, frozen=True):
    """A fill in YES terms."""

    bid: bool
    px_e6: int
    ts_ms: int
    label: str


class MarketStory(msgspec.Struct, frozen=True):
    """One market through time, in YES terms; a missing touch is ``None``."""

    title: str
    ts_ms: list[int]
    best_bid_e6: list[int | None]
    best_ask_e6: list[int | None]
    orders: list[OrderSpan]
    fills: list[FillPoint]


class ReasonCount(msgspec.Struct, frozen=True):
    """How often a strategy gave a reason, or risk checks did; with the latest detail."""

    strategy: str
    reason: str
    count: int
    detail: str


class BasketLine(msgspec.Struct, frozen=True):
    """One basket: what was promised, and what became of it."""

    planned_ms: int
    legs: int
    outcome_token: str
    """``YES`` or ``NO`` if all legs are of that kind, else ``mixed``."""
    shares_e6: int
    promised_usd_e6: int
    state: str
    """``complete``, ``partial`` (fewer sets, nothing left over), ``incomplete`` (legs of unequal size),
    ``unwound`` (sold again), ``abandoned`` (nothing filled) or ``open``."""
    sets_e6: int
    """Complete sets that are held."""
    cost_usd_e6: int
    """Paid less received, without fees."""
    fee_usd_e6: int
    result_usd_e6: int
    """Smallest payoff of what is held over all outcomes, less cost and fees."""
    guaranteed: bool
    """Whether ``result_usd_e6`` holds in every state in which the event can end."""


class HashTally(msgspec.Struct, frozen=True):
    """How many hashes of one kind were verified. An unverifiable one lacked a field that the hash covers."""

    total: int
    verified: int
    failed: int
    unverifiable: int

    @property
    def unchecked(self) -> int:
        """Not looked at, to save time."""
        return self.total - self.verified - self.failed - self.unverifiable


class ReportData(msgspec.Struct, frozen=True):
    """Everything a report shows."""

    run_id: str
    mode: str
    started_ms: int
    ended_ms: int | None
    status: dict[str, Any]
    counters: dict[str, int]
    strategies: list[StrategyLine]
    equity: list[EquityLine]
    stories: list[MarketStory]
    reasons: list[ReasonCount]
    checks: list[ReasonCount]
    """What risk checks stopped."""
    baskets: list[BasketLine]
    resyncs: dict[str, int]

    @property
    def books(self) -> dict[str, int]:
        """Number of books by state."""
        return dict(self.status.get("books", {}))

    @property
    def snapshot_hashes(self) -> HashTally:
        """Hashes of whole books."""
        count = self.counters.get
        return HashTally(
            count("books_snapshots", 0),
            count("books_snapshot_hash_ok", 0),
            count("books_snapshot_hash_failed", 0),
            count("books_snapshot_hash_unverified", 0),
        )

    @property
    def change_hashes(self) -> HashTally:
        """Hashes of books after their changes."""
        count = self.counters.get
        checked, right = count("books_batch_hash_checked", 0), count("books_batch_hash_ok", 0)
        return HashTally(count("books_batches", 0), right, checked - right, 0)

    @property
    def pnl_usd_e6(self) -> int:
        """Profit of all strategies with positions at their bids."""
        return sum(line.pnl_usd_e6 for line in self.strategies)

    @property
    def guaranteed_usd_e6(self) -> int:
        """What the baskets must bring in the end, losses of those that were undone included."""
        return sum(basket.result_usd_e6 for basket in self.baskets if basket.guaranteed)
