"""The journal: durable, ordered, chained; damage is named and never repaired silently."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overround.core.commands import SubmitOrders
from overround.core.events import FrameRejected
from overround.storage.errors import StoreDamaged, StoreError, StoreMissing, StoreTooNew
from overround.storage.journal import (
    GENESIS,
    Journal,
    JournalOrderError,
    JournalReader,
    JournalRecord,
    chain_hash,
    command_record,
    decode,
    fact_record,
)
from overround.storage.lock import AlreadyRunning, DirectoryLock
from tests.storage.journals import append, database, intent, tamper, ticks


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return database(tmp_path)


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open(path) as opened:
        yield opened


def test_what_was_appended_is_read_back(journal: Journal) -> None:
    batch = [
        fact_record(3, 5, FrameRejected(1, "bad_json", "é\x00")),
        command_record(3, 6, SubmitOrders((intent(),))),
    ]
    journal.append_batch(batch)
    journal.append_batch([])
    assert list(journal.read()) == batch
    assert [decode(record) for record in batch] == [
        FrameRejected(1, "bad_json", "é\x00"),
        SubmitOrders((intent(),)),
    ]
    assert (journal.last_pos(), journal.last_seq()) == (2, 3)
    assert journal.last_hash() == chain_hash(chain_hash(GENESIS, batch[0]), batch[1])
    assert journal.verify() == (2, 3, journal.last_hash(), "")


def test_an_empty_journal_is_whole(journal: Journal) -> None:
    assert list(journal.read()) == []
    assert (journal.last_pos(), journal.last_seq(), journal.last_hash()) == (0, 0, GENESIS)
    assert journal.verify().ok


def test_a_reopened_journal_goes_on(path: Path) -> None:
    append(path, ticks(1, 3))
    append(path, ticks(10, 2))
    with Journal.open(path) as journal:
        assert [record.seq for record in journal.read()] == [1, 2, 3, 10, 11]
        assert journal.verify().ok


@pytest.mark.parametrize(
    ("from_seq", "expected"), [(0, 7), (1, 7), (2, 5), (4, 5), (5, 4), (6, 2), (7, 1), (8, 0)]
)
def test_reading_from_a_sequence_number(journal: Journal, from_seq: int, expected: int) -> None:
    journal.append_batch([tick for seq in (1, 1, 4, 5, 5, 6, 7) for tick in ticks(seq, 1)])
    found = list(journal.read(from_seq))
    assert len(found) == expected
    assert all(record.seq >= from_seq for record in found)


def test_the_log_is_reserved_without_writing_anything(path: Path, journal: Journal) -> None:
    log = path.with_name(path.name + "-wal")
    reserved = log.stat().st_size
    assert reserved > 1_000 * 4_096
    size = path.stat().st_size
    journal.append_batch(ticks(1, 100))
    assert (log.stat().st_size, path.stat().st_size) == (reserved, size)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM service_status").fetchone() == (0,)
    connection.close()


def test_long_journals_are_read_in_pieces_while_they_grow(journal: Journal) -> None:
    journal.append_batch(ticks(1, 600))
    reading = journal.read()
    first = next(reading)
    journal.append_batch(ticks(601, 5))
    assert [first, *reading] == ticks(1, 605)


def test_the_order_of_inputs_never_falls(journal: Journal) -> None:
    journal.append_batch(ticks(5, 2))
    with pytest.raises(JournalOrderError, match="seq 5 after seq 6"):
        journal.append_batch(ticks(5, 1))
    with pytest.raises(JournalOrderError, match="seq 7 after seq 8"):
        journal.append_batch([*ticks(8, 1), *ticks(7, 1)])
    journal.append_batch(ticks(7, 1))
    assert [record.seq for record in journal.read()] == [5, 6, 7]


def test_a_batch_is_written_whole_or_not_at_all(journal: Journal) -> None:
    journal.append_batch(ticks(1, 1))
    broken = JournalRecord(3, 0, "fact", None)  # type: ignore[arg-type]  # the second row violates NOT NULL
    with pytest.raises(TypeError):
        journal.append_batch([*ticks(2, 1), broken])
    assert [record.seq for record in journal.read()] == [1]
    journal.append_batch(ticks(2, 1))
    assert journal.verify().ok


def test_after_a_failed_append_nothing_more_is_taken(path: Path) -> None:
    append(path, ticks(1, 1))
    with Journal.open(path) as journal:
        tamper(path, "INSERT INTO journal SELECT 2, 2, 0, 'fact', x'', x''")
        with pytest.raises(StoreError, match="UNIQUE constraint failed"):
            journal.append_batch(ticks(2, 1))
        with pytest.raises(StoreError, match="an append failed before"):
            journal.append_batch(ticks(3, 1))


@pytest.mark.parametrize(
    ("statement", "damage"),
    [
        (
            "UPDATE journal SET payload = x'00' WHERE pos = 2",
            "journal record 2 (seq 2) is not what was written",
        ),
        ("UPDATE journal SET ts_ns = 7 WHERE pos = 3", "journal record 3 (seq 3) is not what was written"),
        (
            "UPDATE journal SET kind = 'batch' WHERE pos = 3",
            "journal record 3 (seq 3) is not what was written",
        ),
        ("UPDATE journal SET seq = 4 WHERE pos = 3", "journal record 3 (seq 4) is not what was written"),
        ("UPDATE journal SET hash = x'00' WHERE pos = 1", "journal record 1 (seq 1) is not what was written"),
        ("UPDATE journal SET seq = 'x' WHERE pos = 3", "journal record 3 (seq x) is not what was written"),
        ("UPDATE journal SET kind = x'00' WHERE pos = 3", "journal record 3 (seq 3) is not what was written"),
        (
            "UPDATE journal SET payload = 'text' WHERE pos = 3",
            "journal record 3 (seq 3) is not what was written",
        ),
        ("DELETE FROM journal WHERE pos IN (2, 3)", "journal records 2 to 3 are missing"),
        ("DELETE FROM journal WHERE pos = 1", "journal records 1 to 1 are missing"),
        ("UPDATE journal SET pos = 9 WHERE pos = 4", "journal records 4 to 8 are missing"),
    ],
)
def test_damage_inside_is_found_and_refused(path: Path, statement: str, damage: str) -> None:
    append(path, ticks(1, 4))
    tamper(path, statement)
    with JournalReader.open(path) as reader:
        check = reader.verify()
        assert not check.ok
        assert f"{path}: {damage}: restore a backup" in check.damage
        with pytest.raises(StoreDamaged, match="restore a backup"):
            list(reader.read())


def test_a_record_that_says_nothing_is_damage(path: Path) -> None:
    append(path, [JournalRecord(1, 0, "fact", b'{"type":"Nonsense"}')])
    with JournalReader.open(path) as reader:
        assert "journal record 1: Invalid value 'Nonsense'" in reader.verify().damage


def test_one_process_per_directory(path: Path, journal: Journal) -> None:
    journal.append_batch(ticks(1, 1))
    with pytest.raises(AlreadyRunning, match="this process holds the data directory already"):
        Journal.open(path)
    code = "import sys, pathlib, overround.storage.lock as l; l.DirectoryLock(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(path.parent)]
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "uses this data directory: stop it or choose another service.data_dir" in other.stderr
    journal.close()
    with DirectoryLock(path.parent):
        pass


def test_reading_needs_no_lock_and_writes_nothing(path: Path, journal: Journal) -> None:
    journal.append_batch(ticks(1, 1))
    with JournalReader.open(path) as reader:
        assert reader.last_seq() == 1
        journal.append_batch(ticks(2, 1))
        assert reader.last_seq() == 2
        with (
            pytest.raises(sqlite3.OperationalError, match="readonly"),
            reader._engine.connect() as connection,
        ):
            connection.connection.cursor().execute("DELETE FROM journal")


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "flipped", "foreign", "directory"])
def test_files_that_are_no_journal(path: Path, damage: str) -> None:
    append(path, ticks(1, 400))
    whole = path.read_bytes()
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_bytes(b"hello\n" * 1_000)
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "flipped":
            path.write_bytes(whole.replace(b'"timer":"t200"', b'"timer":"t201"'))
        case "foreign":
            path.unlink()
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE t (a)")
            connection.close()
        case _:
            path.unlink()
            path.mkdir()
    with pytest.raises(StoreError) as caught:
        read_all(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def read_all(path: Path) -> None:
    with Journal.open(path) as journal:
        list(journal.read())


def test_a_missing_store_is_made_only_by_the_writer(path: Path) -> None:
    with pytest.raises(StoreMissing, match="start a run first"):
        JournalReader.open(path)
    assert not path.exists()
    append(path, [])
    assert path.exists()


def test_a_lost_database_beside_its_log_is_not_a_fresh_start(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(b"x")
    with pytest.raises(StoreDamaged, match="its write-ahead log is still there"):
        Journal.open(path)


def test_a_crash_while_creating_leaves_nothing_behind(path: Path) -> None:
    path.with_name(path.name + ".new").write_bytes(b"half a database")
    append(path, ticks(1, 1))
    with JournalReader.open(path) as reader:
        assert reader.verify().ok


def test_a_store_without_its_journal_is_damaged(path: Path) -> None:
    append(path, [])
    tamper(path, "DROP TABLE journal")
    with pytest.raises(StoreDamaged, match="no such table: journal: restore a backup"):
        Journal.open(path)
    with DirectoryLock(path.parent):  # the failed opening has released it
        pass


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"choose another service\.data_dir"):
        Journal.open(database(tmp_path / "file" / "below"))


def test_a_newer_database_is_refused(path: Path) -> None:
    append(path, [])
    tamper(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreTooNew, match=r"database is newer than the program \(schema 9999, known up to"):
        Journal.open(path)


@settings(max_examples=10, deadline=None)
@given(
    batches=st.lists(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), max_size=4), max_size=5),
    reopen=st.booleans(),
)
def test_any_batches_come_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, bytes]]], reopen: bool
) -> None:
    path = database(tmp_path_factory.mktemp("journal"))
    expected: list[JournalRecord] = []
    seq = 1
    journal = Journal.open(path)
    for batch in batches:
        made = []
        for step, payload in batch:
            seq += step
            made.append(JournalRecord(seq, -seq, "command" if step % 2 else "fact", payload))
        journal.append_batch(made)
        expected += made
        if reopen:
            journal.close()
            journal = Journal.open(path)
    assert list(journal.read()) == expected
    assert list(journal.read(seq)) == [record for record in expected if record.seq >= seq]
    journal.close()
