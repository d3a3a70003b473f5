"""What a strategy is: a pure function from a read-only view to wishes.

A strategy looks after *scopes* (a market's condition id, or an event's id). At the end of a batch the
engine calls :meth:`Strategy.decide` once for every scope whose books, orders or clock moved. The answer
replaces all earlier wishes of that scope: what is no longer wished for is cancelled. Strategies never
see commands, venues or each other; whether a wish becomes an order is decided by risk and execution.

Theory: wishes are states ("I want this resting"), not actions. Execution computes *wish minus reality*,
so a lost message, a restart or a refused order needs no code in any strategy.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from overround.core.events import Fact, Side
from overround.core.market import Market, MarketEvent


class BookView(Protocol):
    """One token's book as strategies may see it. Prices and sizes in millionths; best level first."""

    @property
    def token_id(self) -> str:
        """The outcome token's decimal position id."""
        ...

    @property
    def live(self) -> bool:
        """Whether the book is known to be true."""
        ...

    @property
    def generation(self) -> int:
        """Number of the connection that writes the book."""
        ...

    @property
    def epoch(self) -> int:
        """How often the tick size has changed."""
        ...

    @property
    def snapshot_seq(self) -> int:
        """How many snapshots were applied, 0 if there was none."""
        ...

    @property
    def exchange_ts_ms(self) -> int:
        """Exchange time of the last change, 0 if there was none."""
        ...

    @property
    def recv_ts_ns(self) -> int:
        """Receive time of the last change, 0 if there was none."""
        ...

    @property
    def best_bid_px_e6(self) -> int:
        """0 when there is no bid."""
        ...

    @property
    def best_ask_px_e6(self) -> int:
        """1,000,000 when there is no ask."""
        ...

    @property
    def bids(self) -> Mapping[int, int]:
        """Quantity by price, both in millionths; unordered."""
        ...

    @property
    def asks(self) -> Mapping[int, int]:
        """Quantity by price, both in millionths; unordered."""
        ...

    def levels(self, side: Side, depth: int | None = None) -> list[tuple[int, int]]:
        """Return (price, quantity) of the bids (``BUY``) or asks (``SELL``), best first."""
        ...


class OwnOrder(Protocol):
    """One of our orders that may still trade."""

    @property
    def client_order_id(self) -> str:
        """Our own id of the order, computed from its plan."""
        ...

    @property
    def token_id(self) -> str:
        """The token bought or sold."""
        ...

    @property
    def side(self) -> Side:
        """Whether it buys or sells."""
        ...

    @property
    def px_e6(self) -> int:
        """Limit price in millionths of a dollar per share."""
        ...

    @property
    def remaining_qty_e6(self) -> int:
        """Millionths of a share that may still trade."""
        ...

    @property
    def created_ts_ns(self) -> int:
        """When the order was decided, in nanoseconds."""
        ...


class View(Protocol):
    """Everything a strategy may know, at one moment, in one order of inputs."""

    @property
    def seq(self) -> int:
        """Sequence number of the present batch border."""
        ...

    @property
    def ts_ns(self) -> int:
        """Receive time of the newest input, in nanoseconds: the only clock."""
        ...

    def book(self, token_id: str, /) -> BookView | None:
        """Return the book, or ``None`` when the token is not tracked."""
        ...

    def heard_ts_ns(self, token_id: str) -> int:
        """Return when the connection that feeds a token's book was last heard (ns), 0 if it never was."""
        ...

    def market(self, condition_id: str, /) -> Market | None:
        """Return the market as now known, or ``None`` if it was never listed."""
        ...

    def event(self, event_id: str) -> MarketEvent | None:
        """Return the event as now known, or ``None`` if it was never listed."""
        ...

    def rules_accepted(self, event_id: str) -> bool:
        """Whether the event's resolution texts are the ones that were first seen or acknowledged."""
        ...

    @property
    def account_revision(self) -> int:
        """Another number whenever orders or shares may have changed: what spares asking for each of them."""
        ...

    def position_e6(self, token_id: str, /) -> int:
        """Return the deciding strategy's shares in millionths, matched trades included."""
        ...

    def settled_e6(self, token_id: str, /) -> int:
        """Return the millionths of a share that can be sold now: without unconfirmed purchases."""
        ...

    def free_cash_e6(self) -> int:
        """Return cash less everything reserved for open orders, in millionths of a dollar."""
        ...

    def own_orders(self, token_id: str, /) -> Sequence[OwnOrder]:
        """Return the deciding strategy's orders on a token that may still trade."""
        ...


# --- wishes --------------------------------------------------------------------------------------


class Quote(msgspec.Struct, frozen=True):
    """I want this resting, post-only."""

    token_id: str
    side: Side
    px_e6: int
    qty_e6: int


class Leg(msgspec.Struct, frozen=True):
    """One order of a basket: take up to the limit price, whole or not at all."""

    condition_id: str
    token_id: str
    side: Side
    limit_px_e6: int
    qty_e6: int
    budget_usd_e6: int | None = None
    """What a purchase may spend, whole cents; ``None`` means limit times quantity."""


class Basket(msgspec.Struct, frozen=True):
    """I want this whole: every leg or none.

    ``key`` names the opportunity; the same key is never executed twice. ``profit_usd_e6`` is guaranteed
    when all legs fill at their limits' plan; ``loss_bound_usd_e6`` is what an incomplete basket may cost.
    """

    key: str
    legs: tuple[Leg, ...]
    cost_usd_e6: int
    fees_usd_e6: int
    profit_usd_e6: int
    loss_bound_usd_e6: int
    certificate: tuple[tuple[str, int], ...] = ()
    """Payoff in millionths of a dollar for every state in which the event can end."""


class ChurnLimits(msgspec.Struct, frozen=True):
    """How often quotes may be replaced. A quote that is no longer wanted at all is always cancelled."""

    min_change_e6: int = 0
    """Smallest price move that justifies a replacement."""
    min_lifetime_ns: int = 0
    min_requote_interval_ns: int = 0
    replace_window_ns: int = 0
    max_replaces_per_window: int = 0
    """Per token and side; 0 means no limit."""
    max_cancels_per_minute: int = 0
    """Per scope; 0 means no limit."""


NO_CHURN_LIMITS: Final = ChurnLimits()


class Finding(msgspec.Struct, frozen=True):
    """What a strategy saw in a scope and why it does, or does not, act: one rung of the funnel."""

    reason: str
    """Bounded, machine-readable: executable_now, sub_fee, not_live, …"""
    edge_usd_e6: int = 0
    size_e6: int = 0
    detail: str = ""


class Found(msgspec.Struct):
    """How often a strategy found something in a scope, and the latest instance."""

    latest: Finding
    count: int
    ts_ns: int


class Decision(msgspec.Struct, frozen=True):
    """All wishes of one strategy for one scope; replaces the ones before."""

    quotes: tuple[Quote, ...] = ()
    baskets: tuple[Basket, ...] = ()
    churn: ChurnLimits = NO_CHURN_LIMITS
    recheck_ts_ns: int | None = None
    """When to ask again even if nothing moves (a lifetime or a staleness limit runs out)."""
    findings: tuple[Finding, ...] = ()


class Strategy(Protocol):
    """One way to trade. Instances are configured once and hold only soft state (estimators)."""

    @property
    def name(self) -> str:
        """Short identifier, unique among the running strategies."""
        ...

    def scopes(
        self, markets: Mapping[str, Market], events: Mapping[str, MarketEvent]
    ) -> Mapping[str, Sequence[str]]:
        """Return the scopes to look after, each with the token ids whose books matter to it.

        Called whenever metadata changes; must depend on its arguments and the configuration alone.
        """
        ...

    def decide(self, view: View, scope: str) -> Decision | None:
        """Return the wishes for ``scope``, or ``None`` when they are the same as after the last call."""
        ...

    def observe(self, fact: Fact, ts_ns: int) -> None:
        """Learn from a trade, a fill or a metadata change (estimators). Must not fail on unknown facts."""
        ...
