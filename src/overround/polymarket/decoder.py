"""Market-channel frames to books: the hot path.

A frame is parsed to its end, and only then applied: one that cannot be understood changes nothing and gives
one ``FrameRejected``. The two common kinds are recognised by a slice of bytes and take a short way; key order
is not a contract, so everything else takes the general way (parsing.py), with the same result.

Invariants: no exception leaves :meth:`MarketDecoder.ingest` whatever the bytes; nothing about a frame is kept
beyond the call, except bounded caches of texts. Knows no sockets and no clock.
"""

from collections.abc import Callable
from typing import Final

from overround.core.book import Book
from overround.core.books import Books, link_of
from overround.core.events import Fact, FrameRejected, TickSizeChanged, TradePrinted
from overround.polymarket.hash_witness import TICK_TEXTS, HashCheck, HashWitness
from overround.polymarket.numbers import BESTS, PRICES, QUANTITIES, WireError, quantity_of
from overround.polymarket.parsing import (
    MALFORMED,
    Best,
    BookParts,
    Changes,
    Parsed,
    cut_book,
    decode_changes,
    parse_frame,
    parse_plain,
    read_levels,
)
from overround.polymarket.snapshot_texts import SnapshotTexts
from overround.polymarket.wire import BookFrame, BookHead

LEVELS_PER_SECOND: Final = 1_000
"""Default budget for the hashes of changes, in hashed levels per second of receive time: some ten books a
second, about 0.05 % of a core."""

_NEVER_NS: Final = 1 << 63


class MarketDecoder:
    """Applies market-channel frames to ``books`` and returns the rare facts among them."""

    def __init__(
        self,
        books: Books,
        *,
        check_all: bool = False,
        levels_per_second: int = LEVELS_PER_SECOND,
        observer: Callable[[HashCheck], None] | None = None,
    ) -> None:
        self._books = books
        self._by_token = books.by_token
        self._check_all = check_all
        self._ns_per_level = 1_000_000_000 // levels_per_second if levels_per_second else 0
        self._next_check_ns = 0 if check_all or levels_per_second else _NEVER_NS
        self._level_texts = SnapshotTexts(books)
        self.witness = HashWitness(books, check_all=check_all, observer=observer)

    def ingest(self, frame: bytes, ts_ns: int, stream: int, generation: int) -> list[Fact] | None:
        """Apply one frame; returns the rare facts it gave, or ``None``.

        ``ts_ns`` is the receive time. A frame that cannot be understood changes no book and gives one
        ``FrameRejected``; a frame of another connection than a token's own changes nothing and is counted.
        """
        books = self._books
        # Nine of ten frames are one change and its mirror image. All that makes a frame another thing is
        # found before anything is changed; it then goes the general way.
        if frame[78:94] == b',"price_changes"' and ts_ns < self._next_check_ns:
            try:
                message = decode_changes(frame)
                first, second = message.price_changes
                book = self._by_token[first.asset_id]
                mirror = book.mirror
                size = first.size
                qty_e6 = QUANTITIES.get(size)
                if qty_e6 is None:
                    qty_e6 = quantity_of(size)
                px_e6 = PRICES[first.price]
                mirror_px_e6 = PRICES[second.price]
                bid_px_e6 = BESTS[first.best_bid]  # type: ignore[index] # None is a KeyError
                ask_px_e6 = BESTS[first.best_ask]  # type: ignore[index]
                mirror_bid_px_e6 = BESTS[second.best_bid]  # type: ignore[index]
                mirror_ask_px_e6 = BESTS[second.best_ask]  # type: ignore[index]
            except (KeyError, ValueError, WireError, *MALFORMED):
                return self._ingest_other(frame, ts_ns, stream, generation)
            side = first.side
            applied = False
            if second.asset_id != mirror.token_id or second.size != size:
                pass
            elif side == "BUY" and second.side == "SELL":
                applied = books.apply_pair(
                    book,
                    mirror,
                    px_e6,
                    mirror_px_e6,
                    qty_e6,
                    message.timestamp,
                    ts_ns,
                    generation << 16 | stream,
                    bid_px_e6,
                    ask_px_e6,
                    mirror_bid_px_e6,
                    mirror_ask_px_e6,
                    first.hash,
                    second.hash,
                )
            elif side == "SELL" and second.side == "BUY":
                applied = books.apply_pair(
                    mirror,
                    book,
                    mirror_px_e6,
                    px_e6,
                    qty_e6,
                    message.timestamp,
                    ts_ns,
                    generation << 16 | stream,
                    mirror_bid_px_e6,
                    mirror_ask_px_e6,
                    bid_px_e6,
                    ask_px_e6,
                    second.hash,
                    first.hash,
                )
            if applied:
                return self._verdicts(ts_ns, []) if books.doubted else None
        return self._ingest_other(frame, ts_ns, stream, generation)

    def _ingest_other(self, frame: bytes, ts_ns: int, stream: int, generation: int) -> list[Fact] | None:
        """Apply any frame."""
        books = self._books
        facts: list[Fact] = []
        elements: list[Parsed] | None = None
        try:
            parsed = parse_plain(frame)
            if parsed is None:
                if self._ingest_book(frame, ts_ns, stream, generation, facts):
                    return self._verdicts(ts_ns, facts)
                elements = parse_frame(frame, self._by_token)
        except WireError as error:
            books.tally.rejected += 1
            return [FrameRejected(stream, error.reason, error.detail)]
        if parsed is not None:
            books.tally.frames += 1
            self._apply(parsed, ts_ns, stream, generation, facts)
        elif elements is None:
            books.tally.ignored += 1
        else:
            books.tally.frames += 1
            for each in elements:
                self._apply(each, ts_ns, stream, generation, facts)
        return self._verdicts(ts_ns, facts)

    def _verdicts(self, ts_ns: int, facts: list[Fact]) -> list[Fact] | None:
        """Judge the doubts that are due; returns ``facts`` with the verdicts, ``None`` if there are none."""
        books = self._books
        if books.doubted and ts_ns >= books.next_deadline_ns:
            self._judge_doubts(ts_ns)
        if books.alarms:
            facts.extend(books.take_alarms())
        return facts or None

    def _ingest_book(self, frame: bytes, ts_ns: int, stream: int, generation: int, facts: list[Fact]) -> bool:
        """Apply a frame of one usual ``book``; False, with nothing changed, for any other.

        Raises ``WireError``, with nothing changed.
        """
        cut = cut_book(frame) if frame[:1] == b"{" else None
        if cut is None:
            return False
        head, bids_text, asks_text = cut
        books = self._books
        link = generation << 16 | stream
        book = self._by_token.get(head.asset_id)
        ts_ms = head.timestamp
        # Nearly every snapshot says what the book holds. Then its text is known and needs no parsing.
        if (
            book is not None
            and book.link == link
            and ts_ms >= book.exchange_ts_ms
            and (head.tick_size is None or head.tick_size == TICK_TEXTS.get(book.market.tick_e6))
            and self._level_texts.match(book, bids_text, asks_text)
            and books.confirm_snapshot(book, ts_ms, ts_ns, link, head.hash)
        ):
            books.tally.frames += 1
            self._level_texts.confirmed(book)
            self._check_snapshot(book, head, bids_text, asks_text, ts_ns)
            return True
        parts = read_levels(cut)
        if parts is None:
            return False
        books.tally.frames += 1
        self._apply(parts, ts_ns, stream, generation, facts)
        return True

    # --- applying: cannot fail ----------------------------------------------------------------------

    def _apply(self, parsed: Parsed, ts_ns: int, stream: int, generation: int, facts: list[Fact]) -> None:
        if isinstance(parsed, TradePrinted):
            self._apply_trade(parsed, ts_ns, facts)
        elif isinstance(parsed, Best):
            self._apply_best(parsed, ts_ns)
        elif isinstance(parsed, tuple):
            self._apply_book(parsed, ts_ns, stream, generation, facts)
        elif isinstance(parsed, Changes):
            self._books.tally.unknown_tokens += parsed.unknown
            self._close_batches(parsed, ts_ns)
            self._books.apply_changes(parsed.changes, parsed.ts_ms, ts_ns, link_of(stream, generation))
        elif isinstance(parsed, TickSizeChanged):
            self._apply_tick(parsed, ts_ns, facts)
        elif parsed is not None:
            facts.append(parsed)

    def _close_batches(self, parsed: Changes, ts_ns: int) -> None:
        """Check, within the budget, the batches that a younger change now ends."""
        for change in parsed.changes:
            book = change[0]
            if parsed.ts_ms <= book.exchange_ts_ms or not book.last_hash:
                continue
            if self._check_all or book.audit:
                self.witness.batch(book, ts_ns)
            elif ts_ns >= self._next_check_ns:
                # One check at a time: its cost decides when the next may be.
                self.witness.batch(book, ts_ns)
                self._next_check_ns = ts_ns + (len(book.bids) + len(book.asks)) * self._ns_per_level

    def _apply_book(
        self, parts: BookParts, ts_ns: int, stream: int, generation: int, facts: list[Fact]
    ) -> None:
        head, bids, asks, bids_text, asks_text, tick_e6, level_texts = parts
        books = self._books
        book = self._by_token.get(head.asset_id)
        if book is None:
            books.tally.unknown_tokens += 1
            return
        ts_ms = head.timestamp
        epoch = book.epoch
        # A snapshot that is merged with younger changes is not what the book then holds.
        late = ts_ms < book.exchange_ts_ms or book.pending is not None
        applied = books.apply_snapshot(
            head.asset_id, bids, asks, ts_ms, ts_ns, stream, generation, tick_e6, head.hash
        )
        if applied:
            if level_texts is not None and not late:
                self._level_texts.remember(book, *level_texts)
            self._check_snapshot(book, head, bids_text, asks_text, ts_ns)
        if book.epoch != epoch:
            facts.append(TickSizeChanged(book.token_id, book.market.tick_e6, ts_ms))
            facts.append(TickSizeChanged(book.mirror.token_id, book.market.tick_e6, ts_ms))

    def _check_snapshot(
        self, book: Book, head: BookHead | BookFrame, bids_text: bytes, asks_text: bytes, ts_ns: int
    ) -> None:
        """Check the hash of a snapshot just applied; it may prove another tick size than the market's."""
        if head.hash:
            tick_e6 = self.witness.snapshot(book, head, bids_text, asks_text, ts_ns)
            if tick_e6 is not None:
                self._books.tick_changed(book.token_id, tick_e6, head.timestamp, ts_ns, keep_levels=True)

    def _apply_tick(self, change: TickSizeChanged, ts_ns: int, facts: list[Fact]) -> None:
        book = self._by_token.get(change.token_id)
        if book is None:
            self._books.tally.unknown_tokens += 1
        elif self._books.tick_changed(change.token_id, change.tick_e6, change.exchange_ts_ms, ts_ns):
            # The grid is the market's: both books wait for a snapshot.
            facts.append(change)
            facts.append(TickSizeChanged(book.mirror.token_id, change.tick_e6, change.exchange_ts_ms))

    def _apply_trade(self, trade: TradePrinted, ts_ns: int, facts: list[Fact]) -> None:
        book = self._by_token.get(trade.token_id)
        if book is None:
            self._books.tally.unknown_tokens += 1
            return
        self._books.tally.trades += 1
        facts.append(trade)
        self.witness.trade(book.condition_id, trade.px_e6, ts_ns)

    def _apply_best(self, best: Best, ts_ns: int) -> None:
        book = self._by_token.get(best.token_id)
        if book is None:
            self._books.tally.unknown_tokens += 1
        elif book.link >= 0 and best.ts_ms >= book.exchange_ts_ms:
            # It may be ahead of the changes that led to it; those then withdraw the doubt.
            self._books.judge_top(book, best.bid_px_e6, best.ask_px_e6, best.ts_ms, ts_ns)

    def _judge_doubts(self, ts_ns: int) -> None:
        """Let the hash speak once more for books whose doubt is due, then condemn what remains."""
        for book in list(self._books.doubted.values()):
            if _is_due(book, ts_ns):
                self.witness.reconsider(book)
        self._books.sweep(ts_ns)


def _is_due(book: Book, ts_ns: int) -> bool:
    return book.link >= 0 and book.doubt is not None and ts_ns >= book.doubt.deadline_ns
