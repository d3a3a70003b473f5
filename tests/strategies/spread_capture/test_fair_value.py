"""The weighted mid: SC-1, and what never counts as evidence."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import Side
from overround.core.units import E6
from overround.strategies.spread_capture.fair_value import (
    Level,
    clean_best,
    own_quantities,
    weighted_mid,
)
from tests.strategies.worlds import FakeBook, FakeOrder, ladder


def book(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> FakeBook:
    return FakeBook("y0", ladder(bids), ladder(asks))


@pytest.mark.parametrize(
    ("bid_qty", "ask_qty", "own", "mid"),
    [("300", "100", 0, 415_000), ("100", "300", 0, 405_000), ("300", "100", 200 * E6, 410_000)],
)
def test_sc1_weighted_mid(bid_qty: str, ask_qty: str, own: int, mid: int) -> None:
    seen = book([("0.40", bid_qty)], [("0.42", ask_qty)])
    bid = clean_best(seen, Side.BUY, {400_000: own})
    ask = clean_best(seen, Side.SELL)
    assert bid is not None
    assert ask is not None
    assert Fraction(*weighted_mid(bid, ask)) == mid


def test_own_orders_of_both_tokens_are_taken_out_in_yes_terms() -> None:
    orders = own_quantities(
        [FakeOrder("a", "y0", Side.BUY, 400_000, 10 * E6), FakeOrder("b", "y0", Side.SELL, 420_000, 20 * E6)],
        [FakeOrder("c", "n0", Side.BUY, 580_000, 5 * E6), FakeOrder("d", "n0", Side.SELL, 600_000, 7 * E6)],
    )
    assert orders == ({400_000: 17 * E6}, {420_000: 25 * E6})


def test_levels_that_are_ours_or_dust_are_skipped() -> None:
    seen = book([("0.44", "4.99"), ("0.43", "100"), ("0.42", "300")], [("0.005", "999"), ("0.46", "100")])
    assert clean_best(seen, Side.BUY, {430_000: 100 * E6}) == Level(420_000, 300 * E6)
    # 999 shares at half a cent are not five dollars.
    assert clean_best(seen, Side.SELL) == Level(460_000, 100 * E6)
    assert clean_best(book([], []), Side.BUY) is None
    assert clean_best(book([("0.44", "1")], []), Side.BUY) is None


@given(st.integers(1, 98), st.integers(1, 98), st.integers(5, 10**7), st.integers(5, 10**7))
def test_mid_is_the_clamped_weighted_mean(low: int, gap: int, bid_qty: int, ask_qty: int) -> None:
    bid = Level(low * 10_000, bid_qty * E6)
    ask = Level(min(low + gap, 99) * 10_000, ask_qty * E6)
    if bid.px_e6 >= ask.px_e6:
        return
    spread = Fraction(ask.px_e6 - bid.px_e6)
    exact = bid.px_e6 + spread * Fraction(bid_qty, bid_qty + ask_qty)
    expected = min(max(exact, bid.px_e6 + spread / 10), ask.px_e6 - spread / 10)
    assert Fraction(*weighted_mid(bid, ask)) == expected
