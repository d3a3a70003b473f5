"""What people get wrong costs them one line, never a traceback."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from overround.ops.cli.root import app
from overround.storage.tape import FRAME, NOTE, TapeWriter
from tests.ops.cli.running import Cli

OFFLINE = ("import", "export", "book-check", "replay", "backtest", "quoter-run-replay", "dutch-run-replay")
READERS = ("book-check", "replay", "backtest", "quoter-run-replay", "dutch-run-replay")
NEGRISK = "negrisk_pair_20260727.jsonl.zst"
CONTRACT_LINE = r"error: .+: .+ \(.+\): .+"


def giant(path: Path) -> None:
    path.write_bytes(b'{"capturedAt": 1, "payload": "' + b"a" * 16_000_000 + b'"\n')


BROKEN: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.touch(),
    "directory": lambda path: path.mkdir(),
    "text": lambda path: path.write_text("hello\n", encoding="utf-8"),
    "numbers": lambda path: path.write_text("[1, 2]", encoding="utf-8"),
    "other": lambda path: path.write_text('{"a": 1}\n', encoding="utf-8"),
    "deep": lambda path: path.write_text("[" * 100_000, encoding="utf-8"),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 10),
    "giant": giant,
    "missing": lambda path: None,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_recording_is_refused(cli: Cli, tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    BROKEN[kind](path)
    for command in READERS:
        line = cli(command, path).refusal()
        assert str(path) in line
        assert len(line) < 600
    assert str(path) in cli("import", path, tmp_path / "tape").refusal()
    assert not (tmp_path / "tape").exists()


@pytest.mark.parametrize("kind", ["empty", "directory", "text", "other", "missing"])
def test_the_line_names_path_what_value_and_remedy(cli: Cli, tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    BROKEN[kind](path)
    assert re.fullmatch(CONTRACT_LINE, cli("backtest", path).refusal())


def test_tapes_that_cannot_be_read(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    assert cli("import", recordings / NEGRISK, tmp_path / "tape").code == 0
    (segment,) = (tmp_path / "tape").glob("*.tape")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:8] + b"\x09" + whole[9:])
    assert "version" in cli("replay", tmp_path / "tape").refusal()
    segment.write_bytes(whole[:5])
    assert cli("replay", segment).code == 2
    # Half a tape is read up to the cut, and says so.
    segment.write_bytes(whole[: len(whole) // 2])
    ran = cli("replay", tmp_path / "tape", "--json")
    assert ran.code == 0
    assert 0 < ran.json()["frames"] < 1_264
    assert any("torn end" in note for note in ran.json()["notes"])


def test_configuration_and_metadata_that_cannot_be_used(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    typo = tmp_path / "typo.toml"
    typo.write_text("[service.spread]\nsize_ = 3\n", encoding="utf-8")
    line = cli("backtest", recordings / NEGRISK, "--config", typo).refusal()
    assert "unknown key service.spread.size_" in line
    assert "did you mean" in line
    wrong = tmp_path / "markets.json"
    wrong.write_text('{"a": 1}', encoding="utf-8")
    assert (
        "holds no market metadata (keys a)"
        in cli("backtest", recordings / NEGRISK, "--markets", wrong).refusal()
    )
    for value in ("-1", "1e3", "NaN", "0.0000001", "x"):
        assert (
            "min_profit_usdc"
            in cli("dutch-run-replay", recordings / NEGRISK, f"--min-profit-usdc={value}").refusal()
        )


def test_mistakes_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    assert "No such command" in cli("frobnicate").refusal()
    assert "Missing argument" in cli("replay").refusal()
    assert "No such option" in cli("replay", "x", "--frobnicate").refusal()
    assert "--fee-bps" in cli("backtest", "x", "--fee-bps", "-3").refusal()
    assert "holds no journal" in cli("replay", tmp_path, "--verify").refusal()


def test_the_real_entry_point(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "overround", "backtest", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert not ran.stdout
    assert ran.stderr.startswith(f"error: {tmp_path / 'none'}: ")
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", OFFLINE)
def test_help_fits_a_screen(cli: Cli, command: str) -> None:
    ran = cli(command, "--help")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert len(lines) > 8


def test_every_command_explains_itself() -> None:
    assert {command.name for command in app.registered_commands} >= set(OFFLINE)
    assert all(command.callback and command.callback.__doc__ for command in app.registered_commands)


def test_notes_of_a_later_version(cli: Cli, tmp_path: Path) -> None:
    with TapeWriter(tmp_path / "tape", run_id="later") as tape:
        tape.append(NOTE, 1, 1, 0, 0, 0, b'{"type":"not invented yet"}')
        tape.append(FRAME, 2, 2, 0, 1, 1, b"{}")
    for command in ("replay", "book-check"):
        assert "a note this program does not know" in cli(command, tmp_path / "tape").refusal()
