"""The journal: what entered and what left, durable before anybody acts on it.

A record is a fact or a command; its payload is opaque here. Records lie in the order they were appended,
numbered without gaps by ``pos``; ``seq`` is the common numbering of all inputs (frames on the tape take
numbers too, so it has gaps) and never falls; commands carry that of their batch border. Each row carries
a BLAKE2b-128 hash over the previous row's hash and its own content, so a row that was changed, removed or
put in is found by whoever reads on.

Invariants: :meth:`Journal.append_batch` returns only when all its records are durable, or raises and none
is; after a failed append the journal takes no more, because what the disk holds is no longer known. One
process writes (a lock on the data directory); reading never disturbs it. The statement is compiled by
SQLAlchemy from the schema and run on the driver's cursor: SQLAlchemy's own execution would make the
median commit half as long again (benches/bench_journal.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Literal, NamedTuple, Self, TypeAlias

import msgspec
from sqlalchemy import Connection, Engine, Row, bindparam, insert, select

from overround.core.commands import Command
from overround.core.events import Fact
from overround.storage.engine import Durability, open_store, read_store, reporting, reserve_log
from overround.storage.errors import StoreDamaged, StoreError, damaged
from overround.storage.lock import DirectoryLock
from overround.storage.schema import journal

Kind: TypeAlias = Literal["fact", "command"]
KINDS: tuple[Kind, ...] = ("fact", "command")

GENESIS = bytes(16)
"""Stands for the hash before the first record."""

_READ_CHUNK = 250


class JournalRecord(NamedTuple):
    """One record: its place in the order of all inputs, its time, what it is, and its bytes."""

    seq: int
    ts_ns: int
    kind: Kind
    payload: bytes


class JournalCheck(NamedTuple):
    """What a full check found: ``damage`` is empty when every record is what was written."""

    records: int
    last_seq: int
    last_hash: bytes
    damage: str

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage


class JournalOrderError(ValueError):
    """Records do not continue the journal's order: a bug of the caller; nothing was written."""


_encoder = msgspec.json.Encoder(order="deterministic")
_fact_decoder: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)
_command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def fact_record(seq: int, ts_ns: int, fact: Fact) -> JournalRecord:
    """Return the record of a fact that entered as input ``seq``."""
    return JournalRecord(seq, ts_ns, "fact", _encoder.encode(fact))


def command_record(seq: int, ts_ns: int, command: Command) -> JournalRecord:
    """Return the record of a command decided at the batch border ``seq``."""
    return JournalRecord(seq, ts_ns, "command", _encoder.encode(command))


def decode_fact(payload: bytes) -> Fact:
    """Return the fact in ``payload``. Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return _fact_decoder.decode(payload)


def decode_command(payload: bytes) -> Command:
    """Return the command in ``payload``. Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return _command_decoder.decode(payload)


def chain_hash(previous: bytes, record: JournalRecord) -> bytes:
    """Return the hash of ``record`` behind a record whose hash is ``previous``."""
    head = b"%b%d %d %b " % (previous, record.seq, record.ts_ns, record.kind.encode("ascii"))
    return blake2b(head + record.payload, digest_size=16).digest()


class JournalReader:
    """Reads a journal, also while another process appends to it."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store at ``path`` for reading. Raises ``StoreError``."""
        return cls(read_store(path), path)

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    def read(self, from_seq: int = 0) -> Iterator[JournalRecord]:
        """Yield the records with ``seq >= from_seq`` in order, checking the chain on the way.

        Raises:
            StoreDamaged: at the first record that is not what was written.
        """
        for _pos, record, _hash in self.read_after(self._pos_before(from_seq)):
            yield record

    def read_after(self, pos: int) -> Iterator[tuple[int, JournalRecord, bytes]]:
        """Yield position, record and hash of all records behind position ``pos``; checks as ``read`` does."""
        previous = self.hash_at(pos)
        following = select(journal).where(journal.c.pos > bindparam("pos")).order_by(journal.c.pos)
        while True:
            with reporting(self._path), self._engine.connect() as connection:
                rows = connection.execute(following.limit(_READ_CHUNK), {"pos": pos}).fetchall()
            if not rows:
                return
            for row in rows:
                record = self._checked(row, pos, previous)
                pos, previous = row.pos, row.hash
                yield pos, record, previous

    def last_pos(self) -> int:
        """Return the position of the last record, 0 for an empty journal."""
        return self._last()[0]

    def last_seq(self) -> int:
        """Return the highest sequence number in the journal, 0 for an empty one."""
        return self._last()[1]

    def last_hash(self) -> bytes:
        """Return the hash of the last record, ``GENESIS`` for an empty journal."""
        return self._last()[2]

    def hash_at(self, pos: int) -> bytes:
        """Return the hash stored at ``pos``. Raises ``StoreDamaged`` if there is no such record."""
        if pos == 0:
            return GENESIS
        with reporting(self._path), self._engine.connect() as connection:
            found = connection.execute(select(journal.c.hash).where(journal.c.pos == pos)).scalar()
        if not isinstance(found, bytes):
            raise damaged(self._path, f"journal record {pos} is missing")
        return found

    def verify(self) -> JournalCheck:
        """Check every record from the beginning: numbering, order, hashes, decodability."""
        count, last_seq, last_hash = 0, 0, GENESIS
        try:
            for count, record, last_hash in self.read_after(0):  # noqa: B007 - the last values are the result
                last_seq = record.seq
                decode(record)
        except StoreDamaged as error:
            return JournalCheck(count, last_seq, last_hash, str(error))
        except msgspec.MsgspecError as error:
            return JournalCheck(count, last_seq, last_hash, f"{self._path}: journal record {count}: {error}")
        return JournalCheck(count, last_seq, last_hash, "")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _last(self) -> tuple[int, int, bytes]:
        with reporting(self._path), self._engine.connect() as connection:
            row = connection.execute(
                select(journal.c.pos, journal.c.seq, journal.c.hash).order_by(journal.c.pos.desc()).limit(1)
            ).first()
        return (0, 0, GENESIS) if row is None else (row.pos, row.seq, row.hash)

    def _pos_before(self, seq: int) -> int:
        """Return the last position with a lower ``seq``, by bisection: ``seq`` never falls with ``pos``."""
        low, high = 0, self._last()[0]
        with reporting(self._path), self._engine.connect() as connection:
            while low < high:
                middle = (low + high + 1) // 2
                if _seq_at(connection, middle, self._path) < seq:
                    low = middle
                else:
                    high = middle - 1
        return low

    def _checked(
        self, row: Row[tuple[int, int, int, str, bytes, bytes]], pos: int, previous: bytes
    ) -> JournalRecord:
        if row.pos != pos + 1:
            raise damaged(self._path, f"journal records {pos + 1} to {row.pos - 1} are missing")
        record = JournalRecord(row.seq, row.ts_ns, row.kind, row.payload)
        typed = isinstance(row.seq, int) and isinstance(row.ts_ns, int) and isinstance(row.payload, bytes)
        if not typed or row.kind not in KINDS or chain_hash(previous, record) != row.hash:
            raise damaged(self._path, f"journal record {row.pos} (seq {row.seq}) is not what was written")
        return record


class Journal(JournalReader):
    """The one writer of a journal, holding the lock on its data directory."""

    def __init__(self, engine: Engine, path: Path, lock: DirectoryLock) -> None:
        super().__init__(engine, path)
        self._lock = lock
        self._end, self._seq, self._hash = super()._last()
        self._broken = False
        self._connection = engine.raw_connection()
        self._cursor = self._connection.cursor()
        self._insert = str(insert(journal).compile(engine))
        with reporting(path):
            reserve_log(self._cursor)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store at ``path`` for appending; create it if it does not exist.

        Raises:
            AlreadyRunning: if another process has the data directory.
            StoreError: if the file cannot be used.
        """
        with ExitStack() as undo:
            lock = DirectoryLock(path.parent)
            undo.callback(lock.release)
            engine = open_store(path, Durability.FULL)
            undo.callback(engine.dispose)
            opened = cls(engine, path, lock)
            undo.pop_all()
            return opened

    def append_batch(self, records: Sequence[JournalRecord]) -> None:
        """Append ``records`` in one durable commit; no records, no commit.

        Raises:
            JournalOrderError: if a ``seq`` falls below that of the record before it.
            StoreError: if they could not be made durable; the journal is then closed for appending.
        """
        if not records:
            return
        if self._broken:
            raise StoreError(f"{self._path}: an append failed before: restart to recover what is durable")
        pos, seq, previous = self._end, self._seq, self._hash
        rows = []
        for record in records:
            if record.seq < seq:
                raise JournalOrderError(f"seq {record.seq} after seq {seq}")
            pos, seq, previous = pos + 1, record.seq, chain_hash(previous, record)
            rows.append((pos, seq, record.ts_ns, record.kind, record.payload, previous))
        self._broken = True
        with reporting(self._path):
            self._cursor.executemany(self._insert, rows)
            self._connection.commit()
        self._broken = False
        self._end, self._seq, self._hash = pos, seq, previous

    def close(self) -> None:
        """Close the journal and release the data directory."""
        self._connection.close()
        super().close()
        self._lock.release()

    def _last(self) -> tuple[int, int, bytes]:
        return self._end, self._seq, self._hash


def _seq_at(connection: Connection, pos: int, path: Path) -> int:
    seq = connection.execute(select(journal.c.seq).where(journal.c.pos == pos)).scalar()
    if not isinstance(seq, int):
        raise damaged(path, f"journal record {pos} is missing")
    return seq


def decode(record: JournalRecord) -> Fact | Command:
    """Return what ``record`` holds. Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return decode_fact(record.payload) if record.kind == "fact" else decode_command(record.payload)
