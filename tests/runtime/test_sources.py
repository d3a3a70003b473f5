"""Tapes as inputs: batches as recorded, announcements where a tape has none."""

from collections.abc import Iterable

from overround.core.events import Fact, RunEnded, StreamUp
from overround.polymarket.inbox import FactIn, FrameIn, Incoming
from overround.runtime.sources import tape_batches
from overround.storage.tape import FRAME, MARK, NOTE, TIMER, TapeRecord
from overround.storage.tape_notes import STREAM_REST, STREAM_USER, StreamNote, encode_note, fact_note

MS = 1_000_000


def frame(ts_ns: int, stream: int = 1, generation: int = 1) -> TapeRecord:
    return TapeRecord(FRAME, 1, ts_ns, ts_ns, stream, generation, b"{}")


def note(ts_ns: int, fact: Fact) -> TapeRecord:
    return TapeRecord(NOTE, 1, ts_ns, 0, 0, 0, fact_note(fact))


def mark(ts_ns: int) -> TapeRecord:
    return TapeRecord(MARK, 1, ts_ns, 0, 0, 0, b"")


def facts(groups: Iterable[list[Incoming]]) -> list[Fact]:
    return [item.fact for group in groups for item in group if isinstance(item, FactIn)]


def shape(groups: Iterable[list[Incoming]]) -> list[list[str]]:
    return [["frame" if isinstance(item, FrameIn) else "fact" for item in group] for group in groups]


def test_a_service_tape_has_its_own_batches_and_no_invented_streams() -> None:
    up = StreamUp(1, 1, ("t",))
    timer = TapeRecord(TIMER, 1, 3, 0, 0, 0, b"tick")
    tape = [note(1, up), mark(1), frame(2), frame(2 * MS), mark(2 * MS), timer, mark(3), frame(4)]
    groups = list(tape_batches(tape))
    assert shape(groups) == [["fact"], ["frame", "frame"], ["frame"]]
    assert facts(groups) == [up]


def test_an_imported_tape_announces_each_connection_once() -> None:
    tape = [frame(1), frame(2), frame(3 * MS, generation=2), frame(9 * MS, stream=16)]
    groups = list(tape_batches(tape, token_ids=("t", "u")))
    assert facts(groups) == [
        StreamUp(1, 1, ("t", "u")),
        StreamUp(1, 2, ("t", "u")),
        StreamUp(16, 1, ("t", "u")),
    ]
    assert shape(groups) == [["fact", "frame", "frame"], ["fact", "frame"], ["fact", "frame"]]


def test_streams_that_carry_no_market_channel_are_not_announced() -> None:
    assert facts(tape_batches([frame(1, STREAM_USER), frame(2, STREAM_REST)])) == []


def test_a_connection_that_the_tape_notes_is_not_announced_again() -> None:
    up = StreamUp(1, 4, ("t",))
    assert facts(tape_batches([note(1, up), frame(2, generation=4)], token_ids=("t",))) == [up]


def test_metadata_comes_first_and_other_notes_are_no_inputs() -> None:
    given = RunEnded("stands for metadata")
    described = TapeRecord(NOTE, 1, 1, 0, 0, 0, encode_note(StreamNote(1, "market", "market")))
    groups = list(tape_batches([described, frame(2)], [given]))
    assert groups[0] == [FactIn(1, given)]
    assert shape(groups[1:]) == [["fact", "frame"]]


def test_an_empty_tape_is_no_input() -> None:
    assert list(tape_batches([], [RunEnded("unused")])) == []
