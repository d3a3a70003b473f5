"""Pruning: observations and frames have an age limit, facts have none.

Invariants: the journal and everything folded from it are never pruned; each transaction deletes a bounded
number of rows, because the journal's next commit waits for it; a tape loses segments from its beginning
only, and never its last one.
"""

from pathlib import Path

import msgspec
from sqlalchemy import Column, Engine, Table, delete, select, tuple_

from overround.storage.engine import Durability, open_store, reporting
from overround.storage.errors import StoreMissing
from overround.storage.schema import book_snapshots, equity, opportunities
from overround.storage.tape_segment import segment_paths

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


def prune_tape(directory: Path, days: int, now_ms: int) -> int:
    """Delete the segments of a tape that were written to last more than ``days`` ago; return how many.

    The tape may be in use. Raises ``OSError`` if a segment cannot be deleted.
    """
    before_ms = now_ms - days * MS_PER_DAY
    deleted = 0
    for segment in segment_paths(directory)[:-1]:
        if segment.stat().st_mtime_ns // 1_000_000 >= before_ms:
            break
        segment.unlink()
        deleted += 1
    return deleted


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
