"""Spread capture: one bid and one ask per market, and the reasons to have none.

Theory. Most calls change nothing, so a call begins by comparing a mark of everything that the quotes
depend on (both touches with their sizes, book states, positions, own orders, metadata) with the last one.
Only a different mark, or a timer that ran out, leads to new prices.

Invariants: no quote unless the books of YES (for the price) and of the quoted token are live, the market's
metadata allow trading and its rules are accepted; a decision replaces the last one, so a reason not to
quote pulls both sides at once. How often a quote may be replaced is passed on as churn limits and
enforced by execution. Soft state is the last mark, the last mid and the window of mids. Knows no venue,
no clock and no other strategy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from overround.core.events import Fact, RulesAcknowledged, Side
from overround.core.market import Market, MarketEvent
from overround.core.strategy import BookView, ChurnLimits, Decision, Finding, OwnOrder, Quote, View
from overround.core.units import format_e6
from overround.strategies.spread_capture.fair_value import (
    NO_ORDERS,
    Ratio,
    clean_best,
    own_quantities,
    weighted_mid,
)
from overround.strategies.spread_capture.guards import FOREVER_NS, JumpWindow, Reason
from overround.strategies.spread_capture.params import SpreadParams
from overround.strategies.spread_capture.quoting import Holding, Touch, quotes

NAME: Final = "spread_capture"
MS_NS: Final = 1_000_000
LISTEN_AGAIN_NS: Final = 1_000 * MS_NS
"""How often a silent connection is listened to again: another market's frame wakes nobody here."""
LAST_MID_NS: Final = 60_000 * MS_NS
"""How long the last mid may stand in while a side of the book is missing (strategy-spec SC-4)."""


class SpreadCapture:
    """Looks after markets; one scope is one market.

    ``params_for`` gives a market's parameters (its event is ``None`` while unknown), or ``None`` to leave it
    alone; it must depend on its arguments alone. ``own_orders_in_books`` says whether the books show our
    own resting orders, as a real venue's do and a recording does not.
    """

    name = NAME

    def __init__(
        self,
        params_for: Callable[[Market, MarketEvent | None], SpreadParams | None],
        *,
        own_orders_in_books: bool = False,
    ) -> None:
        self._params_for = params_for
        self._own_in_books = own_orders_in_books
        self._states: dict[str, _State] = {}

    def scopes(
        self, markets: Mapping[str, Market], events: Mapping[str, MarketEvent]
    ) -> Mapping[str, Sequence[str]]:
        """Return every market to look after with its two tokens."""
        states: dict[str, _State] = {}
        for condition_id, market in markets.items():
            event = events.get(market.event_id) if market.event_id is not None else None
            params = self._params_for(market, event)
            if params is not None and params.enabled:
                state = self._states.get(condition_id)
                if state is None or state.tokens != market.token_ids() or state.params != params:
                    state = _State(condition_id, market.token_ids(), params)
                state.mark = None  # the rules of an event may have changed with its metadata
                states[condition_id] = state
        self._states = states
        return {condition_id: state.tokens for condition_id, state in states.items()}

    def observe(self, fact: Fact, ts_ns: int) -> None:
        """Look again with fresh eyes once a person has accepted changed rules."""
        if isinstance(fact, RulesAcknowledged):
            for state in self._states.values():
                state.mark = None

    def decide(self, view: View, scope: str) -> Decision | None:
        """Return the quotes wanted now, or ``None`` if they are those of the last call."""
        state = self._states.get(scope)
        if state is None:
            return None
        yes_id, no_id = state.tokens
        yes, no = view.book(yes_id), view.book(no_id)
        if yes is None or no is None:
            state.mark = None
            return state.tell(_Wish(Reason.NOT_TRACKED), None, due=False)
        if (revision := view.account_revision) != state.account_revision:
            state.account_revision = revision
            state.account = _Account.of(view, yes_id, no_id)
        account = state.account
        bid_px, ask_px = yes.best_bid_px_e6, yes.best_ask_px_e6
        mark = (
            bid_px,
            ask_px,
            yes.bids.get(bid_px),
            yes.asks.get(ask_px),
            yes.live,
            no.live,
            yes.generation,
            account.holding,
            view.market(scope),
            account.orders,
            # Below a touch that is dust or ours, deeper levels matter too.
            yes.recv_ts_ns if state.deep else 0,
        )
        due = view.ts_ns >= state.recheck_ts_ns
        if mark == state.mark and not due:
            return None
        wish = self._wish(view, state, yes, no)
        if account.orders != state.orders:
            due = True  # execution must compare wishes with reality again
        state.mark, state.orders = (*mark[:-1], yes.recv_ts_ns if state.deep else 0), account.orders
        resting = (*account.yes_orders, *account.no_orders)
        state.recheck_ts_ns = _recheck_ts_ns(wish, resting, view.ts_ns, state.params)
        return state.tell(wish, view.market(scope), due=due)

    def _wish(self, view: View, state: "_State", yes: BookView, no: BookView) -> "_Wish":
        """Return the quotes, or the first reason against them."""
        market, params, now = view.market(state.condition_id), state.params, view.ts_ns
        if market is None:
            return _Wish(Reason.NOT_TRACKED)
        if (refused := _metadata_reason(view, market, params)) is not None:
            return _Wish(refused)
        end_ts_ns = FOREVER_NS
        if market.end_ts_ms is not None:
            end_ts_ns = (market.end_ts_ms - params.halt_before_end_ms) * MS_NS
            if now >= end_ts_ns:
                return _Wish(Reason.ENDING)
        if not yes.live:
            state.window.clear()
            return _Wish(Reason.NOT_LIVE)
        threshold_ns = params.staleness_threshold_ms * MS_NS
        silent_ts_ns = view.heard_ts_ns(yes.token_id) + threshold_ns
        if now >= silent_ts_ns:
            return _Wish(Reason.SILENT, expires_ts_ns=now + LISTEN_AGAIN_NS)
        end_ts_ns = min(end_ts_ns, silent_ts_ns)
        if params.quiet_is_stale:
            quiet_ts_ns = yes.recv_ts_ns + threshold_ns
            if now >= quiet_ts_ns:
                return _Wish(Reason.QUIET)
            end_ts_ns = min(end_ts_ns, quiet_ts_ns)
        if yes.best_bid_px_e6 >= yes.best_ask_px_e6:
            return _Wish(Reason.CROSSED)
        wish = self._priced(view, state, market, yes).until(end_ts_ns)
        if no.live:
            return wish
        # An order needs a true book of its own token, whatever the other one says.
        kept = tuple(quote for quote in wish.quotes if quote.token_id == market.yes.token_id)
        return wish._replace(quotes=kept)

    def _priced(self, view: View, state: "_State", market: Market, yes: BookView) -> "_Wish":
        """Return the quotes on a book that is known to be true, or why its prices forbid them."""
        params, account, now = state.params, state.account, view.ts_ns
        own_bids, own_asks = NO_ORDERS, NO_ORDERS
        if self._own_in_books:
            own_bids, own_asks = own_quantities(account.yes_orders, account.no_orders)
        bid, ask = clean_best(yes, Side.BUY, own_bids), clean_best(yes, Side.SELL, own_asks)
        bid_px, ask_px = bid.px_e6 if bid else None, ask.px_e6 if ask else None
        state.deep = bid_px != yes.best_bid_px_e6 or ask_px != yes.best_ask_px_e6
        if bid is not None and ask is not None:
            if ask.px_e6 - bid.px_e6 > params.max_spread_px_e6:
                return _Wish(Reason.WIDE_SPREAD)
            fair, expires = weighted_mid(bid, ask), FOREVER_NS
            state.last_mid, state.last_mid_ts_ns = fair, now
            # Twice the mid keeps it whole.
            if state.window.add(now, bid.px_e6 + ask.px_e6) >= 2 * params.max_mid_jump_px_e6:
                state.window.clear()
                state.cool_ts_ns = now + params.cooloff_ms * MS_NS
        else:
            expires = state.last_mid_ts_ns + LAST_MID_NS
            if state.last_mid is None or now >= expires:
                return _Wish(Reason.NO_MID)
            fair = state.last_mid
        if now < state.cool_ts_ns:
            return _Wish(Reason.MID_JUMP, expires_ts_ns=state.cool_ts_ns)
        touch = Touch(yes.best_bid_px_e6, yes.best_ask_px_e6, bid_px, ask_px)
        wanted = quotes(market, fair, touch, account.holding, params)
        return _Wish(Reason.QUOTING if wanted else Reason.GUARDED, wanted, expires)


class _Wish(NamedTuple):
    """The outcome of one look; it must be looked at again when it expires."""

    reason: Reason
    quotes: tuple[Quote, ...] = ()
    expires_ts_ns: int = FOREVER_NS

    def until(self, ts_ns: int) -> "_Wish":
        """Return this wish, expiring at ``ts_ns`` if that is earlier."""
        return self if self.expires_ts_ns <= ts_ns else self._replace(expires_ts_ns=ts_ns)


class _Account(NamedTuple):
    """What we hold of one market and what of ours rests there; read again when the account has changed."""

    holding: Holding
    yes_orders: Sequence[OwnOrder] = ()
    no_orders: Sequence[OwnOrder] = ()
    orders: tuple[tuple[tuple[str, int], ...], ...] = ()
    """What of the orders matters: id and remaining size."""

    @classmethod
    def of(cls, view: View, yes_id: str, no_id: str) -> "_Account":
        """Read the account."""
        holding = Holding(
            view.position_e6(yes_id),
            view.position_e6(no_id),
            view.settled_e6(yes_id),
            view.settled_e6(no_id),
        )
        yes, no = view.own_orders(yes_id), view.own_orders(no_id)
        orders = tuple(
            tuple((order.client_order_id, order.remaining_qty_e6) for order in own) for own in (yes, no)
        )
        return cls(holding, yes, no, orders)


class _State:
    """What is remembered of one market between two calls."""

    __slots__ = (
        "_churn", "_churn_tick_e6", "_last", "account", "account_revision", "condition_id", "cool_ts_ns",
        "deep", "last_mid", "last_mid_ts_ns", "mark", "orders", "params", "recheck_ts_ns", "tokens", "window",
    )  # fmt: skip

    def __init__(self, condition_id: str, tokens: tuple[str, str], params: SpreadParams) -> None:
        self.condition_id = condition_id
        self.tokens = tokens
        self.params = params
        self.mark: tuple[object, ...] | None = None
        self.account = _Account(Holding(0, 0, 0, 0))
        self.account_revision = -1
        """The revision at which ``account`` was read."""
        self.orders: tuple[object, ...] = ()
        self.recheck_ts_ns = FOREVER_NS
        self.deep = False
        self.last_mid: Ratio | None = None
        self.last_mid_ts_ns = 0
        self.cool_ts_ns = 0
        self.window = JumpWindow(params.mid_jump_window_ms * MS_NS)
        self._last: _Wish | None = None
        self._churn = ChurnLimits()
        self._churn_tick_e6 = 0

    def tell(self, wish: _Wish, market: Market | None, *, due: bool) -> Decision | None:
        """Return the decision that makes ``wish`` known, or ``None`` if it is already."""
        last, self._last = self._last, wish
        if last is not None and not due and last.reason is wish.reason and last.quotes == wish.quotes:
            return None
        findings = () if last is not None and last.reason is wish.reason else (_finding(wish),)
        recheck = self.recheck_ts_ns if self.recheck_ts_ns < FOREVER_NS else None
        churn = self._churn if market is None else self._limits(market.tick_e6)
        return Decision(quotes=wish.quotes, churn=churn, recheck_ts_ns=recheck, findings=findings)

    def _limits(self, tick_e6: int) -> ChurnLimits:
        if tick_e6 != self._churn_tick_e6:
            self._churn, self._churn_tick_e6 = churn_limits(self.params, tick_e6), tick_e6
        return self._churn


def churn_limits(params: SpreadParams, tick_e6: int) -> ChurnLimits:
    """Return how often execution may replace quotes on a market with this tick."""
    return ChurnLimits(
        min_change_e6=params.min_change_ticks * tick_e6,
        min_lifetime_ns=params.min_quote_lifetime_ms * MS_NS,
        min_requote_interval_ns=params.min_requote_interval_ms * MS_NS,
        replace_window_ns=params.replace_window_ms * MS_NS,
        max_replaces_per_window=params.max_replaces_per_side,
        max_cancels_per_minute=params.max_cancels_per_minute,
    )


def _metadata_reason(view: View, market: Market, params: SpreadParams) -> Reason | None:
    """Return why metadata forbids quotes, or ``None``."""
    if not market.tradable:
        return Reason.NOT_TRADABLE
    if market.fee is None:
        return Reason.FEE_UNKNOWN
    if params.tick_size_px_e6 is not None and market.tick_e6 != params.tick_size_px_e6:
        return Reason.TICK_MISMATCH
    # An event that is not known yet has no texts that could have changed.
    if (
        market.event_id is not None
        and view.event(market.event_id) is not None
        and not view.rules_accepted(market.event_id)
    ):
        return Reason.RULES_CHANGED
    return None


def _recheck_ts_ns(wish: _Wish, own: Sequence[OwnOrder], now: int, params: SpreadParams) -> int:
    """Return when to look again if nothing moves: an expiry, or a quote that churn limits hold back."""
    resting = {(order.token_id, order.side, order.px_e6) for order in own}
    wanted = {(quote.token_id, quote.side, quote.px_e6) for quote in wish.quotes}
    if resting == wanted:
        return wish.expires_ts_ns
    oldest = min((order.created_ts_ns for order in own), default=now)
    grown_up = oldest + params.min_quote_lifetime_ms * MS_NS
    soon = now + max(params.min_requote_interval_ms, 1) * MS_NS
    return min(wish.expires_ts_ns, max(grown_up, soon) if own else soon)


def _finding(wish: _Wish) -> Finding:
    detail = ", ".join(f"{quote.side} {quote.token_id[:8]} {format_e6(quote.px_e6)}" for quote in wish.quotes)
    return Finding(reason=wish.reason.value, size_e6=sum(q.qty_e6 for q in wish.quotes), detail=detail)
