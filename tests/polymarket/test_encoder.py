"""What the encoder writes: the venue's own text, and read back exactly."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import Side
from overround.core.units import E6, parse_e6
from overround.polymarket.encoder import ChangeOut, encode_book, encode_price_change, state_hash
from tests.polymarket.feed_twin import make_market, payloads, running

MARKET = make_market("0x" + "cd" * 32, "11", "12", 1_000, neg_risk=True)


def test_recorded_frames_are_written_byte_for_byte(recordings: Path) -> None:
    seen = 0
    for frame in list(payloads(recordings / "negrisk_pair_20260727.jsonl.zst"))[:100]:
        message = json.loads(frame)
        if message["event_type"] != "price_change":
            continue
        changes = [
            ChangeOut(
                token_id=entry["asset_id"],
                side=Side(entry["side"]),
                px_e6=parse_e6(entry["price"]),
                qty_e6=parse_e6(entry["size"]),
                best_bid_px_e6=parse_e6(entry["best_bid"]),
                best_ask_px_e6=parse_e6(entry["best_ask"]),
                hash=entry["hash"],
            )
            for entry in message["price_changes"]
        ]
        assert encode_price_change(message["market"], changes, int(message["timestamp"])) == frame
        seen += 1
    assert seen > 90


def test_recorded_books_are_written_byte_for_byte(recordings: Path) -> None:
    frame = next(
        frame
        for frame in payloads(recordings / "books_btc-updown-5m-1776326100.jsonl.zst")
        if b'"tick_size"' not in frame
    )
    message = json.loads(frame)
    market = make_market(message["market"], message["asset_id"], "2", 10_000)
    bids, asks = (
        {parse_e6(level["price"]): parse_e6(level["size"]) for level in message[name]}
        for name in ("bids", "asks")
    )
    ts_ms = int(message["timestamp"])
    tries = (f"0.{mills:03d}" for mills in range(1, 1_000))
    last = next(
        t for t in tries if state_hash(market, market.yes.token_id, bids, asks, ts_ms, t) == message["hash"]
    )
    assert encode_book(market, market.yes.token_id, bids, asks, ts_ms, last) == frame


sides = st.dictionaries(
    st.integers(1, 999).map(lambda mills: mills * 1_000), st.integers(1, 10**13), max_size=8
)


@given(sides, sides, st.booleans())
def test_books_read_back(bids: dict[int, int], asks: dict[int, int], first: bool) -> None:
    books, decoder = running([MARKET], check_all=True)
    decoder.ingest(encode_book(MARKET, "11", bids, asks, 5, "0.480", first=first), 5, 1, 1)
    book = books.by_token["11"]
    assert (book.bids, book.asks) == (bids, asks)
    assert books.counters.snapshot_hash_ok == 1
    assert book.best_ask_px_e6 == min(asks, default=E6)
