"""Where recorded inputs come from: tapes, and metadata for tapes that carry none.

A tape made by the service notes markets, events and streams beside the frames and marks its batches, so it
replays by itself. An imported tape has frames only: its markets are given by the caller, and a stream
counts as up from its first frame of a generation.

Invariants: the order of the tape is kept; nothing is invented but the streams' beginnings.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from overround.core.events import Fact, StreamUp
from overround.polymarket.inbox import FactIn, FrameIn, Incoming
from overround.runtime.recorded import batches
from overround.storage.tape_format import FRAME, MARK, NOTE, TapeRecord
from overround.storage.tape_notes import STREAM_REST, STREAM_USER, FactNote, decode_note


def tape_batches(
    records: Iterable[TapeRecord], metadata: Sequence[Fact] = (), token_ids: tuple[str, ...] = ()
) -> Iterator[list[Incoming]]:
    """Yield the inputs of a tape in batches: as recorded, or by receive time if the tape has no borders.

    ``metadata`` (markets and events) precedes the first input. ``token_ids`` are the tokens of streams that
    the tape itself does not announce.
    """
    marked, head = _is_marked(iter(records))
    first = next(head, None)
    if first is None:
        return
    if metadata:
        yield [FactIn(first.recv_wall_ns, fact) for fact in metadata]
    rest = chain((first,), head)
    if marked:
        yield from _marked_batches(rest)
    else:
        yield from batches(_announced(rest, token_ids))


_HEAD = 2_000
"""Records looked at to see whether a tape has batch borders."""


def _is_marked(records: Iterator[TapeRecord]) -> tuple[bool, Iterator[TapeRecord]]:
    head: list[TapeRecord] = []
    for record in records:
        head.append(record)
        if record.kind == MARK or len(head) >= _HEAD:
            break
    return bool(head) and head[-1].kind == MARK, chain(head, records)


def _marked_batches(records: Iterable[TapeRecord]) -> Iterator[list[Incoming]]:
    batch: list[Incoming] = []
    for record in records:
        if record.kind == MARK:
            if batch:
                yield batch
            batch = []
            continue
        item = _input(record)
        if item is not None:
            batch.append(item)
    if batch:
        yield batch


def _input(record: TapeRecord) -> Incoming | None:
    if record.kind == FRAME:
        return FrameIn(
            record.recv_wall_ns, record.recv_mono_ns, record.stream, record.generation, record.payload
        )
    if record.kind == NOTE and isinstance(note := decode_note(record.payload), FactNote):
        return FactIn(record.recv_wall_ns, note.fact)
    return None


def _announced(records: Iterable[TapeRecord], token_ids: tuple[str, ...]) -> Iterator[Incoming]:
    """Yield inputs, each stream's generation announced before its first frame."""
    generations: dict[int, int] = {}
    for record in records:
        item = _input(record)
        if isinstance(item, FactIn) and isinstance(item.fact, StreamUp):
            generations[item.fact.stream] = item.fact.generation
        elif (
            isinstance(item, FrameIn)
            and item.stream not in (STREAM_USER, STREAM_REST)
            and generations.get(item.stream) != item.generation
        ):
            generations[item.stream] = item.generation
            yield FactIn(item.recv_wall_ns, StreamUp(item.stream, item.generation, token_ids))
        if item is not None:
            yield item
