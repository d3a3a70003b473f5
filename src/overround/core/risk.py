"""Checks before every order: a list of small functions, each with one reason.

``review`` runs them in order and returns the first refusal, or ``None``: approved. A check looks only at
the proposed order and at the :class:`Exposure` it is given; it never mutates. Orders of one batch are
reviewed one after the other, each counted before the next.

The caps bound what may be bought and what may rest. A sale is of shares we own, so it never adds to a
position and no cap on dollars stands in its way; an order that takes at once never rests, so it is not
counted among the resting ones.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from overround.core.commands import OrderIntent, TimeInForce
from overround.core.events import Side
from overround.core.fees import taker_fee_bound_usd_e6
from overround.core.market import Market
from overround.core.orders import Order
from overround.core.strategy import BookView
from overround.core.units import E6, notional_up_e6

SHARE_STEP_E6: Final = 10_000
"""Order sizes have two decimals (venue rule)."""

CENT_E12: Final = 10_000 * E6
"""A taking purchase spends whole cents (venue rule, strategy-spec 2.1), here as price times quantity."""

MIN_TAKING_USD_E12: Final = E6 * E6
"""A taking purchase spends at least a dollar (venue rule, strategy-spec 2.1)."""

IMMEDIATE: Final = frozenset({TimeInForce.FOK, TimeInForce.FAK})
"""Orders that trade at once or go."""


class Refusal(StrEnum):
    """Why we did not let an order out."""

    GATE_CLOSED = "gate_closed"
    UNKNOWN_MARKET = "unknown_market"
    MARKET_NOT_TRADABLE = "market_not_tradable"
    FEE_UNKNOWN = "fee_unknown"
    RULES_CHANGED = "rules_changed"
    BOOK_NOT_LIVE = "book_not_live"
    OFF_GRID = "off_grid"
    SIZE = "size"
    POST_ONLY_CROSSES = "post_only_crosses"
    SELF_CROSS = "self_cross"
    NOT_ENOUGH_SHARES = "not_enough_shares"
    NOT_ENOUGH_CASH = "not_enough_cash"
    ORDER_NOTIONAL = "order_notional"
    MARKET_NOTIONAL = "market_notional"
    TOTAL_NOTIONAL = "total_notional"
    OPEN_ORDERS = "open_orders"
    BASKET_SHAPE = "basket_shape"
    """Not a set of purchases of equal size of different tokens: legging cannot put that right."""


class RiskLimits(msgspec.Struct, frozen=True):
    """Caps in millionths of a dollar, and counts."""

    max_order_usd_e6: int = 150 * E6
    """Notional of one purchase."""
    max_market_usd_e6: int = 500 * E6
    """Cost of what may be held in one market: positions at their price now, plus open purchases."""
    max_total_usd_e6: int = 6_000 * E6
    max_open_orders: int = 100
    """Open orders beyond which no further one may come to rest."""


class Exposure(Protocol):
    """The state that checks may ask, as of this order."""

    @property
    def limits(self) -> RiskLimits:
        """The caps in force."""
        ...

    @property
    def gate_open(self) -> bool:
        """Whether any new order may leave."""
        ...

    def market_of(self, token_id: str) -> Market | None:
        """Return the market of a token, or ``None`` if it is unknown."""
        ...

    def rules_accepted(self, market: Market) -> bool:
        """Whether the texts that decide the market's resolution are the accepted ones."""
        ...

    def book(self, token_id: str) -> BookView | None:
        """Return the token's book, or ``None`` if it is not tracked."""
        ...

    def open_orders_on(self, market: Market) -> Sequence[Order]:
        """Return all our orders on the market's two tokens that may still trade."""
        ...

    def open_order_count(self) -> int:
        """Return how many of our orders may still trade."""
        ...

    def free_cash_e6(self) -> int:
        """Return the dollars not promised to open purchases, in millionths."""
        ...

    def free_shares_e6(self, strategy: str, token_id: str) -> int:
        """Return the strategy's shares not promised to its open sales, in millionths."""
        ...

    def market_usd_e6(self, market: Market) -> int:
        """Return the value held in one market plus its open purchases, in millionths of a dollar."""
        ...

    def total_usd_e6(self) -> int:
        """Return the same over all markets, in millionths of a dollar."""
        ...


def order_cost_usd_e6(intent: OrderIntent, market: Market) -> int:
    """Return the dollars to set aside for a purchase, in millionths; 0 for a sale.

    That is the notional (or the budget) and the fee at its average price, both rounded up (the venue
    reserves the fee for post-only purchases as well). A taking order that is improved on gets more shares
    for its dollars and may pay a little more fee: at most the fee rate times the improvement.

    Raises ``ValueError`` if the market's fee is unknown.
    """
    if intent.side is Side.SELL:
        return 0
    if market.fee is None:
        raise ValueError(f"fee of {market.condition_id} is unknown")
    usd_e6 = -(-intent.notional_e12 // E6)
    return usd_e6 + taker_fee_bound_usd_e6(market.fee, intent.qty_e6, min(usd_e6, intent.qty_e6))


Check = Callable[[OrderIntent, Market, Exposure], Refusal | None]


def _gate(_intent: OrderIntent, _market: Market, state: Exposure) -> Refusal | None:
    return None if state.gate_open else Refusal.GATE_CLOSED


def _tradable(_intent: OrderIntent, market: Market, _state: Exposure) -> Refusal | None:
    return None if market.tradable else Refusal.MARKET_NOT_TRADABLE


def _fee_known(_intent: OrderIntent, market: Market, _state: Exposure) -> Refusal | None:
    return Refusal.FEE_UNKNOWN if market.fee is None else None


def _rules(_intent: OrderIntent, market: Market, state: Exposure) -> Refusal | None:
    return None if state.rules_accepted(market) else Refusal.RULES_CHANGED


def _book_live(intent: OrderIntent, _market: Market, state: Exposure) -> Refusal | None:
    book = state.book(intent.token_id)
    return None if book is not None and book.live else Refusal.BOOK_NOT_LIVE


def _grid(intent: OrderIntent, market: Market, _state: Exposure) -> Refusal | None:
    return None if market.on_grid(intent.px_e6) else Refusal.OFF_GRID


def _size(intent: OrderIntent, market: Market, _state: Exposure) -> Refusal | None:
    if intent.qty_e6 <= 0 or intent.qty_e6 % SHARE_STEP_E6:
        return Refusal.SIZE
    if intent.time_in_force not in IMMEDIATE:
        return None if intent.qty_e6 >= market.min_size_e6 else Refusal.SIZE
    if intent.side is Side.SELL:
        return None
    usd_e12 = intent.notional_e12
    if usd_e12 > intent.px_e6 * intent.qty_e6:
        return Refusal.SIZE
    return Refusal.SIZE if usd_e12 % CENT_E12 or usd_e12 < MIN_TAKING_USD_E12 else None


def _post_only(intent: OrderIntent, _market: Market, state: Exposure) -> Refusal | None:
    book = state.book(intent.token_id)
    if not intent.post_only or book is None:
        return None
    crosses = (
        intent.px_e6 >= book.best_ask_px_e6
        if intent.side is Side.BUY
        else intent.px_e6 <= book.best_bid_px_e6
    )
    return Refusal.POST_ONLY_CROSSES if crosses else None


def crossing_orders(intent: OrderIntent, market: Market, state: Exposure) -> list[Order]:
    """Return our open orders that ``intent`` would trade with, on the unified book (strategy-spec 3.3)."""
    side, px_e6 = yes_terms(intent, market)
    found: list[Order] = []
    for order in state.open_orders_on(market):
        other_side, other_px_e6 = yes_terms(order.intent, market)
        if side is other_side:
            continue
        bid, ask = (px_e6, other_px_e6) if side is Side.BUY else (other_px_e6, px_e6)
        if bid >= ask:
            found.append(order)
    return found


def _self_cross(intent: OrderIntent, market: Market, state: Exposure) -> Refusal | None:
    return Refusal.SELF_CROSS if crossing_orders(intent, market, state) else None


def _shares(intent: OrderIntent, _market: Market, state: Exposure) -> Refusal | None:
    if intent.side is Side.BUY or state.free_shares_e6(intent.strategy, intent.token_id) >= intent.qty_e6:
        return None
    return Refusal.NOT_ENOUGH_SHARES


def _cash(intent: OrderIntent, market: Market, state: Exposure) -> Refusal | None:
    return None if order_cost_usd_e6(intent, market) <= state.free_cash_e6() else Refusal.NOT_ENOUGH_CASH


def _order_notional(intent: OrderIntent, _market: Market, state: Exposure) -> Refusal | None:
    if intent.side is Side.SELL:
        return None
    usd_e6 = notional_up_e6(intent.px_e6, intent.qty_e6)
    return None if usd_e6 <= state.limits.max_order_usd_e6 else Refusal.ORDER_NOTIONAL


def _market_notional(intent: OrderIntent, market: Market, state: Exposure) -> Refusal | None:
    if intent.side is Side.SELL:
        return None
    after = state.market_usd_e6(market) + order_cost_usd_e6(intent, market)
    return None if after <= state.limits.max_market_usd_e6 else Refusal.MARKET_NOTIONAL


def _total_notional(intent: OrderIntent, market: Market, state: Exposure) -> Refusal | None:
    if intent.side is Side.SELL:
        return None
    after = state.total_usd_e6() + order_cost_usd_e6(intent, market)
    return None if after <= state.limits.max_total_usd_e6 else Refusal.TOTAL_NOTIONAL


def _open_orders(intent: OrderIntent, _market: Market, state: Exposure) -> Refusal | None:
    if intent.time_in_force in IMMEDIATE:
        return None
    return None if state.open_order_count() < state.limits.max_open_orders else Refusal.OPEN_ORDERS


CHECKS: Final[tuple[Check, ...]] = (
    _gate,
    _tradable,
    _fee_known,
    _rules,
    _book_live,
    _grid,
    _size,
    _post_only,
    _self_cross,
    _shares,
    _cash,
    _order_notional,
    _market_notional,
    _total_notional,
    _open_orders,
)


def review(intent: OrderIntent, state: Exposure) -> Refusal | None:
    """Return why ``intent`` must not be sent, or ``None`` if every check passed."""
    market = state.market_of(intent.token_id)
    if market is None:
        return Refusal.UNKNOWN_MARKET
    for check in CHECKS:
        if (refusal := check(intent, market, state)) is not None:
            return refusal
    return None


def yes_terms(intent: OrderIntent, market: Market) -> tuple[Side, int]:
    """Return the order as side and price (in millionths) of YES: buying NO at q is selling YES at 1 - q."""
    if intent.token_id == market.yes.token_id:
        return intent.side, intent.px_e6
    return (Side.SELL if intent.side is Side.BUY else Side.BUY), E6 - intent.px_e6
