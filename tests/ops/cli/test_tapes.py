"""`import` and `export`."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from overround.storage.tape import FRAME, TapeReader
from overround.storage.zstd import open_read
from tests.ops.cli.running import Cli

NEGRISK = "negrisk_pair_20260727.jsonl.zst"


@pytest.fixture
def tape(cli: Cli, recordings: Path, tmp_path: Path) -> Path:
    """A shipped recording as a tape."""
    assert cli("import", recordings / NEGRISK, tmp_path / "tape").code == 0
    return tmp_path / "tape"


def test_import_says_what_it_did(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    report = cli("import", recordings / NEGRISK, tmp_path / "tape", "--json").json()
    assert report["records"] == 1_264
    assert report["format"] == "journal"
    assert report["time_source"] == "exchange"
    assert report["bad_lines"] == 0
    assert report["first_ms"] == 1_785_163_378_339
    with TapeReader(tmp_path / "tape") as tape:
        assert tape.info().frames == 1_264


def test_import_takes_named_fields(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "own.jsonl"
    source.write_text(
        '{"when": 1767225600123, "what": {"event_type":"book"}, "who": "a"}\n', encoding="utf-8"
    )
    words = ("import", source, tmp_path / "tape", "--time-field", "when", "--time-unit", "ms")
    assert "--payload-field" in cli(*words).refusal()
    assert cli(*words, "--payload-field", "what", "--stream-field", "who").code == 0
    with TapeReader(tmp_path / "tape") as tape:
        (frame,) = [record for record in tape if record.kind == FRAME]
    assert frame.recv_wall_ns == 1_767_225_600_123_000_000
    assert frame.payload == b'{"event_type":"book"}'
    assert frame.stream >= 16


def test_import_reports_lines_it_could_not_read(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "half.jsonl"
    source.write_text('{"capturedAt": 1767225600, "payload": {}}\n{"capturedAt": 17672', encoding="utf-8")
    report = cli("import", source, tmp_path / "tape", "--json").json()
    assert report["records"] == report["bad_lines"] == 1
    assert report["first_bad_lines"][0]["line"] == 2


def test_a_jsonl_export_comes_back_bit_for_bit(cli: Cli, tape: Path, tmp_path: Path) -> None:
    report = cli("export", tape, tmp_path / "out.jsonl.zst", "--json").json()
    assert report["records"] == report["rows"] == 1_266
    assert report["format"] == "jsonl"
    with open_read(tmp_path / "out.jsonl.zst") as file:
        assert file.readline().startswith(b'{"kind":')
    assert cli("import", tmp_path / "out.jsonl.zst", tmp_path / "again").code == 0
    with TapeReader(tape) as one, TapeReader(tmp_path / "again") as two:
        assert list(one) == list(two)


def test_a_parquet_export_holds_every_level(cli: Cli, tape: Path, tmp_path: Path) -> None:
    report = cli("export", tape, tmp_path / "out.parquet", "--json").json()
    assert report["format"] == "parquet"
    assert report["rejected"] == 0
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert len(rows) == report["rows"] > 2_000
    assert {row["kind"] for row in rows} == {"snapshot", "delta"}
    assert all(0 < row["px_e6"] < 1_000_000 and row["qty_e6"] >= 0 for row in rows)


def test_nothing_is_overwritten(cli: Cli, recordings: Path, tape: Path, tmp_path: Path) -> None:
    assert "already holds a tape" in cli("import", recordings / NEGRISK, tape).refusal()
    (tmp_path / "out.jsonl").write_text("mine", encoding="utf-8")
    assert "exists already" in cli("export", tape, tmp_path / "out.jsonl").refusal()
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "mine"
    assert "directory does not exist" in cli("export", tape, tmp_path / "no" / "out.jsonl").refusal()


def test_an_export_of_a_damaged_tape_leaves_no_file(cli: Cli, tape: Path, tmp_path: Path) -> None:
    (segment,) = tape.glob("*.tape")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    assert "damaged" in cli("export", tape, tmp_path / "out.jsonl").refusal()
    assert not list(tmp_path.glob("out.jsonl*"))
