"""Wish minus reality = commands.

Execution holds what every strategy wishes per scope, compares it with the orders that still work, asks
risk about every new order, and returns commands. It never talks to a venue and never guesses: an order
without an answer occupies its place until a fact says otherwise.

Invariants: at most :data:`MAX_BATCH_ORDERS` orders per submission; cancels come before submissions; each
new order has passed every risk check with all orders before it counted.
"""

from collections import Counter
from collections.abc import Iterable

from overround.core.baskets import DUST_QTY_E6, MAX_ATTEMPTS, RETRY_NS, BasketRun, BasketState, surplus_e6
from overround.core.commands import (
    MAX_BATCH_ORDERS,
    CancelOrders,
    Command,
    Notify,
    OrderIntent,
    PlanBasket,
    SubmitOrders,
    TimeInForce,
)
from overround.core.events import Side
from overround.core.exposure import AccountExposure
from overround.core.legging import Repair, completing_is_better, completion, unwinding
from overround.core.orders import Order, Orders, Trigger
from overround.core.plans import leg_intent, plan_id
from overround.core.quoting_desk import Place, QuotingDesk
from overround.core.risk import Refusal, review
from overround.core.strategy import Basket, Decision, Quote

_NOTHING = Decision()

Scope = tuple[str, str]
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
        self.refusals: Counter[tuple[str, str]] = Counter()
        """Refused orders by (strategy, reason)."""

    # --- wishes ----------------------------------------------------------------------------------

    def wish(self, scope: Scope, decision: Decision) -> None:
        """Replace the wishes of one strategy for one scope."""
        desk = self._desks.get(scope)
        if desk is None:
            if not decision.quotes and not decision.baskets:
                return
            desk = self._desks[scope] = QuotingDesk()
        desk.wish(decision)

    def open_basket_scopes(self) -> Iterable[Scope]:
        """Return the scopes with a basket under way."""
        return tuple(self._open_baskets)

    # --- the difference --------------------------------------------------------------------------

    def diff(self, scopes: Iterable[Scope], seq: int, now_ns: int) -> list[Command]:
        """Return the commands that bring reality closer to the wishes of ``scopes``."""
        out: list[Command] = []
        for scope in scopes:
            desk = self._desks.get(scope)
            if desk is not None:
                decision = desk.decision if self._exposure.gate_open else _NOTHING
                self._diff_quotes(scope, desk, decision, seq, now_ns, out)
                self._start_baskets(scope, decision, seq, now_ns, out)
            run = self._open_baskets.get(scope)
            if run is not None:
                self._progress(scope, run, seq, now_ns, out)
        return _merged(out)

    def apply(self, command: Command, now_ns: int) -> None:
        """Take into account a command of ours: the same way when it is made and when a journal is folded."""
        match command:
            case PlanBasket(strategy, scope, plan, basket):
                run = BasketRun(strategy, scope, basket, plan, now_ns, [])
                self.baskets[basket.key] = run
                self._open_baskets[(strategy, scope)] = run
            case SubmitOrders(orders):
                for intent in orders:
                    self._register(intent, now_ns)
            case CancelOrders(client_order_ids):
                for client_order_id in client_order_ids:
                    self._orders.move(self._order(client_order_id), Trigger.CANCEL_SENT, now_ns)
            case _:
                pass

    def _register(self, intent: OrderIntent, now_ns: int) -> None:
        self._exposure.note(self._orders.add(intent, now_ns))
        run = self.baskets.get(intent.basket_id) if intent.basket_id is not None else None
        if run is None:
            return
        if intent.plan_id != run.plan_id:
            run.move(BasketState.COMPLETING if intent.side is Side.BUY else BasketState.UNWINDING)
        run.order_ids.append(intent.client_order_id)

    def next_change_ns(self, scope: Scope, now_ns: int) -> int | None:
        """Return when to look at a scope again although nothing moved, ``None`` for never."""
        times = [self._desk_time(scope, now_ns), self._basket_time(scope)]
        return min((ns for ns in times if ns is not None), default=None)

    def _desk_time(self, scope: Scope, now_ns: int) -> int | None:
        desk = self._desks.get(scope)
        if desk is None or not desk.decision.quotes:
            return None
        return desk.next_change_ns(now_ns)

    def _basket_time(self, scope: Scope) -> int | None:
        run = self._open_baskets.get(scope)
        return None if run is None else run.not_before_ts_ns

    # --- quotes ----------------------------------------------------------------------------------

    def _diff_quotes(
        self, scope: Scope, desk: QuotingDesk, decision: Decision, seq: int, now_ns: int, out: list[Command]
    ) -> None:
        wanted: list[tuple[Place, Quote]] = []
        canceled: list[str] = []
        for place in desk.places:
            working = [
                order
                for order in self._orders.open_on(scope[0], place[0])
                if order.side is place[1] and order.intent.basket_id is None
            ]
            cancels, quotes = desk.difference(decision, place, working, now_ns)
            canceled += [order.client_order_id for order in cancels]
            wanted += [(place, quote) for quote in quotes]
        if canceled:
            out.append(CancelOrders(tuple(canceled), "wish changed"))
            self.apply(out[-1], now_ns)
        plan = plan_id(*scope, seq, "quotes")
        for leg, (place, quote) in enumerate(wanted):
            intent = self._quote_intent(plan, leg, scope, quote)
            refusal = Refusal.UNKNOWN_MARKET if intent is None else review(intent, self._exposure)
            if intent is None or refusal is not None:
                self.refusals[(scope[0], str(refusal))] += 1
                continue
            out.append(SubmitOrders((intent,)))
            self.apply(out[-1], now_ns)
            desk.placed(place, now_ns)

    def _quote_intent(self, plan: str, leg: int, scope: Scope, quote: Quote) -> OrderIntent | None:
        market = self._exposure.market_of(quote.token_id)
        if market is None:
            return None
        return leg_intent(
            plan,
            leg,
            strategy=scope[0],
            condition_id=market.condition_id,
            token_id=quote.token_id,
            side=quote.side,
            px_e6=quote.px_e6,
            qty_e6=quote.qty_e6,
            time_in_force=TimeInForce.GTC,
            post_only=True,
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
            if (refusal := self._first_refusal(intents, now_ns)) is not None:
                self.refusals[(scope[0], refusal)] += 1
                continue
            commands = (PlanBasket(scope[0], scope[1], plan, basket), *_batches(intents))
            for command in commands:
                self.apply(command, now_ns)
            out += commands

    def _progress(self, scope: Scope, run: BasketRun, seq: int, now_ns: int, out: list[Command]) -> None:
        """Move a basket on once every order of it is answered."""
        orders = [self._order(order_id) for order_id in run.order_ids]
        if any(order.open for order in orders) or now_ns < run.not_before_ts_ns:
            return
        filled = _filled_e6(run, orders)
        surplus = surplus_e6(filled)
        if max(surplus) >= DUST_QTY_E6:
            self._repair(scope, run, filled, surplus, seq, now_ns, out)
            return
        if run.state is BasketState.SENT and not any(filled):
            run.move(BasketState.ABANDONED)
        else:
            run.move(BasketState.COMPLETE if min(filled) else BasketState.UNWOUND)
        del self._open_baskets[scope]

    def _repair(
        self,
        scope: Scope,
        run: BasketRun,
        filled: list[int],
        surplus: list[int],
        seq: int,
        now_ns: int,
        out: list[Command],
    ) -> None:
        book_of, market_of = self._exposure.book, self._exposure.market_of
        if run.attempts >= MAX_ATTEMPTS:
            run.move(BasketState.STRANDED)
            del self._open_baskets[scope]
            out.append(Notify("error", "basket_stranded", f"{run.basket.key}: surplus {surplus}"))
            return
        run.attempts += 1
        run.not_before_ts_ns = now_ns + RETRY_NS
        way = None
        if run.state is not BasketState.UNWINDING and completing_is_better(
            run.basket, filled, surplus, book_of, market_of
        ):
            way = completion(run.basket, filled, book_of, market_of)
        repairs = way[0] if way is not None else unwinding(run.basket, surplus, book_of, market_of)[0]
        plan = plan_id(*scope, seq, "repair", run.basket.key, run.attempts)
        for repair in repairs:
            intent = _repair_intent(plan, scope, run.basket, repair)
            if (refusal := review(intent, self._exposure)) is not None:
                self.refusals[(scope[0], refusal)] += 1
                continue
            out.append(SubmitOrders((intent,)))
            self.apply(out[-1], now_ns)

    # --- common ----------------------------------------------------------------------------------

    def _order(self, client_order_id: str) -> Order:
        order = self._orders.get(client_order_id)
        if order is None:
            raise KeyError(f"basket refers to unknown order {client_order_id}")
        return order

    def _first_refusal(self, intents: tuple[OrderIntent, ...], now_ns: int) -> Refusal | None:
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


def _batches(intents: tuple[OrderIntent, ...]) -> list[SubmitOrders]:
    return [
        SubmitOrders(intents[start : start + MAX_BATCH_ORDERS])
        for start in range(0, len(intents), MAX_BATCH_ORDERS)
    ]


def _merged(commands: list[Command]) -> list[Command]:
    """Return the same commands with all cancels in one, first, and the single orders in full batches."""
    canceled: list[str] = []
    intents: list[OrderIntent] = []
    others: list[Command] = []
    for command in commands:
        match command:
            case CancelOrders(client_order_ids):
                canceled += client_order_ids
            case SubmitOrders(orders):
                intents += orders
            case _:
                others.append(command)
    cancel: list[Command] = [CancelOrders(tuple(canceled), "wish changed")] if canceled else []
    return [*cancel, *others, *_batches(tuple(intents))]


def _basket_intent(plan: str, index: int, scope: Scope, basket: Basket) -> OrderIntent:
    leg = basket.legs[index]
    return leg_intent(
        plan,
        index,
        strategy=scope[0],
        condition_id=leg.condition_id,
        token_id=leg.token_id,
        side=leg.side,
        px_e6=leg.limit_px_e6,
        qty_e6=leg.qty_e6,
        time_in_force=TimeInForce.FOK,
        basket_id=basket.key,
    )


def _repair_intent(plan: str, scope: Scope, basket: Basket, repair: Repair) -> OrderIntent:
    leg = basket.legs[repair.leg]
    return leg_intent(
        plan,
        repair.leg,
        strategy=scope[0],
        condition_id=leg.condition_id,
        token_id=leg.token_id,
        side=repair.side,
        px_e6=repair.px_e6,
        qty_e6=repair.qty_e6,
        time_in_force=TimeInForce.FAK,
        basket_id=basket.key,
    )


def _filled_e6(run: BasketRun, orders: list[Order]) -> list[int]:
    """Return what each leg of the basket holds: purchases less sales."""
    held: dict[str, int] = {}
    for order in orders:
        sign = 1 if order.side is Side.BUY else -1
        held[order.token_id] = held.get(order.token_id, 0) + sign * order.filled_qty_e6
    return [held.get(leg.token_id, 0) for leg in run.basket.legs]
