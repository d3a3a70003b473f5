"""What leaves a tape can come back, or be read by others."""

import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.storage import exporters
from overround.storage.exporters import (
    ExportError,
    Update,
    export_jsonl,
    export_parquet,
    jsonl_line,
)
from overround.storage.importers import import_recording, open_recording
from overround.storage.tape import NOTE, TapeRecord, TapeWriter
from overround.storage.tape_format import FRAME
from tests.storage.tapes import U32, U63, frame, read_tape

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
payloads = st.one_of(
    st.binary(max_size=40),
    json_values.map(lambda value: json.dumps(value).encode()),
    json_values.map(lambda value: json.dumps(value, indent=1).encode()),
    json_values.map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")),
    st.sampled_from(
        [b"", b"PONG", b'{"a":1}\n', b' {"a":1}', b'{"a":1e999}', b'"\xff"', b'{"a":1,"a":2}', b"[" * 5000]
    ),
)
records = st.builds(TapeRecord, st.integers(1, 4), U63, U63, U63, st.integers(0, 65535), U32, payloads)


def write_tape(path: Path, content: Iterable[TapeRecord]) -> Path:
    with TapeWriter(path, run_id="r") as tape:
        tape.append_many(list(content))
    return path


@given(st.lists(records, min_size=1, max_size=12), st.sampled_from([".jsonl", ".jsonl.zst"]))
def test_an_export_comes_back_as_the_same_records(
    tmp_path_factory: pytest.TempPathFactory, content: list[TapeRecord], suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("export")
    content.sort(key=lambda record: record.seq)
    write_tape(folder / "t", content)

    report = export_jsonl(folder / "t", folder / f"out{suffix}")
    import_recording(folder / f"out{suffix}", folder / "back")

    assert report.records == report.rows == len(content)
    assert read_tape(folder / "back") == content
    recording = open_recording(folder / f"out{suffix}")
    assert list(recording) == content
    assert recording.log.bad_line_count == 0


@given(records)
def test_each_line_is_one_json_object_others_can_read(record: TapeRecord) -> None:
    line = jsonl_line(record)

    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    row = json.loads(line)
    assert [row[name] for name in TapeRecord._fields[:6]] == list(record[:6])
    assert ("payload" in row) != ("payload_base64" in row)


def test_frames_stay_readable_in_the_export(recordings: Path, tmp_path: Path) -> None:
    import_recording(recordings / "negrisk_pair_20260727.jsonl.zst", tmp_path / "t")
    export_jsonl(tmp_path / "t", tmp_path / "out.jsonl")

    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert all("payload" in row for row in rows)
    assert sum(row["kind"] == NOTE for row in rows) == 2


def test_an_export_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    write_tape(tmp_path / "t", [frame(1)])
    with pytest.raises(ExportError, match="cannot be written"):
        export_jsonl(tmp_path / "t", tmp_path / "missing" / "out.jsonl")

    def broken(_payload: bytes) -> Iterable[Update]:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        export_parquet(tmp_path / "t", tmp_path / "out.parquet", broken)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t"]


def normalise(payload: bytes) -> Iterable[Update]:
    """One update for each number in the frame; negative ones are refused."""
    for number in json.loads(payload):
        if number < 0:
            raise ValueError("negative")
        yield Update("delta", 1_700_000_000_000 + number, f"token{number % 2}", "BUY", number, 10 * number)


def test_parquet_holds_the_updates_of_the_good_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporters, "ROW_GROUP_ROWS", 4)
    content = [
        frame(1, b"[1, 2, 3]"),
        frame(2, b"[7, -1]"),
        TapeRecord(NOTE, 2, 0, 0, 0, 0, b"{}"),
        frame(3, b"[]"),
        frame(4, b"[4, 5, 6]"),
    ]
    assert content[0].kind == FRAME
    write_tape(tmp_path / "t", content)

    report = export_parquet(tmp_path / "t", tmp_path / "out.parquet", normalise)

    parquet: Any = importlib.import_module("pyarrow.parquet")
    file = parquet.ParquetFile(tmp_path / "out.parquet")
    assert file.num_row_groups == 2
    rows = file.read().to_pylist()
    file.close()
    assert [(row["seq"], row["px_e6"]) for row in rows] == [(1, 1), (1, 2), (1, 3), (4, 4), (4, 5), (4, 6)]
    assert rows[0] == {
        "seq": 1,
        "recv_wall_ns": 1,
        "exchange_ts_ms": 1_700_000_000_001,
        "token_id": "token1",
        "side": "BUY",
        "px_e6": 1,
        "qty_e6": 10,
        "kind": "delta",
    }
    assert (report.records, report.rows, report.rejected) == (5, 6, 1)


def test_without_pyarrow_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tape(tmp_path / "t", [frame(1)])

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ExportError, match=r"overround\[parquet\]"):
        export_parquet(tmp_path / "t", tmp_path / "out.parquet", normalise)
