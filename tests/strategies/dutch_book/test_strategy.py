"""The Dutch book on a view: baskets, reasons as news, one sight one key, and what it must never do."""

import msgspec
import pytest

from overround.core.events import RulesAcknowledged, Side
from overround.core.market import EventKind
from overround.core.strategy import Basket, Decision
from overround.core.units import E6
from overround.strategies.dutch_book import DutchBook, DutchParams
from tests.strategies.dutch_book.terms import bare
from tests.strategies.worlds import (
    NOW_NS,
    FakeOrder,
    FakeView,
    event_view,
    make_event,
    put_books,
)

LONG = [([("0.48", "500")], [("0.50", "200")]), ([("0.43", "500")], [("0.44", "200")])]
FLAT = [([("0.49", "500")], [("0.51", "200")]), ([("0.49", "500")], [("0.51", "200")])]
SHORT = [
    ([("0.46", "100")], [("0.47", "90")]),
    ([("0.31", "100")], [("0.32", "90")]),
    ([("0.17", "100")], [("0.18", "90")]),
    ([("0.10", "100")], [("0.11", "90")]),
]


def started(view: FakeView, params: DutchParams | None = None) -> DutchBook:
    strategy = DutchBook(lambda _: params or bare())
    strategy.scopes(view.markets, view.events)
    return strategy


def reasons(decision: Decision | None) -> list[str]:
    assert decision is not None
    return [finding.reason for finding in decision.findings]


def only_basket(decision: Decision | None) -> Basket:
    assert decision is not None
    (basket,) = decision.baskets
    return basket


def test_long_basket_buys_yes_of_every_outcome() -> None:
    view = event_view(LONG)
    decision = started(view).decide(view, "ev")
    basket = only_basket(decision)
    assert {(leg.token_id, leg.side, leg.limit_px_e6, leg.qty_e6) for leg in basket.legs} == {
        ("y0", Side.BUY, 500_000, 200 * E6),
        ("y1", Side.BUY, 440_000, 200 * E6),
    }
    assert reasons(decision) == ["settlement_locked", "no_gap"]
    assert basket.certificate == (("A", 200 * E6), ("B", 200 * E6))
    assert basket.profit_usd_e6 == 200 * E6 - basket.cost_usd_e6 - basket.fees_usd_e6


def test_gt3_short_basket_buys_no_of_every_outcome() -> None:
    view = event_view(SHORT)
    decision = started(view).decide(view, "ev")
    basket = only_basket(decision)
    assert sorted(leg.token_id for leg in basket.legs) == ["n0", "n1", "n2", "n3"]
    assert (basket.cost_usd_e6, basket.fees_usd_e6, basket.profit_usd_e6) == (296 * E6, 2_773_600, 1_226_400)
    assert reasons(decision) == ["no_gap", "executable_now"]


def test_short_side_leaves_out_what_nobody_bids_for_and_stays_on_augmented_events() -> None:
    view = event_view([*SHORT, ([], [("0.02", "100")])], EventKind.AUGMENTED)
    decision = started(view).decide(view, "ev")
    basket = only_basket(decision)
    assert "n4" not in {leg.token_id for leg in basket.legs}
    # If E wins, all four NO pay.
    assert dict(basket.certificate)["E"] == 400 * E6


def test_nothing_new_is_none_and_a_changed_reason_is_told_once() -> None:
    view = event_view(FLAT)
    strategy = started(view)
    assert reasons(strategy.decide(view, "ev")) == ["no_gap", "no_gap"]
    assert strategy.decide(view, "ev") is None
    market = view.markets["c0"]
    put_books(view, market, [("0.47", "500")], [("0.48", "200")])
    assert reasons(strategy.decide(view, "ev")) == ["sub_fee"]
    assert strategy.decide(view, "ev") is None
    put_books(view, market, *FLAT[0])
    assert reasons(strategy.decide(view, "ev")) == ["no_gap"]


def test_one_sight_is_one_key_and_a_new_sight_waits_for_the_cooldown() -> None:
    view = event_view(LONG)
    strategy = started(view, bare(cooldown_ms=1_000))
    first = only_basket(strategy.decide(view, "ev"))
    assert strategy.decide(view, "ev") is None
    assert only_basket(started(view, bare()).decide(view, "ev")).key == first.key
    view.at(400)
    view.books["y0"].recv_ts_ns = view.ts_ns
    waiting = strategy.decide(view, "ev")
    assert reasons(waiting) == ["cooldown"]
    assert waiting is not None
    assert waiting.baskets == ()
    assert waiting.recheck_ts_ns == NOW_NS + 1_000_000_000
    view.at(1_000)
    assert only_basket(strategy.decide(view, "ev")).key != first.key


def test_no_second_basket_while_orders_of_the_event_are_open() -> None:
    view = event_view(LONG)
    view.orders["n1"] = [FakeOrder("o", "n1", Side.BUY, 10_000, 5 * E6)]
    assert reasons(started(view).decide(view, "ev")) == ["basket_open", "no_gap"]


def test_changed_rules_stop_an_event_until_a_person_accepts_them() -> None:
    view = event_view(LONG)
    view.unaccepted.add("ev")
    strategy = started(view)
    assert reasons(strategy.decide(view, "ev")) == ["rules_changed", "no_gap"]
    assert strategy.decide(view, "ev") is None
    view.unaccepted.clear()
    strategy.observe(RulesAcknowledged(event_id="ev", rule_hash="", actor="me"), NOW_NS)
    assert only_basket(strategy.decide(view, "ev")).legs


@pytest.mark.parametrize("token", ["y1", "n1"])
def test_a_book_that_is_not_live_stops_the_event(token: str) -> None:
    view = event_view(LONG)
    view.books[token].live = False
    assert reasons(started(view).decide(view, "ev")) == ["not_live", "no_gap"]
    del view.books[token]
    assert "not_live" in reasons(started(view).decide(view, "ev"))


def test_torn_or_late_books_are_no_opportunity() -> None:
    torn = event_view(LONG)
    torn.books["n1"].bids = {600_000: E6}
    assert reasons(started(torn).decide(torn, "ev")) == ["stale_crossed", "no_gap"]
    late = event_view(LONG)
    late.books["y1"].exchange_ts_ms -= 5_000
    assert reasons(started(late).decide(late, "ev")) == ["stale_crossed", "no_gap"]


def test_one_market_is_never_traded_against_itself() -> None:
    view = event_view(FLAT[:1], EventKind.BINARY)
    strategy = started(view)
    assert reasons(strategy.decide(view, "ev")) == ["x1_single_market"] * 2
    assert strategy.decide(view, "ev") is None
    view.books["n0"].asks = {400_000: 100 * E6}
    alarm = strategy.decide(view, "ev")
    assert reasons(alarm) == ["stale_crossed"] * 2
    assert alarm is not None
    assert not alarm.baskets


def test_independent_markets_are_not_exclusive() -> None:
    view = event_view(LONG, EventKind.INDEPENDENT)
    strategy = started(view)
    assert reasons(strategy.decide(view, "ev")) == ["not_exclusive"] * 2
    assert strategy.decide(view, "ev") is None


def test_allow_other_buys_the_named_outcomes_and_says_what_other_pays() -> None:
    view = event_view([*LONG, ([], [])], EventKind.AUGMENTED)
    view.markets["c2"] = msgspec.structs.replace(view.markets["c2"], active=False, other=True, title="Other")
    assert reasons(started(view).decide(view, "ev")) == ["non_exhaustive", "no_gap"]
    decision = started(view, bare(allow_other=True)).decide(view, "ev")
    assert reasons(decision) == ["other_allowed", "no_gap"]
    assert dict(only_basket(decision).certificate)["Other"] == 0


def test_sides_can_be_switched_off() -> None:
    view = event_view(LONG)
    assert reasons(started(view, bare(long_enabled=False)).decide(view, "ev")) == ["disabled", "no_gap"]
    off = DutchBook(lambda _: DutchParams(enabled=False))
    assert off.scopes(view.markets, view.events) == {}
    assert off.decide(view, "ev") is None


def test_metadata_decides_anew_but_remembers_the_last_basket() -> None:
    view = event_view(LONG)
    strategy = started(view)
    assert only_basket(strategy.decide(view, "ev")).legs
    strategy.scopes(view.markets, view.events)
    assert strategy.decide(view, "ev") is None
    view.events["ev"] = make_event(list(view.markets.values()), EventKind.AUGMENTED)
    strategy.scopes(view.markets, view.events)
    assert reasons(strategy.decide(view, "ev")) == ["non_exhaustive", "no_gap"]
    view.events["ev"] = make_event(list(view.markets.values()))
    strategy.scopes(view.markets, view.events)
    assert reasons(strategy.decide(view, "ev")) == ["cooldown", "no_gap"]
    assert strategy.decide(view.at(1_000), "ev") is None


def test_defaults_ask_for_fifty_cents_after_slippage_and_margin() -> None:
    view = event_view(LONG)
    view.books["y0"].asks = {490_000: 1_000 * E6}
    view.books["n0"].bids = {510_000: 1_000 * E6}
    decision = started(view, DutchParams()).decide(view, "ev")
    basket = only_basket(decision)
    assert {leg.limit_px_e6 for leg in basket.legs} == {500_000, 450_000}
    assert basket.profit_usd_e6 >= 600_000


def test_a_busy_event_that_is_refused_is_left_alone_for_a_moment() -> None:
    view = event_view(LONG)
    strategy = started(view, bare(min_profit_usd_e6=9 * E6))
    refused = strategy.decide(view, "ev")
    assert reasons(refused) == ["below_min_profit", "no_gap"]
    assert refused is not None
    assert refused.recheck_ts_ns == NOW_NS + 50_000_000
    # A better book within the pause is looked at when the pause is over.
    view.at(49).books["y0"].asks = {450_000: 200 * E6}
    view.books["n0"].bids = {550_000: 200 * E6}
    view.books["y0"].bids, view.books["n0"].asks = {440_000: E6}, {560_000: E6}
    assert strategy.decide(view, "ev") is None
    assert only_basket(strategy.decide(view.at(50), "ev")).profit_usd_e6 >= 9 * E6
