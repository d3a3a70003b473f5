"""An order inside the exchange: what was asked for, whether the venue takes it, and its exact money.

The book of a market is kept in terms of YES: buying NO at q is selling YES at 1 - q (protocol sheet
11.4). An order keeps both views: ``px_e6`` in terms of its own token, ``book_px_e6`` in terms of YES.

Invariants: money is rounded over the whole order, never per fill: a buyer has paid the exact notional
rounded up, a seller received it rounded down, so an order never exceeds its limit by a single millionth.
Knows no accounts and no other orders.
"""

from typing import Final, NamedTuple

import msgspec

from overround.core.commands import OrderIntent, TimeInForce
from overround.core.events import RefusalReason, Side
from overround.core.fees import taker_fee_bound_usd_e6
from overround.core.market import FeeSchedule, Market
from overround.core.units import E6, format_e6, notional_up_e6
from overround.exchange.queues import QueuePosition

CENT_E6: Final = 10_000
MIN_MARKETABLE_BUY_USD_E6: Final = E6
"""Least notional of a purchase that trades at once (protocol sheet 4.5)."""
GTD_MIN_LIFE_MS: Final = 180_000
"""A GTD order must expire at least this far ahead (protocol sheet 4.7)."""
GTD_SECURITY_MS: Final = 60_000
"""A GTD order stops matching this long before its stated expiration."""
IMMEDIATE: Final = frozenset({TimeInForce.FOK, TimeInForce.FAK})


class Refusal(NamedTuple):
    """Why an order is not taken, and the venue's words for it."""

    reason: RefusalReason
    text: str


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it arrives, from whichever account."""

    account_id: str
    client_order_id: str
    token_id: str
    side: Side
    px_e6: int
    qty_e6: int
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    expires_ts_ms: int | None = None
    budget_usd_e6: int | None = None
    """What a FOK or FAK purchase may spend; ``None`` means price times quantity."""

    @classmethod
    def of(cls, intent: OrderIntent, account_id: str) -> "OrderRequest":
        """Return the request that ``account_id`` makes with ``intent``."""
        return cls(
            account_id=account_id,
            client_order_id=intent.client_order_id,
            token_id=intent.token_id,
            side=intent.side,
            px_e6=intent.px_e6,
            qty_e6=intent.qty_e6,
            time_in_force=intent.time_in_force,
            post_only=intent.post_only,
            expires_ts_ms=intent.expires_ts_ms,
            budget_usd_e6=intent.budget_usd_e6,
        )

    @property
    def spends_budget(self) -> bool:
        """Whether the order spends dollars (better prices bring more shares) instead of buying shares."""
        return self.side is Side.BUY and self.time_in_force in IMMEDIATE

    @property
    def budget_e12(self) -> int:
        """The dollars a purchase may spend, without fee, in millionths of a millionth (exact)."""
        return self.px_e6 * self.qty_e6 if self.budget_usd_e6 is None else self.budget_usd_e6 * E6


def admission(request: OrderRequest, market: Market, now_ms: int) -> Refusal | None:
    """Return why the venue refuses the order before it looks at the book (protocol sheet 11.4)."""
    if not (market.active and market.accepting_orders) or market.closed or market.winner is not None:
        return Refusal(RefusalReason.MARKET_CLOSED, "the market is not yet ready to process new orders")
    if not market.on_grid(request.px_e6):
        px, tick = format_e6(request.px_e6), format_e6(market.tick_e6)
        return Refusal(RefusalReason.OFF_GRID, f"Price ({px}) breaks minimum tick size rule: {tick}")
    if request.qty_e6 <= 0:
        return Refusal(RefusalReason.INVALID_AMOUNTS, "size must be positive")
    if request.time_in_force in IMMEDIATE:
        refusal = _immediate_amounts(request)
    else:
        refusal = _resting_amounts(request, market)
    if refusal is not None:
        return refusal
    if request.time_in_force is TimeInForce.GTD:
        if request.expires_ts_ms is None or request.expires_ts_ms < now_ms + GTD_MIN_LIFE_MS:
            return Refusal(RefusalReason.EXPIRED, "invalid expiration")
    elif request.expires_ts_ms is not None:
        return Refusal(RefusalReason.EXPIRED, "invalid expiration: only GTD orders expire")
    return None


def _immediate_amounts(request: OrderRequest) -> Refusal | None:
    if request.post_only:
        return Refusal(RefusalReason.INVALID_AMOUNTS, "post-only orders must be GTC or GTD")
    if request.side is Side.SELL:
        if request.qty_e6 % CENT_E6:
            return Refusal(
                RefusalReason.INVALID_AMOUNTS,
                "invalid amounts, the sell orders maker amount supports a max accuracy of 2 decimals",
            )
        return None
    if request.budget_e12 % (CENT_E6 * E6):
        return Refusal(
            RefusalReason.INVALID_AMOUNTS,
            "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 decimals",
        )
    return too_small_to_take(request.budget_e12)


def _resting_amounts(request: OrderRequest, market: Market) -> Refusal | None:
    if request.budget_usd_e6 is not None:
        return Refusal(RefusalReason.INVALID_AMOUNTS, "only FOK and FAK purchases have a budget")
    if request.qty_e6 % CENT_E6:
        return Refusal(
            RefusalReason.INVALID_AMOUNTS, "invalid amounts, size supports a max accuracy of 2 decimals"
        )
    if request.qty_e6 < market.min_size_e6:
        size, least = format_e6(request.qty_e6), format_e6(market.min_size_e6)
        return Refusal(RefusalReason.TOO_SMALL, f"Size ({size}) lower than the minimum: {least}")
    return None


def too_small_to_take(budget_e12: int) -> Refusal | None:
    """Return the refusal of a purchase that would trade at once for less than a dollar, else ``None``."""
    if budget_e12 >= MIN_MARKETABLE_BUY_USD_E6 * E6:
        return None
    usd = format_e6(budget_e12 // E6)
    return Refusal(
        RefusalReason.TOO_SMALL, f"invalid amount for a marketable BUY order (${usd}), min size: $1"
    )


class Order:
    """One order that was admitted, with what it has traded so far."""

    __slots__ = (
        "book_px_e6",
        "book_side",
        "condition_id",
        "fee",
        "filled_qty_e6",
        "fills",
        "notional_e12",
        "queue",
        "request",
        "reserved_qty_e6",
        "reserved_usd_e6",
        "seq",
        "venue_order_id",
        "yes",
    )

    def __init__(
        self,
        request: OrderRequest,
        market: Market,
        fee: FeeSchedule,
        queue: QueuePosition,
        seq: int,
        venue_order_id: str,
    ) -> None:
        self.request = request
        self.fee = fee
        self.seq = seq
        """Arrival order: the time in price-time priority."""
        self.venue_order_id = venue_order_id
        self.condition_id = market.condition_id
        self.yes = request.token_id == market.yes.token_id
        self.book_side = request.side if self.yes else opposite(request.side)
        self.book_px_e6 = self.own_px_e6(request.px_e6)
        self.fills = 0
        self.filled_qty_e6 = 0
        self.notional_e12 = 0
        """Exact notional traded so far."""
        self.reserved_usd_e6 = 0
        self.reserved_qty_e6 = 0
        self.queue = queue
        """Place among the rest of the world."""

    @property
    def remaining_qty_e6(self) -> int:
        """Shares still wanted (a budget order may exceed its plan: then 0)."""
        return max(0, self.request.qty_e6 - self.filled_qty_e6)

    def own_px_e6(self, book_px_e6: int) -> int:
        """Return a price of the book in terms of this order's token, or the other way round."""
        return book_px_e6 if self.yes else E6 - book_px_e6

    def accepts(self, px_e6: int) -> bool:
        """Whether ``px_e6``, in terms of its token, is within the limit."""
        return px_e6 <= self.request.px_e6 if self.request.side is Side.BUY else px_e6 >= self.request.px_e6

    def usd_of_e6(self, notional_e12: int) -> int:
        """Return exact notional in millionths of a dollar: up for a buyer, down for a seller."""
        return -(-notional_e12 // E6) if self.request.side is Side.BUY else notional_e12 // E6

    def trade(self, qty_e6: int, notional_e12: int) -> int:
        """Count a trade and return its dollars without fee, in millionths."""
        before_usd_e6 = self.usd_of_e6(self.notional_e12)
        self.fills += 1
        self.filled_qty_e6 += qty_e6
        self.notional_e12 += notional_e12
        return self.usd_of_e6(self.notional_e12) - before_usd_e6

    def wanted_reservation(self) -> tuple[int, int]:
        """Return the dollars and shares that the rest of the order may still need.

        A purchase needs its notional and the bound of the fee, even if post-only (protocol sheet 3.7).
        """
        rest_e6 = self.remaining_qty_e6
        if self.request.side is Side.SELL:
            return 0, rest_e6
        if not rest_e6:
            return 0, 0
        usd_e6 = notional_up_e6(self.request.px_e6, rest_e6)
        return usd_e6 + taker_fee_bound_usd_e6(self.fee, rest_e6, usd_e6), 0

    def needed_on_arrival(self) -> tuple[int, int]:
        """Return the dollars and shares that the account must have available before the order is matched."""
        if self.request.side is Side.SELL:
            return 0, self.request.qty_e6
        px_e6, qty_e6 = self.request.px_e6, self.request.qty_e6
        usd_e6 = self.usd_of_e6(self.request.budget_e12)
        return usd_e6 + taker_fee_bound_usd_e6(self.fee, qty_e6, notional_up_e6(px_e6, qty_e6)), 0


def opposite(side: Side) -> Side:
    """Return the other side."""
    return Side.SELL if side is Side.BUY else Side.BUY
