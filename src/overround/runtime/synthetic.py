"""A seeded synthetic event as raw frames: the flow of ``exchange.flow`` in the venue's own words.

The frames carry true hashes and true best prices, so everything that holds for recordings holds for them:
the same decoder, the same witnesses. Ids are derived from the seed and are no real market's.

Invariants: the same seed gives the same bytes on every machine.
"""

from collections.abc import Iterator
from hashlib import sha256
from random import Random
from typing import Final

from overround.core.events import EventListed, Fact, MarketListed, StreamUp
from overround.core.market import EventKind, FeeSchedule, Market, MarketEvent, Token
from overround.core.units import E6
from overround.exchange.flow import FlowBook, FlowChange, FlowConfig, FlowEvent, FlowTrade, SyntheticFlow
from overround.polymarket.encoder import (
    ChangeOut,
    encode_book,
    encode_books,
    encode_last_trade_price,
    encode_price_change,
    state_hash,
)
from overround.polymarket.inbox import FactIn, FrameIn, Incoming

NS_PER_MS: Final = 1_000_000
EVENT_ID: Final = "synthetic"
OUTCOMES: Final = (
    ("Ada", 340_000),
    ("Blaise", 250_000),
    ("Carl", 190_000),
    ("Emmy", 130_000),
    ("Kurt", 90_000),
)
"""Names and first probabilities in millionths."""
FEED_DELAY_NS: Final = 12 * NS_PER_MS
"""Receive minus exchange time (median of a recorded feed)."""


class SyntheticEvent:
    """Five outcomes of one neg-risk event, their metadata and their frames."""

    def __init__(self, seed: int, start_ns: int, stream: int, config: FlowConfig | None = None) -> None:
        self._stream = stream
        self._start_ns = start_ns
        self.markets = tuple(_market(seed, index, start_ns // NS_PER_MS) for index in range(len(OUTCOMES)))
        self._by_id = {market.condition_id: market for market in self.markets}
        self._flow = SyntheticFlow(
            self.markets, [probability for _, probability in OUTCOMES], Random(seed), start_ns, config
        )

    def metadata(self) -> list[Fact]:
        """Return the markets and their event as facts."""
        event = MarketEvent(
            event_id=EVENT_ID,
            slug=f"{EVENT_ID}-event",
            title="Who wins the synthetic election?",
            kind=EventKind.NEG_RISK,
            condition_ids=tuple(self._by_id),
            as_of_ms=self._start_ns // NS_PER_MS,
            neg_risk_market_id=_hex_id("group", 0)[:-2] + "00",
            convert_fee_bips=0,
        )
        return [*(MarketListed(market) for market in self.markets), EventListed(event)]

    def inputs(self, until_ns: int) -> Iterator[Incoming]:
        """Yield the stream's beginning, the opening books and every frame received up to ``until_ns``."""
        tokens = tuple(token for market in self.markets for token in market.token_ids())
        yield FactIn(self._start_ns, StreamUp(self._stream, 1, tokens))
        books = [self._book(book, first=True) for book in self._flow.opening()]
        yield self._frame(encode_books(books), self._start_ns)
        for event in self._flow.run(until_ns):
            yield self._frame(self._encode(event), self._flow.ts_ns + FEED_DELAY_NS)

    def _frame(self, payload: bytes, at_ns: int) -> FrameIn:
        return FrameIn(at_ns, at_ns, self._stream, 1, payload)

    def _encode(self, event: FlowEvent) -> bytes:
        match event:
            case FlowBook():
                return self._book(event)
            case FlowChange():
                return self._change(event)
            case FlowTrade():
                return encode_last_trade_price(
                    event.condition_id,
                    event.token_id,
                    event.taker_side,
                    event.px_e6,
                    event.qty_e6,
                    event.exchange_ts_ms,
                )

    def _book(self, book: FlowBook, *, first: bool = False) -> bytes:
        market = self._by_id[book.condition_id]
        return encode_book(
            market, book.token_id, book.bids, book.asks, book.exchange_ts_ms, _last_text(book), first=first
        )

    def _change(self, change: FlowChange) -> bytes:
        market = self._by_id[change.condition_id]
        hashes: dict[str, str] = {}
        for token_id in market.token_ids():
            book = self._flow.book(market, token_id)
            hashes[token_id] = state_hash(
                market, token_id, book.bids, book.asks, change.exchange_ts_ms, _last_text(book)
            )
        changes = [
            ChangeOut(
                token_id=level.token_id,
                side=level.side,
                px_e6=level.px_e6,
                qty_e6=level.qty_e6,
                best_bid_px_e6=level.best_bid_px_e6,
                best_ask_px_e6=level.best_ask_px_e6,
                hash=hashes[level.token_id],
            )
            for level in change.levels
        ]
        return encode_price_change(change.condition_id, changes, change.exchange_ts_ms)


def _last_text(book: FlowBook) -> str:
    """Return the last trade's price as the venue hashes it: three decimals, empty before the first."""
    return "" if book.last_px_e6 is None else f"0.{book.last_px_e6 // 1_000:03d}"


def _market(seed: int, index: int, as_of_ms: int) -> Market:
    name, _ = OUTCOMES[index]
    return Market(
        condition_id=_hex_id(f"condition {seed}", index),
        yes=Token(_token_id(seed, index, "YES"), "Yes"),
        no=Token(_token_id(seed, index, "NO"), "No"),
        slug=f"{EVENT_ID}-{name.lower()}",
        question=f"Will {name} win the synthetic election?",
        title=name,
        tick_e6=10_000,
        min_size_e6=5 * E6,
        neg_risk=True,
        active=True,
        closed=False,
        accepting_orders=True,
        as_of_ms=as_of_ms,
        fee=FeeSchedule(rate_e6=40_000, rebate_e6=250_000),
        event_id=EVENT_ID,
        question_index=index,
    )


def _hex_id(kind: str, index: int) -> str:
    return "0x" + sha256(f"overround synthetic {kind} {index}".encode()).hexdigest()


def _token_id(seed: int, index: int, outcome: str) -> str:
    return str(int(sha256(f"overround synthetic token {seed} {index} {outcome}".encode()).hexdigest(), 16))
