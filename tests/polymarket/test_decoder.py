"""The decoder on made-up frames, damaged frames and a real recording, beside a slow twin."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.books import Books, BookState
from overround.core.events import (
    FrameRejected,
    MarketAnnounced,
    MarketResolved,
    Side,
    TickSizeChanged,
    TradePrinted,
)
from overround.polymarket.decoder import MarketDecoder
from overround.polymarket.encoder import (
    ChangeOut,
    encode_book,
    encode_books,
    encode_last_trade_price,
    encode_market_resolved,
    encode_price_change,
    encode_tick_size_change,
    state_hash,
)
from tests.polymarket.feed_twin import Twin, levels_of, make_market, payloads, running

CENT = 10_000
SHARE = 1_000_000
CONDITION = "0x" + "ab" * 32
YES, NO = "1" * 77, "2" * 77
MARKET = make_market(CONDITION, YES, NO, CENT)
BIDS = {47 * CENT: 100 * SHARE, 48 * CENT: 30_500_000}
ASKS = {53 * CENT: 20 * SHARE, 52 * CENT: 15 * SHARE}


def mirrored(side: dict[int, int]) -> dict[int, int]:
    return {SHARE - px: qty for px, qty in side.items()}


def opening(ts_ms: int = 1_000) -> list[bytes]:
    return [
        encode_book(MARKET, YES, BIDS, ASKS, ts_ms, "0.500", first=True),
        encode_book(MARKET, NO, mirrored(ASKS), mirrored(BIDS), ts_ms, "0.500", first=True),
    ]


def change(px_e6: int, qty_e6: int, ts_ms: int, *, top: tuple[int, int], side: Side = Side.BUY) -> bytes:
    """Return a frame of one change of YES and its mirror image, with ``top`` as YES's best prices."""
    other = Side.SELL if side is Side.BUY else Side.BUY
    best: dict[str, Any] = {"best_bid_px_e6": top[0], "best_ask_px_e6": top[1]}
    best_no: dict[str, Any] = {"best_bid_px_e6": SHARE - top[1], "best_ask_px_e6": SHARE - top[0]}
    changes = [
        ChangeOut(token_id=YES, side=side, px_e6=px_e6, qty_e6=qty_e6, hash="", **best),
        ChangeOut(token_id=NO, side=other, px_e6=SHARE - px_e6, qty_e6=qty_e6, hash="", **best_no),
    ]
    return encode_price_change(CONDITION, changes, ts_ms)


def live() -> tuple[Books, MarketDecoder]:
    books, decoder = running([MARKET])
    for frame in opening():
        assert decoder.ingest(frame, 0, 1, 1) is None
    return books, decoder


def digest(books: Books) -> str:
    hasher = sha256()
    books.digest_into(hasher)
    return hasher.hexdigest()


def yes_of(books: Books) -> tuple[dict[int, int], dict[int, int]]:
    book = books.get(YES)
    assert book is not None
    return book.bids, book.asks


def test_snapshots_make_books_live_and_their_hashes_verify() -> None:
    books, _ = live()
    assert [book.state for book in books] == [BookState.LIVE, BookState.LIVE]
    assert yes_of(books) == (BIDS, ASKS)
    assert books.counters.snapshot_hash_ok == 2


def test_a_change_writes_both_books_and_the_witnesses_agree() -> None:
    books, decoder = live()
    frame = change(49 * CENT, 7 * SHARE, 1_001, top=(49 * CENT, 52 * CENT))
    assert decoder.ingest(frame, 1, 1, 1) is None
    assert yes_of(books)[0][49 * CENT] == 7 * SHARE
    assert books.by_token[NO].asks[51 * CENT] == 7 * SHARE
    assert (books.by_token[NO].best_bid_px_e6, books.by_token[NO].best_ask_px_e6) == (48 * CENT, 51 * CENT)
    counters = books.counters
    assert (counters.top_checked, counters.top_mismatch) == (2, 0)
    assert (counters.mirror_checked, counters.mirror_mismatch) == (2, 0)
    assert list(books.touched) == [YES, NO]


def test_a_removed_best_level_uncovers_the_next() -> None:
    books, decoder = live()
    decoder.ingest(change(48 * CENT, 0, 1_001, top=(47 * CENT, 52 * CENT)), 1, 1, 1)
    assert books.by_token[YES].best_bid_px_e6 == 47 * CENT
    decoder.ingest(change(47 * CENT, 0, 1_002, top=(0, 52 * CENT)), 1, 1, 1)
    assert books.by_token[YES].best_bid_px_e6 == 0
    assert books.by_token[NO].best_ask_px_e6 == SHARE
    assert books.counters.top_mismatch == 0


def _respelled(frame: bytes) -> list[bytes]:
    message = json.loads(frame)
    backwards = dict(reversed(message.items()))
    return [
        json.dumps(message, indent=2).encode(),
        json.dumps(backwards, separators=(",", ":")).encode(),
        json.dumps([message]).encode(),
        b" " + frame + b"\n",
        frame.replace(b'"price"', b'"pri\\u0063e"'),
        frame.replace(b'"0.', b'".'),
        frame[:-1] + b',"new_key":{"bids":[],"asks":[{"price":"9"}]}}',
    ]


@pytest.mark.parametrize("index", range(7))
def test_spelling_and_framing_do_not_matter(index: int) -> None:
    frames = [*opening(), change(49 * CENT, 7 * SHARE, 1_001, top=(49 * CENT, 52 * CENT))]
    plain, plain_decoder = running([MARKET], levels_per_second=0)
    other, other_decoder = running([MARKET], levels_per_second=0)
    for frame in frames:
        plain_decoder.ingest(frame, 5, 1, 1)
        other_decoder.ingest(_respelled(frame)[index], 5, 1, 1)
    assert levels_of(other) == levels_of(plain)
    assert digest(other) == digest(plain)
    assert other.counters.top_checked == plain.counters.top_checked


def test_the_initial_dump_is_one_array() -> None:
    books, decoder = running([MARKET])
    assert decoder.ingest(encode_books(opening()), 0, 1, 1) is None
    assert all(book.live for book in books)


def test_a_rest_book_has_no_event_type() -> None:
    books, decoder = running([MARKET])
    message = json.loads(opening()[0])
    del message["event_type"]
    decoder.ingest(json.dumps(message, separators=(",", ":")).encode(), 0, 1, 1)
    assert yes_of(books) == (BIDS, ASKS)
    assert books.counters.snapshot_hash_ok == 1


def test_the_schema_before_2025_has_its_change_on_the_frame() -> None:
    books, decoder = live()
    old = {"asset_id": YES, "event_type": "price_change", "hash": "x", "market": CONDITION, "price": "0.514"}
    frame = json.dumps({**old, "side": "SELL", "size": "21574.08", "timestamp": "1001"}).encode()
    assert decoder.ingest(frame, 1, 1, 1) is None
    assert yes_of(books)[1][514_000] == 21_574_080_000


@pytest.mark.parametrize("text", [b"PONG", b"", b"\n", b"PING"])
def test_keep_alive_texts_are_ignored_and_counted(text: bytes) -> None:
    books, decoder = live()
    before = digest(books)
    assert decoder.ingest(text, 1, 1, 1) is None
    assert (books.counters.ignored, digest(books)) == (1, before)


def test_rare_events_become_facts() -> None:
    books, decoder = live()
    trade = encode_last_trade_price(CONDITION, YES, Side.SELL, 480_000, 2 * SHARE, 1_001)
    assert decoder.ingest(trade, 1, 1, 1) == [TradePrinted(YES, 480_000, 2 * SHARE, Side.SELL, 1_001)]
    assert decoder.ingest(trade.replace(b'"0.48"', b'""'), 1, 1, 1) is None
    new = b'{"event_type":"new_market","market":"0x1","slug":"s","assets_ids":["5","6"],"clob_token_ids":[]}'
    assert decoder.ingest(new, 1, 1, 1) == [MarketAnnounced("0x1", ("5", "6"), "s")]
    resolved = encode_market_resolved(CONDITION, [YES, NO], NO, 1_002)
    assert decoder.ingest(resolved, 1, 1, 1) == [MarketResolved(CONDITION, NO)]
    tick = encode_tick_size_change(CONDITION, YES, CENT, 1_000, 1_003)
    expected = [TickSizeChanged(YES, 1_000, 1_003), TickSizeChanged(NO, 1_000, 1_003)]
    assert decoder.ingest(tick, 1, 1, 1) == expected
    assert decoder.ingest(tick.replace(YES.encode(), NO.encode()), 1, 1, 1) is None
    assert [book.state for book in books] == [BookState.SYNCING] * 2
    assert books.market_of(YES).tick_e6 == 1_000


def test_a_snapshot_with_another_tick_begins_an_epoch_and_is_applied() -> None:
    books, decoder = live()
    frame = opening(2_000)[0].replace(b'"tick_size":"0.01"', b'"tick_size":"0.001"')
    facts = decoder.ingest(frame, 1, 1, 1)
    assert facts == [TickSizeChanged(YES, 1_000, 2_000), TickSizeChanged(NO, 1_000, 2_000)]
    assert (books.by_token[YES].state, books.by_token[NO].state) == (BookState.LIVE, BookState.SYNCING)
    assert [book.epoch for book in books] == [1, 1]


def test_a_hash_proves_a_tick_that_nobody_announced() -> None:
    books, decoder = live()
    finer = make_market(CONDITION, YES, NO, 1_000)
    bids = {480_000: SHARE, 481_000: SHARE}
    facts = decoder.ingest(encode_book(finer, YES, bids, ASKS, 2_000, "0.500"), 1, 1, 1)
    assert facts == [TickSizeChanged(YES, 1_000, 2_000), TickSizeChanged(NO, 1_000, 2_000)]
    assert (books.by_token[YES].state, books.by_token[NO].state) == (BookState.LIVE, BookState.SYNCING)
    assert (yes_of(books), books.market_of(NO).tick_e6) == ((bids, ASKS), 1_000)
    assert books.counters.snapshot_hash_ok == 3
    # Back again: every price lies on the coarser grid.
    facts = decoder.ingest(encode_book(MARKET, YES, BIDS, ASKS, 3_000, "0.500"), 1, 1, 1)
    assert facts == [TickSizeChanged(YES, CENT, 3_000), TickSizeChanged(NO, CENT, 3_000)]


def test_best_bid_ask_is_a_witness_only() -> None:
    books, decoder = live()
    best = {"event_type": "best_bid_ask", "asset_id": YES, "best_bid": "0.48", "best_ask": "0.52"}
    assert decoder.ingest(json.dumps({**best, "timestamp": "1001"}).encode(), 1, 1, 1) is None
    wrong = json.dumps({**best, "best_bid": "0.49", "timestamp": "1002"}).encode()
    assert decoder.ingest(wrong, 1, 1, 1) is None
    assert yes_of(books) == (BIDS, ASKS)
    assert (books.counters.top_checked, books.counters.top_mismatch) == (2, 1)


def test_unknown_tokens_are_counted_and_change_nothing() -> None:
    books, decoder = live()
    before = digest(books)
    for frame in (*opening(), change(49 * CENT, SHARE, 1_001, top=(49 * CENT, 52 * CENT))):
        foreign = frame.replace(YES.encode(), b"3").replace(NO.encode(), b"4")
        assert decoder.ingest(foreign, 1, 1, 1) is None
    assert digest(books) == before
    assert books.counters.unknown_tokens == 4


def test_another_connection_changes_nothing() -> None:
    books, decoder = live()
    before = digest(books)
    frame = change(49 * CENT, SHARE, 1_001, top=(49 * CENT, 52 * CENT))
    for stream, generation in ((1, 0), (2, 1), (1, 2)):
        assert decoder.ingest(frame, 1, stream, generation) is None
        assert decoder.ingest(opening(1_002)[0], 1, stream, generation) is None
    assert digest(books) == before
    assert books.counters.old_generation == 9


BAD_NUMBERS = ["NaN", "1e3", "-1", "+1", "0.1234567", " 1", "1 ", "", ".", "5.", "1_0", "Infinity", "9" * 30]


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "\u0661"])
@pytest.mark.parametrize("make", ["change", "book"])
def test_bad_sizes_are_refused(text: str, make: str) -> None:
    books, decoder = live()
    before = digest(books)
    if make == "change":
        frame = change(49 * CENT, 7 * SHARE, 1_001, top=(49 * CENT, 52 * CENT)).replace(
            b'"7"', json.dumps(text, ensure_ascii=False).encode(), 1
        )
    else:
        frame = opening(1_001)[0].replace(b'"30.5"', json.dumps(text, ensure_ascii=False).encode())
    facts = decoder.ingest(frame, 1, 1, 1)
    assert facts is not None
    assert isinstance(facts[0], FrameRejected)
    assert facts[0].reason == "bad_number"
    assert digest(books) == before


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "0", "1", "1.5", "0.0000001"])
def test_bad_prices_are_refused(text: str) -> None:
    books, decoder = live()
    before = digest(books)
    for frame, old in (
        (change(49 * CENT, 7 * SHARE, 1_001, top=(48 * CENT, 52 * CENT)), b'"0.49"'),
        (opening(1_001)[0], b'"0.47"'),
    ):
        facts = decoder.ingest(frame.replace(old, json.dumps(text).encode(), 1), 1, 1, 1)
        assert facts is not None
        assert isinstance(facts[0], FrameRejected)
    assert digest(books) == before


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"{", "bad_json"),
        (b"[]x", "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b"null", "bad_type"),
        (b"[1]", "bad_type"),
        (b"{}", "unknown_event"),
        (b'{"event_type":"sports"}', "unknown_event"),
        (b'{"event_type":7}', "bad_type"),
        (b'{"event_type":"book","asset_id":"1"}', "bad_type"),
        (
            b'{"event_type":"tick_size_change","asset_id":"1","new_tick_size":"0.3","timestamp":"1"}',
            "bad_number",
        ),
        (b" " * (32 * 1024 * 1024 + 1), "too_large"),
    ],
)
def test_what_cannot_be_understood_is_one_rejected_frame(frame: bytes, reason: str) -> None:
    books, decoder = live()
    before = digest(books)
    facts = decoder.ingest(frame, 1, 1, 1)
    assert facts is not None
    assert [type(fact) for fact in facts] == [FrameRejected]
    assert isinstance(facts[0], FrameRejected)
    assert (facts[0].reason, digest(books), books.counters.rejected) == (reason, before, 1)


def test_one_bad_element_refuses_the_whole_array() -> None:
    books, decoder = running([MARKET])
    before = digest(books)
    good, other = opening()
    assert decoder.ingest(encode_books([good, other.replace(b'"0.47"', b'"7"'), good[:-1] + b"}"]), 1, 1, 1)
    assert digest(books) == before


def test_a_price_twice_in_a_snapshot_is_refused() -> None:
    books, decoder = live()
    facts = decoder.ingest(opening(1_001)[0].replace(b'"0.47"', b'"0.480"'), 1, 1, 1)
    assert facts is not None
    assert isinstance(facts[0], FrameRejected)
    assert facts[0].reason == "bad_book"
    assert yes_of(books) == (BIDS, ASKS)


def test_of_duplicate_keys_the_last_wins() -> None:
    books, decoder = live()
    frame = change(49 * CENT, 7 * SHARE, 1_001, top=(49 * CENT, 52 * CENT))
    decoder.ingest(frame.replace(b'"size":"7"', b'"size":"9","size":"8"'), 1, 1, 1)
    assert yes_of(books)[0][49 * CENT] == 8 * SHARE
    book = opening(1_002)[0]
    decoder.ingest(book.replace(b'"bids":[', b'"bids":[{"price":"0.11","size":"1"}],"bids":['), 1, 1, 1)
    assert yes_of(books)[0] == BIDS


def test_levels_hidden_in_other_keys_are_not_levels() -> None:
    books, decoder = live()
    hidden = b'"bids":[{"price":"0.11","size":"1"}],"asks":[]'
    frame = opening(1_002)[0]
    for disguise in (b'"x":{%b},' % hidden, b'"x\\":[],":0,"y":{%b},' % hidden):
        decoder.ingest(b"{" + disguise + frame[1:], 1, 1, 1)
        assert yes_of(books) == (BIDS, ASKS)
    empty = b'{"x":{%b},"asset_id":"%b","timestamp":"1003","event_type":"book","b\\u0069ds":[],"asks":[]}'
    decoder.ingest(empty % (hidden, YES.encode()), 1, 1, 1)
    assert yes_of(books) == ({}, {})


def test_a_book_of_ten_thousand_levels_and_a_frame_of_sixteen_megabytes() -> None:
    books, decoder = running([make_market(CONDITION, YES, NO, 100)])
    bids = {px * 100: px * SHARE for px in range(1, 5_000)}
    asks = {px * 100: px * SHARE for px in range(5_001, 10_000)}
    frame = encode_book(MARKET, YES, bids, asks, 1_000, "0.500")
    padded = frame[:-1] + b',"padding":"' + b"x" * (16 * 1024 * 1024) + b'"}'
    assert decoder.ingest(padded, 1, 1, 1) is None
    assert yes_of(books) == (bids, asks)


def test_the_change_hash_is_checked_when_the_next_batch_begins() -> None:
    books, decoder = running([MARKET], check_all=True)
    for frame in opening():
        decoder.ingest(frame, 0, 1, 1)
    bids = {**BIDS, 49 * CENT: SHARE}
    right = state_hash(MARKET, YES, bids, ASKS, 1_001, "0.500")
    out = ChangeOut(
        token_id=YES, side=Side.BUY, px_e6=49 * CENT, qty_e6=SHARE, best_bid_px_e6=49 * CENT,
        best_ask_px_e6=52 * CENT, hash=right,
    )  # fmt: skip
    decoder.ingest(encode_price_change(CONDITION, [out], 1_001), 1, 1, 1)
    decoder.ingest(encode_price_change(CONDITION, [out], 1_002), 2, 1, 1)  # the same hash: now a wrong one
    assert (books.counters.batch_hash_checked, books.counters.batch_hash_ok) == (2, 2)  # snapshot and batch
    decoder.ingest(encode_price_change(CONDITION, [out], 1_003), 3, 1, 1)
    assert (books.counters.batch_hash_checked, books.counters.batch_hash_ok) == (3, 2)
    assert books.by_token[YES].doubt is not None
    assert books.by_token[YES].live


def test_a_wrong_top_is_a_doubt_and_after_250_ms_a_verdict() -> None:
    books, decoder = live()
    wrong = (49 * CENT, 52 * CENT)
    assert decoder.ingest(change(40 * CENT, SHARE, 1_001, top=wrong), 1_000_000, 1, 1) is None
    assert books.by_token[YES].live
    facts = decoder.ingest(change(40 * CENT, SHARE, 1_300, top=wrong), 300_000_000, 1, 1)
    assert facts is not None
    assert {(fact.token_id, fact.witness) for fact in facts} == {(YES, "top"), (NO, "top")}  # type: ignore[union-attr]
    assert [book.state for book in books] == [BookState.SUSPECT] * 2
    for ts_ms in (1_400, 1_401, 1_402):
        decoder.ingest(change(40 * CENT, SHARE, ts_ms, top=(48 * CENT, 52 * CENT)), ts_ms * 10**6, 1, 1)
    assert [book.state for book in books] == [BookState.LIVE] * 2


def test_a_doubt_that_nothing_withdraws_becomes_a_verdict_by_time_alone() -> None:
    books, decoder = live()
    decoder.ingest(change(40 * CENT, SHARE, 1_001, top=(49 * CENT, 52 * CENT)), 1_000_000, 1, 1)
    facts = decoder.ingest(b'{"event_type":"new_market","market":"0x1"}', 252_000_000, 1, 1)
    assert facts is not None
    assert len(facts) == 3
    assert books.counters.suspects == 2


# --- damage ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(recordings: Path) -> list[bytes]:
    frames = list(payloads(recordings / "negrisk_pair_20260727.jsonl.zst"))[:60]
    return [*frames, *opening(), change(49 * CENT, SHARE, 1_001, top=(49 * CENT, 52 * CENT))]


def _mutate(frame: bytes, kind: str, at: float, piece: bytes) -> bytes:
    place = int(at * len(frame))
    return {
        "cut": frame[:place],
        "flip": frame[:place] + bytes([frame[place] ^ piece[0]]) + frame[place + 1 :] if frame else frame,
        "insert": frame[:place] + piece + frame[place:],
        "delete": frame[:place] + frame[place + len(piece) :],
        "double": frame[:place] + frame[max(0, place - 40) : place] + frame[place:],
        "array": b"[" + frame + b"," + frame[:place] + b"]",
    }[kind]


mutations = st.tuples(
    st.integers(0, 62),
    st.sampled_from(["cut", "flip", "insert", "delete", "double", "array"]),
    st.floats(0, 1, exclude_max=True),
    st.binary(min_size=1, max_size=4) | st.sampled_from([b'"', b"]", b"}", b",", b"0", b".", b"-", b"e5"]),
)


@given(st.lists(mutations, min_size=1, max_size=12))
def test_damaged_frames_never_raise_and_accepted_ones_mean_what_the_twin_reads(
    recorded: list[bytes], damage: list[tuple[int, str, float, bytes]]
) -> None:
    yes, no = sorted(json.loads(frame)["asset_id"] for frame in recorded[:2])
    markets = [make_market(json.loads(recorded[0])["market"], yes, no, 1_000, neg_risk=True), MARKET]
    books, decoder = running(markets)
    twin = Twin(markets)
    for frame in (*recorded[:2], *recorded[-3:]):
        decoder.ingest(frame, 0, 1, 1)
        twin.feed(frame)
    for index, kind, at, piece in damage:
        frame = _mutate(recorded[index], kind, at, piece)
        before = digest(books)
        facts = decoder.ingest(frame, 1, 1, 1) or []
        if any(isinstance(fact, FrameRejected) for fact in facts):
            assert len(facts) == 1
            assert digest(books) == before
        else:
            twin.feed(frame)
    assert levels_of(books) == twin.levels()
    for book in books:
        assert book.best_bid_px_e6 == max(book.bids, default=0)
        assert book.best_ask_px_e6 == min(book.asks, default=SHARE)


def test_changes_without_their_event_type_are_refused_either_way() -> None:
    books, decoder = live()
    before = digest(books)
    frame = change(49 * CENT, SHARE, 1_001, top=(49 * CENT, 52 * CENT))
    for damaged in (
        frame.replace(b"event_type", b"event_tyqe"),
        frame.replace(b',"event_type"', b', "event_tyqe"'),
    ):
        facts = decoder.ingest(damaged, 1, 1, 1)
        assert facts is not None
        assert [type(fact) for fact in facts] == [FrameRejected]
    assert digest(books) == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["event_type", "asset_id", "price_changes", "bids", "asks", "price", "size", "timestamp"]
            ),
            inner
            | st.sampled_from(
                ["book", "price_change", "last_trade_price", "best_bid_ask", YES, "0.4", "1000"]
            ),
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(json_values | st.binary(max_size=60))
def test_any_json_and_any_bytes_are_survived(value: object) -> None:
    books, decoder = live()
    before = digest(books)
    frame = value if isinstance(value, bytes) else json.dumps(value).encode()
    facts = decoder.ingest(frame, 1, 1, 1) or []
    if any(isinstance(fact, FrameRejected) for fact in facts):
        assert digest(books) == before
