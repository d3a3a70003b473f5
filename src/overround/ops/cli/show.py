"""``demo`` and ``report``: a run to look at, and the page about any run."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from overround.ops.cli.base import JsonOption, err, out, print_json
from overround.ops.mistakes import BadInput, Problem


def demo(
    out_dir: Annotated[
        Path, typer.Option("--out", help="Directory for configuration, data and report.")
    ] = Path("overround-demo"),
    seconds: Annotated[int, typer.Option(min=1, max=300, help="Feed time to run.")] = 300,
    speed: Annotated[float, typer.Option(min=0, help="Times real time; 0: as fast as it goes.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic event.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Trade both strategies on paper, offline: real recordings and one synthetic event."""
    from overround.ops.app import open_run, store_path
    from overround.ops.cli.progress import Pace, Progress
    from overround.ops.demo import START_NS, DemoDirectoryError, DemoFeed, prepare, verify_demo
    from overround.ops.report.page import write_report
    from overround.ops.report.plain import plain
    from overround.ops.report.read import read_report
    from overround.ops.report.terminal import told
    from overround.runtime.recorded import RecordedLoop, batches

    try:
        config = prepare(out_dir)
    except DemoDirectoryError:
        raise BadInput(
            "--out", "holds something that no demo made", out_dir, "name another directory"
        ) from None
    except OSError as error:
        raise BadInput("--out", f"cannot be used: {error.strerror}", out_dir, "name another") from error
    feed = DemoFeed(seed, seconds)
    err.print(
        f"Paper trading {seconds} s of feed, "
        f"{f'{speed:g} times real time' if speed else 'as fast as it goes'}: "
        "two recordings of real markets\nand a synthetic event of five outcomes."
    )
    started = time.monotonic()
    with open_run(config, feed.metadata(), START_NS) as run:
        progress = Progress(run.totals, START_NS, feed.until_ns)
        pace = Pace(speed, START_NS, progress.show)
        with progress:
            RecordedLoop(run.sequencer, run.on_step, pace.until).run(batches(feed.inputs()))
    err.print("Verifying: journal and tape once more through a fresh engine.\n")
    verified = verify_demo(config)
    data = read_report(store_path(config))
    if data is None:
        raise Problem("the run left nothing in its store")
    page = out_dir / "report.html"
    held = verified.matches_journal and not verified.unverified_commands
    text = f"replay regenerates all {verified.commands:,} commands byte for byte"
    write_report(data, page, "Overround demo", {text: held})
    elapsed_s = time.monotonic() - started
    if as_json:
        checked = {
            "frames": verified.frames,
            "commands": verified.commands,
            "decision_digest": verified.decision_digest,
            "matches_journal": verified.matches_journal,
            "unverified_commands": verified.unverified_commands,
        }
        print_json({**plain(data), "verified": checked, "report": str(page), "elapsed_s": f"{elapsed_s:.1f}"})
    else:
        for part in told(data):
            out.print(part)
        out.print(f"{'✓' if held else '✗'} {text} · {elapsed_s:.0f} s in all")
        _name(page)
    if not held:
        raise Problem(f"replay diverges: {verified.first_divergence}")


def report(
    data_dir: Annotated[Path, typer.Argument(help="Data directory of a service (holds overround.db).")],
    page: Annotated[Path, typer.Option("--out", help="HTML file to write.")] = Path("report.html"),
    run_id: Annotated[str | None, typer.Option("--run", help="Run id; default: the latest.")] = None,
) -> None:
    """Write one self-contained HTML page about a run."""
    from overround.ops.report.page import write_report
    from overround.ops.report.read import read_report
    from overround.storage.engine import DATABASE_NAME

    if not (data_dir / DATABASE_NAME).is_file():
        raise BadInput(
            data_dir, f"holds no {DATABASE_NAME}", data_dir.name, "name a service's data directory"
        )
    data = read_report(data_dir / DATABASE_NAME, run_id)
    if data is None:
        raise BadInput(data_dir, "no such run", run_id or "latest", "list runs with `overround status`")
    try:
        write_report(data, page, f"Overround run {data.run_id}", {})
    except OSError as error:
        raise BadInput(page, "cannot be written", error.strerror, "name another file with --out") from error
    _name(page)


def _name(page: Path) -> None:
    """Print where the report is: the shorter way to say it, on one line."""
    try:
        shown = os.path.relpath(page)
    except ValueError:  # another drive
        shown = str(page.resolve())
    out.print(f"Report: {shown if not shown.startswith('..') else page.resolve()}", soft_wrap=True)


COMMANDS: dict[str, Callable[..., None]] = {"demo": demo, "report": report}
