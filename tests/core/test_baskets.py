"""Baskets: the state table, what may be started, and when a run is settled."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.baskets import (
    DUST_QTY_E6,
    MOVES,
    OPEN_STATES,
    BasketRun,
    BasketState,
    settled_state,
    surplus_e6,
    well_formed,
)
from overround.core.events import Side
from overround.core.strategy import Basket
from overround.core.units import E6
from tests.core.worlds import gt5_basket

S = BasketState


def run(state: BasketState = S.SENT, basket: Basket | None = None) -> BasketRun:
    return BasketRun("s", "e", basket or gt5_basket(), "plan", 0, [], state)


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("after", S)
def test_only_moves_of_the_table(state: BasketState, after: BasketState) -> None:
    moving = run(state)
    if after in MOVES.get(state, frozenset()):
        moving.move(after)
        assert moving.state is after
        return
    with pytest.raises(ValueError, match=f"basket gt5: {state} cannot become {after}"):
        moving.move(after)
    assert moving.state is state


def test_open_states_are_those_with_a_way_on() -> None:
    assert set(MOVES) == OPEN_STATES
    assert run().open
    assert not run(S.STRANDED).open
    reachable, todo = {S.SENT}, [S.SENT]
    while todo:
        for after in MOVES.get(todo.pop(), frozenset()) - reachable:
            reachable.add(after)
            todo.append(after)
    assert reachable == set(S)


def changed(**leg: object) -> Basket:
    basket = gt5_basket()
    legs = (msgspec.structs.replace(basket.legs[0], **leg), *basket.legs[1:])
    return msgspec.structs.replace(basket, legs=legs)


def test_what_may_be_started() -> None:
    assert well_formed(gt5_basket())
    assert not well_formed(changed(side=Side.SELL))
    assert not well_formed(changed(qty_e6=100 * E6))
    assert not well_formed(changed(token_id="b-yes"))
    assert not well_formed(msgspec.structs.replace(gt5_basket(), legs=()))
    nothing = tuple(msgspec.structs.replace(leg, qty_e6=0) for leg in gt5_basket().legs)
    assert not well_formed(msgspec.structs.replace(gt5_basket(), legs=nothing))


@pytest.mark.parametrize(
    ("filled", "state", "expected"),
    [
        ((200, 200, 200), S.SENT, S.COMPLETE),
        ((208, 200, 205), S.SENT, S.COMPLETE),  # price improvement is free, it is kept
        ((0, 0, 0), S.SENT, S.ABANDONED),
        ((0.5, 0, 0), S.SENT, S.ABANDONED),
        ((200, 200, 0), S.SENT, None),
        ((200, 200, 199.5), S.COMPLETING, S.COMPLETE),
        ((60, 60, 60), S.UNWINDING, S.COMPLETE),
        ((0, 0, 0), S.UNWINDING, S.UNWOUND),
        ((0.5, 0.2, 0), S.UNWINDING, S.UNWOUND),
        ((0, 0, 0), S.COMPLETING, S.UNWOUND),
        ((1, 0, 0), S.UNWINDING, None),
    ],
)
def test_settled(filled: tuple[float, ...], state: BasketState, expected: BasketState | None) -> None:
    assert settled_state(run(state), [int(shares * E6) for shares in filled]) is expected


@given(st.lists(st.integers(0, 250 * E6), min_size=3, max_size=3), st.sampled_from(sorted(OPEN_STATES)))
def test_a_settled_run_leaves_no_leg_naked(filled: list[int], state: BasketState) -> None:
    moving = run(state)
    final = settled_state(moving, filled)
    if final is None:
        assert max(surplus_e6(filled)) >= DUST_QTY_E6
        return
    moving.move(final)
    assert not moving.open
    if max(surplus_e6(filled)) >= DUST_QTY_E6:
        assert min(filled) >= 200 * E6
    assert (final is S.COMPLETE) == (min(filled) >= DUST_QTY_E6)


def test_surplus_is_what_is_beyond_whole_sets() -> None:
    assert surplus_e6([200, 150, 160]) == [50, 0, 10]
