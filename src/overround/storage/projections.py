"""Keeping the tables up to date with the journal, off the hot path.

Theory. A cursor row says up to which journal record the tables are folded; it moves in the same
transaction as the rows, so a crash between two batches repeats nothing and skips nothing. The cursor also
keeps that record's hash: tables that belong to another journal are found out.

Invariants: the tables depend on the journal alone (:meth:`Projector.rebuild` gives the same rows); a batch
is short, because SQLite has one writer at a time and the journal's next commit waits for it.
"""

from itertools import islice
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, delete, select

from overround.storage.engine import Durability, open_store, reporting
from overround.storage.errors import StoreMissing, damaged
from overround.storage.fold import Fold
from overround.storage.journal import GENESIS, JournalReader
from overround.storage.rows import RowCache
from overround.storage.schema import PROJECTIONS, projection_cursors, runs

CURSOR = "all"
BATCH_RECORDS = 250
"""About one to two milliseconds of writing."""


class Projector:
    """Folds the journal of a store into its tables. One at a time; may run in its own thread."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._journal = JournalReader(engine, path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the projections of the store at ``path``. Raises ``StoreError``."""
        if not path.exists():
            raise StoreMissing(f"{path}: no store here: start a run first, or name another data directory")
        return cls(open_store(path, Durability.NORMAL), path)

    def position(self) -> int:
        """Return the journal position up to which the tables are folded."""
        with reporting(self._path), self._engine.connect() as connection:
            return _cursor(connection)[0]

    def catch_up(self) -> int:
        """Fold everything the journal has by now; return how many records.

        Raises:
            StoreDamaged: if the journal is damaged, or is not the one the tables were folded from.
            UnfoldableRecord: if a record cannot be understood; the tables stay before its batch.
        """
        folded = 0
        while (count := self._batch()) > 0:
            folded += count
        return folded

    def rebuild(self) -> int:
        """Empty the tables and fold the whole journal again; return how many records.

        Readers see half-filled tables meanwhile. Raises as :meth:`catch_up` does.
        """
        with reporting(self._path), self._engine.begin() as connection:
            for table in (*PROJECTIONS, projection_cursors):
                connection.execute(delete(table))
        return self.catch_up()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _batch(self) -> int:
        with reporting(self._path), self._engine.connect() as connection:
            start, expected = _cursor(connection)
            if start > self._journal.last_pos() or self._journal.hash_at(start) != expected:
                raise damaged(
                    self._path, f"the tables were folded up to journal record {start}, which is gone"
                )
            rows = RowCache(connection)
            newest = select(runs.c.run_id).order_by(runs.c.first_seq.desc()).limit(1)
            fold = Fold(rows, connection.execute(newest).scalar())
            pos, last_hash = start, expected
            for pos, record, last_hash in islice(self._journal.read_after(start), BATCH_RECORDS):  # noqa: B007
                fold.apply(pos, record)
            if pos > start:
                rows.put(projection_cursors, {"name": CURSOR, "pos": pos, "hash": last_hash})
                rows.commit()
            return pos - start


def _cursor(connection: Connection) -> tuple[int, bytes]:
    row = connection.execute(
        select(projection_cursors.c.pos, projection_cursors.c.hash).where(projection_cursors.c.name == CURSOR)
    ).first()
    return (0, GENESIS) if row is None else (row.pos, row.hash)
