"""Commands: everything that can leave the engine, in the imperative.

Each command is a frozen struct in one tagged union, ``Command``. A command is durable in the journal
before anybody carries it out; the world's answer comes back as a fact.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from overround.core.baskets import BasketState
from overround.core.events import Side
from overround.core.strategy import Basket
from overround.core.units import E6


class TimeInForce(StrEnum):
    """How long an order works (venue order types)."""

    GTC = "GTC"
    GTD = "GTD"
    FOK = "FOK"
    FAK = "FAK"


class CommandBase(msgspec.Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """Base of all commands: frozen, tagged with its class name."""


class OrderIntent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One order as we want it, complete before anything is sent.

    ``client_order_id`` is ``plan_id`` plus the leg: the same plan always yields the same ids, so the
    same plan twice is one plan.
    """

    client_order_id: str
    plan_id: str
    strategy: str
    condition_id: str
    token_id: str
    side: Side
    px_e6: int
    qty_e6: int
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    expires_ts_ms: int | None = None
    basket_id: str | None = None
    scope: str = ""
    """The strategy's scope that wants the order: after a restart it is still known who looks after it."""
    budget_usd_e6: int | None = None
    """What a taking purchase may spend, whole cents; ``None`` means price times quantity.

    The venue spends all of it: at better prices than planned it brings more shares (strategy-spec GT-8).
    """

    @property
    def notional_e12(self) -> int:
        """Return the dollars at stake without fee, in millionths of a millionth (exact)."""
        return self.px_e6 * self.qty_e6 if self.budget_usd_e6 is None else self.budget_usd_e6 * E6


class SubmitOrders(CommandBase, frozen=True):
    """Send these orders (at most 15, the venue's batch limit); each stands alone, nothing is atomic."""

    orders: tuple[OrderIntent, ...]


class PlanBasket(CommandBase, frozen=True):
    """Write down that a basket begins, with its certificate; its orders follow in the same batch."""

    strategy: str
    scope: str
    plan_id: str
    basket: Basket


class MoveBasket(CommandBase, frozen=True):
    """Write down that a basket moved on; a journal folds to the same baskets that deciding led to."""

    key: str
    state: BasketState
    attempt: int
    """Attempts to put the basket right so far, this one included."""


class CancelOrders(CommandBase, frozen=True):
    """Cancel these orders."""

    client_order_ids: tuple[str, ...]
    reason: str


class CancelAll(CommandBase, frozen=True):
    """Cancel every order of the account."""

    reason: str


class RequestSnapshot(CommandBase, frozen=True):
    """Fetch fresh books of these tokens; the feed throttles."""

    token_ids: tuple[str, ...]
    reason: str


class Notify(CommandBase, frozen=True):
    """Tell a person."""

    severity: str
    code: str
    text: str


class StopRun(CommandBase, frozen=True):
    """End the process in order."""

    reason: str


Command: TypeAlias = (
    PlanBasket | MoveBasket | SubmitOrders | CancelOrders | CancelAll | RequestSnapshot | Notify | StopRun
)

MAX_BATCH_ORDERS = 15
"""Orders in one batch submission (venue limit)."""
