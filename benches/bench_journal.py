"""The journal's durable commit beside its bound and its peers, interleaved in one process.

Peers: a raw append with fdatasync (the bound of the disk), the same into preallocated space, the same
table through SQLAlchemy Core, and bare sqlite3 without hashes. One commit is one batch of a few records
of about 230 bytes. Then: start (open, and check the chain of all records) and the fold into tables.
Run: python benches/bench_journal.py [--commits N] [--directory D]
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import insert

from overround.core.commands import OrderIntent, SubmitOrders
from overround.core.events import OrderAccepted, Side
from overround.storage.engine import Durability, open_store
from overround.storage.journal import GENESIS, Journal, JournalRecord, chain_hash, command_record, fact_record
from overround.storage.projections import Projector
from overround.storage.schema import journal

Append = Callable[[Sequence[JournalRecord]], None]
SYNC = getattr(os, "fdatasync", os.fsync)


def batch(number: int, size: int) -> list[JournalRecord]:
    """Return an order and its answer, again and again, up to ``size`` records."""
    made: list[JournalRecord] = []
    for index in range(size):
        name = f"{number:08x}{index - index % 2:08x}-0"
        seq, ts_ns = number * size + index + 1, 1_795_000_000_000_000_000 + number
        if index % 2 == 0:
            intent = OrderIntent(
                name, name[:-2], "spread_capture", "0x" + "ab" * 32, "7" * 77, Side.BUY, 480_000, 10**8
            )
            made.append(command_record(seq, ts_ns, SubmitOrders((intent,))))
        else:
            made.append(fact_record(seq, ts_ns, OrderAccepted(name, "0x" + "cd" * 32)))
    return made


def raw_file(path: Path, preallocated: int) -> Append:
    """Return an appender that writes one block per batch and syncs the data."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    if preallocated:
        os.write(fd, bytes(preallocated))
        os.fsync(fd)
        os.lseek(fd, 0, os.SEEK_SET)

    def append(records: Sequence[JournalRecord]) -> None:
        os.write(fd, b"".join(record.payload for record in records))
        SYNC(fd)

    return append


def through_core(path: Path) -> Append:
    """Return an appender with hashes that uses SQLAlchemy Core's own execution."""
    connection = open_store(path, Durability.FULL).connect()
    statement = insert(journal)
    pos, previous = 0, GENESIS

    def append(records: Sequence[JournalRecord]) -> None:
        nonlocal pos, previous
        rows = []
        for record in records:
            pos, previous = pos + 1, chain_hash(previous, record)
            rows.append(record._asdict() | {"pos": pos, "hash": previous})
        connection.execute(statement, rows)
        connection.commit()

    return append


def through_sqlite(path: Path) -> Append:
    """Return an appender on the driver alone, without hashes and checks."""
    connection = open_store(path, Durability.FULL).raw_connection()
    cursor, state = connection.cursor(), [0]

    def append(records: Sequence[JournalRecord]) -> None:
        first = state[0]
        rows = [(first + i, *record, GENESIS) for i, record in enumerate(records, 1)]
        cursor.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.commit()
        state[0] += len(rows)

    return append


def measure(peers: dict[str, Append], commits: int, size: int) -> dict[str, list[int]]:
    """Return the times of each peer's commits in ns, one commit of each in turn, the order rotating."""
    times: dict[str, list[int]] = {name: [] for name in peers}
    names = list(peers)
    for number in range(commits):
        records = batch(number, size)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter_ns()
            peers[name](records)
            times[name].append(time.perf_counter_ns() - start)
    return times


def report(times: dict[str, list[int]], size: int) -> None:
    """Print percentiles, and the ratio of medians to the first peer."""
    bound = statistics.median(next(iter(times.values())))
    print(f"{size} record(s) a commit          p50 µs   p99 µs  ratio of p50")
    for name, found in times.items():
        found.sort()
        median = statistics.median(found)
        p99 = found[len(found) * 99 // 100]
        print(f"  {name:24} {median / 1e3:10.1f} {p99 / 1e3:8.1f} {median / bound:9.2f}")


def start_and_fold(directory: Path, count: int) -> None:
    """Print how long it takes to open, check and fold ``count`` records."""
    path = directory / "start" / "overround.db"
    with Journal.open(path) as opened:
        for number in range(count // 1_000):
            opened.append_batch(batch(number, 1_000))
    start = time.perf_counter()
    opened = Journal.open(path)
    open_ms = (time.perf_counter() - start) * 1e3
    start = time.perf_counter()
    records = sum(1 for _ in opened.read())
    read_s = time.perf_counter() - start
    with Projector.open(path) as projector:
        start = time.perf_counter()
        projector.catch_up()
        fold_s = time.perf_counter() - start
    opened.close()
    print(f"open {open_ms:.1f} ms · read and check {records / read_s:,.0f} records/s", end=" · ")
    print(f"fold into tables {records / fold_s:,.0f} records/s")


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=3_000)
    parser.add_argument("--directory", type=Path, help="where to write; the disk decides the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        directory = Path(name)
        for size in (1, 4, 20):
            home = directory / str(size)
            home.mkdir()
            with Journal.open(home / "ours" / "overround.db") as ours:
                peers: dict[str, Append] = {
                    "append + fdatasync": raw_file(home / "raw", 0),
                    "the same, preallocated": raw_file(home / "preallocated", options.commits * size * 400),
                    "overround journal": ours.append_batch,
                    "sqlite3, no hashes": through_sqlite(home / "sqlite" / "overround.db"),
                    "SQLAlchemy Core, hashes": through_core(home / "core" / "overround.db"),
                }
                report(measure(peers, options.commits, size), size)
        start_and_fold(directory, 20_000)


if __name__ == "__main__":
    main()
