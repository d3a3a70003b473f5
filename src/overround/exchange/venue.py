"""The simulated venue: carries out commands in place of the gateway, in paper mode and in backtests.

It is the exchange of one account seen through a connection: what we send arrives after the entry
latency and what the venue says comes back after the ack latency, each direction in order. Between two
instants nothing happens, so a driver asks :meth:`SimulatedVenue.next_due_ns` and advances.

How to drive it: before a market frame received at ``t`` is applied to the books, ``advance(t)`` (orders that
arrived earlier met the older book); after it was applied, ``observe(touched, trades, t)``. Time never runs
backward.

Invariants: facts come out in the order of their times; the same seed, world and commands give the same
facts. Knows no clock; ``now_ns`` is the time of the feed.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from overround.core.commands import (
    CancelAll,
    CancelOrders,
    Command,
    MoveBasket,
    Notify,
    PlanBasket,
    RequestSnapshot,
    StopRun,
    SubmitOrders,
)
from overround.core.events import (
    CancelRefused,
    Fact,
    Filled,
    OrderAccepted,
    OrderCanceled,
    OrderRefused,
    Settlement,
    SettlementChanged,
    Side,
    TradePrinted,
)
from overround.core.market import Market
from overround.exchange.exchange import Exchange, Placed, Trade
from overround.exchange.models import Latency, Random, SimulationConfig
from overround.exchange.orders import OrderRequest, Refusal
from overround.exchange.world import World

ACCOUNT = "simulated"
"""The only account of a simulated venue."""

CANCEL_NOT_FOUND = "order can't be found - already canceled or matched"
CANCEL_HELD = "order is in its delay window"


class _Arrives(msgspec.Struct, frozen=True):
    request: OrderRequest


class _Released(msgspec.Struct, frozen=True):
    request: OrderRequest


class _CancelArrives(msgspec.Struct, frozen=True):
    client_order_ids: tuple[str, ...] | None
    """``None`` cancels everything."""


class _Expires(msgspec.Struct, frozen=True):
    client_order_id: str


class _Settles(msgspec.Struct, frozen=True):
    trade_id: str
    status: Settlement
    tx_hash: str


class _Reported(msgspec.Struct, frozen=True):
    fact: Fact


_Due: TypeAlias = _Arrives | _Released | _CancelArrives | _Expires | _Settles | _Reported


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A resting order in a report."""

    client_order_id: str
    venue_order_id: str
    token_id: str
    side: Side
    px_e6: int
    qty_e6: int
    filled_qty_e6: int


class VenueReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says the account is, for reconciliation."""

    cash_usd_e6: int
    """Settled cash."""
    pending_usd_e6: int
    """Cash of matches not mined yet (signed); settled plus pending is what a ledger of matches shows."""
    reserved_usd_e6: int
    positions_e6: dict[str, int]
    """Settled shares by token."""
    pending_e6: dict[str, int]
    """Shares of matches that are not mined, by token (signed)."""
    open_orders: tuple[OpenOrder, ...]


class SimulatedVenue:
    """One account's venue, with latency in both directions."""

    def __init__(
        self,
        world: World,
        config: SimulationConfig,
        rng: Random,
        positions: Iterable[tuple[str, int]] = (),
    ) -> None:
        """Open the account with ``config.starting_cash_usd_e6`` and settled ``positions`` (token, shares)."""
        self.exchange = Exchange(world, config, rng)
        self._account = self.exchange.open_account(ACCOUNT, config.starting_cash_usd_e6, positions)
        self._config = config
        self._rng = rng
        self._due: list[tuple[int, int, _Due]] = []
        self._seq = 0
        self._last_sent_ns = 0
        self._last_reported_ns = 0
        self._held: set[str] = set()
        self._facts: list[tuple[int, Fact]] = []

    # --- what a driver calls ---------------------------------------------------------------------

    def submit(self, commands: Sequence[Command], now_ns: int) -> None:
        """Send commands; those that are not for a venue are ignored."""
        for command in commands:
            match command:
                case SubmitOrders(orders=orders):
                    arrival_ns = self._arrival_ns(self._config.entry, now_ns)
                    for intent in orders:
                        self._schedule(arrival_ns, _Arrives(OrderRequest.of(intent, ACCOUNT)))
                case CancelOrders(client_order_ids=client_order_ids):
                    self._schedule(
                        self._arrival_ns(self._config.cancel, now_ns), _CancelArrives(client_order_ids)
                    )
                case CancelAll():
                    self._schedule(self._arrival_ns(self._config.cancel, now_ns), _CancelArrives(None))
                case PlanBasket() | MoveBasket() | RequestSnapshot() | Notify() | StopRun():
                    pass

    def advance(self, now_ns: int) -> list[tuple[int, Fact]]:
        """Do all that is due up to ``now_ns`` against the world as it is; return the facts due, in order."""
        while self._due and self._due[0][0] <= now_ns:
            due_ns, _, what = heapq.heappop(self._due)
            self._do(what, due_ns)
        facts, self._facts = self._facts, []
        return facts

    def observe(self, touched_tokens: Iterable[str], trades: Iterable[TradePrinted], now_ns: int) -> None:
        """Let resting orders meet what a market frame has just changed; the facts come out of ``advance``."""
        for trade in self.exchange.observe(touched_tokens, trades, now_ns):
            self._report_trade(trade, now_ns)

    def next_due_ns(self) -> int | None:
        """Return when :meth:`advance` has something to do next, or ``None``."""
        return self._due[0][0] if self._due else None

    def resolve(self, market: Market, winner: str, now_ns: int) -> None:
        """Let a market pay out: its orders are cancelled and its shares redeemed."""
        for order in self.exchange.resolve(market, winner):
            client_order_id = order.request.client_order_id
            self._report(OrderCanceled(client_order_id, order.remaining_qty_e6, "market_resolved"), now_ns)

    def report(self) -> VenueReport:
        """Return balances, positions and open orders as the venue has them now."""
        pending = self._account.pending()
        return VenueReport(
            cash_usd_e6=self._account.cash_usd_e6,
            pending_usd_e6=pending.usd_e6,
            reserved_usd_e6=self._account.reserved_usd_e6,
            positions_e6=self._account.positions(),
            pending_e6={token_id: qty_e6 for token_id, qty_e6 in pending.shares if qty_e6},
            open_orders=tuple(
                OpenOrder(
                    client_order_id=order.request.client_order_id,
                    venue_order_id=order.venue_order_id,
                    token_id=order.request.token_id,
                    side=order.request.side,
                    px_e6=order.request.px_e6,
                    qty_e6=order.request.qty_e6,
                    filled_qty_e6=order.filled_qty_e6,
                )
                for order in self.exchange.open_orders(ACCOUNT)
            ),
        )

    # --- time ------------------------------------------------------------------------------------

    def _arrival_ns(self, latency: Latency, now_ns: int) -> int:
        # One connection: a later message does not overtake an earlier one.
        self._last_sent_ns = max(self._last_sent_ns, now_ns + latency.draw(self._rng))
        return self._last_sent_ns

    def _schedule(self, due_ns: int, what: _Due) -> None:
        self._seq += 1
        heapq.heappush(self._due, (due_ns, self._seq, what))

    def _report(self, fact: Fact, now_ns: int) -> None:
        self._last_reported_ns = max(self._last_reported_ns, now_ns + self._config.ack.draw(self._rng))
        self._schedule(self._last_reported_ns, _Reported(fact))

    def _do(self, what: _Due, now_ns: int) -> None:
        match what:
            case _Arrives(request):
                self._arrive(request, now_ns)
            case _Released(request):
                self._held.discard(request.client_order_id)
                self._place(request, now_ns)
            case _CancelArrives(client_order_ids):
                self._cancel(client_order_ids, now_ns)
            case _Expires(client_order_id):
                if (order := self.exchange.cancel(ACCOUNT, client_order_id)) is not None:
                    self._report(OrderCanceled(client_order_id, order.remaining_qty_e6, "expired"), now_ns)
            case _Settles(trade_id, status, tx_hash):
                for leg in self.exchange.settle(trade_id, status).legs:
                    self._report(SettlementChanged(leg.trade_id, status, tx_hash), now_ns)
            case _Reported(fact):
                self._facts.append((now_ns, fact))

    # --- orders ----------------------------------------------------------------------------------

    def _arrive(self, request: OrderRequest, now_ns: int) -> None:
        hold_ns = self.exchange.hold_ns(request, now_ns)
        if not hold_ns:
            self._place(request, now_ns)
            return
        self._held.add(request.client_order_id)
        self._schedule(now_ns + hold_ns, _Released(request))
        if hold_ns > self._config.taker_delay_ns:  # the short hold only makes the answer later
            self._report(OrderAccepted(request.client_order_id, "", "delayed"), now_ns)

    def _place(self, request: OrderRequest, now_ns: int) -> None:
        client_order_id = request.client_order_id
        outcome = self.exchange.place(request, now_ns)
        match outcome:
            case Refusal(reason, text):
                self._report(OrderRefused(client_order_id, reason, text), now_ns)
            case Placed(order, trade, resting, killed_qty_e6):
                status: Literal["live", "matched"] = "live" if trade is None else "matched"
                self._report(OrderAccepted(client_order_id, order.venue_order_id, status), now_ns)
                if trade is not None:
                    self._report_trade(trade, now_ns)
                if killed_qty_e6:
                    self._report(OrderCanceled(client_order_id, killed_qty_e6, "fak_remainder"), now_ns)
                expires_ns = self.exchange.expires_ns(order) if resting else None
                if expires_ns is not None:
                    self._schedule(expires_ns, _Expires(client_order_id))

    def _cancel(self, client_order_ids: tuple[str, ...] | None, now_ns: int) -> None:
        if client_order_ids is None:
            open_orders = self.exchange.open_orders(ACCOUNT)
            client_order_ids = tuple(order.request.client_order_id for order in open_orders)
        for client_order_id in client_order_ids:
            order = self.exchange.cancel(ACCOUNT, client_order_id)
            if order is not None:
                self._report(OrderCanceled(client_order_id, order.remaining_qty_e6), now_ns)
            else:
                text = CANCEL_HELD if client_order_id in self._held else CANCEL_NOT_FOUND
                self._report(CancelRefused(client_order_id, text), now_ns)

    def _report_trade(self, trade: Trade, now_ns: int) -> None:
        for leg in trade.legs:
            self._report(
                Filled(
                    trade_id=leg.trade_id,
                    client_order_id=leg.client_order_id,
                    px_e6=leg.px_e6,
                    qty_e6=leg.qty_e6,
                    usd_e6=leg.usd_e6,
                    fee_usd_e6=leg.fee_usd_e6,
                    liquidity=leg.liquidity,
                ),
                now_ns,
            )
        for step in trade.steps:
            self._schedule(step.due_ns, _Settles(trade.trade_id, step.status, step.tx_hash))
