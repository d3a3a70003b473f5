"""Logs: one JSON object a line where nobody looks, secrets nowhere, everything as before afterwards."""

import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from overround.ops.config import LogConfig, WalletConfig
from overround.ops.logs import FILE_NAME, RECENT, logs
from overround.ops.secrets import MASK, Secret

KEY = "0x" + "5ec4e7" * 10
WALLET = WalletConfig(private_key=Secret(KEY), api_secret=Secret("c2VjcmV0+/="))


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_standard_error_gets_json_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with logs(LogConfig()):
        structlog.get_logger("overround.feed").warning("stream_down", reason="silent", stream=3)
        structlog.get_logger("overround.feed").debug("too_fine")
        logging.getLogger("websockets.client").warning("odd frame %d", 7)
        logging.getLogger("httpx").info("GET /secret/path")
    captured = capsys.readouterr()
    assert not captured.out
    first, second = lines(captured.err)
    assert {name: first[name] for name in ("event", "level", "logger", "reason", "stream")} == {
        "event": "stream_down",
        "level": "warning",
        "logger": "overround.feed",
        "reason": "silent",
        "stream": 3,
    }
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["logger"]) == ("odd frame 7", "websockets.client")


def test_a_terminal_gets_lines_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    with logs(LogConfig()):
        structlog.get_logger("overround.x").info("hello", who="you")
    assert "hello" in screen.getvalue()
    with pytest.raises(json.JSONDecodeError):
        lines(screen.getvalue())
    screen.truncate(0)
    with logs(LogConfig(format="json")):
        structlog.get_logger("overround.x").info("hello")
    assert "hello" in screen.getvalue()


def test_no_secret_in_any_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger("overround.x")
    with logs(LogConfig(level="debug"), WALLET, tmp_path) as recent:
        log.info("key", wallet=WALLET, private_key="other", headers={"POLY_API_KEY": "abc", "n": 1})
        log.info("a message with %s", KEY, bare=KEY.removeprefix("0x"), text="c2VjcmV0+/= within")
        log.error("failed", exc_info=ValueError(f"cannot use {KEY}"))
        said = [line for _, line in recent.lines]
    written = capsys.readouterr().err + (tmp_path / FILE_NAME).read_text(encoding="utf-8") + "\n".join(said)
    for text in (KEY, KEY.removeprefix("0x"), "c2VjcmV0+/=", "other", "abc"):
        assert text not in written
    first, second, third = lines((tmp_path / FILE_NAME).read_text(encoding="utf-8"))
    assert (first["private_key"], first["headers"]) == (MASK, {"POLY_API_KEY": MASK, "n": 1})
    assert second["event"] == f"a message with {MASK}"
    assert f"cannot use {MASK}" in third["exception"]


def test_a_display_shows_what_is_remembered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger("overround.x")
    with logs(LogConfig(), None, tmp_path, on_screen=False) as recent:
        for n in range(RECENT + 5):
            log.info("tick", n=n)
        log.warning("careful", of="this")
    assert not capsys.readouterr().err
    assert len(recent.lines) == RECENT
    level, line = recent.lines[-1]
    assert level == logging.WARNING
    assert line.endswith("careful of=this")
    assert len(lines((tmp_path / FILE_NAME).read_text(encoding="utf-8"))) == RECENT + 6


def test_files_are_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overround.ops.logs.FILE_BYTES", 2_000)
    monkeypatch.setattr("overround.ops.logs.FILES", 2)
    with logs(LogConfig(format="json"), None, tmp_path):
        for n in range(100):
            structlog.get_logger("overround.x").info("a line of some length", n=n)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [FILE_NAME, f"{FILE_NAME}.1", f"{FILE_NAME}.2"]
    assert all(path.stat().st_size <= 2_000 for path in tmp_path.iterdir())


def test_everything_is_as_before_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    root, own = logging.getLogger(), logging.getLogger("overround")
    before = (root.handlers[:], root.level, own.level, structlog.get_config())
    with logs(LogConfig(level="error")):
        assert root.handlers != before[0]
        structlog.get_logger("overround.x").warning("not kept")
    assert (root.handlers, root.level, own.level, structlog.get_config()) == before
    assert not capsys.readouterr().err
