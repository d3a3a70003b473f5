"""Rows of the store: cached reading and batched writing, and the form in which people get them.

Invariant of the public form: keys are column names without ``_e6``, and ``_ms`` for ``_ns``; money, price
and quantity are exact decimal text, times whole milliseconds; JSON columns are lists or objects.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, Table, and_, bindparam, insert, select, update

from overround.core.units import format_e6

Row = dict[str, Any]

JSON_COLUMNS = frozenset({"intents", "acks", "bids", "asks", "legs", "condition_ids", "content"})


class RowCache:
    """Rows that are being changed: read once, written together.

    SQLite refuses to turn a transaction that has read into one that writes when somebody else wrote in
    between, so all reading happens before :meth:`commit`, whose transaction only writes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[tuple[Table, tuple[Any, ...]], Row | None] = {}
        self._stored: set[tuple[Table, tuple[Any, ...]]] = set()

    def get(self, table: Table, *key: Any) -> Row | None:
        """Return the row with this primary key, to be changed in place, or ``None``."""
        place = (table, key)
        if place not in self._rows:
            found = self._connection.execute(select(table).where(_is(table, key))).mappings().first()
            self._rows[place] = None if found is None else dict(found)
            if found is not None:
                self._stored.add(place)
        return self._rows[place]

    def put(self, table: Table, row: Row) -> None:
        """Add ``row``, or replace the one with its primary key."""
        key = tuple(row[column.name] for column in table.primary_key)
        self.get(table, *key)
        self._rows[(table, key)] = row

    def commit(self) -> None:
        """Write every row that was read or put, in one transaction."""
        self._connection.rollback()  # ends the reading
        fresh: dict[Table, list[Row]] = {}
        changed: dict[Table, list[Row]] = {}
        for place, row in self._rows.items():
            if row is not None:
                (changed if place in self._stored else fresh).setdefault(place[0], []).append(row)
        for table, rows in fresh.items():
            self._connection.execute(insert(table), rows)
        for table, rows in changed.items():
            _update(self._connection, table, rows)
        self._connection.commit()


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


def _is(table: Table, key: tuple[Any, ...]) -> Any:
    return and_(*(column == value for column, value in zip(table.primary_key, key, strict=True)))


def _update(connection: Connection, table: Table, rows: list[Row]) -> None:
    keys = [column.name for column in table.primary_key]
    match = and_(*(table.c[name] == bindparam(f"key_{name}") for name in keys))
    statement = update(table).where(match)
    connection.execute(statement, [row | {f"key_{name}": row[name] for name in keys} for row in rows])
