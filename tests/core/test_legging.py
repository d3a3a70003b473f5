"""Legging: strategy-spec GT-5 to the last cent, and orders that the venue would take."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.book import Book
from overround.core.books import Books
from overround.core.depth import walk
from overround.core.events import Side
from overround.core.legging import Repair, books_live, completing_is_better, completion, unwinding
from overround.core.market import FREE, Market
from overround.core.risk import CENT_E12
from overround.core.units import E6, parse_e6
from tests.core.worlds import (
    FEE_4,
    GENERATION,
    GT5_BOOKS,
    STREAM,
    Levels,
    gt5_basket,
    live_books,
    market,
    set_book,
)

FILLED = [200 * E6, 200 * E6, 0]


class World:
    """Books and markets of the three legs."""

    def __init__(self, sides: Mapping[str, tuple[Levels, Levels]] = GT5_BOOKS, **changes: object) -> None:
        self.markets = {f"{name}-yes": market(name, tick_e6=1_000, **changes) for name in sides}
        self.books: Books = live_books(*self.markets.values())
        for name, (bids, asks) in sides.items():
            set_book(self.books, self.markets[f"{name}-yes"], bids, asks, ts_ms=2)

    def book(self, token_id: str) -> Book | None:
        return self.books.get(token_id)

    def market(self, token_id: str) -> Market | None:
        return self.markets.get(token_id)


def test_gt5_completing_costs() -> None:
    world = World()
    way = completion(gt5_basket(), FILLED, world.book, world.market)
    assert way is not None
    repairs, cost_e6 = way
    assert repairs == [Repair(2, Side.BUY, 158_000, 200 * E6)]
    assert cost_e6 == parse_e6("31.6") + parse_e6("1.06429")  # 1.064288 rounded up
    exact = walk(world.books.by_token["c-yes"].levels(Side.SELL), 200 * E6, FEE_4, buying=True)
    assert exact is not None
    paid = parse_e6("102") + parse_e6("62.6958")
    assert 200 * E6 - paid - exact.usd_e6 - exact.fee_usd_e6 == parse_e6("2.63992")


def test_gt5_unwinding_loses() -> None:
    world = World()
    repairs, proceeds_e6 = unwinding(gt5_basket(), FILLED, world.book, world.market)
    assert repairs == [Repair(0, Side.SELL, 490_000, 200 * E6), Repair(1, Side.SELL, 290_000, 200 * E6)]
    assert proceeds_e6 == 98 * E6 - parse_e6("1.9992") + 58 * E6 - parse_e6("1.6472")
    assert parse_e6("102") + parse_e6("62.6958") - proceeds_e6 == parse_e6("12.3422")


def test_gt5_must_complete() -> None:
    world = World()
    assert completing_is_better(gt5_basket(), FILLED, FILLED, world.book, world.market)


@pytest.mark.parametrize(
    ("ask_e6", "better"),
    # Complete sets pay 200, unwinding brings 152.3536: C may cost 47.6464 with its fee, 0.2312 a share.
    [(231_000, True), (232_000, False)],
)
def test_the_dearer_way_is_not_taken(ask_e6: int, better: bool) -> None:
    world = World({**GT5_BOOKS, "c": ({140_000: E6}, {ask_e6: 400 * E6})})
    assert completing_is_better(gt5_basket(), FILLED, FILLED, world.book, world.market) is better


def test_part_of_the_sets_is_worth_part_of_the_payout() -> None:
    world = World()
    filled = [200 * E6, 200 * E6, 150 * E6]
    way = completion(gt5_basket(), filled, world.book, world.market)
    assert way is not None
    assert way[0] == [Repair(2, Side.BUY, 158_000, 50 * E6)]
    surplus = [50 * E6, 50 * E6, 0]
    repairs, _ = unwinding(gt5_basket(), surplus, world.book, world.market)
    assert [(repair.leg, repair.qty_e6) for repair in repairs] == [(0, 50 * E6), (1, 50 * E6)]
    assert completing_is_better(gt5_basket(), filled, surplus, world.book, world.market)


def test_a_ladder_that_is_too_short_closes_the_way() -> None:
    world = World({**GT5_BOOKS, "c": ({140_000: E6}, {158_000: 199 * E6})})
    assert completion(gt5_basket(), FILLED, world.book, world.market) is None
    assert not completing_is_better(gt5_basket(), FILLED, FILLED, world.book, world.market)


def test_unwinding_sells_as_far_as_bids_reach() -> None:
    world = World({**GT5_BOOKS, "a": ({490_000: 70 * E6 + 7}, {500_000: E6})})
    repairs, _ = unwinding(gt5_basket(), FILLED, world.book, world.market)
    assert repairs[0] == Repair(0, Side.SELL, 490_000, 70 * E6)


def test_no_way_without_true_books_or_a_known_fee() -> None:
    world = World()
    assert books_live(gt5_basket(), world.book)
    world.books.stream_down(STREAM, GENERATION, 3, "test")
    assert not books_live(gt5_basket(), world.book)
    assert completion(gt5_basket(), FILLED, world.book, world.market) is None
    assert unwinding(gt5_basket(), FILLED, world.book, world.market) == ([], 0)
    unknown_fee = World(fee=None)
    assert completion(gt5_basket(), FILLED, unknown_fee.book, unknown_fee.market) is None
    assert unwinding(gt5_basket(), FILLED, unknown_fee.book, unknown_fee.market) == ([], 0)


def test_a_completion_of_less_than_a_dollar_buys_for_a_dollar() -> None:
    world = World()
    way = completion(gt5_basket(), [200 * E6, 200 * E6, 198 * E6], world.book, world.market)
    assert way is not None
    (repair,), cost_e6 = way
    assert repair.qty_e6 == 10 * E6  # 7 shares would cost 1.106: no whole cents
    assert cost_e6 >= 1_580_000


@given(
    st.lists(
        st.tuples(st.integers(1, 999), st.integers(1, 300)), min_size=1, max_size=5, unique_by=lambda x: x[0]
    ),
    st.integers(1, 200 * E6),
)
def test_a_completion_is_what_the_venue_takes(levels: list[tuple[int, int]], missing_e6: int) -> None:
    asks = {mills * 1_000: size * E6 for mills, size in levels}
    world = World({**GT5_BOOKS, "c": ({}, asks)})
    way = completion(gt5_basket(), [200 * E6, 200 * E6, 200 * E6 - missing_e6], world.book, world.market)
    if way is None:
        assert sum(asks.values()) < missing_e6 + 10_000
        return
    (repair,), cost_e6 = way
    budget_e12 = repair.px_e6 * repair.qty_e6
    assert budget_e12 % CENT_E12 == 0
    assert budget_e12 >= E6 * E6
    assert repair.qty_e6 % 10_000 == 0
    assert sum(size for px, size in asks.items() if px <= repair.px_e6) >= missing_e6
    # What the venue does with it: spend the budget, best price first.
    left, shares = budget_e12, 0
    for px, size in sorted(asks.items()):
        if px <= repair.px_e6:
            take = min(size, left // px)
            shares, left = shares + take, left - take * px
    assert shares >= missing_e6
    spent_e6 = -(-(budget_e12 - left) // E6)
    assert spent_e6 <= cost_e6 <= spent_e6 + FEE_4.rate_e6 * shares // E6 + 10
    free = World({**GT5_BOOKS, "c": ({}, asks)}, fee=FREE)
    again = completion(gt5_basket(), [200 * E6, 200 * E6, 200 * E6 - missing_e6], free.book, free.market)
    assert again == ([repair], spent_e6)
