"""Market-channel frames and REST books as flat rows: levels, changes and trades, for exports.

Unlike the decoder this keeps no books and knows no markets: what a frame says is what comes out, also for
tokens nobody tracks. Invariants: prices lie strictly between 0 and 1, quantities are not negative, all in
millionths; a frame that cannot be understood raises ``ValueError`` and gives no rows. Must not know what
the rows are written to.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from overround.polymarket.numbers import WireError, price_of, quantity_of
from overround.polymarket.wire import Level, Millis, PriceChange

Kind: TypeAlias = Literal["snapshot", "delta", "trade"]
SideText: TypeAlias = Literal["BUY", "SELL"]


class Row(NamedTuple):
    """One level of a book, one change of a level, or one trade."""

    kind: Kind
    exchange_ts_ms: int
    token_id: str
    side: SideText
    px_e6: int
    qty_e6: int


class _Message(msgspec.Struct, gc=False):
    """The union of the fields that matter here."""

    event_type: str | None = None
    asset_id: str = ""
    timestamp: Millis = 0
    bids: list[Level] | None = None
    asks: list[Level] | None = None
    price_changes: list[PriceChange] | None = None
    price: str = ""
    size: str = ""
    side: str = ""


_decode: Final = msgspec.json.Decoder(_Message | list[_Message], strict=False).decode


def normalise(payload: bytes) -> list[Row]:
    """Return the rows of a frame, none for messages that are neither books, changes nor trades.

    Raises ``ValueError`` for a frame that is not the venue's JSON or holds a number that is none.
    """
    try:
        decoded = _decode(payload)
        messages = decoded if isinstance(decoded, list) else [decoded]
        return [row for message in messages for row in _rows(message)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, WireError) as error:
        raise ValueError(f"{error}"[:200]) from error


def _rows(message: _Message) -> Iterator[Row]:
    at_ms, token_id = message.timestamp, message.asset_id
    if message.bids is not None and message.asks is not None:
        sides: tuple[tuple[SideText, list[Level]], ...] = (("BUY", message.bids), ("SELL", message.asks))
        for side, levels in sides:
            for level in levels:
                yield Row("snapshot", at_ms, token_id, side, price_of(level.price), quantity_of(level.size))
    elif message.price_changes is not None:
        for change in message.price_changes:
            px_e6, qty_e6 = price_of(change.price), quantity_of(change.size)
            yield Row("delta", at_ms, change.asset_id, _side(change.side), px_e6, qty_e6)
    elif message.event_type in ("price_change", "last_trade_price"):
        kind: Kind = "delta" if message.event_type == "price_change" else "trade"
        px_e6, qty_e6 = price_of(message.price), quantity_of(message.size)
        yield Row(kind, at_ms, token_id, _side(message.side), px_e6, qty_e6)


def _side(text: str) -> SideText:
    if text == "BUY":
        return "BUY"
    if text == "SELL":
        return "SELL"
    raise WireError("bad_side", text)
