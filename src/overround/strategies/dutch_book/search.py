"""Which size of a basket is best: an exhaustive search that looks at two sizes per price level.

Theory. Inside one price level a leg's cost ``K`` is concave, at level ends its slope jumps up, so the
profit of a basket is convex between two neighbouring level ends of any leg: on the lattice of whole
lots the best size is the first or the last lot of such a segment, and looking at those alone is
exhaustive (for fee exponent 1, up to a cent a leg: budgets are whole cents). Once a further share
costs at least what it pays, nothing beyond can be better.
A NO leg always adds to the guaranteed profit (``1 - v - r*v*(1-v) = (1-v)*(1-r*v) > 0``), so the short
side takes every outcome that is deep enough for the size.

Invariants: sizes are whole shares, every leg's ``size * limit`` is whole cents, minimum sizes and depth
hold at every size looked at. This module knows neither events nor books.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import lcm
from typing import NamedTuple

from overround.core.units import E6
from overround.strategies.dutch_book.size import (
    Leg,
    Limits,
    Outcome,
    Sized,
    Structure,
    lot_shares,
    price_basket,
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
        spent = 0
        for leg in legs:
            budget, fee, _ = leg.spend(qty)
            spent += budget + fee
        payoff = (1 if self.structure is Structure.LONG else len(legs) - 1) * qty
        return Point(legs, shares, payoff - spent - self._limits.safety_usd_e6, spent)

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
