"""Pruning: observations have an age limit, facts have none.

Invariants: the journal and everything folded from it are never pruned; each transaction deletes a bounded
number of rows, because the journal's next commit waits for it.
"""

from pathlib import Path

import msgspec
from sqlalchemy import Column, Engine, Table, delete, select, tuple_

from overround.storage.engine import Durability, open_store, reporting
from overround.storage.errors import StoreMissing
from overround.storage.schema import book_snapshots, equity, opportunities

CHUNK_ROWS = 500
MS_PER_DAY = 86_400_000


class RetentionPolicy(msgspec.Struct, frozen=True):
    """How long observations are kept, in days."""

    snapshot_days: int
    observation_days: int


def prune(path: Path, policy: RetentionPolicy, now_ms: int) -> dict[str, int]:
    """Delete observations older than ``policy`` allows at ``now_ms``; return how many rows per table.

    Raises ``StoreError`` if the store is missing, damaged or locked.
    """
    if not path.exists():
        raise StoreMissing(f"{path}: no store here: start a run first, or name another data directory")
    snapshots_before_ms = now_ms - policy.snapshot_days * MS_PER_DAY
    others_before_ms = now_ms - policy.observation_days * MS_PER_DAY
    engine = open_store(path, Durability.NORMAL)
    try:
        with reporting(path):
            return {
                table.name: _delete_older(engine, table, column, before_ms)
                for table, column, before_ms in (
                    (book_snapshots, book_snapshots.c.ts_ms, snapshots_before_ms),
                    (equity, equity.c.ts_ms, others_before_ms),
                    (opportunities, opportunities.c.last_ms, others_before_ms),
                )
            }
    finally:
        engine.dispose()


def _delete_older(engine: Engine, table: Table, column: Column[int], before_ms: int) -> int:
    keys = tuple(table.primary_key)
    old = select(*keys).where(column < before_ms).limit(CHUNK_ROWS)
    deleted = 0
    while True:
        with engine.begin() as connection:
            count = connection.execute(delete(table).where(tuple_(*keys).in_(old))).rowcount
        deleted += count
        if count < CHUNK_ROWS:
            return deleted
