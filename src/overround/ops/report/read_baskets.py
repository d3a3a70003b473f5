"""Reads what became of a run's baskets: outcome, money, and what they must pay in the end.

Theory. A basket holds one token per market of one event, of which at most one resolves YES. If outcome i
wins, YES of i pays its shares and so does NO of every other outcome; the smallest such sum over the legs
is what the basket pays for certain. That no other outcome can win (all YES) was the strategy's condition
for buying; if anything else wins, a set of NO pays more, never less.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from overround.core.baskets import DUST_QTY_E6
from overround.core.orders import OrderState
from overround.core.strategy import Leg
from overround.ops.report.model import BasketLine
from overround.storage.schema import baskets, opportunities, orders, outcomes

FINAL_STATES: Final = frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.REFUSED})
UNGUARANTEED: Final = "other_allowed"
"""Reason of baskets that an unlisted outcome can ruin."""


def read_baskets(connection: Connection, run_id: str, since: int) -> list[BasketLine]:
    """Return the baskets planned since ``since`` (ms), oldest first."""
    yes_tokens = {
        row.token_id
        for row in connection.execute(select(outcomes.c.token_id).where(outcomes.c.outcome_index == 0))
    }
    risky = set(
        connection.execute(
            select(opportunities.c.event_id).where(
                opportunities.c.run_id == run_id, opportunities.c.reason == UNGUARANTEED
            )
        ).scalars()
    )
    of_basket: dict[str, list[Mapping[str, Any]]] = {}
    query = select(orders).where(orders.c.basket_id.is_not(None), orders.c.created_ms >= since)
    for row in connection.execute(query).mappings():
        of_basket.setdefault(row["basket_id"], []).append(dict(row))
    planned = connection.execute(
        select(baskets).where(baskets.c.planned_ms >= since).order_by(baskets.c.planned_ms)
    ).mappings()
    return [
        _line(dict(row), of_basket.get(row["basket_id"], []), yes_tokens, risky=row["event_id"] in risky)
        for row in planned
    ]


def _line(
    basket: Mapping[str, Any], placed: Sequence[Mapping[str, Any]], yes_tokens: set[str], *, risky: bool
) -> BasketLine:
    legs = msgspec.json.decode(basket["legs"], type=list[Leg])
    held = dict.fromkeys((leg.token_id for leg in legs), 0)
    cost_usd_e6 = fee_usd_e6 = 0
    for order in placed:
        sign = 1 if order["side"] == "BUY" else -1
        held[order["token_id"]] += sign * order["filled_qty_e6"]
        cost_usd_e6 += sign * order["filled_usd_e6"]
        fee_usd_e6 += order["fee_usd_e6"]
    yes = [leg.token_id in yes_tokens for leg in legs]
    quantities = list(held.values())
    return BasketLine(
        planned_ms=basket["planned_ms"],
        legs=len(legs),
        outcome_token="YES" if all(yes) else "mixed" if any(yes) else "NO",
        shares_e6=max((leg.qty_e6 for leg in legs), default=0),
        promised_usd_e6=basket["profit_usd_e6"],
        state=state_of(legs, quantities, placed),
        sets_e6=min(quantities, default=0),
        cost_usd_e6=cost_usd_e6,
        fee_usd_e6=fee_usd_e6,
        result_usd_e6=least_payoff_usd_e6(quantities, yes) - cost_usd_e6 - fee_usd_e6,
        guaranteed=not (risky and any(yes)),
    )


def least_payoff_usd_e6(held_qty_e6: Sequence[int], yes: Sequence[bool]) -> int:
    """Return what one token per outcome pays at least; a share of a token that wins pays one dollar."""
    no_qty_e6 = sum(qty for qty, is_yes in zip(held_qty_e6, yes, strict=True) if not is_yes)
    return min(
        (no_qty_e6 + (qty if is_yes else -qty) for qty, is_yes in zip(held_qty_e6, yes, strict=True)),
        default=0,
    )


def state_of(legs: Sequence[Leg], held: Sequence[int], placed: Sequence[Mapping[str, Any]]) -> str:
    """Return what became of a basket whose legs now hold ``held`` and that placed these orders."""
    if any(order["state"] not in FINAL_STATES for order in placed):
        return "open"
    if all(quantity >= leg.qty_e6 for quantity, leg in zip(held, legs, strict=True)):
        return "complete"
    if max(held) - min(held) >= DUST_QTY_E6:
        return "incomplete"
    if min(held) >= DUST_QTY_E6:
        return "partial"
    return "unwound" if any(order["filled_qty_e6"] for order in placed) else "abandoned"
