"""The rest of the world: the engine's own books in terms of YES, and liquidity that was taken stays taken."""

import pytest

from overround.core.books import Books
from overround.core.events import Side
from overround.exchange.world import Impact, RecordedWorld, StaticWorld, World
from tests.exchange.support import CENT, E6, S_NS, make_market

BIDS = {48 * CENT: 10 * E6, 47 * CENT: 20 * E6}
ASKS = {50 * CENT: 5 * E6, 52 * CENT: 7 * E6}


def recorded(*tokens: str) -> RecordedWorld:
    """Return a world in which the books of ``tokens`` are live, mirrored as at the venue."""
    market = make_market()
    books = Books()
    books.track(market, 1)
    books.stream_up(0, 1, market.token_ids(), 1)
    for token_id in tokens:
        yes = token_id == market.yes.token_id
        bids, asks = (BIDS, ASKS) if yes else ({E6 - p: q for p, q in rows.items()} for rows in (ASKS, BIDS))
        snapshot(books, token_id, dict(bids), dict(asks))
    world = RecordedWorld(books)
    world.market_of("m-yes")
    return world


def snapshot(books: Books, token_id: str, bids: dict[int, int], asks: dict[int, int]) -> None:
    books.apply_snapshot(token_id, bids, asks, 1_000, 2, 0, 1)


@pytest.mark.parametrize("tokens", [("m-yes", "m-no"), ("m-yes",), ("m-no",)])
def test_the_book_is_read_in_terms_of_yes_from_whichever_token_is_live(tokens: tuple[str, ...]) -> None:
    world: World = recorded(*tokens)
    shown = world.shown("0xm")
    assert shown is not None
    assert shown.levels(Side.BUY) == sorted(BIDS.items(), reverse=True)
    assert shown.levels(Side.SELL) == sorted(ASKS.items())
    assert (shown.best_bid_px_e6, shown.best_ask_px_e6) == (48 * CENT, 50 * CENT)
    assert shown.size_e6(Side.SELL, 52 * CENT) == 7 * E6
    assert shown.size_e6(Side.SELL, 51 * CENT) == 0


def test_a_book_that_is_not_live_shows_nothing() -> None:
    world = recorded()
    assert world.shown("0xm") is None
    assert world.shown("never asked for") is None
    assert world.market_of("unknown") is None


@pytest.mark.parametrize("token_id", ["m-yes", "m-no"])
def test_an_empty_book_has_the_venues_own_best_prices(token_id: str) -> None:
    market = make_market()
    books = Books()
    books.track(market, 1)
    books.stream_up(0, 1, market.token_ids(), 1)
    snapshot(books, token_id, {}, {})
    world = RecordedWorld(books)
    world.market_of(token_id)
    shown = world.shown("0xm")
    assert shown is not None
    assert (shown.best_bid_px_e6, shown.best_ask_px_e6) == (0, E6)


def test_taken_liquidity_comes_back_after_the_memory() -> None:
    world = StaticWorld([make_market()])
    world.set_level("0xm", Side.SELL, 50 * CENT, 10)
    world.set_level("0xm", Side.SELL, 51 * CENT, 10)
    impact = Impact(5 * S_NS)
    impact.take("0xm", Side.SELL, 50 * CENT, 10, 0)
    impact.take("0xm", Side.SELL, 51 * CENT, 4, S_NS)
    assert list(impact.available(world.shown("0xm"), "0xm", Side.SELL, 5 * S_NS - 1)) == [(51 * CENT, 6)]
    assert list(impact.available(world.shown("0xm"), "0xm", Side.SELL, 5 * S_NS)) == [
        (50 * CENT, 10),
        (51 * CENT, 6),
    ]
    assert list(impact.available(world.shown("0xm"), "0xm", Side.SELL, 6 * S_NS)) == [
        (50 * CENT, 10),
        (51 * CENT, 10),
    ]
