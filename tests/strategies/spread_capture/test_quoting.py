"""From fair value to quotes: SC-3, SC-4, SC-5, SC-7, and no quote that breaks a rule, ever."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import Side
from overround.core.strategy import Quote
from overround.core.units import E6
from overround.strategies.spread_capture.fair_value import Ratio
from overround.strategies.spread_capture.params import SpreadParams
from overround.strategies.spread_capture.quoting import (
    Holding,
    Touch,
    placed_prices,
    quotes,
    raw_prices,
    side_sizes_e6,
)
from tests.strategies.worlds import make_market

FLAT = Holding(0, 0, 0, 0)


def params(**changes: Any) -> SpreadParams:
    values: dict[str, Any] = {"size_qty_e6": 100 * E6, "max_position_qty_e6": 1_000 * E6, "edge_px_e6": 9_700}
    return SpreadParams(**{**values, **changes})


@pytest.mark.parametrize(
    ("tick", "bid", "ask", "pair"),
    [("0.001", 389_000, 409_000, 980_000), ("0.01", 380_000, 410_000, 970_000)],
)
def test_sc3_rounding_is_never_inside_the_raw_quotes(tick: str, bid: int, ask: int, pair: int) -> None:
    # Raw .38959 / .40899: centre .39929, half .0097.
    market = make_market(0, tick=tick)
    raw = raw_prices(Ratio(399_290, 1), 0, 9_700, market.tick_e6, params())
    assert raw == (bid, ask)
    # A market wide enough that no touch interferes.
    wide = Touch(300_000, 500_000, 300_000, 500_000)
    wanted = quotes(market, Ratio(399_290, 1), wide, FLAT, params())
    assert wanted[0] == Quote("y0", Side.BUY, bid, 100 * E6)
    assert wanted[1] == Quote("n0", Side.BUY, E6 - ask, 100 * E6)
    assert wanted[0].px_e6 + wanted[1].px_e6 == pair


def test_sc4_a_bid_stays_a_tick_below_the_best_ask() -> None:
    touch = Touch(350_000, 400_000, 350_000, 400_000)
    assert placed_prices((400_000, 430_000), touch, 0, 10_000, params()) == (390_000, 430_000)
    assert placed_prices((405_000, 430_000), touch, 0, 1_000, params())[0] == 399_000


def test_sc4_without_asks_the_bid_is_two_ticks_below_fair() -> None:
    touch = Touch(300_000, E6, 300_000, None)
    (bid, ask) = quotes(make_market(0), Ratio(400_000, 1), touch, FLAT, params(edge_px_e6=0))
    assert (bid.px_e6, E6 - ask.px_e6) == (380_000, 420_000)


def test_joining_is_enough_while_the_spread_is_narrow() -> None:
    fair, narrow = Ratio(410_000, 1), Touch(400_000, 420_000, 400_000, 420_000)
    (bid, ask) = quotes(make_market(0), fair, narrow, FLAT, params(edge_px_e6=0))
    assert (bid.px_e6, E6 - ask.px_e6) == (400_000, 420_000)
    wide = Touch(380_000, 440_000, 380_000, 440_000)
    (bid, ask) = quotes(make_market(0), fair, wide, FLAT, params(edge_px_e6=0))
    assert (bid.px_e6, E6 - ask.px_e6) == (400_000, 420_000)


@pytest.mark.parametrize("sign", [1, -1])
def test_sc7_caps(sign: int) -> None:
    size = 100 * E6
    for held, adding in ((0, size), (300, size // 2), (599, 160_000), (600, 0), (700, 0), (1_000, 0)):
        sizes = side_sizes_e6(sign * held * E6, params())
        assert sizes[::sign] == (adding, size)


def test_sc7_at_the_cap_the_reducing_side_stands_one_tick_better() -> None:
    touch = Touch(390_000, 450_000, 390_000, 450_000)
    terms = params(inventory_skew_px_e6=0)
    below = quotes(make_market(0), Ratio(420_000, 1), touch, Holding(999 * E6, 0, 999 * E6, 0), terms)
    at_cap = quotes(make_market(0), Ratio(420_000, 1), touch, Holding(1_000 * E6, 0, 1_000 * E6, 0), terms)
    assert below == (Quote("y0", Side.SELL, 430_000, 100 * E6),)
    assert at_cap == (Quote("y0", Side.SELL, 420_000, 100 * E6),)
    short = quotes(make_market(0), Ratio(420_000, 1), touch, Holding(0, 1_000 * E6, 0, 1_000 * E6), terms)
    assert short == (Quote("n0", Side.SELL, E6 - 420_000, 100 * E6),)


def test_shares_in_hand_are_sold_before_the_complement_is_bought() -> None:
    touch = Touch(390_000, 450_000, 390_000, 450_000)
    few = quotes(make_market(0), Ratio(420_000, 1), touch, Holding(99 * E6, 0, 99 * E6, 0), params())
    assert few[1].side is Side.BUY
    assert few[1].token_id == "n0"
    enough = quotes(make_market(0), Ratio(420_000, 1), touch, Holding(100 * E6, 0, 100 * E6, 0), params())
    assert enough[1].side is Side.SELL
    assert enough[1].token_id == "y0"


def test_price_guards_and_minimum_size_take_one_side_away() -> None:
    touch = Touch(20_000, 60_000, 20_000, 60_000)
    (only,) = quotes(make_market(0), Ratio(35_000, 1), touch, FLAT, params())
    assert (only.token_id, only.px_e6) == ("n0", E6 - 50_000)
    small = quotes(
        make_market(0), Ratio(420_000, 1), Touch(0, E6, None, None), FLAT, params(size_qty_e6=4 * E6)
    )
    assert small == ()


@given(st.integers(-1_500, 1_500), st.integers(-1_500, 1_500))
def test_more_inventory_never_raises_a_quote(one: int, other: int) -> None:
    low, high = sorted((one, other))
    first = raw_prices(Ratio(1_234_567, 3), low * E6, 9_700, 1_000, params())
    second = raw_prices(Ratio(1_234_567, 3), high * E6, 9_700, 1_000, params())
    assert first[0] >= second[0]
    assert first[1] >= second[1]


@given(st.integers(1, 999_999), st.integers(-1_200, 1_200), st.integers(1, 50_000))
def test_yes_and_no_are_symmetric(fair: int, net: int, half: int) -> None:
    bid, ask = raw_prices(Ratio(fair, 1), net * E6, half, 1_000, params())
    mirrored = raw_prices(Ratio(E6 - fair, 1), -net * E6, half, 1_000, params())
    assert mirrored == (E6 - ask, E6 - bid)


@st.composite
def touches(draw: st.DrawFn, tick: int) -> Touch:
    steps = E6 // tick
    bid = draw(st.integers(0, steps - 2)) * tick
    ask = draw(st.integers(bid // tick + 1, steps)) * tick
    join_bid = draw(st.sampled_from([bid, max(bid - tick, tick)])) if bid else None
    join_ask = draw(st.sampled_from([ask, min(ask + tick, E6 - tick)])) if ask < E6 else None
    return Touch(bid, ask, join_bid, join_ask)


@given(st.data())
def test_no_quote_ever_breaks_a_rule(data: st.DataObject) -> None:
    tick = data.draw(st.sampled_from([100, 1_000, 2_500, 5_000, 10_000, 100_000]))
    market = make_market(0, tick=format(tick / E6, "f"))
    touch = data.draw(touches(tick))
    terms = params(
        size_qty_e6=data.draw(st.integers(100, 20_000)) * 10_000,
        max_position_qty_e6=data.draw(st.integers(200, 2_000)) * E6,
        edge_px_e6=data.draw(st.integers(0, 60_000)),
        inventory_skew_px_e6=data.draw(st.integers(0, 100_000)),
        rebalance_ratio_e6=data.draw(st.integers(0, E6)),
        min_px_e6=data.draw(st.sampled_from([100, 30_000])),
        max_px_e6=data.draw(st.sampled_from([970_000, E6 - 100])),
    )
    fair = Ratio(data.draw(st.integers(1, 7 * E6 - 1)), 7)
    yes_e6, no_e6 = data.draw(st.integers(0, 3_000)) * E6, data.draw(st.integers(0, 3_000)) * E6
    settled = data.draw(st.integers(0, yes_e6)), data.draw(st.integers(0, no_e6))
    holding = Holding(yes_e6, no_e6, *settled)
    wanted = quotes(market, fair, touch, holding, terms)
    yes_px = {}
    for quote in wanted:
        is_bid = (quote.token_id == market.yes.token_id) is (quote.side is Side.BUY)
        px = quote.px_e6 if quote.token_id == market.yes.token_id else E6 - quote.px_e6
        yes_px["bid" if is_bid else "ask"] = px
        # Grid, guards, minimum size, never more than we hold.
        assert market.on_grid(quote.px_e6)
        assert terms.min_px_e6 <= px <= terms.max_px_e6
        assert quote.qty_e6 >= market.min_size_e6
        assert quote.qty_e6 % 10_000 == 0
        if quote.side is Side.SELL:
            assert quote.qty_e6 <= settled[quote.token_id != market.yes.token_id]
        # At least a tick from the opposite touch.
        if is_bid:
            assert px <= touch.best_ask_px_e6 - tick
        else:
            assert px >= touch.best_bid_px_e6 + tick
        # Caps: the adding side never takes the position past its limit.
        adds = is_bid is (holding.net_e6 >= 0) and holding.net_e6 != 0
        if adds:
            assert abs(holding.net_e6) + quote.qty_e6 <= terms.max_position_qty_e6
            assert abs(holding.net_e6) * E6 < terms.max_position_qty_e6 * terms.rebalance_ratio_e6
        # Edge: never nearer to the skewed centre than the edge, but for the cap's one tick.
        leaning = max(-E6, min(E6, holding.net_e6 * E6 // terms.max_position_qty_e6))
        centre = Fraction(fair.num, fair.den) - Fraction(terms.inventory_skew_px_e6 * leaning, E6)
        improved = tick if abs(holding.net_e6) >= terms.max_position_qty_e6 else 0
        distance = centre - px if is_bid else px - centre
        assert distance >= terms.edge_px_e6 - improved - 1
    # SC-5: our own quotes can never match each other.
    if len(yes_px) == 2:
        assert yes_px["bid"] < yes_px["ask"]
