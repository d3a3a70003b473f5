"""What every registered strategy owes, whatever it trades: run on each, with its default parameters.

Pure: the same views give the same decisions. Exact: integers only, on the grid, in whole size steps. Safe:
nothing on books that are not live, quotes never cross, no market's YES and NO in one basket, never
more sold than held. Sturdy: facts it does not know are no reason to fail.
"""

from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import Fact, Side, TimerFired, TradePrinted
from overround.core.market import EventKind
from overround.core.strategy import Decision, Quote, Strategy
from overround.core.units import E6
from overround.strategies import Registered, registry
from tests.strategies.worlds import (
    NOW_NS,
    FakeOrder,
    FakeView,
    event_view,
    mirrored,
)

EVERY = pytest.mark.parametrize("entry", registry().values(), ids=registry())


def started(entry: Registered, view: FakeView) -> Strategy:
    strategy = entry.strategy(lambda *_: entry.params())
    strategy.scopes(view.markets, view.events)
    return strategy


@st.composite
def side_levels(draw: st.DrawFn, low: int, high: int) -> dict[int, int]:
    steps = draw(st.lists(st.integers(low, high), max_size=3, unique=True)) if low <= high else []
    return {step * 10_000: draw(st.integers(1, 100_000)) * 10_000 for step in steps}


@st.composite
def views(draw: st.DrawFn) -> FakeView:
    """Return an event whose prices leave room for every kind of decision."""
    count = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(EventKind)) if count > 1 else EventKind.BINARY
    view = event_view([([], [])] * count, kind)
    view.cash_e6 = draw(st.sampled_from([0, 50, 10_000])) * E6
    scatter(draw, view)
    return view


def scatter(draw: Callable[..., Any], view: FakeView) -> None:
    """Change books, positions and orders at random, and let a little time pass."""
    fair = 100 // len(view.markets)
    for market in view.markets.values():
        middle = max(2, min(98, fair + draw(st.integers(-8, 8))))
        yes, no = view.books[market.yes.token_id], view.books[market.no.token_id]
        yes.bids = draw(side_levels(max(1, middle - 6), middle - 1))
        yes.asks = draw(side_levels(middle, min(99, middle + 6)))
        no.bids, no.asks = mirrored(yes.asks), mirrored(yes.bids)
        yes.live = no.live = draw(st.integers(0, 9)) > 0
        for token_id in market.token_ids():
            view.books[token_id].recv_ts_ns = view.ts_ns
            view.positions[token_id] = draw(st.integers(0, 1_200)) * E6
        if draw(st.booleans()):
            order = FakeOrder("o", market.yes.token_id, Side.BUY, middle * 10_000, 100 * E6, view.ts_ns)
            view.orders[market.yes.token_id] = [order]
        else:
            view.orders.clear()
    view.at((view.ts_ns - NOW_NS) // 1_000_000 + draw(st.integers(0, 5_000)))


def scopes_of(entry: Registered, view: FakeView) -> list[str]:
    return list(started(entry, view).scopes(view.markets, view.events))


def only_integers(value: object) -> bool:
    if isinstance(value, dict):
        return all(only_integers(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return all(only_integers(item) for item in value)
    return not isinstance(value, float)


def check(decision: Decision, view: FakeView, strategy: Strategy, scope: str) -> None:
    assert only_integers(msgspec.to_builtins(decision))
    market_of = {token: m for m in view.markets.values() for token in m.token_ids()}
    own_tokens = set(strategy.scopes(view.markets, view.events)[scope])
    for quote in decision.quotes:
        check_quote(quote, view)
        assert quote.token_id in own_tokens
    for basket in decision.baskets:
        assert len({leg.condition_id for leg in basket.legs}) == len(basket.legs)
        for leg in basket.legs:
            market = market_of[leg.token_id]
            assert leg.condition_id == market.condition_id
            assert market.on_grid(leg.limit_px_e6)
            assert leg.qty_e6 >= market.min_size_e6
            assert leg.qty_e6 * leg.limit_px_e6 // E6 % 10_000 == 0
            assert all(view.books[token].live for token in market.token_ids())
        assert basket.profit_usd_e6 > 0
        assert min(payoff for _, payoff in basket.certificate) == (
            basket.cost_usd_e6 + basket.fees_usd_e6 + basket.profit_usd_e6
        )
        assert basket.cost_usd_e6 + basket.fees_usd_e6 <= view.cash_e6
    for finding in decision.findings:
        assert finding.reason.replace("_", "a").replace("1", "a").isalpha()
        assert finding.reason == finding.reason.lower()
    if decision.recheck_ts_ns is not None:
        assert decision.recheck_ts_ns > view.ts_ns


def check_quote(quote: Quote, view: FakeView) -> None:
    market = next(m for m in view.markets.values() if quote.token_id in m.token_ids())
    book = view.books[quote.token_id]
    assert all(view.books[token].live for token in market.token_ids())
    assert market.on_grid(quote.px_e6)
    assert quote.qty_e6 >= market.min_size_e6
    assert quote.qty_e6 % 10_000 == 0
    if quote.side is Side.BUY:
        assert quote.px_e6 < book.best_ask_px_e6
    else:
        assert quote.px_e6 > book.best_bid_px_e6
        assert quote.qty_e6 <= view.position_e6(quote.token_id)


@EVERY
@given(st.data())
def test_decisions_are_safe_and_repeatable(entry: Registered, data: st.DataObject) -> None:
    view = data.draw(views())
    one, twin = started(entry, view), started(entry, view)
    for _ in range(3):
        for scope in scopes_of(entry, view):
            decision = one.decide(view, scope)
            assert decision == twin.decide(view, scope)
            if decision is not None:
                check(decision, view, one, scope)
        scatter(data.draw, view)


@EVERY
@given(st.data())
def test_nothing_is_wished_for_on_books_that_are_not_live(entry: Registered, data: st.DataObject) -> None:
    view = data.draw(views())
    for book in view.books.values():
        book.live = False
    strategy = started(entry, view)
    for scope in scopes_of(entry, view):
        decision = strategy.decide(view, scope)
        assert decision is None or (decision.quotes, decision.baskets) == ((), ())


@EVERY
def test_wishes_are_withdrawn_when_books_die(entry: Registered) -> None:
    view = event_view([([("0.30", "500")], [("0.32", "500")]), ([("0.50", "500")], [("0.52", "500")])])
    strategy = started(entry, view)
    wished = {scope: strategy.decide(view, scope) for scope in scopes_of(entry, view)}
    assert any(d is not None and (d.quotes or d.baskets) for d in wished.values()), "the world suits nobody"
    for book in view.books.values():
        book.live = False
    for scope, before in wished.items():
        after = strategy.decide(view, scope)
        if before is not None and (before.quotes or before.baskets):
            assert after is not None
            assert (after.quotes, after.baskets) == ((), ())


@EVERY
def test_a_second_look_at_the_same_view_has_no_news(entry: Registered) -> None:
    view = event_view([([("0.30", "500")], [("0.32", "500")]), ([("0.50", "500")], [("0.52", "500")])])
    strategy = started(entry, view)
    for scope in scopes_of(entry, view):
        assert strategy.decide(view, scope) is not None
        assert strategy.decide(view, scope) is None


@EVERY
def test_unknown_scopes_and_facts_are_no_reason_to_fail(entry: Registered) -> None:
    view = event_view([([("0.30", "500")], [("0.32", "500")])] * 2)
    strategy = started(entry, view)
    assert strategy.decide(view, "nothing like this") is None
    for fact in (
        TimerFired(timer="t"),
        TradePrinted(token_id="?", px_e6=1, qty_e6=1, taker_side=Side.BUY, exchange_ts_ms=1),
    ):
        strategy.observe(fact, NOW_NS)
    assert len(get_args(Fact)) > 20


@EVERY
def test_scopes_name_known_tokens_and_follow_metadata_alone(entry: Registered) -> None:
    view = event_view([([], [])] * 3)
    strategy = entry.strategy(lambda *_: entry.params())
    scopes = strategy.scopes(view.markets, view.events)
    assert scopes == strategy.scopes(view.markets, view.events)
    known = {token for market in view.markets.values() for token in market.token_ids()}
    assert scopes
    assert {token for tokens in scopes.values() for token in tokens} <= known
    assert strategy.scopes({}, {}) == {}


def test_the_registry_finds_each_folder_once() -> None:
    assert list(registry()) == ["dutch_book", "spread_capture"]
    for name, entry in registry().items():
        assert entry.name == name
        assert entry.strategy(lambda *_: None).name == name
