"""Computed identities: the same plan always has the same ids, so the same plan twice is one plan."""

from hashlib import blake2b
from typing import Final

from overround.core.commands import OrderIntent, TimeInForce
from overround.core.events import Side

_PLAN_BYTES: Final = 8


def plan_id(strategy: str, scope: str, seq: int, *parts: object) -> str:
    """Return 16 hex digits that identify a plan: who, where, at which input, and for what.

    ``seq`` is the sequence number of the batch border at which the plan was made, so two plans of one run
    or of two runs over one journal never share an id unless they are the same plan.
    """
    text = "\x1f".join((strategy, scope, str(seq), *map(str, parts)))
    return blake2b(text.encode(), digest_size=_PLAN_BYTES).hexdigest()


def leg_intent(
    plan: str,
    leg: int,
    *,
    strategy: str,
    condition_id: str,
    token_id: str,
    side: Side,
    px_e6: int,
    qty_e6: int,
    time_in_force: TimeInForce,
    post_only: bool = False,
    basket_id: str | None = None,
) -> OrderIntent:
    """Return the order of one leg of a plan; its client order id is the plan's id plus the leg."""
    return OrderIntent(
        client_order_id=f"{plan}-{leg}",
        plan_id=plan,
        strategy=strategy,
        condition_id=condition_id,
        token_id=token_id,
        side=side,
        px_e6=px_e6,
        qty_e6=qty_e6,
        time_in_force=time_in_force,
        post_only=post_only,
        basket_id=basket_id,
    )
