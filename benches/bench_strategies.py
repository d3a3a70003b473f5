"""What a decision costs: p50 and p99 in microseconds, on real Book objects.

Cases: nothing changed, the touch moved, a new price, for one market (spread capture) and for an event
(Dutch book) of 5, 10 and 50 outcomes, without a gap, with a gap below the fee, and with a basket to size.
The peer is the usual bot's look: decimals as floats, all prices summed anew at each call.
Run: python benches/bench_strategies.py [--rounds N]
"""

import argparse
import time
from collections.abc import Callable

from overround.core.book import Book
from overround.core.books import Books
from overround.core.market import EventKind, FeeSchedule, Market, MarketEvent, Token
from overround.core.units import E6
from overround.strategies.dutch_book import DutchBook, DutchParams
from overround.strategies.spread_capture import SpreadCapture, SpreadParams

NOW_NS = 1_795_000_000_000_000_000
LEVELS = 40


class BenchView:
    """The engine's view, reduced to dictionaries."""

    def __init__(self, markets: dict[str, Market], events: dict[str, MarketEvent], books: Books) -> None:
        self.markets, self.events, self._books = markets, events, books
        self.seq, self.ts_ns = 1, NOW_NS
        self.account_revision = 0

    def book(self, token_id: str) -> Book | None:
        return self._books.get(token_id)

    def market(self, condition_id: str) -> Market | None:
        return self.markets.get(condition_id)

    def event(self, event_id: str) -> MarketEvent | None:
        return self.events.get(event_id)

    def rules_accepted(self, event_id: str) -> bool:
        return event_id in self.events

    def position_e6(self, token_id: str) -> int:
        return 0

    def settled_e6(self, token_id: str) -> int:
        return 0

    def heard_ts_ns(self, token_id: str) -> int:
        return self.ts_ns

    def free_cash_e6(self) -> int:
        return 10_000 * E6

    def own_orders(self, token_id: str) -> list[object]:
        return []


def world(outcomes: int, ask_sum_e6: int) -> BenchView:
    """Return an event whose best asks sum to about ``ask_sum_e6``, with 40 levels a side."""
    markets = {}
    books = Books()
    for index in range(outcomes):
        market = Market(
            condition_id=f"c{index}", yes=Token(f"y{index}", "Yes"), no=Token(f"n{index}", "No"),
            slug=f"m{index}", question="?", title=f"outcome {index}", tick_e6=1_000, min_size_e6=5 * E6,
            neg_risk=True, active=True, closed=False, accepting_orders=True, as_of_ms=0, event_id="ev",
            fee=FeeSchedule(rate_e6=40_000), question_index=index,
        )  # fmt: skip
        markets[market.condition_id] = market
        books.track(market, NOW_NS)
        books.stream_up(index, 1, market.token_ids(), NOW_NS)
        ask = ask_sum_e6 // outcomes // 1_000 * 1_000
        fill(books, market, index, ask)
    event = MarketEvent(
        event_id="ev",
        slug="ev",
        title="Who?",
        kind=EventKind.NEG_RISK,
        condition_ids=tuple(markets),
        as_of_ms=0,
    )
    return BenchView(markets, {"ev": event}, books)


def fill(books: Books, market: Market, stream: int, ask_e6: int) -> None:
    asks = {ask_e6 + n * 1_000: (100 + n) * E6 for n in range(LEVELS) if ask_e6 + n * 1_000 < E6}
    bids = {ask_e6 - n * 1_000: (100 + n) * E6 for n in range(2, LEVELS) if ask_e6 - n * 1_000 > 0}
    for token, own_bids, own_asks in (
        (market.yes.token_id, bids, asks),
        (market.no.token_id, {E6 - px: q for px, q in asks.items()}, {E6 - px: q for px, q in bids.items()}),
    ):
        books.apply_snapshot(token, own_bids, own_asks, NOW_NS // 10**6, NOW_NS, stream, 1)


def measure(name: str, rounds: int, prepare: Callable[[int], None], call: Callable[[], object]) -> None:
    times = []
    for n in range(rounds):
        prepare(n)
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    times.sort()
    p50, p99 = times[len(times) // 2] / 1_000, times[len(times) * 99 // 100] / 1_000
    print(f"{name:<58} p50 {p50:8.2f} µs   p99 {p99:8.2f} µs")


def naive(view: BenchView) -> tuple[float, float]:
    asks = bids = 0.0
    for market in view.markets.values():
        book = view.book(market.yes.token_id)
        if book is not None:
            asks += min((px / 1e6 for px in book.asks), default=1.0)
            bids += max((px / 1e6 for px in book.bids), default=0.0)
    return asks, bids


def bench_spread(rounds: int) -> None:
    view = world(1, 450_000)
    strategy = SpreadCapture(lambda *_: SpreadParams())
    strategy.scopes(view.markets, view.events)
    book = view.book("y0")
    assert book is not None
    strategy.decide(view, "c0")

    def deeper(n: int) -> None:
        book.recv_ts_ns += 1

    def size(n: int) -> None:
        book.bids[book.best_bid_px_e6] = (100 + n % 7) * E6

    def price(n: int) -> None:
        book.best_bid_px_e6 = 443_000 - n % 2 * 5_000
        view.ts_ns += 10**9

    for name, prepare in (
        ("a level below the touch changed", deeper),
        ("size at the touch changed", size),
        ("the best bid moved", price),
    ):
        measure(f"spread capture, one market: {name}", rounds, prepare, lambda: strategy.decide(view, "c0"))


def bench_dutch(rounds: int) -> None:
    params = DutchParams(max_legs=50, slippage_ticks=0, min_profit_usd_e6=0, safety_margin_usd_e6=0)
    for outcomes in (5, 10, 50):
        for name, ask_sum, tries in (
            ("no gap", 1_000_000 + outcomes * 1_000, rounds),
            ("gap below the fee", 985_000, rounds),
            ("basket sized and certified", 900_000, max(20, rounds // 50)),
        ):
            view = world(outcomes, ask_sum)
            strategy = DutchBook(lambda _: params)
            strategy.scopes(view.markets, view.events)
            book = view.book("y0")
            assert book is not None

            def later(_: int, view: BenchView = view, book: Book = book) -> None:
                view.ts_ns += 2_000_000_000
                book.recv_ts_ns += 1

            later(0)
            decision = strategy.decide(view, "ev")
            assert decision is not None
            found = ", ".join(finding.reason for finding in decision.findings)
            label = f"Dutch book, {outcomes} outcomes: {name} ({found})"
            measure(label, tries, later, lambda v=view, s=strategy: s.decide(v, "ev"))
        measure(f"  naive floats, {outcomes} outcomes", rounds // 10, lambda _: None, lambda v=view: naive(v))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5_000)
    rounds = parser.parse_args().rounds
    bench_spread(rounds)
    bench_dutch(rounds)


if __name__ == "__main__":
    main()
