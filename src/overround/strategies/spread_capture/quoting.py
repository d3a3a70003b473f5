"""From a fair value and a position to at most one bid and one ask: exact integer arithmetic.

Theory (strategy-spec 3.2-3.4, first form). Both quotes stand ``half`` away from a centre that the position
moves linearly against itself: ``centre = fair - skew * inventory / max_position``. The side that adds
to the position shrinks linearly to nothing at ``rebalance_ratio * max_position``; at ``max_position`` the
reducing side stands one tick better. An ask for YES at A is the same as a bid for NO at 1 - A, so
without shares to sell we bid for the complement.

Invariants (each a property test): prices are on the grid, bids rounded down and asks up; never at or
through the opposite touch; not better than the present best price unless the spread is at least three
ticks (or the position is at its cap); within the price guards; own bid below own ask, hence own BUY YES
plus own BUY NO below one dollar. Knows no book, clock or order.
"""

from typing import Final

import msgspec

from overround.core.events import Side
from overround.core.market import Market
from overround.core.strategy import Quote
from overround.core.units import E6, ceil_to, floor_to
from overround.strategies.spread_capture.fair_value import Ratio
from overround.strategies.spread_capture.params import SpreadParams

QTY_STEP_E6: Final = 10_000
"""Order sizes have two decimals."""
IMPROVE_TICKS: Final = 3
"""Joining the best price is enough while the spread is narrower."""
MIN_HALF_TICKS: Final = 1
ONE_SIDED_HALF_TICKS: Final = 2
"""Half spread while one side of the book is missing and the last mid is used."""


class Touch(msgspec.Struct, frozen=True):
    """The prices that bound a quote, in YES terms.

    ``best_*`` are the book's own (0 and 1,000,000 for an empty side); ``join_*`` those of the cleaned book,
    ``None`` where it has no level.
    """

    best_bid_px_e6: int
    best_ask_px_e6: int
    join_bid_px_e6: int | None
    join_ask_px_e6: int | None


class Holding(msgspec.Struct, frozen=True):
    """The position of one market."""

    yes_e6: int
    no_e6: int
    settled_yes_e6: int
    """The part of YES that can be sold now."""
    settled_no_e6: int

    @property
    def net_e6(self) -> int:
        """Return YES less NO."""
        return self.yes_e6 - self.no_e6


def raw_prices(
    fair: Ratio, net_e6: int, half_px_e6: int, tick_e6: int, params: SpreadParams
) -> tuple[int, int]:
    """Return bid and ask in YES terms before any touch or guard: bids floor, asks ceil to the tick."""
    cap = params.max_position_qty_e6
    leaning = max(-cap, min(cap, net_e6))
    den = fair.den * cap
    centre = fair.num * cap - params.inventory_skew_px_e6 * leaning * fair.den
    step = den * tick_e6
    bid = (centre - half_px_e6 * den) // step
    ask = -(-(centre + half_px_e6 * den) // step)
    return bid * tick_e6, ask * tick_e6


def half_spread_px_e6(params: SpreadParams, tick_e6: int, touch: Touch) -> int:
    """Return the half spread: the edge, but at least one tick, two while a side of the book is missing."""
    two_sided = touch.join_bid_px_e6 is not None and touch.join_ask_px_e6 is not None
    return max(params.edge_px_e6, tick_e6 * (MIN_HALF_TICKS if two_sided else ONE_SIDED_HALF_TICKS))


def placed_prices(
    raw: tuple[int, int], touch: Touch, net_e6: int, tick_e6: int, params: SpreadParams
) -> tuple[int, int]:
    """Return bid and ask in YES terms after joining, the cap's improvement and the touch rule."""
    bid, ask = raw
    join_bid, join_ask = touch.join_bid_px_e6, touch.join_ask_px_e6
    if join_bid is not None and join_ask is not None and join_ask - join_bid < IMPROVE_TICKS * tick_e6:
        bid, ask = min(bid, join_bid), max(ask, join_ask)
    if net_e6 >= params.max_position_qty_e6:
        ask -= tick_e6
    elif -net_e6 >= params.max_position_qty_e6:
        bid += tick_e6
    # The touches may be off our grid for a moment (a finer tick before): a whole tick away, on ours.
    bid = min(bid, floor_to(touch.best_ask_px_e6 - tick_e6, tick_e6))
    ask = max(ask, ceil_to(touch.best_bid_px_e6 + tick_e6, tick_e6))
    return bid, ask


def side_sizes_e6(net_e6: int, params: SpreadParams) -> tuple[int, int]:
    """Return bid and ask sizes: the adding side tapers to nothing, the reducing side keeps its full size."""
    size = floor_to(params.size_qty_e6, QTY_STEP_E6)
    held = abs(net_e6)
    if not held:
        return size, size
    soft = params.max_position_qty_e6 * params.rebalance_ratio_e6 // E6
    tapered = size * (soft - held) // soft if held < soft else 0
    adding = floor_to(min(tapered, params.max_position_qty_e6 - held), QTY_STEP_E6) if tapered else 0
    return (adding, size) if net_e6 > 0 else (size, adding)


def quotes(
    market: Market, fair: Ratio, touch: Touch, holding: Holding, params: SpreadParams
) -> tuple[Quote, ...]:
    """Return the quotes wanted now, bid first; a side that a guard or a cap forbids is absent."""
    tick, net = market.tick_e6, holding.net_e6
    raw = raw_prices(fair, net, half_spread_px_e6(params, tick, touch), tick, params)
    bid_px, ask_px = placed_prices(raw, touch, net, tick, params)
    bid_qty, ask_qty = side_sizes_e6(net, params)
    wanted = []
    if _may_stand(market, bid_px, bid_qty, params):
        wanted.append(_bid(market, bid_px, bid_qty, holding))
    if _may_stand(market, ask_px, ask_qty, params):
        wanted.append(_ask(market, ask_px, ask_qty, holding))
    return tuple(wanted)


def _may_stand(market: Market, px_e6: int, qty_e6: int, params: SpreadParams) -> bool:
    return (
        qty_e6 >= max(market.min_size_e6, QTY_STEP_E6)
        and params.min_px_e6 <= px_e6 <= params.max_px_e6
        and market.on_grid(px_e6)
    )


def _bid(market: Market, px_e6: int, qty_e6: int, holding: Holding) -> Quote:
    """Return a bid for YES: by selling NO if we can (frees capital), else by buying YES."""
    if holding.settled_no_e6 >= qty_e6:
        return Quote(market.no.token_id, Side.SELL, E6 - px_e6, qty_e6)
    return Quote(market.yes.token_id, Side.BUY, px_e6, qty_e6)


def _ask(market: Market, px_e6: int, qty_e6: int, holding: Holding) -> Quote:
    """Return an ask for YES: by selling YES if we can (frees capital), else by buying NO."""
    if holding.settled_yes_e6 >= qty_e6:
        return Quote(market.yes.token_id, Side.SELL, px_e6, qty_e6)
    return Quote(market.no.token_id, Side.BUY, E6 - px_e6, qty_e6)
