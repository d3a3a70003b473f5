"""What a basket costs at a given size: exact integer arithmetic.

Theory. A leg of ``q`` shares walks the asks: ``N(q)`` dollars, average price ``v = N/q``, taker fee
``q*r*v*(1-v)``; its cost is ``K(q) = N + fee``. The order is given exactly that as its budget, rounded up to
whole cents: the venue spends all of a taking purchase's budget (strategy-spec GT-8), so a budget of
``q * limit`` would turn guaranteed profit into odd shares of one outcome.

Invariants: a quantity beyond the visible depth is never priced; costs round up, proceeds down; fees are
the upper bound of ``core.fees`` wherever a decision depends on them. Sizes are whole shares, and every
leg's ``size * limit`` is a whole number of cents (the venue refuses other budgets of taking orders).
This module knows neither events nor books, only ladders of price and quantity.
"""

from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum
from math import gcd
from typing import Final

import msgspec

from overround.core.fees import taker_fee_bound_usd_e6, taker_fee_usd_e6
from overround.core.market import FeeSchedule
from overround.core.units import E6, ceil_to

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
    do); ``cost_usd_e6`` and ``cost_fee_usd_e6`` are the plan: every level ``slippage_ticks`` worse, in
    whole cents (the order's budget), and the fee's upper bound. ``unwind_loss_usd_e6`` is the plan's cost
    less what the bids would bring.
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
    def capital_usd_e6(self) -> int:
        """Cash that the orders may bind: budgets and fees."""
        return self.cost_usd_e6 + self.cost_fees_usd_e6

    @property
    def profit_usd_e6(self) -> int:
        """Guaranteed profit at the plan's prices, with the fees' upper bound."""
        return self.payoff_usd_e6 - self.capital_usd_e6

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

    def spend(self, qty_e6: int) -> tuple[int, int, int]:
        """Return the order's budget, the fee's upper bound and the limit.

        Raises ``ValueError`` beyond the visible depth.
        """
        cost, limit_px = self.plan.walk(qty_e6)
        budget = ceil_to(cost, CENT_USD_E6)
        return budget, taker_fee_bound_usd_e6(self.outcome.fee, qty_e6, min(budget, qty_e6)), limit_px

    def price(self, qty_e6: int) -> PricedLeg:
        """Return this leg at ``qty_e6``. Raises ``ValueError`` beyond the visible depth."""
        fee = self.outcome.fee
        notional, _ = self.book.walk(qty_e6)
        cost, cost_fee, limit_px = self.spend(qty_e6)
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
        loss_bound_usd_e6=_worst_subset([leg.unwind_loss_usd_e6 for leg in priced]),
    )


def _worst_subset(losses: Sequence[int]) -> int:
    """Return the largest total loss over all subsets that leave out at least one leg."""
    bad = [loss for loss in losses if loss > 0]
    return sum(bad) - (min(bad) if bad and len(bad) == len(losses) else 0)
