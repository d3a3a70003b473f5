"""The engine: a pure fold of inputs into state and commands.

Inputs are raw frames (:meth:`Engine.ingest`) and facts (:meth:`Engine.on_fact`), each with its place in
the one order of inputs and its receive time, the only clock. At the end of a batch :meth:`Engine.decide`
asks the strategies whose scopes moved for their wishes and returns commands. Recovery folds a journal:
facts through the same handlers, commands through :meth:`Engine.apply`.

Invariants: one handler per fact type, an unknown type is a bug; no order leaves while the gate is closed
(before reconciliation, while paused), though strategies are asked all the time; the same inputs give the
same commands, byte for byte, in any process. It must not know venues, wire formats, files or clocks.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Protocol

import msgspec

from overround.core import events as ev
from overround.core.books import Books
from overround.core.commands import CancelOrders, Command, Notify
from overround.core.execution import Execution, Scope
from overround.core.exposure import AccountExposure
from overround.core.orders import Order, Orders, OrderState, Trigger
from overround.core.portfolio import RESERVED, Portfolio
from overround.core.resync import SnapshotRequests
from overround.core.risk import RiskLimits
from overround.core.strategy import Decision, Found, Strategy
from overround.core.universe import Universe
from overround.core.view import StrategyView

KEEP_CLOSED_NS = 6 * 3_600_000_000_000
"""How long orders and baskets that ended are remembered: later facts about them would be the venue's bug."""

TIDY_INTERVAL_NS = 600_000_000_000


class FrameDecoder(Protocol):
    """Applies a raw frame to the books and returns its rare consequences."""

    def ingest(self, frame: bytes, ts_ns: int, stream: int, generation: int) -> list[ev.Fact] | None:
        """Apply a frame received at ``ts_ns`` on a connection; return the rare facts in it, if any."""
        ...


class Engine:
    """State, handlers and the decision at the end of a batch.

    Raises ``ValueError`` for strategies that share a name or are named like an account of the ledger.
    """

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
        self.findings: dict[tuple[str, str, str], Found] = {}
        """What was found so far, by (strategy, scope, reason)."""
        self.command_count = 0
        self._ingest = decoder(self.books).ingest
        self._heard_ns: dict[int, int] = {}
        """When each connection was last heard."""
        self._strategies = _by_name(strategies)
        self._views = {
            name: StrategyView(
                name, self.books, self._heard_ns, self.universe, self.orders, self.portfolio, self.exposure
            )
            for name in self._strategies
        }
        self._routes: dict[str, dict[Scope, None]] = {}
        """Scopes by the tokens whose books matter to them."""
        self._scopes: dict[Scope, Sequence[str]] = {}
        """The same the other way round: tokens by scope."""
        self._routes_stale = True
        self._due: dict[Scope, None] = {}
        """Scopes to look at for another reason than their books."""
        self._recheck_ns: dict[Scope, int] = {}
        """When the strategy wants to be asked again."""
        self._held_ns: dict[Scope, int] = {}
        """When execution can do what churn limits hold back."""
        self._reconciled = False
        self._paused = False
        self._streams: dict[int, int] = {}
        """Generation of every connection that is up."""
        self._unsynced = SnapshotRequests(self.books)
        self._cancel_all_reason: str | None = None
        self._tidy_due_ns = 0
        self._notices: list[Notify] = []
        self._commands = sha256()
        self._handlers: dict[type, Callable[[ev.Fact, int], None]] = self._handler_table()

    # --- inputs ----------------------------------------------------------------------------------

    def ingest(self, frame: bytes, ts_ns: int, stream: int, generation: int) -> list[ev.Fact] | None:
        """Apply a raw frame; return its rare consequences, already handled, or ``None``."""
        self._heard_ns[stream] = ts_ns
        facts = self._ingest(frame, ts_ns, stream, generation)
        if facts:
            for fact in facts:
                self.on_fact(fact, ts_ns)
        return facts

    def on_fact(self, fact: ev.Fact, ts_ns: int) -> None:
        """Apply a fact.

        Raises ``KeyError`` for a fact without a handler or about an order we never made, and
        ``IllegalTransition`` for one that does not fit its order: bugs, and nothing was changed.
        """
        self._handlers[type(fact)](fact, ts_ns)
        for strategy in self._strategies.values():
            strategy.observe(fact, ts_ns)

    # --- decision --------------------------------------------------------------------------------

    def decide(self, seq: int, ts_ns: int) -> list[Command]:
        """Return the commands that follow from everything since the last call."""
        if self._routes_stale:
            self._reroute()
        commands: list[Command] = []
        if self._unsynced:
            commands += self._unsynced.due(ts_ns)
        if self._notices:
            commands += self._notices
            self._notices = []
        if self._cancel_all_reason is not None:
            commands += self._cancel_all(self._cancel_all_reason, ts_ns)
            self._cancel_all_reason = None
        if self._due or self.books.touched:
            commands += self._decide_due(seq, ts_ns)
        if commands:
            for command in commands:
                self._commands.update(msgspec.json.encode(command))
            self.command_count += len(commands)
        return commands

    def apply(self, command: Command, ts_ns: int) -> None:
        """Fold a journaled command into the state, without deciding anything."""
        self.execution.apply(command, ts_ns)

    def _decide_due(self, seq: int, ts_ns: int) -> list[Command]:
        """Ask the strategies about every scope that moved; compare wishes with reality where it matters."""
        due, self._due = self._due, {}
        stirred: dict[Scope, None] = {}
        routes = self._routes
        for token_id in self.books.touched:
            if (scopes := routes.get(token_id)) is not None:
                stirred |= scopes
        self.books.clear_touched()
        for view in self._views.values():
            view.seq, view.ts_ns = seq, ts_ns
        for scope in due:
            stirred.pop(scope, None)
            if scope in self._scopes:
                self._ask(scope, ts_ns)
        settled = self.execution.settled
        for scope in stirred:
            if self._ask(scope, ts_ns) or not settled(scope):
                due[scope] = None
        if not due:
            return []
        commands = self.execution.diff(due, seq, ts_ns)
        for scope in due:
            _set_or_drop(self._held_ns, scope, self.execution.next_change_ns(scope))
        return commands

    def _ask(self, scope: Scope, ts_ns: int) -> bool:
        """Ask a strategy for its wishes; return whether they may have changed."""
        name, scope_id = scope
        decision = self._strategies[name].decide(self._views[name], scope_id)
        if decision is None:
            return False
        for finding in decision.findings:
            key = (name, scope_id, finding.reason)
            found = self.findings.get(key)
            self.findings[key] = Found(finding, 1 if found is None else found.count + 1, ts_ns)
        self.execution.wish(scope, decision)
        _set_or_drop(self._recheck_ns, scope, decision.recheck_ts_ns)
        return True

    def _cancel_all(self, reason: str, ts_ns: int) -> list[Command]:
        """Cancel every order that may still trade and is not being canceled, UNKNOWN ones included."""
        ids = tuple(
            order.client_order_id
            for order in self.orders.open_orders()
            if order.state is not OrderState.CANCELING
        )
        if not ids:
            return []
        command = CancelOrders(ids, reason)
        self.execution.apply(command, ts_ns)
        return [command]

    def _reroute(self) -> None:
        """Ask the strategies for their scopes again; all become due, because metadata changed."""
        scopes: dict[Scope, Sequence[str]] = {}
        for name, strategy in self._strategies.items():
            for scope_id, token_ids in strategy.scopes(self.universe.markets, self.universe.events).items():
                scopes[name, scope_id] = token_ids
        for scope in self.execution.scopes():
            if scope not in scopes:
                self.execution.wish(scope, Decision())
                self._due[scope] = None
        self._due |= dict.fromkeys(scopes)
        self._routes_stale = False
        if scopes == self._scopes:
            return
        self._recheck_ns = {scope: at_ns for scope, at_ns in self._recheck_ns.items() if scope in scopes}
        self._routes = {}
        for scope, token_ids in scopes.items():
            for token_id in token_ids:
                self._routes.setdefault(token_id, {})[scope] = None
        self._scopes = scopes

    # --- state for others ------------------------------------------------------------------------

    def strategy_names(self) -> tuple[str, ...]:
        """Return the names of the strategies, in their configured order."""
        return tuple(self._strategies)

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

    def account_digest(self) -> str:
        """Return a SHA-256 over orders, reservations, baskets, money and markets.

        This is the state that a journal alone restores: folding its facts and commands leads to the
        digest that deciding led to.
        """
        hasher = sha256()
        encode = msgspec.json.encode
        for order in sorted(self.orders, key=lambda order: order.client_order_id):
            hasher.update(encode(order))
        for key, run in sorted(self.execution.baskets.items()):
            hasher.update(encode((key, run)))
        for account, amount in self.portfolio.balances().items():
            if amount:
                hasher.update(encode((account, amount)))
        for trade_id, trade in sorted(self.portfolio.unsettled_trades().items()):
            hasher.update(encode((trade_id, trade)))
        for known in (self.universe.markets, self.universe.events, self.universe.accepted_rules):
            hasher.update(encode(sorted(known.items())))
        flags = (self.exposure.reserved_usd_e6(), self._reconciled, self._paused)
        hasher.update(encode(flags))
        return f"sha256:{hasher.hexdigest()}"

    def digest(self) -> str:
        """Return a SHA-256 over books and account: equal states have equal digests, in any process."""
        hasher = sha256()
        self.books.digest_into(hasher)
        hasher.update(self.account_digest().encode())
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
        yes, no = fact.market.token_ids()
        before = self.books.get(yes)
        epoch = None if before is None else before.epoch
        self.books.track(fact.market, ts_ns)
        # The stream may know a newer tick size than the metadata.
        self.universe.list_market(self.books.market_of(yes))
        if epoch is not None and self.books.by_token[yes].epoch != epoch:
            self._unsynced.add(yes, "tick_size")
            self._unsynced.add(no, "tick_size")
        self._routes_stale = True

    def _on_event(self, fact: ev.EventListed, _ts_ns: int) -> None:
        self.universe.list_event(fact.event)
        self._routes_stale = True

    def _on_rules(self, fact: ev.RulesAcknowledged, _ts_ns: int) -> None:
        self.universe.acknowledge(fact.event_id, fact.rule_hash)
        self._all_due()

    def _on_tick_size(self, fact: ev.TickSizeChanged, _ts_ns: int) -> None:
        self._unsynced.add(fact.token_id, "tick_size")
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
        self._unsynced.add(fact.token_id, fact.witness)

    def _on_stream_up(self, fact: ev.StreamUp, ts_ns: int) -> None:
        self._streams[fact.stream] = fact.generation
        self.books.stream_up(fact.stream, fact.generation, fact.token_ids, ts_ns)

    def _on_stream_down(self, fact: ev.StreamDown, ts_ns: int) -> None:
        if self._streams.get(fact.stream) == fact.generation:
            del self._streams[fact.stream]
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
        if self.portfolio.has_trade(fact.trade_id):
            return
        self.orders.fill(order, fact.qty_e6, fact.usd_e6, fact.fee_usd_e6, ts_ns)
        self.portfolio.fill(order.intent, fact)
        self._order_moved(order)

    def _on_settlement(self, fact: ev.SettlementChanged, _ts_ns: int) -> None:
        trade = self.portfolio.unsettled_trades().get(fact.trade_id)
        if trade is None or not self.portfolio.settle(fact.trade_id, fact.status):
            return
        if fact.status is ev.Settlement.FAILED:
            order = self._known(trade.client_order_id)
            order.failed_qty_e6 += abs(trade.qty_e6)
            self._order_moved(order)
            text = f"trade {fact.trade_id} of order {trade.client_order_id} was reversed"
            self._notices.append(Notify("error", "settlement_failed", text))

    def _on_timer(self, _fact: ev.TimerFired, ts_ns: int) -> None:
        for waiting in (self._recheck_ns, self._held_ns):
            for scope in [scope for scope, at_ns in waiting.items() if at_ns <= ts_ns]:
                del waiting[scope]
                self._due[scope] = None
        self._due |= dict.fromkeys(self.execution.open_basket_scopes())
        if ts_ns >= self._tidy_due_ns:
            self._tidy(ts_ns)
        self.books.notice_lagging(ts_ns)
        if self.books.doubted:
            self.books.sweep(ts_ns)
            for alarm in self.books.take_alarms():
                self.on_fact(alarm, ts_ns)

    def _tidy(self, ts_ns: int) -> None:
        """Forget what ended long ago, so that a process can run for months."""
        self._tidy_due_ns = ts_ns + TIDY_INTERVAL_NS
        before_ns = ts_ns - KEEP_CLOSED_NS
        kept = self.execution.forget_finished(before_ns)
        kept |= {trade.client_order_id for trade in self.portfolio.unsettled_trades().values()}
        self.orders.forget_closed(before_ns, kept)

    def _on_operator(self, fact: ev.OperatorActed, _ts_ns: int) -> None:
        if fact.action == "cancel_all":
            self._cancel_all_reason = fact.reason or "operator"
        else:
            self._paused = fact.action == "pause"
            self._set_gate()

    def _on_run_started(self, _fact: ev.RunStarted, ts_ns: int) -> None:
        """Begin as a new process does: with what the journal says, and nothing that lived in memory only."""
        for stream, generation in self._streams.items():
            self.books.stream_down(stream, generation, ts_ns, "restart")
        self._streams.clear()
        self._unsynced.clear()
        self._recheck_ns.clear()
        self._held_ns.clear()
        self._notices.clear()
        self._cancel_all_reason = None
        self.execution.forget_wishes()
        self._reconciled = False
        self._routes_stale = True
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
        return self.orders.known(client_order_id)

    def _order_moved(self, order: Order) -> None:
        self.exposure.note(order)
        self._due[order.intent.strategy, order.intent.scope] = None

    def _all_due(self) -> None:
        self._due |= dict.fromkeys(self._scopes)
        self._due |= dict.fromkeys(self.execution.scopes())

    def _set_gate(self) -> None:
        opened = self._reconciled and not self._paused
        if opened is not self.exposure.gate_open:
            self._all_due()
        self.exposure.gate_open = opened


def _no_state(_fact: ev.Fact, _ts_ns: int) -> None:
    """Handle a fact that only strategies and projections look at."""


def _by_name(strategies: Sequence[Strategy]) -> dict[str, Strategy]:
    named: dict[str, Strategy] = {}
    for strategy in strategies:
        if strategy.name in named or strategy.name in RESERVED:
            raise ValueError(f"strategy name {strategy.name!r} is taken: choose another")
        named[strategy.name] = strategy
    return named


def _set_or_drop(times: dict[Scope, int], scope: Scope, at_ns: int | None) -> None:
    if at_ns is None:
        times.pop(scope, None)
    else:
        times[scope] = at_ns
