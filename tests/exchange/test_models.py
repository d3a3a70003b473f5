"""Draws and models: integers only, the promised shapes."""

import math
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.exchange.models import (
    LATENCY_PERMILLE,
    LOG_BITS,
    MS_NS,
    Latency,
    below,
    between,
    cancelled_ahead_e6,
    happens,
    log2_fixed,
)
from tests.exchange.support import E6


def test_latency_table_is_the_log_normal_of_the_source() -> None:
    sigma = math.log(250 / 30) / NormalDist().inv_cdf(0.99)
    points = [0.001, *(i / 100 for i in range(1, 100)), 0.999]
    assert list(LATENCY_PERMILLE) == [round(1000 * math.exp(sigma * NormalDist().inv_cdf(p))) for p in points]


def test_drawn_latency_has_the_median_and_the_tail() -> None:
    rng = Random(5)
    draws = sorted(Latency(30 * MS_NS, drawn=True).draw(rng) for _ in range(20_000))
    assert 29 * MS_NS < draws[10_000] < 31 * MS_NS
    assert 200 * MS_NS < draws[19_800] < 300 * MS_NS
    assert Latency(30 * MS_NS).draw(rng) == 30 * MS_NS


@given(st.integers(0, 2**32), st.integers(1, 10**12))
def test_draws_stay_in_their_range(seed: int, bound: int) -> None:
    assert 0 <= below(Random(seed), bound) < bound
    assert 3 <= between(Random(seed), 3, 3 + bound) <= 3 + bound


def test_chances_zero_and_one_are_certain() -> None:
    rng = Random(1)
    assert not any(happens(rng, 0) for _ in range(1_000))
    assert all(happens(rng, E6) for _ in range(1_000))


@given(st.integers(1, 10**18))
def test_fixed_logarithm_is_close_to_the_real_one(value: int) -> None:
    assert abs(log2_fixed(value) / 2**LOG_BITS - math.log2(value)) < 2 / 2**LOG_BITS


def test_no_logarithm_of_nothing() -> None:
    with pytest.raises(ValueError, match="logarithm"):
        log2_fixed(0)


@given(st.integers(0, 10**10), st.integers(0, 10**10), st.data())
def test_split_of_a_decrease_fits_both_parts(ahead: int, behind: int, data: st.DataObject) -> None:
    decrease = data.draw(st.integers(0, ahead + behind))
    gone = cancelled_ahead_e6(ahead, behind, decrease)
    assert 0 <= gone <= min(ahead, decrease)
    assert decrease - gone <= behind or gone == ahead


def test_split_follows_the_logarithms() -> None:
    # f(99)/(f(99) + f(999)) = 2/(2+3)
    assert cancelled_ahead_e6(99 * E6, 999 * E6, 50 * E6) == pytest.approx(20 * E6, rel=1e-3)
    assert cancelled_ahead_e6(100 * E6, 0, 50 * E6) == 50 * E6
    assert cancelled_ahead_e6(0, 100 * E6, 50 * E6) == 0
