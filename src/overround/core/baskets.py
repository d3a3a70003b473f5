"""The life of a basket: several orders that are only worth having together.

Theory. The venue has no atomic orders. All legs go out at once, each fill-or-kill; then the basket waits
until every leg is answered for certain (an UNKNOWN leg freezes it: nothing more is sent). What is then
missing or too much is put right by taking, whichever is cheaper: complete the set at today's asks, or
sell what is held at today's bids. Each attempt is bounded, and a basket that cannot be put right is
STRANDED: it says so and leaves the position to a person.

    SENT ─► COMPLETE            every leg filled; what price improvement brought on top is kept, it is free
      │ └─► ABANDONED           nothing filled
      ├──► COMPLETING ─► COMPLETE | UNWINDING
      └──► UNWINDING ──► UNWOUND | COMPLETE (a smaller number of sets) | STRANDED

Limit. Legs are purchases of the same number of shares of different tokens; nothing else is started.

Invariants: the same key is run once; no order is sent while any leg is open; every attempt has its own
plan id, so a restart repeats none; a run changes only by commands that are journaled.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from overround.core.events import Side
from overround.core.strategy import Basket

DUST_QTY_E6: Final = 1_000_000
"""A surplus below one share is kept: selling it costs more than it is worth."""

MAX_ATTEMPTS: Final = 5
"""Attempts to complete or unwind before a basket counts as stranded."""

RETRY_NS: Final = 1_000_000_000
"""Pause between attempts."""


class BasketState(StrEnum):
    """Where a basket is."""

    SENT = "sent"
    COMPLETING = "completing"
    UNWINDING = "unwinding"
    COMPLETE = "complete"
    ABANDONED = "abandoned"
    UNWOUND = "unwound"
    STRANDED = "stranded"


S = BasketState

OPEN_STATES: Final = frozenset({S.SENT, S.COMPLETING, S.UNWINDING})
"""States in which a basket still wants something."""

MOVES: Final[dict[BasketState, frozenset[BasketState]]] = {
    S.SENT: frozenset({S.COMPLETE, S.ABANDONED, S.COMPLETING, S.UNWINDING, S.STRANDED}),
    S.COMPLETING: frozenset({S.COMPLETE, S.COMPLETING, S.UNWINDING, S.UNWOUND, S.STRANDED}),
    S.UNWINDING: frozenset({S.COMPLETE, S.UNWINDING, S.UNWOUND, S.STRANDED}),
}
"""Every legal move; states that are missing are final."""


class BasketRun(msgspec.Struct):
    """One basket under way."""

    strategy: str
    scope: str
    basket: Basket
    plan_id: str
    started_ts_ns: int
    order_ids: list[str]
    state: BasketState = BasketState.SENT
    attempts: int = 0
    not_before_ts_ns: int = 0
    """No attempt before this time."""

    @property
    def open(self) -> bool:
        """Whether the basket still wants something."""
        return self.state in OPEN_STATES

    def move(self, state: BasketState) -> None:
        """Move to ``state``. Raises ``ValueError`` if the table has no such move."""
        if state not in MOVES.get(self.state, frozenset()):
            raise ValueError(f"basket {self.basket.key}: {self.state} cannot become {state}")
        self.state = state


def well_formed(basket: Basket) -> bool:
    """Whether legging can put the basket right: purchases of one size, each of another token."""
    legs = basket.legs
    tokens = {leg.token_id for leg in legs}
    return len(legs) == len(tokens) > 0 and all(
        leg.side is Side.BUY and leg.qty_e6 == legs[0].qty_e6 > 0 for leg in legs
    )


def surplus_e6(filled_e6: Sequence[int]) -> list[int]:
    """Return what each leg holds beyond the complete sets (the least filled leg), in millionths."""
    sets_e6 = min(filled_e6)
    return [held - sets_e6 for held in filled_e6]


def settled_state(run: BasketRun, filled_e6: Sequence[int]) -> BasketState | None:
    """Return the final state of a run whose orders are all answered, ``None`` if it must be put right.

    ``filled_e6`` is what each leg holds (purchases less sales), in millionths of a share.
    """
    if all(held >= leg.qty_e6 for held, leg in zip(filled_e6, run.basket.legs, strict=True)):
        return BasketState.COMPLETE
    if max(surplus_e6(filled_e6)) >= DUST_QTY_E6:
        return None
    if min(filled_e6) >= DUST_QTY_E6:
        return BasketState.COMPLETE
    return BasketState.ABANDONED if run.state is BasketState.SENT else BasketState.UNWOUND
