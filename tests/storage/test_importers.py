"""Recordings of every known format become records, byte for byte."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from overround.storage import zstd
from overround.storage.importers import (
    GenericFields,
    ImportFormatError,
    import_recording,
    open_recording,
)
from overround.storage.tape import FRAME, NOTE, TapeRecord, TapeWriteError
from overround.storage.tape_notes import (
    STREAM_MARKET,
    STREAM_REST,
    STREAM_USER,
    SourceNote,
    StreamNote,
    decode_note,
)
from tests.storage.tapes import read_tape


def read(path: Path, fields: GenericFields | None = None) -> list[TapeRecord]:
    recording = open_recording(path, fields=fields)
    records = list(recording)
    assert recording.log.bad_line_count == 0, recording.log.bad_lines
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    return records


def lines_of(path: Path) -> list[bytes]:
    with zstd.open_read(path) as file:
        return file.read().splitlines()


def rest_hash(book: dict[str, Any]) -> str:
    """The venue's hash of a REST book: SHA-1 over its compact JSON with an empty hash."""
    names = [
        "market",
        "asset_id",
        "timestamp",
        "hash",
        "bids",
        "asks",
        "min_order_size",
        "tick_size",
        "neg_risk",
        "last_trade_price",
    ]
    text = json.dumps({name: "" if name == "hash" else book[name] for name in names}, separators=(",", ":"))
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def test_received_frames_are_sliced_out_of_their_lines(recordings: Path) -> None:
    path = recordings / "books_btc-updown-5m-1776326100.jsonl.zst"
    records = read(path)

    assert len(records) == 5369
    for record, line in zip(records, lines_of(path), strict=True):
        head, payload = line[:-1].split(b',"payload":', 1)
        assert record.payload == payload
        assert record.stream == STREAM_MARKET
        text = head.removeprefix(b'{"recv_ts":').decode()
        seconds, _dot, decimals = text.partition(".")
        assert record.recv_wall_ns == int(seconds) * 10**9 + int(decimals.ljust(9, "0"))


def test_journaled_frames_keep_their_blanks(recordings: Path) -> None:
    path = recordings / "negrisk_pair_20260727.jsonl.zst"
    recording = open_recording(path)
    records = list(recording)

    assert (recording.time_source, recording.derived, len(records)) == ("exchange", False, 1264)
    for record, line in zip(records, lines_of(path), strict=True):
        assert b', "data": ' + record.payload + b"}" in line
        assert record.recv_wall_ns == int(json.loads(record.payload)["timestamp"]) * 10**6


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("fed_june2026.clob-books.json.zst", 10),
        ("clob_book_negrisk_outcome_20260628.json", 1),
        ("clob_book_binary_20260628.json", 1),
        ("hugompt_clob_book_20260627.json", 1),
    ],
)
def test_rest_books_come_in_with_their_hash_intact(recordings: Path, name: str, count: int) -> None:
    records = read(recordings / name)

    assert len(records) == count
    for record in records:
        book = json.loads(record.payload)
        assert record.stream == STREAM_REST
        assert record.recv_wall_ns == int(book["timestamp"]) * 10**6
        assert rest_hash(book) == book["hash"]


def test_an_array_file_gives_one_record_an_element(recordings: Path) -> None:
    text = (recordings / "small_20260630.json").read_bytes()
    records = read(recordings / "small_20260630.json")

    assert [json.loads(record.payload) for record in records] == json.loads(text)
    assert all(record.payload in text for record in records)
    assert {(record.stream, record.generation) for record in records} == {(STREAM_MARKET, 1)}


BOOK = b'{"event_type":"book","asset_id":"1","timestamp":"1700000000000","bids":[],"asks":[]}'
CHANGE = b'{"event_type":"price_change","timestamp":"1700000000001"}'


def write_lines(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def ingest_line(source: str, payload: bytes, mono_ns: int = 5) -> bytes:
    row = {
        "source": source,
        "recv_wall_ts": 1700000000123,
        "recv_mono_ns": mono_ns,
        "ingest_seq": 1,
        "payload": payload.decode(),
    }
    return json.dumps(row).encode()


def test_an_ingest_log_shows_reconnects_and_names_what_it_skips(tmp_path: Path) -> None:
    rest = BOOK.replace(b'"event_type":"book",', b"") + b"\n"
    dump = b"[" + BOOK + b"," + BOOK + b"]"
    path = write_lines(
        tmp_path / "log",
        ingest_line("polymarket_clob", rest),
        ingest_line("polymarket_clob", dump, 7),
        ingest_line("polymarket_clob", CHANGE),
        ingest_line("binance", b"{}"),
        ingest_line("polymarket_clob", b"PONG"),
        ingest_line("polymarket_clob", dump),
        ingest_line("polymarket_clob", rest),
        ingest_line("polymarket_clob", CHANGE),
    )
    recording = open_recording(path)
    records = list(recording)

    assert [(record.stream, record.generation, record.payload) for record in records] == [
        (STREAM_REST, 1, rest),
        (STREAM_MARKET, 1, dump),
        (STREAM_MARKET, 1, CHANGE),
        (STREAM_MARKET, 1, b"PONG"),
        (STREAM_MARKET, 2, dump),
        (STREAM_REST, 1, rest),
        (STREAM_MARKET, 2, CHANGE),
    ]
    assert recording.log.skipped == Counter({"source binance": 1})
    assert (records[1].recv_wall_ns, records[1].recv_mono_ns) == (1_700_000_000_123_000_000, 7)


def test_captured_batched_example_and_bare_lines(tmp_path: Path) -> None:
    rest = BOOK.replace(b'"event_type":"book",', b"")
    order = b'{"event_type":"order","type":"PLACEMENT","timestamp":"1700000000002"}'
    trade_in_seconds = b'{"type":"TRADE","timestamp":"1700000000"}'

    captured = read(
        write_lines(tmp_path / "captured", b'{"capturedAt":1700000003,"payload":' + CHANGE + b"}")
    )
    assert [(r.recv_wall_ns, r.payload) for r in captured] == [(1_700_000_003 * 10**9, CHANGE)]

    batched = read(
        write_lines(
            tmp_path / "batched",
            b'{"collector_ts": "2026-03-11T21:41:49.5+00:00", "books": [%b, %b]}' % (rest, rest),
        )
    )
    assert [(r.recv_wall_ns, r.stream, r.payload) for r in batched] == [
        (1_773_265_309_500_000_000, STREAM_REST, rest)
    ] * 2

    examples = read(
        write_lines(
            tmp_path / "examples",
            b'{"source":"a","schema":"V1","frame":%b}' % CHANGE,
            b'{"source":"b","frame":%b}' % order,
            b'{"source":"b","frame":%b}' % trade_in_seconds,
        )
    )
    assert [(r.recv_wall_ns, r.stream, r.payload) for r in examples] == [
        (1_700_000_000_001_000_000, STREAM_MARKET, CHANGE),
        (1_700_000_000_002_000_000, STREAM_USER, order),
        (1_700_000_000_000_000_000, STREAM_USER, trade_in_seconds),
    ]

    for name, first in (("objects", CHANGE), ("arrays", b"[" + BOOK + b"]")):
        bare = read(write_lines(tmp_path / name, first, CHANGE))
        assert [r.payload for r in bare] == [first, CHANGE]


def test_a_generic_recording_names_its_fields(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "g",
        b'{"t": "1700000000.000000001", "conn": "a", "msg": %b}' % CHANGE,
        b'{"t": 1700000001, "conn": "b", "msg": "%b"}' % CHANGE.replace(b'"', b'\\"'),
        b'{"t": 1700000002, "conn": "a", "msg": [ 1 ]}',
        b'{"t": 1700000002, "conn": "user", "msg": {}}',
    )
    fields = GenericFields("t", "msg", "s", "conn")
    recording = open_recording(path, fields=fields)

    assert [(r.recv_wall_ns, r.stream, r.payload) for r in recording] == [
        (1_700_000_000_000_000_001, 16, CHANGE),
        (1_700_000_001_000_000_000, 17, CHANGE),
        (1_700_000_002_000_000_000, 16, b"[ 1 ]"),
        (1_700_000_002_000_000_000, STREAM_USER, b"{}"),
    ]
    assert {number: note.name for number, note in recording.streams.items() if number >= 16} == {
        16: "a",
        17: "b",
    }

    with pytest.raises(ImportFormatError, match=r"no field 'payload'.*--payload-field"):
        list(open_recording(path, fields=GenericFields("t", "payload")))


def test_bad_lines_are_kept_with_their_numbers_and_spoil_nothing_else(tmp_path: Path) -> None:
    good = b'{"recv_ts":1.5,"payload":{"a":1}}'
    path = write_lines(
        tmp_path / "r",
        good,
        good[:-3],
        b'{"recv_ts":"soon","payload":{}}',
        b'{"recv_ts":1,"payload":17}',
        b'{"recv_ts":1}',
        b"\xff\xfe",
        b'{"recv_ts":1,"payload":' + b"[" * 100_000 + b"}",
        b'{"recv_ts":1e999999999,"payload":{}}',
        good,
    )
    recording = open_recording(path)

    assert [record.payload for record in recording] == [b'{"a":1}', b'{"a":1}']
    assert [line.number for line in recording.log.bad_lines] == [2, 3, 4, 5, 6, 7, 8]


def test_files_that_are_no_recordings_are_refused_in_one_line(tmp_path: Path, recordings: Path) -> None:
    for name, data in (
        ("empty", b""),
        ("blank", b"\n \n"),
        ("text", b"hello\nworld\n"),
        ("csv", b"a,b\n1,2\n"),
        ("object", b'{"a": 1}\n'),
        ("half", b'{"market":\n'),
        ("number array", b"[1, 2]"),
        ("binary", bytes(range(128, 256))),
        ("all bad", b'{"recv_ts":"x","payload":{}}\n'),
        ("deep", b"[" * 100_000),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImportFormatError) as caught:
            list(open_recording(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ImportFormatError):
        list(open_recording(recordings / "fed_june2026.gamma-event.json"))


def test_an_import_writes_notes_then_every_record(tmp_path: Path, recordings: Path) -> None:
    path = recordings / "small_20260630.json"
    report = import_recording(path, tmp_path / "t")
    records = read_tape(tmp_path / "t")

    assert [decode_note(record.payload) for record in records if record.kind == NOTE] == [
        SourceNote("small_20260630.json", "json-value", "exchange", False),
        StreamNote(STREAM_MARKET, "market", "market"),
    ]
    assert [record for record in records if record.kind == FRAME] == read(path)
    assert (report.records, report.skipped, report.bad_line_count) == (5, {}, 0)
    assert report.first_wall_ns == min(record.recv_wall_ns for record in records)
    assert report.last_wall_ns == max(record.recv_wall_ns for record in records)

    with pytest.raises(TapeWriteError, match="already holds a tape"):
        import_recording(path, tmp_path / "t")


def test_a_refused_import_leaves_no_tape(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "bad", b'{"recv_ts":"x","payload":{}}')
    with pytest.raises(ImportFormatError):
        import_recording(path, tmp_path / "t")
    assert not (tmp_path / "t").exists()


# Frames and skipped rows as the recordings' own README counts them.
COUNTS = {
    "ws/btc5m_full_20260421.jsonl.zst": ("captured", 5544, 0),
    "ws/negrisk_pair_20260727.jsonl.zst": ("journal", 1264, 0),
    "ws/books_btc-updown-5m-1776323700.jsonl.zst": ("received", 4550, 0),
    "ws/books_btc-updown-5m-1776325800.jsonl.zst": ("received", 4676, 0),
    "ws/books_btc-updown-5m-1776326100.jsonl.zst": ("received", 5369, 0),
    "ws/books_btc-updown-5m-1776326400.jsonl.zst": ("received", 5144, 0),
    "ws/books_btc-updown-5m-1776326700.jsonl.zst": ("received", 4487, 0),
    "ws/books_btc-updown-5m-1776327000.jsonl.zst": ("received", 6114, 0),
    "ws/books_btc-updown-5m-1776329100.jsonl.zst": ("received", 1974, 0),
    "ws/updown15m_mixed_20260429.jsonl.zst": ("ingest-log", 447, 1500),
    "ws/small_20260630.json": ("json-value", 5, 0),
    "ws/l1_events_btc_20260301.csv": ("l1-events-csv", 474, 0),
    "books/fed_june2026.clob-books.json.zst": ("json-value", 10, 0),
    "books/clob_books_60tokens_20260311.jsonl.zst": ("book-batches", 60, 0),
    "books/clob_book_negrisk_outcome_20260628.json": ("json-value", 1, 0),
    "books/clob_book_binary_20260628.json": ("json-value", 1, 0),
    "books/hugompt_clob_book_20260627.json": ("frames", 1, 0),
    "books/btc15m_1s_top20_20260928.jsonl.zst": ("sampled-books", 25256, 0),
    "books/mlb_0x1693f7db.jsonl.zst": ("book-history", 334, 0),
    "books/mlb_0xe553dabe.jsonl.zst": ("book-history", 335, 0),
    "books/btc15m_yesno_bbo_20260401.csv.zst": ("yesno-bbo-csv", 7529, 0),
    "legacy/frames_2024.jsonl": ("examples", 28, 0),
    "user/user_frames.jsonl": ("examples", 14, 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_every_recording_comes_in_whole(shared_data: Path, tmp_path: Path, name: str) -> None:
    form, count, skipped = COUNTS[name]
    report = import_recording(shared_data / name, tmp_path / "t")

    assert (report.format, report.records, sum(report.skipped.values())) == (form, count, skipped)
    assert report.bad_line_count == 0
    frames = [record for record in read_tape(tmp_path / "t") if record.kind == FRAME]
    assert len(frames) == count
    hashed = [json.loads(r.payload) for r in frames if r.stream == STREAM_REST]
    assert all(rest_hash(book) == book["hash"] for book in hashed)


@pytest.mark.slow
def test_each_reconnect_of_the_mixed_recording_is_a_generation(shared_data: Path) -> None:
    records = read(shared_data / "ws/updown15m_mixed_20260429.jsonl.zst")
    market = [record for record in records if record.stream == STREAM_MARKET]

    dumps = [record.generation for record in market if record.payload.startswith(b"[")]
    assert dumps == list(range(1, 31))
    assert sum(record.stream == STREAM_REST for record in records) == 360
    assert Counter(record.stream for record in records) == {STREAM_REST: 360, STREAM_MARKET: 87}


@pytest.mark.slow
def test_captured_frames_are_sliced_out_of_their_lines(shared_data: Path) -> None:
    path = shared_data / "ws/btc5m_full_20260421.jsonl.zst"
    for record, line in zip(read(path), lines_of(path), strict=True):
        assert line == b'{"capturedAt":%d,"payload":%b}' % (record.recv_wall_ns // 10**9, record.payload)
