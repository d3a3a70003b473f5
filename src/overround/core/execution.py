"""Wish minus reality = commands.

Execution holds what every strategy wishes per scope, compares it with the orders that still work, asks
risk about every new order, and returns commands. It never talks to a venue and never guesses: an order
without an answer occupies its place until a fact says otherwise.

Invariants: at most :data:`MAX_BATCH_ORDERS` orders per submission; cancels come before submissions; each
new order has passed every risk check with all orders before it counted; orders, reservations, baskets and
churn memory change only in :meth:`Execution.apply` and by facts, so folding a journal's facts and commands
leads to the state that deciding led to.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TypeAlias

from overround.core.baskets import (
    MAX_ATTEMPTS,
    RETRY_NS,
    BasketRun,
    BasketState,
    settled_state,
    surplus_e6,
    well_formed,
)
from overround.core.commands import (
    MAX_BATCH_ORDERS,
    CancelOrders,
    Command,
    MoveBasket,
    Notify,
    OrderIntent,
    PlanBasket,
    SubmitOrders,
    TimeInForce,
)
from overround.core.events import Side
from overround.core.exposure import AccountExposure
from overround.core.legging import Repair, books_live, completing_is_better, completion, unwinding
from overround.core.orders import Order, Orders, Trigger
from overround.core.plans import order_id, plan_id
from overround.core.quoting_desk import Place, QuotingDesk
from overround.core.risk import Refusal, crossing_orders, review
from overround.core.strategy import Basket, Decision, Quote

_NOTHING = Decision()

MAKE_WAY_NS = 1_000_000_000
"""How long quotes stay out of a market in which they stood in a basket's way."""

Scope: TypeAlias = tuple[str, str]
"""Strategy name and scope id."""


class Execution:
    """Desks of quotes and runs of baskets, for all strategies."""

    def __init__(self, orders: Orders, exposure: AccountExposure) -> None:
        self._orders = orders
        self._exposure = exposure
        self._desks: dict[Scope, QuotingDesk] = {}
        self.baskets: dict[str, BasketRun] = {}
        """Runs by basket key, finished ones included: a key is never run twice."""
        self._open_baskets: dict[Scope, BasketRun] = {}
        self._cleared_until_ns: dict[str, int] = {}
        """Markets that quotes stay out of, by condition id."""
        self.refusals: Counter[tuple[str, str]] = Counter()
        """Refused orders and baskets by (strategy, reason)."""

    # --- wishes ----------------------------------------------------------------------------------

    def wish(self, scope: Scope, decision: Decision) -> None:
        """Replace the wishes of one strategy for one scope."""
        desk = self._desks.get(scope)
        if desk is None:
            if not decision.quotes and not decision.baskets:
                return
            desk = self._desk(scope)
        desk.wish(decision)

    def forget_wishes(self) -> None:
        """Drop all wishes and churn memory, as a new process would; orders and baskets stay looked after."""
        self._desks.clear()
        self._cleared_until_ns.clear()
        for order in self._orders.open_orders():
            if order.intent.basket_id is None:
                self._desk(_scope_of(order.intent)).places[_place_of(order.intent)] = None

    def scopes(self) -> Iterable[Scope]:
        """Return every scope with wishes, orders or a basket under way."""
        return tuple({**dict.fromkeys(self._desks), **dict.fromkeys(self._open_baskets)})

    def open_basket_scopes(self) -> Iterable[Scope]:
        """Return the scopes with a basket under way."""
        return tuple(self._open_baskets)

    def forget_finished(self, before_ns: int) -> set[str]:
        """Drop baskets that ended and began before ``before_ns``; return the orders of those that are left.

        A key names the exact books that were seen, so a forgotten one cannot come up again.
        """
        old = [key for key, run in self.baskets.items() if not run.open and run.started_ts_ns < before_ns]
        for key in old:
            del self.baskets[key]
        return {order_id for run in self.baskets.values() for order_id in run.order_ids}

    def settled(self, scope: Scope) -> bool:
        """Whether comparing again can bring nothing new, unless wishes, orders or the time change.

        Not so while a basket is under way or an order was refused. What time holds back has its own wake-up.
        """
        desk = self._desks.get(scope)
        return (desk is None or desk.settled) and scope not in self._open_baskets

    def next_change_ns(self, scope: Scope) -> int | None:
        """Return when a change that time holds back becomes possible, ``None`` if none is held back."""
        desk = self._desks.get(scope)
        return None if desk is None else desk.held_until_ns

    # --- the difference --------------------------------------------------------------------------

    def diff(self, scopes: Iterable[Scope], seq: int, now_ns: int) -> list[Command]:
        """Return the commands that bring reality closer to the wishes of ``scopes``."""
        out: list[Command] = []
        for scope in scopes:
            desk = self._desks.get(scope)
            if desk is not None:
                decision = desk.decision if self._exposure.gate_open else _NOTHING
                self._diff_quotes(scope, desk, decision, seq, now_ns, out)
                if decision.baskets:
                    self._start_baskets(scope, decision, seq, now_ns, out)
            run = self._open_baskets.get(scope)
            if run is not None:
                self._progress(run, seq, now_ns, out)
        return _merged(out) if out else out

    def apply(self, command: Command, now_ns: int) -> None:
        """Take into account a command of ours: the same way when it is made and when a journal is folded.

        Raises ``KeyError``, ``ValueError`` or ``IllegalTransition`` for a command that does not fit the
        state, which means that the journal is not ours.
        """
        match command:
            case PlanBasket(strategy, scope, plan, basket):
                run = BasketRun(strategy, scope, basket, plan, now_ns, [])
                self.baskets[basket.key] = run
                self._open_baskets[strategy, scope] = run
            case MoveBasket(key, state, attempt):
                self._move(self.baskets[key], state, attempt, now_ns)
            case SubmitOrders(orders):
                for intent in orders:
                    self._register(intent, now_ns)
            case CancelOrders(client_order_ids):
                for client_order_id in client_order_ids:
                    self._cancel(self._orders.known(client_order_id), now_ns)
            case _:
                pass

    def _move(self, run: BasketRun, state: BasketState, attempt: int, now_ns: int) -> None:
        run.move(state)
        if attempt > run.attempts:
            run.attempts = attempt
            run.not_before_ts_ns = now_ns + RETRY_NS
        if not run.open:
            del self._open_baskets[run.strategy, run.scope]

    def _register(self, intent: OrderIntent, now_ns: int) -> None:
        self._exposure.note(self._orders.add(intent, now_ns))
        if intent.basket_id is not None:
            self.baskets[intent.basket_id].order_ids.append(intent.client_order_id)
        else:
            self._desk(_scope_of(intent)).placed(_place_of(intent), now_ns)

    def _cancel(self, order: Order, now_ns: int) -> None:
        self._orders.move(order, Trigger.CANCEL_SENT, now_ns)
        if order.intent.basket_id is None:
            self._desk(_scope_of(order.intent)).canceled(_place_of(order.intent), now_ns)

    def _desk(self, scope: Scope) -> QuotingDesk:
        desk = self._desks.get(scope)
        if desk is None:
            desk = self._desks[scope] = QuotingDesk()
        return desk

    # --- quotes ----------------------------------------------------------------------------------

    def _diff_quotes(
        self, scope: Scope, desk: QuotingDesk, decision: Decision, seq: int, now_ns: int, out: list[Command]
    ) -> None:
        wanted: list[Quote] = []
        desk.begin()
        if self._cleared_until_ns:
            decision = self._without_cleared(desk, decision, now_ns)
        for place in desk.places:
            cancels, quotes = desk.difference(decision, place, self._working(scope, place), now_ns)
            if cancels:
                ids = tuple(order.client_order_id for order in cancels)
                self._do(CancelOrders(ids, "wish changed"), now_ns, out)
            wanted += quotes
        desk.settled = True
        if not wanted:
            return
        plan = plan_id(*scope, seq, "quotes")
        for leg, quote in enumerate(wanted):
            intent = self._quote_intent(plan, leg, scope, quote)
            refusal = Refusal.UNKNOWN_MARKET if intent is None else review(intent, self._exposure)
            if intent is None or refusal is not None:
                self.refusals[scope[0], str(refusal)] += 1
                desk.settled = False
                continue
            self._do(SubmitOrders((intent,)), now_ns, out)

    def _without_cleared(self, desk: QuotingDesk, decision: Decision, now_ns: int) -> Decision:
        """Return ``decision`` without the quotes in markets that a basket is waiting to enter."""
        kept: list[Quote] = []
        for quote in decision.quotes:
            market = self._exposure.market_of(quote.token_id)
            until_ns = 0 if market is None else self._cleared_until_ns.get(market.condition_id, 0)
            if until_ns > now_ns:
                desk.hold(until_ns, now_ns)
            else:
                kept.append(quote)
        return decision if len(kept) == len(decision.quotes) else Decision(tuple(kept), churn=decision.churn)

    def _working(self, scope: Scope, place: Place) -> list[Order]:
        return [
            order
            for order in self._orders.open_on(scope[0], place[0])
            if order.side is place[1] and order.intent.scope == scope[1] and order.intent.basket_id is None
        ]

    def _quote_intent(self, plan: str, leg: int, scope: Scope, quote: Quote) -> OrderIntent | None:
        market = self._exposure.market_of(quote.token_id)
        if market is None:
            return None
        return OrderIntent(
            client_order_id=order_id(plan, leg),
            plan_id=plan,
            strategy=scope[0],
            condition_id=market.condition_id,
            token_id=quote.token_id,
            side=quote.side,
            px_e6=quote.px_e6,
            qty_e6=quote.qty_e6,
            time_in_force=TimeInForce.GTC,
            post_only=True,
            scope=scope[1],
        )

    # --- baskets ---------------------------------------------------------------------------------

    def _start_baskets(
        self, scope: Scope, decision: Decision, seq: int, now_ns: int, out: list[Command]
    ) -> None:
        for basket in decision.baskets:
            if basket.key in self.baskets or scope in self._open_baskets:
                continue
            plan = plan_id(*scope, seq, "basket", basket.key)
            intents = tuple(_basket_intent(plan, leg, scope, basket) for leg in range(len(basket.legs)))
            refusal = self._first_refusal(intents, now_ns) if well_formed(basket) else Refusal.BASKET_SHAPE
            if refusal is not None:
                self._refused(scope[0], refusal, intents, now_ns, out)
                self._desk(scope).settled = False
                if refusal is Refusal.SELF_CROSS:
                    self._desk(scope).hold(now_ns + 1, now_ns)
                continue
            self._do(PlanBasket(scope[0], scope[1], plan, basket), now_ns, out)
            self._do(SubmitOrders(intents), now_ns, out)

    def _make_way(self, intents: Sequence[OrderIntent], now_ns: int, out: list[Command]) -> None:
        """Cancel our own quotes that a basket would trade with, and keep quotes out for a while.

        A basket takes what is gone in seconds, a quote can come back: when the cancels are confirmed and
        the strategy still sees its basket, it goes out.
        """
        in_the_way: dict[str, None] = {}
        for intent in intents:
            market = self._exposure.market_of(intent.token_id)
            crossing = [] if market is None else crossing_orders(intent, market, self._exposure)
            for order in crossing:
                self._cleared_until_ns[order.intent.condition_id] = now_ns + MAKE_WAY_NS
                if order.intent.basket_id is None and not order.awaits_answer:
                    in_the_way[order.client_order_id] = None
        if in_the_way:
            self._do(CancelOrders(tuple(in_the_way), "makes way for a basket"), now_ns, out)

    def _progress(self, run: BasketRun, seq: int, now_ns: int, out: list[Command]) -> None:
        """Move a basket on once every order of it is answered."""
        orders = [self._orders.known(client_order_id) for client_order_id in run.order_ids]
        if any(order.open for order in orders):
            return
        filled = _filled_e6(run, orders)
        final = settled_state(run, filled)
        if final is not None:
            self._do(MoveBasket(run.basket.key, final, run.attempts), now_ns, out)
        elif now_ns >= run.not_before_ts_ns and self._can_judge(run.basket):
            self._repair(run, filled, seq, now_ns, out)

    def _can_judge(self, basket: Basket) -> bool:
        """Whether an attempt makes sense now: not while paused, nor while a market's book is being renewed.

        A market that takes no orders any more will not come back: that counts as an attempt.
        """
        markets = [self._exposure.market_of(leg.token_id) for leg in basket.legs]
        waiting = all(market is not None and market.tradable for market in markets)
        return self._exposure.gate_open and (books_live(basket, self._exposure.book) or not waiting)

    def _repair(
        self, run: BasketRun, filled: Sequence[int], seq: int, now_ns: int, out: list[Command]
    ) -> None:
        key = run.basket.key
        if run.attempts >= MAX_ATTEMPTS:
            self._do(MoveBasket(key, BasketState.STRANDED, run.attempts), now_ns, out)
            holds = ", ".join(
                f"{held} of {leg.token_id}" for leg, held in zip(run.basket.legs, filled, strict=True)
            )
            out.append(
                Notify("error", "basket_stranded", f"{run.strategy} {key} holds (in millionths) {holds}")
            )
            return
        completing = run.state is not BasketState.UNWINDING and completing_is_better(
            run.basket, filled, surplus_e6(filled), self._exposure.book, self._exposure.market_of
        )
        if not completing and self._awaits_shares(run, filled):
            return
        attempt = run.attempts + 1
        plan = plan_id(run.strategy, run.scope, seq, "repair", key, attempt)
        state, intents = self._way(run, plan, filled, now_ns, out, completing=completing)
        self._do(MoveBasket(key, state, attempt), now_ns, out)
        if intents:
            self._do(SubmitOrders(intents), now_ns, out)

    def _awaits_shares(self, run: BasketRun, filled: Sequence[int]) -> bool:
        """Whether a surplus that must be sold is not on chain yet: waiting is no attempt."""
        return any(
            extra and self._exposure.unconfirmed_e6(run.strategy, leg.token_id)
            for leg, extra in zip(run.basket.legs, surplus_e6(filled), strict=True)
        )

    def _way(
        self,
        run: BasketRun,
        plan: str,
        filled: Sequence[int],
        now_ns: int,
        out: list[Command],
        *,
        completing: bool,
    ) -> tuple[BasketState, tuple[OrderIntent, ...]]:
        """Return the orders that put a basket right and the state that goes with them."""
        book_of, market_of = self._exposure.book, self._exposure.market_of
        if completing:
            way = completion(run.basket, filled, book_of, market_of)
            purchases = tuple(_repair_intent(plan, run, repair) for repair in (way[0] if way else ()))
            refusal = self._first_refusal(purchases, now_ns)
            if refusal is None:
                return BasketState.COMPLETING, purchases
            self._refused(run.strategy, refusal, purchases, now_ns, out)
        sales: list[OrderIntent] = []
        for repair in unwinding(run.basket, surplus_e6(filled), book_of, market_of)[0]:
            intent = _repair_intent(plan, run, repair)
            refusal = review(intent, self._exposure)
            if refusal is None:
                sales.append(intent)
            else:
                self._refused(run.strategy, refusal, (intent,), now_ns, out)
        return BasketState.UNWINDING, tuple(sales)

    def _refused(
        self,
        strategy: str,
        refusal: Refusal,
        intents: Sequence[OrderIntent],
        now_ns: int,
        out: list[Command],
    ) -> None:
        """Count a refusal; our own quotes make way for what would trade with them."""
        self.refusals[strategy, refusal] += 1
        if refusal is Refusal.SELF_CROSS:
            self._make_way(intents, now_ns, out)

    # --- common ----------------------------------------------------------------------------------

    def _do(self, command: Command, now_ns: int, out: list[Command]) -> None:
        self.apply(command, now_ns)
        out.append(command)

    def _first_refusal(self, intents: Sequence[OrderIntent], now_ns: int) -> Refusal | None:
        """Return why the orders may not go out together, each reviewed with those before it counted."""
        added: list[Order] = []
        refusal = None
        for intent in intents:
            refusal = review(intent, self._exposure)
            if refusal is not None:
                break
            added.append(self._orders.add(intent, now_ns))
            self._exposure.note(added[-1])
        for order in added:
            self._orders.discard(order)
            self._exposure.forget(order)
        return refusal


def _scope_of(intent: OrderIntent) -> Scope:
    return intent.strategy, intent.scope


def _place_of(intent: OrderIntent) -> Place:
    return intent.token_id, intent.side


def _merged(commands: Sequence[Command]) -> list[Command]:
    """Return the same commands with the cancels first, one a reason, and the orders last, in few batches."""
    canceled: dict[str, list[str]] = {}
    intents: list[OrderIntent] = []
    others: list[Command] = []
    for command in commands:
        match command:
            case CancelOrders(client_order_ids, reason):
                canceled.setdefault(reason, []).extend(client_order_ids)
            case SubmitOrders(orders):
                intents += orders
            case _:
                others.append(command)
    cancels = [CancelOrders(tuple(ids), reason) for reason, ids in canceled.items()]
    return [*cancels, *others, *_batches(intents)]


def _batches(intents: Sequence[OrderIntent]) -> list[SubmitOrders]:
    """Return the orders in batches; the legs of a plan are not torn apart if they fit into one."""
    batches: list[list[OrderIntent]] = []
    for _, group in groupby(intents, key=lambda intent: intent.plan_id):
        legs = list(group)
        if batches and len(batches[-1]) + len(legs) <= MAX_BATCH_ORDERS:
            batches[-1] += legs
        else:
            batches += [legs[at : at + MAX_BATCH_ORDERS] for at in range(0, len(legs), MAX_BATCH_ORDERS)]
    return [SubmitOrders(tuple(batch)) for batch in batches]


def _basket_intent(plan: str, index: int, scope: Scope, basket: Basket) -> OrderIntent:
    leg = basket.legs[index]
    return OrderIntent(
        client_order_id=order_id(plan, index),
        plan_id=plan,
        strategy=scope[0],
        condition_id=leg.condition_id,
        token_id=leg.token_id,
        side=leg.side,
        px_e6=leg.limit_px_e6,
        qty_e6=leg.qty_e6,
        time_in_force=TimeInForce.FOK,
        budget_usd_e6=leg.budget_usd_e6,
        basket_id=basket.key,
        scope=scope[1],
    )


def _repair_intent(plan: str, run: BasketRun, repair: Repair) -> OrderIntent:
    leg = run.basket.legs[repair.leg]
    return OrderIntent(
        client_order_id=order_id(plan, repair.leg),
        plan_id=plan,
        strategy=run.strategy,
        condition_id=leg.condition_id,
        token_id=leg.token_id,
        side=repair.side,
        px_e6=repair.px_e6,
        qty_e6=repair.qty_e6,
        time_in_force=TimeInForce.FAK,
        basket_id=run.basket.key,
        scope=run.scope,
    )


def _filled_e6(run: BasketRun, orders: Sequence[Order]) -> list[int]:
    """Return what each leg of the basket holds: purchases less sales, without what failed to settle."""
    held: dict[str, int] = {}
    for order in orders:
        sign = 1 if order.side is Side.BUY else -1
        settled_e6 = order.filled_qty_e6 - order.failed_qty_e6
        held[order.token_id] = held.get(order.token_id, 0) + sign * settled_e6
    return [held.get(leg.token_id, 0) for leg in run.basket.legs]
