"""Fees: the venue's vectors (strategy-spec GT-0), and exact rational arithmetic as the oracle."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.fees import (
    FEE_STEP_USD_E6,
    maker_rebate_usd_e6,
    taker_fee_bound_usd_e6,
    taker_fee_per_share,
    taker_fee_usd_e6,
)
from overround.core.market import FREE, FeeSchedule
from overround.core.units import E6, parse_e6

SCHEDULES = st.builds(FeeSchedule, rate_e6=st.integers(0, 100_000), exponent=st.integers(1, 3))


@st.composite
def trades(draw: st.DrawFn) -> tuple[int, int]:
    """Return shares, and dollars that make an average price within 0 and 1."""
    qty_e6 = draw(st.integers(1, 10**12))
    return qty_e6, draw(st.integers(0, qty_e6))


def exact_fee(schedule: FeeSchedule, qty_e6: int, usd_e6: int) -> Fraction:
    """Return the unrounded fee in dollars, straight from the documented formula."""
    p = Fraction(usd_e6, qty_e6)
    return Fraction(qty_e6, E6) * Fraction(schedule.rate_e6, E6) * (p * (1 - p)) ** schedule.exponent


@pytest.mark.parametrize(
    ("shares", "price", "rate", "fee"),
    [
        ("5", "0.47", "0.07", "0.08718"),
        ("20", "0.50", "0.07", "0.35"),
        ("20", "0.38", "0.07", "0.32984"),
        ("100", "0.5", "0.04", "1"),
        ("100", "0.025", "0.04", "0.0975"),
        ("100", "0.976", "0.04", "0.09369"),
        ("5", "0.01", "0.05", "0.00247"),
        ("0.01", "0.01", "0.05", "0"),
    ],
)
def test_gt0_vectors(shares: str, price: str, rate: str, fee: str) -> None:
    qty_e6, px_e6 = parse_e6(shares), parse_e6(price)
    schedule = FeeSchedule(rate_e6=parse_e6(rate))
    assert taker_fee_usd_e6(schedule, qty_e6, px_e6 * qty_e6 // E6) == parse_e6(fee)


def test_gt0_on_chain_vector() -> None:
    qty_e6 = parse_e6("580.677591")
    usd_e6 = round(Fraction("0.527058567") * qty_e6)
    assert taker_fee_usd_e6(FeeSchedule(rate_e6=70_000), qty_e6, usd_e6) == parse_e6("10.13209")


@given(SCHEDULES, trades())
def test_rounded_down_to_five_decimals(schedule: FeeSchedule, trade: tuple[int, int]) -> None:
    steps = floor(exact_fee(schedule, *trade) * E6 / FEE_STEP_USD_E6)
    assert taker_fee_usd_e6(schedule, *trade) == steps * FEE_STEP_USD_E6


@given(SCHEDULES, trades())
def test_bound_is_the_next_step_up(schedule: FeeSchedule, trade: tuple[int, int]) -> None:
    exact_e6 = exact_fee(schedule, *trade) * E6
    bound = taker_fee_bound_usd_e6(schedule, *trade)
    assert bound % FEE_STEP_USD_E6 == 0
    assert exact_e6 <= bound < exact_e6 + FEE_STEP_USD_E6
    assert bound >= taker_fee_usd_e6(schedule, *trade)


@given(SCHEDULES, trades())
def test_fee_of_a_price_is_that_of_its_complement(schedule: FeeSchedule, trade: tuple[int, int]) -> None:
    qty_e6, usd_e6 = trade
    assert taker_fee_usd_e6(schedule, qty_e6, usd_e6) == taker_fee_usd_e6(schedule, qty_e6, qty_e6 - usd_e6)


@given(st.integers(0, 100_000), st.lists(trades(), min_size=2, max_size=5))
def test_fee_of_the_average_price_bounds_the_levels(rate_e6: int, parts: list[tuple[int, int]]) -> None:
    schedule = FeeSchedule(rate_e6=rate_e6)
    whole = (sum(qty for qty, _ in parts), sum(usd for _, usd in parts))
    assert taker_fee_bound_usd_e6(schedule, *whole) >= sum(
        taker_fee_usd_e6(schedule, *part) for part in parts
    )


@given(SCHEDULES, st.integers(1, E6 - 1))
def test_fee_of_one_share(schedule: FeeSchedule, px_e6: int) -> None:
    assert taker_fee_per_share(schedule, px_e6) == exact_fee(schedule, E6, px_e6)


def test_a_rebate_is_the_stated_share_of_the_takers_fee() -> None:
    schedule = FeeSchedule(rate_e6=40_000, rebate_e6=250_000)  # strategy-spec RB-1
    assert maker_rebate_usd_e6(schedule, 200 * E6, 80 * E6) == 480_000
    assert maker_rebate_usd_e6(FREE, 200 * E6, 80 * E6) == 0


@pytest.mark.parametrize(("qty_e6", "usd_e6"), [(0, 0), (-1, 0), (10, 11), (10, -1)])
def test_no_fee_without_a_price(qty_e6: int, usd_e6: int) -> None:
    with pytest.raises(ValueError, match="no price"):
        taker_fee_usd_e6(FREE, qty_e6, usd_e6)
    with pytest.raises(ValueError, match="no price"):
        taker_fee_bound_usd_e6(FREE, qty_e6, usd_e6)
