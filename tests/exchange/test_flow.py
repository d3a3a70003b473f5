"""The synthetic event: exact mirrored books, the promised mispricings, the same run from the same seed."""

from hashlib import sha256
from random import Random

import msgspec
import pytest

from overround.core.events import Side
from overround.core.market import Market
from overround.core.units import E6
from overround.exchange.flow import FlowBook, FlowChange, FlowEvent, FlowTrade, SyntheticFlow
from tests.exchange.support import CENT, NOW_NS, S_NS, make_market

PROBABILITIES = (400_000, 250_000, 200_000, 100_000, 50_000)


def make_markets() -> list[Market]:
    return [make_market(f"q{i}", tick_e6=tick) for i, tick in enumerate((CENT, CENT, CENT, 1_000, 1_000))]


def make_flow(seed: int = 7) -> SyntheticFlow:
    return SyntheticFlow(make_markets(), PROBABILITIES, Random(seed), NOW_NS)


class Mirror:
    """A naive reader: builds every token's book from the events alone."""

    def __init__(self, opening: list[FlowBook]) -> None:
        self.books: dict[str, dict[Side, dict[int, int]]] = {}
        for book in opening:
            self.read(book)

    def read(self, event: FlowEvent) -> None:
        if isinstance(event, FlowBook):
            self.books[event.token_id] = {Side.BUY: dict(event.bids), Side.SELL: dict(event.asks)}
        elif isinstance(event, FlowChange):
            for level in event.levels:
                ladder = self.books[level.token_id][level.side]
                if level.qty_e6:
                    ladder[level.px_e6] = level.qty_e6
                else:
                    ladder.pop(level.px_e6, None)
            for level in event.levels:
                book = self.books[level.token_id]
                assert level.best_bid_px_e6 == max(book[Side.BUY], default=0)
                assert level.best_ask_px_e6 == min(book[Side.SELL], default=E6)


@pytest.mark.parametrize("seed", [1, 7])
def test_events_lead_to_the_books_shown_and_books_are_sane(seed: int) -> None:
    flow = make_flow(seed)
    mirror = Mirror(flow.opening())
    by_token = {token: market for market in make_markets() for token in market.token_ids()}
    trades = 0
    for _ in range(2_000):
        for event in flow.step():
            if isinstance(event, FlowTrade):
                trades += 1
                assert event.qty_e6 > 0
                assert by_token[event.token_id].on_grid(event.px_e6)
            mirror.read(event)
    assert trades > 20
    for book in flow.opening():
        market = by_token[book.token_id]
        assert mirror.books[book.token_id] == {Side.BUY: book.bids, Side.SELL: book.asks}
        other = mirror.books[market.mirror(book.token_id)]
        assert {E6 - px: qty for px, qty in book.bids.items()} == other[Side.SELL]
        assert max(book.bids, default=0) < min(book.asks, default=E6)
        for px, qty in (book.bids | book.asks).items():
            assert market.on_grid(px)
            assert 0 < qty <= 5_000 * E6


def test_every_moment_of_a_market_has_its_own_millisecond() -> None:
    flow = make_flow()
    seen: set[tuple[str, int]] = set()
    for _ in range(500):
        moments = {(event.condition_id, event.exchange_ts_ms) for event in flow.step()}
        assert not moments & seen
        seen |= moments


def test_a_trade_takes_its_volume_off_a_level_that_was_there() -> None:
    flow = make_flow()
    mirror = Mirror(flow.opening())
    checked = 0
    for _ in range(1_500):
        before = {
            token: {side: dict(rows) for side, rows in book.items()} for token, book in mirror.books.items()
        }
        for event in flow.step():
            mirror.read(event)
            if isinstance(event, FlowTrade):
                side = Side.SELL if event.taker_side is Side.BUY else Side.BUY
                was = before[event.token_id][side][event.px_e6]
                assert was - mirror.books[event.token_id][side].get(event.px_e6, 0) == event.qty_e6
                checked += 1
    assert checked


def test_rates_and_mispricings_are_as_promised() -> None:
    flow = make_flow()
    mirror = Mirror(flow.opening())
    markets = make_markets()
    changes = cheap = rich = 0
    seconds = 120
    for event in flow.run(NOW_NS + seconds * S_NS):
        mirror.read(event)
        if isinstance(event, FlowChange):
            changes += 1
            asks = [min(mirror.books[m.yes.token_id][Side.SELL], default=E6) for m in markets]
            bids = [max(mirror.books[m.yes.token_id][Side.BUY], default=0) for m in markets]
            cheap += sum(asks) + sum(40_000 * px * (E6 - px) // E6**2 for px in asks) < E6
            rich += sum(bids) - sum(40_000 * px * (E6 - px) // E6**2 for px in bids) > E6
    assert 10 <= changes / seconds / len(markets) <= 20
    assert 0 < cheap < changes // 5
    assert 0 < rich < changes // 5


def test_same_seed_same_sequence() -> None:
    def digest(seed: int) -> str:
        flow = make_flow(seed)
        hasher = sha256()
        for book in flow.opening():
            hasher.update(msgspec.json.encode(book))
        for _ in range(600):
            for event in flow.step():
                hasher.update(msgspec.json.encode(event))
        return hasher.hexdigest()

    assert digest(3) == digest(3)
    assert digest(3) != digest(4)


@pytest.mark.parametrize("probabilities", [(500_000, 400_000), (E6,), (990_000, 10_000)])
def test_probabilities_that_make_no_event_are_refused(probabilities: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="probabilit"):
        SyntheticFlow(make_markets()[: len(probabilities)], probabilities, Random(1), NOW_NS)
