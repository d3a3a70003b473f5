"""Markets: grid, tradability, mirror, and fee schedules that cannot exist."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.market import FeeSchedule
from overround.core.units import E6
from tests.core.worlds import market


@given(st.sampled_from([100, 1_000, 2_500, 5_000, 10_000, 100_000]), st.integers(-10, E6 + 10))
def test_grid(tick_e6: int, px_e6: int) -> None:
    valid = set(range(tick_e6, E6 - tick_e6 + 1, tick_e6))
    assert market(tick_e6=tick_e6).on_grid(px_e6) == (px_e6 in valid)


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"closed": True},
        {"accepting_orders": False},
        {"winner": "m-yes"},
        {"uma_status": "proposed"},
    ],
)
def test_not_tradable(changes: dict[str, Any]) -> None:
    assert market().tradable
    assert not market(**changes).tradable


def test_mirror() -> None:
    of = market()
    assert (of.mirror("m-yes"), of.mirror("m-no")) == ("m-no", "m-yes")
    with pytest.raises(ValueError, match="not one of market m"):
        of.mirror("other-yes")


@pytest.mark.parametrize(
    "fields", [{"rate_e6": -1}, {"rate_e6": 1, "exponent": 0}, {"rate_e6": 1, "rebate_e6": -1}]
)
def test_no_such_fee_schedule(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no fee schedule"):
        FeeSchedule(**fields)
