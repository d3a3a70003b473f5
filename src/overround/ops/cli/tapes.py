"""``import`` and ``export``: recordings in, tapes out. Neither overwrites anything."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overround.ops.cli.base import BadInput, JsonOption, existing_file, print_json, print_pairs

if TYPE_CHECKING:
    from overround.storage.exporters import ExportReport, Update
    from overround.storage.import_frames import GenericFields


class TimeUnit(StrEnum):
    """Units of a recording's own times."""

    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"
    ISO = "iso"


class ExportFormat(StrEnum):
    """What ``export`` writes."""

    JSONL = "jsonl"
    PARQUET = "parquet"


def import_(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Recording; .zst and .gz are unpacked.")],
    tape: Annotated[Path, typer.Argument(metavar="DST", help="Directory of the new tape.")],
    time_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="Field with the receive time (generic JSONL).")
    ] = None,
    time_unit: Annotated[TimeUnit, typer.Option(help="Unit of that field.")] = TimeUnit.S,
    payload_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="Field with the frame (generic JSONL).")
    ] = None,
    stream_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="Field with the stream's name.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a foreign recording in as a tape.

    The format is told by content: JSON lines and arrays of the known recorders,
    bare frames, CSV of best prices, this program's own export. For other JSON
    lines name the fields of time and payload.
    """
    from overround.storage.importers import import_recording

    existing_file(source)
    report = import_recording(
        source, tape, fields=_generic(time_field, time_unit, payload_field, stream_field)
    )
    said: dict[str, Any] = {
        "path": str(report.path),
        "tape": str(report.tape),
        "format": report.format,
        "time_source": report.time_source,
        "derived": report.derived,
        "records": report.records,
        "skipped": report.skipped,
        "bad_lines": report.bad_line_count,
        "first_bad_lines": [{"line": bad.number, "reason": bad.reason} for bad in report.bad_lines[:10]],
        "first_ms": _ms(report.first_wall_ns),
        "last_ms": _ms(report.last_wall_ns),
    }
    if as_json:
        print_json(said)
        return
    said |= {"first": _moment(report.first_wall_ns), "last": _moment(report.last_wall_ns)}
    for name in ("first_ms", "last_ms", "first_bad_lines"):
        del said[name]
    said |= {f"line {bad.number}": bad.reason for bad in report.bad_lines[:5]}
    print_pairs("imported", said)


def export(
    tape: Annotated[Path, typer.Argument(metavar="TAPE", help="Tape, or a data directory with one.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New file; .zst compresses JSON lines.")],
    form: Annotated[
        ExportFormat | None,
        typer.Option("--format", help="Default: parquet for *.parquet, else jsonl."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a tape as JSON lines or Parquet.

    JSON lines keep every record and can be imported again. Parquet holds
    normalised updates: one row a book level, change or trade, in millionths.
    """
    from overround.ops.recorded_sources import data_tape
    from overround.storage.exporters import ExportError, export_jsonl, export_parquet

    if out.exists():
        raise BadInput(out, "exists already", out.name, "name a new file")
    if not out.parent.is_dir():
        raise BadInput(out, "its directory does not exist", out.parent, "make it first")
    chosen = form or (ExportFormat.PARQUET if out.suffix == ".parquet" else ExportFormat.JSONL)
    path = (data_tape(tape) or tape) if tape.is_dir() else tape
    try:
        if chosen is ExportFormat.PARQUET:
            report = export_parquet(path, out, _normaliser())
        else:
            report = export_jsonl(path, out)
    except ExportError as error:
        raise BadInput(out, "cannot be exported", chosen, str(error)) from error
    _say_exported(report, chosen, tape, as_json)


def _say_exported(report: "ExportReport", form: ExportFormat, tape: Path, as_json: bool) -> None:
    said = {
        "tape": str(tape),
        "path": str(report.path),
        "format": str(form),
        "records": report.records,
        "rows": report.rows,
        "rejected": report.rejected,
        "bytes": report.bytes_out,
    }
    if as_json:
        print_json(said)
    else:
        print_pairs("exported", said)


def _normaliser() -> "Callable[[bytes], list[Update]]":
    from overround.polymarket.normalise import normalise
    from overround.storage.exporters import Update

    return lambda payload: [Update(*row) for row in normalise(payload)]


def _generic(
    time_field: str | None, unit: TimeUnit, payload_field: str | None, stream_field: str | None
) -> "GenericFields | None":
    from overround.storage.import_frames import GenericFields

    if time_field is None and payload_field is None and stream_field is None:
        return None
    if not time_field or not payload_field:
        missing = "--payload-field" if time_field else "--time-field"
        raise BadInput(missing, "is needed with the other field options", "absent", "name both fields")
    return GenericFields(time_field, payload_field, unit.value, stream_field)


def _ms(wall_ns: int | None) -> int | None:
    return None if wall_ns is None else wall_ns // 1_000_000


def _moment(wall_ns: int | None) -> str:
    if wall_ns is None:
        return "-"
    return datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


COMMANDS: dict[str, Callable[..., None]] = {"import": import_, "export": export}
