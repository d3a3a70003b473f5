"""Wished quotes minus working orders, for one strategy and scope: what to cancel, what to place.

Theory. For every token and side the wished quotes are compared with the orders that still work there. An
order at the wished price and size is kept. One that differs is replaced, cancel first: its place stays
occupied until the venue confirms, so size and capital are never promised twice. Replacing is limited by
the strategy's churn limits; withdrawing is not, because a quote that is no longer wished for is a risk.

Invariants: never more working orders on a token and side than quotes wished; an UNKNOWN or CANCELING
order occupies its place.
"""

from collections import deque
from collections.abc import Sequence

from overround.core.events import Side
from overround.core.orders import Order, OrderState
from overround.core.strategy import ChurnLimits, Decision, Quote

MINUTE_NS = 60_000_000_000

Place = tuple[str, Side]
"""Token and side."""


class QuotingDesk:
    """Churn memory and the difference for one (strategy, scope)."""

    def __init__(self) -> None:
        self.decision = Decision()
        self.places: dict[Place, None] = {}
        """Every token and side ever quoted here, so that withdrawn quotes are found again."""
        self._replaced_ns: dict[Place, deque[int]] = {}
        self._placed_ns: dict[Place, int] = {}
        self._canceled_ns: deque[int] = deque()

    def wish(self, decision: Decision) -> None:
        """Take a new set of wishes in place of the old."""
        self.decision = decision
        for quote in decision.quotes:
            self.places[(quote.token_id, quote.side)] = None

    def difference(
        self, decision: Decision, place: Place, working: Sequence[Order], now_ns: int
    ) -> tuple[list[Order], list[Quote]]:
        """Return the orders to cancel and the quotes to place at ``place``, given its working orders.

        ``decision`` is the wishes to compare with: the desk's own, or none while the gate is closed.
        """
        wished = [quote for quote in decision.quotes if (quote.token_id, quote.side) == place]
        left = list(wished)
        differing: list[Order] = []
        for order in working:
            match = next((quote for quote in left if _serves(order, quote)), None)
            if match is not None:
                left.remove(match)
            else:
                differing.append(order)
        cancels: list[Order] = []
        for order in differing:
            if order.state in (OrderState.CANCELING, OrderState.UNKNOWN):
                continue
            replacement = min(left, key=lambda quote: abs(quote.px_e6 - order.px_e6), default=None)
            if replacement is None or self._may_replace(place, order, replacement, now_ns):
                cancels.append(order)
                if replacement is not None:
                    self._replaced_ns.setdefault(place, deque()).append(now_ns)
                    self._canceled_ns.append(now_ns)
        free = len(wished) - len(working)
        places = left[: max(0, free)]
        if places and not self._interval_over(place, now_ns):
            places = []
        return cancels, places

    def placed(self, place: Place, now_ns: int) -> None:
        """Remember that a quote was placed (for the requote interval)."""
        self._placed_ns[place] = now_ns

    def next_change_ns(self, now_ns: int) -> int | None:
        """Return when a held-back change may become possible, ``None`` if nothing is held back by time."""
        limits = self.decision.churn
        waits = [ns for ns in (limits.min_lifetime_ns, limits.min_requote_interval_ns) if ns]
        return now_ns + min(waits) if waits else None

    def _interval_over(self, place: Place, now_ns: int) -> bool:
        last = self._placed_ns.get(place)
        return last is None or now_ns - last >= self.decision.churn.min_requote_interval_ns

    def _may_replace(self, place: Place, order: Order, quote: Quote, now_ns: int) -> bool:
        limits = self.decision.churn
        moved = abs(order.px_e6 - quote.px_e6)
        if moved < limits.min_change_e6 and order.remaining_qty_e6 >= quote.qty_e6 // 2:
            return False
        if now_ns - order.created_ts_ns < limits.min_lifetime_ns:
            return False
        return self._within_budget(place, limits, now_ns)

    def _within_budget(self, place: Place, limits: ChurnLimits, now_ns: int) -> bool:
        if limits.max_replaces_per_window:
            window = self._replaced_ns.setdefault(place, deque())
            _forget(window, now_ns - limits.replace_window_ns)
            if len(window) >= limits.max_replaces_per_window:
                return False
        if limits.max_cancels_per_minute:
            _forget(self._canceled_ns, now_ns - MINUTE_NS)
            return len(self._canceled_ns) < limits.max_cancels_per_minute
        return True


def _serves(order: Order, quote: Quote) -> bool:
    """Whether a working order is what the quote wants: same price, and not more shares than wished."""
    return (
        order.state is not OrderState.CANCELING
        and order.px_e6 == quote.px_e6
        and order.remaining_qty_e6 <= quote.qty_e6
        and order.remaining_qty_e6 * 2 >= quote.qty_e6
    )


def _forget(window: deque[int], before_ns: int) -> None:
    while window and window[0] <= before_ns:
        window.popleft()
