"""Market-channel frames as the venue writes them, as structs.

Of duplicate JSON keys the last wins, as in every common JSON decoder; unknown keys are ignored. Knows no
books and no numbers: prices and quantities stay texts here.
"""

from typing import Annotated, Final, Literal

import msgspec

MAX_FRAME_BYTES: Final = 32 * 1024 * 1024
"""Frames larger than this are refused; the largest known is a dump of some hundred books, about 3 MB."""

Millis = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Milliseconds since 1970; a digit string on the wire."""


class PriceChange(msgspec.Struct, gc=False):
    """One changed level of one token; ``size`` is the new quantity, "0" removes."""

    asset_id: str
    price: str
    size: str
    side: str
    hash: str = ""
    best_bid: str | None = None
    best_ask: str | None = None


class PriceChanges(msgspec.Struct, gc=False):
    """``price_change`` since 2025-09: changes of both tokens of one market."""

    price_changes: list[PriceChange]
    timestamp: Millis
    # Not a tag: msgspec accepts an object without its tag.
    event_type: Literal["price_change"]


class OldPriceChange(msgspec.Struct, gc=False):
    """``price_change`` before 2025-09: one change, its fields on the frame."""

    asset_id: str
    price: str
    size: str
    side: str
    timestamp: Millis


class Level(msgspec.Struct, gc=False):
    """One price level of a ``book``."""

    price: str
    size: str


class BookHead(msgspec.Struct, gc=False, tag_field="event_type", tag="book"):
    """``book`` whose levels were cut out of its text."""

    asset_id: str
    timestamp: Millis
    bids: Annotated[list[Level], msgspec.Meta(max_length=0)]
    asks: Annotated[list[Level], msgspec.Meta(max_length=0)]
    hash: str = ""
    min_order_size: str | None = None
    tick_size: str | None = None
    neg_risk: bool | None = None
    last_trade_price: str | None = None


class BookFrame(msgspec.Struct, gc=False):
    """``book``, or a REST book: all levels of one token."""

    asset_id: str
    timestamp: Millis
    bids: list[Level]
    asks: list[Level]
    hash: str = ""
    min_order_size: str | None = None
    tick_size: str | None = None
    neg_risk: bool | None = None
    last_trade_price: str | None = None


class LastTradePrice(msgspec.Struct, gc=False, tag_field="event_type", tag="last_trade_price"):
    """``last_trade_price``: a trade; ``side`` is the taker's."""

    asset_id: str
    price: str
    timestamp: Millis
    size: str
    side: str


class TickSizeChange(msgspec.Struct, gc=False, tag_field="event_type", tag="tick_size_change"):
    """``tick_size_change`` of one token's market."""

    asset_id: str
    new_tick_size: str
    timestamp: Millis


class BestBidAsk(msgspec.Struct, gc=False, tag_field="event_type", tag="best_bid_ask"):
    """``best_bid_ask``: a witness, never a source of levels."""

    asset_id: str
    best_bid: str
    best_ask: str
    timestamp: Millis


class NewMarket(msgspec.Struct, gc=False):
    """``new_market``: broadcast to everybody, subscribed or not."""

    market: str
    slug: str = ""
    assets_ids: tuple[str, ...] = ()
    clob_token_ids: tuple[str, ...] = ()


class MarketResolution(msgspec.Struct, gc=False):
    """``market_resolved``."""

    market: str
    winning_asset_id: str


class Kind(msgspec.Struct, gc=False):
    """Only what tells the kind of a frame."""

    event_type: str | None = None
    price_changes: msgspec.Raw = msgspec.Raw()
    bids: msgspec.Raw = msgspec.Raw()
    asks: msgspec.Raw = msgspec.Raw()
