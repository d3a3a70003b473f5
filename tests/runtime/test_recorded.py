"""Recorded inputs: batches, timers by feed time, and a venue whose news come at their times."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import RunEnded, StreamDown, TimerFired
from overround.polymarket.inbox import FactIn, FrameIn, Incoming
from overround.runtime.recorded import (
    BATCH_NS,
    MAX_SILENCE_NS,
    TIMER_NS,
    RecordedLoop,
    batches,
    input_ts_ns,
)
from overround.runtime.sequencer import Step
from tests.runtime.doubles import Bench, bench

S = 1_000_000_000


def frame(ts_ns: int) -> FrameIn:
    return FrameIn(ts_ns, ts_ns, 1, 1, b"{}")


def run(it: Bench, *groups: list[Incoming]) -> list[Step]:
    steps: list[Step] = []
    RecordedLoop(it.sequencer, steps.append).run(groups)
    return steps


@given(st.lists(st.integers(0, 10 * BATCH_NS), max_size=40).map(sorted))
def test_batches_keep_order_and_span_less_than_a_millisecond(times: list[int]) -> None:
    inputs: list[Incoming] = [frame(ts) if ts % 3 else FactIn(ts, RunEnded("x")) for ts in times]
    groups = list(batches(inputs))
    assert [item for group in groups for item in group] == inputs
    for group in groups:
        assert group
        assert input_ts_ns(group[-1]) - input_ts_ns(group[0]) < BATCH_NS
    firsts = [input_ts_ns(group[0]) for group in groups]
    assert all(after - before >= BATCH_NS for before, after in pairwise(firsts))


def test_timers_fire_by_feed_time_between_batches() -> None:
    it = bench()
    run(it, [frame(S)], [frame(2 * S)])
    timers = [entry[2] for entry in it.diary.entries if isinstance(entry[1], TimerFired)]
    assert timers == [S + TIMER_NS * n for n in (1, 2, 3)]


def test_a_gap_of_days_is_crossed_at_once() -> None:
    it = bench()
    run(it, [frame(S)], [frame(30 * 24 * 3_600 * S)])
    timers = [entry for entry in it.diary.entries if isinstance(entry[1], TimerFired)]
    assert len(timers) <= MAX_SILENCE_NS // TIMER_NS + 2


def test_news_arrive_at_their_time_and_after_the_end() -> None:
    it = bench()
    early, late = StreamDown(1, 1, "early"), StreamDown(1, 2, "late")
    it.venue.news = [(S + 10, early), (4 * S, late)]
    run(it, [frame(S)], [frame(2 * S)])
    seen = [entry for entry in it.diary.entries if entry[0] in ("frame", "fact")]
    facts = [(entry[1], entry[2]) for entry in seen if not isinstance(entry[1], TimerFired)]
    assert facts == [
        (b"{}", S),
        (early, S + 10),
        (b"{}", 2 * S),
        (RunEnded("end of recording"), 2 * S),
        (late, 4 * S),
    ]


def test_pacing_is_asked_before_each_batch() -> None:
    it, asked = bench(), list[int]()
    RecordedLoop(it.sequencer, lambda _step: None, asked.append).run([[frame(S)], [frame(2 * S)]])
    assert asked == [S, 2 * S]


def test_a_recording_behind_the_clock_is_played_at_the_clock() -> None:
    it = bench(last_ts_ns=9 * S)
    it.venue.news = [(9 * S + 5, StreamDown(1, 1, "due"))]
    run(it, [frame(S)], [frame(2 * S)])
    assert {entry[2] for entry in it.diary.entries if entry[0] == "frame"} == {9 * S}
