"""Reads the markets worth drawing through time: touch, own orders and fills, all in YES terms."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, func, select

from overround.core.units import E6, format_e6
from overround.ops.report.model import FillPoint, MarketStory, OrderSpan
from overround.storage.schema import book_snapshots, fills, markets, orders

MAX_STORIES: Final = 4


def read_stories(connection: Connection, since: int) -> list[MarketStory]:
    """Return the markets with most fills, then orders, since ``since`` (ms).

    The first of each event comes before the second of any, so that one busy event does not hide the rest.
    """
    return [_story(connection, condition_id, since) for condition_id in _chosen(connection, since)]


def _chosen(connection: Connection, since: int) -> list[str]:
    traded = {
        row[0]: row[1]
        for row in connection.execute(
            select(fills.c.condition_id, func.count())
            .where(fills.c.filled_ms >= since)
            .group_by(fills.c.condition_id)
        )
    }
    rows = connection.execute(
        select(orders.c.condition_id, markets.c.event_id, func.count().label("placed"))
        .join(markets, markets.c.condition_id == orders.c.condition_id)
        .where(orders.c.created_ms >= since)
        .group_by(orders.c.condition_id, markets.c.event_id)
    ).all()
    ranked = sorted(rows, key=lambda row: (-traded.get(row[0], 0), -row[2], row[0]))
    place: dict[str, int] = {}
    seen: dict[str, int] = {}
    for condition_id, event_id, _ in ranked:
        group = event_id or condition_id
        place[condition_id] = seen[group] = seen.get(group, -1) + 1
    return sorted(place, key=lambda condition_id: place[condition_id])[:MAX_STORIES]


def _story(connection: Connection, condition_id: str, since: int) -> MarketStory:
    market = (
        connection.execute(select(markets).where(markets.c.condition_id == condition_id)).mappings().one()
    )
    yes = market["yes_token_id"]
    touch = connection.execute(
        select(book_snapshots.c.ts_ms, book_snapshots.c.best_bid_e6, book_snapshots.c.best_ask_e6)
        .where(book_snapshots.c.token_id == yes, book_snapshots.c.ts_ms >= since)
        .order_by(book_snapshots.c.ts_ms)
    ).all()
    own = connection.execute(
        select(orders)
        .where(orders.c.condition_id == condition_id, orders.c.created_ms >= since)
        .order_by(orders.c.created_ms, orders.c.client_order_id)
    ).mappings()
    traded = connection.execute(
        select(fills)
        .where(fills.c.condition_id == condition_id, fills.c.filled_ms >= since)
        .order_by(fills.c.filled_ms, fills.c.trade_id)
    ).mappings()
    return MarketStory(
        title=market["question"] or market["slug"] or condition_id,
        ts_ms=[row[0] for row in touch],
        best_bid_e6=[row[1] for row in touch],
        best_ask_e6=[row[2] for row in touch],
        orders=[_span(row, yes) for row in own if row["post_only"] and row["state"] != "refused"],
        fills=[_point(row, yes) for row in traded],
    )


def _in_yes_terms(row: Mapping[Any, Any], yes: str) -> tuple[bool, int]:
    buys = row["side"] == "BUY"
    if row["token_id"] == yes:
        return buys, row["px_e6"]
    return not buys, E6 - row["px_e6"]


def _told(row: Mapping[Any, Any], yes: str, qty_e6: int) -> str:
    token = "YES" if row["token_id"] == yes else "NO"
    return f"{row['side'].lower()} {format_e6(qty_e6)} {token} at {format_e6(row['px_e6'])}"


def _span(row: Mapping[Any, Any], yes: str) -> OrderSpan:
    bid, px_e6 = _in_yes_terms(row, yes)
    label = f"{_told(row, yes, row['qty_e6'])} · {row['state']}"
    return OrderSpan(bid, px_e6, row["created_ms"], row["updated_ms"], label)


def _point(row: Mapping[Any, Any], yes: str) -> FillPoint:
    bid, px_e6 = _in_yes_terms(row, yes)
    label = f"{_told(row, yes, row['qty_e6'])} · {row['liquidity']} · {row['strategy'].replace('_', ' ')}"
    return FillPoint(bid, px_e6, row["filled_ms"], label)
