"""What the account is committed to at this moment: the state behind every risk check.

Invariants: the reservation of an order is what it may still cost (a purchase: notional and fee of the
remainder; a sale: the remaining shares); it exists exactly while the order is open, UNKNOWN included; its
price is fixed when the order is made, whatever the market's fee becomes later.
"""

from collections.abc import Sequence

import msgspec

from overround.core.books import Books
from overround.core.events import Side
from overround.core.market import Market
from overround.core.orders import Order, Orders
from overround.core.portfolio import Portfolio
from overround.core.risk import RiskLimits, order_cost_usd_e6
from overround.core.strategy import BookView
from overround.core.units import E6
from overround.core.universe import Universe


class Reservation(msgspec.Struct):
    """What one open order may still take, in millionths of a dollar or of a share."""

    token_id: str
    strategy: str
    whole_usd_e6: int
    """What the whole order may cost; 0 for a sale."""
    usd_e6: int = 0
    qty_e6: int = 0


class AccountExposure:
    """Implements :class:`overround.core.risk.Exposure` over the engine's state."""

    def __init__(
        self, limits: RiskLimits, universe: Universe, books: Books, orders: Orders, portfolio: Portfolio
    ) -> None:
        self.limits = limits
        self.gate_open = False
        self._universe = universe
        self._books = books
        self._orders = orders
        self._portfolio = portfolio
        self._reservations: dict[str, Reservation] = {}
        self._reserved_usd_e6 = 0

    # --- reservations ----------------------------------------------------------------------------

    def note(self, order: Order) -> None:
        """Bring the reservation of ``order`` up to date after it was made, moved or filled.

        Raises ``ValueError`` for a new order in an unknown market, or a purchase whose fee is unknown.
        """
        if not order.open:
            self.forget(order)
            return
        reservation = self._reservations.get(order.client_order_id)
        if reservation is None:
            market = self._universe.market_of(order.token_id)
            if market is None:
                raise ValueError(f"order {order.client_order_id} is for unknown token {order.token_id}")
            whole_usd_e6 = order_cost_usd_e6(order.intent, market)
            reservation = Reservation(order.token_id, order.intent.strategy, whole_usd_e6)
            self._reservations[order.client_order_id] = reservation
        rest_e6, qty_e6 = order.remaining_qty_e6, order.intent.qty_e6
        usd_e6 = -(-reservation.whole_usd_e6 * rest_e6 // qty_e6)
        self._reserved_usd_e6 += usd_e6 - reservation.usd_e6
        reservation.usd_e6 = usd_e6
        reservation.qty_e6 = rest_e6 if order.side is Side.SELL else 0

    def forget(self, order: Order) -> None:
        """Drop the reservation of an order that is closed or was never sent."""
        reservation = self._reservations.pop(order.client_order_id, None)
        if reservation is not None:
            self._reserved_usd_e6 -= reservation.usd_e6

    def reserved_usd_e6(self) -> int:
        """Return the cash promised to open purchases, in millionths of a dollar."""
        return self._reserved_usd_e6

    # --- what risk asks --------------------------------------------------------------------------

    def market_of(self, token_id: str) -> Market | None:
        """Return the market of a token, or ``None`` if it is unknown."""
        return self._universe.market_of(token_id)

    def rules_accepted(self, market: Market) -> bool:
        """Whether the texts that decide the market's resolution are the accepted ones."""
        return self._universe.market_rules_accepted(market.condition_id)

    def book(self, token_id: str) -> BookView | None:
        """Return the token's book, or ``None`` if it is not tracked."""
        return self._books.get(token_id)

    def open_orders_on(self, market: Market) -> Sequence[Order]:
        """Return all our orders on the market's two tokens that may still trade."""
        return [order for token_id in market.token_ids() for order in self._orders.open_on_token(token_id)]

    def open_order_count(self) -> int:
        """Return how many of our orders may still trade."""
        return self._orders.open_count()

    def free_cash_e6(self) -> int:
        """Return the dollars not promised to open purchases, in millionths."""
        return self._portfolio.cash_e6() - self._reserved_usd_e6

    def free_shares_e6(self, strategy: str, token_id: str) -> int:
        """Return the strategy's shares not promised to its open sales, in millionths."""
        promised = sum(
            self._reservations[order.client_order_id].qty_e6
            for order in self._orders.open_on(strategy, token_id)
        )
        return self._portfolio.settled_e6(strategy, token_id) - promised

    def unconfirmed_e6(self, strategy: str, token_id: str) -> int:
        """Return the strategy's purchased shares that are not confirmed yet, in millionths."""
        portfolio = self._portfolio
        return portfolio.position_e6(strategy, token_id) - portfolio.settled_e6(strategy, token_id)

    def market_usd_e6(self, market: Market) -> int:
        """Return the value held in one market plus its open purchases, in millionths of a dollar."""
        held = sum(
            self._value_e6(market, token_id, self._portfolio.holding_e6(token_id))
            for token_id in market.token_ids()
        )
        return held + sum(
            self._reservations[order.client_order_id].usd_e6 for order in self.open_orders_on(market)
        )

    def total_usd_e6(self) -> int:
        """Return the same over all markets, in millionths of a dollar."""
        held = sum(
            self._value_e6(self._universe.market_of(token_id), token_id, qty_e6)
            for token_id, qty_e6 in self._portfolio.holdings()
        )
        return held + self._reserved_usd_e6

    def _value_e6(self, market: Market | None, token_id: str, qty_e6: int) -> int:
        """Value at the bid. Without a live book a share counts as a whole dollar, never as nothing.

        A resolved market has no risk left: nothing it holds can be lost any more.
        """
        if qty_e6 <= 0 or (market is not None and market.winner is not None):
            return 0
        book = self._books.get(token_id)
        if book is None or not book.live:
            return qty_e6
        return qty_e6 * book.best_bid_px_e6 // E6
