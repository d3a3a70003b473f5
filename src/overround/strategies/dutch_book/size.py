"""What a basket costs at a given size, and which size is best: exact integer arithmetic.

Theory. A leg of ``q`` shares walks the asks: ``N(q)`` dollars, average price ``v = N/q``, taker fee
``q*r*v*(1-v)``; its cost is ``K(q) = N + fee``. Inside one price level ``K`` is concave, at level ends
its slope jumps up, so the profit of a basket is convex between two neighbouring level ends of any leg:
on the lattice of whole lots the best size is the first or the last lot of such a segment, and looking at
those alone is exhaustive (for fee exponent 1, up to the fee's rounding of 0.00001 dollars a leg).
A NO leg always adds to the guaranteed profit (``1 - v - r*v*(1-v) = (1-v)*(1-r*v) > 0``), so the short
side takes every outcome that is deep enough for the size.

Invariants: a quantity beyond the visible depth is never priced; costs round up, proceeds down; fees are
the upper bound of ``core.fees`` wherever a decision depends on them. Sizes are whole shares, and every
leg's ``size * limit`` is a whole number of cents (the venue refuses other budgets of taking orders).
This module knows neither events nor books, only ladders of price and quantity.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise
from math import gcd, lcm
from typing import Final, NamedTuple

import msgspec

from overround.core.fees import taker_fee_bound_usd_e6, taker_fee_usd_e6
from overround.core.market import FeeSchedule
from overround.core.units import E6, notional_up_e6

CENT_USD_E6: Final = 10_000
MIN_TAKER_USD_E6: Final = E6
"""Smallest notional of a taking order: one dollar (measured venue rule)."""
UNWIND_TICKS: Final = 2
"""An incomplete basket is assumed to be sold this many ticks below the bids."""


class Structure(StrEnum):
    """What is bought, named as in the strategy specification."""

    LONG = "L1"
    """YES of every outcome: pays one dollar a share if exactly one wins."""
    SHORT = "S3"
    """NO of k outcomes, held: pays at least k - 1 dollars a share if at most one wins."""


class Outcome(msgspec.Struct, frozen=True):
    """The token of one outcome that the basket buys, with its book, best level first."""

    condition_id: str
    token_id: str
    name: str
    tick_e6: int
    min_size_e6: int
    fee: FeeSchedule
    asks: Sequence[tuple[int, int]]
    bids: Sequence[tuple[int, int]]


class Limits(msgspec.Struct, frozen=True):
    """What bounds a basket's size."""

    max_size_e6: int
    max_capital_usd_e6: int
    participation_e6: int
    slippage_ticks: int
    safety_usd_e6: int
    max_legs: int


class PricedLeg(msgspec.Struct, frozen=True):
    """One leg at the basket's size.

    ``notional_usd_e6`` and ``fee_usd_e6`` are what the book as it stands costs (fee rounded as accounts
    do); ``cost_usd_e6`` and ``cost_fee_usd_e6`` are the plan: every level ``slippage_ticks`` worse and the
    fee's upper bound. ``unwind_loss_usd_e6`` is the plan's cost less what the bids would bring.
    """

    outcome: Outcome
    qty_e6: int
    limit_px_e6: int
    notional_usd_e6: int
    fee_usd_e6: int
    fee_bound_usd_e6: int
    cost_usd_e6: int
    cost_fee_usd_e6: int
    unwind_loss_usd_e6: int


class Sized(msgspec.Struct, frozen=True):
    """A basket of one size with all its sums, in millionths of a dollar."""

    structure: Structure
    qty_e6: int
    legs: tuple[PricedLeg, ...]
    payoff_usd_e6: int
    """Smallest payoff over the states that the structure's condition admits."""
    notional_usd_e6: int
    fees_usd_e6: int
    fees_bound_usd_e6: int
    slippage_usd_e6: int
    safety_usd_e6: int
    cost_usd_e6: int
    cost_fees_usd_e6: int
    capital_usd_e6: int
    """Cash that the orders may bind: budgets at the limit prices and fees."""
    loss_bound_usd_e6: int
    """Most that any incomplete subset of the legs loses when it is sold at the stressed bids."""

    @property
    def gross_usd_e6(self) -> int:
        """Payoff less the walked notional."""
        return self.payoff_usd_e6 - self.notional_usd_e6

    @property
    def book_profit_usd_e6(self) -> int:
        """Profit at the book as it stands, fees as accounts round them: no slippage, no margin."""
        return self.gross_usd_e6 - self.fees_usd_e6

    @property
    def profit_usd_e6(self) -> int:
        """Guaranteed profit at the plan's prices, with the fees' upper bound."""
        return self.payoff_usd_e6 - self.cost_usd_e6 - self.cost_fees_usd_e6

    @property
    def net_usd_e6(self) -> int:
        """Guaranteed profit less the safety margin: what is compared with the required profit."""
        return self.profit_usd_e6 - self.safety_usd_e6


class Ladder:
    """One side of a book, cumulated, so that any size is priced by one bisection."""

    __slots__ = ("cum_cost_e12", "cum_qty_e6", "px_e6")

    def __init__(self, levels: Sequence[tuple[int, int]]) -> None:
        self.px_e6: list[int] = []
        self.cum_qty_e6: list[int] = []
        self.cum_cost_e12: list[int] = []
        qty = cost = 0
        for px_e6, qty_e6 in levels:
            qty += qty_e6
            cost += px_e6 * qty_e6
            self.px_e6.append(px_e6)
            self.cum_qty_e6.append(qty)
            self.cum_cost_e12.append(cost)

    @property
    def depth_e6(self) -> int:
        """Quantity on all levels."""
        return self.cum_qty_e6[-1] if self.cum_qty_e6 else 0

    def worst_px_e6(self, qty_e6: int) -> int:
        """Return the price of the last level reached. Raises ``ValueError`` beyond the depth."""
        return self.px_e6[self._level(qty_e6)]

    def worth_usd_e6(self, qty_e6: int) -> int:
        """Return what a seller gets, rounded down. Raises ``ValueError`` beyond the depth."""
        level = self._level(qty_e6)
        beyond = self.cum_qty_e6[level] - qty_e6
        return (self.cum_cost_e12[level] - beyond * self.px_e6[level]) // E6

    def walk(self, qty_e6: int) -> tuple[int, int]:
        """Return the cost in millionths of a dollar, rounded up, and the last price reached.

        Raises ``ValueError`` beyond the depth.
        """
        level = self._level(qty_e6)
        px_e6 = self.px_e6[level]
        cost_e12 = self.cum_cost_e12[level] - (self.cum_qty_e6[level] - qty_e6) * px_e6
        return -(-cost_e12 // E6), px_e6

    def _level(self, qty_e6: int) -> int:
        level = bisect_left(self.cum_qty_e6, qty_e6)
        if level == len(self.px_e6):
            raise ValueError(f"{qty_e6} is beyond the visible depth {self.depth_e6}")
        return level


def lot_shares(limit_px_e6: int) -> int:
    """Return the smallest whole number of shares that costs whole cents at ``limit_px_e6``."""
    return CENT_USD_E6 // gcd(CENT_USD_E6, limit_px_e6)


class Leg:
    """One outcome prepared for pricing at many sizes."""

    __slots__ = ("book", "cap", "least", "outcome", "plan", "stressed")

    def __init__(self, outcome: Outcome, limits: Limits) -> None:
        ceiling = E6 - outcome.tick_e6
        slip = limits.slippage_ticks * outcome.tick_e6
        stress = UNWIND_TICKS * outcome.tick_e6
        self.outcome = outcome
        self.book = Ladder(outcome.asks)
        self.plan = (
            Ladder([(min(px + slip, ceiling), qty) for px, qty in outcome.asks]) if slip else self.book
        )
        self.stressed = Ladder([(px - stress, qty) for px, qty in outcome.bids if px > stress])
        usable = self.book.depth_e6 * limits.participation_e6 // E6
        self.cap = min(limits.max_size_e6, usable) // E6
        """Most whole shares."""
        least_usd = -(-MIN_TAKER_USD_E6 // outcome.asks[0][0]) if outcome.asks else self.cap + 1
        self.least = max(-(-outcome.min_size_e6 // E6), least_usd, 1)
        """Fewest whole shares: the market's minimum, and one dollar at the best ask."""

    def limit_px_e6(self, qty_e6: int) -> int:
        """Return the order's limit price at this size."""
        return self.plan.worst_px_e6(qty_e6)

    def marginal_e6(self, qty_e6: int) -> int:
        """Return a lower bound of the cost of one more share anywhere at or beyond this size (exponent 1)."""
        px = self.plan.worst_px_e6(qty_e6)
        return px + unit_fee_floor_e6(self.outcome.fee, px)

    def price(self, qty_e6: int) -> PricedLeg:
        """Return this leg at ``qty_e6``. Raises ``ValueError`` beyond the visible depth."""
        fee = self.outcome.fee
        notional, _ = self.book.walk(qty_e6)
        cost, limit_px = self.plan.walk(qty_e6)
        cost_fee = taker_fee_bound_usd_e6(fee, qty_e6, cost)
        return PricedLeg(
            outcome=self.outcome,
            qty_e6=qty_e6,
            limit_px_e6=limit_px,
            notional_usd_e6=notional,
            fee_usd_e6=taker_fee_usd_e6(fee, qty_e6, notional),
            fee_bound_usd_e6=taker_fee_bound_usd_e6(fee, qty_e6, notional),
            cost_usd_e6=cost,
            cost_fee_usd_e6=cost_fee,
            unwind_loss_usd_e6=cost + cost_fee - self._proceeds_usd_e6(qty_e6),
        )

    def _proceeds_usd_e6(self, qty_e6: int) -> int:
        """Return what selling at the stressed bids brings; what they cannot take is worth nothing."""
        sold = min(qty_e6, self.stressed.depth_e6)
        if not sold:
            return 0
        usd = self.stressed.worth_usd_e6(sold)
        return usd - taker_fee_bound_usd_e6(self.outcome.fee, sold, usd)


def unit_fee_floor_e6(fee: FeeSchedule, px_e6: int) -> int:
    """Return the fee of one share at ``px_e6``, rounded down; 0 for an exponent other than 1."""
    return fee.rate_e6 * px_e6 * (E6 - px_e6) // (E6 * E6) if fee.exponent == 1 else 0


def price_basket(structure: Structure, legs: Sequence[Leg], shares: int, safety_usd_e6: int) -> Sized:
    """Return the basket of ``shares`` of every leg. Raises ``ValueError`` beyond any leg's depth."""
    qty = shares * E6
    priced = [leg.price(qty) for leg in legs]
    # Cheapest to unwind first, should the orders ever be sent one after the other.
    priced.sort(key=lambda leg: leg.unwind_loss_usd_e6)
    notional = sum(leg.notional_usd_e6 for leg in priced)
    fees_bound = sum(leg.fee_bound_usd_e6 for leg in priced)
    cost = sum(leg.cost_usd_e6 for leg in priced)
    cost_fees = sum(leg.cost_fee_usd_e6 for leg in priced)
    return Sized(
        structure=structure,
        qty_e6=qty,
        legs=tuple(priced),
        payoff_usd_e6=qty if structure is Structure.LONG else (len(priced) - 1) * qty,
        notional_usd_e6=notional,
        fees_usd_e6=sum(leg.fee_usd_e6 for leg in priced),
        fees_bound_usd_e6=fees_bound,
        slippage_usd_e6=cost + cost_fees - notional - fees_bound,
        safety_usd_e6=safety_usd_e6,
        cost_usd_e6=cost,
        cost_fees_usd_e6=cost_fees,
        capital_usd_e6=sum(notional_up_e6(leg.limit_px_e6, qty) + leg.cost_fee_usd_e6 for leg in priced),
        loss_bound_usd_e6=_worst_subset([leg.unwind_loss_usd_e6 for leg in priced]),
    )


class Point(NamedTuple):
    """One size of one set of legs, with just the sums that a search compares."""

    legs: Sequence[Leg]
    shares: int
    net_usd_e6: int
    capital_usd_e6: int


class Search:
    """All sizes worth looking at for one structure over given outcomes."""

    def __init__(self, structure: Structure, outcomes: Sequence[Outcome], limits: Limits) -> None:
        self.structure = structure
        self._limits = limits
        self._legs = [Leg(outcome, limits) for outcome in outcomes]
        self._prunable = all(outcome.fee.exponent == 1 for outcome in outcomes)

    def best(
        self,
        capital_usd_e6: int | None = None,
        loss_usd_e6: int | None = None,
        accept: Callable[[Sized], bool] | None = None,
    ) -> Sized | None:
        """Return the basket with the largest net profit (the smaller one of two equals), if there is any.

        ``capital_usd_e6`` and ``loss_usd_e6`` bound the basket; a size just inside such a bound is looked
        at as well. ``accept`` may refuse a size for any other reason.
        """

        def fits(point: Point) -> bool:
            if capital_usd_e6 is not None and point.capital_usd_e6 > capital_usd_e6:
                return False
            return loss_usd_e6 is None or self._sized(point).loss_bound_usd_e6 <= loss_usd_e6

        best: Point | None = None
        for low, high in self._segments():
            legs = self._members(low, high)
            if len(legs) < 2:
                continue
            falling = self._falling(low, high, legs)
            ends = self._ends(legs, low, high, fits)
            for point in ends[:1] if falling else ends:
                better = best is None or point.net_usd_e6 > best.net_usd_e6
                if better and (accept is None or accept(self._sized(point))):
                    best = point
            if falling and ends:
                break
        return None if best is None else self._sized(best)

    def _segments(self) -> list[tuple[int, int]]:
        """Return the ranges (low, high] of whole shares in which no leg changes its level."""
        if not self._legs:
            return []
        long = self.structure is Structure.LONG
        top = (min if long else max)(leg.cap for leg in self._legs)
        bottom = (max if long else min)(leg.least for leg in self._legs) - 1
        cuts = {bottom, top}
        for leg in self._legs:
            cuts.update((leg.cap, leg.least - 1))
            cuts.update(cum // E6 for cum in leg.book.cum_qty_e6)
        inside = sorted(cut for cut in cuts if bottom <= cut <= top)
        return list(pairwise(inside))

    def _members(self, low: int, high: int) -> list[Leg]:
        """Return the legs of a basket whose size is in (low, high]."""
        if self.structure is Structure.LONG:
            return self._legs
        deep = [leg for leg in self._legs if leg.least <= low + 1 and high <= leg.cap]
        if len(deep) > self._limits.max_legs:
            deep.sort(key=lambda leg: leg.plan.walk(high * E6))
            del deep[self._limits.max_legs :]
        return deep

    def _ends(self, legs: Sequence[Leg], low: int, high: int, fits: Callable[[Point], bool]) -> list[Point]:
        """Return the first and the last whole lot in (low, high] that fit, smaller one first."""
        lot = lcm(*(lot_shares(leg.limit_px_e6(high * E6)) for leg in legs))
        first, last = low // lot + 1, high // lot
        if first > last:
            return []
        smallest = self._point(legs, first * lot)
        if not fits(smallest):
            return []
        if first == last:
            return [smallest]
        largest = self._point(legs, last * lot)
        if not fits(largest):
            inside, outside = first, last
            while outside - inside > 1:
                middle = (inside + outside) // 2
                if fits(self._point(legs, middle * lot)):
                    inside = middle
                else:
                    outside = middle
            largest = self._point(legs, inside * lot)
        return [smallest, largest]

    def _point(self, legs: Sequence[Leg], shares: int) -> Point:
        qty = shares * E6
        spent = capital = 0
        for leg in legs:
            cost, limit_px = leg.plan.walk(qty)
            fee = taker_fee_bound_usd_e6(leg.outcome.fee, qty, cost)
            spent += cost + fee
            capital += limit_px * shares + fee
        payoff = (1 if self.structure is Structure.LONG else len(legs) - 1) * qty
        return Point(legs, shares, payoff - spent - self._limits.safety_usd_e6, capital)

    def _sized(self, point: Point) -> Sized:
        return price_basket(self.structure, point.legs, point.shares, self._limits.safety_usd_e6)

    def _falling(self, low: int, high: int, legs: Sequence[Leg]) -> bool:
        """Whether profit can only fall from here on: a further share costs at least what it pays.

        On the short side a leg that is still too small to be traded may enter later, so nothing is
        concluded before all have entered.
        """
        if not self._prunable:
            return False
        qty = high * E6
        marginal = sum(leg.marginal_e6(qty) for leg in legs)
        if self.structure is Structure.LONG:
            return marginal >= E6
        waiting = any(leg.least > low + 1 and leg.cap >= leg.least for leg in self._legs)
        return not waiting and marginal >= (len(legs) - 1) * E6


def _worst_subset(losses: Sequence[int]) -> int:
    """Return the largest total loss over all subsets that leave out at least one leg."""
    bad = [loss for loss in losses if loss > 0]
    return sum(bad) - (min(bad) if bad and len(bad) == len(losses) else 0)
