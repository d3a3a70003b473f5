"""Market-channel frames as the venue writes them: structs, and texts to exact integers.

Invariants: a text becomes an integer in millionths exactly or the frame is refused; caches of texts are
bounded; of duplicate JSON keys the last wins, as in every common JSON decoder. Knows no books.
"""

import re
from typing import Annotated, Final, NoReturn

import msgspec

from overround.core.book import NO_ASK_PX_E6, NO_BID_PX_E6
from overround.core.units import E6, UnitError, parse_e6

MAX_FRAME_BYTES: Final = 32 * 1024 * 1024
"""Frames larger than this are refused; the largest known is a dump of some hundred books, about 3 MB."""

CACHED_TEXTS: Final = 1 << 17
"""Entries per cache of texts; a full cache is emptied."""


class WireError(Exception):
    """A frame cannot be understood. ``reason`` is bounded and machine-readable."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail[:200]


def _refuse(what: str, text: str, why: object) -> NoReturn:
    raise WireError("bad_number", f"{what} {text!r:.40}: {why}")


class PriceTexts(dict[str, int]):
    """Price text to millionths, strictly between 0 and 1. Raises ``WireError`` on lookup of a bad one."""

    def __missing__(self, text: str) -> int:
        try:
            px_e6 = parse_e6(text)
        except UnitError as error:
            _refuse("price", text, error)
        if not 0 < px_e6 < E6:
            _refuse("price", text, "not between 0 and 1")
        return _remember(self, text, px_e6)


class BestTexts(dict[str, int]):
    """Best price text to millionths; "", "0" and "1" mean an empty side."""

    def __init__(self, empty_px_e6: int) -> None:
        super().__init__()
        self._empty_px_e6 = empty_px_e6

    def __missing__(self, text: str) -> int:
        try:
            px_e6 = parse_e6(text) if text else 0
        except UnitError as error:
            _refuse("best price", text, error)
        if px_e6 > E6:
            _refuse("best price", text, "above 1")
        return _remember(self, text, px_e6 if 0 < px_e6 < E6 else self._empty_px_e6)


class QuantityTexts(dict[str, int]):
    """Quantity text to millionths, zero allowed. Raises ``WireError`` on lookup of a bad one."""

    def __missing__(self, text: str) -> int:
        try:
            return _remember(self, text, parse_e6(text))
        except UnitError as error:
            _refuse("size", text, error)


def _remember(cache: dict[str, int], text: str, value: int) -> int:
    if len(cache) >= CACHED_TEXTS:
        cache.clear()
    cache[text] = value
    return value


PRICES: Final = PriceTexts()
QUANTITIES: Final = QuantityTexts()
BEST_BIDS: Final = BestTexts(NO_BID_PX_E6)
BEST_ASKS: Final = BestTexts(NO_ASK_PX_E6)

_LEVEL: Final = re.compile(rb'"price":"([0-9]*\.?[0-9]+)","size":"([0-9]*\.?[0-9]+)"')


class LevelTexts(dict[bytes, tuple[int, int]]):
    """One level as the venue writes it, without its braces, to (price, quantity).

    Raises ``KeyError`` for any other spelling: the caller then decodes the side as JSON.
    """

    def __missing__(self, text: bytes) -> tuple[int, int]:
        match = _LEVEL.fullmatch(text)
        if match is None:
            raise KeyError(text)
        price, size = match.groups()
        level = PRICES[price.decode()], QUANTITIES[size.decode()]
        if not level[1]:
            raise KeyError(text)
        if len(self) >= CACHED_TEXTS:
            self.clear()
        self[text] = level
        return level


LEVELS: Final = LevelTexts()

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
    market: str = ""
    event_type: str = "price_change"


class OldPriceChange(msgspec.Struct, gc=False):
    """``price_change`` before 2025-09: one change, its fields on the frame."""

    asset_id: str
    price: str
    size: str
    side: str
    timestamp: Millis
    market: str = ""
    hash: str = ""


class Level(msgspec.Struct, gc=False):
    """One price level of a ``book``."""

    price: str
    size: str


class BookHead(msgspec.Struct, gc=False):
    """``book`` without its levels."""

    asset_id: str
    timestamp: Millis
    bids: Annotated[list[Level], msgspec.Meta(max_length=0)]
    asks: Annotated[list[Level], msgspec.Meta(max_length=0)]
    market: str = ""
    hash: str = ""
    event_type: str = "book"
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
    market: str = ""
    hash: str = ""
    event_type: str = "book"
    min_order_size: str | None = None
    tick_size: str | None = None
    neg_risk: bool | None = None
    last_trade_price: str | None = None


class LastTradePrice(msgspec.Struct, gc=False):
    """``last_trade_price``: a trade; ``side`` is the taker's."""

    asset_id: str
    price: str
    timestamp: Millis
    market: str = ""
    size: str = ""
    side: str = ""


class TickSizeChange(msgspec.Struct, gc=False):
    """``tick_size_change`` of one token's market."""

    asset_id: str
    new_tick_size: str
    timestamp: Millis
    market: str = ""


class BestBidAsk(msgspec.Struct, gc=False):
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


def tick_of(text: str) -> int:
    """Return a tick size in millionths. Raises ``WireError`` unless it divides 1 and is below it."""
    tick_e6 = PRICES[text]
    if E6 % tick_e6:
        _refuse("tick size", text, "does not divide 1")
    return tick_e6
