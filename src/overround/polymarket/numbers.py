"""Texts of prices and quantities to exact integers, at the speed of the hot path.

Invariants: a text becomes an integer in millionths exactly or is refused; what a cache holds was checked when
it was put in; caches are bounded. Knows no frames.
"""

from operator import itemgetter
from typing import Final, NoReturn

from overround.core.book import NO_ASK_PX_E6, NO_BID_PX_E6
from overround.core.units import E6, UnitError, parse_e6

CACHED_PRICES: Final = 1 << 14
"""Entries in the cache of prices: more than the finest grid has. A full cache is emptied."""

CACHED_QUANTITIES: Final = 1 << 14
"""Entries in the cache of quantities: a level is looked up again soon after it changed, or not at all."""

CACHED_LEVELS: Final = 1 << 17
"""Entries in the cache of levels: most levels of a snapshot were in an earlier one."""

_EMPTY_SIDES: Final = {"0": NO_BID_PX_E6, "1": NO_ASK_PX_E6}
_SCALES: Final[tuple[int, ...]] = tuple(10 ** (6 - places) for places in range(7))

PRICES: Final[dict[str, int]] = {}
"""Cache of :func:`price_of`."""
BESTS: Final[dict[str, int]] = dict(_EMPTY_SIDES)
"""Cache of best prices: those of ``PRICES``, and the texts of an empty side."""
QUANTITIES: Final[dict[str, int]] = {}
"""Cache of :func:`quantity_of`."""


class WireError(Exception):
    """A frame cannot be understood. ``reason`` is bounded and machine-readable."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail[:200]


def _refuse(what: str, text: str, why: object) -> NoReturn:
    raise WireError("bad_number", f"{what} {text!r:.40}: {why}")


def price_of(text: str) -> int:
    """Return a price in millionths, strictly between 0 and 1. Raises ``WireError``."""
    px_e6 = PRICES.get(text)
    if px_e6 is not None:
        return px_e6
    try:
        px_e6 = parse_e6(text)
    except UnitError as error:
        _refuse("price", text, error)
    if not 0 < px_e6 < E6:
        _refuse("price", text, "not between 0 and 1")
    if len(PRICES) >= CACHED_PRICES:
        PRICES.clear()
        BESTS.clear()
        BESTS.update(_EMPTY_SIDES)
    PRICES[text] = BESTS[text] = px_e6
    return px_e6


def best_of(text: str, empty_px_e6: int) -> int:
    """Return a best price in millionths; "", "0" and "1" mean an empty side. Raises ``WireError``."""
    if not text:
        return empty_px_e6
    px_e6 = BESTS.get(text)
    if px_e6 is None:
        try:
            px_e6 = parse_e6(text)
        except UnitError as error:
            _refuse("best price", text, error)
    if px_e6 > E6:
        _refuse("best price", text, "above 1")
    return px_e6 if 0 < px_e6 < E6 else empty_px_e6


def tick_of(text: str) -> int:
    """Return a tick size in millionths. Raises ``WireError`` unless it divides 1 and is below it."""
    tick_e6 = price_of(text)
    if E6 % tick_e6:
        _refuse("tick size", text, "does not divide 1")
    return tick_e6


def quantity_of(text: str) -> int:
    """Return a quantity in millionths, zero allowed. Raises ``WireError``."""
    qty_e6 = QUANTITIES.get(text)
    if qty_e6 is not None:
        return qty_e6
    whole, dot, frac = text.partition(".")
    digits = whole + frac
    # The common shapes, without the general parser's checks one by one; same results.
    if len(digits) <= 12 and digits.isdigit() and digits.isascii() and len(frac) <= 6 and (frac or not dot):
        qty_e6 = int(digits) * _SCALES[len(frac)]
    else:
        try:
            qty_e6 = parse_e6(text)
        except UnitError as error:
            _refuse("size", text, error)
    if len(QUANTITIES) >= CACHED_QUANTITIES:
        QUANTITIES.clear()
    QUANTITIES[text] = qty_e6
    return qty_e6


class LevelTexts(dict[bytes, tuple[int, int]]):
    """One level as the venue writes it, without its braces, to (price, quantity).

    Raises ``KeyError`` for anything else, a zero quantity included.
    """

    def __missing__(self, text: bytes) -> tuple[int, int]:
        price, _, size = text.partition(b'","size":"')
        if price[:9] != b'"price":"' or size[-1:] != b'"':
            raise KeyError(text)
        try:
            price_text, size_text = price[9:].decode(), size[:-1].decode()
            px_e6 = PRICES.get(price_text)
            qty_e6 = QUANTITIES.get(size_text)
            level = (
                price_of(price_text) if px_e6 is None else px_e6,
                quantity_of(size_text) if qty_e6 is None else qty_e6,
            )
        except (WireError, UnicodeDecodeError):
            raise KeyError(text) from None
        if not level[1]:
            raise KeyError(text)
        if len(self) >= CACHED_LEVELS:
            self.clear()
        self[text] = level
        return level


_LEVELS: Final = LevelTexts()


def plain_side(text: bytes) -> tuple[dict[int, int], list[bytes]]:
    """Return one side, price to quantity, from the text of its JSON array as the venue writes it.

    With it comes the text of each level, in the same order and without its braces. Raises ``KeyError``
    for any other spelling, and for a price that occurs twice.
    """
    if text == b"[]":
        return {}, []
    if text[:2] != b"[{" or text[-2:] != b"}]":
        raise KeyError(text)
    parts = text[2:-2].split(b"},{")
    if len(parts) == 1:
        return dict((_LEVELS[parts[0]],)), parts
    # One call that looks up all levels: twice as fast as a loop or a map.
    side = dict(itemgetter(*parts)(_LEVELS))
    if len(side) != len(parts):
        raise KeyError(text)
    return side, parts
