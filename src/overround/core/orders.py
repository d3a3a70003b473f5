"""Our orders and the one table of how they move.

Theory. An order is born by our own command (SENT) and from then on only facts move it. What the venue
did is either known (LIVE, DELAYED, FILLED, CANCELED, REFUSED) or not (SENT until answered, UNKNOWN when
the answer is lost). UNKNOWN is a state, not an error: the order may rest or have traded, it counts
against every limit, and it is never sent again. A cancel is a wish of ours (CANCELING) that may lose the
race against a fill, so CANCELING can return to LIVE, or end FILLED.

    SENT ──accepted──► LIVE ──filled──► FILLED
     │ │                │ ▲
     │ └─unknown─► UNKNOWN │ cancel refused
     │                  ▼ │
     └─refused─► REFUSED CANCELING ──canceled──► CANCELED

Facts reach us over two roads (the answer to a request, the account's stream), so any two of them may
arrive in the wrong order or twice; those pairs are SURPRISING, not illegal.

Invariants: an illegal transition raises and changes nothing; a legal but surprising one says what it
means and is counted; terminal states never become open again, but a late fill still counts, because
money moved.
"""

from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from overround.core.commands import OrderIntent
from overround.core.events import Side


class OrderState(StrEnum):
    """Where an order is."""

    SENT = "sent"
    LIVE = "live"
    DELAYED = "delayed"
    CANCELING = "canceling"
    UNKNOWN = "unknown"
    FILLED = "filled"
    CANCELED = "canceled"
    REFUSED = "refused"


class Trigger(StrEnum):
    """What can happen to an order."""

    ACCEPTED = "accepted"
    DELAYED = "delayed"
    REFUSED = "refused"
    LOST = "lost"
    PART_FILLED = "part_filled"
    FILLED = "filled"
    CANCEL_SENT = "cancel_sent"
    CANCEL_REFUSED = "cancel_refused"
    CANCELED = "canceled"


CENT_USD_E6: Final = 10_000
"""Budgets are whole cents."""

S = OrderState
T = Trigger

TERMINAL: Final = frozenset({S.FILLED, S.CANCELED, S.REFUSED})
"""States in which an order can no longer trade."""

AWAITING: Final = frozenset({S.SENT, S.CANCELING, S.UNKNOWN})
"""States in which the venue owes us an answer."""

TRANSITIONS: Final[dict[tuple[OrderState, Trigger], OrderState]] = {
    (S.SENT, T.ACCEPTED): S.LIVE,
    (S.SENT, T.DELAYED): S.DELAYED,
    (S.SENT, T.REFUSED): S.REFUSED,
    (S.SENT, T.LOST): S.UNKNOWN,
    (S.SENT, T.PART_FILLED): S.LIVE,
    (S.SENT, T.FILLED): S.FILLED,
    (S.SENT, T.CANCELED): S.CANCELED,
    (S.SENT, T.CANCEL_SENT): S.CANCELING,
    (S.LIVE, T.PART_FILLED): S.LIVE,
    (S.LIVE, T.FILLED): S.FILLED,
    (S.LIVE, T.CANCEL_SENT): S.CANCELING,
    (S.LIVE, T.CANCELED): S.CANCELED,
    (S.DELAYED, T.ACCEPTED): S.LIVE,
    (S.DELAYED, T.PART_FILLED): S.LIVE,
    (S.DELAYED, T.FILLED): S.FILLED,
    (S.DELAYED, T.REFUSED): S.REFUSED,
    (S.DELAYED, T.CANCELED): S.CANCELED,
    (S.DELAYED, T.CANCEL_SENT): S.CANCELING,
    (S.CANCELING, T.ACCEPTED): S.CANCELING,
    (S.CANCELING, T.DELAYED): S.CANCELING,
    (S.CANCELING, T.REFUSED): S.REFUSED,
    (S.CANCELING, T.LOST): S.UNKNOWN,
    (S.CANCELING, T.PART_FILLED): S.CANCELING,
    (S.CANCELING, T.FILLED): S.FILLED,
    (S.CANCELING, T.CANCELED): S.CANCELED,
    (S.CANCELING, T.CANCEL_REFUSED): S.LIVE,
    (S.CANCELING, T.CANCEL_SENT): S.CANCELING,
    (S.UNKNOWN, T.ACCEPTED): S.LIVE,
    (S.UNKNOWN, T.DELAYED): S.DELAYED,
    (S.UNKNOWN, T.REFUSED): S.REFUSED,
    (S.UNKNOWN, T.PART_FILLED): S.UNKNOWN,
    (S.UNKNOWN, T.FILLED): S.FILLED,
    (S.UNKNOWN, T.CANCELED): S.CANCELED,
    (S.UNKNOWN, T.CANCEL_SENT): S.UNKNOWN,
    (S.UNKNOWN, T.LOST): S.UNKNOWN,
    (S.UNKNOWN, T.CANCEL_REFUSED): S.UNKNOWN,
}
"""Every ordinary transition."""

_IMPROVED: Final = "price improvement: a budget order received more shares than planned"
_LATE_FILL: Final = "a fill overtaken by its order's cancellation"
_LATE_ANSWER: Final = "the submission's answer was overtaken by a later fact"
_TWICE: Final = "the venue said it twice, or answered a second cancel of an order already gone"
_NOT_REFUSED: Final = "a fill of an order that the venue had refused: money moved, so it counts"

SURPRISING: Final[dict[tuple[OrderState, Trigger], tuple[OrderState, str]]] = {
    (S.LIVE, T.ACCEPTED): (S.LIVE, _LATE_ANSWER),
    (S.LIVE, T.DELAYED): (S.LIVE, _LATE_ANSWER),
    (S.LIVE, T.REFUSED): (S.REFUSED, _LATE_ANSWER),
    (S.LIVE, T.LOST): (S.UNKNOWN, _LATE_ANSWER),
    (S.LIVE, T.CANCEL_REFUSED): (S.LIVE, _TWICE),
    (S.DELAYED, T.DELAYED): (S.DELAYED, _TWICE),
    (S.DELAYED, T.LOST): (S.UNKNOWN, _LATE_ANSWER),
    (S.DELAYED, T.CANCEL_REFUSED): (S.DELAYED, _TWICE),
    (S.FILLED, T.ACCEPTED): (S.FILLED, _LATE_ANSWER),
    (S.FILLED, T.DELAYED): (S.FILLED, _LATE_ANSWER),
    (S.FILLED, T.LOST): (S.FILLED, _LATE_ANSWER),
    (S.FILLED, T.PART_FILLED): (S.FILLED, _IMPROVED),
    (S.FILLED, T.FILLED): (S.FILLED, _IMPROVED),
    (S.FILLED, T.CANCEL_REFUSED): (S.FILLED, "the cancel lost the race against the fill"),
    (S.FILLED, T.CANCELED): (S.FILLED, "the venue closed a budget order that filled beyond its plan"),
    (S.CANCELED, T.ACCEPTED): (S.CANCELED, _LATE_ANSWER),
    (S.CANCELED, T.DELAYED): (S.CANCELED, _LATE_ANSWER),
    (S.CANCELED, T.REFUSED): (S.CANCELED, _LATE_ANSWER),
    (S.CANCELED, T.LOST): (S.CANCELED, _LATE_ANSWER),
    (S.CANCELED, T.PART_FILLED): (S.CANCELED, _LATE_FILL),
    (S.CANCELED, T.FILLED): (S.CANCELED, _LATE_FILL),
    (S.CANCELED, T.CANCELED): (S.CANCELED, _TWICE),
    (S.CANCELED, T.CANCEL_REFUSED): (S.CANCELED, _TWICE),
    (S.REFUSED, T.CANCELED): (S.REFUSED, _TWICE),
    (S.REFUSED, T.CANCEL_REFUSED): (S.REFUSED, _TWICE),
    (S.REFUSED, T.PART_FILLED): (S.REFUSED, _NOT_REFUSED),
    (S.REFUSED, T.FILLED): (S.REFUSED, _NOT_REFUSED),
}
"""Legal but worth knowing: the next state, and where it was seen."""


class IllegalTransition(Exception):
    """A fact does not fit the order's state. This is a bug of ours or of the venue's; nothing was changed."""


def next_state(state: OrderState, trigger: Trigger) -> tuple[OrderState, str | None]:
    """Return the state after ``trigger`` and, for a surprising transition, its explanation.

    Raises:
        IllegalTransition: if the table has no such transition.
    """
    if (ordinary := TRANSITIONS.get((state, trigger))) is not None:
        return ordinary, None
    if (surprising := SURPRISING.get((state, trigger))) is not None:
        return surprising
    raise IllegalTransition(f"{trigger} in state {state}")


class Order(msgspec.Struct):
    """One order: what was wanted, what happened so far. Mutated only by :class:`Orders`."""

    intent: OrderIntent
    created_ts_ns: int
    state: OrderState = OrderState.SENT
    venue_order_id: str = ""
    filled_qty_e6: int = 0
    filled_usd_e6: int = 0
    fees_usd_e6: int = 0
    failed_qty_e6: int = 0
    """Part of ``filled_qty_e6`` whose settlement failed: shares that we do not have."""
    changed_ts_ns: int = 0
    note: str = ""

    @property
    def client_order_id(self) -> str:
        """Our own id: the plan's id plus the leg."""
        return self.intent.client_order_id

    @property
    def token_id(self) -> str:
        """The token bought or sold."""
        return self.intent.token_id

    @property
    def side(self) -> Side:
        """Whether it buys or sells."""
        return self.intent.side

    @property
    def px_e6(self) -> int:
        """Limit price in millionths of a dollar per share."""
        return self.intent.px_e6

    @property
    def remaining_qty_e6(self) -> int:
        """Millionths of a share that may still trade if the order is open."""
        return max(0, self.intent.qty_e6 - self.filled_qty_e6)

    @property
    def open(self) -> bool:
        """Whether the order may still trade, as far as we know."""
        return self.state not in TERMINAL

    @property
    def awaits_answer(self) -> bool:
        """Whether the venue owes us a word about it, so that asking for more makes no sense."""
        return self.state in AWAITING


class Orders:
    """All orders by client id, with the open ones indexed by token."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        self._open_by_token: dict[str, dict[str, Order]] = {}
        self.surprises: dict[str, int] = {}
        """How often each surprising transition was seen."""
        self.revision = 0
        """Another number whenever an order was added, moved, filled or removed."""

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def __contains__(self, client_order_id: object) -> bool:
        return client_order_id in self._orders

    def get(self, client_order_id: str) -> Order | None:
        """Return the order, or ``None`` if we never made it."""
        return self._orders.get(client_order_id)

    def known(self, client_order_id: str) -> Order:
        """Return the order. Raises ``KeyError`` if we never made it."""
        order = self._orders.get(client_order_id)
        if order is None:
            raise KeyError(f"order {client_order_id} is not one of ours")
        return order

    def open_orders(self) -> list[Order]:
        """Return every order that may still trade, oldest first."""
        return sorted(self._open.values(), key=lambda order: (order.created_ts_ns, order.client_order_id))

    def open_count(self) -> int:
        """Return how many orders may still trade."""
        return len(self._open)

    def open_on(self, strategy: str, token_id: str) -> list[Order]:
        """Return the strategy's orders on a token that may still trade, oldest first."""
        group = self._open_by_token.get(token_id)
        return [order for order in group.values() if order.intent.strategy == strategy] if group else []

    def open_on_token(self, token_id: str) -> list[Order]:
        """Return all orders on a token that may still trade, oldest first."""
        group = self._open_by_token.get(token_id)
        return list(group.values()) if group else []

    def add(self, intent: OrderIntent, ts_ns: int) -> Order:
        """Register an order at the moment its command is issued.

        Raises ``ValueError`` if the id exists: the same plan twice is one plan.
        """
        key = intent.client_order_id
        if key in self._orders:
            raise ValueError(f"order {key} exists already")
        order = Order(intent=intent, created_ts_ns=ts_ns, changed_ts_ns=ts_ns)
        self.revision += 1
        self._orders[key] = self._open[key] = order
        self._open_by_token.setdefault(intent.token_id, {})[key] = order
        return order

    def move(self, order: Order, trigger: Trigger, ts_ns: int) -> None:
        """Move ``order`` by ``trigger``. Raises :class:`IllegalTransition`, in which case nothing changes."""
        state, surprise = next_state(order.state, trigger)
        if surprise is not None:
            self.surprises[surprise] = self.surprises.get(surprise, 0) + 1
            order.note = surprise
        order.state = state
        order.changed_ts_ns = ts_ns
        self.revision += 1
        if state in TERMINAL:
            self._close(order)

    def fill(self, order: Order, qty_e6: int, usd_e6: int, fee_usd_e6: int, ts_ns: int) -> None:
        """Count a fill (shares, dollars and fee in millionths) and move the order.

        Raises :class:`IllegalTransition`, in which case nothing changes.
        """
        whole = order.filled_qty_e6 + qty_e6 >= order.intent.qty_e6 or _budget_spent(
            order.intent, order.filled_usd_e6 + usd_e6
        )
        self.move(order, Trigger.FILLED if whole else Trigger.PART_FILLED, ts_ns)
        order.filled_qty_e6 += qty_e6
        order.filled_usd_e6 += usd_e6
        order.fees_usd_e6 += fee_usd_e6

    def forget_closed(self, before_ns: int, kept: Collection[str]) -> None:
        """Drop orders that ended before ``before_ns``, but for ``kept``; the journal has them for ever."""
        old = [
            key
            for key, order in self._orders.items()
            if not order.open and order.changed_ts_ns < before_ns and key not in kept
        ]
        for key in old:
            del self._orders[key]

    def discard(self, order: Order) -> None:
        """Remove an order that was added but will not be sent after all."""
        self.revision += 1
        self._close(order)
        del self._orders[order.client_order_id]

    def _close(self, order: Order) -> None:
        key = order.client_order_id
        if self._open.pop(key, None) is None:
            return
        group = self._open_by_token[order.token_id]
        del group[key]
        if not group:
            del self._open_by_token[order.token_id]


def _budget_spent(intent: OrderIntent, usd_e6: int) -> bool:
    """Whether ``usd_e6`` is a budget order's whole budget, but for less than the cent it is counted in."""
    return intent.budget_usd_e6 is not None and usd_e6 + CENT_USD_E6 > intent.budget_usd_e6
