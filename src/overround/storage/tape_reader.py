"""Reads a tape: all records in order, or from a sequence number or a time on.

Invariants: a record handed out is exactly the one that was appended; an end torn by a crash is left
out and reported in `info().torn`; any other damage raises `TapeDamaged` and nothing after it is read.
Must not know what a payload means.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain, dropwhile, pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from overround.storage.tape_errors import TapeDamaged, TapeFormatError
from overround.storage.tape_format import (
    BLOCK_HEADER_BYTES,
    RECORD_OVERHEAD_BYTES,
    BlockError,
    TapeRecord,
    decode_block,
    encode_block_header,
)
from overround.storage.tape_segment import (
    SUFFIX,
    BlockRef,
    HeaderCut,
    Segment,
    TornTail,
    load_segment,
    segment_paths,
)


class TapeInfo(NamedTuple):
    """What a tape holds, known from its headers alone."""

    path: Path
    segments: int
    blocks: int
    records: int
    frames: int
    first_seq: int | None
    last_seq: int | None
    first_wall_ns: int | None
    """Smallest receive time on the tape, nanoseconds since 1970-01-01 UTC."""
    last_wall_ns: int | None
    """Largest receive time on the tape."""
    payload_bytes: int
    file_bytes: int
    run_ids: tuple[str, ...]
    torn: tuple[TornTail, ...]

    @property
    def ratio(self) -> float:
        """Payload bytes per byte of file."""
        return self.payload_bytes / self.file_bytes if self.file_bytes else 0.0


class TapeReader:
    """A tape opened for reading: a directory of segments or one segment file. One thread at a time."""

    def __init__(self, path: Path | str) -> None:
        """Open a tape and load its index.

        Raises `TapeFormatError`, `TapeVersionError` or `TapeDamaged`.
        """
        self.path = Path(path)
        self._file: BinaryIO | None = None
        self._file_path: Path | None = None
        self._segments, self._torn = _load(self.path)
        self._blocks = [block for segment in self._segments for block in segment.blocks]
        self._last_seqs = [block.header.last_seq for block in self._blocks]
        # Receive times can step back; the running maximum cannot, so a bisection finds the first block
        # that holds a time at or after the one asked for.
        self._max_walls = list(accumulate((block.header.max_wall_ns for block in self._blocks), max))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file held open; the reader can go on being used and opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = self._file_path = None

    def __iter__(self) -> Iterator[TapeRecord]:
        """Return all records in order; raises `TapeDamaged` on reaching damage."""
        return self._from_block(0)

    def seek(self, *, seq: int | None = None, ts_wall_ns: int | None = None) -> Iterator[TapeRecord]:
        """Return the records from the first one with this number or receive time, or a later one, on.

        With both given, both must be reached. Reads one block before the first record.
        Raises `TapeDamaged` on reaching damage.
        """
        at_seq = 0 if seq is None else bisect_left(self._last_seqs, seq)
        at_wall = 0 if ts_wall_ns is None else bisect_left(self._max_walls, ts_wall_ns)
        records = self._from_block(max(at_seq, at_wall))
        if seq is not None:
            records = dropwhile(lambda record: record.seq < seq, records)
        if ts_wall_ns is not None:
            records = dropwhile(lambda record: record.recv_wall_ns < ts_wall_ns, records)
        return records

    def info(self) -> TapeInfo:
        """Return the tape's summary without reading any block."""
        headers = [block.header for block in self._blocks]
        records = sum(header.records for header in headers)
        raw_bytes = sum(header.raw_bytes for header in headers)
        return TapeInfo(
            path=self.path,
            segments=len(self._segments),
            blocks=len(headers),
            records=records,
            frames=sum(header.frames for header in headers),
            first_seq=headers[0].first_seq if headers else None,
            last_seq=headers[-1].last_seq if headers else None,
            first_wall_ns=min((header.min_wall_ns for header in headers), default=None),
            last_wall_ns=self._max_walls[-1] if headers else None,
            payload_bytes=raw_bytes - records * RECORD_OVERHEAD_BYTES,
            file_bytes=sum(segment.file_bytes for segment in self._segments),
            run_ids=tuple(dict.fromkeys(segment.header.run_id for segment in self._segments)),
            torn=self._torn,
        )

    def _from_block(self, index: int) -> Iterator[TapeRecord]:
        blocks = (self._blocks[at] for at in range(index, len(self._blocks)))
        return chain.from_iterable(map(self._read_block, blocks))

    def _read_block(self, block: BlockRef) -> Iterable[TapeRecord]:
        if self._file is None or block.path != self._file_path:
            self.close()
            self._file = block.path.open("rb")
            self._file_path = block.path
        self._file.seek(block.offset)
        head = self._file.read(BLOCK_HEADER_BYTES)
        if head != encode_block_header(block.header):
            raise TapeDamaged(block.path, block.offset, "block header differs from the index")
        try:
            return decode_block(block.header, self._file.read(block.header.packed_bytes))
        except BlockError as error:
            raise TapeDamaged(block.path, block.offset, str(error)) from error


def _load(path: Path) -> tuple[list[Segment], tuple[TornTail, ...]]:
    if not path.exists():
        raise TapeFormatError(
            f"{path}: does not exist ({path.name}): give a tape's directory or one of its segment files"
        )
    if not path.is_dir():
        segment = load_segment(path)
        return [segment], (segment.torn,) if segment.torn else ()
    paths = segment_paths(path)
    if not paths:
        raise TapeFormatError(
            f"{path}: directory holds no NNNNNNNN{SUFFIX} segment ({path.name}): give a tape's directory,"
            " or bring a recording in with 'overround import'"
        )
    segments: list[Segment] = []
    torn: list[TornTail] = []
    for file in paths:
        try:
            segment = load_segment(file)
        except HeaderCut as cut:
            torn.append(TornTail(file, 0, cut.size, "segment header is cut short"))
            continue
        segments.append(segment)
        if segment.torn:
            torn.append(segment.torn)
    _check_sequence(paths, segments)
    return segments, tuple(torn)


def _check_sequence(paths: list[Path], segments: list[Segment]) -> None:
    for before, after in pairwise(paths):
        if int(after.stem) != int(before.stem) + 1:
            raise TapeDamaged(after, 0, f"the segments between {before.name} and this one are missing")
    for segment in segments:
        if segment.header.number != int(segment.path.stem):
            raise TapeDamaged(segment.path, 0, f"was written as segment {segment.header.number}")
    blocks = (block for segment in segments for block in segment.blocks)
    for earlier, later in pairwise(blocks):
        if later.header.first_seq < earlier.header.last_seq:
            raise TapeDamaged(later.path, later.offset, "sequence numbers fall: segments of different tapes")
