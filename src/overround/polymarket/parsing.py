"""Market-channel frames understood: from bytes to what can be applied without failing.

Parsing changes nothing; whatever is wrong with a frame is found here, before anything is applied. Key order,
blanks and array framing do not matter. Knows the books only to find the book of a token.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from overround.core.book import NO_ASK_PX_E6, NO_BID_PX_E6, Book
from overround.core.books import NO_CLAIM, Change
from overround.core.events import MarketAnnounced, MarketResolved, Side, TickSizeChanged, TradePrinted
from overround.polymarket.book_hash import levels_text
from overround.polymarket.numbers import WireError, best_of, plain_side, price_of, quantity_of, tick_of
from overround.polymarket.wire import (
    MAX_FRAME_BYTES,
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
)

MALFORMED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for bytes that are not what it was made for."""

decode_changes: Final = msgspec.json.Decoder(PriceChanges, strict=False).decode
_decode_head: Final = msgspec.json.Decoder(BookHead, strict=False).decode
_decode_book: Final = msgspec.json.Decoder(BookFrame, strict=False).decode
_decode_kind: Final = msgspec.json.Decoder(Kind).decode
_decode_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_old: Final = msgspec.json.Decoder(OldPriceChange, strict=False).decode
_decode_trade: Final = msgspec.json.Decoder(LastTradePrice, strict=False).decode
_decode_tick: Final = msgspec.json.Decoder(TickSizeChange, strict=False).decode
_decode_best: Final = msgspec.json.Decoder(BestBidAsk, strict=False).decode
_decode_new: Final = msgspec.json.Decoder(NewMarket).decode
_decode_resolved: Final = msgspec.json.Decoder(MarketResolution).decode

BookCut: TypeAlias = tuple[BookHead, bytes, bytes]
"""Fields of a ``book`` and the two sides' compact JSON texts, not yet parsed."""

LevelTexts: TypeAlias = tuple[list[bytes], list[bytes]]
"""The text of each bid and of each ask, in the order given."""

BookParts: TypeAlias = tuple[
    BookHead | BookFrame, dict[int, int], dict[int, int], bytes, bytes, int | None, LevelTexts | None
]
"""Fields, bids, asks, the two sides' compact JSON texts, the tick size in millionths if given, and the
levels' texts if they are written as the venue writes them."""


class Changes(msgspec.Struct, gc=False):
    """A ``price_change`` frame."""

    changes: list[Change]
    ts_ms: int
    unknown: int
    """Entries for tokens that are not tracked."""


class Best(msgspec.Struct, gc=False):
    """A ``best_bid_ask`` frame."""

    token_id: str
    bid_px_e6: int
    ask_px_e6: int
    ts_ms: int


Parsed: TypeAlias = (
    BookParts | Changes | Best | TradePrinted | TickSizeChanged | MarketAnnounced | MarketResolved | None
)


def parse_frame(frame: bytes, by_token: Mapping[str, Book]) -> list[Parsed] | None:
    """Return what one frame says, element by element; ``None`` for keep-alive texts.

    Raises ``WireError`` if any of it cannot be understood.
    """
    if len(frame) > MAX_FRAME_BYTES:
        raise WireError("too_large", f"{len(frame)} bytes")
    text = frame.strip()
    if text in {b"", b"PONG", b"PING"}:
        return None
    if text[:1] != b"[":
        return [parse_object(text, by_token)]
    try:
        elements = _decode_array(text)
    except MALFORMED as error:
        raise WireError("bad_json", str(error)) from None
    return [parse_object(bytes(element), by_token) for element in elements]


def parse_object(text: bytes, by_token: Mapping[str, Book]) -> Parsed:
    """Return what one JSON object says. Raises ``WireError``."""
    cut = cut_book(text)
    if cut is not None:
        parts = read_levels(cut)
        if parts is not None:
            return parts
    try:
        kind = _decode_kind(text)
        event_type = kind.event_type
        if event_type == "price_change":
            return parse_changes(text, by_token) if kind.price_changes else _parse_old(text, by_token)
        # A REST book has no event type.
        if event_type == "book" or (event_type is None and kind.bids and kind.asks):
            return _parse_book(text)
        parse = RARE.get((event_type or "").encode())
        if parse is not None:
            return parse(text)
    except msgspec.ValidationError as error:
        raise WireError("bad_type", str(error)) from None
    except MALFORMED as error:
        raise WireError("bad_json", str(error)) from None
    raise WireError("unknown_event", repr(event_type))


def parse_changes(text: bytes, by_token: Mapping[str, Book]) -> Changes:
    """Return the changes of a ``price_change``. Raises ``WireError`` and msgspec's errors."""
    message = decode_changes(text)
    changes = [_change(entry, by_token) for entry in message.price_changes]
    known = [change for change in changes if change is not None]
    return Changes(known, message.timestamp, len(changes) - len(known))


def _change(entry: PriceChange, by_token: Mapping[str, Book]) -> Change | None:
    px_e6 = price_of(entry.price)
    qty_e6 = quantity_of(entry.size)
    is_bid = _is_buy(entry.side)
    bid_px_e6 = ask_px_e6 = NO_CLAIM
    if entry.best_bid is not None and entry.best_ask is not None:
        bid_px_e6 = best_of(entry.best_bid, NO_BID_PX_E6)
        ask_px_e6 = best_of(entry.best_ask, NO_ASK_PX_E6)
    book = by_token.get(entry.asset_id)
    return None if book is None else (book, is_bid, px_e6, qty_e6, bid_px_e6, ask_px_e6, entry.hash)


def _parse_old(text: bytes, by_token: Mapping[str, Book]) -> Changes:
    old = _decode_old(text)
    # The old schema's hash follows another recipe and is left out.
    change = _change(PriceChange(old.asset_id, old.price, old.size, old.side), by_token)
    return Changes([] if change is None else [change], old.timestamp, int(change is None))


def parse_plain(frame: bytes) -> Parsed:
    """Return what a frame of one object without further objects says, by the short way.

    ``None`` if it must go the other.
    """
    if frame[:1] != b"{" or frame.find(b"{", 1) >= 0:
        return None
    # No object within: a key found in the text can only be the frame's own.
    begin = frame.rfind(b'"event_type":"') + 14
    parse = RARE.get(frame[begin : frame.find(b'"', begin)])
    if parse is None:
        return None
    try:
        return parse(frame)
    except MALFORMED:
        return None


def cut_book(frame: bytes) -> BookCut | None:
    """Cut a ``book`` written as the venue writes it into its fields and its sides; ``None`` for all else.

    The two arrays are cut out, unparsed; what remains is decoded as JSON. With no
    backslash in the remainder and each name in it once, the arrays can only be the frame's own.
    """
    bids_at = frame.find(b'"bids":[') + 7
    if bids_at < 7:
        return None
    bids_end = frame.find(b"]", bids_at) + 1
    asks_at = frame.find(b'"asks":[', bids_end) + 7
    asks_end = frame.find(b"]", asks_at) + 1
    if asks_at < 7 or not bids_end or not asks_end:
        return None
    rest = b"%b[]%b[]%b" % (frame[:bids_at], frame[bids_end:asks_at], frame[asks_end:])
    if b"\\" in rest or rest.count(b'"bids"') != 1 or rest.count(b'"asks"') != 1:
        return None
    try:
        head = _decode_head(rest)
    except MALFORMED:
        return None
    return head, frame[bids_at:bids_end], frame[asks_at:asks_end]


def read_levels(cut: BookCut) -> BookParts | None:
    """Parse the sides of a ``book``, its levels looked up as bytes; ``None`` for any unusual spelling.

    Raises ``WireError`` for a tick size that is none.
    """
    head, bids_text, asks_text = cut
    try:
        bids, bid_texts = plain_side(bids_text)
        asks, ask_texts = plain_side(asks_text)
    except KeyError:
        return None
    return head, bids, asks, bids_text, asks_text, _tick_of(head), (bid_texts, ask_texts)


def _tick_of(head: BookHead | BookFrame) -> int | None:
    return None if head.tick_size is None else tick_of(head.tick_size)


def _parse_book(text: bytes) -> BookParts:
    message = _decode_book(text)
    sides = []
    for levels in (message.bids, message.asks):
        side = {price_of(level.price): quantity_of(level.size) for level in levels}
        if len(side) != len(levels):
            raise WireError("bad_book", "a price twice on one side")
        sides.append({px_e6: qty_e6 for px_e6, qty_e6 in side.items() if qty_e6})
    bids_text, asks_text = (
        levels_text((level.price, level.size) for level in levels) for levels in (message.bids, message.asks)
    )
    return message, sides[0], sides[1], bids_text, asks_text, _tick_of(message), None


def _parse_trade(text: bytes) -> TradePrinted | None:
    message = _decode_trade(text)
    if not message.price:
        return None
    taker_side = Side.BUY if _is_buy(message.side) else Side.SELL
    px_e6, qty_e6 = price_of(message.price), quantity_of(message.size)
    return TradePrinted(message.asset_id, px_e6, qty_e6, taker_side, message.timestamp)


def _parse_tick(text: bytes) -> TickSizeChanged:
    message = _decode_tick(text)
    return TickSizeChanged(message.asset_id, tick_of(message.new_tick_size), message.timestamp)


def _parse_best(text: bytes) -> Best:
    message = _decode_best(text)
    bid_px_e6 = best_of(message.best_bid, NO_BID_PX_E6)
    ask_px_e6 = best_of(message.best_ask, NO_ASK_PX_E6)
    return Best(message.asset_id, bid_px_e6, ask_px_e6, message.timestamp)


def _parse_new_market(text: bytes) -> MarketAnnounced:
    message = _decode_new(text)
    return MarketAnnounced(message.market, message.clob_token_ids or message.assets_ids, message.slug)


def _parse_resolved(text: bytes) -> MarketResolved:
    message = _decode_resolved(text)
    return MarketResolved(message.market, message.winning_asset_id)


def _is_buy(side: str) -> bool:
    if side == "BUY":
        return True
    upper = side.upper()
    if upper == "BUY":
        return True
    if upper == "SELL":
        return False
    raise WireError("bad_type", f"side {side!r:.40}")


RARE: Final[Mapping[bytes, Callable[[bytes], Parsed]]] = {
    b"last_trade_price": _parse_trade,
    b"tick_size_change": _parse_tick,
    b"best_bid_ask": _parse_best,
    b"new_market": _parse_new_market,
    b"market_resolved": _parse_resolved,
}
"""Parsers of the events beside ``book`` and ``price_change``."""
