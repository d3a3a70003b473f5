"""Market-channel frames to books: the hot path.

A frame is parsed to its end, and only then applied: one that cannot be understood changes nothing and gives
one ``FrameRejected``. The common kinds are recognised by a slice of bytes and decoded by a decoder of their
own; key order is not a contract, so everything else takes the general way, with the same result.

Invariants: no exception leaves :meth:`MarketDecoder.ingest` whatever the bytes; no float; nothing about a
frame is kept beyond the call, except bounded caches of texts. Knows no sockets and no clock.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from overround.core.books import NO_CLAIM, Book, Books, Change, link_of
from overround.core.events import (
    Fact,
    FrameRejected,
    MarketAnnounced,
    MarketResolved,
    Side,
    TickSizeChanged,
    TradePrinted,
)
from overround.polymarket.book_hash import levels_text
from overround.polymarket.hash_witness import LEVELS_PER_SECOND, HashCheck, HashWitness
from overround.polymarket.wire import (
    BEST_ASKS,
    BEST_BIDS,
    LEVELS,
    MAX_FRAME_BYTES,
    PRICES,
    QUANTITIES,
    BestBidAsk,
    BookFrame,
    BookHead,
    Kind,
    LastTradePrice,
    MarketResolution,
    NewMarket,
    OldPriceChange,
    PriceChange,
    PriceChanges,
    TickSizeChange,
    WireError,
    tick_of,
)

_MALFORMED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Snapshot(msgspec.Struct, gc=False):
    """A ``book`` frame, understood and not yet applied."""

    head: BookFrame | BookHead
    bids: dict[int, int]
    asks: dict[int, int]
    bids_text: bytes
    asks_text: bytes
    tick_e6: int | None


class _Changes(msgspec.Struct, gc=False):
    """A ``price_change`` frame, understood and not yet applied."""

    changes: list[Change]
    ts_ms: int
    unknown: int


Parsed: TypeAlias = (
    _Snapshot
    | _Changes
    | TradePrinted
    | TickSizeChanged
    | BestBidAsk
    | MarketAnnounced
    | MarketResolved
    | None
)


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
        self.witness = HashWitness(
            books, check_all=check_all, levels_per_second=levels_per_second, observer=observer
        )
        self._decode_changes = msgspec.json.Decoder(PriceChanges, strict=False).decode
        self._decode_head = msgspec.json.Decoder(BookHead, strict=False).decode
        self._decode_book = msgspec.json.Decoder(BookFrame, strict=False).decode
        self._decode_kind = msgspec.json.Decoder(Kind).decode
        self._decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self._decode_old = msgspec.json.Decoder(OldPriceChange, strict=False).decode
        self._decode_trade = msgspec.json.Decoder(LastTradePrice, strict=False).decode
        self._decode_tick = msgspec.json.Decoder(TickSizeChange, strict=False).decode
        self._decode_best = msgspec.json.Decoder(BestBidAsk, strict=False).decode
        self._decode_new = msgspec.json.Decoder(NewMarket).decode
        self._decode_resolved = msgspec.json.Decoder(MarketResolution).decode
        self._rare: dict[str, Callable[[bytes], Parsed]] = {
            "last_trade_price": self._parse_trade,
            "tick_size_change": self._parse_tick,
            "best_bid_ask": self._parse_best,
            "new_market": self._parse_new_market,
            "market_resolved": self._parse_resolved,
        }

    def ingest(self, frame: bytes, ts_ns: int, stream: int, generation: int) -> list[Fact] | None:
        """Apply one frame; returns the rare facts it gave, or ``None``.

        ``ts_ns`` is the receive time. A frame that cannot be understood changes no book and gives one
        ``FrameRejected``; a frame of another connection than a token's own changes nothing and is counted.
        """
        books = self._books
        try:
            if frame[78:94] == b',"price_changes"':
                parsed: list[Parsed] = [self._parse_changes(frame)]
            else:
                parsed = self._parse_any(frame)
        except WireError as error:
            books.counters.rejected += 1
            return [FrameRejected(stream, error.reason, error.detail)]
        books.counters.frames += 1
        facts: list[Fact] = []
        for each in parsed:
            self._apply(each, ts_ns, stream, generation, facts)
        if books.doubted and ts_ns >= books.next_deadline_ns:
            self._sweep(ts_ns)
        if books.alarms:
            facts.extend(books.take_alarms())
        return facts or None

    # --- parsing: changes nothing, raises WireError -------------------------------------------------

    def _parse_any(self, frame: bytes) -> list[Parsed]:
        if len(frame) > MAX_FRAME_BYTES:
            raise WireError("too_large", f"{len(frame)} bytes")
        text = frame.strip()
        if text in {b"", b"PONG", b"PING", b"[]"}:
            self._books.counters.ignored += 1
            return []
        if text[:1] != b"[":
            return [self._parse_one(text)]
        try:
            elements = self._decode_array(text)
        except _MALFORMED as error:
            raise WireError("bad_json", str(error)) from None
        return [self._parse_one(bytes(element)) for element in elements]

    def _parse_one(self, frame: bytes) -> Parsed:
        snapshot = self._parse_plain_book(frame)
        if snapshot is not None:
            return snapshot
        try:
            kind = self._decode_kind(frame)
            event_type = kind.event_type
            if event_type == "price_change":
                return self._parse_changes(frame) if kind.price_changes else self._parse_old_change(frame)
            # A REST book has no event type.
            if event_type == "book" or (event_type is None and kind.bids and kind.asks):
                return self._parse_book(frame)
            parse = self._rare.get(event_type or "")
            if parse is not None:
                return parse(frame)
        except msgspec.ValidationError as error:
            raise WireError("bad_type", str(error)) from None
        except _MALFORMED as error:
            raise WireError("bad_json", str(error)) from None
        raise WireError("unknown_event", repr(event_type))

    def _parse_changes(self, frame: bytes) -> _Changes:
        try:
            message = self._decode_changes(frame)
        except msgspec.ValidationError as error:
            raise WireError("bad_type", str(error)) from None
        except _MALFORMED as error:
            raise WireError("bad_json", str(error)) from None
        if message.event_type != "price_change":
            raise WireError("bad_type", f"price_changes in a {message.event_type!r:.40}")
        changes: list[Change] = []
        unknown = 0
        for entry in message.price_changes:
            change = self._parse_change(entry)
            if change is None:
                unknown += 1
            else:
                changes.append(change)
        return _Changes(changes, message.timestamp, unknown)

    def _parse_change(self, entry: PriceChange) -> Change | None:
        px_e6 = PRICES[entry.price]
        qty_e6 = QUANTITIES[entry.size]
        is_bid = _is_buy(entry.side)
        if entry.best_bid is None or entry.best_ask is None:
            best_bid_px_e6 = best_ask_px_e6 = NO_CLAIM
        else:
            best_bid_px_e6 = BEST_BIDS[entry.best_bid]
            best_ask_px_e6 = BEST_ASKS[entry.best_ask]
        book = self._by_token.get(entry.asset_id)
        if book is None:
            return None
        return book, is_bid, px_e6, qty_e6, best_bid_px_e6, best_ask_px_e6, entry.hash

    def _parse_old_change(self, frame: bytes) -> _Changes:
        old = self._decode_old(frame)
        # The old schema's hash is of another recipe.
        change = self._parse_change(PriceChange(old.asset_id, old.price, old.size, old.side))
        return _Changes([] if change is None else [change], old.timestamp, int(change is None))

    def _parse_plain_book(self, frame: bytes) -> _Snapshot | None:
        """Parse a ``book`` written exactly as the venue writes it; ``None`` for everything else.

        The two arrays are cut out and their levels looked up as bytes; what remains is decoded as JSON.
        With no backslash in the frame and each name once, the arrays can only be the frame's own.
        """
        bids_at = frame.find(b'"bids":[') + 7
        if bids_at < 7 or b"\\" in frame:
            return None
        asks_at = frame.find(b'"asks":[', bids_at) + 7
        bids_end = frame.find(b"]", bids_at) + 1
        if asks_at < bids_end or not bids_end:
            return None
        asks_end = frame.find(b"]", asks_at) + 1
        if not asks_end or frame.find(b'"bids"', bids_end) >= 0 or frame.find(b'"asks"', asks_end) >= 0:
            return None
        bids_text = frame[bids_at:bids_end]
        asks_text = frame[asks_at:asks_end]
        try:
            bids = _plain_side(bids_text)
            asks = _plain_side(asks_text)
            head = self._decode_head(
                b"%b[]%b[]%b" % (frame[:bids_at], frame[bids_end:asks_at], frame[asks_end:])
            )
        except (KeyError, *_MALFORMED):
            return None
        if head.event_type != "book" or bids is None or asks is None:
            return None
        tick_e6 = None if head.tick_size is None else tick_of(head.tick_size)
        return _Snapshot(head, bids, asks, bids_text, asks_text, tick_e6)

    def _parse_book(self, frame: bytes) -> _Snapshot:
        message = self._decode_book(frame)
        bids = {PRICES[level.price]: QUANTITIES[level.size] for level in message.bids}
        asks = {PRICES[level.price]: QUANTITIES[level.size] for level in message.asks}
        if len(bids) != len(message.bids) or len(asks) != len(message.asks):
            raise WireError("bad_book", "a price twice on one side")
        return _Snapshot(
            message,
            {px_e6: qty_e6 for px_e6, qty_e6 in bids.items() if qty_e6},
            {px_e6: qty_e6 for px_e6, qty_e6 in asks.items() if qty_e6},
            levels_text((level.price, level.size) for level in message.bids),
            levels_text((level.price, level.size) for level in message.asks),
            None if message.tick_size is None else tick_of(message.tick_size),
        )

    def _parse_trade(self, frame: bytes) -> Parsed:
        message = self._decode_trade(frame)
        if not message.price:
            return None
        taker_side = Side.BUY if _is_buy(message.side) else Side.SELL
        return TradePrinted(
            message.asset_id, PRICES[message.price], QUANTITIES[message.size], taker_side, message.timestamp
        )

    def _parse_tick(self, frame: bytes) -> Parsed:
        message = self._decode_tick(frame)
        return TickSizeChanged(message.asset_id, tick_of(message.new_tick_size), message.timestamp)

    def _parse_best(self, frame: bytes) -> Parsed:
        message = self._decode_best(frame)
        _ = BEST_BIDS[message.best_bid], BEST_ASKS[message.best_ask]  # refuse now, not while applying
        return message

    def _parse_new_market(self, frame: bytes) -> Parsed:
        message = self._decode_new(frame)
        return MarketAnnounced(message.market, message.clob_token_ids or message.assets_ids, message.slug)

    def _parse_resolved(self, frame: bytes) -> Parsed:
        message = self._decode_resolved(frame)
        return MarketResolved(message.market, message.winning_asset_id)

    # --- applying: cannot fail ----------------------------------------------------------------------

    def _apply(self, parsed: Parsed, ts_ns: int, stream: int, generation: int, facts: list[Fact]) -> None:
        books = self._books
        if isinstance(parsed, _Changes):
            books.counters.unknown_tokens += parsed.unknown
            self._close_batches(parsed, ts_ns)
            books.apply_changes(parsed.changes, parsed.ts_ms, ts_ns, link_of(stream, generation))
        elif isinstance(parsed, _Snapshot):
            self._apply_snapshot(parsed, ts_ns, stream, generation, facts)
        elif isinstance(parsed, TradePrinted):
            self._apply_trade(parsed, ts_ns, facts)
        elif isinstance(parsed, TickSizeChanged):
            self._apply_tick(parsed.token_id, parsed.tick_e6, parsed.exchange_ts_ms, ts_ns, facts)
        elif isinstance(parsed, BestBidAsk):
            self._apply_best(parsed, ts_ns)
        elif parsed is not None:
            facts.append(parsed)

    def _close_batches(self, parsed: _Changes, ts_ns: int) -> None:
        """Check, within the budget, the batches that a younger change now ends."""
        closed: Book | None = None
        for change in parsed.changes:
            book = change[0]
            if parsed.ts_ms <= book.exchange_ts_ms or not book.last_hash or book is closed:
                continue
            closed = book
            self._books.counters.batches += 1
            if self._check_all or book.audit or self.witness.afford(book, ts_ns):
                book.audit = False
                self.witness.batch(book, ts_ns)

    def _apply_snapshot(
        self, parsed: _Snapshot, ts_ns: int, stream: int, generation: int, facts: list[Fact]
    ) -> None:
        head = parsed.head
        books = self._books
        book = self._by_token.get(head.asset_id)
        if book is not None and parsed.tick_e6 is not None:
            self._apply_tick(head.asset_id, parsed.tick_e6, head.timestamp, ts_ns, facts)
        applied = books.apply_snapshot(
            head.asset_id,
            parsed.bids,
            parsed.asks,
            head.timestamp,
            ts_ns,
            stream,
            generation,
            None,
            head.hash,
        )
        if applied and book is not None and head.hash:
            self.witness.snapshot(
                book,
                str(head.timestamp),
                parsed.bids_text,
                parsed.asks_text,
                head.hash,
                ts_ns,
                min_order_size=head.min_order_size,
                tick_size=head.tick_size,
                neg_risk=head.neg_risk,
                last_trade_price=head.last_trade_price,
            )

    def _apply_tick(self, token_id: str, tick_e6: int, ts_ms: int, ts_ns: int, facts: list[Fact]) -> None:
        book = self._by_token.get(token_id)
        if book is None:
            self._books.counters.unknown_tokens += 1
        elif self._books.tick_changed(token_id, tick_e6, ts_ms, ts_ns):
            # The grid is the market's: both books wait for a snapshot.
            facts.append(TickSizeChanged(token_id, tick_e6, ts_ms))
            facts.append(TickSizeChanged(book.mirror.token_id, tick_e6, ts_ms))

    def _apply_trade(self, trade: TradePrinted, ts_ns: int, facts: list[Fact]) -> None:
        book = self._by_token.get(trade.token_id)
        if book is None:
            self._books.counters.unknown_tokens += 1
            return
        self._books.counters.trades += 1
        facts.append(trade)
        self.witness.trade(book.condition_id, trade.px_e6, ts_ns)

    def _apply_best(self, best: BestBidAsk, ts_ns: int) -> None:
        book = self._by_token.get(best.asset_id)
        if book is None:
            self._books.counters.unknown_tokens += 1
            return
        if book.link < 0 or best.timestamp < book.exchange_ts_ms:
            return
        bid_px_e6 = BEST_BIDS[best.best_bid]
        ask_px_e6 = BEST_ASKS[best.best_ask]
        if (bid_px_e6, ask_px_e6) == (book.best_bid_px_e6, book.best_ask_px_e6):
            self._books.agree(book, "top", best.timestamp)
        else:
            # It may be ahead of the changes that led to it; those then withdraw the doubt.
            self._books.contradict(
                book, "top", best.timestamp, ts_ns, f"best_bid_ask {bid_px_e6}/{ask_px_e6}"
            )

    def _sweep(self, ts_ns: int) -> None:
        """Let the hash speak once more for books whose doubt is due, then condemn what remains."""
        for book in list(self._books.doubted.values()):
            if book.link >= 0 and book.doubt is not None and ts_ns >= book.doubt.deadline_ns:
                self.witness.batch(book, ts_ns)
        self._books.sweep(ts_ns)


def _is_buy(side: str) -> bool:
    if side == "BUY":
        return True
    if side == "SELL":
        return False
    upper = side.upper()
    if upper in {"BUY", "SELL"}:
        return upper == "BUY"
    raise WireError("bad_type", f"side {side!r:.40}")


def _plain_side(text: bytes) -> dict[int, int] | None:
    """Return one side from its text, ``None`` if a price occurs twice. Raises ``KeyError`` if not plain."""
    if text == b"[]":
        return {}
    if text[:2] != b"[{" or text[-2:] != b"}]":
        raise KeyError(text)
    parts = text[2:-2].split(b"},{")
    side = dict(map(LEVELS.__getitem__, parts))
    return side if len(side) == len(parts) else None
