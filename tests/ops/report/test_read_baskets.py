"""What a basket pays for certain, against plain enumeration; and what became of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overround.core.events import Side
from overround.core.strategy import Leg
from overround.ops.report.read_baskets import least_payoff_usd_e6, state_of

E6 = 1_000_000


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=6))
def test_the_least_payoff_is_the_worst_winner(legs: list[tuple[int, bool]]) -> None:
    def paid(winner: int) -> int:
        return sum(qty for index, (qty, yes) in enumerate(legs) if yes is (index == winner))

    held, yes = zip(*legs, strict=True)
    assert least_payoff_usd_e6(held, yes) == min(paid(winner) for winner in range(len(legs)))


def test_nothing_held_pays_nothing() -> None:
    assert least_payoff_usd_e6([], []) == 0
    assert least_payoff_usd_e6([0, 0], [True, True]) == 0


def test_a_set_of_no_pays_for_all_but_one() -> None:
    assert least_payoff_usd_e6([10 * E6] * 5, [False] * 5) == 40 * E6


LEGS = [Leg("m1", "a", Side.BUY, 500_000, 10 * E6), Leg("m2", "b", Side.BUY, 400_000, 10 * E6)]
FILLED = {"state": "filled", "filled_qty_e6": 10 * E6}
NOTHING = {"state": "canceled", "filled_qty_e6": 0}
WORKING = {"state": "live", "filled_qty_e6": 0}


@pytest.mark.parametrize(
    ("held", "placed", "state"),
    [
        ([10 * E6, 10 * E6], [FILLED, FILLED], "complete"),
        ([10 * E6, 12 * E6], [FILLED, FILLED], "complete"),
        ([6 * E6, 6 * E6], [FILLED, FILLED], "partial"),
        ([10 * E6, 0], [FILLED, NOTHING], "incomplete"),
        ([10 * E6, 0], [FILLED, WORKING], "open"),
        ([0, 0], [FILLED, FILLED], "unwound"),
        ([0, 0], [NOTHING, NOTHING], "abandoned"),
    ],
)
def test_what_became_of_a_basket(held: list[int], placed: list[dict[str, object]], state: str) -> None:
    assert state_of(LEGS, held, placed) == state
