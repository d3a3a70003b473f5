"""Execution: wishes become commands once, baskets live their lives, a folded journal is the same state."""

from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core import events as ev
from overround.core.baskets import MAX_ATTEMPTS, RETRY_NS, BasketState
from overround.core.commands import (
    MAX_BATCH_ORDERS,
    CancelOrders,
    Command,
    MoveBasket,
    Notify,
    OrderIntent,
    PlanBasket,
    SubmitOrders,
    TimeInForce,
)
from overround.core.events import Settlement, Side
from overround.core.market import Market
from overround.core.orders import OrderState
from overround.core.risk import RiskLimits
from overround.core.strategy import Basket, ChurnLimits, Decision, Leg, Quote
from overround.core.units import E6
from tests.core.engines import Driver, Scripted, cancels, submitted
from tests.core.worlds import GENERATION, GT5_BOOKS, SECOND, STREAM, gt5_basket, market

EVENT = {"e": ("a", "b", "c")}
GENEROUS = RiskLimits(max_order_usd_e6=1_000 * E6, max_market_usd_e6=1_000 * E6)


def quote(px_e6: int, side: Side = Side.BUY, token_id: str = "m-yes", qty_e6: int = 10 * E6) -> Quote:
    return Quote(token_id, side, px_e6, qty_e6)


# --- quotes --------------------------------------------------------------------------------------


def quoting(*quotes: Quote, churn: ChurnLimits | None = None) -> tuple[Driver, Scripted, list[OrderIntent]]:
    """Return a driver whose quotes are placed and accepted."""
    strategy = Scripted()
    strategy.script["m"] = Decision(quotes, churn=churn or ChurnLimits())
    driver = Driver(strategy)
    orders = submitted(driver.start())
    driver.accept(*orders)
    return driver, strategy, orders


def test_quotes_become_post_only_orders() -> None:
    driver, _, orders = quoting(quote(450_000), quote(380_000, token_id="m-no"))
    assert [(o.token_id, o.side, o.px_e6, o.qty_e6) for o in orders] == [
        ("m-yes", Side.BUY, 450_000, 10 * E6),
        ("m-no", Side.BUY, 380_000, 10 * E6),
    ]
    assert all(o.post_only and o.time_in_force is TimeInForce.GTC and o.scope == "m" for o in orders)
    assert len(driver.commands) == 1, "one submission"
    assert len({o.client_order_id for o in orders}) == 2


def test_the_same_wishes_twice_are_no_commands() -> None:
    driver, strategy, _ = quoting(quote(450_000))
    strategy.asked.clear()
    driver.book(market(), {410_000: E6}, {600_000: E6})
    assert driver.decide() == []
    assert strategy.asked, "it was asked and wished the same"


def test_an_unanswered_order_is_not_sent_again() -> None:
    strategy = Scripted()
    strategy.script["m"] = Decision((quote(450_000),))
    driver = Driver(strategy)
    (order,) = submitted(driver.start())
    assert driver.after(SECOND) == []
    driver.fact(ev.SubmitUnknown(order.client_order_id, "timeout"))
    assert driver.decide() == []
    strategy.script["m"] = Decision()
    driver.book(market(), {410_000: E6}, {600_000: E6})
    assert driver.decide() == [], "UNKNOWN cannot be moved"
    assert driver.engine.exposure.reserved_usd_e6() == 4_599_000


def test_replace_cancels_first_and_places_when_gone() -> None:
    driver, strategy, (order,) = quoting(quote(450_000))
    strategy.script["m"] = Decision((quote(470_000),))
    driver.book(market(), {410_000: E6}, {600_000: E6})
    assert driver.decide() == [CancelOrders((order.client_order_id,), "wish changed")]
    assert driver.after(SECOND) == []
    driver.canceled(order.client_order_id)
    (new,) = submitted(driver.decide())
    assert new.px_e6 == 470_000


def test_cancels_come_before_submissions() -> None:
    driver, strategy, _ = quoting(quote(450_000))
    strategy.script["m"] = Decision((quote(380_000, token_id="m-no"),))
    driver.book(market(), {410_000: E6}, {600_000: E6})
    assert [type(command) for command in driver.decide()] == [CancelOrders, SubmitOrders]


def test_a_partial_fill_does_not_place_beyond_the_wish() -> None:
    driver, strategy, (order,) = quoting(quote(450_000))
    driver.fill(order, 4 * E6)
    assert driver.decide() == []
    driver.fill(order, 2 * E6)
    assert cancels(driver.decide()) == [order.client_order_id], "less than half is left"
    assert driver.after(SECOND) == []
    driver.canceled(order.client_order_id)
    (new,) = submitted(driver.decide())
    assert new.qty_e6 == 10 * E6
    assert strategy.view is not None
    assert strategy.view.position_e6("m-yes") == 6 * E6


def test_a_closed_gate_withdraws_and_an_open_one_places_again() -> None:
    driver, _, (order,) = quoting(quote(450_000))
    driver.fact(ev.OperatorActed("me", "pause"))
    assert cancels(driver.decide()) == [order.client_order_id]
    driver.canceled(order.client_order_id)
    assert driver.decide() == []
    driver.fact(ev.OperatorActed("me", "resume"))
    assert [o.px_e6 for o in submitted(driver.decide())] == [450_000]


def test_an_order_in_flight_is_withdrawn_once_it_is_answered() -> None:
    strategy = Scripted()
    strategy.script["m"] = Decision((quote(450_000),))
    driver = Driver(strategy)
    (order,) = submitted(driver.start())
    driver.fact(ev.OperatorActed("me", "pause"))
    assert driver.decide() == []
    driver.accept(order)
    assert cancels(driver.decide()) == [order.client_order_id]


def test_a_refused_quote_is_counted_and_tried_again_when_it_may_pass() -> None:
    strategy = Scripted()
    strategy.script["m"] = Decision((quote(600_000), quote(450_000, token_id="x-yes")))
    driver = Driver(strategy)
    assert driver.start() == []
    assert driver.engine.execution.refusals == {("s", "post_only_crosses"): 1, ("s", "unknown_market"): 1}
    driver.book(market(), {400_000: E6}, {650_000: E6})
    assert [o.px_e6 for o in submitted(driver.decide())] == [600_000]


def test_a_refused_quote_is_tried_again_although_the_strategy_says_no_change() -> None:
    strategy = Scripted()
    strategy.script["m"] = Decision((quote(600_000),))
    driver = Driver(strategy)
    assert driver.start() == []
    strategy.script.clear()
    driver.book(market(), {400_000: E6}, {590_000: E6})
    assert driver.decide() == []
    driver.book(market(), {400_000: E6}, {650_000: E6})
    assert [o.px_e6 for o in submitted(driver.decide())] == [600_000]
    driver.book(market(), {400_000: E6}, {660_000: E6})
    assert driver.decide() == []
    assert driver.engine.execution.settled(("s", "m"))


def test_a_refused_basket_is_tried_again_although_the_strategy_says_no_change() -> None:
    strategy = Scripted("dutch", by_event=EVENT)
    strategy.script["e"] = Decision(baskets=(gt5_basket(),))
    driver = Driver(strategy, limits=GENEROUS)
    assert driver.start(*legs(), cash_e6=150 * E6) == []
    strategy.script.clear()
    driver.fact(ev.Deposited(100 * E6, "test"))
    driver.book(legs()[0], *GT5_BOOKS["a"])
    assert len(submitted(driver.decide())) == 3


def test_submissions_hold_at_most_the_venues_batch() -> None:
    names = [f"m{number:02}" for number in range(20)]
    strategy = Scripted()
    for name in names:
        strategy.script[name] = Decision(
            (quote(450_000, token_id=f"{name}-yes"), quote(500_000, token_id=f"{name}-no"))
        )
    driver = Driver(strategy)
    commands = driver.start(*(market(name) for name in names))
    batches = [len(command.orders) for command in commands if isinstance(command, SubmitOrders)]
    assert sum(batches) == 40
    assert max(batches) <= MAX_BATCH_ORDERS
    plans = [{order.plan_id for order in c.orders} for c in commands if isinstance(c, SubmitOrders)]
    assert not any(one & two for one, two in pairwise(plans)), "no plan was torn apart"


def test_a_held_change_is_made_when_its_time_has_come() -> None:
    driver, strategy, (order,) = quoting(quote(450_000), churn=ChurnLimits(min_lifetime_ns=3 * SECOND))
    strategy.script["m"] = Decision((quote(470_000),), churn=ChurnLimits(min_lifetime_ns=3 * SECOND))
    driver.book(market(), {410_000: E6}, {600_000: E6})
    assert driver.decide() == []
    strategy.script.clear()  # from here on it says: no change
    strategy.asked.clear()
    assert driver.after(SECOND) == []
    assert strategy.asked == [], "nobody polls"
    assert cancels(driver.after(2 * SECOND)) == [order.client_order_id]
    assert len(strategy.asked) == 1


def test_two_scopes_of_one_strategy_do_not_touch_each_others_quotes() -> None:
    strategy = Scripted(by_event={"one": ("m",), "two": ("m",)})
    strategy.script = {"one": Decision((quote(450_000),)), "two": Decision((quote(440_000),))}
    driver = Driver(strategy)
    orders = submitted(driver.start())
    assert [(o.scope, o.px_e6) for o in orders] == [("one", 450_000), ("two", 440_000)]
    driver.accept(*orders)
    assert driver.after(SECOND) == []


def test_orders_of_a_scope_that_is_gone_are_withdrawn() -> None:
    driver, _, (order,) = quoting(quote(450_000))
    driver.fact(ev.MarketListed(market(active=False)))
    assert cancels(driver.decide()) == [order.client_order_id]


# --- baskets -------------------------------------------------------------------------------------


def begin(
    basket: Basket | None = None, limits: RiskLimits = GENEROUS
) -> tuple[Driver, Scripted, list[OrderIntent]]:
    """Return a driver that has just sent a basket."""
    strategy = Scripted("dutch", by_event=EVENT)
    strategy.script["e"] = Decision(baskets=(basket or gt5_basket(),))
    driver = Driver(strategy, limits=limits)
    orders = submitted(driver.start(*legs()))
    for of in legs():
        driver.book(of, *GT5_BOOKS[of.condition_id])
    driver.decide()
    return driver, strategy, orders


def legs() -> list[Market]:
    return [market(name, tick_e6=1_000) for name in EVENT["e"]]


def state_of(driver: Driver, key: str = "gt5") -> BasketState:
    return driver.engine.execution.baskets[key].state


def test_a_basket_is_written_down_and_sent_whole() -> None:
    driver, _, orders = begin()
    plan, batch = driver.commands
    assert isinstance(plan, PlanBasket)
    assert isinstance(batch, SubmitOrders)
    assert plan.basket == gt5_basket()
    assert {o.plan_id for o in orders} == {plan.plan_id}
    assert {o.time_in_force for o in orders} == {TimeInForce.FOK}
    assert not any(o.post_only for o in orders)
    assert [o.client_order_id for o in orders] == [f"{plan.plan_id}-{leg}" for leg in range(3)]


def test_a_key_is_run_once_and_an_event_has_one_basket_at_a_time() -> None:
    driver, strategy, orders = begin()
    strategy.script["e"] = Decision(baskets=(gt5_basket(), gt5_basket("other")))
    assert driver.after(SECOND) == []
    for order in orders:
        driver.kill(order)
    driver.decide()
    assert state_of(driver) is BasketState.ABANDONED
    driver.book(legs()[0], *GT5_BOOKS["a"])
    assert [c.basket.key for c in driver.decide() if isinstance(c, PlanBasket)] == ["other"]
    assert driver.after(SECOND) == []


def test_all_filled_is_complete() -> None:
    driver, _, orders = begin()
    for order in orders:
        driver.fill(order)
    assert driver.decide() == [MoveBasket("gt5", BasketState.COMPLETE, 0)]
    assert driver.after(60 * SECOND) == []


def test_improvement_is_kept() -> None:
    driver, _, orders = begin()
    driver.fill(orders[0], 208 * E6)
    driver.fill(orders[1])
    driver.fill(orders[2])
    assert driver.decide() == [MoveBasket("gt5", BasketState.COMPLETE, 0)]


def partial() -> tuple[Driver, Scripted]:
    """Return a driver whose basket has legs A and B filled and C killed (strategy-spec GT-5)."""
    driver, strategy, orders = begin()
    driver.fill(orders[0])
    driver.fill(orders[1])
    driver.kill(orders[2])
    return driver, strategy


def test_partial_completes_when_that_is_cheaper() -> None:
    driver, _ = partial()
    commands = driver.decide()
    (repair,) = submitted(commands)
    assert commands[0] == MoveBasket("gt5", BasketState.COMPLETING, 1)
    assert (repair.token_id, repair.side, repair.px_e6, repair.qty_e6) == (
        "c-yes",
        Side.BUY,
        158_000,
        200 * E6,
    )
    assert repair.time_in_force is TimeInForce.FAK
    assert driver.after(SECOND) == [], "its answer is awaited"
    driver.fill(repair)
    assert driver.decide() == [MoveBasket("gt5", BasketState.COMPLETE, 1)]


def test_partial_unwinds_when_that_is_cheaper() -> None:
    driver, _ = partial()
    driver.book(legs()[2], {140_000: E6}, {900_000: 500 * E6})
    commands = driver.decide()
    repairs = submitted(commands)
    assert commands[0] == MoveBasket("gt5", BasketState.UNWINDING, 1)
    assert [(o.token_id, o.side, o.px_e6, o.qty_e6) for o in repairs] == [
        ("a-yes", Side.SELL, 490_000, 200 * E6),
        ("b-yes", Side.SELL, 290_000, 200 * E6),
    ]
    for order in repairs:
        driver.fill(order)
    assert driver.decide() == [MoveBasket("gt5", BasketState.UNWOUND, 1)]
    assert driver.engine.portfolio.positions() == {}


def test_a_completion_that_risk_refuses_becomes_an_unwinding() -> None:
    limits = msgspec.structs.replace(GENEROUS, max_total_usd_e6=200 * E6)
    driver, _, orders = begin(limits=limits)
    driver.fill(orders[0])
    driver.fill(orders[1])
    driver.kill(orders[2])
    driver.book(legs()[0], {600_000: 500 * E6}, {610_000: 500 * E6})
    driver.book(legs()[1], {300_000: 500 * E6}, {610_000: 500 * E6})
    driver.engine.exposure.limits = msgspec.structs.replace(limits, max_total_usd_e6=180 * E6)
    driver.book(legs()[0], {500_000: 500 * E6}, {610_000: 500 * E6})
    commands = driver.decide()
    assert commands[0] == MoveBasket("gt5", BasketState.UNWINDING, 1)
    assert {o.side for o in submitted(commands)} == {Side.SELL}
    assert driver.engine.execution.refusals["dutch", "total_notional"] == 1


def test_an_unknown_leg_freezes_the_basket() -> None:
    driver, _, orders = begin()
    driver.fill(orders[0])
    driver.fill(orders[1])
    driver.fact(ev.SubmitUnknown(orders[2].client_order_id, "timeout"))
    for _ in range(10):
        assert driver.after(10 * SECOND) == []
    assert state_of(driver) is BasketState.SENT
    driver.fill(orders[2])
    assert driver.decide() == [MoveBasket("gt5", BasketState.COMPLETE, 0)]


def test_attempts_are_paced_and_end_stranded() -> None:
    driver, _ = partial()
    driver.book(legs()[2], {140_000: E6}, {900_000: 500 * E6})
    for attempt in range(1, MAX_ATTEMPTS + 1):
        commands = driver.decide()
        assert commands[0] == MoveBasket("gt5", BasketState.UNWINDING, attempt)
        for order in submitted(commands):
            driver.kill(order)
        assert driver.decide() == [], "not before the pause is over"
        assert driver.after(RETRY_NS - 1) == []
        driver.now += 1
        driver.engine.on_fact(ev.TimerFired("tick"), driver.now)
    stranded, notice = driver.decide()
    assert stranded == MoveBasket("gt5", BasketState.STRANDED, MAX_ATTEMPTS)
    assert isinstance(notice, Notify)
    assert (notice.severity, notice.code) == ("error", "basket_stranded")
    assert f"{200 * E6} of a-yes" in notice.text
    assert driver.after(60 * SECOND) == []


def test_once_unwinding_never_completing_again() -> None:
    driver, _ = partial()
    driver.book(legs()[2], {140_000: E6}, {900_000: 500 * E6})
    for order in submitted(driver.decide()):
        driver.kill(order)
    driver.book(legs()[2], *GT5_BOOKS["c"])
    assert driver.after(RETRY_NS)[0] == MoveBasket("gt5", BasketState.UNWINDING, 2)


def test_a_pause_costs_no_attempt() -> None:
    driver, _ = partial()
    driver.fact(ev.OperatorActed("me", "pause"))
    for _ in range(10):
        assert driver.after(10 * SECOND) == []
    driver.fact(ev.OperatorActed("me", "resume"))
    assert driver.decide()[0] == MoveBasket("gt5", BasketState.COMPLETING, 1)


def test_a_book_being_renewed_costs_no_attempt_but_a_closed_market_does() -> None:
    driver, _ = partial()
    driver.fact(ev.StreamDown(STREAM, GENERATION, "test"))
    for _ in range(10):
        assert driver.after(10 * SECOND) == []
    driver.fact(ev.MarketResolved("c", "c-no"))
    commands = driver.after(SECOND)
    assert commands == [MoveBasket("gt5", BasketState.UNWINDING, 1)]


def test_a_failed_settlement_is_put_right_while_the_basket_is_open() -> None:
    driver, _, orders = begin()
    trade = driver.fill(orders[0], confirmed=False)
    driver.fill(orders[1])
    driver.fact(ev.SettlementChanged(trade, Settlement.FAILED))
    driver.kill(orders[2])
    driver.book(legs()[2], {140_000: E6}, {900_000: 500 * E6})
    commands = driver.decide()
    assert [c.code for c in commands if isinstance(c, Notify)] == ["settlement_failed"]
    assert [(o.token_id, o.side) for o in submitted(commands)] == [("b-yes", Side.SELL)], "A is not ours"


def test_a_basket_is_not_complete_while_a_leg_failed_to_settle() -> None:
    driver, _, orders = begin()
    trades = [driver.fill(order, confirmed=False) for order in orders]
    driver.fact(ev.SettlementChanged(trades[2], Settlement.FAILED))
    (move,) = [command for command in driver.decide() if isinstance(command, MoveBasket)]
    assert move == MoveBasket("gt5", BasketState.COMPLETING, 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda leg: msgspec.structs.replace(leg, side=Side.SELL),
        lambda leg: msgspec.structs.replace(leg, qty_e6=100 * E6),
        lambda leg: msgspec.structs.replace(leg, token_id="b-yes"),
    ],
)
def test_a_basket_that_legging_cannot_put_right_is_not_started(spoil: Callable[[Leg], Leg]) -> None:
    basket = gt5_basket()
    driver, _, orders = begin(msgspec.structs.replace(basket, legs=(spoil(basket.legs[0]), *basket.legs[1:])))
    assert orders == []
    assert driver.engine.execution.refusals["dutch", "basket_shape"] > 0


def test_a_basket_is_refused_whole() -> None:
    driver, _, orders = begin(limits=RiskLimits(max_order_usd_e6=99 * E6))  # only leg A is larger
    assert orders == []
    assert driver.engine.orders.open_count() == 0
    assert driver.engine.exposure.reserved_usd_e6() == 0
    assert driver.engine.execution.refusals["dutch", "order_notional"] > 0


def test_each_leg_counts_for_the_next() -> None:
    # Every leg alone is affordable, all three together are not.
    strategy = Scripted("dutch", by_event=EVENT)
    strategy.script["e"] = Decision(baskets=(gt5_basket(),))
    driver = Driver(strategy, limits=GENEROUS)
    assert driver.start(*legs(), cash_e6=150 * E6) == []
    assert driver.engine.execution.refusals == {("dutch", "not_enough_cash"): 1}


# --- the fold ------------------------------------------------------------------------------------


VENUE = ("accept", "refuse", "lose", "cancel", "no_cancel", "fill", "part", "settle", "fail")
OTHERS = ("answer", "answer", "wish", "basket", "basket", "book", "time", "pause", "resume", "cancel_all")
ACTIONS = st.lists(st.tuples(st.sampled_from(VENUE + OTHERS), st.integers(0, 63)), min_size=10, max_size=40)


def act(driver: Driver, strategy: Scripted, action: str, number: int) -> None:  # noqa: C901, PLR0912 - a table
    """Do one thing to the engine that a venue, a person or a strategy may do."""
    orders = sorted(driver.engine.orders, key=lambda order: order.client_order_id)
    order = orders[number % len(orders)] if orders else None
    trades = sorted(driver.engine.portfolio.unsettled_trades())
    match action:
        case "wish":
            px = 400_000 + number % 15 * 10_000
            quotes = tuple(quote(px - layer * 20_000, token_id="a-yes") for layer in range(number % 3))
            strategy.script["e"] = Decision(quotes, churn=ChurnLimits(min_lifetime_ns=number % 2 * SECOND))
        case "answer":  # every order in flight, by the bits of the number
            for bit, each in enumerate(order for order in orders if order.state is OrderState.SENT):
                (driver.fill if number >> bit & 1 else driver.kill)(each.intent)
            driver.now += RETRY_NS
            driver.engine.on_fact(ev.TimerFired("tick"), driver.now)
        case "basket":
            strategy.script["e"] = Decision(baskets=(gt5_basket(f"k{number}"),))
        case "book":
            name = "abc"[number % 3]
            dear = ({140_000: 500 * E6}, {900_000: 500 * E6})  # then unwinding is the better way
            driver.book(market(name, tick_e6=1_000), *(dear if number % 2 else GT5_BOOKS[name]))
        case "time":
            driver.now += number * SECOND // 10
            driver.engine.on_fact(ev.TimerFired("tick"), driver.now)
        case "pause" | "resume" | "cancel_all":
            driver.fact(ev.OperatorActed("me", action))
        case "settle" | "fail":
            if trades and number % 2:
                status = Settlement.CONFIRMED if action == "settle" else Settlement.FAILED
                driver.fact(ev.SettlementChanged(trades[number % len(trades)], status))
        case _ if order is None or not order.open:
            pass
        case "accept" if order.state is not OrderState.DELAYED:
            driver.accept(order.intent)
        case "refuse" if order.state in {OrderState.SENT, OrderState.UNKNOWN}:
            driver.kill(order.intent)
        case "lose":
            driver.fact(ev.SubmitUnknown(order.client_order_id, "timeout"))
        case "cancel":
            driver.canceled(order.client_order_id)
        case "no_cancel" if order.state is OrderState.CANCELING:
            driver.fact(ev.CancelRefused(order.client_order_id))
        case "fill" if order.remaining_qty_e6:
            driver.fill(order.intent, order.remaining_qty_e6)
        case "part":
            driver.fill(order.intent, (1 + number) * E6)
        case _:
            pass


@given(ACTIONS)
def test_folding_the_journal_leads_to_the_same_state(actions: list[tuple[str, int]]) -> None:
    strategy = Scripted("dutch", by_event=EVENT)
    driver = Driver(strategy, limits=GENEROUS)
    driver.start(*legs())
    for of in legs():
        driver.book(of, *GT5_BOOKS[of.condition_id])
    sent: list[str] = []
    for action, number in actions:
        act(driver, strategy, action, number)
        commands: list[Command] = driver.decide()
        sent += [order.client_order_id for order in submitted(commands)]
        assert driver.folded().account_digest() == driver.engine.account_digest()
        assert driver.engine.decide(driver.seq, driver.now) == [], "deciding again changes nothing"
    assert len(sent) == len(set(sent)), "no order is sent twice"
    assert driver.engine.exposure.free_cash_e6() >= 0 or any(a == "fail" for a, _ in actions)


def test_a_new_process_withdraws_what_an_older_one_quoted() -> None:
    driver, _, (order,) = quoting(quote(450_000))
    engine = driver.folded()
    engine.on_fact(ev.RunStarted("r2", "v", "test"), driver.now)
    assert cancels(engine.decide(driver.seq + 1, driver.now)) == [order.client_order_id]


def test_a_new_process_goes_on_with_a_basket() -> None:
    driver, _ = partial()
    engine = driver.folded()
    for fact in (ev.RunStarted("r2", "v", "test"), ev.StreamUp(STREAM, 2, tuple(engine.books.by_token))):
        engine.on_fact(fact, driver.now)
    engine.on_fact(ev.Reconciled(0), driver.now)
    for of in legs():
        bids, asks = GT5_BOOKS[of.condition_id]
        engine.books.apply_snapshot(
            f"{of.condition_id}-yes", dict(bids), dict(asks), 99, driver.now, STREAM, 2
        )
    commands = engine.decide(driver.seq + 1, driver.now)
    assert commands[0] == MoveBasket("gt5", BasketState.COMPLETING, 1)


# --- quotes and baskets of one account ------------------------------------------------------------


def in_the_way() -> tuple[Driver, OrderIntent]:
    """Return a driver whose own ask on A stands where the basket wants to buy."""
    quoter, dutch = Scripted("quoter"), Scripted("dutch", by_event=EVENT)
    quoter.script["a"] = Decision((quote(500_000, token_id="a-no"),))
    driver = Driver(quoter, dutch, limits=GENEROUS)
    driver.start(*legs())
    for of in legs():
        driver.book(of, *GT5_BOOKS[of.condition_id])
    (resting,) = submitted(driver.decide()) or submitted(driver.commands)
    driver.accept(resting)
    dutch.script["e"] = Decision(baskets=(gt5_basket(),))
    driver.book(legs()[1], *GT5_BOOKS["b"])
    return driver, resting


def test_a_quote_makes_way_for_a_basket_and_comes_back() -> None:
    driver, resting = in_the_way()
    assert driver.decide() == [CancelOrders((resting.client_order_id,), "makes way for a basket")]
    assert driver.engine.execution.refusals["dutch", "self_cross"] == 1
    driver.canceled(resting.client_order_id)
    commands = driver.after(1_000_000)
    assert [type(command) for command in commands] == [PlanBasket, SubmitOrders]
    assert {order.strategy for order in submitted(commands)} == {"dutch"}
    for order in submitted(commands):
        driver.fill(order)
    driver.decide()
    (back,) = submitted(driver.after(SECOND))
    assert (back.strategy, back.token_id, back.px_e6) == ("quoter", "a-no", 500_000)


def test_a_quote_that_makes_way_is_canceled_once() -> None:
    driver, resting = in_the_way()
    assert cancels(driver.decide()) == [resting.client_order_id]
    driver.book(legs()[1], *GT5_BOOKS["b"])
    assert driver.decide() == []


def test_unwinding_waits_for_shares_that_are_not_confirmed() -> None:
    driver, _, orders = begin()
    trades = [driver.fill(order, confirmed=False) for order in orders[:2]]
    driver.kill(orders[2])
    driver.book(legs()[2], {140_000: E6}, {900_000: 500 * E6})
    assert submitted(driver.decide()) == [], "the venue would refuse to sell them"
    for _ in range(10 * MAX_ATTEMPTS):
        assert driver.after(RETRY_NS) == []
    for trade in trades:
        driver.fact(ev.SettlementChanged(trade, Settlement.CONFIRMED))
    repairs = submitted(driver.after(RETRY_NS))
    assert [(order.token_id, order.side) for order in repairs] == [("a-yes", Side.SELL), ("b-yes", Side.SELL)]


def test_a_budget_order_is_done_when_its_budget_is_spent() -> None:
    basket = gt5_basket()
    legs_with_budgets = tuple(
        msgspec.structs.replace(leg, budget_usd_e6=leg.limit_px_e6 * leg.qty_e6 // E6 - 40_000)
        for leg in basket.legs
    )
    driver, _, orders = begin(msgspec.structs.replace(basket, legs=legs_with_budgets))
    assert [order.budget_usd_e6 for order in orders] == [leg.budget_usd_e6 for leg in legs_with_budgets]
    reserved = driver.engine.exposure.reserved_usd_e6()
    assert reserved < sum(order.px_e6 * order.qty_e6 // E6 for order in orders) + 5 * E6
    for number, order in enumerate(orders):
        assert order.budget_usd_e6 is not None
        # A worse price than planned: fewer shares than wanted, and yet the order is done.
        shares = order.budget_usd_e6 * E6 // order.px_e6
        spent = order.px_e6 * shares // E6
        name = f"w{number}"
        driver.fact(ev.Filled(name, order.client_order_id, order.px_e6, shares, spent, 0, ev.Liquidity.TAKER))
    assert not driver.engine.orders.open_orders()
    assert driver.decide() == [MoveBasket("gt5", BasketState.COMPLETE, 0)]
