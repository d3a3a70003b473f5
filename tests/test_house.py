"""Promises of the repository itself: locks name no host, recordings are small and have a stated source."""

import re
from pathlib import Path

import pytest

from tests.conftest import PROJECT_ROOT

REQUIREMENTS = PROJECT_ROOT / "requirements"
REQUIREMENT = re.compile(
    r"^[A-Za-z0-9][^\n]*==[^\n]*\\\n(?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE
)


def pins(lock: str) -> dict[str, str]:
    """Return name → version of every requirement of a lock."""
    lines = (REQUIREMENTS / lock).read_text(encoding="utf-8").splitlines()
    return dict(re.split(r"==|[ ;]", line)[:2] for line in lines if "==" in line and not line.startswith(" "))


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt", "bench.txt"])
def test_a_lock_is_nothing_but_pinned_versions_and_hashes(lock: str) -> None:
    text = (REQUIREMENTS / lock).read_text(encoding="utf-8")
    assert text
    assert REQUIREMENT.sub("", text) == ""


def test_the_locks_agree_so_that_one_environment_serves_all() -> None:
    dev = pins("dev.txt")
    assert pins("runtime.txt").items() <= dev.items()
    bench = pins("bench.txt")
    assert {name: bench[name] for name in bench.keys() & dev.keys()}.items() <= dev.items()


def test_recordings_are_small(recordings: Path) -> None:
    assert sum(path.stat().st_size for path in recordings.rglob("*") if path.is_file()) < 3_000_000


def test_every_recording_has_its_source_and_licence_beside_it(recordings: Path) -> None:
    readme = (recordings / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("|")]
    for path in recordings.iterdir():
        if path.is_file() and path.name != "README.md":
            row = next((row for row in rows if path.name in row), "")
            assert re.search(r"\| (MIT|Apache-2\.0|CC BY 4\.0)\b[^|]*\|$", row), path.name
