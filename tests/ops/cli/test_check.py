"""`book-check`: the contract's shape, its exit code, and every real recording that has hashes."""

from pathlib import Path
from typing import Any

import pytest

from overround.storage.import_source import Source
from tests.ops.cli.running import Cli

NEGRISK = "negrisk_pair_20260727.jsonl.zst"
CONTRACT = set(
    "path frames rejected tokens books batches top mirror late_frames resyncs states_ms".split()  # noqa: SIM905
)


def check(cli: Cli, *files: Path) -> list[dict[str, Any]]:
    ran = cli("book-check", *files, "--json")
    report = ran.json()
    assert ran.code == (0 if report["ok"] else 1)
    reports: list[dict[str, Any]] = report["files"]
    return reports


def test_the_json_is_the_contract(cli: Cli, recordings: Path) -> None:
    pair, small = check(cli, recordings / NEGRISK, recordings / "small_20260630.json")
    assert pair["path"] == str(recordings / NEGRISK)
    for report in (pair, small):
        assert report.keys() >= CONTRACT
        assert report["batches"].keys() >= {
            "checked", "hash_ok", "hash_ok_arrival_order", "longest_untrue_ms", "misses",
        }  # fmt: skip
        assert report["batches"]["misses"].keys() == {
            "late", "next_included", "unknown_last_trade", "gap", "unexplained",
        }  # fmt: skip
        assert report["books"]["checked"] == report["books"]["hash_ok"] > 0
    assert pair["frames"] == 1_264
    assert pair["states_ms"]["LIVE"] > 0
    batches = pair["batches"]
    assert batches["checked"] - batches["hash_ok"] == sum(batches["misses"].values())
    assert batches["hash_ok"] >= 0.988 * batches["checked"] - 1


def test_a_tape_checks_like_the_recording_it_came_from(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    assert cli("import", recordings / NEGRISK, tmp_path / "tape").code == 0
    (one,), (two,) = check(cli, recordings / NEGRISK), check(cli, tmp_path / "tape")
    assert {key: one[key] for key in CONTRACT - {"path"}} == {key: two[key] for key in CONTRACT - {"path"}}


def test_a_book_that_does_not_verify_is_a_problem(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    text = (recordings / "hugompt_clob_book_20260627.json").read_text(encoding="utf-8")
    assert '"size"' in text
    before, key, after = text.partition('"size"')
    changed = tmp_path / "changed.json"
    changed.write_text(before + key + after.replace("1", "2", 1), encoding="utf-8")
    ran = cli("book-check", changed, "--json")
    assert ran.code == 1
    assert ran.json()["ok"] is False
    assert ran.json()["files"][0]["books"]["hash_ok"] == 0
    assert "do not verify" in ran.err


def test_the_table_says_the_same(cli: Cli, recordings: Path) -> None:
    ran = cli("book-check", recordings / NEGRISK)
    assert ran.code == 0
    for word in ("books: hash right", "2 of 2 (100.0 %)", "misses: unexplained", "YES/NO mirror agrees"):
        assert word in ran.out
    assert "1,264 frames" in ran.err


def test_broken_lines_are_named(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.jsonl"
    half.write_bytes(Source(recordings / NEGRISK).whole()[:200_000])
    (report,) = check(cli, half)
    assert any("could not be read, first: line" in note for note in report["notes"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "ws/btc5m_full_20260421.jsonl.zst",
        "ws/negrisk_pair_20260727.jsonl.zst",
        "ws/updown15m_mixed_20260429.jsonl.zst",
        "ws/small_20260630.json",
        "ws/books_btc-updown-5m-1776329100.jsonl.zst",
        "books/clob_books_60tokens_20260311.jsonl.zst",
        "books/fed_june2026.clob-books.json.zst",
        "books/clob_book_binary_20260628.json",
    ],
)
def test_real_recordings_verify(cli: Cli, shared_data: Path, name: str) -> None:
    (report,) = check(cli, shared_data / name)
    assert report["books"]["checked"] == report["books"]["hash_ok"] > 0
    assert report["batches"]["misses"]["unexplained"] == 0
    assert report["batches"]["hash_ok"] >= 0.977 * report["batches"]["checked"]
