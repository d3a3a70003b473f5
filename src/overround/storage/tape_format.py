"""The bytes of a tape segment: header, blocks of records, index. Pure encoding, no files.

Layout of a segment, all integers little-endian::

    segment header   128 bytes: magic, version, number, creation time, run id, CRC32
    block *          60-byte header (lengths, counts, seq and time range, two CRC32), one zstandard frame
    index            copy of all block headers, CRC32, length, end mark; only after a clean close

A block holds its records by column (kinds, streams, generations, payload lengths, then the first
value and differences of seq, wall time and monotonic time) followed by all payloads. Columns are
packed and unpacked by C loops, and their small differences compress to little.

Invariants: decoding returns what was encoded or raises `BlockError`; seq never falls inside a tape
(equal numbers are allowed: a note may share its frame's number); times and seq are in 0..2**63-1.
Must not know: files, threads, what a payload means.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate, chain, pairwise
from operator import le, sub
from typing import Final, NamedTuple

from overround.storage import zstd

FORMAT_VERSION: Final = 1

FRAME: Final = 1
"""Kind of a record: one message exactly as the venue sent it."""
MARK: Final = 2
"""Kind of a record: border of a batch (the engine decided here)."""
TIMER: Final = 3
"""Kind of a record: a timer fired."""
NOTE: Final = 4
"""Kind of a record: JSON about the tape itself (see `tape_notes`)."""

MAX_PAYLOAD_BYTES: Final = 64 * 2**20
"""Largest payload one record may carry; the venue's largest real message is far below 16 MiB."""

MAX_BLOCK_BYTES: Final = 2 * MAX_PAYLOAD_BYTES
"""Largest uncompressed block a reader accepts, so that a forged length cannot exhaust memory."""

SEGMENT_MAGIC: Final = b"\x89OVTAPE\n"
BLOCK_MAGIC: Final = b"\x89OvB"
INDEX_MAGIC: Final = b"\x89OvI"
END_MAGIC: Final = b"OvE\n"

_SEGMENT: Final = struct.Struct("<8sHHIQ100s")
_BLOCK: Final = struct.Struct("<4sIIIIQQQQII")
_INDEX_HEAD: Final = struct.Struct("<4sI")
_INDEX_TAIL: Final = struct.Struct("<II4s")
_CRC: Final = struct.Struct("<I")

SEGMENT_HEADER_BYTES: Final = _SEGMENT.size + _CRC.size
MAX_RUN_ID_BYTES: Final = 100
BLOCK_HEADER_BYTES: Final = _BLOCK.size
INDEX_TAIL_BYTES: Final = _INDEX_TAIL.size

RECORD_OVERHEAD_BYTES: Final = 1 + 2 + 4 + 4 + 3 * 8
"""Bytes a record takes in an uncompressed block besides its payload."""


class BlockError(ValueError):
    """Bytes are not a valid block, header or index; the text says which check failed."""


class NotASegment(ValueError):
    """The bytes do not begin a tape segment at all."""


class VersionMismatch(ValueError):
    """A segment header carries another format version."""

    def __init__(self, found: int) -> None:
        super().__init__(f"format version {found}")
        self.found = found


RecordTuple = tuple[int, int, int, int, int, int, bytes]
"""The fields of a `TapeRecord` in order; a plain tuple is as good when writing."""


class TapeRecord(NamedTuple):
    """One record of a tape."""

    kind: int
    """FRAME, MARK, TIMER or NOTE."""
    seq: int
    """Number in the one order of all inputs; never falls."""
    recv_wall_ns: int
    """Receive time, nanoseconds since 1970-01-01 UTC."""
    recv_mono_ns: int
    """Receive time on the recorder's monotonic clock, nanoseconds; 0 when unknown."""
    stream: int
    """Which connection or source; notes give it a name."""
    generation: int
    """Count of connections made by this stream, from 1."""
    payload: bytes
    """The bytes as received."""


class SegmentHeader(NamedTuple):
    """First bytes of a segment file."""

    number: int
    created_ns: int
    run_id: str


class BlockHeader(NamedTuple):
    """What is known of a block without reading it."""

    packed_bytes: int
    raw_bytes: int
    records: int
    frames: int
    first_seq: int
    last_seq: int
    min_wall_ns: int
    max_wall_ns: int
    crc: int


# NamedTuple.__new__ and _make run Python code for each record; tuple.__new__ with the class does not.
_as_record = partial(tuple.__new__, TapeRecord)


def encode_segment_header(header: SegmentHeader) -> bytes:
    """Return the 128 bytes of a segment header. Raises `ValueError` for a run id that does not fit."""
    run_id = header.run_id.encode()
    if len(run_id) > MAX_RUN_ID_BYTES:
        raise ValueError(f"run_id={header.run_id!r:.40}: at most {MAX_RUN_ID_BYTES} bytes fit")
    body = _SEGMENT.pack(SEGMENT_MAGIC, FORMAT_VERSION, len(run_id), header.number, header.created_ns, run_id)
    return body + _CRC.pack(zlib.crc32(body))


def decode_segment_header(data: bytes) -> SegmentHeader:
    """Return the header held by exactly `data` (SEGMENT_HEADER_BYTES bytes).

    Raises `NotASegment`, `VersionMismatch`, or `BlockError` when its checksum is wrong.
    """
    body = data[: -_CRC.size]
    magic, version, length, number, created_ns, run_id = _SEGMENT.unpack(body)
    if magic != SEGMENT_MAGIC:
        raise NotASegment
    if version != FORMAT_VERSION:
        raise VersionMismatch(version)
    if zlib.crc32(body) != _CRC.unpack(data[-_CRC.size :])[0]:
        raise BlockError("segment header checksum")
    return SegmentHeader(number, created_ns, run_id[:length].decode())


def encode_block(
    records: Sequence[RecordTuple], compressor: zstd.FrameCompressor
) -> tuple[BlockHeader, bytes]:
    """Return the header and the bytes (header included) of one block.

    Raises `BlockError` naming the first column with a value out of range, or a falling seq.
    """
    kinds, seqs, walls, monos, streams, generations, payloads = zip(*records, strict=True)
    lengths = list(map(len, payloads))
    if not all(map(le, seqs, seqs[1:])):
        raise BlockError("seq falls inside a block")
    min_wall_ns, max_wall_ns = min(walls), max(walls)
    raw = b"".join(
        chain(
            (
                _pack("kind", "B", kinds),
                _pack("stream", "H", streams),
                _pack("generation", "I", generations),
                _pack("length of payload", "I", lengths),
                _pack_steps("seq", seqs, seqs[0], seqs[-1]),
                _pack_steps("recv_wall_ns", walls, min_wall_ns, max_wall_ns),
                _pack_steps("recv_mono_ns", monos, min(monos), max(monos)),
            ),
            payloads,
        )
    )
    packed = compressor.compress(raw)
    header = BlockHeader(
        packed_bytes=len(packed),
        raw_bytes=len(raw),
        records=len(lengths),
        frames=kinds.count(FRAME),
        first_seq=seqs[0],
        last_seq=seqs[-1],
        min_wall_ns=min_wall_ns,
        max_wall_ns=max_wall_ns,
        crc=zlib.crc32(packed),
    )
    return header, encode_block_header(header) + packed


def _pack(name: str, code: str, column: Sequence[int]) -> bytes:
    try:
        return struct.pack(f"<{len(column)}{code}", *column)
    except struct.error as error:
        raise BlockError(f"{name}: {error}") from error


def _pack_steps(name: str, column: Sequence[int], low: int, high: int) -> bytes:
    if low < 0 or high >= 2**63:
        raise BlockError(f"{name}: must be in 0..2**63-1")
    # Both ends are in range, so every difference fits a signed 64-bit integer.
    return struct.pack(f"<{len(column)}q", column[0], *map(sub, column[1:], column))


def encode_block_header(header: BlockHeader) -> bytes:
    """Return the 60 bytes of a block header, its own checksum last."""
    head = _BLOCK.pack(BLOCK_MAGIC, *header, 0)[: -_CRC.size]
    return head + _CRC.pack(zlib.crc32(head))


def decode_block_header(data: bytes) -> BlockHeader:
    """Return the block header in exactly `data`. Raises `BlockError` when it is none or damaged."""
    if len(data) != BLOCK_HEADER_BYTES:
        raise BlockError("block header is cut short")
    magic, *fields, crc = _BLOCK.unpack(data)
    if magic != BLOCK_MAGIC:
        raise BlockError("no block starts here")
    if zlib.crc32(data[: -_CRC.size]) != crc:
        raise BlockError("block header checksum")
    return BlockHeader(*fields)


def check_block(header: BlockHeader, packed: bytes) -> None:
    """Raise `BlockError` unless `packed` are the bytes the header was made for."""
    if len(packed) != header.packed_bytes:
        raise BlockError("block is cut short")
    if zlib.crc32(packed) != header.crc:
        raise BlockError("block checksum")


def decode_block(header: BlockHeader, packed: bytes) -> Iterable[TapeRecord]:
    """Return the records of a block, made one by one as they are asked for.

    Raises `BlockError` (at once, not while iterating) when any check fails.
    """
    check_block(header, packed)
    count = header.records
    if header.raw_bytes > MAX_BLOCK_BYTES or header.raw_bytes < count * RECORD_OVERHEAD_BYTES:
        raise BlockError("block length is impossible")
    try:
        raw = zstd.decompress_exact(packed, header.raw_bytes)
    except zstd.ZstdError as error:
        raise BlockError(f"block content: {error}") from error
    at = 0
    columns: list[tuple[int, ...]] = []
    for code, width in (("B", 1), ("H", 2), ("I", 4), ("I", 4), ("q", 8), ("q", 8), ("q", 8)):
        columns.append(struct.unpack_from(f"<{count}{code}", raw, at))
        at += count * width
    kinds, streams, generations, lengths, seq_steps, wall_steps, mono_steps = columns
    if at + sum(lengths) != len(raw):
        raise BlockError("payload lengths do not fill the block")
    ends = accumulate(lengths, initial=at)
    payloads = (raw[start:end] for start, end in pairwise(ends))
    rows = zip(
        kinds,
        accumulate(seq_steps),
        accumulate(wall_steps),
        accumulate(mono_steps),
        streams,
        generations,
        payloads,
        strict=True,
    )
    return map(_as_record, rows)


def encode_index(headers: Sequence[BlockHeader]) -> bytes:
    """Return the index written after the last block of a cleanly closed segment."""
    body = _INDEX_HEAD.pack(INDEX_MAGIC, len(headers)) + b"".join(map(encode_block_header, headers))
    return body + _INDEX_TAIL.pack(zlib.crc32(body), len(body) + INDEX_TAIL_BYTES, END_MAGIC)


def index_bytes(tail: bytes) -> int:
    """Return the length of the index that ends with `tail` (INDEX_TAIL_BYTES bytes), 0 when none does."""
    _crc, length, mark = _INDEX_TAIL.unpack(tail)
    return int(length) if mark == END_MAGIC else 0


def decode_index(data: bytes) -> list[BlockHeader]:
    """Return the block headers in exactly `data`. Raises `BlockError` when it is no intact index."""
    if len(data) < _INDEX_HEAD.size + INDEX_TAIL_BYTES:
        raise BlockError("index is cut short")
    body = data[:-INDEX_TAIL_BYTES]
    crc, _length, _mark = _INDEX_TAIL.unpack(data[-INDEX_TAIL_BYTES:])
    if zlib.crc32(body) != crc:
        raise BlockError("index checksum")
    _magic, count = _INDEX_HEAD.unpack_from(body)
    starts = range(_INDEX_HEAD.size, len(body), BLOCK_HEADER_BYTES)
    if len(starts) != count:
        raise BlockError("index length")
    return [decode_block_header(body[start : start + BLOCK_HEADER_BYTES]) for start in starts]
