"""Exact times, and lines out of plain and compressed files."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.storage import import_source, zstd
from overround.storage.import_source import (
    ImportFormatError,
    ImportLog,
    Source,
    TimeUnit,
    parse_time_ns,
)


@pytest.mark.parametrize(
    ("text", "unit", "time_ns"),
    [
        ("1776326412.6295109", "s", 1_776_326_412_629_510_900),
        ("1785163378.339", "s", 1_785_163_378_339_000_000),
        ("1776808414", "s", 1_776_808_414_000_000_000),
        ("1.7763264126295109e9", "s", 1_776_326_412_629_510_900),
        ("0.0000000019", "s", 1),
        ("1777428643288", "ms", 1_777_428_643_288_000_000),
        ("1777428643288430", "us", 1_777_428_643_288_430_000),
        ("1777428643288430123", "ns", 1_777_428_643_288_430_123),
        ("2026-03-11T21:41:49.524648+00:00", "iso", 1_773_265_309_524_648_000),
        ("2026-05-29T22:39:29.141Z", "iso", 1_780_094_369_141_000_000),
        ("2026-05-30T00:39:29.141+02:00", "iso", 1_780_094_369_141_000_000),
    ],
)
def test_times_are_exact(text: str, unit: TimeUnit, time_ns: int) -> None:
    assert parse_time_ns(text, unit) == time_ns


@pytest.mark.parametrize("text", ["", "soon", "NaN", "Infinity", "-1", "1e30", "1e999999999", "9223372037"])
def test_what_is_no_time_in_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|range"):
        parse_time_ns(text, "s")


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no zone"):
        parse_time_ns("2026-03-11T21:41:49", "iso")


@given(st.integers(0, 2**62))
def test_seconds_with_nine_decimals_lose_nothing(time_ns: int) -> None:
    assert parse_time_ns(f"{Decimal(time_ns).scaleb(-9):f}", "s") == time_ns


def test_plain_gzip_and_zstandard_give_the_same_lines(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbfone\r\n\n  two  \nthree"
    (tmp_path / "plain").write_bytes(text)
    (tmp_path / "gz").write_bytes(gzip.compress(text))
    with zstd.open_write(tmp_path / "zst") as file:
        file.write(text)

    for name in ("plain", "gz", "zst"):
        lines = list(Source(tmp_path / name).lines(ImportLog()))
        assert lines == [(1, b"one"), (3, b"two"), (4, b"three")]


def test_compressed_files_cut_or_damaged_are_refused_in_one_line(tmp_path: Path) -> None:
    text = bytes(range(256)) * 2000
    with zstd.open_write(tmp_path / "zst") as file:
        file.write(text)
    (tmp_path / "gz").write_bytes(gzip.compress(text))
    for name in ("zst", "gz"):
        whole = (tmp_path / name).read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 0xFF
        for broken in (whole[: len(whole) // 2], bytes(flipped), whole[:5]):
            (tmp_path / name).write_bytes(broken)
            with pytest.raises(ImportFormatError, match="damaged or cut short") as caught:
                list(Source(tmp_path / name).lines(ImportLog()))
            assert str(tmp_path / name) in str(caught.value)


def test_a_giant_line_is_bad_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_source, "MAX_LINE_BYTES", 10)
    (tmp_path / "f").write_bytes(b"short\n" + b"x" * 35 + b"\nnext\n")
    log = ImportLog()

    assert list(Source(tmp_path / "f").lines(log)) == [(1, b"short"), (3, b"next")]
    assert [line.number for line in log.bad_lines] == [2]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ImportFormatError, match="cannot be read"):
            Source(path).head()


def test_bad_lines_are_all_counted_but_not_all_kept() -> None:
    log = ImportLog()
    for number in range(1000):
        log.bad(number, "x" * 1000)
    assert log.bad_line_count == 1000
    assert len(log.bad_lines) == 100
    assert len(log.bad_lines[0].reason) == 200
