"""Rows of the store: cached reading and batched writing, and the form in which people get them.

Invariant of the public form: keys are column names without ``_e6``, and ``_ms`` for ``_ns``; money, price
and quantity are exact decimal text, times whole milliseconds; JSON columns are lists or objects.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Insert, Select, Table, and_, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from overround.core.units import format_e6

Row = dict[str, Any]

JSON_COLUMNS = frozenset({"intents", "acks", "bids", "asks", "legs", "condition_ids", "content"})


class RowCache:
    """Rows that are being changed: read at most once, written together.

    SQLite refuses to turn a transaction that has read into one that writes when somebody else wrote in
    between, so all reading happens before :meth:`commit`, whose transaction only writes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[Table, dict[tuple[Any, ...], Row | None]] = {}

    def get(self, table: Table, *key: Any) -> Row | None:
        """Return the row with this primary key, to be changed in place, or ``None``."""
        known = self._rows.setdefault(table, {})
        if key not in known:
            parameters = {f"key_{index}": value for index, value in enumerate(key)}
            found = self._connection.execute(_by_key(table), parameters).mappings().first()
            known[key] = None if found is None else dict(found)
        return known[key]

    def put(self, table: Table, row: Row) -> None:
        """Add ``row``, or replace the one with its primary key."""
        key = tuple(row[column.name] for column in table.primary_key)
        self._rows.setdefault(table, {})[key] = row

    def commit(self) -> None:
        """Write every row that was read or put, in one transaction."""
        self._connection.rollback()  # ends the reading
        for table, known in self._rows.items():
            if rows := [row for row in known.values() if row is not None]:
                self._connection.execute(_upsert(table, self._connection.dialect.name), rows)
        self._connection.commit()


@cache
def _by_key(table: Table) -> Select[Any]:
    keys = enumerate(table.primary_key)
    return select(table).where(and_(*(column == bindparam(f"key_{index}") for index, column in keys)))


@cache
def _upsert(table: Table, dialect: str) -> Insert:
    insert: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    changed = {
        column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key
    }
    statement: Insert = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)
    return statement


def public_rows(connection: Connection, query: Select[Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``query`` in their public form."""
    for row in connection.execute(query).mappings():
        yield public_row(row)


def public_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return one row in its public form."""
    public: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("_e6"):
            public[name.removesuffix("_e6")] = None if value is None else format_e6(value)
        elif name.endswith("_ns"):
            public[name.removesuffix("_ns") + "_ms"] = None if value is None else value // 1_000_000
        elif name in JSON_COLUMNS:
            public[name] = msgspec.json.decode(value)
        else:
            public[name] = value.hex() if isinstance(value, bytes) else value
    return public
