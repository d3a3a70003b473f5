"""The benchmarks that need no peer from outside still run: they double the engine's view and its store."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = Path(__file__).parent.parent / "benches"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options"),
    [("bench_strategies.py", ["--rounds", "200"]), ("bench_journal.py", ["--commits", "20"])],
)
def test_it_runs(script: str, options: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, BENCHES / script, *options], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "p50" in done.stdout
