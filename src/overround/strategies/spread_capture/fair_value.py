"""What one share of YES is worth: the size-weighted mid of the cleaned book, as an exact ratio.

Theory (strategy-spec 3.1). Our own orders and dust are not evidence, so they are taken out first. The
weighted mid leans towards the thinner side, where the price is likelier to go next:
``(Pb*Qa + Pa*Qb) / (Qa + Qb)``, kept a tenth of the spread away from both touches.

Invariants: nothing is rounded here; a book without both sides has no mid, and none is invented. Knows
books only as mappings of price to quantity in YES terms.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from overround.core.events import Side
from overround.core.strategy import BookView, OwnOrder
from overround.core.units import E6

DUST_QTY_E6: Final = 5 * E6
DUST_USD_E6: Final = 5 * E6
"""Levels below five shares or five dollars say nothing about value."""
CLAMP_PARTS: Final = 10
"""The fair value stays one part in this many of the spread inside both touches."""


class Level(NamedTuple):
    """A price and the quantity on it."""

    px_e6: int
    qty_e6: int


class Ratio(NamedTuple):
    """An exact price ``num / den`` in millionths; ``den`` is positive."""

    num: int
    den: int


NO_ORDERS: Final[Mapping[int, int]] = {}


def own_quantities(
    yes_orders: Iterable[OwnOrder], no_orders: Iterable[OwnOrder]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return our resting quantity on each bid and each ask level, both in YES terms."""
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for orders, complement in ((yes_orders, False), (no_orders, True)):
        for order in orders:
            px = E6 - order.px_e6 if complement else order.px_e6
            side = asks if (order.side is Side.SELL) is not complement else bids
            side[px] = side.get(px, 0) + order.remaining_qty_e6
    return bids, asks


def clean_best(book: BookView, side: Side, own: Mapping[int, int] = NO_ORDERS) -> Level | None:
    """Return the best level of ``side`` that is neither ours alone nor dust, or ``None``."""
    best_px = book.best_bid_px_e6 if side is Side.BUY else book.best_ask_px_e6
    levels = book.bids if side is Side.BUY else book.asks
    if best_px not in levels:
        return None
    # The best level is nearly always the answer; sorting the whole side is for the other cases.
    first = Level(best_px, levels[best_px] - own.get(best_px, 0))
    if _counts(first):
        return first
    for px, qty in book.levels(side):
        level = Level(px, qty - own.get(px, 0))
        if _counts(level):
            return level
    return None


def _counts(level: Level) -> bool:
    return level.qty_e6 >= DUST_QTY_E6 and level.px_e6 * level.qty_e6 >= DUST_USD_E6 * E6


def weighted_mid(bid: Level, ask: Level) -> Ratio:
    """Return the size-weighted mid of two levels with ``bid`` below ``ask``, clamped inside the touches."""
    num = bid.px_e6 * ask.qty_e6 + ask.px_e6 * bid.qty_e6
    den = bid.qty_e6 + ask.qty_e6
    spread = ask.px_e6 - bid.px_e6
    lowest = CLAMP_PARTS * bid.px_e6 + spread
    highest = CLAMP_PARTS * ask.px_e6 - spread
    if num * CLAMP_PARTS < lowest * den:
        return Ratio(lowest, CLAMP_PARTS)
    if num * CLAMP_PARTS > highest * den:
        return Ratio(highest, CLAMP_PARTS)
    return Ratio(num, den)
