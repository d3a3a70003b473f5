"""What the running service writes down by the way: books, equity, opportunities, counters, status.

Invariant: nothing here is needed for recovery or by any decision; it may be pruned and lost. One call is
one transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
from sqlalchemy import Engine, Table

from overround.core.units import format_e6
from overround.storage.engine import Durability, open_store, reporting
from overround.storage.errors import StoreMissing
from overround.storage.rows import Row, RowCache
from overround.storage.schema import book_snapshots, counters, equity, opportunities, service_status


class BookSnapshot(msgspec.Struct, frozen=True):
    """One book at one time; levels are (price, quantity) in millionths, best first."""

    token_id: str
    ts_ms: int
    state: str
    bids: Sequence[tuple[int, int]]
    asks: Sequence[tuple[int, int]]


class EquityPoint(msgspec.Struct, frozen=True):
    """Money of one strategy (or ``total``) at one time, in millionths of a dollar."""

    run_id: str
    ts_ms: int
    strategy: str
    cash_usd_e6: int
    position_usd_e6: int
    fee_usd_e6: int


class Opportunity(msgspec.Struct, frozen=True):
    """How often a strategy found something in an event during a run, and the latest instance."""

    run_id: str
    strategy: str
    event_id: str
    reason: str
    detail: str
    edge_usd_e6: int
    qty_e6: int
    count: int
    last_ms: int


class Observations:
    """Writes observations; may live in its own thread."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store at ``path``, which must exist. Raises ``StoreError``."""
        if not path.exists():
            raise StoreMissing(f"{path}: no store here: start a run first, or name another data directory")
        return cls(open_store(path, Durability.NORMAL), path)

    def snapshots(self, books: Iterable[BookSnapshot]) -> None:
        """Store books; a second snapshot of the same token and time replaces the first."""
        self._write(book_snapshots, (_snapshot_row(book) for book in books))

    def equity(self, points: Iterable[EquityPoint]) -> None:
        """Store equity points; a second point of the same time and strategy replaces the first."""
        self._write(equity, (msgspec.structs.asdict(point) for point in points))

    def opportunities(self, found: Iterable[Opportunity]) -> None:
        """Store the present counts of opportunities; they replace earlier ones of the same run."""
        self._write(opportunities, (msgspec.structs.asdict(one) for one in found))

    def counters(self, run_id: str, values: Mapping[str, int], now_ms: int) -> None:
        """Store the present values of a run's counters."""
        rows = (
            {"run_id": run_id, "name": name, "value": value, "updated_ms": now_ms}
            for name, value in values.items()
        )
        self._write(counters, rows)

    def status(self, values: Mapping[str, Any], now_ms: int) -> None:
        """Store what `status` and `health` show; values are anything that JSON can hold."""
        rows = (
            {"name": name, "content": msgspec.json.encode(value).decode(), "updated_ms": now_ms}
            for name, value in values.items()
        )
        self._write(service_status, rows)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, table: Table, rows: Iterable[Row]) -> None:
        with reporting(self._path), self._engine.connect() as connection:
            cache = RowCache(connection)
            for row in rows:
                cache.put(table, row)
            cache.commit()


def _snapshot_row(book: BookSnapshot) -> Row:
    return {
        "token_id": book.token_id,
        "ts_ms": book.ts_ms,
        "state": book.state,
        "best_bid_e6": book.bids[0][0] if book.bids else None,
        "best_ask_e6": book.asks[0][0] if book.asks else None,
        "bids": _levels(book.bids),
        "asks": _levels(book.asks),
    }


def _levels(levels: Sequence[tuple[int, int]]) -> str:
    texts = [(format_e6(px_e6), format_e6(qty_e6)) for px_e6, qty_e6 in levels]
    return msgspec.json.encode(texts).decode()
