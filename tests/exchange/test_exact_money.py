"""The last millionth: exact reservations, queues that simulated takers serve, and what resolves late."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.commands import TimeInForce
from overround.core.events import RefusalReason, Settlement, Side, TradePrinted
from overround.core.units import notional_up_e6, parse_e6
from overround.exchange import exchange as module
from overround.exchange.exchange import Exchange, Placed
from overround.exchange.models import QueueModel
from overround.exchange.world import StaticWorld
from tests.exchange.support import (
    CENT,
    E6,
    NOW_NS,
    Bench,
    make_config,
    make_market,
    make_print,
    make_request,
    taker_leg,
)

BUY, SELL = Side.BUY, Side.SELL


def exact_bench(usd_e6: int, *, fees_on: bool = True) -> Bench:
    """Return a bench whose account ``c`` has exactly this much cash and nothing else."""
    bench = Bench(make_config(fees_on=fees_on))
    bench.exchange.open_account("c", usd_e6)
    return bench


@given(
    pieces=st.lists(st.integers(1, 3 * E6), min_size=1, max_size=30),
    cents=st.integers(1, 99),
    fees_on=st.booleans(),
)
def test_an_order_filled_in_odd_pieces_pays_its_exact_notional(
    pieces: list[int], cents: int, *, fees_on: bool
) -> None:
    """All cash is reserved, so one millionth too much anywhere would raise."""
    bench = exact_bench(10 * E6, fees_on=fees_on)
    account = bench.exchange.account("c")
    shares = 7
    placed = bench.place(BUY, cents, shares, account="c")
    spare = account.available_usd_e6()
    account.reserve(spare, "m-yes", 0)
    filled = paid = 0
    for number, qty_e6 in enumerate(pieces):
        printed = TradePrinted("m-yes", cents * CENT, qty_e6, SELL, number)
        for leg in bench.observe(printed):
            filled += leg.qty_e6
            paid += leg.usd_e6
        assert paid == notional_up_e6(cents * CENT, filled)
        rest_e6 = placed.order.remaining_qty_e6
        assert placed.order.reserved_usd_e6 >= notional_up_e6(cents * CENT, shares * E6) - paid
        assert placed.order.reserved_usd_e6 == account.reserved_usd_e6 - spare
        assert account.available_usd_e6() >= 0
        if not rest_e6:
            assert placed.order.reserved_usd_e6 == 0
            break
    assert filled == min(sum(pieces), shares * E6)


@given(st.integers(1, 7 * E6 - 1), st.integers(2, 99))
def test_exactly_enough_cash_is_enough_when_part_is_taken(offered_e6: int, cents: int) -> None:
    market = make_market()
    world = StaticWorld([market])
    world.set_level("0xm", SELL, cents * CENT, offered_e6)
    request = make_request(BUY, cents, 100, account="c")
    needed = Exchange(world, make_config(), Random(1))
    needed.open_account("c", 1_000 * E6)
    placed = needed.place(request, NOW_NS)
    assert isinstance(placed, Placed)
    most_e6 = placed.order.needed_on_arrival()[0]
    exchange = Exchange(world, make_config(), Random(1))
    exchange.open_account("c", most_e6)
    assert isinstance(exchange.place(request, NOW_NS), Placed)
    assert exchange.account("c").available_usd_e6() >= 0


def test_a_budget_order_must_afford_the_fee_of_its_improvement() -> None:
    # At the limit 52 + 0.9984 would do; at 0.50 it buys 104 shares and the fee is 1.04.
    request = (BUY, 52, 100)
    for cash, refused in (("53.04", False), ("53.039999", True)):
        bench = exact_bench(parse_e6(cash))
        bench.show(SELL, 50, 200)
        if refused:
            assert bench.refuse(*request, tif=TimeInForce.FAK, account="c") is RefusalReason.NO_BALANCE
        else:
            bench.place(*request, tif=TimeInForce.FAK, account="c")
            assert bench.exchange.account("c").available_usd_e6() == 0


def test_makers_behind_the_same_world_liquidity_wait_for_it_once() -> None:
    bench = Bench()
    bench.show(SELL, 50, 30)
    bench.place(SELL, 50, 10, account="b", name="first")
    bench.place(SELL, 50, 10, account="b", name="second")
    placed = bench.place(BUY, 50, 45)
    assert placed.trade is not None
    assert taker_leg(placed).qty_e6 == 45 * E6
    makers = [(leg.client_order_id, leg.qty_e6) for leg in placed.trade.legs[1:]]
    assert makers == [("first", 10 * E6), ("second", 5 * E6)]


def test_a_simulated_taker_serves_the_queue_ahead_of_a_simulated_maker() -> None:
    bench = Bench(make_config(QueueModel.PESSIMISTIC))
    bench.show(SELL, 50, 30)
    maker = bench.place(SELL, 50, 10, account="b", name="maker").order
    bench.place(BUY, 50, 20)
    assert maker.queue.ahead_e6 == 10 * E6
    assert [leg.qty_e6 for leg in bench.observe(make_print(BUY, 50, 12))] == [2 * E6]


def test_shares_that_are_mined_after_the_resolution_are_paid() -> None:
    bench = Bench()
    bench.show(SELL, 50, 10)
    trade = bench.place(BUY, 50, 10).trade
    assert trade is not None
    bench.exchange.resolve(bench.market, "m-yes")
    account = bench.exchange.account("a")
    before = account.cash_usd_e6
    bench.exchange.settle(trade.trade_id, Settlement.MINED)
    assert account.cash_usd_e6 == before - 5_100_000 + 10 * E6
    assert account.positions() == {}


def test_the_memory_of_closed_orders_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSED_IDS_KEPT", 2)
    bench = Bench()
    for name in ("1", "2", "3"):
        bench.place(BUY, 40, 10, name=name)
        bench.exchange.cancel("a", name)
    assert bench.refuse(BUY, 40, 10, name="2") is RefusalReason.DUPLICATE
    assert bench.place(BUY, 40, 10, name="1").resting  # forgotten by now
