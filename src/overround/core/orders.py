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

Invariants: an illegal transition raises and changes nothing; a legal but surprising one (a fill after
the cancellation was reported) says where it was seen; terminal states never become open again, but a
late fill still counts, because money moved.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from overround.core.commands import OrderIntent, TimeInForce
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


S = OrderState
T = Trigger

TERMINAL: Final = frozenset({S.FILLED, S.CANCELED, S.REFUSED})

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
}
"""Every ordinary transition."""

SURPRISING: Final[dict[tuple[OrderState, Trigger], tuple[OrderState, str]]] = {
    (S.CANCELED, T.PART_FILLED): (S.CANCELED, "a fill overtaken by its order's cancellation"),
    (S.CANCELED, T.FILLED): (S.CANCELED, "a fill overtaken by its order's cancellation"),
    (S.FILLED, T.PART_FILLED): (
        S.FILLED,
        "price improvement: a budget order received more shares than planned",
    ),
    (S.FILLED, T.FILLED): (S.FILLED, "price improvement: a budget order received more shares than planned"),
    (S.FILLED, T.ACCEPTED): (S.FILLED, "the fill arrived before the acknowledgement"),
    (S.FILLED, T.CANCEL_REFUSED): (S.FILLED, "the cancel lost the race against the fill"),
    (S.FILLED, T.CANCELED): (S.FILLED, "venue closes a budget order that filled beyond its planned shares"),
    (S.CANCELED, T.CANCEL_REFUSED): (S.CANCELED, "a second cancel of an order already gone"),
    (S.CANCELED, T.ACCEPTED): (S.CANCELED, "the cancellation arrived before the acknowledgement"),
    (S.LIVE, T.ACCEPTED): (S.LIVE, "a fill arrived before the acknowledgement"),
    (S.LIVE, T.CANCEL_REFUSED): (S.LIVE, "a second refusal of the same cancel"),
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
    changed_ts_ns: int = 0
    note: str = ""

    @property
    def client_order_id(self) -> str:
        return self.intent.client_order_id

    @property
    def token_id(self) -> str:
        return self.intent.token_id

    @property
    def side(self) -> Side:
        return self.intent.side

    @property
    def px_e6(self) -> int:
        return self.intent.px_e6

    @property
    def remaining_qty_e6(self) -> int:
        """Quantity that may still trade if the order is open."""
        return max(0, self.intent.qty_e6 - self.filled_qty_e6)

    @property
    def open(self) -> bool:
        """Whether the order may still trade, as far as we know."""
        return self.state not in TERMINAL

    @property
    def cancelable(self) -> bool:
        """Whether asking for a cancellation makes sense: it may trade, and none is under way."""
        return self.state in (OrderState.SENT, OrderState.LIVE, OrderState.DELAYED)

    @property
    def resting(self) -> bool:
        """Whether the order is meant to stay in the book."""
        return self.intent.time_in_force in (TimeInForce.GTC, TimeInForce.GTD)


class Orders:
    """All orders by client id, with the open ones indexed by strategy and token."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._open: dict[tuple[str, str], dict[str, Order]] = {}
        self.surprises: dict[str, int] = {}
        """How often each surprising transition was seen."""

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def __contains__(self, client_order_id: object) -> bool:
        return client_order_id in self._orders

    def get(self, client_order_id: str) -> Order | None:
        """Return the order, or ``None`` if we never made it."""
        return self._orders.get(client_order_id)

    def open_orders(self) -> list[Order]:
        """Return every order that may still trade, oldest first."""
        found = [order for group in self._open.values() for order in group.values()]
        found.sort(key=lambda order: (order.created_ts_ns, order.client_order_id))
        return found

    def open_count(self) -> int:
        """Return how many orders may still trade."""
        return sum(len(group) for group in self._open.values())

    def open_on(self, strategy: str, token_id: str) -> list[Order]:
        """Return the strategy's orders on a token that may still trade."""
        group = self._open.get((strategy, token_id))
        return list(group.values()) if group else []

    def add(self, intent: OrderIntent, ts_ns: int) -> Order:
        """Register an order at the moment its command is issued.

        Raises ``ValueError`` if the id exists: the same plan twice is one plan.
        """
        if intent.client_order_id in self._orders:
            raise ValueError(f"order {intent.client_order_id} exists already")
        order = Order(intent=intent, created_ts_ns=ts_ns, changed_ts_ns=ts_ns)
        self._orders[intent.client_order_id] = order
        self._open.setdefault((intent.strategy, intent.token_id), {})[intent.client_order_id] = order
        return order

    def move(self, order: Order, trigger: Trigger, ts_ns: int) -> None:
        """Move ``order`` by ``trigger``. Raises :class:`IllegalTransition`, in which case nothing changes."""
        state, surprise = next_state(order.state, trigger)
        if surprise is not None:
            self.surprises[surprise] = self.surprises.get(surprise, 0) + 1
            order.note = surprise
        order.state = state
        order.changed_ts_ns = ts_ns
        if state in TERMINAL:
            self._close(order)

    def discard(self, order: Order) -> None:
        """Remove an order that was added but will not be sent after all."""
        self._close(order)
        del self._orders[order.client_order_id]

    def _close(self, order: Order) -> None:
        key = (order.intent.strategy, order.intent.token_id)
        group = self._open.get(key)
        if group is not None:
            group.pop(order.client_order_id, None)
            if not group:
                del self._open[key]

    def fill(self, order: Order, qty_e6: int, usd_e6: int, fee_usd_e6: int, ts_ns: int) -> None:
        """Count a fill and move the order. Raises :class:`IllegalTransition`, in which case nothing changes."""
        whole = order.filled_qty_e6 + qty_e6 >= order.intent.qty_e6
        self.move(order, Trigger.FILLED if whole else Trigger.PART_FILLED, ts_ns)
        order.filled_qty_e6 += qty_e6
        order.filled_usd_e6 += usd_e6
        order.fees_usd_e6 += fee_usd_e6

    def forget_closed_before(self, ts_ns: int) -> int:
        """Drop terminal orders last changed before ``ts_ns`` (the journal keeps them); return how many."""
        old = [cid for cid, order in self._orders.items() if not order.open and order.changed_ts_ns < ts_ns]
        for client_order_id in old:
            del self._orders[client_order_id]
        return len(old)
