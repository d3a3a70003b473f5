"""A torn end costs the end only; any other damage is told, never read as data."""

from itertools import islice
from pathlib import Path

import pytest

from overround.storage.tape import (
    FRAME,
    TapeDamaged,
    TapeError,
    TapeFormatError,
    TapeReader,
    TapeRecord,
    TapeVersionError,
    TapeWriter,
)
from overround.storage.tape_format import encode_index
from overround.storage.tape_segment import load_segment
from tests.storage.tapes import read_tape

RECORDS = [
    TapeRecord(FRAME, seq, 10**18 + seq * 7, seq * 7, 1, 1, b'{"event_type":"book","n":%d}' % (seq * seq))
    for seq in range(1, 25)
]


@pytest.fixture(name="closed")
def closed_tape(tmp_path: Path) -> Path:
    """A cleanly closed segment of several blocks."""
    with TapeWriter(tmp_path / "t", run_id="r", block_bytes=400) as tape:
        tape.append_many(RECORDS)
    segment = tmp_path / "t" / "00000001.tape"
    assert len(load_segment(segment).blocks) >= 3
    return segment


@pytest.fixture(name="crashed")
def crashed_tape(closed: Path) -> Path:
    """The same segment as a crash leaves it: without index."""
    headers = [block.header for block in load_segment(closed).blocks]
    data = closed.read_bytes()
    closed.write_bytes(data[: -len(encode_index(headers))])
    return closed


def test_the_index_is_only_a_shortcut(closed: Path) -> None:
    indexed = load_segment(closed)
    data = closed.read_bytes()
    closed.write_bytes(data[: -len(encode_index([block.header for block in indexed.blocks]))])
    scanned = load_segment(closed)

    assert scanned.blocks == indexed.blocks
    assert scanned.torn is None
    assert read_tape(closed) == RECORDS


def test_cut_at_every_byte_the_whole_blocks_before_remain(crashed: Path) -> None:
    segment = load_segment(crashed)
    whole = crashed.read_bytes()
    starts = [block.offset for block in segment.blocks]

    for end in range(starts[0], len(whole)):
        crashed.write_bytes(whole[:end])
        complete = [
            block
            for block, after in zip(segment.blocks, [*starts[1:], len(whole)], strict=True)
            if after <= end
        ]
        count = sum(block.header.records for block in complete)
        with TapeReader(crashed) as tape:
            assert list(tape) == RECORDS[:count]
            torn = tape.info().torn
        if end in starts:
            assert torn == ()
        else:
            offset = max(start for start in starts if start <= end)
            assert [(tail.offset, tail.lost_bytes) for tail in torn] == [(offset, end - offset)]


def test_cut_inside_the_index_loses_no_record(closed: Path) -> None:
    whole = closed.read_bytes()
    last = load_segment(closed).blocks[-1]
    end_of_blocks = last.offset + 60 + last.header.packed_bytes

    for end in range(end_of_blocks + 4, len(whole)):
        closed.write_bytes(whole[:end])
        with TapeReader(closed) as tape:
            assert list(tape) == RECORDS
            assert [tail.offset for tail in tape.info().torn] == [end_of_blocks]


def test_cut_inside_the_header_is_an_error_alone_and_a_torn_end_in_a_tape(closed: Path) -> None:
    header = closed.read_bytes()[: load_segment(closed).blocks[0].offset]
    for end in range(len(header)):
        later = closed.with_name("00000002.tape")
        later.write_bytes(header[:end])
        with TapeReader(closed.parent) as tape:
            assert list(tape) == RECORDS
            assert [(tail.path, tail.lost_bytes) for tail in tape.info().torn] == [(later, end)]
        with pytest.raises(TapeError):
            TapeReader(later)


def read_or_refuse(path: Path) -> tuple[list[TapeRecord], bool, TapeError | None]:
    """Return what was read, whether a torn end was reported, and the refusal."""
    records: list[TapeRecord] = []
    torn = False
    try:
        with TapeReader(path) as tape:
            torn = bool(tape.info().torn)
            records.extend(tape)
    except TapeError as error:
        return records, torn, error
    return records, torn, None


@pytest.mark.parametrize("kind", ["closed", "crashed"])
def test_every_flipped_bit_is_seen_or_harmless(kind: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(kind)
    segment = load_segment(path)
    whole = path.read_bytes()
    last_block = segment.blocks[-1].offset
    before_last = sum(block.header.records for block in segment.blocks[:-1])

    for position in range(len(whole)):
        broken = bytearray(whole)
        broken[position] ^= 1 << position % 8
        path.write_bytes(broken)
        records, torn, error = read_or_refuse(path)

        assert records == RECORDS[: len(records)]
        if error is None and not torn:
            assert records == RECORDS
        elif error is None:
            # Reported as torn: then only the last block, or nothing but the index, was left out.
            assert position >= last_block
            assert len(records) in {before_last, len(RECORDS)}
        else:
            assert str(path) in str(error)
            assert isinstance(error, TapeFormatError if position < 8 else TapeDamaged | TapeVersionError)


def test_damage_in_the_middle_names_file_and_byte_and_gives_what_was_before(crashed: Path) -> None:
    segment = load_segment(crashed)
    block = segment.blocks[1]
    data = bytearray(crashed.read_bytes())
    data[block.offset + 70] ^= 1
    crashed.write_bytes(data)

    before = segment.blocks[0].header.records
    with TapeReader(crashed) as tape:
        records = iter(tape)
        assert list(islice(records, before)) == RECORDS[:before]
        with pytest.raises(TapeDamaged) as caught:
            next(records)
    assert (caught.value.path, caught.value.offset) == (crashed, block.offset)


def test_zeros_after_the_end_as_a_power_failure_leaves_them_are_cut(crashed: Path) -> None:
    size = crashed.stat().st_size
    with crashed.open("ab") as file:
        file.write(bytes(5000))

    with TapeReader(crashed) as tape:
        assert list(tape) == RECORDS
        assert [(tail.offset, tail.lost_bytes) for tail in tape.info().torn] == [(size, 5000)]
