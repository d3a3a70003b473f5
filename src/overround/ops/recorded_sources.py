"""What a path on the command line holds: a tape, a service's data directory, or a recording.

Invariants: a source can be read any number of times; what is neither tape nor recording is an error that
says what it is. Knows no engine.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from overround.ops.market_files import describes_markets
from overround.ops.mistakes import BadInput
from overround.storage.engine import DATABASE_NAME
from overround.storage.import_source import ImportFormatError
from overround.storage.importers import Recording, open_recording
from overround.storage.tape import FRAME, TapeReader, TapeRecord
from overround.storage.tape_format import SEGMENT_MAGIC
from overround.storage.tape_notes import STREAM_USER, NoteError

MARKET_SUFFIXES: Final = (".markets.json", ".markets.jsonl", ".markets.json.zst")
COMMON_MARKETS: Final = "markets.gamma.json"
TAPE_NAME: Final = "tape"


class RecordedSource(NamedTuple):
    """Records of a tape or a recording, and what it is called."""

    path: Path
    form: str
    """``tape``, or the recording's format."""
    records: Iterable[TapeRecord]
    """Can be iterated again and again."""
    torn: tuple[str, ...] = ()
    """What was cut off at a tape's end."""

    def left_out(self) -> list[str]:
        """Return what the last reading could not use, in words."""
        notes = [f"torn end: {cut}" for cut in self.torn]
        if isinstance(self.records, Recording):
            log = self.records.log
            notes += [f"{count} rows skipped: {why}" for why, count in sorted(log.skipped.items())]
            if log.bad_lines:
                first = log.bad_lines[0]
                said = f"first: line {first.number}, {first.reason}"
                notes.append(f"{log.bad_line_count} lines could not be read, {said}")
        return notes

    @property
    def is_tape(self) -> bool:
        """Whether it is a tape of this program."""
        return self.form == "tape"


@contextmanager
def notes_of(path: Path) -> Iterator[None]:
    """Refuse a tape with notes that this program does not know. Raises ``BadInput``."""
    try:
        yield
    except NoteError as error:
        remedy = "read it with the program version that wrote it"
        raise BadInput(path, "holds a note this program does not know", error, remedy) from error


class MarketFrames:
    """The frames of a source that came over market streams or REST."""

    def __init__(self, records: Iterable[TapeRecord]) -> None:
        self._records = records

    def __iter__(self) -> Iterator[TapeRecord]:
        for record in self._records:
            if record.kind == FRAME and record.stream != STREAM_USER:
                yield record


class TapeRecords:
    """The records of a tape; the file is open only while they are read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[TapeRecord]:
        with TapeReader(self._path) as reader:
            yield from reader


def open_source(path: Path) -> RecordedSource:
    """Open a tape (directory, segment, or data directory) or any recording that ``import`` understands.

    Raises ``TapeError``, ``ImportFormatError`` or ``BadInput``.
    """
    if not path.exists():
        raise BadInput(path, "no such file or directory", path.name, "give a tape or a recording that exists")
    if path.is_dir():
        return _tape(data_tape(path) or path)
    try:
        with path.open("rb") as file:
            magic = file.read(len(SEGMENT_MAGIC))
    except OSError as error:
        raise BadInput(path, "cannot be read", error.strerror or error, "give a readable file") from error
    # Too short to be a whole magic number: a tape whose beginning is cut says so itself.
    if magic and SEGMENT_MAGIC.startswith(magic):
        return _tape(path)
    try:
        recording = open_recording(path)
        next(iter(recording), None)
    except ImportFormatError:
        if describes_markets(path):
            raise BadInput(
                path,
                "holds market metadata and no book",
                "its best prices are no order books",
                "give a recording here, and this file with --markets",
            ) from None
        raise
    return RecordedSource(path, recording.format, recording)


def data_tape(path: Path) -> Path | None:
    """Return the tape in a service's data directory, ``None`` if ``path`` is none."""
    tape = path / TAPE_NAME
    return tape if (path / DATABASE_NAME).exists() and tape.is_dir() else None


def beside(path: Path) -> Path | None:
    """Return the file with the markets of a recording that lies beside it, if there is one."""
    name = path.name.removesuffix(".zst").removesuffix(".gz")
    stems = {name, name.rpartition(".")[0]}
    candidates = [
        path.with_name(stem + suffix) for stem in sorted(filter(None, stems)) for suffix in MARKET_SUFFIXES
    ]
    candidates.append(path.with_name(COMMON_MARKETS))
    return next((each for each in candidates if each.is_file() and each != path), None)


def _tape(path: Path) -> RecordedSource:
    with TapeReader(path) as reader:
        cuts = reader.info().torn
    torn = tuple(f"{cut.path.name}: {cut.lost_bytes} bytes cut off ({cut.reason})" for cut in cuts)
    return RecordedSource(path, "tape", TapeRecords(path), torn)
