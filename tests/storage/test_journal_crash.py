"""A killed process loses no record that was reported durable, and leaves a chain that verifies."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from overround.storage.journal import Journal
from tests.storage.journals import database, ticks

WRITER = """
import sys
from pathlib import Path
from overround.core.events import TimerFired
from overround.storage.journal import Journal, fact_record

with Journal.open(Path(sys.argv[1])) as journal:
    seq = journal.last_seq() + 1
    print("open", flush=True)
    while True:
        size = seq % 5 + 1
        journal.append_batch([fact_record(s, s * 10, TimerFired(f"t{s}")) for s in range(seq, seq + size)])
        seq += size
        print(seq - 1, flush=True)
"""


def kill_once(path: Path, after_acks: int) -> int:
    """Run a writer, kill it after some acknowledged batches, return the last sequence number it reported."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    reported = 0
    for number, line in enumerate(process.stdout):
        if line.strip() != "open":
            reported = int(line)
        if number >= after_acks:
            break
    process.kill()
    for line in process.stdout:  # acknowledged before the kill arrived
        if line.strip() != "open" and line.endswith("\n"):
            reported = int(line)
    process.stdout.close()
    process.wait()
    return reported


def check_kills(path: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    last = 0
    for _ in range(kills):
        reported = kill_once(path, rng.randrange(40))
        with Journal.open(path) as journal:
            assert journal.verify().ok
            seqs = [record.seq for record in journal.read()]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) >= max(reported, last)
        last = len(seqs)


def test_kill_at_random_moments(tmp_path: Path) -> None:
    check_kills(database(tmp_path), kills=3, seed=1)


@pytest.mark.slow
def test_kill_at_many_random_moments(tmp_path: Path) -> None:
    check_kills(database(tmp_path), kills=50, seed=2)


def test_a_copy_of_the_files_at_any_moment_opens(tmp_path: Path) -> None:
    """What a power cut leaves: the database and its log as they are, without any closing."""
    path = database(tmp_path / "a")
    with Journal.open(path) as journal:
        for seq in range(1, 30):
            journal.append_batch(ticks(seq, 1))
            if seq % 7 == 0:
                copy = tmp_path / f"copy{seq}"
                copy.mkdir()
                for file in path.parent.glob("overround.db*"):
                    if not file.name.endswith("-shm"):
                        (copy / file.name).write_bytes(file.read_bytes())
                with Journal.open(database(copy)) as copied:
                    assert [record.seq for record in copied.read()] == list(range(1, seq + 1))
                    assert copied.verify().ok
