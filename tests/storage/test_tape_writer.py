"""The writer thread: bounds, durability, failures, and what a kill leaves."""

import errno
import os
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest

from overround.storage.tape import (
    TapeOverflow,
    TapeReader,
    TapeWriteError,
    TapeWriter,
)
from overround.storage.tape_format import MAX_PAYLOAD_BYTES, encode_block
from tests.storage.tapes import frame, read_tape, tape_info


def test_sync_makes_all_before_it_readable_while_writing_goes_on(tmp_path: Path) -> None:
    with TapeWriter(tmp_path / "t", run_id="r", fsync_interval_s=3600) as tape:
        for seq in range(1, 100):
            tape.append(*frame(seq))
            if seq % 30 == 0:
                tape.sync()
                assert [record.seq for record in read_tape(tmp_path / "t")] == list(range(1, seq + 1))
                assert tape.stats().undurable_bytes == 0
    stats = tape.stats()
    assert (stats.records, stats.bytes_in, stats.queued_bytes) == (99, 2 * 99, 0)
    assert stats.bytes_out == sum(file.stat().st_size for file in (tmp_path / "t").iterdir())
    assert stats.blocks == tape_info(tmp_path / "t").blocks


def test_the_interval_alone_writes_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = threading.Event()
    fsync = os.fsync

    def noting_fsync(handle: int) -> None:
        fsync(handle)
        if tape.stats().records:
            synced.set()

    with TapeWriter(tmp_path / "t", run_id="r", fsync_interval_s=0.01) as tape:
        monkeypatch.setattr(os, "fsync", noting_fsync)
        tape.append(*frame(1))
        assert synced.wait(30)
        assert [record.seq for record in read_tape(tmp_path / "t")] == [1]


def test_rotation_by_time(tmp_path: Path) -> None:
    with TapeWriter(tmp_path / "t", run_id="r", segment_seconds=0.0) as tape:
        for seq in (1, 2, 3):
            tape.append(*frame(seq))
            tape.sync()

    assert [file.name for file in sorted((tmp_path / "t").iterdir())] == [
        "00000001.tape",
        "00000002.tape",
        "00000003.tape",
    ]
    assert [record.seq for record in read_tape(tmp_path / "t")] == [1, 2, 3]


class BlockedDisk:
    """Holds the writer thread inside a block until told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()

        def slow(*args: Any) -> Any:
            self.entered.set()
            assert self.release.wait(30)
            return encode_block(*args)

        monkeypatch.setattr("overround.storage.tape_writer.encode_block", slow)


def test_a_full_queue_is_told_and_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = BlockedDisk(monkeypatch)
    taken: list[int] = []
    with TapeWriter(tmp_path / "t", run_id="r", block_bytes=100, queue_bytes=1000) as tape:
        for seq in range(1, 11):
            tape.append(*frame(seq, b"x" * 65))
            taken.append(seq)
        with pytest.raises(TapeOverflow, match="queue_bytes"):
            tape.append(*frame(11, b"x" * 65))
        assert disk.entered.wait(30)
        with pytest.raises(TapeOverflow):
            tape.append_many([frame(99), frame(100)])
        disk.release.set()
        tape.sync()
        tape.append(*frame(500))

    assert [record.seq for record in read_tape(tmp_path / "t")] == [*taken, 500]


@pytest.mark.parametrize("call", ["append", "append_many", "sync", "close"])
def test_a_full_disk_is_told_by_the_next_call_and_by_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    tape = TapeWriter(tmp_path / "t", run_id="r", block_bytes=1)
    tape.append(*frame(1))
    tape.sync()

    def no_space(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    tape.append(*frame(2))
    with pytest.raises(TapeWriteError, match="No space left"):
        tape.sync()

    calls = {
        "append": lambda: tape.append(*frame(3)),
        "append_many": lambda: tape.append_many([frame(3)]),
        "sync": tape.sync,
        "close": tape.close,
    }
    for _ in range(2):
        with pytest.raises(TapeWriteError, match="No space left") as caught:
            calls[call]()
        assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(TapeWriteError):
        tape.close()
    assert read_tape(tmp_path / "t")[0] == frame(1)


def test_records_that_cannot_be_encoded_stop_the_tape_with_their_reason(tmp_path: Path) -> None:
    for name, records, reason in (
        ("range", [frame(1)._replace(stream=70_000)], "stream"),
        ("order in a block", [frame(2), frame(1)], "seq falls"),
    ):
        tape = TapeWriter(tmp_path / name, run_id="r")
        tape.append_many(records)
        with pytest.raises(TapeWriteError, match=reason):
            tape.sync()
        with pytest.raises(TapeWriteError, match=reason):
            tape.close()

    tape = TapeWriter(tmp_path / "order between blocks", run_id="r")
    tape.append(*frame(2))
    tape.sync()
    tape.append(*frame(1))
    with pytest.raises(TapeWriteError, match="seq falls from 2 to 1"):
        tape.close()


def test_misuse_is_refused(tmp_path: Path) -> None:
    tape = TapeWriter(tmp_path / "t", run_id="r")
    with pytest.raises(TapeWriteError, match="at most"):
        tape.append(*frame(1, bytes(MAX_PAYLOAD_BYTES + 1)))
    with pytest.raises(TapeWriteError, match="at most"):
        tape.append_many([frame(1), frame(2, bytes(MAX_PAYLOAD_BYTES + 1))])
    assert tape.stats().queued_bytes == 0
    tape.close()
    tape.close()
    with pytest.raises(TapeWriteError, match="closed"):
        tape.append(*frame(1))
    with pytest.raises(ValueError, match="block_bytes=0"):
        TapeWriter(tmp_path / "t2", run_id="r", block_bytes=0)
    with pytest.raises(ValueError, match="queue_bytes=100"):
        TapeWriter(tmp_path / "t2", run_id="r", block_bytes=51, queue_bytes=100)
    with pytest.raises(ValueError, match="run_id"):
        TapeWriter(tmp_path / "t2", run_id="r" * 101)
    (tmp_path / "file").touch()
    with pytest.raises(TapeWriteError, match="cannot write a tape here"):
        TapeWriter(tmp_path / "file", run_id="r")


def test_opened_again_the_tape_goes_on_in_a_new_segment_and_guards_the_order(tmp_path: Path) -> None:
    with TapeWriter(tmp_path / "t", run_id="first") as tape:
        tape.append(*frame(5))
    first = (tmp_path / "t" / "00000001.tape").read_bytes()
    with TapeWriter(tmp_path / "t", run_id="second") as tape:
        tape.append(*frame(6))

    assert (tmp_path / "t" / "00000001.tape").read_bytes() == first
    info = tape_info(tmp_path / "t")
    assert (info.segments, info.run_ids, info.last_seq) == (2, ("first", "second"), 6)

    tape = TapeWriter(tmp_path / "t", run_id="third")
    tape.append(*frame(4))
    with pytest.raises(TapeWriteError, match="seq falls from 6 to 4"):
        tape.close()


WRITE_FOR_EVER = """
import itertools, random, sys, zlib
from overround.storage.tape import FRAME, TapeOverflow, TapeWriter
rng = random.Random(int(sys.argv[2]))
tape = TapeWriter(sys.argv[1], run_id=sys.argv[2], block_bytes=4096, segment_bytes=100_000)
first = int(sys.argv[3])
for seq in itertools.count(first):
    body = rng.randbytes(rng.randrange(300))
    tape.append(FRAME, seq, seq, seq, 1, 1, zlib.crc32(body).to_bytes(4, "big") + body)
    if seq % 500 == 0:
        tape.sync()
        print(seq, flush=True)
"""


@pytest.mark.parametrize("rounds", [3, pytest.param(25, marks=pytest.mark.slow)])
def test_a_killed_writer_loses_nothing_it_called_durable(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "t"
    first = 1
    for attempt in range(rounds):
        command = [sys.executable, "-c", WRITE_FOR_EVER, str(path), str(attempt), str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            durable = 0
            for _ in range(attempt % 3 + 1):
                line = writer.stdout.readline()
                assert line, "the writer ended by itself"
                durable = int(line)
            writer.kill()
            durable = max([durable, *map(int, writer.stdout.read().split())])
        assert writer.returncode != 0

        with TapeReader(path) as tape:
            records = list(tape)
            info = tape.info()
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        assert all(
            zlib.crc32(record.payload[4:]).to_bytes(4, "big") == record.payload[:4] for record in records
        )
        assert len(records) >= durable
        assert len(info.torn) <= attempt + 1
        assert len(info.run_ids) == attempt + 1
        first = len(records) + 1
