"""``demo`` and ``report`` from end to end."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from overround.ops.app import store_path
from tests.ops.cli.running import Cli
from tests.ops.paper_session import run_session
from tests.ops.report.pages import assert_self_contained

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OFFLINE = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def test_the_same_seed_gives_the_same_decisions_and_replay_proves_them(cli: Cli, tmp_path: Path) -> None:
    runs = [
        cli("demo", "--out", tmp_path / name, "--seconds", "10", "--speed", "0", "--json")
        for name in ("one", "two")
    ]
    assert [run.code for run in runs] == [0, 0]
    one, two = (run.json() for run in runs)
    assert one["verified"]["matches_journal"] is True
    assert one["verified"]["unverified_commands"] == 0
    assert one["verified"]["commands"] > 20
    for same in ("decision_digest", "commands", "frames"):
        assert one["verified"][same] == two["verified"][same]
    for same in ("strategies", "opportunities", "snapshot_hashes", "pnl"):
        assert one[same] == two[same]
    assert one["snapshot_hashes"]["failed"] == one["change_hashes"]["failed"] == one["rejected"] == 0
    assert all(line["orders"] > 0 for line in one["strategies"] if line["strategy"] == "spread_capture")
    page = tmp_path / "one" / "report.html"
    assert Path(one["report"]) == page
    html = page.read_text(encoding="utf-8")
    assert len(html.encode()) < 7_000_000
    assert "Overround demo" in assert_self_contained(html).text


def test_people_get_tables_and_the_reports_place(cli: Cli, tmp_path: Path) -> None:
    ran = cli("demo", "--out", tmp_path / "d", "--seconds", "3", "--speed", "0", "--seed", "1")
    assert ran.code == 0
    assert "Snapshot hashes" in ran.out
    assert "✓ replay regenerates all" in ran.out
    assert ran.out.splitlines()[-1] == f"Report: {(tmp_path / 'd' / 'report.html').resolve()}"
    assert "3 s of feed, as fast as it goes" in " ".join(ran.err.split())


def test_a_directory_that_no_demo_made_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    line = cli("demo", "--out", tmp_path, "--seconds", "1").refusal()
    assert "--out: holds something that no demo made" in line
    assert "name another directory" in line
    assert (tmp_path / "mine.txt").exists()


@pytest.mark.parametrize(
    "words", [("--seconds", "0"), ("--seconds", "301"), ("--speed", "-1"), ("--seed", "x")]
)
def test_numbers_out_of_range_are_refused(cli: Cli, tmp_path: Path, words: tuple[str, str]) -> None:
    assert words[0] in cli("demo", "--out", tmp_path / "d", *words).refusal()


def test_a_report_of_any_run_can_be_written(cli: Cli, tmp_path: Path) -> None:
    data_dir = store_path(run_session(tmp_path, seconds=3)).parent
    page = tmp_path / "page.html"
    assert cli("report", data_dir, "--out", page).code == 0
    assert "Overround run" in assert_self_contained(page.read_text(encoding="utf-8")).text
    assert "no such run (nobody)" in cli("report", data_dir, "--out", page, "--run", "nobody").refusal()
    assert "cannot be written" in cli("report", data_dir, "--out", tmp_path).refusal()


def test_a_report_of_nothing_is_refused(cli: Cli, tmp_path: Path) -> None:
    assert "holds no overround.db" in cli("report", tmp_path / "missing").refusal()
    assert "holds no overround.db" in cli("report", tmp_path).refusal()
    assert list(tmp_path.iterdir()) == []


class Played(NamedTuple):
    """The demo as a newcomer runs it, without its pauses."""

    told: Any
    page: Path


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("whole")
    run = "from overround.ops.cli import main; main()"
    words = ("demo", "--out", "d", "--speed", "0", "--json")
    done = subprocess.run(
        [sys.executable, "-c", run, *words], cwd=folder, capture_output=True, timeout=300, check=True
    )
    return Played(msgspec.json.decode(done.stdout), folder / "d" / "report.html")


@pytest.mark.slow
def test_the_whole_demo_shows_both_strategies_at_work(played: Played) -> None:
    told = played.told
    assert told["verified"]["matches_journal"] is True
    reasons = {one["reason"] for one in told["opportunities"] if one["strategy"] == "dutch_book"}
    assert reasons >= {"no_gap", "sub_fee", "sub_lot", "below_min_profit", "legging_reject", "cooldown"}
    assert sum(basket["state"] == "complete" for basket in told["baskets"]) >= 3
    assert all(line["fills"] > 0 for line in told["strategies"])
    assert told["snapshot_hashes"]["failed"] == told["change_hashes"]["failed"] == 0
    # Quotes are filled on a recorded market, too.
    chart = (
        played.page.read_text(encoding="utf-8").partition("<h3>Bitcoin Up or Down")[2].partition("<h3>")[0]
    )
    assert '"name":"bought"' in chart
    assert '"name":"sold"' in chart


@pytest.mark.slow
def test_a_browser_draws_the_page(played: Played, tmp_path: Path) -> None:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    assert browser is not None, f"this test needs one of {', '.join(BROWSERS)}: apt-get install chromium"
    started = subprocess.run(
        [
            browser, *OFFLINE, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000",
            "--enable-logging=stderr", "--dump-dom", played.page.as_uri(),
        ],
        capture_output=True, timeout=120, check=True, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    dom, log = started.stdout.decode(), started.stderr.decode(errors="replace")
    charts = dom.count('class="plotly-graph-div')
    assert charts == 5
    assert dom.count('class="main-svg"') >= charts
    assert dom.count('class="scatterlayer') == charts
    assert "CONSOLE" not in log, log
