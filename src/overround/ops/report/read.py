"""Reads a run's report from its store.

Invariants: only reads; money stays in millionths.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, select

from overround.ops.report.model import EquityLine, ReasonCount, ReportData, StrategyLine
from overround.ops.report.read_baskets import read_baskets
from overround.ops.report.read_stories import read_stories
from overround.ops.report.reasons import rank
from overround.storage.engine import read_store
from overround.storage.schema import (
    counters,
    equity,
    fills,
    opportunities,
    orders,
    resyncs,
    runs,
    service_status,
)

CHECKS: Final = "refused_"
"""Counters of what risk checks stopped are named ``refused_<strategy>_<reason>``."""


def read_report(path: Path, run_id: str | None = None) -> ReportData | None:
    """Return the report of ``run_id`` (the latest run if ``None``); ``None`` if there is no such run.

    Raises ``StoreError`` if the store cannot be read.
    """
    engine = read_store(path)
    try:
        with engine.connect() as connection:
            query = select(runs).order_by(runs.c.first_seq.desc()).limit(1)
            if run_id is not None:
                query = query.where(runs.c.run_id == run_id)
            run = connection.execute(query).mappings().first()
            return None if run is None else _report(connection, dict(run))
    finally:
        engine.dispose()


def _report(connection: Connection, run: dict[str, Any]) -> ReportData:
    run_id, since = run["run_id"], run["started_ms"]
    counted = _counters(connection, run_id)
    strategies = _strategies(connection, run_id, since)
    return ReportData(
        run_id=run_id,
        mode=run["mode"],
        started_ms=since,
        ended_ms=run["ended_ms"],
        status={
            row.name: msgspec.json.decode(row.content) for row in connection.execute(select(service_status))
        },
        counters=counted,
        strategies=strategies,
        equity=_equity(connection, run_id),
        stories=read_stories(connection, since),
        reasons=_reasons(connection, run_id),
        checks=_checks(counted, [line.strategy for line in strategies]),
        baskets=read_baskets(connection, run_id, since),
        resyncs=_resyncs(connection, since),
    )


def _counters(connection: Connection, run_id: str) -> dict[str, int]:
    rows = connection.execute(select(counters.c.name, counters.c.value).where(counters.c.run_id == run_id))
    return {row.name: row.value for row in rows}


def _strategies(connection: Connection, run_id: str, since: int) -> list[StrategyLine]:
    latest = select(func.max(equity.c.ts_ms)).where(equity.c.run_id == run_id).scalar_subquery()
    points = connection.execute(
        select(equity)
        .where(equity.c.run_id == run_id, equity.c.ts_ms == latest, equity.c.strategy != "total")
        .order_by(equity.c.strategy)
    ).mappings()
    states: dict[str, Counter[str]] = {}
    for strategy, state, count in connection.execute(
        select(orders.c.strategy, orders.c.state, func.count())
        .where(orders.c.created_ms >= since)
        .group_by(orders.c.strategy, orders.c.state)
    ):
        states.setdefault(strategy, Counter())[state] = count
    traded = {
        strategy: (count, usd_e6)
        for strategy, count, usd_e6 in connection.execute(
            select(fills.c.strategy, func.count(), func.sum(fills.c.usd_e6))
            .where(fills.c.filled_ms >= since)
            .group_by(fills.c.strategy)
        )
    }
    lines: list[StrategyLine] = []
    for point in points:
        of_state = states.get(point["strategy"], Counter())
        count, usd_e6 = traded.get(point["strategy"], (0, 0))
        lines.append(
            StrategyLine(
                strategy=point["strategy"],
                orders=of_state.total(),
                filled_orders=of_state["filled"],
                canceled_orders=of_state["canceled"],
                refused_orders=of_state["refused"],
                fills=count,
                volume_usd_e6=usd_e6,
                fee_usd_e6=point["fee_usd_e6"],
                cash_usd_e6=point["cash_usd_e6"],
                position_usd_e6=point["position_usd_e6"],
            )
        )
    return lines


def _equity(connection: Connection, run_id: str) -> list[EquityLine]:
    lines: dict[str, EquityLine] = {}
    rows = connection.execute(
        select(equity)
        .where(equity.c.run_id == run_id, equity.c.strategy != "total")
        .order_by(equity.c.strategy, equity.c.ts_ms)
    )
    for row in rows.mappings():
        line = lines.setdefault(row["strategy"], EquityLine(row["strategy"], [], []))
        line.ts_ms.append(row["ts_ms"])
        line.pnl_usd_e6.append(row["cash_usd_e6"] + row["position_usd_e6"])
    return list(lines.values())


def _reasons(connection: Connection, run_id: str) -> list[ReasonCount]:
    found: dict[tuple[str, str], ReasonCount] = {}
    rows = connection.execute(
        select(opportunities).where(opportunities.c.run_id == run_id).order_by(opportunities.c.last_ms)
    )
    for row in rows.mappings():
        key = (row["strategy"], row["reason"])
        known = found.get(key)
        count = row["count"] + (0 if known is None else known.count)
        found[key] = ReasonCount(*key, count, row["detail"])
    return sorted(found.values(), key=lambda one: (one.strategy, rank(one.reason)))


def _checks(counted: dict[str, int], strategies: list[str]) -> list[ReasonCount]:
    found = [
        ReasonCount(strategy, name.removeprefix(f"{CHECKS}{strategy}_"), count, "")
        for strategy in strategies
        for name, count in counted.items()
        if name.startswith(f"{CHECKS}{strategy}_")
    ]
    return sorted(found, key=lambda one: (one.strategy, -one.count, one.reason))


def _resyncs(connection: Connection, since: int) -> dict[str, int]:
    query = select(resyncs.c.reason, func.count()).where(resyncs.c.ts_ms >= since).group_by(resyncs.c.reason)
    return {row[0]: row[1] for row in connection.execute(query.order_by(resyncs.c.reason))}
