"""Markets, books and orders for the core's tests."""

from typing import Any

from overround.core.books import Books
from overround.core.commands import OrderIntent, TimeInForce
from overround.core.events import Filled, Liquidity, Settlement, Side
from overround.core.exposure import AccountExposure
from overround.core.market import FeeSchedule, Market, Token
from overround.core.orders import Orders
from overround.core.portfolio import Portfolio
from overround.core.risk import RiskLimits
from overround.core.strategy import Basket, Leg
from overround.core.units import E6
from overround.core.universe import Universe

CENT = 10_000
SECOND = 1_000_000_000
STREAM, GENERATION = 1, 1
FEE_4 = FeeSchedule(rate_e6=40_000, rebate_e6=250_000)

Levels = dict[int, int]


def market(name: str = "m", /, **changes: Any) -> Market:
    """Return a tradable one-cent market whose tokens are ``<name>-yes`` and ``<name>-no``."""
    fields: dict[str, Any] = {
        "condition_id": name,
        "yes": Token(f"{name}-yes", "Yes"),
        "no": Token(f"{name}-no", "No"),
        "slug": name,
        "question": f"{name}?",
        "tick_e6": CENT,
        "min_size_e6": 5 * E6,
        "neg_risk": False,
        "active": True,
        "closed": False,
        "accepting_orders": True,
        "as_of_ms": 1,
        "fee": FEE_4,
        "rule_hash": "rules",
    }
    return Market(**(fields | changes))


def mirrored(bids: Levels, asks: Levels) -> tuple[Levels, Levels]:
    """Return the other token's bids and asks."""
    return {E6 - px: qty for px, qty in asks.items()}, {E6 - px: qty for px, qty in bids.items()}


def set_book(books: Books, of: Market, bids: Levels, asks: Levels, ts_ms: int = 1) -> None:
    """Apply a snapshot of the YES book, and its mirror image to the NO book."""
    yes, no = of.token_ids()
    ts_ns = ts_ms * 1_000_000
    other_bids, other_asks = mirrored(bids, asks)
    assert books.apply_snapshot(yes, dict(bids), dict(asks), ts_ms, ts_ns, STREAM, GENERATION)
    assert books.apply_snapshot(no, other_bids, other_asks, ts_ms, ts_ns, STREAM, GENERATION)


def live_books(*markets: Market, bids: Levels | None = None, asks: Levels | None = None) -> Books:
    """Return live books of 1,000 shares at 0.40 and 0.60 for every market."""
    books = Books()
    for each in markets:
        books.track(each, 0)
    books.stream_up(STREAM, GENERATION, [token for each in markets for token in each.token_ids()], 0)
    for each in markets:
        set_book(books, each, bids or {400_000: 1_000 * E6}, asks or {600_000: 1_000 * E6})
    return books


def intent(client_order_id: str = "o1", token_id: str = "m-yes", /, **changes: Any) -> OrderIntent:
    """Return a post-only purchase of 10 shares at 0.50."""
    fields: dict[str, Any] = {
        "client_order_id": client_order_id,
        "plan_id": "plan",
        "strategy": "s",
        "condition_id": token_id.partition("-")[0],
        "token_id": token_id,
        "side": Side.BUY,
        "px_e6": 500_000,
        "qty_e6": 10 * E6,
        "time_in_force": TimeInForce.GTC,
        "post_only": True,
        "scope": token_id.partition("-")[0],
    }
    return OrderIntent(**(fields | changes))


def fill(
    order: OrderIntent, trade_id: str, qty_e6: int, usd_e6: int | None = None, fee_e6: int = 0
) -> Filled:
    """Return a fill of ``order`` at its own price, or for ``usd_e6``."""
    usd = order.px_e6 * qty_e6 // E6 if usd_e6 is None else usd_e6
    return Filled(trade_id, order.client_order_id, order.px_e6, qty_e6, usd, fee_e6, Liquidity.MAKER)


class Account:
    """Everything below execution, with cash, an open gate and live books."""

    def __init__(self, *markets: Market, cash_e6: int = 1_000 * E6, limits: RiskLimits | None = None) -> None:
        known = markets or (market(),)
        self.universe = Universe()
        for each in known:
            self.universe.list_market(each)
        self.books = live_books(*known)
        self.orders = Orders()
        self.portfolio = Portfolio()
        self.portfolio.deposit(cash_e6)
        self.exposure = AccountExposure(
            limits or RiskLimits(), self.universe, self.books, self.orders, self.portfolio
        )
        self.exposure.gate_open = True

    def give(self, token_id: str, qty_e6: int, strategy: str = "s", usd_e6: int = 0) -> None:
        """Let a strategy own settled shares, paid with ``usd_e6``."""
        source = intent(f"gift-{token_id}-{qty_e6}", token_id, strategy=strategy)
        trade_id = f"gift-{strategy}-{token_id}-{qty_e6}"
        self.portfolio.fill(source, fill(source, trade_id, qty_e6, usd_e6))
        self.portfolio.settle(trade_id, Settlement.CONFIRMED)


def gt5_basket(key: str = "gt5") -> Basket:
    """Return GT-2's plan of 200 shares (strategy-spec 2.9): legs A, B and C of one event."""
    limits = {"a": 500_000, "b": 320_000, "c": 150_000}
    legs = tuple(Leg(name, f"{name}-yes", Side.BUY, px, 200 * E6) for name, px in limits.items())
    return Basket(key, legs, 191 * E6, 4_715_800, 4_284_200, 12_342_200, (("A", 200 * E6),))


GT5_BOOKS: dict[str, tuple[Levels, Levels]] = {
    "a": ({490_000: 500 * E6}, {500_000: 200 * E6, 510_000: 300 * E6}),
    "b": ({290_000: 500 * E6}, {300_000: 150 * E6, 320_000: 500 * E6}),
    "c": ({140_000: 500 * E6}, {158_000: 400 * E6}),
}
"""GT-5's books once leg C's best level is gone: bids of A and B, and what is left of C's asks."""
