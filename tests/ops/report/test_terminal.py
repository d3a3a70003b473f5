"""The tables fit a terminal."""

import io

import pytest
from rich.console import Console

from overround.ops.report.model import ReportData
from overround.ops.report.terminal import told
from tests.ops.report.samples import EMPTY, full


def shown(data: ReportData, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, record=True, color_system=None)
    for part in told(data):
        console.print(part)
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize("width", [80, 120])
def test_every_line_fits_and_nothing_is_cut_or_wrapped(width: int) -> None:
    lines = shown(full(), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for row in (
        "Snapshot hashes  3,452 verified · 3 failed · 5,347 unverifiable · 5 not sampled",
        "Change hashes    11,918 verified · 2 failed · 33,932 not sampled",
        "Books            14 live · 2 syncing",
        "Baskets        1 complete · 1 unwound",
    ):
        assert row in lines
    assert any("spread capture" in line and "+$13.84" in line for line in lines)
    assert any(line.split() == ["total", "$7.91", "+$11.00"] for line in lines)
    assert any("sub fee" in line and "78  Fees eat the gap" in line for line in lines)


def test_numbers_are_aligned_right() -> None:
    lines = shown(full(), 80)
    ends = {len(line) for line in lines if line.startswith(("dutch book ", "spread capture ", "total"))}
    assert len(ends) == 1


def test_a_run_in_which_nothing_happened_can_be_told() -> None:
    assert any("Frames" in line for line in shown(EMPTY, 80))
