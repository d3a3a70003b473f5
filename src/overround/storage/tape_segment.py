"""One segment file seen from outside: its header, where its blocks lie, and what a crash cut off.

Invariants: a segment's blocks are contiguous and their headers intact; a tail is cut only when no
whole block follows it, otherwise the file is damaged and refused.
Must not know: other segments, how records are used.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from overround.storage.tape_errors import TapeDamaged, TapeFormatError, TapeVersionError
from overround.storage.tape_format import (
    BLOCK_HEADER_BYTES,
    BLOCK_MAGIC,
    FORMAT_VERSION,
    INDEX_MAGIC,
    INDEX_TAIL_BYTES,
    SEGMENT_HEADER_BYTES,
    SEGMENT_MAGIC,
    BlockError,
    BlockHeader,
    NotASegment,
    SegmentHeader,
    VersionMismatch,
    check_block,
    decode_block_header,
    decode_index,
    decode_segment_header,
    index_bytes,
)

SUFFIX: Final = ".tape"
_NAME: Final = re.compile(r"[0-9]{8}\.tape")
_SEARCH_BYTES: Final = 4 * 2**20


class TornTail(NamedTuple):
    """The end of a segment that a crash left incomplete; its bytes are not read."""

    path: Path
    offset: int
    lost_bytes: int
    reason: str


class BlockRef(NamedTuple):
    """Where a block lies."""

    path: Path
    offset: int
    header: BlockHeader


class Segment(NamedTuple):
    """A segment file that was opened and checked."""

    path: Path
    file_bytes: int
    header: SegmentHeader
    blocks: list[BlockRef]
    torn: TornTail | None


class HeaderCut(TapeFormatError):
    """The file ends inside the segment header: a crash right after it was created, or no tape at all."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(
            f"{path}: {'is empty' if size == 0 else 'ends inside the segment header'}, holds no record;"
            " remove the file or give another path"
        )
        self.path = path
        self.size = size


def segment_path(directory: Path, number: int) -> Path:
    """Return the path of segment `number` in a tape's directory."""
    return directory / f"{number:08d}{SUFFIX}"


def segment_paths(directory: Path) -> list[Path]:
    """Return the segment files of a tape's directory in order (other files are none of the tape's)."""
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def load_segment(path: Path) -> Segment:
    """Open a segment and find its blocks, from its index or, without one, from the block headers.

    Raises `TapeFormatError` (`HeaderCut` for a file too short), `TapeVersionError` or `TapeDamaged`.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = _read_header(path, file, size)
        headers = _read_index(file, size)
        if headers is not None:
            return Segment(path, size, header, _place(path, headers), None)
        blocks, torn = _scan(path, file, size)
        return Segment(path, size, header, blocks, torn)


def _read_header(path: Path, file: BinaryIO, size: int) -> SegmentHeader:
    data = file.read(SEGMENT_HEADER_BYTES)
    if len(data) < SEGMENT_HEADER_BYTES and data[: len(SEGMENT_MAGIC)] == SEGMENT_MAGIC[: len(data)]:
        raise HeaderCut(path, size)
    try:
        return decode_segment_header(data.ljust(SEGMENT_HEADER_BYTES, b"\0"))
    except NotASegment as error:
        raise TapeFormatError(
            f"{path}: is not a tape ({path.name}): give a directory of NNNNNNNN{SUFFIX} files or one such"
            " file, and bring other recordings in with 'overround import'"
        ) from error
    except VersionMismatch as mismatch:
        raise TapeVersionError(path, mismatch.found, FORMAT_VERSION) from mismatch
    except BlockError as error:
        raise TapeDamaged(path, 0, str(error)) from error


def _read_index(file: BinaryIO, size: int) -> list[BlockHeader] | None:
    """Return the block headers of a cleanly closed segment, None when the index is missing or unfit."""
    if size < SEGMENT_HEADER_BYTES + INDEX_TAIL_BYTES:
        return None
    file.seek(size - INDEX_TAIL_BYTES)
    length = index_bytes(file.read(INDEX_TAIL_BYTES))
    if not INDEX_TAIL_BYTES < length <= size - SEGMENT_HEADER_BYTES:
        return None
    file.seek(size - length)
    try:
        headers = decode_index(file.read(length))
    except BlockError:
        return None
    blocks_bytes = sum(BLOCK_HEADER_BYTES + header.packed_bytes for header in headers)
    return headers if SEGMENT_HEADER_BYTES + blocks_bytes + length == size else None


def _place(path: Path, headers: list[BlockHeader]) -> list[BlockRef]:
    blocks = []
    offset = SEGMENT_HEADER_BYTES
    for header in headers:
        blocks.append(BlockRef(path, offset, header))
        offset += BLOCK_HEADER_BYTES + header.packed_bytes
    return blocks


def _scan(path: Path, file: BinaryIO, size: int) -> tuple[list[BlockRef], TornTail | None]:
    """Walk the block headers of a segment that has no usable index."""
    blocks: list[BlockRef] = []
    offset, reason = SEGMENT_HEADER_BYTES, "segment was not closed"
    while offset < size:
        file.seek(offset)
        data = file.read(BLOCK_HEADER_BYTES)
        if data.startswith(INDEX_MAGIC):
            reason = "index is incomplete, all blocks are there"
            break
        try:
            header = decode_block_header(data)
        except BlockError as error:
            reason = str(error)
            break
        end = offset + BLOCK_HEADER_BYTES + header.packed_bytes
        if end > size:
            reason = "block is cut short"
            break
        blocks.append(BlockRef(path, offset, header))
        offset = end
    if offset < size and _whole_block_after(file, offset + 1, size):
        raise TapeDamaged(path, offset, reason)
    # The system may have written a header before its block: only blocks at the end can be such.
    while blocks and not _is_whole(file, blocks[-1]):
        offset, reason = blocks.pop().offset, "block checksum"
    return blocks, TornTail(path, offset, size - offset, reason) if offset < size else None


def _is_whole(file: BinaryIO, block: BlockRef) -> bool:
    file.seek(block.offset + BLOCK_HEADER_BYTES)
    try:
        check_block(block.header, file.read(block.header.packed_bytes))
    except BlockError:
        return False
    return True


def _whole_block_after(file: BinaryIO, start: int, size: int) -> bool:
    """Tell whether any intact block begins at or after `start`."""
    while start < size:
        file.seek(start)
        window = file.read(_SEARCH_BYTES)
        found = window.find(BLOCK_MAGIC)
        if found < 0:
            # A mark may lie across the border of two windows.
            start += max(len(window) - len(BLOCK_MAGIC) + 1, 1)
            continue
        start += found
        file.seek(start)
        try:
            header = decode_block_header(file.read(BLOCK_HEADER_BYTES))
            check_block(header, file.read(header.packed_bytes))
        except BlockError:
            start += 1
            continue
        return True
    return False
