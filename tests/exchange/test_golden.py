"""The design's worked examples, to the last millionth."""

from fractions import Fraction

import pytest

from overround.core.commands import TimeInForce
from overround.core.events import RefusalReason, Side
from overround.core.market import FeeSchedule
from overround.core.units import E6, parse_e6
from tests.exchange.support import CENT, Bench, make_market, taker_leg

GT0 = [
    ("5", "0.47", 70_000, "0.08718"),
    ("20", "0.50", 70_000, "0.35"),
    ("20", "0.38", 70_000, "0.32984"),
    ("100", "0.5", 40_000, "1"),
    ("100", "0.025", 40_000, "0.0975"),
    ("100", "0.976", 40_000, "0.09369"),
    ("5", "0.01", 50_000, "0.00247"),
]


@pytest.mark.parametrize(("qty", "px", "rate_e6", "fee"), GT0)
def test_gt0_a_sale_is_charged_the_exact_fee(qty: str, px: str, rate_e6: int, fee: str) -> None:
    market = make_market(tick_e6=1_000, fee=FeeSchedule(rate_e6=rate_e6))
    bench = Bench(market=market)
    bench.world.set_level("0xm", Side.BUY, parse_e6(px), 1_000 * E6)
    leg = taker_leg(bench.place(Side.SELL, 1, int(qty), tif=TimeInForce.FAK))
    assert leg.fee_usd_e6 == parse_e6(fee)
    assert leg.usd_e6 == Fraction(qty) * Fraction(px) * E6


def test_gt8_a_budget_order_gets_more_shares_at_a_better_price() -> None:
    bench = Bench()
    bench.show(Side.SELL, 50, 200)
    before = bench.exchange.account("a").available_usd_e6()
    placed = bench.place(Side.BUY, 52, 100, tif=TimeInForce.FAK)
    leg = taker_leg(placed)
    assert leg.qty_e6 == 104 * E6
    assert leg.usd_e6 == 52 * E6
    assert leg.fee_usd_e6 == parse_e6("1.04")
    assert leg.px_e6 == 50 * CENT
    assert placed.killed_qty_e6 == 0
    assert before - bench.exchange.account("a").available_usd_e6() == parse_e6("53.04")


def test_gt8_budget_is_spent_over_levels_and_never_exceeded() -> None:
    bench = Bench()
    bench.show(Side.SELL, 50, 60)
    bench.show(Side.SELL, 51, 200)
    leg = taker_leg(bench.place(Side.BUY, 52, 100, tif=TimeInForce.FAK))
    assert leg.qty_e6 == 60 * E6 + 22 * E6 * 100 // 51
    assert leg.usd_e6 == 52 * E6


def test_gt2_depth_walk_charges_the_fee_of_the_average_price() -> None:
    market = make_market(tick_e6=1_000)
    bench = Bench(market=market)
    bench.show(Side.SELL, 30, 150)
    bench.show(Side.SELL, 32, 500)
    leg = taker_leg(bench.place(Side.BUY, 32, 200, tif=TimeInForce.GTC))
    assert (leg.usd_e6, leg.fee_usd_e6) == (61 * E6, parse_e6("1.6958"))


def test_gt2_a_budget_of_the_walked_cost_buys_exactly_the_planned_shares() -> None:
    market = make_market(tick_e6=1_000)
    bench = Bench(market=market)
    bench.show(Side.SELL, 30, 150)
    bench.show(Side.SELL, 32, 500)
    leg = taker_leg(bench.place(Side.BUY, 32, 200, tif=TimeInForce.FOK, budget_usd_e6=61 * E6))
    assert (leg.qty_e6, leg.usd_e6, leg.fee_usd_e6) == (200 * E6, 61 * E6, parse_e6("1.6958"))


@pytest.mark.parametrize(("cents", "shares", "refused"), [(33, 101, False), (33, 1, True), (4, 25, False)])
def test_gt7_a_purchase_below_one_dollar_is_refused(cents: int, shares: int, *, refused: bool) -> None:
    bench = Bench()
    bench.show(Side.SELL, cents, 500)
    if refused:
        assert bench.refuse(Side.BUY, cents, shares, tif=TimeInForce.FOK) is RefusalReason.TOO_SMALL
    else:
        bench.place(Side.BUY, cents, shares, tif=TimeInForce.FOK)
