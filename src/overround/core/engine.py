"""The engine: a pure fold of inputs into state and commands.

Inputs are raw frames (:meth:`Engine.ingest`) and facts (:meth:`Engine.on_fact`), each with its place in
the one order of inputs and its receive time, the only clock. At the end of a batch :meth:`Engine.decide`
asks the strategies whose scopes moved for their wishes and returns commands. Recovery folds a journal:
facts through the same handlers, commands through :meth:`Engine.apply`.

Invariants: one handler per fact type, an unknown type is a bug; no order leaves while the gate is closed
(before reconciliation, while paused), though strategies are asked all the time; the same inputs give the same commands, byte for byte, in
any process. It must not know venues, wire formats, files or clocks.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Protocol

import msgspec

from overround.core import events as ev
from overround.core.books import Books
from overround.core.commands import CancelOrders, Command, RequestSnapshot
from overround.core.execution import Execution, Scope
from overround.core.exposure import AccountExposure
from overround.core.market import Market, MarketEvent
from overround.core.orders import Order, Orders, Trigger
from overround.core.portfolio import Portfolio
from overround.core.risk import RiskLimits
from overround.core.strategy import BookView, Decision, Finding, OwnOrder, Strategy
from overround.core.universe import Universe

SNAPSHOT_INTERVAL_NS = 1_000_000_000
"""A book's snapshot is asked for at most this often."""


class FrameDecoder(Protocol):
    """Applies a raw frame to the books and returns its rare consequences."""

    def ingest(self, frame: bytes, ts_ns: int, stream: int, generation: int) -> list[ev.Fact] | None: ...


class StrategyView:
    """What one strategy sees; implements :class:`overround.core.strategy.View`."""

    def __init__(self, engine: "Engine", strategy: str) -> None:
        self._engine = engine
        self._strategy = strategy
        self.seq = 0
        self.ts_ns = 0

    def book(self, token_id: str) -> BookView | None:
        return self._engine.books.get(token_id)

    def market(self, condition_id: str) -> Market | None:
        return self._engine.universe.markets.get(condition_id)

    def event(self, event_id: str) -> MarketEvent | None:
        return self._engine.universe.events.get(event_id)

    def rules_accepted(self, event_id: str) -> bool:
        return self._engine.universe.rules_accepted(event_id)

    def position_e6(self, token_id: str) -> int:
        return self._engine.portfolio.position_e6(self._strategy, token_id)

    def free_cash_e6(self) -> int:
        return self._engine.exposure.free_cash_e6()

    def own_orders(self, token_id: str) -> Sequence[OwnOrder]:
        return self._engine.orders.open_on(self._strategy, token_id)


class Seen(msgspec.Struct):
    """The latest finding of a strategy in a scope."""

    finding: Finding
    ts_ns: int


class Engine:
    """State, handlers and the decision at the end of a batch."""

    def __init__(
        self,
        strategies: Sequence[Strategy],
        decoder: Callable[[Books], FrameDecoder],
        limits: RiskLimits,
        books: Books | None = None,
    ) -> None:
        self.books = books if books is not None else Books()
        self.universe = Universe()
        self.orders = Orders()
        self.portfolio = Portfolio()
        self.exposure = AccountExposure(limits, self.universe, self.books, self.orders, self.portfolio)
        self.execution = Execution(self.orders, self.exposure)
        self.findings: Counter[tuple[str, str]] = Counter()
        """How often each (strategy, reason) was found."""
        self.last_finding: dict[Scope, Seen] = {}
        self._decoder = decoder(self.books)
        self._strategies = {strategy.name: strategy for strategy in strategies}
        self._views = {name: StrategyView(self, name) for name in self._strategies}
        self._routes: dict[str, tuple[Scope, ...]] = {}
        self._scopes: dict[Scope, None] = {}
        self._due: dict[Scope, None] = {}
        self._recheck_ns: dict[Scope, int] = {}
        self._routes_stale = False
        self._reconciled = False
        self._paused = False
        self._suspects: dict[str, str] = {}
        self._snapshot_asked_ns: dict[str, int] = {}
        self._cancel_all_reason: str | None = None
        self._commands = sha256()
        self.command_count = 0
        self._handlers: dict[type, Callable[[ev.Fact, int], None]] = self._handler_table()

    # --- inputs ----------------------------------------------------------------------------------

    def ingest(self, frame: bytes, ts_ns: int, stream: int, generation: int) -> list[ev.Fact] | None:
        """Apply a raw frame; return its rare consequences, already handled, or ``None``."""
        facts = self._decoder.ingest(frame, ts_ns, stream, generation)
        if facts:
            for fact in facts:
                self.on_fact(fact, ts_ns)
        return facts

    def on_fact(self, fact: ev.Fact, ts_ns: int) -> None:
        """Apply a fact. Raises ``KeyError`` for a fact type without a handler: a bug."""
        self._handlers[type(fact)](fact, ts_ns)
        for strategy in self._strategies.values():
            strategy.observe(fact, ts_ns)

    # --- decision --------------------------------------------------------------------------------

    def decide(self, seq: int, ts_ns: int) -> list[Command]:
        """Return the commands that follow from everything since the last call."""
        if self._routes_stale:
            self._reroute()
        due, self._due = self._due, {}
        routes = self._routes
        for token_id in self.books.touched:
            for scope in routes.get(token_id, ()):
                due[scope] = None
        self.books.clear_touched()
        commands = self._snapshot_requests(ts_ns)
        if self._cancel_all_reason is not None:
            for command in self._cancel_all(self._cancel_all_reason):
                self.execution.apply(command, ts_ns)
                commands.append(command)
            self._cancel_all_reason = None
        for scope in due:
            self._ask(scope, seq, ts_ns)
        if due:
            commands += self.execution.diff(due, seq, ts_ns)
        for command in commands:
            self._commands.update(msgspec.json.encode(command))
        self.command_count += len(commands)
        return commands

    def apply(self, command: Command, ts_ns: int) -> None:
        """Fold a journaled command into the state, without deciding anything."""
        self.execution.apply(command, ts_ns)

    def _ask(self, scope: Scope, seq: int, ts_ns: int) -> None:
        name, scope_id = scope
        view = self._views[name]
        view.seq, view.ts_ns = seq, ts_ns
        decision = self._strategies[name].decide(view, scope_id)
        if decision is None:
            return
        for finding in decision.findings:
            self.findings[(name, finding.reason)] += 1
            self.last_finding[scope] = Seen(finding, ts_ns)
        self.execution.wish(scope, decision)
        self._recheck(scope, decision.recheck_ts_ns)
        self._recheck(scope, self.execution.next_change_ns(scope, ts_ns))

    def _recheck(self, scope: Scope, ts_ns: int | None) -> None:
        if ts_ns is not None:
            known = self._recheck_ns.get(scope)
            self._recheck_ns[scope] = ts_ns if known is None else min(known, ts_ns)

    def _snapshot_requests(self, ts_ns: int) -> list[Command]:
        asked: dict[str, list[str]] = {}
        for token_id, witness in self._suspects.items():
            last = self._snapshot_asked_ns.get(token_id)
            if last is None or ts_ns - last >= SNAPSHOT_INTERVAL_NS:
                self._snapshot_asked_ns[token_id] = ts_ns
                asked.setdefault(witness, []).append(token_id)
        self._suspects.clear()
        return [RequestSnapshot(tuple(tokens), witness) for witness, tokens in asked.items()]

    def _reroute(self) -> None:
        routes: dict[str, list[Scope]] = {}
        scopes: dict[Scope, None] = {}
        for name, strategy in self._strategies.items():
            for scope_id, token_ids in strategy.scopes(self.universe.markets, self.universe.events).items():
                scopes[(name, scope_id)] = None
                for token_id in token_ids:
                    routes.setdefault(token_id, []).append((name, scope_id))
        for gone in self._scopes:
            if gone not in scopes:
                self.execution.wish(gone, Decision())
        self._due |= self._scopes | scopes
        self._routes = {token_id: tuple(found) for token_id, found in routes.items()}
        self._scopes = scopes
        self._routes_stale = False

    # --- state for others ------------------------------------------------------------------------

    @property
    def gate_open(self) -> bool:
        """Whether new orders may leave."""
        return self.exposure.gate_open

    @property
    def paused(self) -> bool:
        """Whether an operator stopped trading."""
        return self._paused

    def commands_digest(self) -> str:
        """Return the SHA-256 over all commands decided so far."""
        return f"sha256:{self._commands.hexdigest()}"

    def digest(self) -> str:
        """Return a SHA-256 over books, orders, money and markets: equal states have equal digests."""
        hasher = sha256()
        self.books.digest_into(hasher)
        encode = msgspec.json.encode
        for order in self.orders:
            hasher.update(encode(order))
        for key, amount in self.portfolio.balances().items():
            hasher.update(encode((key, amount)))
        for trade_id, trade in sorted(self.portfolio.unsettled_trades().items()):
            hasher.update(encode((trade_id, trade)))
        for condition_id, market in sorted(self.universe.markets.items()):
            hasher.update(encode((condition_id, market)))
        return f"sha256:{hasher.hexdigest()}"

    # --- handlers, one per fact type -------------------------------------------------------------

    def _handler_table(self) -> dict[type, Callable[..., None]]:
        return {
            ev.FrameRejected: _no_state,
            ev.TradePrinted: _no_state,
            ev.MarketAnnounced: _no_state,
            ev.TickSizeChanged: self._on_tick_size,
            ev.MarketResolved: self._on_resolved,
            ev.BookSuspect: self._on_suspect,
            ev.MarketListed: self._on_market,
            ev.EventListed: self._on_event,
            ev.RulesAcknowledged: self._on_rules,
            ev.StreamUp: self._on_stream_up,
            ev.StreamDown: self._on_stream_down,
            ev.SubscriptionChanged: self._on_subscription,
            ev.OrderAccepted: self._on_accepted,
            ev.OrderRefused: self._on_refused,
            ev.SubmitUnknown: self._on_unknown,
            ev.OrderCanceled: self._on_canceled,
            ev.CancelRefused: self._on_cancel_refused,
            ev.Filled: self._on_filled,
            ev.SettlementChanged: self._on_settlement,
            ev.TimerFired: self._on_timer,
            ev.OperatorActed: self._on_operator,
            ev.RunStarted: self._on_run_started,
            ev.ConfigLoaded: _no_state,
            ev.RunEnded: self._on_run_ended,
            ev.Reconciled: self._on_reconciled,
            ev.Deposited: self._on_deposited,
        }

    def _on_market(self, fact: ev.MarketListed, ts_ns: int) -> None:
        self.universe.list_market(fact.market)
        self.books.track(fact.market, ts_ns)
        self._routes_stale = True

    def _on_event(self, fact: ev.EventListed, _ts_ns: int) -> None:
        self.universe.list_event(fact.event)
        self._routes_stale = True

    def _on_rules(self, fact: ev.RulesAcknowledged, _ts_ns: int) -> None:
        self.universe.acknowledge(fact.event_id, fact.rule_hash)
        self._due |= self._scopes

    def _on_tick_size(self, fact: ev.TickSizeChanged, _ts_ns: int) -> None:
        market = self.universe.market_of(fact.token_id)
        if market is not None and market.tick_e6 != fact.tick_e6:
            self.universe.list_market(msgspec.structs.replace(market, tick_e6=fact.tick_e6))
            self._routes_stale = True

    def _on_resolved(self, fact: ev.MarketResolved, _ts_ns: int) -> None:
        market = self.universe.markets.get(fact.condition_id)
        if market is not None:
            self.universe.list_market(
                msgspec.structs.replace(market, winner=fact.winner, closed=True, accepting_orders=False)
            )
            self._routes_stale = True

    def _on_suspect(self, fact: ev.BookSuspect, _ts_ns: int) -> None:
        self._suspects[fact.token_id] = fact.witness

    def _on_stream_up(self, fact: ev.StreamUp, ts_ns: int) -> None:
        self.books.stream_up(fact.stream, fact.generation, fact.token_ids, ts_ns)

    def _on_stream_down(self, fact: ev.StreamDown, ts_ns: int) -> None:
        self.books.stream_down(fact.stream, fact.generation, ts_ns, fact.reason)

    def _on_subscription(self, fact: ev.SubscriptionChanged, ts_ns: int) -> None:
        self.books.subscription_changed(fact.stream, fact.generation, fact.added, fact.removed, ts_ns)

    def _on_accepted(self, fact: ev.OrderAccepted, ts_ns: int) -> None:
        order = self._known(fact.client_order_id)
        self.orders.move(order, Trigger.DELAYED if fact.status == "delayed" else Trigger.ACCEPTED, ts_ns)
        order.venue_order_id = fact.venue_order_id
        self._order_moved(order)

    def _on_refused(self, fact: ev.OrderRefused, ts_ns: int) -> None:
        order = self._known(fact.client_order_id)
        self.orders.move(order, Trigger.REFUSED, ts_ns)
        order.note = fact.reason
        self._order_moved(order)

    def _on_unknown(self, fact: ev.SubmitUnknown, ts_ns: int) -> None:
        order = self._known(fact.client_order_id)
        self.orders.move(order, Trigger.LOST, ts_ns)
        order.note = fact.cause
        self._order_moved(order)

    def _on_canceled(self, fact: ev.OrderCanceled, ts_ns: int) -> None:
        order = self._known(fact.client_order_id)
        self.orders.move(order, Trigger.CANCELED, ts_ns)
        order.note = fact.cause
        self._order_moved(order)

    def _on_cancel_refused(self, fact: ev.CancelRefused, ts_ns: int) -> None:
        order = self._known(fact.client_order_id)
        self.orders.move(order, Trigger.CANCEL_REFUSED, ts_ns)
        self._order_moved(order)

    def _on_filled(self, fact: ev.Filled, ts_ns: int) -> None:
        order = self._known(fact.client_order_id)
        if self.portfolio.fill(order.intent, fact):
            self.orders.fill(order, fact.qty_e6, fact.usd_e6, fact.fee_usd_e6, ts_ns)
            self._order_moved(order)

    def _on_settlement(self, fact: ev.SettlementChanged, _ts_ns: int) -> None:
        self.portfolio.settle(fact.trade_id, fact.status)

    def _on_timer(self, _fact: ev.TimerFired, ts_ns: int) -> None:
        for scope, at_ns in list(self._recheck_ns.items()):
            if at_ns <= ts_ns:
                del self._recheck_ns[scope]
                self._due[scope] = None
        for scope in self.execution.open_basket_scopes():
            self._due[scope] = None

    def _on_operator(self, fact: ev.OperatorActed, _ts_ns: int) -> None:
        if fact.action == "cancel_all":
            self._cancel_all_reason = fact.reason or "operator"
        else:
            self._paused = fact.action == "pause"
            self._set_gate()

    def _on_run_started(self, _fact: ev.RunStarted, _ts_ns: int) -> None:
        self._reconciled = False
        self._set_gate()

    def _on_run_ended(self, fact: ev.RunEnded, _ts_ns: int) -> None:
        self._reconciled = False
        self._set_gate()
        self._cancel_all_reason = fact.reason

    def _on_reconciled(self, _fact: ev.Reconciled, _ts_ns: int) -> None:
        self._reconciled = True
        self._set_gate()

    def _on_deposited(self, fact: ev.Deposited, _ts_ns: int) -> None:
        self.portfolio.deposit(fact.usd_e6)

    def _known(self, client_order_id: str) -> Order:
        order = self.orders.get(client_order_id)
        if order is None:
            raise KeyError(f"fact about an order we never made: {client_order_id}")
        return order

    def _order_moved(self, order: Order) -> None:
        self.exposure.note(order)
        for scope in self._routes.get(order.token_id, ()):
            if scope[0] == order.intent.strategy:
                self._due[scope] = None

    def _set_gate(self) -> None:
        opened = self._reconciled and not self._paused
        if opened is not self.exposure.gate_open:
            self._due |= self._scopes
        self.exposure.gate_open = opened

    def _cancel_all(self, reason: str) -> list[Command]:
        """Return the command that cancels every order that may still trade and is not being canceled."""
        ids = tuple(order.client_order_id for order in self.orders.open_orders() if order.cancelable)
        return [CancelOrders(ids, reason)] if ids else []


def _no_state(_fact: ev.Fact, _ts_ns: int) -> None:
    """Handle a fact that only strategies and projections look at."""
