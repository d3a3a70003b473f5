"""Orders: the whole transition table, and what no history may do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.orders import (
    AWAITING,
    SURPRISING,
    TERMINAL,
    TRANSITIONS,
    IllegalTransition,
    Order,
    Orders,
    OrderState,
    Trigger,
    next_state,
)
from overround.core.units import E6
from tests.core.worlds import intent

S, T = OrderState, Trigger

ILLEGAL = {
    # An answer to a cancel that was never asked for.
    (S.SENT, T.CANCEL_REFUSED),
    # A second, different answer to a submission.
    (S.FILLED, T.REFUSED),
    (S.REFUSED, T.ACCEPTED),
    (S.REFUSED, T.DELAYED),
    (S.REFUSED, T.REFUSED),
    (S.REFUSED, T.LOST),
    # Our own command about an order that is gone.
    (S.FILLED, T.CANCEL_SENT),
    (S.CANCELED, T.CANCEL_SENT),
    (S.REFUSED, T.CANCEL_SENT),
}


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("trigger", T)
def test_every_pair_is_decided(state: OrderState, trigger: Trigger) -> None:
    pair = (state, trigger)
    known = [pair in TRANSITIONS, pair in SURPRISING, pair in ILLEGAL]
    assert known.count(True) == 1
    if pair in ILLEGAL:
        with pytest.raises(IllegalTransition, match=f"{trigger} in state {state}"):
            next_state(state, trigger)
        return
    after, surprise = next_state(state, trigger)
    assert (surprise is not None) == (pair in SURPRISING)
    if state in TERMINAL:
        assert after is state


@pytest.mark.parametrize(("state", "trigger"), sorted(ILLEGAL))
def test_an_illegal_transition_changes_nothing(state: OrderState, trigger: Trigger) -> None:
    orders = Orders()
    order = orders.add(intent(), 1)
    order.state = state
    with pytest.raises(IllegalTransition):
        orders.move(order, trigger, 2)
    assert (order.state, order.changed_ts_ns, orders.surprises) == (state, 1, {})


def test_a_fill_moves_and_counts() -> None:
    orders = Orders()
    order = orders.add(intent(qty_e6=10 * E6), 1)
    orders.fill(order, 4 * E6, 2 * E6, 30, 2)
    assert (order.state, order.remaining_qty_e6, order.open) == (S.LIVE, 6 * E6, True)
    orders.fill(order, 6 * E6, 3 * E6, 40, 3)
    assert (order.state, order.remaining_qty_e6, order.open) == (S.FILLED, 0, False)
    assert (order.filled_qty_e6, order.filled_usd_e6, order.fees_usd_e6) == (10 * E6, 5 * E6, 70)


def test_price_improvement_is_counted_whole() -> None:
    orders = Orders()
    order = orders.add(intent(qty_e6=100 * E6), 1)  # strategy-spec GT-8: a budget that buys 104 shares
    orders.fill(order, 100 * E6, 50 * E6, 0, 2)
    orders.fill(order, 4 * E6, 2 * E6, 0, 2)
    assert (order.filled_qty_e6, order.remaining_qty_e6, order.state) == (104 * E6, 0, S.FILLED)
    assert list(orders.surprises.values()) == [1]


def test_a_fill_after_the_cancellation_counts_but_does_not_reopen() -> None:
    orders = Orders()
    order = orders.add(intent(), 1)
    orders.move(order, T.ACCEPTED, 2)
    orders.move(order, T.CANCELED, 3)
    orders.fill(order, E6, E6 // 2, 0, 4)
    assert (order.state, order.filled_qty_e6, orders.open_count()) == (S.CANCELED, E6, 0)
    assert order.note in orders.surprises


def test_the_same_id_is_one_order() -> None:
    orders = Orders()
    order = orders.add(intent(), 1)
    with pytest.raises(ValueError, match="o1 exists already"):
        orders.add(intent(), 2)
    assert orders.open_orders() == [order]


def test_unknown_ids() -> None:
    orders = Orders()
    assert orders.get("x") is None
    assert "x" not in orders
    with pytest.raises(KeyError, match="order x is not one of ours"):
        orders.known("x")


def test_a_discarded_order_never_was() -> None:
    orders = Orders()
    order = orders.add(intent(), 1)
    orders.discard(order)
    assert (len(orders), orders.open_count(), orders.open_on("s", "m-yes")) == (0, 0, [])
    assert orders.add(intent(), 2) in orders.open_orders()


def test_open_orders_by_owner_and_token() -> None:
    orders = Orders()
    mine = orders.add(intent("b"), 2)
    older = orders.add(intent("c", "m-no"), 1)
    other = orders.add(intent("a", strategy="t"), 2)
    assert orders.open_on("s", "m-yes") == [mine]
    assert orders.open_on_token("m-yes") == [mine, other]
    assert orders.open_orders() == [older, other, mine]


STEPS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([*T, None]), st.integers(1, 12)), max_size=40)


@given(STEPS)
def test_any_history_keeps_the_indices_right(steps: list[tuple[int, Trigger | None, int]]) -> None:
    orders = Orders()
    made: list[Order] = []
    closed: dict[str, OrderState] = {}
    filled: dict[str, int] = {}
    for now, (which, trigger, qty) in enumerate(steps):
        if which == 0 or which > len(made):
            made.append(orders.add(intent(f"o{now}", f"m-{'yes' if qty % 2 else 'no'}"), now))
            continue
        order = made[-which]
        key = order.client_order_id
        try:
            if trigger is None:
                orders.fill(order, qty * E6, 0, 0, now)
                filled[key] = filled.get(key, 0) + qty * E6
            else:
                orders.move(order, trigger, now)
        except IllegalTransition:
            assert (order.state, trigger) in ILLEGAL
        assert closed.get(key, order.state) is order.state, "a closed order moved"
        if not order.open:
            closed[key] = order.state
    still_open = [order for order in made if order.open]
    assert sorted(orders.open_orders(), key=made.index) == still_open
    assert orders.open_count() == len(still_open)
    for token_id in ("m-yes", "m-no"):
        expected = [order for order in still_open if order.token_id == token_id]
        assert orders.open_on("s", token_id) == expected
    for order in made:
        assert order.filled_qty_e6 == filled.get(order.client_order_id, 0)
        assert order.awaits_answer == (order.state in AWAITING)
        assert order.open == (order.state not in TERMINAL)
