"""Brings foreign recordings in: tells the format by content, gives frames, writes them to a tape.

Invariants: payloads are byte-exact as the venue sent them (derived recordings say so); every line is
a frame, counted as skipped with its reason, or kept as bad with its number.
Must not know how a payload is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from overround.storage import import_derived as derived
from overround.storage import import_frames as frames
from overround.storage.import_frames import KNOWN_STREAMS, GenericFields, LineConverter
from overround.storage.import_source import BadLine, ImportFormatError, ImportLog, Source
from overround.storage.tape_errors import TapeOverflow, TapeWriteError
from overround.storage.tape_format import NOTE, TapeRecord
from overround.storage.tape_notes import (
    STREAM_DERIVED,
    SourceNote,
    StreamNote,
    TimeSource,
    encode_note,
)
from overround.storage.tape_segment import segment_paths
from overround.storage.tape_writer import TapeWriter

__all__ = [
    "BadLine",
    "GenericFields",
    "ImportFormatError",
    "ImportReport",
    "Recording",
    "import_recording",
    "open_recording",
]


class Format(NamedTuple):
    """A recording format."""

    name: str
    time_source: TimeSource
    derived: bool
    converter: Callable[[], LineConverter] | None
    """Makes a fresh converter of lines; None when the file is one JSON value."""
    newest_first: bool = False


_LINES: Final[tuple[tuple[frozenset[str], Format], ...]] = (
    # The first format whose fields are all on the first line is taken: most telling first.
    (
        frozenset({"kind", "seq", "recv_wall_ns", "recv_mono_ns", "stream", "generation"}),
        Format("overround-export", "receive", False, frames.exported),
    ),
    (
        frozenset({"source", "recv_wall_ts", "recv_mono_ns", "payload"}),
        Format("ingest-log", "receive", False, frames.ingested),
    ),
    (frozenset({"capturedAt", "payload"}), Format("captured", "receive", False, frames.captured)),
    (frozenset({"recv_ts", "payload"}), Format("received", "receive", False, frames.received)),
    (frozenset({"ts", "kind", "data"}), Format("journal", "exchange", False, frames.journaled)),
    (frozenset({"collector_ts", "books"}), Format("book-batches", "receive", False, frames.batched)),
    (frozenset({"source", "frame"}), Format("examples", "exchange", False, frames.framed)),
    (
        frozenset({"ts", "slug", "side", "bids", "asks"}),
        Format("sampled-books", "exchange", True, derived.sampled),
    ),
    (
        frozenset({"timestamp", "token_id", "condition_id", "bids", "asks"}),
        Format("book-history", "exchange", True, derived.history, newest_first=True),
    ),
    (frozenset({"event_type"}), Format("frames", "exchange", False, frames.bare)),
    (frozenset({"asset_id", "bids", "asks"}), Format("frames", "exchange", False, frames.bare)),
)
_CSV: Final = (
    (derived.CSV_L1, Format("l1-events-csv", "receive", True, derived.top_events)),
    (derived.CSV_PAIR, Format("yesno-bbo-csv", "receive", True, derived.top_pairs)),
)
_FRAMES: Final = Format("frames", "exchange", False, frames.bare)
_WHOLE: Final = Format("json-value", "exchange", False, None)


class Recording:
    """A recording opened for import. Iterating gives its records; the log fills meanwhile."""

    def __init__(self, source: Source, form: Format, streams: dict[int, StreamNote]) -> None:
        self.path = source.path
        self.format = form.name
        self.time_source = form.time_source
        """`exchange` when there is no receive time and the frames' own times stand in for it."""
        self.derived = form.derived
        """True when the frames are made from processed rows and carry no hash."""
        self.streams = streams
        """Names of the streams; those of a generic recording come in as they are met."""
        self.log = ImportLog()
        self._source = source
        self._format = form

    def __iter__(self) -> Iterator[TapeRecord]:
        """Return the records, numbered from 1 unless the recording has numbers.

        Raises `ImportFormatError` when not one frame could be read or the file is damaged.
        """
        self.log = ImportLog()
        count = 0
        for record in self._unnumbered():
            count += 1
            # Our own export carries numbers; nothing else does.
            yield record if self.keeps_numbers else record._replace(seq=count)
        if count == 0 and self.log.bad_line_count:
            first = self.log.bad_lines[0]
            raise ImportFormatError(
                f"{self.path}: looks like format {self.format!r}, but no line could be read"
                f" (line {first.number}: {first.reason}): check the file, or name its fields"
                " with --time-field and --payload-field"
            )

    @property
    def keeps_numbers(self) -> bool:
        """True for our own export, whose records keep their kinds, numbers and notes."""
        return self.format == "overround-export"

    def _unnumbered(self) -> Iterator[TapeRecord]:
        if self._format.converter is None:
            return self._from_value()
        records = self._from_lines(self._format.converter())
        if self._format.newest_first:
            return iter(sorted(records, key=lambda record: record.recv_wall_ns))
        return records

    def _from_lines(self, convert: LineConverter) -> Iterator[TapeRecord]:
        for number, line in self._source.lines(self.log):
            try:
                records = convert(line, self.log)
            except (msgspec.DecodeError, ValueError, KeyError, TypeError, RecursionError) as error:
                self.log.bad(number, f"{type(error).__name__}: {error}")
                continue
            yield from records

    def _from_value(self) -> Iterator[TapeRecord]:
        try:
            return iter(frames.whole_value(self._source.whole().strip()))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ImportFormatError(
                f"{self.path}: is neither a frame nor an array of frames ({error}):"
                " give a recording, one JSON object a line"
            ) from error


def open_recording(path: Path | str, *, fields: GenericFields | None = None) -> Recording:
    """Open a recording; its format is told by content, or given by the names of its fields.

    Raises `ImportFormatError` when the file cannot be read or no format fits.
    """
    source = Source(Path(path))
    if fields is not None:
        streams = dict(KNOWN_STREAMS)
        form = Format("generic", "receive", False, lambda: frames.generic(fields, streams))
        source.head()
        return Recording(source, form, streams)
    form = _detect(source)
    if form.derived:
        return Recording(source, form, {STREAM_DERIVED: StreamNote(STREAM_DERIVED, form.name, "derived")})
    return Recording(source, form, dict(KNOWN_STREAMS))


def _detect(source: Source) -> Format:
    head = source.head().lstrip()
    if not head:
        raise ImportFormatError(f"{source.path}: is empty (0 bytes): give a recording")
    first, _break, rest = head.partition(b"\n")
    first = first.strip()
    for header, form in _CSV:
        if first.startswith(header):
            return form
    if first.startswith(b"{"):
        try:
            names = frozenset(msgspec.json.decode(first, type=dict[str, msgspec.Raw]))
        except (msgspec.DecodeError, RecursionError):
            # A value spread over several lines, or a first line longer than the head.
            return _WHOLE
        for needed, form in _LINES:
            if needed <= names:
                return form
    elif first.startswith(b"["):
        several = _is_json(first) and rest.strip()
        return _FRAMES if several else _WHOLE
    raise ImportFormatError(
        f"{source.path}: no known recording format (first line {first[:60]!r}): for JSON lines name"
        " the fields with --time-field, --time-unit and --payload-field"
    )


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class ImportReport(NamedTuple):
    """What an import did."""

    path: Path
    tape: Path
    format: str
    time_source: TimeSource
    derived: bool
    records: int
    """Records written, our own notes about the import not counted."""
    skipped: dict[str, int]
    """Rows that hold no frame, by reason."""
    bad_line_count: int
    bad_lines: tuple[BadLine, ...]
    first_wall_ns: int | None
    last_wall_ns: int | None


def import_recording(
    src: Path | str, dst: Path | str, *, fields: GenericFields | None = None, run_id: str = "import"
) -> ImportReport:
    """Write a recording to a new tape; unless it is our own export, notes on its source come first.

    Raises `ImportFormatError`, and `TapeWriteError` when the tape exists or cannot be written. What was
    read before a failure is on the tape.
    """
    recording = open_recording(src, fields=fields)
    dst = Path(dst)
    if dst.is_dir() and segment_paths(dst):
        raise TapeWriteError(f"{dst}: already holds a tape ({dst.name}): give a new directory")
    records = iter(recording)
    # Before the tape is begun: a file that cannot be read leaves no empty tape behind.
    first = next(records, None)
    count, low, high = 0, None, None
    with TapeWriter(dst, run_id=run_id) as tape:
        described: set[int] = set()
        for record in chain(() if first is None else (first,), records):
            if not recording.keeps_numbers:
                _describe(tape, recording, record, described)
            _put(tape, record)
            count += 1
            wall_ns = record.recv_wall_ns
            low = wall_ns if low is None or wall_ns < low else low
            high = wall_ns if high is None or wall_ns > high else high
    log = recording.log
    return ImportReport(
        path=recording.path,
        tape=dst,
        format=recording.format,
        time_source=recording.time_source,
        derived=recording.derived,
        records=count,
        skipped=dict(log.skipped),
        bad_line_count=log.bad_line_count,
        bad_lines=tuple(log.bad_lines),
        first_wall_ns=low,
        last_wall_ns=high,
    )


def _describe(tape: TapeWriter, recording: Recording, record: TapeRecord, described: set[int]) -> None:
    """Write the notes due before a record: on the source before the first, on each stream once."""
    if record.stream in described:
        return
    notes: list[SourceNote | StreamNote] = []
    if not described:
        notes.append(
            SourceNote(recording.path.name, recording.format, recording.time_source, recording.derived)
        )
    notes.append(recording.streams[record.stream])
    described.add(record.stream)
    for note in notes:
        _put(tape, record._replace(kind=NOTE, payload=encode_note(note)))


def _put(tape: TapeWriter, record: TapeRecord) -> None:
    try:
        tape.append(*record)
    except TapeOverflow:
        # A file can wait for the disk, unlike a feed.
        tape.sync()
        tape.append(*record)
