"""The Dutch book: watches every event, and wishes for a basket when a set must pay more than it costs.

Theory. Most looks find nothing, so a look begins with two sums over the best YES prices: asks below one
dollar (long side), bids above one dollar (short side: an ask for NO is a bid for YES). Only if one of
them holds are metadata gates, fees, data checks and sizes looked at, cheapest first.

Invariants: a basket has at most one token per market, so never one market's YES with its NO; its key is a
digest of the exact books it was seen on, so one sight is one key; while orders on the event may
still trade, and for ``cooldown_ms`` after a basket, there is no other. Soft state is the last verdict per
side (findings are reported when they change) and the last basket's time. Knows no venue and no clock.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from overround.core.events import Fact, RulesAcknowledged, Side
from overround.core.market import Market, MarketEvent
from overround.core.strategy import Basket, BookView, Decision, Finding, Leg, View
from overround.core.units import E6, format_e6
from overround.strategies.dutch_book.certify import (
    Sight,
    Verdict,
    contradiction,
    evaluate,
    skewed,
)
from overround.strategies.dutch_book.gate import Gate, read_gate
from overround.strategies.dutch_book.params import DutchParams
from overround.strategies.dutch_book.size import Outcome, Structure
from overround.strategies.dutch_book.terms import Terms

NAME: Final = "dutch_book"
DEAR: Final = frozenset(
    {Verdict.SUB_LOT, Verdict.BELOW_MIN_PROFIT, Verdict.NO_CAPITAL, Verdict.LEGGING_REJECT}
)
"""Verdicts that may take a search over all sizes."""
PAUSE_NS: Final = 50_000_000
"""How long to leave an event alone after such a look, so that a busy one cannot eat the loop."""


class DutchBook:
    """Looks after events; one scope is one event.

    ``params_for`` gives an event's parameters, or ``None`` to leave it alone; it must depend on its
    argument alone. ``on_basket`` is told of each sight that becomes a basket, for reports.
    """

    name = NAME

    def __init__(
        self,
        params_for: Callable[[MarketEvent], DutchParams | None],
        on_basket: Callable[[MarketEvent, Sight, int], None] | None = None,
    ) -> None:
        self._params_for = params_for
        self._on_basket = on_basket
        self._plans: dict[str, _Plan] = {}

    def scopes(
        self, markets: Mapping[str, Market], events: Mapping[str, MarketEvent]
    ) -> Mapping[str, Sequence[str]]:
        """Return every event to look after with the tokens of its markets."""
        plans: dict[str, _Plan] = {}
        for event_id, event in events.items():
            params = self._params_for(event)
            if params is None or not params.enabled:
                continue
            members = tuple(markets.get(condition_id) for condition_id in event.condition_ids)
            plan = self._plans.get(event_id)
            if plan is None or (plan.gate.event, plan.members, plan.params) != (event, members, params):
                plan = _Plan(read_gate(event, markets), members, params, plan)
            plans[event_id] = plan
        self._plans = plans
        return {event_id: plan.tokens for event_id, plan in plans.items()}

    def observe(self, fact: Fact, ts_ns: int) -> None:
        """Look again with fresh eyes once a person has accepted changed rules."""
        if isinstance(fact, RulesAcknowledged) and (plan := self._plans.get(fact.event_id)) is not None:
            plan.forget()

    def decide(self, view: View, scope: str) -> Decision | None:
        """Return a basket, or findings that are news; ``None`` if nothing that matters has changed."""
        plan = self._plans.get(scope)
        if plan is None:
            return None
        if plan.forbidden is not None:
            return None if plan.quiet else plan.report(plan.forbidden)
        asks = bids = 0
        for book in map(view.book, plan.yes_ids):
            if book is None:
                return plan.report(_both(Verdict.NOT_LIVE, "a book is not tracked"))
            asks += book.best_ask_px_e6
            bids += book.best_bid_px_e6
        if asks >= E6 and bids <= E6:
            if plan.quiet:
                return None
            return plan.report(plan.calm(asks, bids))
        if plan.single:
            detail = f"one market's asks sum to {format_e6(asks)}, its bids to {format_e6(bids)}: torn data"
            return plan.report(_both(Verdict.STALE_CROSSED, detail))
        if plan.nothing_new(view, asks, bids):
            return None
        return self._look(view, plan, asks, bids)

    def _look(self, view: View, plan: "_Plan", asks: int, bids: int) -> Decision | None:
        """Return what an apparent gap is worth."""
        seen = plan.stamp(view)
        if seen == plan.acted_on or view.ts_ns < plan.pause_until_ts_ns:
            return None
        long = _no_sight(Structure.LONG, asks) if asks >= E6 else self._side(view, plan, Structure.LONG)
        short = _no_sight(Structure.SHORT, bids) if bids <= E6 else self._side(view, plan, Structure.SHORT)
        for sight in (long, short):
            if sight.acted_on:
                plan.acted_on = seen
                return self._act(view, plan, sight, (long, short))
        if Verdict.COOLDOWN in {long.verdict, short.verdict}:
            return plan.report((long, short), plan.ready_ts_ns)
        if not DEAR.isdisjoint((long.verdict, short.verdict)):
            plan.pause_until_ts_ns = view.ts_ns + PAUSE_NS
            return plan.report((long, short), plan.pause_until_ts_ns)
        return plan.report((long, short))

    def _side(self, view: View, plan: "_Plan", structure: Structure) -> Sight:
        """Return the first reason against one side of an event with an apparent gap, or its certificate."""
        params, gate, terms = plan.params, plan.gate, plan.terms[structure]
        if terms.refusal is not None:
            return Sight(structure, terms.refusal.verdict, terms.refusal.detail)
        bound = terms.bound(view, plan.yes_ids)
        if bound is None:
            return Sight(structure, Verdict.NOT_LIVE, "a book is not tracked")
        if bound.verdict is not None:
            return Sight(structure, bound.verdict, bound.detail)
        books = plan.books(view)
        if books is None:
            return Sight(structure, Verdict.NOT_LIVE, "a book is not tracked")
        if not view.rules_accepted(gate.event.event_id):
            return Sight(structure, Verdict.RULES_CHANGED, "resolution texts changed")
        if (untrue := _untrue(structure, plan, books, view.ts_ns)) is not None:
            return untrue
        if any(view.own_orders(token_id) for token_id in plan.tokens):
            return Sight(structure, Verdict.BASKET_OPEN)
        if view.ts_ns < plan.ready_ts_ns:
            return Sight(structure, Verdict.COOLDOWN)
        outcomes = plan.outcomes(view, structure, books)
        if outcomes is None:
            return Sight(structure, Verdict.NOT_LIVE, "metadata is changing")
        return evaluate(structure, outcomes, params, view.free_cash_e6(), gate.left_out, terms.granted)

    def _act(self, view: View, plan: "_Plan", sight: Sight, both: tuple[Sight, Sight]) -> Decision | None:
        """Return the decision to trade."""
        basket = _basket(view, plan, sight)
        if basket.key == plan.last_key:
            return None
        plan.last_key = basket.key
        plan.ready_ts_ns = view.ts_ns + plan.params.cooldown_ms * 1_000_000
        if self._on_basket is not None:
            self._on_basket(plan.gate.event, sight, view.ts_ns)
        # A basket is news each time, even if the verdict before was the same.
        return Decision(baskets=(basket,), findings=plan.findings(both, forced=sight.structure))


class _Plan:
    """What is known of one event between two changes of metadata."""

    __slots__ = (
        "_calm", "_reported", "acted_on", "forbidden", "gate", "last_key", "members", "params",
        "pause_until_ts_ns", "quiet", "ready_ts_ns", "single", "terms", "tokens", "yes_ids",
    )  # fmt: skip

    def __init__(
        self, gate: Gate, members: tuple[Market | None, ...], params: DutchParams, old: "_Plan | None"
    ) -> None:
        self.gate = gate
        self.params = params
        self.members = members
        self.tokens = tuple(token for market in members if market for token in market.token_ids())
        refusal = gate.short_refusal
        self.single = refusal is not None and refusal.verdict is Verdict.X1_SINGLE_MARKET
        # One market is watched through both of its books: their sum is the cheapest alarm of torn data.
        self.yes_ids = self.tokens if self.single else tuple(market.yes.token_id for market in gate.legs)
        # What forbids the short side forbids both.
        self.forbidden = _both(refusal.verdict, refusal.detail) if refusal and not self.single else None
        self.terms = {structure: Terms(structure, gate, params) for structure in Structure}
        calm = refusal.verdict if refusal else Verdict.NO_GAP
        self._calm = (calm, calm)
        self.last_key: str = old.last_key if old else ""
        """Key of the last basket."""
        self.ready_ts_ns: int = old.ready_ts_ns if old else 0
        """When the cooldown after the last basket is over."""
        self.pause_until_ts_ns = 0
        """Until when an event that was refused after a dear look is left alone."""
        self.acted_on: tuple[object, ...] = ()
        """The books that the last basket was seen on."""
        self._reported: tuple[Verdict | None, Verdict | None] = (None, None)
        self.quiet = False
        """Whether the last report is what prices without a gap give."""

    def calm(self, asks: int, bids: int) -> tuple[Sight, Sight]:
        """Return what is to be said while prices show no gap."""
        if self.single:
            return _both(Verdict.X1_SINGLE_MARKET, "one market's two tokens share one book")
        return _no_sight(Structure.LONG, asks), _no_sight(Structure.SHORT, bids)

    def nothing_new(self, view: View, asks: int, bids: int) -> bool:
        """Whether apparent gaps are refused for the reasons last reported, judged by prices alone."""
        for structure, gap, last in (
            (Structure.LONG, asks < E6, self._reported[0]),
            (Structure.SHORT, bids > E6, self._reported[1]),
        ):
            verdict: Verdict | None = Verdict.NO_GAP
            if gap:
                terms = self.terms[structure]
                if terms.refusal is not None:
                    verdict = terms.refusal.verdict
                else:
                    bound = terms.bound(view, self.yes_ids)
                    verdict = None if bound is None else bound.verdict
            if verdict is None or verdict is not last:
                return False
        return True

    def forget(self) -> None:
        """Report everything again."""
        self._reported = (None, None)
        self.quiet = False

    def report(self, sights: tuple[Sight, Sight], recheck_ts_ns: int | None = None) -> Decision | None:
        """Return a decision without wishes if a verdict changed or a time is to be waited for."""
        findings = self.findings(sights)
        if not findings and recheck_ts_ns is None:
            return None
        return Decision(findings=findings, recheck_ts_ns=recheck_ts_ns)

    def findings(self, sights: tuple[Sight, Sight], forced: Structure | None = None) -> tuple[Finding, ...]:
        """Return the sights whose verdict is not the last one reported, and remember them."""
        news = tuple(
            _finding(sight)
            for sight, last in zip(sights, self._reported, strict=True)
            if sight.verdict is not last or sight.structure is forced
        )
        self._reported = (sights[0].verdict, sights[1].verdict)
        self.quiet = self._reported == self._calm
        return news

    def stamp(self, view: View) -> tuple[object, ...]:
        """Return what changes whenever a book of the event does."""
        books = [view.book(token_id) for token_id in self.yes_ids]
        return tuple((book.recv_ts_ns, book.snapshot_seq, book.live) if book else None for book in books)

    def books(self, view: View) -> list[tuple[BookView, BookView]] | None:
        """Return YES and NO book of each leg, or ``None`` if one is not tracked."""
        found = []
        for market in self.gate.legs:
            yes, no = view.book(market.yes.token_id), view.book(market.no.token_id)
            if yes is None or no is None:
                return None
            found.append((yes, no))
        return found

    def outcomes(
        self, view: View, structure: Structure, books: Sequence[tuple[BookView, BookView]]
    ) -> list[Outcome] | None:
        """Return the tokens to buy with their books, or ``None`` if a market is not what the gate read."""
        outcomes = []
        for market, (yes, no) in zip(self.gate.legs, books, strict=True):
            now = view.market(market.condition_id)
            if now is None or now.fee is None or not now.tradable:
                return None
            book = yes if structure is Structure.LONG else no
            outcomes.append(
                Outcome(
                    condition_id=now.condition_id,
                    token_id=book.token_id,
                    name=now.title or now.question or now.condition_id,
                    tick_e6=now.tick_e6,
                    min_size_e6=now.min_size_e6,
                    fee=now.fee,
                    asks=book.levels(Side.SELL),
                    bids=book.levels(Side.BUY),
                )
            )
        return outcomes


def _untrue(
    structure: Structure, plan: _Plan, books: Sequence[tuple[BookView, BookView]], ts_ns: int
) -> Sight | None:
    """Return why the books are not to be believed together."""
    for market, (yes, no) in zip(plan.gate.legs, books, strict=True):
        if not (yes.live and no.live):
            return Sight(structure, Verdict.NOT_LIVE, market.title)
        if wrong := contradiction(yes, no):
            return Sight(structure, Verdict.STALE_CROSSED, f"{market.title}: {wrong}")
    if late := skewed([book for pair in books for book in pair], ts_ns, plan.params):
        return Sight(structure, Verdict.STALE_CROSSED, late)
    return None


def _no_sight(structure: Structure, sum_e6: int) -> Sight:
    what = "asks" if structure is Structure.LONG else "bids"
    return Sight(structure, Verdict.NO_GAP, f"best YES {what} sum to {format_e6(sum_e6)}")


def _both(verdict: Verdict, detail: str) -> tuple[Sight, Sight]:
    return Sight(Structure.LONG, verdict, detail), Sight(Structure.SHORT, verdict, detail)


def _finding(sight: Sight) -> Finding:
    sized = sight.certificate.sized if sight.certificate else None
    return Finding(
        reason=sight.verdict.value,
        edge_usd_e6=sized.profit_usd_e6 if sized else 0,
        size_e6=sized.qty_e6 if sized else 0,
        detail=f"{sight.structure}: {sight.detail}" if sight.detail else str(sight.structure),
    )


def _basket(view: View, plan: _Plan, sight: Sight) -> Basket:
    """Return the wish for a certified sight."""
    if sight.certificate is None:
        raise ValueError(f"a sight that is {sight.verdict} must carry its certificate")
    sized = sight.certificate.sized
    legs = tuple(
        Leg(
            condition_id=leg.outcome.condition_id,
            token_id=leg.outcome.token_id,
            side=Side.BUY,
            limit_px_e6=leg.limit_px_e6,
            qty_e6=leg.qty_e6,
            budget_usd_e6=leg.cost_usd_e6,
        )
        for leg in sized.legs
    )
    seen = [plan.gate.event.event_id, str(sight.structure)]
    for leg in legs:
        book = view.book(leg.token_id)
        if book is None:
            raise ValueError(f"token {leg.token_id} was priced without a book")
        seen.append(
            f"{leg.token_id}/{book.generation}/{book.epoch}/{book.snapshot_seq}/{book.exchange_ts_ms}"
            f"/{book.recv_ts_ns}/{leg.limit_px_e6}/{leg.qty_e6}/{leg.budget_usd_e6}"
        )
    return Basket(
        key=sha256("|".join(seen).encode()).hexdigest()[:32],
        legs=legs,
        cost_usd_e6=sized.cost_usd_e6,
        fees_usd_e6=sized.cost_fees_usd_e6,
        profit_usd_e6=sized.profit_usd_e6,
        loss_bound_usd_e6=sized.loss_bound_usd_e6,
        certificate=sight.certificate.states,
    )
