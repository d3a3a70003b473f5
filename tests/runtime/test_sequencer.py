"""The loop body: numbers, order, durability before release, and a clock that never steps back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import (
    MarketResolved,
    RunEnded,
    Side,
    StreamDown,
    TickSizeChanged,
    TimerFired,
    TradePrinted,
)
from overround.polymarket.inbox import FactIn, FrameIn, Incoming
from overround.storage.journal import decode_command, decode_fact
from overround.storage.tape import FRAME, MARK, NOTE, TIMER
from overround.storage.tape_notes import FactNote, decode_note
from tests.runtime.doubles import COMMAND, bench


def frame(ts_ns: int, payload: bytes = b"{}") -> FrameIn:
    return FrameIn(ts_ns, ts_ns + 7, 3, 2, payload)


def test_commands_are_released_only_behind_the_commit() -> None:
    it = bench()
    it.engine.decisions = [[COMMAND]]
    it.sequencer.step([frame(5)], 5)
    assert it.diary.kinds() == ["frame", "decide", "taped", "journaled", "taped", "submit"]
    assert [entry[1] for entry in it.diary.entries if entry[0] == "taped"] == [[FRAME], [MARK]]


def test_nothing_is_released_and_no_border_taped_when_the_journal_fails() -> None:
    it = bench()
    it.engine.decisions = [[COMMAND]]
    it.log.failure = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        it.sequencer.step([frame(5)], 5)
    assert "submit" not in it.diary.kinds()
    assert [record[0] for record in it.log.taped] == [FRAME]


def test_a_batch_without_facts_or_commands_costs_no_commit() -> None:
    it = bench()
    it.sequencer.step([frame(5)], 5)
    assert "journaled" not in it.diary.kinds()
    assert [record[0] for record in it.log.taped] == [FRAME, MARK]


def test_tape_and_journal_share_one_numbering() -> None:
    it = bench(next_seq=100)
    it.engine.decisions = [[], [COMMAND, COMMAND]]
    down = StreamDown(3, 2, "test")
    it.sequencer.step([frame(5), FactIn(6, down)], 6)
    it.sequencer.step([FactIn(7, TimerFired("tick")), frame(8)], 8)
    taped = [(record[0], record[1]) for record in it.log.taped]
    assert taped == [(FRAME, 100), (NOTE, 101), (MARK, 102), (TIMER, 103), (FRAME, 104), (MARK, 105)]
    journaled = [(record.kind, record.seq) for record in it.log.journaled]
    assert journaled == [("fact", 101), ("command", 105), ("command", 105)]
    assert decode_fact(it.log.journaled[0].payload) == down
    assert decode_command(it.log.journaled[1].payload) == COMMAND
    assert decode_note(it.log.taped[1][6]) == FactNote(down)
    assert it.sequencer.next_seq == 106


def test_raw_times_are_taped_and_the_core_never_sees_the_clock_step_back() -> None:
    it = bench(last_ts_ns=50)
    it.sequencer.step([frame(40), FactIn(60, RunEnded("x")), frame(55)], 55)
    seen = [entry[2] for entry in it.diary.entries if entry[0] in ("frame", "fact")]
    assert seen == [50, 60, 60]
    assert [record[2] for record in it.log.taped if record[0] == FRAME] == [40, 55]
    assert it.log.journaled[0].ts_ns == 60


def test_news_come_between_the_inputs_where_they_belong() -> None:
    it = bench()
    early, late, after = (StreamDown(1, n, "test") for n in (1, 2, 3))
    it.venue.news = [(10, early), (20, late), (99, after)]
    it.sequencer.step([frame(5, b"a"), frame(15, b"b")], 30)
    order = [entry[1] for entry in it.diary.entries if entry[0] in ("frame", "fact")]
    assert order == [b"a", early, b"b", late]


def test_the_venue_sees_the_books_it_watches_and_their_trades() -> None:
    it = bench()
    trade = TradePrinted("t", 500_000, 1_000_000, Side.BUY, 1)
    it.engine.rare[b"t"] = [trade]
    it.sequencer.step([frame(5, b"t")], 5)
    assert "observe" not in it.diary.kinds(), "nothing of ours rests"
    it.venue.watching = ("t",)
    step = it.sequencer.step([frame(6, b"t"), frame(7, b"u")], 7)
    assert [entry for entry in it.diary.entries if entry[0] == "observe"] == [("observe", (), (trade,))]
    assert step.rare == [trade]
    assert not it.log.journaled, "what a frame carries is on the tape within it"


def test_the_venue_sees_what_each_frame_touched_and_the_engine_what_all_did() -> None:
    it = bench()
    it.venue.watching = ("a", "b")
    it.engine.touches = {b"1": ("x", "b"), b"2": ("y",), b"3": ("b", "a", "x")}
    it.sequencer.step([frame(5, b"1"), frame(5, b"2"), frame(6, b"3")], 6)
    assert [entry[1] for entry in it.diary.entries if entry[0] == "observe"] == [("b",), ("b", "a")]
    assert list(it.engine.books.touched) == ["x", "b", "y", "a"]


def test_news_that_follow_from_a_frame_come_before_the_next_one() -> None:
    it = bench()
    it.venue.watching = ("a",)
    it.engine.touches = {b"1": ("a",)}
    filled = StreamDown(3, 2, "stands for a fill")
    it.venue.on_observe = [(6, filled)]
    it.sequencer.step([frame(5, b"1"), frame(6, b"2")], 6)
    order = [entry[1] for entry in it.diary.entries if entry[0] in ("frame", "fact")]
    assert order == [b"1", filled, b"2"]


def test_a_recovery_learns_what_it_must_from_frames_too() -> None:
    it = bench(next_seq=7)
    tick, resolved = TickSizeChanged("t", 1_000, 1), MarketResolved("m", "t")
    it.engine.rare[b"t"] = [tick, TradePrinted("t", 500_000, 1_000_000, Side.BUY, 1), resolved]
    step = it.sequencer.step([frame(5, b"t"), FactIn(6, StreamDown(3, 2, "test"))], 6)
    assert [(seq, fact) for seq, _, fact in step.facts] == [
        (7, tick),
        (7, resolved),
        (8, StreamDown(3, 2, "test")),
    ]
    assert [record.seq for record in it.log.journaled] == [7, 7, 8]
    assert [entry[1] for entry in it.diary.entries if entry[0] == "fact"] == [StreamDown(3, 2, "test")], (
        "the engine has handled its own facts"
    )


@given(st.lists(st.lists(st.integers(0, 100), max_size=5), max_size=8), st.integers(0, 50))
def test_every_input_gets_the_next_number(groups: list[list[int]], start: int) -> None:
    it = bench(next_seq=start, last_ts_ns=3)
    for times in groups:
        inputs: list[Incoming] = [
            frame(ts) if ts % 2 else FactIn(ts, StreamDown(1, ts, "test")) for ts in times
        ]
        it.sequencer.step(inputs, max(times, default=0))
    numbers = {record[1] for record in it.log.taped} | {record.seq for record in it.log.journaled}
    assert numbers == set(range(start, start + sum(map(len, groups)) + len(groups)))
    seen = [
        ts
        for entry in it.diary.entries
        if entry[0] in ("frame", "fact", "decide")
        if isinstance(ts := entry[2], int)
    ]
    assert seen == sorted(seen), "time never steps back"
