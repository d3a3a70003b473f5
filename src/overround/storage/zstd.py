"""One door to zstandard: the standard library's module from Python 3.14, its backport before.

Invariants: bad data raises `ZstdError` (or `EOFError` from a stream that is cut), nothing else of the
library's; `decompress_exact` allocates no more than one byte beyond the size stated by the caller.
Must not know what is compressed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO, cast

if sys.version_info >= (3, 14):
    from compression import zstd as _zstd
else:
    from backports import zstd as _zstd

ZstdError = _zstd.ZstdError

MAGIC = b"\x28\xb5\x2f\xfd"
"""First bytes of every zstandard frame (RFC 8878, section 3.1.1)."""


class FrameCompressor:
    """Compresses independent frames with one reused context; one thread at a time."""

    __slots__ = ("_compressor",)

    def __init__(self, level: int) -> None:
        self._compressor = _zstd.ZstdCompressor(level=level)

    def compress(self, data: bytes) -> bytes:
        """Return one complete frame holding `data`; the interpreter lock is released meanwhile."""
        return self._compressor.compress(data, self._compressor.FLUSH_FRAME)


def decompress_exact(frame: bytes, size: int) -> bytes:
    """Return the `size` bytes held by one complete frame.

    Raises `ZstdError` when the frame is damaged, is followed by other bytes or holds another size.
    """
    decompressor = _zstd.ZstdDecompressor()
    # One byte more than promised: a frame that holds more is noticed without being unpacked whole.
    data = decompressor.decompress(frame, size + 1)
    if not decompressor.eof or decompressor.unused_data or len(data) != size:
        raise ZstdError(f"frame does not hold exactly {size} bytes")
    return data


def open_write(path: Path) -> BinaryIO:
    """Open a new compressed file, with checksum, for writing plain bytes as a stream."""
    return cast(BinaryIO, _zstd.open(path, "wb", options={_zstd.CompressionParameter.checksum_flag: 1}))


def open_read(path: Path) -> BinaryIO:
    """Open a compressed file for reading its plain bytes as a stream."""
    return cast(BinaryIO, _zstd.open(path, "rb"))
