"""The engine: one handler per fact, the gate, routes, wake-ups, resyncs, and the same commands everywhere."""

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from overround.core import events as ev
from overround.core.book import BookState
from overround.core.books import Books
from overround.core.commands import Command, Notify, RequestSnapshot
from overround.core.engine import KEEP_CLOSED_NS, Engine
from overround.core.events import Settlement, Side
from overround.core.market import EventKind, MarketEvent
from overround.core.orders import IllegalTransition, OrderState
from overround.core.risk import RiskLimits
from overround.core.strategy import Decision, Finding, Quote, View
from overround.core.units import E6
from overround.core.witnesses import PATIENCE_NS
from tests.core import fixed_history
from tests.core.engines import Driver, Scripted, ScriptedDecoder, cancels, submitted
from tests.core.worlds import GENERATION, SECOND, STREAM, market

BID = Quote("m-yes", Side.BUY, 450_000, 10 * E6)
ROOT = Path(__file__).resolve().parents[2]


def started(*quotes: Quote) -> tuple[Driver, Scripted]:
    strategy = Scripted()
    strategy.script["m"] = Decision(quotes)
    driver = Driver(strategy)
    driver.start()
    return driver, strategy


def touch(driver: Driver) -> None:
    """Change the book a little."""
    driver.book(market(), {410_000: driver.now % 1_000_000 + E6}, {600_000: E6})


# --- facts ---------------------------------------------------------------------------------------


def test_every_fact_has_a_handler_and_no_handler_is_spare() -> None:
    assert set(Engine([], ScriptedDecoder, RiskLimits())._handlers) == set(get_args(ev.Fact))


def test_strategies_hear_every_fact() -> None:
    driver, strategy = started()
    strategy.observed.clear()
    fact = ev.TradePrinted("m-yes", 500_000, E6, Side.BUY, 1)
    driver.fact(fact)
    assert strategy.observed == [fact]


def test_facts_in_a_frame_are_handled() -> None:
    driver, strategy = started()
    resolved = ev.MarketResolved("m", "m-yes")
    driver.decoders[0].facts[b"frame"] = [resolved]
    assert driver.engine.ingest(b"frame", driver.now, STREAM, GENERATION) == [resolved]
    assert driver.engine.ingest(b"other", driver.now, STREAM, GENERATION) is None
    assert driver.engine.universe.markets["m"].winner == "m-yes"
    assert strategy.observed[-1] == resolved


@pytest.mark.parametrize(
    "fact",
    [
        ev.OrderAccepted("x", "v"),
        ev.OrderRefused("x", ev.RefusalReason.OTHER),
        ev.SubmitUnknown("x", "timeout"),
        ev.OrderCanceled("x", 0),
        ev.CancelRefused("x"),
        ev.Filled("t", "x", 1, 1, 1, 0, ev.Liquidity.MAKER),
    ],
)
def test_a_fact_about_an_unknown_order_is_a_bug(fact: ev.Fact) -> None:
    driver, _ = started()
    before = driver.engine.digest()
    with pytest.raises(KeyError, match="order x is not one of ours"):
        driver.engine.on_fact(fact, driver.now)
    assert driver.engine.digest() == before


def test_an_illegal_fact_changes_nothing() -> None:
    strategy = Scripted()
    strategy.script["m"] = Decision((BID,))
    driver = Driver(strategy)
    (order,) = submitted(driver.start())
    before = driver.engine.digest()
    with pytest.raises(IllegalTransition):
        driver.engine.on_fact(ev.CancelRefused(order.client_order_id), driver.now)
    assert driver.engine.digest() == before


def test_order_facts_move_the_order() -> None:
    strategy = Scripted()
    strategy.script["m"] = Decision((BID,))
    driver = Driver(strategy)
    (intent,) = submitted(driver.start())
    order = driver.engine.orders.known(intent.client_order_id)
    driver.fact(ev.OrderAccepted(intent.client_order_id, "v1", "delayed"))
    assert (order.state, order.venue_order_id) == (OrderState.DELAYED, "v1")
    driver.fact(ev.OrderAccepted(intent.client_order_id, "v1"))
    assert order.state is OrderState.LIVE
    trade = ev.Filled("t", intent.client_order_id, 450_000, 10 * E6, 4_500_000, 0, ev.Liquidity.MAKER)
    driver.fact(trade, trade)
    assert order.filled_qty_e6 == 10 * E6, "the same trade counts once"
    assert driver.engine.portfolio.cash_e6() == 1_000 * E6 - 4_500_000
    driver.fact(ev.SettlementChanged("t", Settlement.MINED), ev.SettlementChanged("x", Settlement.FAILED))
    assert not [command for command in driver.decide() if isinstance(command, Notify)]
    driver.fact(ev.SettlementChanged("t", Settlement.FAILED))
    notice = driver.decide()[0]
    assert isinstance(notice, Notify)
    assert (notice.code, order.failed_qty_e6) == ("settlement_failed", 10 * E6)
    assert driver.engine.portfolio.cash_e6() == 1_000 * E6


@pytest.mark.parametrize("names", [("s", "s"), ("pool",), ("market",)])
def test_strategy_names_are_accounts_of_their_own(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="is taken: choose another"):
        Engine([Scripted(name) for name in names], ScriptedDecoder, RiskLimits())


# --- the gate ------------------------------------------------------------------------------------


def test_nothing_leaves_before_reconciliation_though_strategies_are_asked() -> None:
    strategy = Scripted()
    strategy.script["m"] = Decision((BID,))
    driver = Driver(strategy)
    driver.fact(ev.RunStarted("r", "v", "test"), ev.Deposited(E6 * 100, "test"), ev.MarketListed(market()))
    driver.fact(ev.StreamUp(STREAM, GENERATION, market().token_ids()))
    touch(driver)
    assert driver.decide() == []
    assert strategy.asked
    assert not driver.engine.gate_open
    driver.fact(ev.Reconciled(0))
    assert [order.px_e6 for order in submitted(driver.decide())] == [450_000]
    assert driver.engine.gate_open


def test_pause_outlives_a_restart() -> None:
    driver, _ = started()
    driver.fact(ev.OperatorActed("me", "pause"), ev.RunStarted("r2", "v", "test"), ev.Reconciled(0))
    assert driver.engine.paused
    assert not driver.engine.gate_open
    driver.fact(ev.OperatorActed("me", "resume"))
    assert driver.engine.gate_open


def test_cancel_all_takes_orders_in_flight_and_unknown_ones_too() -> None:
    strategy = Scripted()
    quotes = [Quote("m-yes", Side.BUY, px, 10 * E6) for px in (450_000, 440_000, 430_000, 420_000)]
    strategy.script["m"] = Decision(tuple(quotes))
    driver = Driver(strategy)
    sent, live, unknown, going = submitted(driver.start())
    driver.accept(live)
    driver.fact(ev.SubmitUnknown(unknown.client_order_id, "timeout"))
    driver.accept(going)
    strategy.script["m"] = Decision(tuple(quotes[:3]))
    touch(driver)
    assert cancels(driver.decide()) == [going.client_order_id]
    driver.fact(ev.OperatorActed("me", "cancel_all", "drill"))
    commands = driver.decide()
    assert sorted(cancels(commands)) == sorted(o.client_order_id for o in (sent, live, unknown))
    assert commands[0].reason == "drill"  # type: ignore[union-attr] # cancels() proved its type
    assert driver.after(SECOND) == []


def test_the_end_of_a_run_cancels_and_closes() -> None:
    driver, _ = started(BID)
    driver.fact(ev.RunEnded("done"))
    assert len(cancels(driver.decide())) == 1
    assert not driver.engine.gate_open
    assert driver.after(SECOND) == []


def event(rule_hash: str) -> MarketEvent:
    return MarketEvent(
        event_id="e",
        slug="e",
        title="",
        kind=EventKind.NEG_RISK,
        condition_ids=("m",),
        as_of_ms=1,
        rule_hash=rule_hash,
    )


def test_changed_rules_stop_trading_until_acknowledged() -> None:
    driver, strategy = started()
    driver.fact(ev.EventListed(event("r1")), ev.EventListed(event("r2")))
    strategy.script["m"] = Decision((BID,))
    assert driver.decide() == []
    assert driver.engine.execution.refusals == {("s", "rules_changed"): 1}
    driver.fact(ev.RulesAcknowledged("e", "r2", "me"))
    assert len(submitted(driver.decide())) == 1


# --- what is asked, and when ---------------------------------------------------------------------


def test_only_scopes_whose_books_moved_are_asked() -> None:
    strategy = Scripted()
    driver = Driver(strategy)
    driver.start(market("a"), market("b"))
    strategy.asked.clear()
    driver.book(market("b"), {410_000: E6}, {600_000: E6})
    driver.decide()
    assert [scope for scope, _, _ in strategy.asked] == ["b"]
    driver.decide()
    assert len(strategy.asked) == 1


def test_a_scope_that_is_gone_is_not_asked_any_more() -> None:
    driver, strategy = started(BID)
    driver.fact(ev.MarketListed(market(active=False)))
    strategy.asked.clear()
    driver.decide()
    driver.after(SECOND)
    assert strategy.asked == []


def test_the_view_is_the_strategys_own() -> None:
    driver, strategy = started(BID)
    view = strategy.view
    assert view is not None
    assert (view.seq, view.ts_ns) == (strategy.asked[-1][1], driver.now)
    assert [order.px_e6 for order in view.own_orders("m-yes")] == [450_000]
    assert view.free_cash_e6() == 1_000 * E6 - 4_599_000
    assert view.position_e6("m-yes") == 0
    assert view.market("m") == market()
    assert [view.market("x"), view.event("x"), view.book("x")] == [None, None, None]
    driver.fact(ev.EventListed(event("r1")))
    assert view.event("e") == event("r1")
    assert view.rules_accepted("e")
    book = view.book("m-yes")
    assert book is not None
    assert (book.live, book.best_bid_px_e6) == (True, 400_000)


class Waker:
    """Asks to be asked again at given times."""

    def __init__(self, *times: int | None) -> None:
        self.times = list(times)

    def __call__(self, view: View) -> Decision | None:
        return Decision(recheck_ts_ns=self.times.pop(0)) if self.times else None


def test_a_strategy_is_asked_again_when_it_wanted() -> None:
    driver, strategy = started()
    soon = driver.now + 10 * SECOND
    strategy.script["m"] = Waker(soon)
    touch(driver)
    driver.decide()
    strategy.asked.clear()
    driver.after(soon - driver.now - 1)
    assert strategy.asked == []
    driver.after(1)
    assert len(strategy.asked) == 1
    driver.after(100 * SECOND)
    assert len(strategy.asked) == 1, "once"


def test_a_later_wake_up_replaces_an_earlier_one_and_none_takes_it_back() -> None:
    driver, strategy = started()
    base = driver.now
    strategy.script["m"] = Waker(base + 5 * SECOND, base + 20 * SECOND)
    for _ in range(2):
        touch(driver)
        driver.decide()
    strategy.asked.clear()
    driver.after(10 * SECOND)
    assert strategy.asked == [], "the earlier time no longer counts"
    driver.after(15 * SECOND)
    assert len(strategy.asked) == 1
    strategy.script["m"] = Waker(driver.now + 5 * SECOND, None)
    for _ in range(2):
        touch(driver)
        driver.decide()
    strategy.asked.clear()
    driver.after(10 * SECOND)
    assert strategy.asked == []


def test_no_change_keeps_the_wake_up() -> None:
    driver, strategy = started()
    soon = driver.now + 10 * SECOND
    strategy.script["m"] = Waker(soon)  # then it says: no change
    for _ in range(3):
        touch(driver)
        driver.decide()
    strategy.asked.clear()
    driver.after(10 * SECOND)
    assert len(strategy.asked) == 1


def test_findings_are_counted_by_scope_and_reason() -> None:
    strategy = Scripted()
    strategy.script["m"] = Decision(findings=(Finding("sub_fee", 5),))
    driver = Driver(strategy)
    driver.start()
    strategy.script["m"] = Decision(findings=(Finding("sub_fee", 7), Finding("no_gap")))
    touch(driver)
    driver.decide()
    found = driver.engine.findings["s", "m", "sub_fee"]
    assert (found.count, found.latest.edge_usd_e6, found.ts_ns) == (2, 7, driver.now)
    assert driver.engine.findings["s", "m", "no_gap"].count == 1
    assert driver.engine.strategy_names() == ("s",)


# --- markets and books ---------------------------------------------------------------------------


def test_a_resolved_market_is_closed() -> None:
    driver, strategy = started()
    driver.fact(ev.MarketResolved("m", "m-no"), ev.MarketResolved("unknown", "x"))
    strategy.script["m"] = Decision((BID,))
    assert driver.decide() == []
    assert driver.engine.execution.refusals == {("s", "market_not_tradable"): 1}


def test_a_new_tick_size_reaches_the_market_and_asks_for_snapshots() -> None:
    driver, _ = started()
    driver.engine.books.tick_changed("m-yes", 1_000, driver.now, driver.now)
    driver.fact(ev.TickSizeChanged("m-yes", 1_000, 5), ev.TickSizeChanged("unknown", 1_000, 5))
    assert driver.engine.universe.markets["m"].tick_e6 == 1_000
    assert driver.decide() == [RequestSnapshot(("m-yes",), "tick_size")]


def test_older_metadata_do_not_bring_back_an_older_tick_size() -> None:
    driver, _ = started()
    driver.engine.books.tick_changed("m-yes", 1_000, 50, driver.now)
    driver.fact(ev.MarketListed(market(as_of_ms=40)))
    assert driver.engine.universe.markets["m"].tick_e6 == 1_000
    driver.fact(ev.MarketListed(market(as_of_ms=60)))
    assert driver.engine.universe.markets["m"].tick_e6 == 10_000
    assert driver.decide() == [RequestSnapshot(("m-yes", "m-no"), "tick_size")]


def snapshots(commands: list[Command]) -> list[tuple[str, ...]]:
    return [command.token_ids for command in commands if isinstance(command, RequestSnapshot)]


def test_a_suspect_book_is_asked_for_ever_more_slowly_until_it_is_live() -> None:
    driver, _ = started()
    book = driver.engine.books.by_token["m-yes"]
    book.state = BookState.SUSPECT
    driver.fact(ev.BookSuspect("m-yes", "top", ""), ev.BookSuspect("m-yes", "mirror", ""))
    assert driver.decide() == [RequestSnapshot(("m-yes",), "top")]
    asked = [second for second in range(1, 400) if snapshots(driver.after(SECOND))]
    assert asked == [1, 3, 7, 15, 31, 63, 127, 191, 255, 319, 383]
    book.state = BookState.LIVE
    assert not any(snapshots(driver.after(100 * SECOND)) for _ in range(3))


def test_a_doubt_that_stands_too_long_becomes_a_verdict_without_another_frame() -> None:
    driver, strategy = started(BID)
    books = driver.engine.books
    books.contradict(books.by_token["m-yes"], "top", 9, driver.now, "test")
    assert driver.after(PATIENCE_NS - 1) == []
    commands = driver.after(1)
    assert snapshots(commands) == [("m-yes",)]
    assert books.by_token["m-yes"].state is BookState.SUSPECT
    assert strategy.observed[-2:] == [
        ev.BookSuspect("m-yes", "top", "test"),
        ev.TimerFired("tick"),
    ]


def test_books_of_an_older_process_are_not_live() -> None:
    driver, _ = started(BID)
    assert driver.engine.books.by_token["m-yes"].live
    driver.fact(ev.RunStarted("r2", "v", "test"))
    assert {book.state for book in driver.engine.books} == {BookState.STALE}
    driver.fact(ev.StreamUp(STREAM, GENERATION + 1, market().token_ids()))
    assert {book.state for book in driver.engine.books} == {BookState.SYNCING}


def test_a_new_run_knows_no_wish_of_the_one_before() -> None:
    driver, strategy = started(BID)
    driver.fact(ev.RunStarted("r2", "v", "test"))
    driver.fact(ev.StreamUp(STREAM, GENERATION, market().token_ids()))
    driver.canceled(*(order.client_order_id for order in driver.engine.orders.open_orders()))
    driver.fact(ev.Reconciled(0))
    touch(driver)
    strategy.script.clear()
    assert driver.decide() == []
    strategy.script["m"] = Decision((BID,))
    touch(driver)
    assert len(submitted(driver.decide())) == 1


def test_a_late_end_of_an_older_connection_is_ignored() -> None:
    driver, _ = started()
    driver.fact(ev.StreamUp(STREAM, 2, market().token_ids()), ev.StreamDown(STREAM, 1, "late"))
    assert {book.state for book in driver.engine.books} == {BookState.SYNCING}
    driver.fact(ev.RunStarted("r2", "v", "test"))
    assert {book.state for book in driver.engine.books} == {BookState.STALE}


def test_subscriptions_reach_the_books() -> None:
    driver, _ = started()
    driver.fact(
        ev.MarketListed(market("n")), ev.SubscriptionChanged(STREAM, GENERATION, ("n-yes",), ("m-yes",))
    )
    states = {book.token_id: book.state for book in driver.engine.books}
    assert states == {
        "m-yes": BookState.EMPTY,
        "m-no": BookState.LIVE,
        "n-yes": BookState.SYNCING,
        "n-no": BookState.EMPTY,
    }


# --- the same everywhere -------------------------------------------------------------------------


def test_the_same_inputs_give_the_same_commands_in_any_process() -> None:
    here = " ".join(fixed_history.run())
    for seed in ("0", "1", "4242"):
        path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path}
        found = subprocess.run(
            [sys.executable, "-m", "tests.core.fixed_history"],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.strip() == here


def test_digests_do_not_depend_on_the_order_of_independent_facts() -> None:
    digests = set()
    for names in (("a", "b"), ("b", "a")):
        driver = Driver(Scripted())
        driver.fact(*(ev.MarketListed(market(name)) for name in names))
        digests.add(driver.engine.digest())
    assert len(digests) == 1


def test_digests_tell_states_apart() -> None:
    driver, strategy = started()
    seen = {driver.engine.digest()}
    strategy.script["m"] = Decision((BID,))
    touch(driver)
    steps: list[ev.Fact] = [
        ev.Deposited(1, "test"),
        ev.OperatorActed("me", "pause"),
        ev.MarketListed(market(question="other")),
        ev.EventListed(event("r1")),
        ev.RulesAcknowledged("e", "r1", "me"),
    ]
    for fact in steps[:-1]:
        driver.fact(fact)
        seen.add(driver.engine.account_digest())
    seen.add(driver.engine.digest())
    assert len(seen) == len(steps) + 1


def test_books_may_be_shared_with_an_observer() -> None:
    books = Books()
    assert Engine([], ScriptedDecoder, RiskLimits(), books).books is books


def test_a_view_says_when_a_books_connection_was_last_heard() -> None:
    strategy = Scripted()
    driver = Driver(strategy)
    driver.start(market(), market("n"))
    assert strategy.view is not None
    assert strategy.view.heard_ts_ns("m-yes") == 0
    driver.engine.ingest(b"of another market", 77, STREAM, GENERATION)
    driver.engine.ingest(b"of another connection", 99, STREAM + 1, GENERATION)
    assert strategy.view.heard_ts_ns("m-yes") == strategy.view.heard_ts_ns("n-no") == 77
    assert strategy.view.heard_ts_ns("unknown") == 0


def test_what_ended_long_ago_is_forgotten_and_what_is_open_or_unsettled_is_not() -> None:
    strategy = Scripted()
    strategy.script["m"] = Decision(
        (Quote("m-yes", Side.BUY, 450_000, 10 * E6), Quote("m-no", Side.BUY, 380_000, 10 * E6))
    )
    driver = Driver(strategy)
    resting, filled = submitted(driver.start())
    driver.accept(resting, filled)
    trade = driver.fill(filled, confirmed=False)
    (again,) = submitted(driver.decide())
    driver.fact(ev.OrderRefused(again.client_order_id, ev.RefusalReason.OTHER))
    strategy.script["m"] = Decision((Quote("m-yes", Side.BUY, 450_000, 10 * E6),))
    driver.book(market(), {400_000: E6}, {600_000: E6})
    driver.decide()
    known = {order.client_order_id for order in driver.engine.orders}
    assert {order.client_order_id for order in (resting, filled, again)} <= known
    driver.after(KEEP_CLOSED_NS + 1)
    assert {order.client_order_id for order in driver.engine.orders} == {
        resting.client_order_id,
        filled.client_order_id,
    }
    driver.fact(ev.SettlementChanged(trade, ev.Settlement.CONFIRMED))
    driver.after(KEEP_CLOSED_NS + 1)
    assert [order.client_order_id for order in driver.engine.orders] == [resting.client_order_id]
    assert driver.engine.portfolio.position_e6("s", "m-no") == 10 * E6, "what it bought stays"
