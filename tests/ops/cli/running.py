"""Runs the command line in this process, as its entry point does."""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from overround.ops.cli import app
from overround.ops.cli.base import run_app


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one JSON document on standard output."""
        return msgspec.json.decode(self.out)

    def refusal(self) -> str:
        """The one line of a command that refused its input."""
        assert self.code == 2, self
        assert not self.out
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in self.err
        return lines[0]


class Cli:
    """Give it the words of a command line."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str | Path) -> Ran:
        self._monkeypatch.setattr(sys, "argv", ["overround", *map(str, words)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            run_app(app)
        captured = self._capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Ran(left.value.code, captured.out, captured.err)
