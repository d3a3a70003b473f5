"""Snapshots recognised by their text: exactly those that hold the book's levels, however it changed."""

from hypothesis import given
from hypothesis import strategies as st

from overround.core.books import Books
from overround.core.units import E6, format_e6
from overround.polymarket.book_hash import level_text, side_text
from overround.polymarket.encoder import encode_book
from overround.polymarket.snapshot_texts import SPARE_BOOKS, SnapshotTexts
from tests.polymarket.feed_twin import make_market, running

CENT = 10_000
YES, NO = "1" * 77, "2" * 77
MARKET = make_market("0x" + "ab" * 32, YES, NO, CENT)

prices = st.integers(1, 12)
quantities = st.sampled_from([E6, 30 * E6, 12_500_000, 12_340_000, 100_000, 5_000_001, 70_010_000])
sides = st.dictionaries(prices, quantities, max_size=8)
changes = st.lists(st.tuples(st.booleans(), prices, quantities | st.just(0)), max_size=20)


def texts_of(bids: dict[int, int], asks: dict[int, int]) -> tuple[bytes, bytes]:
    return side_text(bids, descending=False), side_text(asks, descending=True)


def parts(text: bytes) -> list[bytes]:
    return text[2:-2].split(b"},{") if text != b"[]" else []


@given(sides, sides, st.lists(changes, min_size=1, max_size=4))
def test_the_text_is_that_of_the_book_however_it_changed(
    bids: dict[int, int], asks: dict[int, int], rounds: list[list[tuple[bool, int, int]]]
) -> None:
    books = Books()
    books.track(MARKET, 0)
    books.stream_up(1, 1, [YES, NO], 0)
    texts = SnapshotTexts(books)
    book = books.by_token[YES]
    own_bids = {px * CENT: qty for px, qty in bids.items()}
    own_asks = {(50 + px) * CENT: qty for px, qty in asks.items()}
    own_bids, own_asks = dict(sorted(own_bids.items())), dict(sorted(own_asks.items(), reverse=True))
    assert books.apply_snapshot(YES, dict(own_bids), dict(own_asks), 1_000, 0, 1, 1)
    texts.remember(book, *map(parts, texts_of(own_bids, own_asks)))
    ts_ms = 1_000
    for batch in rounds:
        for is_bid, step, qty_e6 in batch:
            ts_ms += 1
            px_e6 = step * CENT if is_bid else (50 + step) * CENT
            books.apply_changes([(book, is_bid, px_e6, qty_e6, -1, -1, "")], ts_ms, 0, book.link)
        good = texts_of(book.bids, book.asks)
        assert texts.match(book, *good)
        for side, other in ((book.bids, 0), (book.asks, 1)):
            for px_e6 in side:
                wrong = side_text({**side, px_e6: side[px_e6] + 1}, descending=bool(other))
                assert not texts.match(book, *((wrong, good[1]) if not other else (good[0], wrong)))
        levels = (dict(book.bids), dict(book.asks))
        ts_ms += 1
        assert books.confirm_snapshot(book, ts_ms, 0, book.link, "h")
        texts.confirmed(book)
        assert (book.bids, book.asks) == levels
        assert (book.bid_ts_ms, book.ask_ts_ms, book.snapshot_ts_ms, book.last_hash) == ({}, {}, ts_ms, "h")


def test_texts_of_another_snapshot_are_not_used() -> None:
    books, _ = running([MARKET])
    book = books.by_token[YES]
    texts = SnapshotTexts(books)
    side = {40 * CENT: E6}
    text = side_text(side, descending=False)
    assert not texts.match(book, text, b"[]")
    assert books.apply_snapshot(YES, dict(side), {}, 1_000, 0, 1, 1)
    texts.remember(book, parts(text), [])
    assert texts.match(book, text, b"[]")
    assert books.apply_snapshot(YES, dict(side), {}, 1_001, 0, 1, 1)
    assert not texts.match(book, text, b"[]")


def test_a_book_that_is_closed_late_or_unknown_confirms_nothing() -> None:
    books, _ = running([MARKET])
    book = books.by_token[YES]
    assert not books.confirm_snapshot(book, 1_000, 0, 1 << 16 | 1, "")
    assert books.apply_snapshot(YES, {40 * CENT: E6}, {}, 1_000, 0, 1, 1)
    assert not books.confirm_snapshot(book, 999, 0, book.link, "")
    assert not books.confirm_snapshot(book, 1_001, 0, book.link + 1, "")
    assert (book.snapshot_seq, book.exchange_ts_ms) == (1, 1_000)


def test_a_confirmed_snapshot_counts_as_one_and_heals_a_doubt() -> None:
    books, decoder = running([MARKET])
    bids, asks = {40 * CENT: E6}, {60 * CENT: E6}
    decoder.ingest(encode_book(MARKET, YES, bids, asks, 1_000, "0.500", first=True), 0, 1, 1)
    book = books.by_token[YES]
    books.contradict(book, "top", 1_000, 0, "made up")
    assert books.doubted
    own = book.bids
    decoder.ingest(encode_book(MARKET, YES, bids, asks, 1_001, "0.500"), 1, 1, 1)
    assert book.bids is own, "an equal snapshot is not parsed"
    assert not books.doubted
    assert (books.counters.snapshots, books.counters.snapshot_hash_ok, books.counters.frames) == (2, 2, 2)
    decoder.ingest(encode_book(MARKET, YES, {39 * CENT: E6}, asks, 1_002, "0.500"), 2, 1, 1)
    assert (book.bids, book.best_bid_px_e6) == ({39 * CENT: E6}, 39 * CENT)


def test_texts_of_books_no_longer_tracked_are_dropped() -> None:
    books = Books()
    texts = SnapshotTexts(books)
    for number in range(2 * SPARE_BOOKS):
        market = make_market(f"0x{number:064x}", f"{number}1", f"{number}2", CENT)
        books.track(market, 0)
        for token_id in market.token_ids():
            texts.remember(books.by_token[token_id], [], [])
        books.untrack(market.condition_id)
    assert len(texts._texts) <= SPARE_BOOKS + 2


@given(st.integers(1, E6 - 1), st.integers(1, 10**12))
def test_a_level_reads_back(px_e6: int, qty_e6: int) -> None:
    text = f'"price":"{format_e6(px_e6)}","size":"{format_e6(qty_e6)}"'
    assert level_text(px_e6, qty_e6) == text.encode()
