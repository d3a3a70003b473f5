"""The driver for tapes: the same sequencer again, on what was recorded.

A tape of a run knows its batches and timers, and a backtest keeps them: with the same configuration and
seed it decides at the same borders and trades the same fills (strategy-spec BT-4). Where another
configuration has news of its own, they get a border of their own if the next recorded one is far. An
imported tape has frames only: they are grouped by receive time, and streams are announced by their first
frame.

Invariants: nothing here reads a clock; what the recorded run decided is not looked at.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from overround.core.events import (
    EventListed,
    Fact,
    MarketListed,
    Reconciled,
    RunEnded,
    RunStarted,
    StreamUp,
    TimerFired,
)
from overround.polymarket.inbox import FactIn, FrameIn, Incoming
from overround.runtime.recorded import SETTLE_NS, RecordedLoop, batches, input_ts_ns
from overround.runtime.recovery import account_state
from overround.runtime.sequencer import Sequencer, Step
from overround.storage.tape_format import FRAME, MARK, NOTE, TIMER, TapeRecord
from overround.storage.tape_notes import STREAM_USER, FactNote, decode_note

NEWS_SLACK_NS = 50_000_000
"""News of the venue wait this long for a recorded border before they get one of their own."""

HEAD_FRAMES = 2_000
"""Frames looked at to see what a tape notes at its beginning."""

Edit = Callable[[Fact], Fact]


def _as_noted(fact: Fact) -> Fact:
    return fact


class Batch(NamedTuple):
    """What was decided on together, and when."""

    inputs: list[Incoming]
    border_ts_ns: int


def run_tape(
    sequencer: Sequencer,
    records: Iterable[TapeRecord],
    tokens_of: Mapping[int, Iterable[str]],
    on_step: Callable[[Step], None],
    edit: Edit = _as_noted,
) -> None:
    """Run a whole tape (or recording), end the run, and let everything under way arrive.

    ``tokens_of`` gives the tokens of each stream that the records themselves do not announce; ``edit``
    may change what the tape notes about markets. Raises what reading the records raises.
    """
    marked, records = _is_marked(iter(records))
    if marked:
        _run_marked(sequencer, _recorded_batches(records, edit), on_step)
    else:
        RecordedLoop(sequencer, on_step).run(batches(announced(records, tokens_of, edit)))


def _is_marked(records: Iterator[TapeRecord]) -> tuple[bool, Iterator[TapeRecord]]:
    head: list[TapeRecord] = []
    for record in head_of(records):
        head.append(record)
        if record.kind == MARK:
            return True, chain(head, records)
    return False, chain(head, records)


def head_of(records: Iterable[TapeRecord]) -> Iterator[TapeRecord]:
    """Yield records up to the first ``HEAD_FRAMES`` frames: however many notes stand before them."""
    frames = 0
    for record in records:
        yield record
        frames += record.kind == FRAME
        if frames == HEAD_FRAMES:
            return


def _input(record: TapeRecord, edit: Edit) -> Incoming | None:
    if record.kind == FRAME and record.stream != STREAM_USER:
        return FrameIn(*record[2:])
    if record.kind == TIMER:
        return FactIn(record.recv_wall_ns, TimerFired(record.payload.decode()))
    if record.kind == NOTE and isinstance(note := decode_note(record.payload), FactNote):
        return FactIn(record.recv_wall_ns, edit(note.fact))
    return None


# --- tapes of runs ---------------------------------------------------------------------------------


def _recorded_batches(records: Iterable[TapeRecord], edit: Edit) -> Iterator[Batch]:
    inputs: list[Incoming] = []
    last_ns = 0
    for record in records:
        if record.kind == MARK:
            yield Batch(inputs, record.recv_wall_ns)
            inputs = []
        elif (item := _input(record, edit)) is not None:
            inputs.append(item)
        last_ns = max(last_ns, record.recv_wall_ns)
    if inputs:
        yield Batch(inputs, last_ns)


def _run_marked(sequencer: Sequencer, groups: Iterable[Batch], on_step: Callable[[Step], None]) -> None:
    begun = ended = False
    for inputs, border_ts_ns in groups:
        _news_before(sequencer, border_ts_ns - NEWS_SLACK_NS, on_step)
        facts = [item.fact for item in inputs if isinstance(item, FactIn)]
        ended = ended or any(isinstance(fact, RunEnded) for fact in facts)
        if any(isinstance(fact, RunStarted) for fact in facts):
            # The run at the tape's beginning is the backtest's own; a later one takes the account over.
            inputs = _begun_again(sequencer, inputs) if begun else _without_start(inputs)  # noqa: PLW2901
            ended = False
        begun = True
        on_step(sequencer.step(inputs, border_ts_ns))
    now_ns = sequencer.ts_ns
    if not ended:
        on_step(sequencer.step([FactIn(now_ns, RunEnded("end of tape"))], now_ns))
    _news_before(sequencer, now_ns + SETTLE_NS, on_step)


def _news_before(sequencer: Sequencer, until_ns: int, on_step: Callable[[Step], None]) -> None:
    while (due_ns := sequencer.venue.next_due_ns()) is not None and due_ns < until_ns:
        on_step(sequencer.step([], due_ns))


def _without_start(inputs: list[Incoming]) -> list[Incoming]:
    return [item for item in inputs if not (isinstance(item, FactIn) and isinstance(item.fact, RunStarted))]


def _begun_again(sequencer: Sequencer, inputs: list[Incoming]) -> list[Incoming]:
    now_ns = input_ts_ns(inputs[0])
    taken_over = sequencer.venue.take_over(account_state(sequencer.engine))
    facts = [*taken_over, Reconciled(open_orders=0)]
    return [*inputs, *(FactIn(now_ns, fact) for fact in facts)]


# --- imported recordings ---------------------------------------------------------------------------


def announced(
    records: Iterable[TapeRecord], tokens_of: Mapping[int, Iterable[str]], edit: Edit = _as_noted
) -> Iterator[Incoming]:
    """Yield a recording's inputs, each stream's generation announced before its first frame.

    ``tokens_of`` gives the tokens of streams that the records do not announce themselves.
    """
    generations: dict[int, int] = {}
    for record in records:
        if record.kind == FRAME and generations.get(record.stream) == record.generation:
            yield FrameIn(*record[2:])
            continue
        item = _input(record, edit)
        if isinstance(item, FactIn) and isinstance(item.fact, StreamUp):
            generations[item.fact.stream] = item.fact.generation
        elif isinstance(item, FrameIn) and generations.get(item.stream) != item.generation:
            generations[item.stream] = item.generation
            tokens = tuple(tokens_of.get(item.stream, ()))
            yield FactIn(item.recv_wall_ns, StreamUp(item.stream, item.generation, tokens))
        if item is not None:
            yield item


def noted_metadata(records: Iterable[TapeRecord]) -> list[Fact]:
    """Return the markets and events that a tape notes, in the order of its notes."""
    notes = (decode_note(record.payload) for record in records if record.kind == NOTE)
    facts = (note.fact for note in notes if isinstance(note, FactNote))
    return [fact for fact in facts if isinstance(fact, MarketListed | EventListed)]
