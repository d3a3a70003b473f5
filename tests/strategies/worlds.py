"""Hand-made views for strategy tests: books, markets and events without an engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from overround.core.events import Side
from overround.core.market import EventKind, FeeSchedule, Market, MarketEvent, Token
from overround.core.units import E6, parse_e6

NOW_NS = 1_767_225_600_000 * 1_000_000
Levels = Sequence[tuple[str, str]]


@dataclass
class FakeBook:
    token_id: str
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    live: bool = True
    generation: int = 1
    epoch: int = 0
    snapshot_seq: int = 1
    exchange_ts_ms: int = NOW_NS // 1_000_000
    recv_ts_ns: int = NOW_NS

    @property
    def best_bid_px_e6(self) -> int:
        return max(self.bids, default=0)

    @property
    def best_ask_px_e6(self) -> int:
        return min(self.asks, default=E6)

    def levels(self, side: Side, depth: int | None = None) -> list[tuple[int, int]]:
        if side is Side.BUY:
            return sorted(self.bids.items(), reverse=True)[:depth]
        return sorted(self.asks.items())[:depth]


@dataclass(frozen=True)
class FakeOrder:
    client_order_id: str
    token_id: str
    side: Side
    px_e6: int
    remaining_qty_e6: int
    created_ts_ns: int = NOW_NS


@dataclass
class FakeView:
    markets: dict[str, Market] = field(default_factory=dict)
    events: dict[str, MarketEvent] = field(default_factory=dict)
    books: dict[str, FakeBook] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    unconfirmed: dict[str, int] = field(default_factory=dict)
    heard_ns: int = 2**62
    """When every connection was last heard: by default a moment ago, whatever the time."""
    orders: dict[str, list[FakeOrder]] = field(default_factory=dict)
    cash_e6: int = 10_000 * E6
    seq: int = 1
    ts_ns: int = NOW_NS
    unaccepted: set[str] = field(default_factory=set)
    asked: int = 0

    def book(self, token_id: str) -> FakeBook | None:
        return self.books.get(token_id)

    def market(self, condition_id: str) -> Market | None:
        return self.markets.get(condition_id)

    def event(self, event_id: str) -> MarketEvent | None:
        return self.events.get(event_id)

    def rules_accepted(self, event_id: str) -> bool:
        return event_id not in self.unaccepted

    def heard_ts_ns(self, token_id: str) -> int:
        book = self.books.get(token_id)
        return 0 if book is None else max(book.recv_ts_ns, self.heard_ns)

    @property
    def account_revision(self) -> int:
        """Another number each time: tests change positions and orders as they like."""
        self.asked += 1
        return self.asked

    def position_e6(self, token_id: str) -> int:
        return self.positions.get(token_id, 0)

    def settled_e6(self, token_id: str) -> int:
        return self.positions.get(token_id, 0) - self.unconfirmed.get(token_id, 0)

    def free_cash_e6(self) -> int:
        return self.cash_e6

    def own_orders(self, token_id: str) -> Sequence[FakeOrder]:
        return self.orders.get(token_id, [])

    def at(self, ms: int) -> "FakeView":
        """Move the clock to ``ms`` after the start."""
        self.ts_ns = NOW_NS + ms * 1_000_000
        self.seq += 1
        return self


def ladder(levels: Levels) -> dict[int, int]:
    return {parse_e6(px): parse_e6(qty) for px, qty in levels}


def mirrored(levels: Mapping[int, int]) -> dict[int, int]:
    return {E6 - px: qty for px, qty in levels.items()}


def make_market(
    index: int, *, tick: str = "0.01", rate: str = "0.04", event_id: str | None = "ev", **changes: object
) -> Market:
    name = chr(ord("A") + index) if index < 26 else f"N{index}"
    values: dict[str, object] = {
        "condition_id": f"c{index}",
        "yes": Token(token_id=f"y{index}", outcome="Yes"),
        "no": Token(token_id=f"n{index}", outcome="No"),
        "slug": f"slug-{index}",
        "question": f"Will {name} win?",
        "title": name,
        "tick_e6": parse_e6(tick),
        "min_size_e6": 5 * E6,
        "neg_risk": True,
        "active": True,
        "closed": False,
        "accepting_orders": True,
        "as_of_ms": NOW_NS // 1_000_000,
        "fee": FeeSchedule(rate_e6=parse_e6(rate)),
        "event_id": event_id,
        "question_index": index,
    }
    values.update(changes)
    return Market(**values)  # type: ignore[arg-type] # keyword values are the fields above


def make_event(
    markets: Sequence[Market], kind: EventKind = EventKind.NEG_RISK, **changes: object
) -> MarketEvent:
    values: dict[str, object] = {
        "event_id": "ev",
        "slug": "who-wins",
        "title": "Who wins?",
        "kind": kind,
        "condition_ids": tuple(market.condition_id for market in markets),
        "as_of_ms": NOW_NS // 1_000_000,
        "neg_risk_market_id": "0xev",
        "convert_fee_bips": 0,
    }
    values.update(changes)
    return MarketEvent(**values)  # type: ignore[arg-type] # keyword values are the fields above


def put_books(view: FakeView, market: Market, bids: Levels, asks: Levels) -> None:
    """Set the YES book of ``market`` and its mirror."""
    view.books[market.yes.token_id] = FakeBook(market.yes.token_id, ladder(bids), ladder(asks))
    yes = view.books[market.yes.token_id]
    view.books[market.no.token_id] = FakeBook(market.no.token_id, mirrored(yes.asks), mirrored(yes.bids))


def event_view(
    books: Sequence[tuple[Levels, Levels]],
    kind: EventKind = EventKind.NEG_RISK,
    *,
    tick: str = "0.01",
    rate: str = "0.04",
) -> FakeView:
    """Return a view with one event; ``books`` are (bids, asks) of each outcome's YES token."""
    markets = [make_market(index, tick=tick, rate=rate) for index in range(len(books))]
    event = make_event(markets, kind)
    view = FakeView(markets={m.condition_id: m for m in markets}, events={event.event_id: event})
    for market, (bids, asks) in zip(markets, books, strict=True):
        put_books(view, market, bids, asks)
    return view
