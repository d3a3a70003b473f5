"""Spread capture on a view: when it quotes, when it pulls and says why, and when it has nothing to say."""

from typing import Any

import msgspec
import pytest

from overround.core.events import RulesAcknowledged, Side
from overround.core.strategy import Decision
from overround.core.units import E6
from overround.strategies.spread_capture import SpreadCapture, SpreadParams
from tests.strategies.worlds import NOW_NS, FakeOrder, FakeView, event_view, put_books

BOOK = ([("0.39", "300")], [("0.43", "300")])


def world() -> FakeView:
    return event_view([BOOK])


def started(view: FakeView, own_in_books: bool = False, **changes: Any) -> SpreadCapture:
    strategy = SpreadCapture(lambda *_: SpreadParams(**changes), own_orders_in_books=own_in_books)
    strategy.scopes(view.markets, view.events)
    return strategy


def reason(decision: Decision | None) -> str:
    assert decision is not None
    (finding,) = decision.findings
    return finding.reason


def prices(decision: Decision | None) -> list[tuple[str, int]]:
    assert decision is not None
    return [(quote.token_id, quote.px_e6) for quote in decision.quotes]


def rest_all(view: FakeView, decision: Decision | None) -> None:
    """Pretend that every wish became an order."""
    assert decision is not None
    for n, quote in enumerate(decision.quotes):
        order = FakeOrder(f"o{n}", quote.token_id, quote.side, quote.px_e6, quote.qty_e6, view.ts_ns)
        view.orders[quote.token_id] = [order]


def test_quotes_both_sides_and_passes_the_churn_limits_on() -> None:
    view = world()
    decision = started(view).decide(view, "c0")
    assert reason(decision) == "quoting"
    assert prices(decision) == [("y0", 400_000), ("n0", 580_000)]
    assert decision is not None
    churn = decision.churn
    assert (churn.min_change_e6, churn.min_lifetime_ns, churn.min_requote_interval_ns) == (
        20_000,
        3_500_000_000,
        500_000_000,
    )
    assert (churn.replace_window_ns, churn.max_replaces_per_window, churn.max_cancels_per_minute) == (
        10_000_000_000,
        6,
        60,
    )


def test_nothing_new_is_none_until_a_timer_runs_out() -> None:
    view = event_view([([("0.39", "310")], [("0.43", "300")])])
    strategy = started(view)
    first = strategy.decide(view, "c0")
    rest_all(view, first)
    assert strategy.decide(view, "c0") is not None  # orders appeared: compare again
    assert strategy.decide(view, "c0") is None
    # A change below the top, and one that does not move a quote, are no news.
    view.books["y0"].bids[300_000] = E6
    view.books["y0"].recv_ts_ns += 1
    assert strategy.decide(view, "c0") is None
    view.books["y0"].bids[390_000] = 320 * E6
    assert strategy.decide(view, "c0") is None
    # A quote that is missing is asked for again after the requote interval.
    view.orders.clear()
    again = strategy.decide(view, "c0")
    assert again is not None
    assert again.recheck_ts_ns == view.ts_ns + 500_000_000
    assert strategy.decide(view.at(499), "c0") is None
    assert strategy.decide(view.at(500), "c0") is not None


@pytest.mark.parametrize("token", ["y0", "n0"])
def test_a_book_that_is_not_tracked_pulls_both_sides(token: str) -> None:
    view = world()
    strategy = started(view)
    assert reason(strategy.decide(view, "c0")) == "quoting"
    del view.books[token]
    assert reason(strategy.decide(view, "c0")) == "not_tracked"


def test_a_no_book_that_is_not_live_pulls_the_quote_on_no() -> None:
    view = world()
    strategy = started(view)
    both = strategy.decide(view, "c0")
    assert both is not None
    assert {quote.token_id for quote in both.quotes} == {"y0", "n0"}
    view.books["n0"].live = False
    left = strategy.decide(view, "c0")
    assert left is not None
    assert [quote.token_id for quote in left.quotes] == ["y0"]
    assert left.quotes[0] in both.quotes


def test_a_yes_book_that_is_not_live_pulls_both_sides() -> None:
    view, token = world(), "y0"
    strategy = started(view)
    assert reason(strategy.decide(view, "c0")) == "quoting"
    view.books[token].live = False
    pulled = strategy.decide(view, "c0")
    assert (reason(pulled), prices(pulled)) == ("not_live", [])
    assert strategy.decide(view, "c0") is None
    view.books[token].live = True
    assert prices(strategy.decide(view, "c0"))


def test_sc9_a_tick_change_sends_nothing_until_the_snapshot_on_the_new_grid() -> None:
    view = world()
    strategy = started(view, edge_px_e6=4_500)
    strategy.decide(view, "c0")
    view.markets["c0"] = msgspec.structs.replace(view.markets["c0"], tick_e6=1_000)
    for book in (view.books["y0"], view.books["n0"]):
        book.live, book.epoch, book.bids, book.asks = False, 1, {}, {}
    strategy.scopes(view.markets, view.events)
    pulled = strategy.decide(view, "c0")
    assert (reason(pulled), prices(pulled)) == ("not_live", [])
    put_books(view, view.markets["c0"], [("0.395", "300")], [("0.424", "300")])
    decision = strategy.decide(view, "c0")
    assert prices(decision) == [("y0", 405_000), ("n0", 586_000)]
    assert decision is not None
    assert decision.churn.min_change_e6 == 2_000


def test_a_thin_tape_is_not_stale_unless_configured() -> None:
    view = world()
    strategy = started(view)
    rest_all(view, strategy.decide(view, "c0"))
    strategy.decide(view, "c0")
    assert strategy.decide(view.at(3_600_000), "c0") is None
    view = world()
    strategy = started(view, quiet_is_stale=True, staleness_threshold_ms=5_000)
    rest_all(view, strategy.decide(view, "c0"))
    decision = strategy.decide(view, "c0")
    assert decision is not None
    assert decision.recheck_ts_ns == NOW_NS + 5_000_000_000
    assert reason(strategy.decide(view.at(5_000), "c0")) == "quiet"


def test_a_silent_connection_pulls_both_sides_until_it_is_heard_again() -> None:
    view = world()
    view.heard_ns = NOW_NS
    strategy = started(view, staleness_threshold_ms=15_000)
    rest_all(view, strategy.decide(view, "c0"))
    decision = strategy.decide(view, "c0")
    assert decision is not None
    assert decision.recheck_ts_ns == NOW_NS + 15_000_000_000
    view.heard_ns = NOW_NS + 14_000_000_000  # another market of the connection moved
    again = strategy.decide(view.at(15_000), "c0")
    assert again is not None
    assert (again.quotes, again.findings) == (decision.quotes, ())
    pulled = strategy.decide(view.at(29_000), "c0")
    assert (reason(pulled), prices(pulled)) == ("silent", [])
    assert pulled is not None
    assert pulled.recheck_ts_ns is not None
    assert pulled.recheck_ts_ns <= NOW_NS + 30_000_000_000
    view.heard_ns = NOW_NS + 29_500_000_000
    assert prices(strategy.decide(view.at(30_000), "c0"))


def test_a_jump_of_the_mid_pulls_and_cools_off() -> None:
    view = world()
    strategy = started(view)
    strategy.decide(view, "c0")
    view.at(1_500)
    put_books(view, view.markets["c0"], [("0.44", "300")], [("0.48", "300")])
    pulled = strategy.decide(view, "c0")
    assert (reason(pulled), prices(pulled)) == ("mid_jump", [])
    assert pulled is not None
    assert pulled.recheck_ts_ns == NOW_NS + 31_500_000_000
    put_books(view.at(20_000), view.markets["c0"], [("0.44", "200")], [("0.48", "300")])
    assert strategy.decide(view, "c0") is None
    assert reason(strategy.decide(view.at(31_500), "c0")) == "quoting"


def test_a_slow_move_of_the_same_size_is_no_jump() -> None:
    view = world()
    strategy = started(view)
    strategy.decide(view, "c0")
    for step in range(1, 6):
        view.at(step * 3_000)
        put_books(view, view.markets["c0"], [(f"0.{39 + step}", "300")], [(f"0.{43 + step}", "300")])
        decision = strategy.decide(view, "c0")
        assert decision is not None
        assert decision.quotes


def test_a_one_sided_book_lives_on_the_last_mid_for_a_minute() -> None:
    view = world()
    strategy = started(view)
    put_books(view, view.markets["c0"], [("0.39", "300")], [])
    assert reason(strategy.decide(view, "c0")) == "no_mid"
    put_books(view, view.markets["c0"], *BOOK)
    strategy.decide(view, "c0")
    put_books(view.at(1_000), view.markets["c0"], [("0.39", "300")], [])
    decision = strategy.decide(view, "c0")
    assert prices(decision) == [("y0", 390_000), ("n0", 570_000)]
    rest_all(view, decision)
    assert strategy.decide(view, "c0") is not None
    gone = strategy.decide(view.at(60_000), "c0")
    assert (reason(gone), prices(gone)) == ("no_mid", [])


@pytest.mark.parametrize(
    ("market", "expected"),
    [
        ({"accepting_orders": False}, "not_tradable"),
        ({"uma_status": "proposed"}, "not_tradable"),
        ({"fee": None}, "fee_unknown"),
        ({"end_ts_ms": NOW_NS // 1_000_000 + 60_000}, "ending"),
        ({"tick_e6": 1_000}, "tick_mismatch"),
    ],
)
def test_metadata_forbids_quotes(market: dict[str, Any], expected: str) -> None:
    view = world()
    view.markets["c0"] = msgspec.structs.replace(view.markets["c0"], **market)
    decision = started(view, tick_size_px_e6=10_000).decide(view, "c0")
    assert (reason(decision), prices(decision)) == (expected, [])


def test_quotes_end_with_the_market() -> None:
    view = world()
    end_ms = NOW_NS // 1_000_000 + 70_000
    view.markets["c0"] = msgspec.structs.replace(view.markets["c0"], end_ts_ms=end_ms)
    strategy = started(view)
    rest_all(view, strategy.decide(view, "c0"))
    decision = strategy.decide(view, "c0")
    assert decision is not None
    assert decision.recheck_ts_ns == (end_ms - 60_000) * 1_000_000
    assert reason(strategy.decide(view.at(10_000), "c0")) == "ending"


def test_wide_or_crossed_books_are_not_quoted() -> None:
    view = event_view([([("0.30", "300")], [("0.41", "300")])])
    assert reason(started(view).decide(view, "c0")) == "wide_spread"
    crossed = event_view([([("0.41", "300")], [("0.41", "300")])])
    assert reason(started(crossed).decide(crossed, "c0")) == "crossed"


def test_changed_rules_pull_the_quotes_until_accepted() -> None:
    view = world()
    strategy = started(view)
    strategy.decide(view, "c0")
    view.unaccepted.add("ev")
    strategy.scopes(view.markets, view.events)
    assert reason(strategy.decide(view, "c0")) == "rules_changed"
    view.unaccepted.clear()
    strategy.observe(RulesAcknowledged(event_id="ev", rule_hash="", actor="me"), NOW_NS)
    assert reason(strategy.decide(view, "c0")) == "quoting"


def test_the_position_moves_both_quotes_against_itself() -> None:
    view = world()
    view.positions["y0"] = 500 * E6
    decision = started(view, edge_px_e6=10_000).decide(view, "c0")
    assert decision is not None
    (bid, ask) = decision.quotes
    assert (bid.px_e6, bid.qty_e6) == (390_000, 16_660_000)
    assert (ask.token_id, ask.side, ask.px_e6, ask.qty_e6) == ("y0", Side.SELL, 410_000, 100 * E6)


def test_own_orders_are_no_evidence_where_books_show_them() -> None:
    view = event_view([([("0.40", "300"), ("0.38", "500")], [("0.42", "100")])], tick="0.001")
    view.orders["y0"] = [FakeOrder("o", "y0", Side.BUY, 400_000, 300 * E6)]
    shown = started(view, own_in_books=True, edge_px_e6=0).decide(view, "c0")
    hidden = started(view, edge_px_e6=0).decide(view, "c0")
    assert prices(shown) != prices(hidden)


def test_only_markets_with_parameters_are_looked_after() -> None:
    view = event_view([BOOK, BOOK, BOOK])
    chosen = {"c1": SpreadParams(), "c2": SpreadParams(enabled=False)}
    strategy = SpreadCapture(lambda market, _: chosen.get(market.condition_id))
    assert strategy.scopes(view.markets, view.events) == {"c1": ("y1", "n1")}
    assert strategy.decide(view, "c0") is None
