"""Frames as rows: against the books they build, and against damage."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.units import parse_e6
from overround.polymarket.book_check_input import read_messages
from overround.polymarket.normalise import Row, normalise
from overround.storage.importers import open_recording

BOOK = (
    b'{"market":"0x1","asset_id":"7","timestamp":"1767225600000","hash":"","bids":[{"price":".48","size":"3"}],'
    b'"asks":[{"price":"0.52","size":"1.5"}],"event_type":"book"}'
)
OLD = b'{"asset_id":"7","event_type":"price_change","price":"0.3","side":"SELL","size":"0","timestamp":"5"}'
TRADE = (
    b'{"asset_id":"7","event_type":"last_trade_price","price":"0.3","side":"BUY","size":"2","timestamp":"5"}'
)


def test_each_kind() -> None:
    assert normalise(b"[%b,%b]" % (BOOK, OLD)) == [
        Row("snapshot", 1_767_225_600_000, "7", "BUY", 480_000, 3_000_000),
        Row("snapshot", 1_767_225_600_000, "7", "SELL", 520_000, 1_500_000),
        Row("delta", 5, "7", "SELL", 300_000, 0),
    ]
    assert normalise(TRADE) == [Row("trade", 5, "7", "BUY", 300_000, 2_000_000)]
    assert normalise(b'{"event_type":"new_market","market":"0x1"}') == []


@pytest.mark.parametrize("name", ["negrisk_pair_20260727.jsonl.zst", "small_20260630.json"])
def test_every_level_and_change_of_a_recording_is_a_row(recordings: Path, name: str) -> None:
    for record in open_recording(recordings / name):
        wanted = []
        for message in read_messages(record.payload):
            for side, levels in (("BUY", message.bids or ()), ("SELL", message.asks or ())):
                wanted += [
                    (message.asset_id, side, parse_e6(level.price), parse_e6(level.size)) for level in levels
                ]
            for change in message.price_changes or ():
                wanted.append((change.asset_id, change.side, parse_e6(change.price), parse_e6(change.size)))
        assert [
            (row.token_id, row.side, row.px_e6, row.qty_e6) for row in normalise(record.payload)
        ] == wanted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'".48"', b'"NaN"'),
        (b'".48"', b'"1.2"'),
        (b'".48"', b"0.48"),
        (b'"3"', b'"-3"'),
        (b'"3"', b'"1e3"'),
        (b'"1767225600000"', b'"soon"'),
        (b'"asks":[', b'"asks":7,"x":['),
        (b'"event_type"', b'"event_type'),
    ],
)
def test_a_broken_frame_gives_no_rows(old: bytes, new: bytes) -> None:
    assert BOOK.count(old) == 1
    with pytest.raises(ValueError, match=r"bad_number|JSON|Expected|Object"):
        normalise(BOOK.replace(old, new))


@given(data=st.binary(max_size=60), at=st.integers(0, len(BOOK)), cut=st.integers(0, 60))
def test_bytes_in_the_wrong_place_never_raise_anything_else(data: bytes, at: int, cut: int) -> None:
    try:
        rows = normalise(BOOK[:at] + data + BOOK[at + cut :])
    except ValueError:
        return
    assert all(0 < row.px_e6 < 1_000_000 and row.qty_e6 >= 0 for row in rows)
