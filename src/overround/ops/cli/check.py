"""``book-check``: is what the recordings' books say what the venue's hashes say?"""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overround.ops.cli.base import JsonOption, Problem, err, out, print_json, print_table

if TYPE_CHECKING:
    from overround.polymarket.book_check import FileReport


def book_check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tapes or recordings.")],
    markets: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Metadata; default: FILE.markets.json(l) beside it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check recorded order books against every witness the venue gives.

    All snapshots and batches of changes are hashed, in exchange-time order, and
    compared with the hashes the venue sent; also the best prices carried by
    changes, and that YES and NO mirror each other. Exit code 1 when a book does
    not verify or a failing batch stays unexplained.
    """
    reports = []
    for path in files:
        with err.status(f"checking {path.name}") if err.is_terminal else nullcontext():
            reports.append(_check(path, markets))
        err.print(f"checked {path}: {reports[-1].frames:,} frames", soft_wrap=True)
    ok = all(report.ok for report in reports)
    if as_json:
        print_json({"files": reports, "ok": ok})
    else:
        _show(reports)
    if not ok:
        bad = next(report for report in reports if not report.ok)
        raise Problem(
            f"{bad.path}: {bad.books.checked - bad.books.hash_ok} books do not verify,"
            f" {bad.batches.misses.unexplained} batches are unexplained"
        )


def _check(path: Path, markets: Path | None) -> "FileReport":
    import msgspec

    from overround.core.events import MarketListed
    from overround.ops.market_files import load_listing
    from overround.ops.recorded_sources import MarketFrames, beside, notes_of, open_source
    from overround.polymarket.book_check import check_frames
    from overround.runtime.backtest import noted_metadata

    source = open_source(path)
    known = {}
    if source.is_tape:
        with notes_of(path):
            facts = noted_metadata(source.records)
        known = {fact.market.condition_id: fact.market for fact in facts if isinstance(fact, MarketListed)}
    metadata_file = markets or beside(path)
    if metadata_file is not None:
        known |= {market.condition_id: market for market in load_listing(metadata_file, 0).markets}
    report = check_frames(MarketFrames(source.records), known, path=str(path))
    return msgspec.structs.replace(report, notes=[*report.notes, *source.left_out()])


def _show(reports: "list[FileReport]") -> None:
    columns = ("", *(Path(report.path).name[:24] for report in reports))
    rows: list[tuple[str, Callable[[FileReport], object]]] = [
        ("frames", lambda r: f"{r.frames:,}"),
        ("rejected", lambda r: r.rejected),
        ("tokens", lambda r: r.tokens),
        ("books: hash right", lambda r: _share(r.books.hash_ok, r.books.checked)),
        ("batches: hash right", lambda r: _share(r.batches.hash_ok, r.batches.checked)),
        ("  in arrival order", lambda r: _share(r.batches.hash_ok_arrival_order, r.batches.checked)),
        ("  longest untrue", lambda r: f"{r.batches.longest_untrue_ms} ms"),
        ("  misses: late", lambda r: r.batches.misses.late),
        ("  misses: next included", lambda r: r.batches.misses.next_included),
        ("  misses: last trade unknown", lambda r: r.batches.misses.unknown_last_trade),
        ("  misses: gap", lambda r: r.batches.misses.gap),
        ("  misses: unexplained", lambda r: r.batches.misses.unexplained),
        ("best prices agree", lambda r: _share(r.top.checked - r.top.mismatch, r.top.checked)),
        ("YES/NO mirror agrees", lambda r: _share(r.mirror.checked - r.mirror.mismatch, r.mirror.checked)),
        ("frames out of order", lambda r: f"{r.late_frames:,}"),
        ("resyncs", lambda r: len(r.resyncs)),
        ("verdict", lambda r: "ok" if r.ok else "PROBLEM"),
    ]
    # Side by side only as many as a terminal shows; the rest below.
    for start in range(0, len(reports), 3):
        part = reports[start : start + 3]
        names = (columns[0], *(f"{name}#" for name in columns[start + 1 : start + 4]))
        print_table("book check", names, [(label, *(value(r) for r in part)) for label, value in rows])
    for report in reports:
        for note in report.notes:
            out.print(f"{Path(report.path).name}: {note}", soft_wrap=True)


def _share(good: int, of: int) -> str:
    return "-" if not of else f"{good:,} of {of:,} ({100 * good / of:.1f} %)"


COMMANDS: dict[str, Callable[..., None]] = {"book-check": book_check}
