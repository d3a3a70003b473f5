"""Resting orders among the world's: queues, prints, prices moving through, and the order of the models."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import Side, TradePrinted
from overround.exchange.models import QueueModel
from overround.exchange.queues import QueuePosition
from tests.exchange.support import CENT, E6, NOW_NS, S_NS, Bench, make_config, make_print

BUY, SELL = Side.BUY, Side.SELL
F0, F1, F2 = QueueModel.PESSIMISTIC, QueueModel.PROBABILISTIC, QueueModel.OPTIMISTIC
LATER_NS = NOW_NS + S_NS


def make_bench(model: QueueModel, ahead: int = 30) -> Bench:
    """Return a market with bids of ``ahead`` shares at 48, an ask at 52, and our bid of 10 at 48."""
    bench = Bench(make_config(model))
    bench.show(BUY, 48, ahead)
    bench.show(SELL, 52, 100)
    bench.place(BUY, 48, 10)
    return bench


@pytest.mark.parametrize(("model", "filled"), [(F0, 0), (F1, 0), (F2, 10)])
def test_a_print_serves_what_is_ahead_first(model: QueueModel, filled: int) -> None:
    bench = make_bench(model)
    assert sum(leg.qty_e6 for leg in bench.observe(make_print(SELL, 48, 25))) == filled * E6
    if model is not F2:
        assert [leg.qty_e6 for leg in bench.observe(make_print(SELL, 48, 9, ts_ms=2))] == [4 * E6]


def test_a_fill_is_at_our_price_and_free() -> None:
    bench = make_bench(F1, ahead=0)
    (leg,) = bench.observe(make_print(SELL, 48, 6))
    assert (leg.px_e6, leg.qty_e6, leg.usd_e6, leg.fee_usd_e6) == (48 * CENT, 6 * E6, 48 * 6 * CENT, 0)
    assert bench.exchange.account("a").reserved_usd_e6 == 4 * 48 * CENT + 39_940


@pytest.mark.parametrize("model", list(QueueModel))
def test_a_print_through_our_price_fills_whatever_is_ahead(model: QueueModel) -> None:
    bench = make_bench(model)
    assert [leg.qty_e6 for leg in bench.observe(make_print(SELL, 47, 7))] == [7 * E6]


@pytest.mark.parametrize("model", list(QueueModel))
@pytest.mark.parametrize(
    "printed", [make_print(BUY, 48, 50), make_print(SELL, 49, 50), make_print(SELL, 51, 50, "m-no")]
)
def test_prints_on_the_other_side_or_short_of_our_price_do_nothing(
    model: QueueModel, printed: TradePrinted
) -> None:
    assert make_bench(model).observe(printed) == []


def test_a_buyer_of_no_reaches_our_bid_for_yes() -> None:
    bench = make_bench(F0)
    assert [leg.qty_e6 for leg in bench.observe(make_print(BUY, 52, 33, "m-no"))] == [3 * E6]
    assert [leg.qty_e6 for leg in bench.observe(make_print(BUY, 53, 2, "m-no"))] == [2 * E6]


def test_a_trade_told_for_both_tokens_counts_once() -> None:
    bench = make_bench(F0)
    legs = bench.observe(make_print(SELL, 47, 4), make_print(BUY, 53, 4, "m-no"))
    assert [leg.qty_e6 for leg in legs] == [4 * E6]
    assert [leg.qty_e6 for leg in bench.observe(make_print(SELL, 47, 4))] == [4 * E6]


def test_orders_at_one_price_are_served_in_turn_and_share_the_world_ahead() -> None:
    bench = make_bench(F0)
    bench.place(BUY, 48, 10, account="b", name="later")
    bench.place(BUY, 49, 5, account="b", name="better")
    legs = bench.observe(make_print(SELL, 48, 50))
    assert [(leg.client_order_id, leg.qty_e6 // E6) for leg in legs] == [
        ("better", 5),
        ("o1", 10),
        ("later", 5),
    ]


@pytest.mark.parametrize(("model", "filled"), [(F0, 0), (F1, 0), (F2, 10)])
def test_a_touch_fills_only_in_the_optimistic_model(model: QueueModel, filled: int) -> None:
    bench = make_bench(model)
    bench.show(BUY, 48, 0)
    bench.show(SELL, 48, 20)
    assert sum(leg.qty_e6 for leg in bench.observe()) == filled * E6


@pytest.mark.parametrize("model", list(QueueModel))
def test_a_price_that_moves_through_fills_as_much_as_is_shown_once(model: QueueModel) -> None:
    bench = make_bench(model)
    bench.show(BUY, 48, 0)
    bench.show(SELL, 47, 6)
    assert [leg.qty_e6 for leg in bench.observe()] == [6 * E6]
    assert bench.observe() == []
    assert [leg.qty_e6 for leg in bench.observe(now_ns=NOW_NS + 5 * S_NS)] == [4 * E6]


def test_a_torn_book_fills_nothing() -> None:
    bench = make_bench(F2)
    bench.show(SELL, 47, 6)  # while the world still bids 48
    assert bench.observe() == []


def test_an_order_that_rested_on_an_unknown_book_joins_when_it_is_known() -> None:
    bench = Bench(make_config(F1))
    bench.world.set_live("0xm", live=False)
    order = bench.place(BUY, 48, 10).order
    bench.show(BUY, 48, 20)
    assert bench.observe(make_print(SELL, 48, 500)) == []
    bench.world.set_live("0xm", live=True)
    bench.observe()
    assert order.queue.ahead_e6 == 20 * E6


# --- the queue position alone ------------------------------------------------------------------------

W_NS = 250


def make_queue(model: QueueModel = F1, size: int = 100) -> QueuePosition:
    queue = QueuePosition(model, W_NS)
    queue.resized(size * E6, 0)
    return queue


@pytest.mark.parametrize("trade_first", [True, False])
def test_a_decrease_that_a_trade_explains_is_no_cancel(*, trade_first: bool) -> None:
    queue = make_queue()
    if trade_first:
        queue.printed(30 * E6, 10)
    queue.resized(70 * E6, 20)
    if not trade_first:
        queue.printed(30 * E6, 30)
    queue.elapsed(10_000)
    assert queue.ahead_e6 == 100 * E6  # the trade itself is served by the caller


def test_what_no_trade_explains_in_time_was_cancelled() -> None:
    queue = make_queue()
    queue.resized(150 * E6, 1)  # 50 behind us
    queue.resized(90 * E6, 2)
    queue.printed(20 * E6, 3)
    queue.elapsed(2 + W_NS)
    assert queue.ahead_e6 == 100 * E6
    queue.elapsed(3 + W_NS)
    assert queue.ahead_e6 is not None
    assert 70 * E6 < queue.ahead_e6 < 80 * E6  # 40 cancelled, a little more than half of them ahead


def test_a_trade_long_ago_explains_nothing() -> None:
    queue = make_queue(size=100)
    queue.printed(30 * E6, 0)
    queue.resized(70 * E6, W_NS + 1)
    queue.elapsed(2 * W_NS + 2)
    assert queue.ahead_e6 == 70 * E6


def test_only_trades_help_in_the_pessimistic_model() -> None:
    queue = make_queue(F0)
    queue.resized(0, 1)
    queue.elapsed(10_000)
    assert queue.ahead_e6 == 100 * E6
    with pytest.raises(ValueError, match="ahead"):
        queue.served(101 * E6)


# --- the order of the models -------------------------------------------------------------------------


class Move(NamedTuple):
    """One step of a tape: a level's new size or a print, some time after the last."""

    kind: str
    cents: int
    shares: int
    gap_ms: int


moves = st.lists(
    st.builds(
        Move,
        st.sampled_from(["bid", "ask", "sell", "buy"]),
        st.integers(45, 55),
        st.integers(0, 40),
        st.integers(0, 400),
    ),
    max_size=40,
)


def replay(model: QueueModel, orders: list[tuple[Side, int, int]], tape: list[Move]) -> tuple[int, list[int]]:
    """Return the volume filled in all, and what each step filled beyond what it printed or showed."""
    bench = Bench(make_config(model))
    bids, asks = {48: 30, 47: 50}, {53: 40, 54: 20}
    for side, rows in ((BUY, bids), (SELL, asks)):
        for cents, shares in rows.items():
            bench.show(side, cents, shares)
    for number, (side, cents, shares) in enumerate(orders):
        # Either side is a purchase, so that no order of ours meets another.
        if side is BUY:
            bench.place(BUY, cents, shares, name=str(number))
        else:
            bench.place(BUY, 100 - cents, shares, token="m-no", name=str(number))
    now_ns, total, excess = NOW_NS, 0, []
    for number, (kind, cents, shares, gap_ms) in enumerate(tape):
        now_ns += gap_ms * 1_000_000
        if kind == "bid" and not any(cents >= ask for ask in asks):  # the world does not cross itself
            bids[cents] = shares
            bench.show(BUY, cents, shares)
        elif kind == "ask" and not any(cents <= bid for bid in bids):
            asks[cents] = shares
            bench.show(SELL, cents, shares)
        elif kind in {"sell", "buy"} and shares:
            printed = make_print(SELL if kind == "sell" else BUY, cents, shares, ts_ms=number)
            trades = bench.exchange.observe((), (printed,), now_ns)
            filled = sum(leg.qty_e6 for trade in trades for leg in trade.legs)
            excess.append(filled - shares * E6)
            total += filled
        bids = {px: size for px, size in bids.items() if size}
        asks = {px: size for px, size in asks.items() if size}
        total += sum(leg.qty_e6 for leg in bench.observe(now_ns=now_ns))
    return total, excess


our_orders = st.lists(
    st.one_of(
        st.tuples(st.just(BUY), st.integers(46, 50), st.integers(5, 30)),
        st.tuples(st.just(SELL), st.integers(51, 55), st.integers(5, 30)),
    ),
    min_size=1,
    max_size=3,
)


@given(our_orders, moves)
def test_pessimistic_fills_no_more_than_probabilistic_no_more_than_optimistic(
    orders: list[tuple[Side, int, int]], tape: list[Move]
) -> None:
    results = [replay(model, orders, tape) for model in (F0, F1, F2)]
    totals = [total for total, _ in results]
    assert totals == sorted(totals)
    assert totals[2] <= sum(shares for _, _, shares in orders) * E6
    assert all(excess <= 0 for _, steps in results for excess in steps)
