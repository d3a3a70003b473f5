"""Reading, seeking and rotation through the public door."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.storage.tape import (
    FRAME,
    NOTE,
    TapeDamaged,
    TapeFormatError,
    TapeReader,
    TapeRecord,
    TapeVersionError,
    TapeWriter,
)
from overround.storage.tape_segment import BlockRef
from tests.storage.tapes import read_tape, record_lists, tape_info


def write(
    path: Path, records: list[TapeRecord], *, block_bytes: int = 200, segment_bytes: int = 2**20
) -> None:
    with TapeWriter(path, run_id="test", block_bytes=block_bytes, segment_bytes=segment_bytes) as tape:
        tape.append_many(records)


def frames(count: int, *, first: int = 1) -> list[TapeRecord]:
    return [
        TapeRecord(FRAME, seq, 1_000 * seq, 500 + 1_000 * seq, 1, 1, b'{"n":%d}' % seq)
        for seq in range(first, first + count)
    ]


@given(records=record_lists(max_size=40), block_bytes=st.integers(1, 400), segment_bytes=st.integers(1, 3000))
def test_a_tape_gives_back_its_records_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, records: list[TapeRecord], block_bytes: int, segment_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("tape") / "t"
    write(path, records, block_bytes=block_bytes, segment_bytes=segment_bytes)

    with TapeReader(path) as tape:
        assert list(tape) == records
        info = tape.info()
        assert info.records == len(records)
        assert info.frames == sum(record.kind == FRAME for record in records)
        assert (info.first_seq, info.last_seq) == (records[0].seq, records[-1].seq)
        assert info.first_wall_ns == min(record.recv_wall_ns for record in records)
        assert info.last_wall_ns == max(record.recv_wall_ns for record in records)
        assert info.payload_bytes == sum(len(record.payload) for record in records)
        assert info.file_bytes == sum(file.stat().st_size for file in path.iterdir())
        assert info.torn == ()
        assert info.run_ids == ("test",)


def naive_from(records: list[TapeRecord], index: int | None) -> list[TapeRecord]:
    return [] if index is None else records[index:]


@given(records=record_lists(max_size=40), data=st.data())
def test_seeking_equals_dropping_from_the_whole(
    tmp_path_factory: pytest.TempPathFactory, records: list[TapeRecord], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("tape") / "t"
    write(path, records, block_bytes=150, segment_bytes=1500)
    near = st.sampled_from([n for record in records for n in (record.seq - 1, record.seq, record.seq + 1)])
    seq = data.draw(near | st.integers(0, 2**63))
    walls = [record.recv_wall_ns for record in records]
    wall = data.draw(st.sampled_from([n for wall in walls for n in (wall - 1, wall, wall + 1)]))

    with TapeReader(path) as tape:
        by_seq = next((at for at, record in enumerate(records) if record.seq >= seq), None)
        by_wall = next((at for at, record in enumerate(records) if record.recv_wall_ns >= wall), None)
        assert list(tape.seek(seq=seq)) == naive_from(records, by_seq)
        assert list(tape.seek(ts_wall_ns=wall)) == naive_from(records, by_wall)
        assert list(tape.seek()) == records


def test_two_iterations_of_one_reader_do_not_disturb_each_other(tmp_path: Path) -> None:
    records = frames(200)
    write(tmp_path / "t", records, segment_bytes=600)

    with TapeReader(tmp_path / "t") as tape:
        pairs = list(zip(tape, tape, strict=True))

    assert pairs == list(zip(records, records, strict=True))


def test_seeking_reads_one_block_before_the_first_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "t", frames(300))
    with TapeReader(tmp_path / "t") as tape:
        blocks: list[BlockRef] = []
        read = tape._read_block

        def noting_read(block: BlockRef) -> Iterable[TapeRecord]:
            blocks.append(block)
            return read(block)

        monkeypatch.setattr(tape, "_read_block", noting_read)

        assert next(tape.seek(seq=222)).seq == 222
        assert len(blocks) == 1
        assert next(tape.seek(ts_wall_ns=150_000)).seq == 150
        assert len(blocks) == 2


def test_one_segment_file_is_a_tape_too(tmp_path: Path) -> None:
    write(tmp_path / "t", frames(300), segment_bytes=1500)
    segments = sorted((tmp_path / "t").iterdir())
    assert len(segments) > 2

    with TapeReader(segments[1]) as tape:
        info = tape.info()
        part = list(tape)

    assert part == frames(300)[part[0].seq - 1 : part[-1].seq]
    assert info.segments == 1
    assert info.records == len(part)


def test_notes_may_share_a_number_and_the_empty_tape_is_a_tape(tmp_path: Path) -> None:
    records = [frames(1)[0], TapeRecord(NOTE, 1, 0, 0, 0, 0, b"{}")]
    write(tmp_path / "t", records)
    assert read_tape(tmp_path / "t") == records

    write(tmp_path / "empty", [])
    info = tape_info(tmp_path / "empty")
    assert (info.records, info.first_seq, info.first_wall_ns, info.ratio) == (0, None, None, 0.0)
    with TapeReader(tmp_path / "empty") as tape:
        assert list(tape.seek(seq=3)) == []


def test_what_is_no_tape_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.tape").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "other.tape").write_bytes(b'{"market":"0x1"}' * 10)
    (tmp_path / "short.tape").write_bytes(b"abc")

    for name, what in (
        ("missing", "does not exist"),
        ("empty.tape", "is empty"),
        ("directory", "holds no NNNNNNNN.tape segment"),
        ("other.tape", "is not a tape"),
        ("short.tape", "is not a tape"),
    ):
        with pytest.raises(TapeFormatError, match=what) as caught:
            TapeReader(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_tape_of_another_version_says_which(tmp_path: Path) -> None:
    write(tmp_path / "t", frames(3))
    segment = tmp_path / "t" / "00000001.tape"
    data = bytearray(segment.read_bytes())
    data[8:10] = (7).to_bytes(2, "little")
    segment.write_bytes(data)

    with pytest.raises(TapeVersionError, match=r"version 7.*version 1"):
        TapeReader(tmp_path / "t")


def test_missing_and_foreign_segments_are_damage_but_pruned_old_ones_are_not(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, frames(300), segment_bytes=1500)
    first, second, third, *_ = sorted(path.iterdir())

    first.unlink()
    assert read_tape(path)[0].seq > 1

    kept = third.read_bytes()
    third.unlink()
    with pytest.raises(TapeDamaged, match="missing"):
        TapeReader(path)

    third.write_bytes(second.read_bytes())
    with pytest.raises(TapeDamaged, match="was written as segment 2"):
        TapeReader(path)

    third.write_bytes(kept)
    assert read_tape(path)[-1].seq == 300


def test_segments_of_different_tapes_are_told_by_falling_numbers(tmp_path: Path) -> None:
    write(tmp_path / "a", frames(300), segment_bytes=1500)
    write(tmp_path / "b", frames(300, first=5_000), segment_bytes=1500)
    (tmp_path / "a" / "00000001.tape").write_bytes((tmp_path / "b" / "00000001.tape").read_bytes())

    with pytest.raises(TapeDamaged, match="sequence numbers fall"):
        TapeReader(tmp_path / "a")
