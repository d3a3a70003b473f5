"""What the account is committed to at this moment: the state behind every risk check.

Invariants: the reservation of an order is what it may still cost (a purchase: notional and largest fee of
the remainder; a sale: the remaining shares), it exists exactly while the order is open, UNKNOWN included.
"""

from collections.abc import Sequence

from overround.core.books import Books
from overround.core.events import Side
from overround.core.market import Market
from overround.core.orders import Order, Orders
from overround.core.portfolio import Portfolio
from overround.core.risk import RiskLimits, order_cost_usd_e6
from overround.core.strategy import BookView
from overround.core.units import E6
from overround.core.universe import Universe


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
        self._reserved_usd: dict[str, int] = {}
        self._reserved_shares: dict[str, tuple[str, str, int]] = {}
        self._reserved_total_e6 = 0

    def note(self, order: Order) -> None:
        """Bring the reservation of ``order`` up to date after it was made, moved or filled."""
        self.forget(order)
        key = order.client_order_id
        if not order.open or not order.remaining_qty_e6:
            return
        if order.side is Side.SELL:
            self._reserved_shares[key] = (order.intent.strategy, order.token_id, order.remaining_qty_e6)
            return
        market = self._universe.markets[order.intent.condition_id]
        whole_e6 = order_cost_usd_e6(order.intent, market)
        usd_e6 = -(-whole_e6 * order.remaining_qty_e6 // order.intent.qty_e6)
        self._reserved_usd[key] = usd_e6
        self._reserved_total_e6 += usd_e6

    def forget(self, order: Order) -> None:
        """Drop the reservation of an order that was never sent."""
        key = order.client_order_id
        self._reserved_total_e6 -= self._reserved_usd.pop(key, 0)
        self._reserved_shares.pop(key, None)

    def market_of(self, token_id: str) -> Market | None:
        return self._universe.market_of(token_id)

    def rules_accepted(self, market: Market) -> bool:
        """Whether the rules of the market's event are accepted; a market without an event has none to change."""
        return market.event_id is None or self._universe.rules_accepted(market.event_id)

    def book(self, token_id: str) -> BookView | None:
        return self._books.get(token_id)

    def open_orders_on(self, market: Market) -> Sequence[Order]:
        tokens = market.token_ids()
        return [order for order in self._orders.open_orders() if order.token_id in tokens]

    def open_order_count(self) -> int:
        return self._orders.open_count()

    def reserved_usd_e6(self) -> int:
        """Return the cash promised to open purchases."""
        return self._reserved_total_e6

    def free_cash_e6(self) -> int:
        return self._portfolio.cash_e6() - self._reserved_total_e6

    def free_shares_e6(self, strategy: str, token_id: str) -> int:
        promised = sum(
            qty_e6
            for owner, token, qty_e6 in self._reserved_shares.values()
            if owner == strategy and token == token_id
        )
        return self._portfolio.position_e6(strategy, token_id) - promised

    def market_usd_e6(self, market: Market) -> int:
        tokens = market.token_ids()
        held = sum(self._value_e6(token_id, self._portfolio.holding_e6(token_id)) for token_id in tokens)
        return held + sum(
            usd_e6 for key, usd_e6 in self._reserved_usd.items() if self._token_of(key) in tokens
        )

    def total_usd_e6(self) -> int:
        held = sum(
            self._value_e6(token_id, qty_e6) for (_, token_id), qty_e6 in self._portfolio.positions().items()
        )
        return held + self._reserved_total_e6

    def _token_of(self, client_order_id: str) -> str | None:
        order = self._orders.get(client_order_id)
        return None if order is None else order.token_id

    def _value_e6(self, token_id: str, qty_e6: int) -> int:
        """Value at the bid; a token without a book counts whole (a dollar a share), never as nothing."""
        book = self._books.get(token_id)
        if book is None or not book.live:
            return max(0, qty_e6)
        return max(0, qty_e6) * book.best_bid_px_e6 // E6
