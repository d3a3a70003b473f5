"""The quoting desk: keep, replace, withdraw, within churn limits (strategy-spec SC-6)."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import Side
from overround.core.orders import AWAITING, Order, OrderState
from overround.core.quoting_desk import MINUTE_NS, Place, QuotingDesk
from overround.core.strategy import ChurnLimits, Decision, Quote
from overround.core.units import E6
from tests.core.worlds import SECOND, intent

PLACE: Place = ("m-yes", Side.BUY)
TICK = 10_000
SC6 = ChurnLimits(min_change_e6=2 * TICK, min_lifetime_ns=3_500_000_000)


def quote(px_e6: int, qty_e6: int = 10 * E6, place: Place = PLACE) -> Quote:
    return Quote(place[0], place[1], px_e6, qty_e6)


def working(
    px_e6: int, created_ns: int = 0, state: OrderState = OrderState.LIVE, filled_e6: int = 0
) -> Order:
    order = Order(intent(f"o{px_e6}-{created_ns}-{state}", px_e6=px_e6), created_ns, state)
    order.filled_qty_e6 = filled_e6
    return order


def desk(*quotes: Quote, churn: ChurnLimits | None = None) -> QuotingDesk:
    made = QuotingDesk()
    made.wish(Decision(quotes, churn=churn or ChurnLimits()))
    return made


def compare(on: QuotingDesk, *orders: Order, now_ns: int = 100 * SECOND) -> tuple[list[int], list[int]]:
    """Return the prices of the orders to cancel and of the quotes to place."""
    on.begin()
    cancels, quotes = on.difference(on.decision, PLACE, orders, now_ns)
    return [order.px_e6 for order in cancels], [each.px_e6 for each in quotes]


def test_place_keep_withdraw() -> None:
    wished = desk(quote(400_000))
    assert compare(wished) == ([], [400_000])
    assert compare(wished, working(400_000)) == ([], [])
    assert compare(desk(), working(400_000)) == ([400_000], [])
    assert compare(wished, working(400_000), working(390_000)) == ([390_000], [])


def test_replacing_is_cancel_first() -> None:
    wished = desk(quote(420_000))
    assert compare(wished, working(400_000)) == ([400_000], [])
    assert compare(wished, working(400_000, state=OrderState.CANCELING)) == ([], [])
    assert compare(wished) == ([], [420_000])


@pytest.mark.parametrize("state", sorted(AWAITING))
def test_an_outstanding_answer_occupies_its_place(state: OrderState) -> None:
    assert compare(desk(quote(400_000)), working(400_000, state=state)) == ([], [])
    assert compare(desk(quote(410_000)), working(400_000, state=state)) == ([], [])
    assert compare(desk(), working(400_000, state=state)) == ([], [])
    # Two are wished and one place is taken: one may go out.
    assert compare(desk(quote(400_000), quote(300_000)), working(400_000, state=state)) == ([], [300_000])


def test_a_second_layer_is_placed_beside_one_that_must_stay() -> None:
    wished = desk(quote(420_000), quote(380_000), churn=ChurnLimits(min_lifetime_ns=SECOND))
    young = working(410_000, created_ns=100 * SECOND)
    assert compare(wished, young, now_ns=100 * SECOND) == ([], [380_000])


def test_sc6() -> None:
    old = working(400_000)
    moved_1, moved_2, none = (desk(*quotes, churn=SC6) for quotes in ([quote(410_000)], [quote(420_000)], []))
    assert compare(moved_1, old, now_ns=60 * SECOND) == ([], [])
    assert compare(moved_2, old, now_ns=1_200_000_000) == ([], [])
    assert moved_2.held_until_ns == 3_500_000_000
    assert compare(moved_2, old, now_ns=3_600_000_000) == ([400_000], [])
    assert moved_2.held_until_ns is None
    assert compare(none, old, now_ns=1) == ([400_000], [])


def test_what_is_too_small_a_change_waits_for_nothing() -> None:
    wished = desk(quote(410_000), churn=SC6)
    assert compare(wished, working(400_000), now_ns=1) == ([], [])
    assert wished.held_until_ns is None


@pytest.mark.parametrize(
    ("filled_e6", "wished_e6", "replaced"),
    [
        (0, 10 * E6, False),
        (5 * E6, 10 * E6, False),  # half is left: still serves
        (6 * E6, 10 * E6, True),
        (4 * E6, 6 * E6, False),
        (4 * E6, 5 * E6, True),  # more would rest than is wished
        (0, 21 * E6, True),
    ],
)
def test_a_partly_filled_quote(filled_e6: int, wished_e6: int, replaced: bool) -> None:
    wished = desk(quote(400_000, wished_e6), churn=ChurnLimits(min_change_e6=TICK))
    cancels, placed = compare(wished, working(400_000, filled_e6=filled_e6))
    assert (cancels, placed) == ([400_000] if replaced else [], [])


def test_a_change_of_size_waits_for_the_lifetime_only() -> None:
    wished = desk(quote(400_000, 5 * E6), churn=SC6)
    assert compare(wished, working(400_000), now_ns=SECOND) == ([], [])
    assert compare(wished, working(400_000), now_ns=4 * SECOND) == ([400_000], [])


def test_requote_interval_holds_back_both_halves_of_a_replacement() -> None:
    wished = desk(quote(420_000), churn=ChurnLimits(min_requote_interval_ns=SECOND))
    wished.placed(PLACE, 10 * SECOND)
    assert compare(wished, working(400_000), now_ns=11 * SECOND - 1) == ([], [])
    assert wished.held_until_ns == 11 * SECOND
    assert compare(wished, now_ns=11 * SECOND - 1) == ([], [])
    assert compare(wished, working(400_000), now_ns=11 * SECOND) == ([400_000], [])
    assert compare(wished, now_ns=11 * SECOND) == ([], [420_000])


def test_replace_window_counts_one_side_only() -> None:
    limits = ChurnLimits(replace_window_ns=10 * SECOND, max_replaces_per_window=2)
    wished = desk(quote(420_000), churn=limits)
    for at in (100, 101):
        wished.canceled(PLACE, at * SECOND)
        wished.canceled(("m-yes", Side.SELL), at * SECOND)
    assert compare(wished, working(400_000), now_ns=109 * SECOND) == ([], [])
    assert wished.held_until_ns == 110 * SECOND
    assert compare(wished, working(400_000), now_ns=110 * SECOND) == ([400_000], [])


def test_cancels_per_minute_count_the_whole_scope() -> None:
    wished = desk(quote(420_000), churn=ChurnLimits(max_cancels_per_minute=2))
    wished.canceled(("m-no", Side.BUY), 100 * SECOND)
    assert compare(wished, working(400_000), now_ns=101 * SECOND) == ([400_000], [])
    wished.canceled(PLACE, 101 * SECOND)
    assert compare(wished, working(400_000), now_ns=102 * SECOND) == ([], [])
    assert wished.held_until_ns == 160 * SECOND
    assert compare(wished, working(400_000), now_ns=160 * SECOND) == ([400_000], [])


def test_a_budget_is_not_spent_twice_in_one_look() -> None:
    wished = desk(quote(420_000), quote(430_000), churn=ChurnLimits(max_cancels_per_minute=1))
    cancels, placed = compare(wished, working(300_000), working(310_000))
    assert (len(cancels), placed) == (1, [])


def test_no_limit_stops_a_withdrawal() -> None:
    limits = ChurnLimits(TICK, MINUTE_NS, MINUTE_NS, MINUTE_NS, 1, 1)
    wished = desk(churn=limits)
    for _ in range(5):
        wished.canceled(PLACE, 100 * SECOND)
    assert compare(wished, working(400_000, created_ns=100 * SECOND)) == ([400_000], [])


def test_memory_of_cancels_is_bounded() -> None:
    on = desk()
    for at in range(1_000):
        on.canceled(PLACE, at * SECOND)
    assert len(on._cancels) <= 61


def test_other_tokens_and_sides_are_other_places() -> None:
    sell: Place = ("m-yes", Side.SELL)
    wished = desk(quote(400_000), quote(600_000, place=sell))
    assert list(wished.places) == [PLACE, sell]
    assert compare(wished) == ([], [400_000])
    assert wished.difference(wished.decision, sell, [], 0)[1] == [quote(600_000, place=sell)]


PRICES = st.integers(30, 60).map(lambda cents: cents * TICK)
ORDERS = st.lists(
    st.builds(
        working,
        PRICES,
        st.integers(0, 100 * SECOND),
        st.sampled_from([state for state in OrderState if state in AWAITING or state is OrderState.LIVE]),
        st.sampled_from([0, 2 * E6, 6 * E6]),
    ),
    max_size=4,
)
LIMITS = st.builds(
    ChurnLimits,
    st.sampled_from([0, TICK, 2 * TICK]),
    st.sampled_from([0, 5 * SECOND]),
    st.sampled_from([0, SECOND]),
    st.just(10 * SECOND),
    st.integers(0, 3),
    st.integers(0, 3),
)


@given(st.lists(PRICES, max_size=3), ORDERS, LIMITS, st.lists(st.integers(0, 100 * SECOND), max_size=4))
def test_whatever_is_wished(
    prices: list[int], orders: list[Order], limits: ChurnLimits, past: list[int]
) -> None:
    wished = desk(*(quote(px) for px in prices), churn=limits)
    for at in sorted(past):
        wished.canceled(PLACE, at)
    now = 100 * SECOND
    wished.begin()
    cancels, placed = wished.difference(wished.decision, PLACE, orders, now)
    # Never more than wished, all orders that still work included.
    assert len(orders) + len(placed) <= max(len(prices), len(orders))
    # Only what can be canceled, each once; what can be and exceeds the wishes goes.
    assert not any(order.awaits_answer for order in cancels)
    assert len({id(order) for order in cancels}) == len(cancels)
    free_to_go = [order for order in orders if not order.awaits_answer]
    assert len(free_to_go) - len(cancels) <= len(prices)
    # What is right stays.
    right = [order for order in free_to_go if order.px_e6 in prices and order.filled_qty_e6 == 0]
    going = {id(order) for order in cancels}
    kept = {order.px_e6 for order in free_to_go if id(order) not in going}
    assert {order.px_e6 for order in right} <= kept
    # Only wished prices are placed, none more often than wished.
    assert not Counter(each.px_e6 for each in placed) - Counter(prices)
    # Once nothing is outstanding and no time holds back, applying the difference reaches the wishes.
    if not (limits.min_change_e6 or wished.held_until_ns or any(order.awaits_answer for order in orders)):
        left = [order for order in orders if order not in cancels]
        again = wished.difference(wished.decision, PLACE, left, now)
        assert again[0] == []
        assert len(left) + len(again[1]) == len(prices) or wished.held_until_ns
    # A held change says when, and then it is possible as far as time goes.
    if wished.held_until_ns is not None:
        assert wished.held_until_ns > now
