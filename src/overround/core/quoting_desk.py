"""Wished quotes minus working orders, for one strategy and scope: what to cancel, what to place.

Theory. For every token and side the wished quotes are paired with the orders that still work there. An
order at the wished price and size is kept. One that differs is replaced, cancel first: its place stays
occupied until the venue confirms, so size and capital are never promised twice. Replacing is limited by
the strategy's churn limits; withdrawing is not, because a quote that is no longer wished for is a risk.
Every cancel counts towards the limits, withdrawals too.

Invariants: never more working orders on a token and side than quotes wished at the moment of placing; an
order whose answer is outstanding (SENT, CANCELING, UNKNOWN) occupies its place and is left alone; a change
held back by time says until when (:attr:`QuotingDesk.held_until_ns`), so nobody has to poll.
"""

from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from overround.core.events import Side
from overround.core.orders import Order
from overround.core.strategy import ChurnLimits, Decision, Quote

MINUTE_NS = 60_000_000_000

Place: TypeAlias = tuple[str, Side]
"""Token and side."""


class QuotingDesk:
    """Wishes, churn memory and the difference for one (strategy, scope)."""

    def __init__(self) -> None:
        self.decision = Decision()
        self.places: dict[Place, None] = {}
        """Every token and side ever quoted here, so that withdrawn quotes are found again."""
        self.held_until_ns: int | None = None
        """When the earliest change held back by time becomes possible, ``None`` if none is."""
        self.settled = False
        """Whether the last comparison left nothing undone that a next one might do."""
        self._placed_ns: dict[Place, int] = {}
        self._cancels: deque[tuple[int, Place]] = deque()

    def wish(self, decision: Decision) -> None:
        """Take a new set of wishes in place of the old."""
        self.decision = decision
        for quote in decision.quotes:
            self.places[quote.token_id, quote.side] = None

    def begin(self) -> None:
        """Forget what was held back: all places are about to be compared again."""
        self.held_until_ns = None

    def hold(self, until_ns: int, now_ns: int) -> None:
        """Note that quotes are held back until ``until_ns``."""
        self._held(until_ns, now_ns)

    def difference(
        self, decision: Decision, place: Place, working: Sequence[Order], now_ns: int
    ) -> tuple[list[Order], list[Quote]]:
        """Return the orders to cancel and the quotes to place at ``place``, given its working orders.

        ``decision`` is the wishes to compare with: the desk's own, or none while the gate is closed.
        """
        left = [quote for quote in decision.quotes if (quote.token_id, quote.side) == place]
        differing: list[Order] = []
        for order in working:
            match = next((quote for quote in left if _serves(order, quote)), None)
            if match is None:
                differing.append(order)
            else:
                left.remove(match)
        pairs, unwanted = _paired(left, differing)
        cancels = [order for order in unwanted if not order.awaits_answer]
        for order, quote in pairs:
            left.remove(quote)
            if self._may_replace(decision.churn, place, order, quote, len(cancels), now_ns):
                cancels.append(order)
        if left and self._held(self._interval_end_ns(decision.churn, place), now_ns):
            left = []
        return cancels, left

    def placed(self, place: Place, now_ns: int) -> None:
        """Remember that a quote was placed."""
        self.places[place] = None
        self._placed_ns[place] = now_ns

    def canceled(self, place: Place, now_ns: int) -> None:
        """Remember that a cancel was asked for."""
        horizon_ns = now_ns - max(MINUTE_NS, self.decision.churn.replace_window_ns)
        while self._cancels and self._cancels[0][0] <= horizon_ns:
            self._cancels.popleft()
        self._cancels.append((now_ns, place))

    def _may_replace(
        self, limits: ChurnLimits, place: Place, order: Order, quote: Quote, deciding: int, now_ns: int
    ) -> bool:
        """Whether ``order`` may give way to ``quote``; ``deciding`` cancels are being asked for already."""
        if order.awaits_answer:
            return False
        moved_e6 = abs(order.px_e6 - quote.px_e6)
        if moved_e6 < limits.min_change_e6 and _size_serves(order, quote):
            return False
        ends_ns = (
            order.created_ts_ns + limits.min_lifetime_ns,
            self._interval_end_ns(limits, place),
            self._window_end_ns(limits, place, deciding, now_ns),
            self._minute_end_ns(limits, deciding, now_ns),
        )
        return not self._held(max(ends_ns), now_ns)

    def _interval_end_ns(self, limits: ChurnLimits, place: Place) -> int:
        last_ns = self._placed_ns.get(place)
        return 0 if last_ns is None else last_ns + limits.min_requote_interval_ns

    def _window_end_ns(self, limits: ChurnLimits, place: Place, deciding: int, now_ns: int) -> int:
        window_ns = limits.replace_window_ns
        past = [at_ns for at_ns, where in self._cancels if where == place and at_ns > now_ns - window_ns]
        return _budget_end_ns(past, deciding, limits.max_replaces_per_window, window_ns, now_ns)

    def _minute_end_ns(self, limits: ChurnLimits, deciding: int, now_ns: int) -> int:
        past = [at_ns for at_ns, _ in self._cancels if at_ns > now_ns - MINUTE_NS]
        return _budget_end_ns(past, deciding, limits.max_cancels_per_minute, MINUTE_NS, now_ns)

    def _held(self, until_ns: int, now_ns: int) -> bool:
        if until_ns <= now_ns:
            return False
        self.held_until_ns = until_ns if self.held_until_ns is None else min(self.held_until_ns, until_ns)
        return True


def _paired(
    quotes: Sequence[Quote], orders: Sequence[Order]
) -> tuple[list[tuple[Order, Quote]], list[Order]]:
    """Return each quote's nearest order, as long as there are any, and the orders that are left over.

    Orders that cannot be moved now (their answer is outstanding) are paired first: they occupy a place.
    """
    rest = sorted(orders, key=lambda order: not order.awaits_answer)
    pairs: list[tuple[Order, Quote]] = []
    for quote in quotes:
        if not rest:
            break
        key = [(not order.awaits_answer, abs(order.px_e6 - quote.px_e6)) for order in rest]
        pairs.append((rest.pop(key.index(min(key))), quote))
    return pairs, rest


def _serves(order: Order, quote: Quote) -> bool:
    """Whether a working order is what the quote wants."""
    return not order.awaits_answer and order.px_e6 == quote.px_e6 and _size_serves(order, quote)


def _size_serves(order: Order, quote: Quote) -> bool:
    """Whether the order's rest is not more than wished, and at least half of it."""
    return order.remaining_qty_e6 <= quote.qty_e6 <= order.remaining_qty_e6 * 2


def _budget_end_ns(past: Sequence[int], deciding: int, most: int, window_ns: int, now_ns: int) -> int:
    """Return when one more cancel fits a budget of ``most`` (0: no limit) per window; 0 if it does now."""
    if not most or len(past) + deciding < most:
        return 0
    # The oldest ones leave the window first; those being decided now leave it last.
    leaving = len(past) + deciding - most
    return (past[leaving] if leaving < len(past) else now_ns) + window_ns
