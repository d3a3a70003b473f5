"""All books: which connection may write them, what state they are in, what changed since the last look.

Invariants: a book is LIVE only after a snapshot in the present generation of its stream and the present
epoch of its grid; writes of any other connection change nothing and are counted; every change of a book or
of its state marks its token in ``touched``. Knows no wire format and no clock: receive times come in.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

from overround.core.book import NO_ASK_PX_E6, NO_BID_PX_E6, NO_LINK, Book, BookState
from overround.core.court import Court
from overround.core.market import Market
from overround.core.units import E6
from overround.core.witnesses import LAGGING_MS, MAX_LATE_MS, BookCounters

__all__ = ["NO_ASK_PX_E6", "NO_BID_PX_E6", "Book", "BookCounters", "BookState", "Books", "Change", "link_of"]

HELD_CHANGES: Final = 4096
"""Distinct levels kept per book while it waits for its snapshot."""

NO_CLAIM: Final = -1
"""Claimed best price of a change that carries none."""

Change: TypeAlias = tuple[Book, bool, int, int, int, int, str]
"""(book, is bid, price, new quantity (0 removes), claimed best bid, claimed best ask, hash), in millionths.

Claimed prices are those after the whole batch, ``NO_CLAIM`` where the venue gave none.
"""


class Hasher(Protocol):
    """What :meth:`Books.digest_into` feeds, for example ``hashlib.sha256()``."""

    def update(self, data: bytes, /) -> object:
        """Take in more bytes."""


def link_of(stream: int, generation: int) -> int:
    """Return one number for a connection: what a write must match to be applied."""
    return generation << 16 | stream


class Books(Court):
    """The books of all tracked markets."""

    def __init__(self) -> None:
        super().__init__()
        self.by_token: dict[str, Book] = {}
        """For the decoder's hot path; read-only elsewhere."""
        self._pairs = 0
        """Frames applied by :meth:`apply_pair` with nothing special, not yet in the tally."""
        self._markets: dict[str, Market] = {}
        self._tokens: dict[int, dict[str, None]] = {}
        """Tokens of each stream."""
        self._generations: dict[int, int] = {}

    @property
    def counters(self) -> BookCounters:
        """What happened so far."""
        counters = self.tally
        pairs, self._pairs = self._pairs, 0
        counters.frames += pairs
        counters.changes += 2 * pairs
        counters.batches += 2 * pairs
        counters.top_checked += 2 * pairs
        counters.mirror_checked += pairs
        return counters

    # --- which books exist ------------------------------------------------------------------------

    def track(self, market: Market, ts_ns: int) -> None:
        """Create both books of a market, or take over its new metadata.

        A tick size that differs begins a new epoch, unless the metadata are older than the change of
        tick that the stream itself reported.
        """
        known = self._markets.get(market.condition_id)
        if known is None:
            yes, no = (Book(token_id, market) for token_id in market.token_ids())
            yes.mirror, no.mirror = no, yes
            self.by_token[yes.token_id] = yes
            self.by_token[no.token_id] = no
            self._markets[market.condition_id] = market
            return
        book = self.by_token[known.yes.token_id]
        tick_e6 = market.tick_e6
        if market.as_of_ms < book.epoch_ts_ms:
            market = msgspec.structs.replace(market, tick_e6=known.tick_e6)
        else:
            self.tick_changed(book.token_id, tick_e6, market.as_of_ms, ts_ns)
        self._markets[market.condition_id] = book.market = book.mirror.market = market

    def untrack(self, condition_id: str) -> None:
        """Forget a market and its books. An unknown market is ignored."""
        market = self._markets.pop(condition_id, None)
        if market is None:
            return
        for token_id in market.token_ids():
            book = self.by_token.pop(token_id)
            self.doubted.pop(token_id, None)
            self._tokens.get(book.stream, {}).pop(token_id, None)
            self.touched[token_id] = None

    def get(self, token_id: str) -> Book | None:
        """Return the book of a token, ``None`` if it is not tracked."""
        return self.by_token.get(token_id)

    def market_of(self, token_id: str) -> Market:
        """Return the market of a tracked token, with the tick size now in force. Raises ``KeyError``."""
        return self.by_token[token_id].market

    def __contains__(self, token_id: object) -> bool:
        return token_id in self.by_token

    def __iter__(self) -> Iterator[Book]:
        return iter(self.by_token.values())

    def __len__(self) -> int:
        return len(self.by_token)

    def clear_touched(self) -> None:
        """Begin a new batch."""
        self.touched.clear()

    # --- streams ----------------------------------------------------------------------------------

    def stream_up(self, stream: int, generation: int, token_ids: Sequence[str], ts_ns: int) -> None:
        """Begin a connection: its tokens wait for snapshots of this generation. Unknown ones are skipped."""
        for token_id in self._tokens.pop(stream, {}):
            self._drop(self.by_token[token_id], BookState.STALE)
        self._tokens[stream] = {}
        self._generations[stream] = generation
        self.subscription_changed(stream, generation, token_ids, (), ts_ns)

    def stream_down(self, stream: int, generation: int, ts_ns: int, reason: str) -> None:
        """End a connection: its books are STALE and keep their levels. An older generation is ignored."""
        del ts_ns
        if self._generations.get(stream) != generation:
            return
        for token_id in self._tokens.get(stream, {}):
            book = self.by_token[token_id]
            self.forget_doubt(book)
            book.state = BookState.STALE
            book.link = NO_LINK
            self.touched[token_id] = None
            self.tally.resync(reason)

    def subscription_changed(
        self, stream: int, generation: int, added: Sequence[str], removed: Sequence[str], ts_ns: int
    ) -> None:
        """Add tokens to, and remove tokens from, a running connection. An older generation is ignored."""
        del ts_ns
        if self._generations.get(stream) != generation:
            return
        tokens = self._tokens[stream]
        for token_id in removed:
            if token_id in tokens:
                del tokens[token_id]
                self._drop(self.by_token[token_id], BookState.EMPTY)
        for token_id in added:
            book = self.by_token.get(token_id)
            if book is None:
                continue
            if book.stream != stream:
                self._tokens.get(book.stream, {}).pop(token_id, None)
            tokens[token_id] = None
            book.stream = stream
            book.generation = generation
            self._drop(book, BookState.SYNCING)

    def _drop(self, book: Book, state: BookState) -> None:
        """Forget the levels of a book and put it in a state in which no change applies."""
        self.forget_doubt(book)
        book.clear()
        book.state = state
        book.link = NO_LINK
        self.touched[book.token_id] = None

    # --- writes -----------------------------------------------------------------------------------

    def apply_snapshot(  # noqa: PLR0913, PLR0917 - hot path: no object for what one frame says
        self,
        token_id: str,
        bids: dict[int, int],
        asks: dict[int, int],
        exchange_ts_ms: int,
        ts_ns: int,
        stream: int,
        generation: int,
        tick_e6: int | None = None,
        hash_text: str = "",
    ) -> bool:
        """Write a whole book; the dicts (price to quantity, millionths, no zeros) become the book's own.

        Returns whether it was applied: not for an unknown token, another connection than the token's, or
        if a younger snapshot is already there. A differing ``tick_e6`` begins a new epoch first.
        """
        book = self.by_token.get(token_id)
        if book is None:
            self.tally.unknown_tokens += 1
            return False
        if book.stream != stream or book.generation != generation or book.state is BookState.STALE:
            self.tally.old_generation += 1
            return False
        if tick_e6 is not None and tick_e6 != book.market.tick_e6:
            self.tick_changed(token_id, tick_e6, exchange_ts_ms, ts_ns)
        counters = self.tally
        newest_ts_ms = book.exchange_ts_ms
        if exchange_ts_ms < newest_ts_ms:
            counters.late_frames += 1
            if newest_ts_ms - exchange_ts_ms > MAX_LATE_MS:
                # Not reordering: some earlier time was wrong. A whole book from the venue is the truth.
                book.clear()
        if not book.merge_snapshot(bids, asks, exchange_ts_ms):
            counters.late_ignored += 1
            return False
        counters.snapshots += 1
        book.snapshot_seq += 1
        book.recv_ts_ns = ts_ns
        if exchange_ts_ms >= newest_ts_ms:
            book.last_hash = hash_text
        if book.pending is not None or book.pending_lost_ts_ms >= 0:
            counters.changes += book.release_pending()
        self.touched[token_id] = None
        if book.pending_lost_ts_ms >= 0:
            counters.resync("held_changes_lost")
            book.pending_lost_ts_ms = -1
            book.clear()
            return False
        if book.doubt is not None:
            self.settle(book)
        book.state = BookState.LIVE
        book.link = generation << 16 | stream
        self.judge_pair(book, exchange_ts_ms, ts_ns)
        return True

    def confirm_snapshot(
        self, book: Book, exchange_ts_ms: int, ts_ns: int, link: int, hash_text: str
    ) -> bool:
        """Take in a snapshot known to hold exactly the levels the book holds.

        Same result as :meth:`apply_snapshot` with those levels, for the case where nothing is special: the
        book is open to ``link`` and the snapshot is its newest write. Otherwise returns False and changes
        nothing.
        """
        if book.link != link or exchange_ts_ms < book.exchange_ts_ms or book.pending_lost_ts_ms >= 0:
            return False
        self.tally.snapshots += 1
        book.snapshot_seq += 1
        book.bid_ts_ms.clear()
        book.ask_ts_ms.clear()
        book.exchange_ts_ms = book.snapshot_ts_ms = exchange_ts_ms
        book.recv_ts_ns = ts_ns
        book.last_hash = hash_text
        self.touched[book.token_id] = None
        if book.doubt is not None:
            self.settle(book)
        book.state = BookState.LIVE
        self.judge_pair(book, exchange_ts_ms, ts_ns)
        return True

    def apply_pair(  # noqa: PLR0913, PLR0917 - the hot path: no object and no call per level
        self,
        bid_book: Book,
        ask_book: Book,
        bid_px_e6: int,
        ask_px_e6: int,
        qty_e6: int,
        exchange_ts_ms: int,
        ts_ns: int,
        link: int,
        bid_claim_bid_px_e6: int,
        bid_claim_ask_px_e6: int,
        ask_claim_bid_px_e6: int,
        ask_claim_ask_px_e6: int,
        bid_hash: str,
        ask_hash: str,
    ) -> bool:
        """Write one change and its mirror image: nine of ten frames are exactly that.

        Same result as :meth:`apply_changes` with both changes, for the case where nothing is special: both
        books are open to ``link``, the frame begins a new batch of both, and no doubt is open. Otherwise
        returns False and changes nothing.
        """
        if (
            bid_book.link != link
            or ask_book.link != link
            or exchange_ts_ms <= bid_book.exchange_ts_ms
            or exchange_ts_ms <= ask_book.exchange_ts_ms
            or bid_book.doubt is not None
            or ask_book.doubt is not None
        ):
            return False
        bids = bid_book.bids
        asks = ask_book.asks
        bid_book.bid_ts_ms[bid_px_e6] = ask_book.ask_ts_ms[ask_px_e6] = exchange_ts_ms
        if qty_e6:
            bids[bid_px_e6] = asks[ask_px_e6] = qty_e6
            if bid_px_e6 > bid_book.best_bid_px_e6:  # noqa: PLR1730 - max() is a call
                bid_book.best_bid_px_e6 = bid_px_e6
            if ask_px_e6 < ask_book.best_ask_px_e6:  # noqa: PLR1730 - min() is a call
                ask_book.best_ask_px_e6 = ask_px_e6
        else:
            if bids.pop(bid_px_e6, 0) and bid_px_e6 == bid_book.best_bid_px_e6:
                bid_book.best_bid_px_e6 = max(bids, default=NO_BID_PX_E6)
            if asks.pop(ask_px_e6, 0) and ask_px_e6 == ask_book.best_ask_px_e6:
                ask_book.best_ask_px_e6 = min(asks, default=NO_ASK_PX_E6)
        bid_book.exchange_ts_ms = ask_book.exchange_ts_ms = exchange_ts_ms
        bid_book.recv_ts_ns = ask_book.recv_ts_ns = ts_ns
        bid_book.last_hash = bid_hash
        ask_book.last_hash = ask_hash
        touched = self.touched
        touched[bid_book.token_id] = touched[ask_book.token_id] = None
        self._pairs += 1
        if (
            bid_book.best_bid_px_e6 != bid_claim_bid_px_e6
            or bid_book.best_ask_px_e6 != bid_claim_ask_px_e6
            or ask_book.best_bid_px_e6 != ask_claim_bid_px_e6
            or ask_book.best_ask_px_e6 != ask_claim_ask_px_e6
            or bid_claim_bid_px_e6 + ask_claim_ask_px_e6 != E6
            or bid_claim_ask_px_e6 + ask_claim_bid_px_e6 != E6
            or bid_claim_bid_px_e6 >= bid_claim_ask_px_e6
            or len(bids) != len(asks)
        ):
            self._pairs -= 1
            self.tally.frames += 1
            self.tally.changes += 2
            self.tally.batches += 2
            self.judge_top(bid_book, bid_claim_bid_px_e6, bid_claim_ask_px_e6, exchange_ts_ms, ts_ns)
            self.judge_top(ask_book, ask_claim_bid_px_e6, ask_claim_ask_px_e6, exchange_ts_ms, ts_ns)
            self.judge_pair(ask_book, exchange_ts_ms, ts_ns)
        return True

    def apply_changes(  # noqa: C901, PLR0912 - hot path: a call per level would double its cost
        self, changes: Sequence[Change], exchange_ts_ms: int, ts_ns: int, link: int
    ) -> None:
        """Write the changes of one frame, then let the witnesses speak. ``link``: see :func:`link_of`."""
        counters = self.tally
        touched = self.touched
        late = False
        for change in changes:
            book, is_bid, px_e6, qty_e6, _, _, hash_text = change
            if book.link != link:
                self._hold(change, exchange_ts_ms, link)
                continue
            if exchange_ts_ms >= book.exchange_ts_ms:
                if exchange_ts_ms > book.exchange_ts_ms:
                    counters.batches += 1
                    book.exchange_ts_ms = exchange_ts_ms
                book.last_hash = hash_text
                if is_bid:
                    book.bid_ts_ms[px_e6] = exchange_ts_ms
                    if qty_e6:
                        book.bids[px_e6] = qty_e6
                        if px_e6 > book.best_bid_px_e6:  # noqa: PLR1730 - max() is a call
                            book.best_bid_px_e6 = px_e6
                    elif book.bids.pop(px_e6, 0) and px_e6 == book.best_bid_px_e6:
                        book.best_bid_px_e6 = max(book.bids, default=NO_BID_PX_E6)
                else:
                    book.ask_ts_ms[px_e6] = exchange_ts_ms
                    if qty_e6:
                        book.asks[px_e6] = qty_e6
                        if px_e6 < book.best_ask_px_e6:  # noqa: PLR1730 - min() is a call
                            book.best_ask_px_e6 = px_e6
                    elif book.asks.pop(px_e6, 0) and px_e6 == book.best_ask_px_e6:
                        book.best_ask_px_e6 = min(book.asks, default=NO_ASK_PX_E6)
                counters.changes += 1
            else:
                late = True
                self._write_late(change, exchange_ts_ms, ts_ns)
            book.recv_ts_ns = ts_ns
            touched[book.token_id] = None
        if late:
            counters.late_frames += 1
        for book, _, _, _, claimed_bid_px_e6, claimed_ask_px_e6, _ in changes:
            # Only the newest frame of a book can be compared with the book.
            if book.link != link or book.exchange_ts_ms != exchange_ts_ms:
                continue
            if claimed_bid_px_e6 != NO_CLAIM:
                self.judge_top(book, claimed_bid_px_e6, claimed_ask_px_e6, exchange_ts_ms, ts_ns)
        if changes:
            self.judge_pair(changes[-1][0], exchange_ts_ms, ts_ns)

    def _hold(self, change: Change, exchange_ts_ms: int, link: int) -> None:
        """Keep a change for a book that waits for its snapshot; count one from a wrong connection."""
        book, is_bid, px_e6, qty_e6, *_ = change
        if book.state is not BookState.SYNCING or link_of(book.stream, book.generation) != link:
            self.tally.old_generation += 1
            return
        self.tally.held += 1
        book.hold_change(is_bid=is_bid, px_e6=px_e6, qty_e6=qty_e6, ts_ms=exchange_ts_ms, cap=HELD_CHANGES)

    def _write_late(self, change: Change, exchange_ts_ms: int, ts_ns: int) -> None:
        book, is_bid, px_e6, qty_e6, *_ = change
        behind_ms = book.exchange_ts_ms - exchange_ts_ms
        counters = self.tally
        if behind_ms > MAX_LATE_MS:
            self.contradict(book, "clock", exchange_ts_ms, ts_ns, f"a change is {behind_ms} ms late")
        if not book.write_late(is_bid=is_bid, px_e6=px_e6, qty_e6=qty_e6, ts_ms=exchange_ts_ms):
            counters.late_ignored += 1
            return
        counters.changes += 1
        counters.late_applied += 1
        counters.untrue_ms += behind_ms
        counters.untrue_max_ms = max(counters.untrue_max_ms, behind_ms)

    def tick_changed(
        self, token_id: str, tick_e6: int, exchange_ts_ms: int, ts_ns: int, *, keep_levels: bool = False
    ) -> bool:
        """Begin a new epoch of both books of the token's market: levels go, a snapshot is awaited.

        With ``keep_levels`` the token's own levels stay: they came in a snapshot on the new grid. Returns
        False, and changes nothing, for an unknown token, the tick already in force, or a change older than
        the last one.
        """
        del ts_ns
        book = self.by_token.get(token_id)
        if book is None or book.market.tick_e6 == tick_e6 or exchange_ts_ms < book.epoch_ts_ms:
            return False
        market = msgspec.structs.replace(book.market, tick_e6=tick_e6)
        self._markets[book.condition_id] = market
        for each in (book, book.mirror):
            each.market = market
            each.epoch += 1
            each.epoch_ts_ms = exchange_ts_ms
            if keep_levels and each is book:
                continue
            connected = each.state in {BookState.LIVE, BookState.SUSPECT, BookState.SYNCING}
            self._drop(each, BookState.SYNCING if connected else each.state)
            self.tally.resync("tick_size")
        return True

    # --- digest -----------------------------------------------------------------------------------

    def notice_lagging(self, ts_ns: int) -> None:
        """Doubt the books that their mirror has left behind.

        Every change is told for both tokens of a market, so a book that no longer moves with its mirror has
        lost its subscription, although the connection lives. Call at intervals: silence brings no frame.
        """
        for book in self.by_token.values():
            other = book.mirror
            if (
                book.exchange_ts_ms + LAGGING_MS < other.exchange_ts_ms
                and book.state is BookState.LIVE
                and other.state is BookState.LIVE
                and book.link == other.link
                and (
                    book.best_bid_px_e6 + other.best_ask_px_e6 != E6
                    or book.best_ask_px_e6 + other.best_bid_px_e6 != E6
                )
            ):
                behind_ms = other.exchange_ts_ms - book.exchange_ts_ms
                detail = f"{behind_ms} ms behind its mirror"
                self.contradict(book, "mirror", other.exchange_ts_ms, ts_ns, detail)

    def digest_into(self, hasher: Hasher) -> None:
        """Feed everything that decisions depend on, in an order that no hash seed changes."""
        for token_id in sorted(self.by_token):
            book = self.by_token[token_id]
            head = (
                f"{token_id} {book.state.value} {book.stream} {book.generation} {book.epoch} "
                f"{book.market.tick_e6} {book.exchange_ts_ms} {book.recv_ts_ns} {book.snapshot_seq} "
                f"{book.last_hash}"
            )
            hasher.update(head.encode())
            for mark, side in ((b"b", book.bids), (b"a", book.asks)):
                hasher.update(mark + ",".join(f"{px}:{side[px]}" for px in sorted(side)).encode())
