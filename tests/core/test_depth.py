"""Depth walks: the golden numbers of strategy-spec GT-2, and a share-by-share walk as the oracle."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.depth import walk
from overround.core.fees import taker_fee_bound_usd_e6, taker_fee_usd_e6
from overround.core.units import E6, parse_e6
from tests.core.worlds import FEE_4

GT2 = {
    "A": [(500_000, 200 * E6), (510_000, 300 * E6)],
    "B": [(300_000, 150 * E6), (320_000, 500 * E6)],
    "C": [(150_000, 400 * E6), (158_000, 400 * E6)],
}


@pytest.mark.parametrize(
    ("shares", "notional", "fees", "profit"),
    [
        (150, "142.5", "3.525", "3.975"),
        (200, "191", "4.7158", "4.2842"),
        (201, "191.98", "4.7396", "4.2804"),
        (300, "289", "7.09666", "3.90334"),
        (500, "485.8", "11.8797", "2.3203"),
    ],
)
def test_gt2(shares: int, notional: str, fees: str, profit: str) -> None:
    qty_e6 = shares * E6
    walks = [walk(levels, qty_e6, FEE_4, buying=True) for levels in GT2.values()]
    assert all(walks)
    usd_e6 = sum(each.usd_e6 for each in walks if each)
    fee_e6 = sum(each.fee_usd_e6 for each in walks if each)
    assert (usd_e6, fee_e6) == (parse_e6(notional), parse_e6(fees))
    assert qty_e6 - usd_e6 - fee_e6 == parse_e6(profit)


def test_the_last_price_is_the_worst_one_touched() -> None:
    whole, more = (walk(GT2["C"], qty * E6, FEE_4, buying=True) for qty in (400, 401))
    assert whole is not None
    assert more is not None
    assert (whole.last_px_e6, more.last_px_e6) == (150_000, 158_000)


@given(
    st.dictionaries(st.integers(1, 99), st.integers(1, 40), min_size=1, max_size=6),
    st.integers(1, 120),
    st.booleans(),
)
def test_as_if_bought_piece_by_piece(book: dict[int, int], pieces: int, buying: bool) -> None:
    piece_e6 = 333_333  # odd, so that notionals are not whole millionths
    levels = sorted(((cents * 10_000, qty * piece_e6) for cents, qty in book.items()), reverse=not buying)
    ladder = [px for px, size in levels for _ in range(size // piece_e6)]
    found = walk(levels, pieces * piece_e6, FEE_4, buying=buying)
    if pieces > len(ladder):
        assert found is None
        return
    assert found is not None
    exact = sum((Fraction(px * piece_e6, E6) for px in ladder[:pieces]), Fraction(0))
    assert found.usd_e6 == (ceil(exact) if buying else floor(exact))
    assert found.last_px_e6 == ladder[pieces - 1]
    assert found.fee_usd_e6 == taker_fee_usd_e6(FEE_4, pieces * piece_e6, found.usd_e6)
    assert found.fee_bound_usd_e6 == taker_fee_bound_usd_e6(FEE_4, pieces * piece_e6, found.usd_e6)


def test_nothing_has_no_price() -> None:
    assert walk([], E6, FEE_4, buying=True) is None
