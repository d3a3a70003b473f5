"""Processed recordings become synthetic books: no hash, the row's own numbers, best level last."""

import csv
import io
import json
from pathlib import Path

import pytest

from overround.storage import zstd
from overround.storage.import_derived import (
    L1_MARKET,
    derived_market_id,
    derived_token_id,
)
from overround.storage.importers import open_recording
from overround.storage.tape_notes import STREAM_DERIVED


def test_rows_of_both_tokens_stay_one_message_with_their_own_times(recordings: Path) -> None:
    path = recordings / "btc15m_yesno_bbo_20260401.csv.zst"
    recording = open_recording(path)
    records = list(recording)
    with zstd.open_read(path) as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")))

    assert recording.derived
    assert recording.streams[STREAM_DERIVED].role == "derived"
    assert len(records) == len(rows) == 7529
    for record, row in zip(records, rows, strict=True):
        assert record.recv_wall_ns == int(row["recorded_at_ts"].replace(".", "").ljust(13, "0")) * 10**6
        for book, side in zip(json.loads(record.payload), ("up", "down"), strict=True):
            assert book["event_type"] == "book"
            assert "hash" not in book
            assert book["asset_id"] == row[f"{side}_token_id"]
            assert book["timestamp"] == row[f"{side}_book_ts"]
            assert book["market"] == derived_market_id(row["market_slug"])
            for levels, name in (("bids", f"{side}_bid"), ("asks", f"{side}_ask")):
                price, size = row[name], row[f"{name}_size"]
                empty = not price or not size or float(size) == 0
                assert book[levels] == ([] if empty else [{"price": price, "size": size}])


def test_sampled_books_are_turned_best_level_last_with_exact_numbers(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text(
        '{"ts":1790585112649,"slug":"s","side":"DOWN",'
        '"bids":[[0.5,205.0],[0.49,75.000001],[0.48,0]],"asks":[[0.51,514.99],[0.52,1e2]]}\n',
        encoding="utf-8",
    )
    (record,) = open_recording(path)

    assert json.loads(record.payload) == {
        "event_type": "book",
        "market": derived_market_id("s"),
        "asset_id": derived_token_id("s", "DOWN"),
        "timestamp": "1790585112649",
        "bids": [{"price": "0.49", "size": "75.000001"}, {"price": "0.5", "size": "205.0"}],
        "asks": [{"price": "0.52", "size": "1e2"}, {"price": "0.51", "size": "514.99"}],
    }


def test_history_is_read_oldest_first(tmp_path: Path) -> None:
    line = (
        '{"asks": "[{\\"size\\": \\"5\\", \\"price\\": \\"0.9\\"}]", "bids": "[]",'
        ' "timestamp": "2026-05-29T22:39:%02d.141Z", "token_id": "7", "condition_id": "0xa"}'
    )
    path = tmp_path / "f"
    path.write_text("\n".join(line % second for second in (30, 29, 28)), encoding="utf-8")
    records = list(open_recording(path))

    assert [record.seq for record in records] == [1, 2, 3]
    times = [record.recv_wall_ns for record in records]
    assert times == sorted(times)
    book = json.loads(records[0].payload)
    assert (book["market"], book["asset_id"], book["bids"]) == ("0xa", "7", [])
    assert book["asks"] == [{"price": "0.9", "size": "5"}]


def test_top_events_name_their_token_and_skip_rows_without_prices(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text(
        "local_ts_ms,recv_iso_utc,msg_ts_ms,event_type,bid_price,bid_qty,ask_price,ask_qty\n"
        "1772368991363,x,1772368991332,book,0.6,138.51,0.61,444.96\n"
        "1772368991364,x,1772368991333,price_change,,,0.61,444.96\n"
        "1772368991365,x,1772368991334,price_change,,,,\n"
        "1772368991366,x,1772368991335,price_change,0.6\n"
        "1772368991366,x,1772368991335,price_change,0.6,nan,0.61,1\n",
        encoding="utf-8",
    )
    recording = open_recording(path)
    books = [json.loads(record.payload) for record in recording]

    assert [book["timestamp"] for book in books] == ["1772368991332", "1772368991333"]
    assert books[0]["asset_id"] == derived_token_id(L1_MARKET, "UP")
    assert books[1]["bids"] == []
    assert recording.log.skipped == {"row without prices": 1}
    assert [line.number for line in recording.log.bad_lines] == [5, 6]


def test_ids_made_from_names_look_like_the_venues() -> None:
    assert derived_token_id("a", "UP") != derived_token_id("a", "DOWN")
    assert derived_token_id("a", "UP").isdigit()
    assert int(derived_token_id("a", "UP")) < 2**256
    assert len(derived_market_id("a")) == 66


@pytest.mark.slow
def test_every_derived_recording_gives_ordered_levels(shared_data: Path) -> None:
    for name in (
        "books/btc15m_1s_top20_20260928.jsonl.zst",
        "books/mlb_0x1693f7db.jsonl.zst",
        "books/mlb_0xe553dabe.jsonl.zst",
        "ws/l1_events_btc_20260301.csv",
    ):
        recording = open_recording(shared_data / name)
        assert recording.derived
        for record in recording:
            book = json.loads(record.payload)
            bids = [float(level["price"]) for level in book["bids"]]
            asks = [float(level["price"]) for level in book["asks"]]
            assert bids == sorted(bids)
            assert asks == sorted(asks, reverse=True)
        assert recording.log.bad_line_count == 0
