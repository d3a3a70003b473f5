"""The entry point itself."""

import io
import sys

import pytest

from overround.ops.cli import main


def test_output_is_utf8_whatever_the_system_prefers(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "argv", ["overround", "--help"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    assert stdout.encoding == "utf-8"
    stdout.flush()
    assert "demo" in written.getvalue().decode()
