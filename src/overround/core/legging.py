"""Puts an incomplete basket right: decides between completing and unwinding, and sizes the orders.

Pure functions over ladders. The choice compares two certain prices for the shares at stake: what the
missing shares cost now (fees included) against what the complete sets pay, and what the surplus brings
now (strategy-spec 2.6, GT-5). Prices beyond the visible ladder do not exist: then that way is closed.
"""

from collections.abc import Callable, Sequence

import msgspec

from overround.core.depth import Walk, walk
from overround.core.events import Side
from overround.core.market import Market
from overround.core.risk import SHARE_STEP_E6
from overround.core.strategy import Basket, BookView
from overround.core.units import floor_to

BookOf = Callable[[str], BookView | None]
MarketOf = Callable[[str], Market | None]


class Repair(msgspec.Struct, frozen=True):
    """One order that puts a leg right: side, worst price, shares."""

    leg: int
    side: Side
    px_e6: int
    qty_e6: int


def completion(
    basket: Basket, filled_e6: Sequence[int], book_of: BookOf, market_of: MarketOf
) -> tuple[list[Repair], int] | None:
    """Return the purchases that fill every leg and their cost with fees, ``None`` if a ladder is too short."""
    repairs: list[Repair] = []
    cost_e6 = 0
    for index, (leg, held_e6) in enumerate(zip(basket.legs, filled_e6, strict=True)):
        missing_e6 = floor_to(leg.qty_e6 - held_e6, SHARE_STEP_E6)
        if missing_e6 <= 0:
            continue
        taken = _take(leg.token_id, missing_e6, Side.BUY, book_of, market_of)
        if taken is None:
            return None
        cost_e6 += taken.usd_e6 + taken.fee_bound_usd_e6
        repairs.append(Repair(index, Side.BUY, taken.last_px_e6, missing_e6))
    return repairs, cost_e6


def unwinding(
    basket: Basket, surplus_e6: Sequence[int], book_of: BookOf, market_of: MarketOf
) -> tuple[list[Repair], int]:
    """Return the sales that remove the surplus, as far as bids reach, and their proceeds after fees."""
    repairs: list[Repair] = []
    proceeds_e6 = 0
    for index, (leg, extra_e6) in enumerate(zip(basket.legs, surplus_e6, strict=True)):
        qty_e6 = floor_to(extra_e6, SHARE_STEP_E6)
        book = book_of(leg.token_id)
        if qty_e6 <= 0 or book is None:
            continue
        qty_e6 = min(qty_e6, floor_to(sum(book.bids.values()), SHARE_STEP_E6))
        taken = _take(leg.token_id, qty_e6, Side.SELL, book_of, market_of) if qty_e6 else None
        if taken is None:
            continue
        proceeds_e6 += taken.usd_e6 - taken.fee_bound_usd_e6
        repairs.append(Repair(index, Side.SELL, taken.last_px_e6, qty_e6))
    return repairs, proceeds_e6


def completing_is_better(
    basket: Basket, filled_e6: Sequence[int], surplus_e6: Sequence[int], book_of: BookOf, market_of: MarketOf
) -> bool:
    """Whether completing the basket leaves more than selling what is held beyond complete sets."""
    way = completion(basket, filled_e6, book_of, market_of)
    if way is None:
        return False
    qty_e6 = basket.legs[0].qty_e6
    sets_e6 = min(filled_e6)
    payout_e6 = basket.cost_usd_e6 + basket.fees_usd_e6 + basket.profit_usd_e6
    gained_e6 = payout_e6 * (qty_e6 - sets_e6) // qty_e6
    _, proceeds_e6 = unwinding(basket, surplus_e6, book_of, market_of)
    return gained_e6 - way[1] > proceeds_e6


def _take(token_id: str, qty_e6: int, side: Side, book_of: BookOf, market_of: MarketOf) -> Walk | None:
    book, market = book_of(token_id), market_of(token_id)
    if book is None or not book.live or market is None or market.fee is None:
        return None
    ladder = book.levels(Side.SELL if side is Side.BUY else Side.BUY)
    return walk(ladder, qty_e6, market.fee, buying=side is Side.BUY)
