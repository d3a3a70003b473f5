"""Puts an incomplete basket right: decides between completing and unwinding, and sizes the orders.

Pure functions over ladders. The choice compares two certain prices for the shares at stake: what the
missing shares cost now (fees included) against what the complete sets pay, and what the surplus brings
now (strategy-spec 2.6, GT-5). Prices beyond the visible ladder do not exist: then that way is closed.

Limit: a basket is purchases of one size (``baskets.well_formed``); a leg that sells has no completion
and no unwinding here.
"""

from collections.abc import Callable, Iterable, Sequence
from math import gcd, lcm

import msgspec

from overround.core.depth import Walk, walk
from overround.core.events import Side
from overround.core.fees import taker_fee_bound_usd_e6
from overround.core.market import FeeSchedule, Market
from overround.core.risk import CENT_E12, MIN_TAKING_USD_E12, SHARE_STEP_E6
from overround.core.strategy import Basket, BookView
from overround.core.units import E6, ceil_to, floor_to

BookOf = Callable[[str], BookView | None]
MarketOf = Callable[[str], Market | None]


class Repair(msgspec.Struct, frozen=True):
    """One order that puts a leg right: side, worst price, shares."""

    leg: int
    side: Side
    px_e6: int
    qty_e6: int


def books_live(basket: Basket, book_of: BookOf) -> bool:
    """Whether every leg's book is known to be true, so that a way can be judged at all."""
    return all((book := book_of(leg.token_id)) is not None and book.live for leg in basket.legs)


def completion(
    basket: Basket, filled_e6: Sequence[int], book_of: BookOf, market_of: MarketOf
) -> tuple[list[Repair], int] | None:
    """Return the purchases that fill every leg, and the dollars (in millionths) they may cost with fees.

    ``None`` if a ladder is too short. A taking purchase spends its whole budget, which must be whole cents
    and at least a dollar, so a repair may bring a little more than is missing; its cost counts.
    """
    repairs: list[Repair] = []
    cost_e6 = 0
    for index, (leg, held_e6) in enumerate(zip(basket.legs, filled_e6, strict=True)):
        if held_e6 >= leg.qty_e6:
            continue
        missing_e6 = ceil_to(leg.qty_e6 - held_e6, SHARE_STEP_E6)
        fee = _fee(leg.token_id, market_of)
        ladder = _ladder(leg.token_id, Side.SELL, book_of)
        taken = None if fee is None else walk(ladder, missing_e6, fee, buying=True)
        if fee is None or taken is None:
            return None
        px_e6 = taken.last_px_e6
        qty_e6 = _taking_qty_e6(missing_e6, px_e6)
        cost_e6 += _budget_cost_e6(ladder, px_e6, qty_e6, fee)
        repairs.append(Repair(index, Side.BUY, px_e6, qty_e6))
    return repairs, cost_e6


def unwinding(
    basket: Basket, surplus_e6: Sequence[int], book_of: BookOf, market_of: MarketOf
) -> tuple[list[Repair], int]:
    """Return the sales that remove the surplus, as far as bids reach, and their proceeds after fees."""
    repairs: list[Repair] = []
    proceeds_e6 = 0
    for index, (leg, extra_e6) in enumerate(zip(basket.legs, surplus_e6, strict=True)):
        fee = _fee(leg.token_id, market_of)
        ladder = _ladder(leg.token_id, Side.BUY, book_of)
        qty_e6 = floor_to(min(extra_e6, sum(size_e6 for _, size_e6 in ladder)), SHARE_STEP_E6)
        if fee is None or qty_e6 <= 0:
            continue
        taken: Walk | None = walk(ladder, qty_e6, fee, buying=False)
        if taken is not None:
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


def _fee(token_id: str, market_of: MarketOf) -> FeeSchedule | None:
    market = market_of(token_id)
    return None if market is None else market.fee


def _ladder(token_id: str, side: Side, book_of: BookOf) -> list[tuple[int, int]]:
    """Return a side of a book, best first; a book that is not known to be true has no levels."""
    book = book_of(token_id)
    return [] if book is None or not book.live else book.levels(side)


def _taking_qty_e6(least_e6: int, px_e6: int) -> int:
    """Return the smallest size of a taking purchase at ``px_e6`` that brings at least ``least_e6``."""
    lot_e6 = lcm(SHARE_STEP_E6, CENT_E12 // gcd(CENT_E12, px_e6))
    dollar_e6 = -(-MIN_TAKING_USD_E12 // px_e6)
    return ceil_to(max(least_e6, dollar_e6), lot_e6)


def _budget_cost_e6(ladder: Iterable[tuple[int, int]], px_e6: int, qty_e6: int, fee: FeeSchedule) -> int:
    """Return what a budget of ``px_e6`` times ``qty_e6`` spends at prices up to ``px_e6``, with its fee."""
    left_e12 = budget_e12 = px_e6 * qty_e6
    shares_e6 = 0
    for level_px_e6, size_e6 in ladder:
        if level_px_e6 > px_e6:
            break
        take_e6 = min(size_e6, left_e12 // level_px_e6)
        shares_e6 += take_e6
        left_e12 -= take_e6 * level_px_e6
        if take_e6 < size_e6:
            break
    usd_e6 = -(-(budget_e12 - left_e12) // E6)
    return usd_e6 + taker_fee_bound_usd_e6(fee, shares_e6, usd_e6)
