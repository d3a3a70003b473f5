"""Takes records out of a tape: JSON lines that can be imported again, and Parquet of book updates.

Invariants: importing a JSONL export gives the same records back, bit for bit; an output file appears
under its name only when it is complete.
Must not know how a payload is decoded: the normaliser is handed in.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple, Protocol

import msgspec

from overround.storage import zstd
from overround.storage.tape_format import FRAME, TapeRecord
from overround.storage.tape_reader import TapeReader

ROW_GROUP_ROWS: Final = 131_072


class ExportError(Exception):
    """An export cannot be made; the message names file, fault and remedy."""


class ExportReport(NamedTuple):
    """What an export wrote."""

    path: Path
    records: int
    """Records read from the tape."""
    rows: int
    """Lines or Parquet rows written."""
    rejected: int
    """Frames the normaliser refused (Parquet only)."""
    bytes_out: int


class Update(NamedTuple):
    """One normalised fact of a frame: a level of a book, or a trade."""

    kind: Literal["snapshot", "delta", "trade"]
    """`snapshot`: one level of a whole book, all levels of it share the frame's seq. `delta`: the level
    now has this size, 0 removes it. `trade`: a match at this price."""
    exchange_ts_ms: int
    token_id: str
    side: Literal["BUY", "SELL"]
    """BUY: a bid level, or a taker who bought."""
    px_e6: int
    qty_e6: int


class Normaliser(Protocol):
    """Turns a frame's bytes into updates."""

    def __call__(self, payload: bytes, /) -> Iterable[Update]:
        """Return the frame's updates, none for other messages. Raises `ValueError` for a broken frame."""
        ...


def export_jsonl(tape: Path | str, out: Path | str) -> ExportReport:
    """Write one JSON object a line for each record; `out` ending in `.zst` is compressed.

    Fields: kind, seq, recv_wall_ns, recv_mono_ns, stream, generation, and the payload: as `payload`
    (its own bytes) when it is JSON on one line, else as `payload_base64`.
    Raises what `TapeReader` raises, and `ExportError` when the file cannot be written.
    """
    out = Path(out)
    open_file = zstd.open_write if out.suffix == ".zst" else _open_plain
    count = 0
    with TapeReader(tape) as records, _finished_file(out, open_file) as file:
        for record in records:
            file.write(jsonl_line(record))
            count += 1
    return ExportReport(out, count, count, 0, out.stat().st_size)


def jsonl_line(record: TapeRecord) -> bytes:
    """Return a record as one line of JSON, line break included."""
    payload = record.payload
    if _fits_one_line(payload):
        field = b'"payload":' + payload
    else:
        field = b'"payload_base64":"' + base64.b64encode(payload) + b'"'
    return b'{"kind":%d,"seq":%d,"recv_wall_ns":%d,"recv_mono_ns":%d,"stream":%d,"generation":%d,%b}\n' % (
        *record[:6],
        field,
    )


def _fits_one_line(payload: bytes) -> bool:
    """Tell whether the payload can stand inside a JSON line and be sliced out of it unchanged."""
    if payload != payload.strip() or b"\n" in payload or b"\r" in payload:
        return False
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def export_parquet(tape: Path | str, out: Path | str, normalise: Normaliser) -> ExportReport:
    """Write the normalised updates of all frames as Parquet, one row group at a time.

    Columns: seq, recv_wall_ns, exchange_ts_ms, token_id, side, px_e6, qty_e6, kind. Frames the
    normaliser refuses are counted. An empty book writes no row.
    Raises what `TapeReader` raises, and `ExportError` when pyarrow is missing or the file cannot be
    written.
    """
    arrow, parquet = _pyarrow(Path(out))
    text = arrow.dictionary(arrow.int32(), arrow.string())
    schema = arrow.schema(
        [
            ("seq", arrow.int64()),
            ("recv_wall_ns", arrow.int64()),
            ("exchange_ts_ms", arrow.int64()),
            ("token_id", text),
            ("side", text),
            ("px_e6", arrow.int64()),
            ("qty_e6", arrow.int64()),
            ("kind", text),
        ]
    )
    out = Path(out)
    rows = 0
    with TapeReader(tape) as records, _finished_file(out, _open_plain) as file:
        updates = _Updates(records, normalise)
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            stream = iter(updates)
            while batch := list(islice(stream, ROW_GROUP_ROWS)):
                columns = [
                    arrow.array(column, field.type)
                    for column, field in zip(zip(*batch, strict=True), schema, strict=True)
                ]
                writer.write_table(arrow.table(columns, schema=schema), ROW_GROUP_ROWS)
                rows += len(batch)
    return ExportReport(out, updates.records, rows, updates.rejected, out.stat().st_size)


class _Updates:
    """Rows of the Parquet file, made one by one, and the counts of what they came from."""

    def __init__(self, records: Iterable[TapeRecord], normalise: Normaliser) -> None:
        self._tape_records = records
        self._normalise = normalise
        self.records = 0
        self.rejected = 0

    def __iter__(self) -> Iterator[tuple[int | str, ...]]:
        for record in self._tape_records:
            self.records += 1
            if record.kind != FRAME:
                continue
            try:
                # As a whole: a frame refused in its middle leaves no rows.
                updates = list(self._normalise(record.payload))
            except ValueError:
                self.rejected += 1
                continue
            for kind, exchange_ts_ms, token_id, side, px_e6, qty_e6 in updates:
                yield (
                    record.seq,
                    record.recv_wall_ns,
                    exchange_ts_ms,
                    token_id,
                    side,
                    px_e6,
                    qty_e6,
                    kind,
                )


def _pyarrow(out: Path) -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ExportError(
            f"{out}: writing Parquet needs pyarrow; install it with: pip install 'overround[parquet]'"
        ) from error


def _open_plain(path: Path) -> BinaryIO:
    return path.open("wb")


@contextmanager
def _finished_file(out: Path, open_file: Callable[[Path], BinaryIO]) -> Iterator[BinaryIO]:
    """Give a file that takes its name when the block ends well and vanishes otherwise."""
    part = out.with_name(out.name + ".part")
    try:
        with open_file(part) as file:
            yield file
        part.replace(out)
    except OSError as error:
        reason = error.strerror or error
        raise ExportError(f"{out}: cannot be written ({reason}); give another output path") from error
    finally:
        part.unlink(missing_ok=True)
