"""Recordings as inputs: a connection is announced where the recording itself does not."""

from collections.abc import Iterable

from overround.core.events import Fact, StreamUp
from overround.polymarket.inbox import FactIn, Incoming
from overround.runtime.backtest import announced
from overround.storage.tape import FRAME, NOTE, TapeRecord
from overround.storage.tape_notes import STREAM_USER, StreamNote, encode_note, fact_note

TOKENS = {1: ("t", "u"), 16: ("v",)}


def frame(ts_ns: int, stream: int = 1, generation: int = 1) -> TapeRecord:
    return TapeRecord(FRAME, 1, ts_ns, ts_ns, stream, generation, b"{}")


def facts(inputs: Iterable[Incoming]) -> list[Fact]:
    return [item.fact for item in inputs if isinstance(item, FactIn)]


def test_each_connection_is_announced_once_before_its_first_frame() -> None:
    tape = [frame(1), frame(2), frame(3, generation=2), frame(9, stream=16)]
    inputs = list(announced(tape, TOKENS))
    assert facts(inputs) == [
        StreamUp(1, 1, ("t", "u")),
        StreamUp(1, 2, ("t", "u")),
        StreamUp(16, 1, ("v",)),
    ]
    assert [isinstance(item, FactIn) for item in inputs] == [True, False, False, True, False, True, False]


def test_a_connection_that_the_tape_notes_is_not_announced_again() -> None:
    up = StreamUp(1, 4, ("t",))
    noted = TapeRecord(NOTE, 1, 1, 0, 0, 0, fact_note(up))
    assert facts(announced([noted, frame(2, generation=4)], TOKENS)) == [up]


def test_the_user_channel_and_other_notes_are_no_inputs() -> None:
    described = TapeRecord(NOTE, 1, 1, 0, 0, 0, encode_note(StreamNote(1, "market", "market")))
    assert list(announced([described, frame(1, STREAM_USER)], TOKENS)) == []
