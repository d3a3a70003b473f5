"""What one strategy sees: the engine's state, read-only, with its own positions and orders.

Implements :class:`overround.core.strategy.View`. It holds no state but the moment it stands for.
"""

from collections.abc import Callable, Mapping, Sequence

from overround.core.books import Books
from overround.core.exposure import AccountExposure
from overround.core.market import Market, MarketEvent
from overround.core.orders import Orders
from overround.core.portfolio import Portfolio
from overround.core.strategy import BookView, OwnOrder
from overround.core.universe import Universe


class StrategyView:
    """The view of the strategy named ``strategy``; the engine sets ``seq`` and ``ts_ns`` before each use."""

    def __init__(
        self,
        strategy: str,
        books: Books,
        heard_ns: Mapping[int, int],
        universe: Universe,
        orders: Orders,
        portfolio: Portfolio,
        exposure: AccountExposure,
    ) -> None:
        self.seq = 0
        self.ts_ns = 0
        self.book: Callable[[str], BookView | None] = books.by_token.get
        """Return the book of a token, or ``None`` when it is not tracked: the question asked most."""
        self.market: Callable[[str], Market | None] = universe.markets.get
        """Return the market of a condition id as now known, or ``None`` if it was never listed."""
        self._strategy = strategy
        self._books = books
        self._heard_ns = heard_ns
        self._universe = universe
        self._orders = orders
        self._portfolio = portfolio
        self._exposure = exposure

    def heard_ts_ns(self, token_id: str) -> int:
        """Return when the connection that feeds a token's book was last heard (ns), 0 if it never was."""
        book = self._books.get(token_id)
        return 0 if book is None else self._heard_ns.get(book.stream, 0)

    def event(self, event_id: str) -> MarketEvent | None:
        """Return the event as now known, or ``None`` if it was never listed."""
        return self._universe.events.get(event_id)

    def rules_accepted(self, event_id: str) -> bool:
        """Whether the event's resolution texts are the ones that were first seen or acknowledged."""
        return self._universe.rules_accepted(event_id)

    @property
    def account_revision(self) -> int:
        """Another number whenever orders or shares may have changed: what spares asking for each of them."""
        return self._orders.revision + self._portfolio.revision

    def position_e6(self, token_id: str) -> int:
        """Return the deciding strategy's shares in millionths, matched trades included."""
        return self._portfolio.position_e6(self._strategy, token_id)

    def settled_e6(self, token_id: str) -> int:
        """Return the millionths of a share that can be sold now: without unconfirmed purchases."""
        return self._portfolio.settled_e6(self._strategy, token_id)

    def free_cash_e6(self) -> int:
        """Return cash less everything reserved for open orders, in millionths of a dollar."""
        return self._exposure.free_cash_e6()

    def own_orders(self, token_id: str) -> Sequence[OwnOrder]:
        """Return the deciding strategy's orders on a token that may still trade."""
        return self._orders.open_on(self._strategy, token_id)
