"""Plan ids: stable over time and processes, and different for different plans."""

from hypothesis import given
from hypothesis import strategies as st

from overround.core.plans import order_id, plan_id

PLANS = st.tuples(
    st.text(max_size=6),
    st.text(max_size=6),
    st.integers(0, 2**40),
    st.lists(st.text(max_size=4) | st.integers(0, 20), max_size=3).map(tuple),
)


def test_ids_do_not_change_between_releases() -> None:
    # A journal holds them: another recipe would make every plan of an older run a new one.
    assert plan_id("spread", "0xabc", 17, "quotes") == "21b5b2c46fbf181a"
    assert order_id("21b5b2c46fbf181a", 3) == "21b5b2c46fbf181a-3"


@given(PLANS, PLANS)
def test_an_id_is_of_one_plan(
    one: tuple[str, str, int, tuple[str | int, ...]], two: tuple[str, str, int, tuple[str | int, ...]]
) -> None:
    ids = [plan_id(plan[0], plan[1], plan[2], *plan[3]) for plan in (one, two)]
    same = [type(part) for part in one[3]] == [type(part) for part in two[3]] and one == two
    assert (ids[0] == ids[1]) == same


def test_parts_do_not_run_into_each_other() -> None:
    plans = [
        plan_id("a", "b", 1, "c"),
        plan_id("ab", "", 1, "c"),
        plan_id("a", "b", 1, "c", ""),
        plan_id("a", 'b",1,"c', 1),
        plan_id("a", "b", 11),
        plan_id("a", "b", 1, 1),
        plan_id("a", "b", 1, "1"),
        plan_id("a\x1fb", "", 1, "c"),
    ]
    assert len(set(plans)) == len(plans)
