"""Price-time matching of one incoming order against one market's book.

The book is unified: makers are simulated orders on either token plus the world's levels, all in terms
of YES. Whether two orders swap a token, mint a pair or merge one follows from their sides alone.

Rules (protocol sheet 4.6, 4.9; spec 2.1): best price first, then arrival; a maker trades at its own
price, so improvement goes to the taker; a FOK or FAK purchase spends its dollars, hence improvement
brings it more shares. Queue priority and self-trading are undocumented: price-time is assumed, and an
account may trade with itself.

Invariants: planning changes nothing; every comparison is between exact integers. Knows no accounts.
"""

from bisect import insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from overround.core.events import Side
from overround.core.units import E6
from overround.exchange.orders import Order
from overround.exchange.world import Level


class Take(NamedTuple):
    """One piece of a match: from a simulated maker, or from the world (``maker`` is ``None``)."""

    book_px_e6: int
    px_e6: int
    """The price in terms of the taker's token."""
    qty_e6: int
    maker: Order | None


class Plan(NamedTuple):
    """What an incoming order would trade now."""

    takes: tuple[Take, ...]
    whole: bool
    """Whether the order would be done: its shares bought or sold, or its budget spent."""

    @property
    def qty_e6(self) -> int:
        """Shares traded."""
        return sum(take.qty_e6 for take in self.takes)

    @property
    def notional_e12(self) -> int:
        """Exact notional in terms of the taker's token."""
        return sum(take.px_e6 * take.qty_e6 for take in self.takes)


class Resting:
    """The simulated orders that rest in one market, by side of the YES book, in priority."""

    def __init__(self) -> None:
        self._sides: dict[Side, list[tuple[int, int, Order]]] = {Side.BUY: [], Side.SELL: []}

    def __bool__(self) -> bool:
        return any(self._sides.values())

    def side(self, side: Side) -> list[Order]:
        """Return the orders of a side, best price first, then oldest first (a copy)."""
        return [order for _, _, order in self._sides[side]]

    def best_px_e6(self, side: Side) -> int | None:
        """Return the best price of a side in terms of YES, or ``None``."""
        entries = self._sides[side]
        return entries[0][2].book_px_e6 if entries else None

    def add(self, order: Order) -> None:
        """Let an order rest."""
        insort(self._sides[order.book_side], self._entry(order))

    def remove(self, order: Order) -> None:
        """Take an order out. Raises ``ValueError`` if it does not rest here."""
        self._sides[order.book_side].remove(self._entry(order))

    @staticmethod
    def _entry(order: Order) -> tuple[int, int, Order]:
        sign = -1 if order.book_side is Side.BUY else 1
        return sign * order.book_px_e6, order.seq, order


def crosses(book_side: Side, book_px_e6: int, other_px_e6: int) -> bool:
    """Whether an order of ``book_side`` at a price would trade with the opposite side at another."""
    return book_px_e6 >= other_px_e6 if book_side is Side.BUY else book_px_e6 <= other_px_e6


def plan(order: Order, makers: Iterable[Order], world: Iterable[Level]) -> Plan:
    """Return what ``order`` would trade with ``makers`` and ``world``, both best first."""
    takes: list[Take] = []
    budget = order.request.spends_budget
    left = order.request.budget_e12 if budget else order.request.qty_e6
    for book_px_e6, offered_e6, maker in _liquidity(order, makers, world):
        px_e6 = order.own_px_e6(book_px_e6)
        if not order.accepts(px_e6):
            break
        wanted_e6 = left // px_e6 if budget else left
        qty_e6 = min(offered_e6, wanted_e6)
        if qty_e6:
            takes.append(Take(book_px_e6, px_e6, qty_e6, maker))
        if qty_e6 == wanted_e6:
            return Plan(tuple(takes), whole=True)
        left -= px_e6 * qty_e6 if budget else qty_e6
    return Plan(tuple(takes), whole=False)


def _liquidity(
    order: Order, makers: Iterable[Order], world: Iterable[Level]
) -> Iterator[tuple[int, int, Order | None]]:
    """Yield price of YES, quantity, maker; at one price the world ahead of a maker goes first."""
    sign = 1 if order.book_side is Side.BUY else -1
    waiting = list(makers)
    for px_e6, size_e6 in [
        *world,
        (sign * 2 * E6, 0),
    ]:  # the sentinel lets the makers behind the world follow
        while waiting and sign * waiting[0].book_px_e6 < sign * px_e6:
            maker = waiting.pop(0)
            yield maker.book_px_e6, maker.remaining_qty_e6, maker
        used_e6 = 0
        while waiting and waiting[0].book_px_e6 == px_e6:
            maker = waiting.pop(0)
            front_e6 = _ahead_e6(maker, size_e6) - used_e6
            if front_e6 > 0:
                yield px_e6, front_e6, None
                used_e6 += front_e6
            yield px_e6, maker.remaining_qty_e6, maker
        if size_e6 > used_e6:
            yield px_e6, size_e6 - used_e6, None


def _ahead_e6(maker: Order, size_e6: int) -> int:
    """Return how much of a level's available size comes before ``maker``; unknown counts as all."""
    ahead_e6 = maker.queue.ahead_e6
    return size_e6 if ahead_e6 is None else min(ahead_e6, size_e6)
