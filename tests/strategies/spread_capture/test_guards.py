"""The jump window against its definition: the range of a step function over the last span."""

from hypothesis import given
from hypothesis import strategies as st

from overround.strategies.spread_capture.guards import JumpWindow


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), min_size=1, max_size=40), st.integers(0, 40)
)
def test_range_is_that_of_all_values_in_force_within_the_span(
    steps: list[tuple[int, int]], span: int
) -> None:
    window = JumpWindow(span)
    now, history = 0, []
    for wait, value in steps:
        now += wait
        history.append((now, value))
        answer = window.add(now, value)
        ends = [start for start, _ in history[1:]] + [now]
        inside = [v for (_, v), end in zip(history, ends, strict=True) if end >= now - span]
        assert answer == max(inside) - min(inside)


def test_the_first_move_after_a_long_silence_is_seen_whole() -> None:
    window = JumpWindow(2_000)
    window.add(0, 50)
    assert window.add(1_000_000, 40) == 10
    window.clear()
    assert window.add(1_000_001, 90) == 0
