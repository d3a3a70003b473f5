"""Blocks, headers and indexes: what is decoded is what was encoded, or a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.storage import zstd
from overround.storage.tape_format import (
    BLOCK_HEADER_BYTES,
    INDEX_TAIL_BYTES,
    SEGMENT_HEADER_BYTES,
    BlockError,
    BlockHeader,
    NotASegment,
    SegmentHeader,
    TapeRecord,
    VersionMismatch,
    decode_block,
    decode_block_header,
    decode_index,
    decode_segment_header,
    encode_block,
    encode_block_header,
    encode_index,
    encode_segment_header,
    index_bytes,
)
from tests.storage.tapes import U32, U63, record_lists


@given(record_lists())
def test_a_block_gives_back_its_records(records: list[TapeRecord]) -> None:
    header, data = encode_block(records, zstd.FrameCompressor(1))

    assert decode_block_header(data[:BLOCK_HEADER_BYTES]) == header
    decoded = list(decode_block(header, data[BLOCK_HEADER_BYTES:]))

    assert decoded == records
    assert all(type(record) is TapeRecord for record in decoded)
    assert header.records == len(records)
    assert header.frames == sum(record.kind == 1 for record in records)
    assert (header.first_seq, header.last_seq) == (records[0].seq, records[-1].seq)
    assert header.min_wall_ns == min(record.recv_wall_ns for record in records)
    assert header.max_wall_ns == max(record.recv_wall_ns for record in records)


GOOD = TapeRecord(1, 5, 10, 20, 1, 1, b"{}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", 256),
        ("kind", -1),
        ("seq", -1),
        ("seq", 2**63),
        ("recv_wall_ns", -1),
        ("recv_wall_ns", 2**63),
        ("recv_mono_ns", -1),
        ("recv_mono_ns", 2**63),
        ("stream", 2**16),
        ("stream", -1),
        ("generation", 2**32),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: int) -> None:
    with pytest.raises(BlockError, match=field):
        encode_block([TapeRecord(**{**GOOD._asdict(), field: value})], zstd.FrameCompressor(1))


def test_falling_seq_is_refused() -> None:
    with pytest.raises(BlockError, match="seq falls"):
        encode_block([GOOD, GOOD._replace(seq=4)], zstd.FrameCompressor(1))


def test_a_block_header_that_lies_about_its_content_is_refused() -> None:
    header, data = encode_block([GOOD, GOOD._replace(payload=b"xyz")], zstd.FrameCompressor(1))
    packed = data[BLOCK_HEADER_BYTES:]

    for forged in (
        header._replace(raw_bytes=header.raw_bytes + 1),
        header._replace(raw_bytes=2**32 - 1),
        header._replace(records=1),
        header._replace(records=3),
        header._replace(crc=header.crc ^ 1),
        header._replace(packed_bytes=header.packed_bytes - 1),
    ):
        with pytest.raises(BlockError):
            decode_block(forged, packed)


@given(U32, U63, st.text(max_size=25))
def test_segment_header_round_trip_and_every_flipped_bit_is_seen(
    number: int, created_ns: int, run_id: str
) -> None:
    header = SegmentHeader(number, created_ns, run_id)
    data = encode_segment_header(header)

    assert len(data) == SEGMENT_HEADER_BYTES
    assert decode_segment_header(data) == header
    for bit in range(len(data) * 8):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises((BlockError, VersionMismatch, NotASegment)):
            decode_segment_header(bytes(broken))


def test_a_run_id_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="run_id"):
        encode_segment_header(SegmentHeader(1, 2, "x" * 101))


block_headers = st.builds(BlockHeader, U32, U32, U32, U32, U63, U63, U63, U63, U32)


@given(block_headers)
def test_block_header_round_trip_and_every_flipped_bit_is_seen(header: BlockHeader) -> None:
    data = encode_block_header(header)
    assert decode_block_header(data) == header

    for bit in range(len(data) * 8):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BlockError):
            decode_block_header(bytes(broken))


@given(st.lists(block_headers, max_size=5))
def test_index_round_trip_and_cut_index(headers: list[BlockHeader]) -> None:
    data = encode_index(headers)

    assert index_bytes(data[-INDEX_TAIL_BYTES:]) == len(data)
    assert decode_index(data) == headers
    for end in range(len(data)):
        with pytest.raises(BlockError):
            decode_index(data[:end])
