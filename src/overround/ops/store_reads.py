"""What the store says about a service, for people and scripts: status, health, lists.

Invariants: the store is opened for reading only, and the lock is looked at, never taken, so nothing here
can come in the way of a running service; rows have their public form (``storage.rows``).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, or_, select

from overround.core.units import format_e6
from overround.storage import schema
from overround.storage.engine import DATABASE_NAME, read_store, reporting
from overround.storage.errors import StoreMissing
from overround.storage.lock import holder
from overround.storage.rows import Row, public_rows

MAX_SAMPLE_AGE_MS: Final = 10_000
"""A running service writes its status about every second."""


class Health(msgspec.Struct, frozen=True):
    """Whether a service does its work, and why not."""

    ok: bool
    problems: tuple[str, ...]
    running: bool
    last_frame_age_ms: int | None
    """Since the last frame from the venue; ``None`` if there was none."""
    sample_age_ms: int | None
    """Since the service last wrote its status."""
    gate_open: bool
    books: dict[str, int]


@contextmanager
def reading(data_dir: Path) -> Iterator[Connection]:
    """Yield a connection that reads the store of a data directory. Raises ``StoreError``."""
    path = data_dir / DATABASE_NAME
    engine = read_store(path)
    try:
        with reporting(path), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def status(data_dir: Path, now_ms: int, *, verbose: bool = False) -> list[Row]:
    """Return the topics of the status: name, content, time and age. Raises ``StoreError``."""
    with reading(data_dir) as connection:
        pid = holder(data_dir)
        topics = [_topic("running", pid is not None, now_ms, now_ms), _topic("process", pid, now_ms, now_ms)]
        stored = public_rows(connection, select(schema.service_status).order_by(schema.service_status.c.name))
        topics += [_topic(row["name"], row["content"], row["updated_ms"], now_ms) for row in stored]
        run_id = _run_id(connection)
        if run_id is not None:
            extra = _verbose(connection, run_id) if verbose else {}
            for name, content in {"pnl": _pnl(connection, run_id), **extra}.items():
                topics.append(_topic(name, content, now_ms, now_ms))
        return topics


def health(data_dir: Path, staleness_ms: int, now_ms: int) -> Health:
    """Judge a service: running, fed within ``staleness_ms``, gate open. Raises ``StoreError`` for damage."""
    running = holder(data_dir) is not None
    try:
        with reading(data_dir) as connection:
            stored = list(public_rows(connection, select(schema.service_status)))
    except StoreMissing:
        stored = []
    said = {row["name"]: row["content"] for row in stored}
    frame_ms = said.get("last_frame_ms") or None
    frame_age_ms = None if frame_ms is None else max(0, now_ms - frame_ms)
    sample_age_ms = min((now_ms - row["updated_ms"] for row in stored), default=None)
    gate_open = running and bool(said.get("gate_open"))
    problems = []
    if not running:
        problems.append("the service is not running")
    elif sample_age_ms is None or sample_age_ms > MAX_SAMPLE_AGE_MS:
        problems.append("the service does not write its status")
    if frame_age_ms is None:
        problems.append("no frame came yet")
    elif frame_age_ms > staleness_ms:
        problems.append(f"the last frame is {frame_age_ms} ms old (allowed {staleness_ms})")
    if running and not gate_open:
        problems.append("the gate is closed")
    books = said.get("books") or {}
    return Health(not problems, tuple(problems), running, frame_age_ms, sample_age_ms, gate_open, books)


# --- lists ----------------------------------------------------------------------------------------


def orders(connection: Connection, limit: int, *, only_open: bool = False) -> list[Row]:
    """Return the newest orders, newest first."""
    query = select(schema.orders).order_by(schema.orders.c.created_ms.desc(), schema.orders.c.client_order_id)
    if only_open:
        query = query.where(schema.orders.c.state.not_in(("filled", "canceled", "refused")))
    return list(public_rows(connection, query.limit(limit)))


def fills(connection: Connection, limit: int) -> list[Row]:
    """Return the newest fills, newest first."""
    query = select(schema.fills).order_by(schema.fills.c.filled_ms.desc(), schema.fills.c.trade_id)
    return list(public_rows(connection, query.limit(limit)))


def positions(connection: Connection) -> list[Row]:
    """Return every position that is not flat, or left cash behind."""
    table = schema.positions
    query = select(table).order_by(table.c.strategy, table.c.condition_id, table.c.token_id)
    return list(public_rows(connection, query))


def markets(connection: Connection, text: str = "", limit: int | None = None) -> list[Row]:
    """Return markets with status and event slug; with ``text``, those that mention it."""
    query = _markets().order_by(schema.events.c.slug, schema.markets.c.slug, schema.markets.c.condition_id)
    if text:
        columns = (
            schema.markets.c.slug,
            schema.markets.c.question,
            schema.markets.c.title,
            schema.events.c.slug,
            schema.events.c.title,
        )
        query = query.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
    return list(public_rows(connection, query if limit is None else query.limit(limit)))


def market(connection: Connection, name: str) -> list[Row]:
    """Return the market with this slug, condition id or token id (several only if a slug is not unique).

    Each with its ``outcomes``: label, whether it won, and the latest stored book of its token.
    """
    table = schema.markets
    query = _markets().where(
        or_(
            table.c.slug == name,
            table.c.condition_id == name.lower(),
            table.c.yes_token_id == name,
            table.c.no_token_id == name,
        )
    )
    found = list(public_rows(connection, query))
    for row in found:
        row["outcomes"] = list(_outcomes(connection, row["condition_id"]))
    return found


def _markets() -> Select[Any]:
    markets, status, events = schema.markets, schema.market_status, schema.events
    known = set(markets.columns.keys())
    return (
        select(
            markets,
            *(column for column in status.columns if column.name not in known),
            events.c.slug.label("event_slug"),
            events.c.kind.label("event_kind"),
        )
        .join(status, status.c.condition_id == markets.c.condition_id, isouter=True)
        .join(events, events.c.event_id == markets.c.event_id, isouter=True)
    )


def _outcomes(connection: Connection, condition_id: str) -> Iterator[Row]:
    outcomes, books = schema.outcomes, schema.book_snapshots
    query = select(outcomes).where(outcomes.c.condition_id == condition_id).order_by(outcomes.c.outcome_index)
    for row in list(public_rows(connection, query)):
        latest = (
            select(books).where(books.c.token_id == row["token_id"]).order_by(books.c.ts_ms.desc()).limit(1)
        )
        row["book"] = next(iter(public_rows(connection, latest)), None)
        yield row


# --- topics ---------------------------------------------------------------------------------------


def _topic(name: str, content: object, updated_ms: int, now_ms: int) -> Row:
    return {"name": name, "content": content, "updated_ms": updated_ms, "age_ms": max(0, now_ms - updated_ms)}


def _run_id(connection: Connection) -> str | None:
    newest = select(schema.runs.c.run_id).order_by(schema.runs.c.first_seq.desc()).limit(1)
    return connection.execute(newest).scalar()


def _pnl(connection: Connection, run_id: str) -> dict[str, str]:
    """Return cash flow plus value of the positions of each strategy, at the latest sample."""
    table = schema.equity
    latest = select(func.max(table.c.ts_ms)).where(table.c.run_id == run_id).scalar_subquery()
    query = select(table).where(
        table.c.run_id == run_id, table.c.ts_ms == latest, table.c.strategy != "total"
    )
    return {
        row.strategy: format_e6(row.cash_usd_e6 + row.position_usd_e6)
        for row in connection.execute(query.order_by(table.c.strategy))
    }


def _verbose(connection: Connection, run_id: str) -> dict[str, object]:
    counters = _counters(connection, run_id)
    return {
        "resyncs": _grouped(connection, schema.resyncs, ("kind", "reason"), _since(connection, run_id)),
        "orders": _grouped(connection, schema.orders, ("strategy", "state")),
        "refusals": {
            name.removeprefix("refused_"): value
            for name, value in counters.items()
            if name.startswith("refused_")
        },
        "findings": _findings(connection, run_id),
        "hashes": _hashes(counters),
        "counters": counters,
    }


def _since(connection: Connection, run_id: str) -> int:
    started = select(schema.runs.c.started_ms).where(schema.runs.c.run_id == run_id)
    return connection.execute(started).scalar() or 0


def _grouped(
    connection: Connection, table: Any, names: Sequence[str], since_ms: int | None = None
) -> list[Row]:
    columns = [table.c[name] for name in names]
    query = select(*columns, func.count().label("count")).group_by(*columns).order_by(*columns)
    if since_ms is not None:
        query = query.where(table.c.ts_ms >= since_ms)
    return list(public_rows(connection, query))


def _counters(connection: Connection, run_id: str) -> dict[str, int]:
    table = schema.counters
    query = select(table.c.name, table.c.value).where(table.c.run_id == run_id).order_by(table.c.name)
    return {row.name: row.value for row in connection.execute(query)}


def _findings(connection: Connection, run_id: str) -> list[Row]:
    table = schema.opportunities
    columns = (table.c.strategy, table.c.reason)
    query = (
        select(*columns, func.sum(table.c["count"]).label("count"))
        .where(table.c.run_id == run_id)
        .group_by(*columns)
        .order_by(*columns)
    )
    return list(public_rows(connection, query))


def _hashes(counters: Mapping[str, int]) -> Row:
    """Return what of the venue's hashes was checked, and how it came out."""

    def count(name: str) -> int:
        return counters.get(f"books_{name}", 0)

    batches, checked = count("batches"), count("batch_hash_checked")
    return {
        "snapshots_ok": count("snapshot_hash_ok"),
        "snapshots_failed": count("snapshot_hash_failed"),
        "snapshots_unverified": count("snapshot_hash_unverified"),
        "batches": batches,
        "batches_checked": checked,
        "batches_ok": count("batch_hash_ok"),
        "checked_share": format_e6(checked * 1_000_000 // batches) if batches else None,
    }
