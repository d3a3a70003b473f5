"""What every importer needs: a recording's plain bytes by line, exact times, a log of what was left out.

Invariants: a line is either turned into frames as a whole or logged with its number; times are exact
integers of nanoseconds, never through a float.
Must not know any recording format.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO, Final, Literal, NamedTuple, cast

import msgspec

from overround.storage import zstd

MAX_LINE_BYTES: Final = 64 * 2**20
MAX_WHOLE_BYTES: Final = 256 * 2**20
HEAD_BYTES: Final = 256 * 1024
MAX_KEPT_BAD_LINES: Final = 100

TimeUnit = Literal["s", "ms", "us", "ns", "iso"]

_UNIT_NS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAMAGED: Final = (zstd.ZstdError, gzip.BadGzipFile, zlib.error, EOFError)


class ImportFormatError(Exception):
    """A file cannot be imported at all; the message names file, fault and remedy."""


class BadLine(NamedTuple):
    """A line that is no row of its format."""

    number: int
    """Line number from 1; 0 when the file is no list of lines."""
    reason: str


class ImportLog:
    """What was left out while reading one recording."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        """Rows that are readable but hold no frame, by reason."""
        self.bad_line_count = 0
        self.bad_lines: list[BadLine] = []
        """The first bad lines (at most MAX_KEPT_BAD_LINES)."""

    def bad(self, number: int, reason: object) -> None:
        """Note a line that cannot be read."""
        self.bad_line_count += 1
        if len(self.bad_lines) < MAX_KEPT_BAD_LINES:
            self.bad_lines.append(BadLine(number, f"{reason}"[:200]))


class Source:
    """A recording file: plain, gzip or zstandard, told apart by its first bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        try:
            with self.path.open("rb") as file:
                magic = file.read(4)
            with self._open_plain(magic) as plain:
                yield plain
        except _DAMAGED as error:
            raise ImportFormatError(
                f"{self.path}: compressed data is damaged or cut short ({error}): fetch the file again"
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise ImportFormatError(
                f"{self.path}: cannot be read ({reason}): give a recording file"
            ) from error

    def _open_plain(self, magic: bytes) -> BinaryIO:
        if magic == zstd.MAGIC:
            return zstd.open_read(self.path)
        if magic.startswith(b"\x1f\x8b"):
            return cast(BinaryIO, gzip.open(self.path, "rb"))
        return self.path.open("rb")

    def head(self) -> bytes:
        """Return the first bytes, enough to tell the format."""
        with self._open() as file:
            return file.read(HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")

    def whole(self) -> bytes:
        """Return the whole content. Raises `ImportFormatError` beyond MAX_WHOLE_BYTES."""
        with self._open() as file:
            data = file.read(MAX_WHOLE_BYTES + 1).removeprefix(b"\xef\xbb\xbf")
        if len(data) > MAX_WHOLE_BYTES:
            raise ImportFormatError(
                f"{self.path}: is one JSON value (over {MAX_WHOLE_BYTES} bytes): write one row a line"
            )
        return data

    def lines(self, log: ImportLog) -> Iterator[tuple[int, bytes]]:
        """Return number and bytes of each line that is not blank, without its line break."""
        with self._open() as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES):
                number += 1
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if len(line) == MAX_LINE_BYTES:
                    log.bad(number, f"longer than {MAX_LINE_BYTES} bytes")
                    while line and not line.endswith(b"\n"):
                        line = file.readline(MAX_LINE_BYTES)
                    continue
                if line := line.strip():
                    yield number, line


def parse_time_ns(text: str, unit: TimeUnit) -> int:
    """Return a time as nanoseconds since 1970-01-01 UTC, exactly (digits below a nanosecond are cut).

    Raises `ValueError` for anything but a finite number in range, or an ISO 8601 time with zone.
    """
    if unit == "iso":
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(f"time {text!r} has no zone")
        time_ns = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    else:
        try:
            number = Decimal(text)
        except InvalidOperation as error:
            raise ValueError(f"time {text!r:.60} is not a number") from error
        if not number.is_finite() or number.adjusted() > 20:
            raise ValueError(f"time {text!r:.60} is out of range")
        time_ns = int(number * _UNIT_NS[unit])
    if not 0 <= time_ns < 2**63:
        raise ValueError(f"time {text!r:.60} is out of range for unit {unit!r}")
    return time_ns


def raw_time_ns(raw: msgspec.Raw, unit: TimeUnit) -> int:
    """Return the time held by a JSON number or string; raises as `parse_time_ns`."""
    data = bytes(raw)
    text = msgspec.json.decode(data, type=str) if data.startswith(b'"') else data.decode()
    return parse_time_ns(text, unit)


def raw_payload(raw: msgspec.Raw) -> bytes:
    """Return a frame's bytes as sent: the text of a JSON string, or an object's or array's own bytes."""
    data = bytes(raw)
    if data.startswith(b'"'):
        return msgspec.json.decode(data, type=str).encode()
    if data.startswith((b"{", b"[")):
        return data
    raise ValueError(f"payload {data[:40]!r} is neither text, object nor array")
