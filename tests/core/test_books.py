"""Books: states, connections, order of arrival, epochs, witnesses."""

from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.book import NO_LINK
from overround.core.books import NO_ASK_PX_E6, NO_BID_PX_E6, Books, BookState, Change, link_of
from overround.core.events import BookSuspect, Side
from overround.core.witnesses import HEALING_BATCHES, LAGGING_MS, MANY_BATCHES, MAX_LATE_MS, PATIENCE_NS
from tests.core.worlds import CENT, market

STREAM, GENERATION = 3, 7
LINK = link_of(STREAM, GENERATION)
MARKET = market("m")
YES, NO = MARKET.token_ids()
NO_CLAIMS = (-1, -1, "")


def synced() -> Books:
    """Return books that wait for their snapshots."""
    books = Books()
    books.track(MARKET, 0)
    books.stream_up(STREAM, GENERATION, [YES, NO], 0)
    return books


def snapshot(books: Books, token: str, bids: dict[int, int], asks: dict[int, int], ts_ms: int) -> bool:
    return books.apply_snapshot(token, dict(bids), dict(asks), ts_ms, ts_ms * 10**6, STREAM, GENERATION)


def change(books: Books, px_e6: int, qty_e6: int, ts_ms: int, *, is_bid: bool = True) -> None:
    entry: Change = (books.by_token[YES], is_bid, px_e6, qty_e6, *NO_CLAIMS)
    books.apply_changes([entry], ts_ms, ts_ms * 10**6, LINK)


def test_the_life_of_a_state() -> None:
    books = Books()
    books.track(MARKET, 0)
    book = books.by_token[YES]
    assert [each.state for each in books] == [BookState.EMPTY] * 2
    books.stream_up(STREAM, GENERATION, [YES, NO, "not tracked"], 0)
    assert [each.state for each in books] == [BookState.SYNCING] * 2
    assert snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 2}, 10)
    assert (book.state, book.live, book.snapshot_seq) == (BookState.LIVE, True, 1)
    assert books.by_token[NO].state is BookState.SYNCING
    books.stream_down(STREAM, GENERATION, 5, "closed")
    assert (book.state, book.bids) == (BookState.STALE, {40 * CENT: 1})
    assert books.counters.resyncs == {"closed": 2}
    books.stream_up(STREAM, GENERATION + 1, [YES], 6)
    assert (book.state, book.bids, book.best_bid_px_e6) == (BookState.SYNCING, {}, NO_BID_PX_E6)
    assert books.by_token[NO].state is BookState.STALE


def test_nothing_of_an_ended_or_older_connection_applies() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {}, 10)
    books.stream_down(STREAM, GENERATION, 5, "closed")
    assert not snapshot(books, YES, {41 * CENT: 1}, {}, 11)
    change(books, 41 * CENT, 1, 12)
    books.stream_down(STREAM, GENERATION - 1, 5, "an older end comes late")
    books.subscription_changed(STREAM, GENERATION - 1, [NO], [YES], 5)
    assert books.by_token[YES].bids == {40 * CENT: 1}
    assert books.counters.old_generation == 2


def test_a_running_subscription_changes() -> None:
    books = synced()
    other = market("n")
    books.track(other, 0)
    snapshot(books, YES, {40 * CENT: 1}, {}, 10)
    books.clear_touched()
    books.subscription_changed(STREAM, GENERATION, other.token_ids(), [YES, "unknown"], 5)
    assert books.by_token[YES].state is BookState.EMPTY
    assert books.by_token["n-yes"].state is BookState.SYNCING
    assert list(books.touched) == [YES, "n-yes", "n-no"]


def test_a_token_moves_to_another_stream() -> None:
    books = synced()
    books.stream_up(STREAM + 1, 1, [YES], 0)
    books.stream_down(STREAM, GENERATION, 0, "closed")
    assert books.by_token[YES].state is BookState.SYNCING
    assert books.by_token[NO].state is BookState.STALE


def test_untracking_forgets_and_tells() -> None:
    books = synced()
    books.clear_touched()
    books.untrack("m")
    books.untrack("m")
    assert (len(books), YES in books, books.get(YES), list(books.touched)) == (0, False, None, [YES, NO])
    books.stream_down(STREAM, GENERATION, 0, "closed")


def test_levels_are_best_first() -> None:
    books = synced()
    snapshot(books, YES, {1 * CENT: 1, 3 * CENT: 3, 2 * CENT: 2}, {9 * CENT: 9, 8 * CENT: 8}, 10)
    book = books.by_token[YES]
    assert book.levels(Side.BUY) == [(3 * CENT, 3), (2 * CENT, 2), (1 * CENT, 1)]
    assert book.levels(Side.SELL, 1) == [(8 * CENT, 8)]
    assert (book.best_bid_px_e6, book.best_ask_px_e6) == (3 * CENT, 8 * CENT)


def test_changes_before_the_snapshot_are_kept_if_younger() -> None:
    books = synced()
    change(books, 40 * CENT, 5, 9)
    change(books, 41 * CENT, 5, 11)
    change(books, 42 * CENT, 5, 12)
    change(books, 42 * CENT, 0, 13)
    assert books.by_token[YES].bids == {}
    snapshot(books, YES, {39 * CENT: 1, 42 * CENT: 4}, {}, 10)
    assert books.by_token[YES].bids == {39 * CENT: 1, 41 * CENT: 5}
    assert books.by_token[YES].exchange_ts_ms == 13
    assert books.counters.held == 4


def test_too_many_changes_before_the_snapshot_mean_another_snapshot() -> None:
    books = synced()
    for px_e6 in range(1, 4_200):
        change(books, px_e6, 1, 20)
    assert not snapshot(books, YES, {40 * CENT: 1}, {}, 10)
    assert books.by_token[YES].state is BookState.SYNCING
    assert snapshot(books, YES, {40 * CENT: 1}, {}, 30)
    assert books.by_token[YES].bids == {40 * CENT: 1}
    assert books.counters.resyncs == {"held_changes_lost": 1}


def test_an_older_change_loses_to_its_level_and_to_the_snapshot() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    change(books, 41 * CENT, 5, 20)
    change(books, 41 * CENT, 6, 19)
    change(books, 42 * CENT, 7, 15)
    change(books, 43 * CENT, 7, 9)
    assert books.by_token[YES].bids == {40 * CENT: 1, 41 * CENT: 5, 42 * CENT: 7}
    counters = books.counters
    assert (counters.late_frames, counters.late_applied, counters.late_ignored) == (3, 1, 2)
    assert (counters.untrue_ms, counters.untrue_max_ms) == (5, 5)


def test_a_late_snapshot_keeps_younger_changes() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    change(books, 41 * CENT, 5, 20)
    change(books, 40 * CENT, 0, 20)
    change(books, 39 * CENT, 8, 14)
    assert snapshot(books, YES, {39 * CENT: 3, 40 * CENT: 2, 41 * CENT: 2}, {61 * CENT: 1}, 15)
    book = books.by_token[YES]
    assert (book.bids, book.asks) == ({39 * CENT: 3, 41 * CENT: 5}, {61 * CENT: 1})
    assert not snapshot(books, YES, {1 * CENT: 1}, {}, 14)
    assert (book.best_bid_px_e6, book.best_ask_px_e6, book.exchange_ts_ms) == (41 * CENT, 61 * CENT, 20)


writes = st.lists(
    st.tuples(st.sampled_from(["bid", "ask", "book"]), st.integers(1, 5), st.integers(0, 3)),
    min_size=1,
    max_size=14,
)


def _play(order: list[tuple[int, tuple[str, int, int]]]) -> tuple[dict[int, int], dict[int, int], int, int]:
    books = synced()
    snapshot(books, YES, {1 * CENT: 1, 2 * CENT: 2}, {90 * CENT: 1}, 100)
    for ts_ms, (kind, level, qty) in order:
        if kind == "book":
            bids = {px * CENT: 10 + ts_ms for px in range(1, level)}
            asks = {(100 - px) * CENT: 10 + ts_ms for px in range(1, qty + 1)}
            snapshot(books, YES, bids, asks, ts_ms)
        else:
            px_e6 = level * CENT if kind == "bid" else (100 - level) * CENT
            change(books, px_e6, qty, ts_ms, is_bid=kind == "bid")
    book = books.by_token[YES]
    assert book.best_bid_px_e6 == max(book.bids, default=NO_BID_PX_E6)
    assert book.best_ask_px_e6 == min(book.asks, default=NO_ASK_PX_E6)
    return book.bids, book.asks, book.exchange_ts_ms, book.snapshot_ts_ms


@given(writes, st.randoms(use_true_random=False))
def test_any_order_of_arrival_ends_in_the_same_book(drawn: list[tuple[str, int, int]], rng: Random) -> None:
    order = [(101 + index, write) for index, write in enumerate(drawn)]
    shuffled = list(order)
    rng.shuffle(shuffled)
    assert _play(shuffled) == _play(order)


@given(writes, st.data())
def test_writes_of_the_same_millisecond_apply_in_the_order_of_arrival(
    drawn: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    times = data.draw(st.lists(st.integers(101, 104), min_size=len(drawn), max_size=len(drawn)))
    arrival = list(zip(times, drawn, strict=True))
    assert _play(arrival) == _play(sorted(arrival, key=lambda each: each[0]))


@given(writes)
def test_the_short_way_for_pairs_is_the_general_way(drawn: list[tuple[str, int, int]]) -> None:
    fast, slow = synced(), synced()
    for books in (fast, slow):
        snapshot(books, YES, {1 * CENT: 1, 2 * CENT: 2}, {90 * CENT: 1}, 100)
        snapshot(books, NO, {10 * CENT: 1}, {99 * CENT: 1, 98 * CENT: 2}, 100)
    for index, (kind, level, qty) in enumerate(drawn):
        ts_ms = 101 + index - (index % 3 == 2) * 2  # now and then a late frame, or a repeated millisecond
        token, other = (YES, NO) if kind == "bid" else (NO, YES)
        # Claims that are right on the general way's books before the change, hence sometimes wrong after it.
        claims = [(b.best_bid_px_e6, b.best_ask_px_e6) for b in (slow.by_token[token], slow.by_token[other])]
        px_e6, mirror_px_e6 = level * CENT, (100 - level) * CENT
        a, b = fast.by_token[token], fast.by_token[other]
        if not fast.apply_pair(
            a, b, px_e6, mirror_px_e6, qty, ts_ms, ts_ms, LINK, *claims[0], *claims[1], "h", "i"
        ):
            entries = [(a, True, px_e6, qty, *claims[0], "h"), (b, False, mirror_px_e6, qty, *claims[1], "i")]
            fast.tally.frames += 1
            fast.apply_changes(entries, ts_ms, ts_ms, LINK)
        a, b = slow.by_token[token], slow.by_token[other]
        entries = [(a, True, px_e6, qty, *claims[0], "h"), (b, False, mirror_px_e6, qty, *claims[1], "i")]
        slow.tally.frames += 1
        slow.apply_changes(entries, ts_ms, ts_ms, LINK)
        assert fast.counters == slow.counters
        assert _digest(fast) == _digest(slow)


def test_a_tick_change_begins_an_epoch_of_both_books() -> None:
    books = synced()
    for token in (YES, NO):
        snapshot(books, token, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    books.clear_touched()
    assert books.tick_changed(NO, 1_000, 20, 0)
    assert not books.tick_changed(YES, 1_000, 20, 0)
    assert not books.tick_changed(YES, CENT, 19, 0)
    assert not books.tick_changed("unknown", 1_000, 20, 0)
    for book in books:
        assert (book.state, book.epoch, book.bids, book.link) == (BookState.SYNCING, 1, {}, NO_LINK)
    assert books.market_of(YES).tick_e6 == 1_000
    assert list(books.touched) == [NO, YES]


def test_metadata_older_than_the_streams_tick_do_not_bring_the_old_tick_back() -> None:
    books = synced()
    books.tick_changed(YES, 1_000, 20, 0)
    books.track(market("m", as_of_ms=19, min_size_e6=7), 0)
    assert (books.market_of(YES).tick_e6, books.market_of(NO).min_size_e6) == (1_000, 7)
    books.track(market("m", as_of_ms=21), 0)
    assert (books.market_of(YES).tick_e6, books.by_token[YES].epoch) == (CENT, 2)


def _wrong_top(books: Books, ts_ms: int, ts_ns: int) -> None:
    entry: Change = (books.by_token[YES], True, 40 * CENT, 1, 41 * CENT, 60 * CENT, "")
    books.apply_changes([entry], ts_ms, ts_ns, LINK)


def _right_top(books: Books, ts_ms: int) -> None:
    entry: Change = (books.by_token[YES], True, 40 * CENT, 1, 40 * CENT, 60 * CENT, "")
    books.apply_changes([entry], ts_ms, ts_ms * 10**6, LINK)


def test_one_contradiction_waits_and_the_next_agreement_withdraws_it() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    _wrong_top(books, 11, 11_000_000)
    assert (books.by_token[YES].live, list(books.doubted)) == (True, [YES])
    _right_top(books, 12)
    assert (list(books.doubted), books.counters.suspects, books.take_alarms()) == ([], 0, [])


def test_a_contradiction_that_lasts_condemns_and_three_agreements_heal() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    _wrong_top(books, 11, 0)
    _wrong_top(books, 12, PATIENCE_NS - 1)
    assert books.by_token[YES].live
    _wrong_top(books, 13, PATIENCE_NS)
    assert books.by_token[YES].state is BookState.SUSPECT
    assert [type(alarm) for alarm in books.take_alarms()] == [BookSuspect]
    for index in range(HEALING_BATCHES):
        assert books.by_token[YES].state is BookState.SUSPECT
        _right_top(books, 14 + index)
    assert books.by_token[YES].live
    assert books.counters.healed == 1


def test_many_contradicting_batches_condemn_without_waiting() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    for index in range(MANY_BATCHES):
        assert books.by_token[YES].live
        _wrong_top(books, 11 + index, 0)
    assert books.by_token[YES].state is BookState.SUSPECT


def test_a_snapshot_clears_a_suspect_book() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    _wrong_top(books, 11, 0)
    books.sweep(PATIENCE_NS)
    assert books.by_token[YES].state is BookState.SUSPECT
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 12)
    assert books.by_token[YES].live
    assert not books.doubted


def test_a_suspect_book_that_goes_stale_is_not_healed() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    _wrong_top(books, 11, 0)
    books.sweep(PATIENCE_NS)
    books.stream_down(STREAM, GENERATION, 0, "closed")
    assert (books.by_token[YES].state, books.counters.healed) == (BookState.STALE, 0)
    assert not books.doubted


def test_a_crossed_book_is_doubted_and_a_late_frame_is_not_asked_for_its_top() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    change(books, 61 * CENT, 1, 11)
    doubt = books.by_token[YES].doubt
    assert doubt is not None
    assert doubt.witness == "crossed"
    change(books, 61 * CENT, 0, 12)
    assert books.by_token[YES].doubt is None
    _wrong_top(books, 11, 0)
    assert books.by_token[YES].doubt is None


def test_mirrors_are_compared_at_equal_times_only() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    snapshot(books, NO, {30 * CENT: 1}, {60 * CENT: 1}, 11)
    assert (books.counters.mirror_checked, books.doubted) == (0, {})
    snapshot(books, NO, {39 * CENT: 1}, {60 * CENT: 1}, 11)
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 11)
    assert (books.counters.mirror_checked, books.counters.mirror_mismatch) == (1, 1)
    assert set(books.doubted) == {YES, NO}
    snapshot(books, NO, {40 * CENT: 1}, {60 * CENT: 1}, 12)
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 12)
    assert (books.counters.mirror_checked, books.counters.mirror_mismatch, books.doubted) == (2, 1, {})


def test_a_book_that_its_mirror_leaves_behind_is_condemned_until_it_moves_again() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    snapshot(books, NO, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    change(books, 41 * CENT, 1, 11 + LAGGING_MS)
    at_ns = (11 + LAGGING_MS) * 10**6
    books.notice_lagging(at_ns)
    assert set(books.doubted) == {NO}, "the one that moves is not doubted"
    books.sweep(at_ns + PATIENCE_NS)
    assert books.by_token[NO].state is BookState.SUSPECT
    (alarm,) = books.take_alarms()
    assert (alarm.token_id, alarm.witness) == (NO, "mirror")
    snapshot(books, NO, {40 * CENT: 1}, {59 * CENT: 1}, 20 + LAGGING_MS)
    assert books.by_token[NO].state is BookState.LIVE


@pytest.mark.parametrize("behind_ms", [LAGGING_MS - 1, 100 * LAGGING_MS])
def test_a_book_behind_its_mirror_is_right_while_the_tops_agree_or_it_is_only_late(behind_ms: int) -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    snapshot(books, NO, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    change(books, (41 if behind_ms < LAGGING_MS else 39) * CENT, 1, 10 + behind_ms)
    books.notice_lagging((10 + behind_ms) * 10**6)
    assert not books.doubted


def test_a_clock_far_off_is_a_doubt_and_the_next_snapshot_the_truth() -> None:
    books = synced()
    snapshot(books, YES, {40 * CENT: 1}, {60 * CENT: 1}, 10)
    far_ms = 20 + MAX_LATE_MS
    change(books, 41 * CENT, 1, far_ms)
    change(books, 42 * CENT, 1, 12)
    doubt = books.by_token[YES].doubt
    assert doubt is not None
    assert doubt.witness == "clock"
    snapshot(books, YES, {39 * CENT: 1}, {60 * CENT: 1}, 13)
    assert books.by_token[YES].bids == {39 * CENT: 1}
    assert books.by_token[YES].exchange_ts_ms == 13


def _digest(books: Books) -> str:
    hasher = sha256()
    books.digest_into(hasher)
    return hasher.hexdigest()


def test_the_digest_sees_levels_and_states_and_not_the_order_they_came_in() -> None:
    def build(*tokens: str) -> Books:
        books = synced()
        for token in tokens:
            snapshot(books, token, {40 * CENT: 1, 39 * CENT: 2}, {60 * CENT: 1}, 10)
        return books

    books = build(YES, NO)
    assert _digest(books) == _digest(build(NO, YES))
    before = _digest(books)
    change(books, 38 * CENT, 1, 10)
    assert _digest(books) != before
    other = build(YES, NO)
    other.stream_down(STREAM, GENERATION, 0, "closed")
    assert _digest(other) != before


@pytest.mark.parametrize("generation", [0, 1, 65_535, 65_536])
def test_links_of_different_connections_differ(generation: int) -> None:
    links = {link_of(stream, generation + step) for stream in (0, 1, 65_535) for step in (0, 1)}
    assert len(links) == 6
