"""SIGKILL at any moment: no journaled fact is lost, no order is sent twice, the next start recovers."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from overround.core.commands import SubmitOrders
from overround.core.events import Filled
from overround.runtime.recovery import fold
from overround.runtime.replay import verify
from overround.storage.journal import JournalReader, JournalRecord, decode_command, decode_fact
from tests.runtime.sessions import CASH_USD_E6, new_engine, stored_logs

ROOT = Path(__file__).parents[2]


def _killed_run(data: Path, recordings: Path, number: int, delay_s: float) -> None:
    """Run a session and kill it ``delay_s`` after its gate opened."""
    command = [
        sys.executable,
        "-m",
        "tests.runtime.crash_session",
        str(data),
        f"run-{number}",
        str(recordings),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = process.stdout.readline()
        assert ready == b"READY\n", process.stderr.read().decode()
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            process.kill()


def _records(data: Path) -> list[JournalRecord]:
    with JournalReader.open(data / "overround.db") as journal:
        check = journal.verify()
        assert check.ok, check.damage
        return list(journal.read())


def _check_state(records: list[JournalRecord]) -> None:
    """Money is conserved and every order has one submission."""
    submitted: Counter[str] = Counter()
    spent_e6 = 0
    sides: dict[str, int] = {}
    for record in records:
        if record.kind == "command":
            if isinstance(command := decode_command(record.payload), SubmitOrders):
                for order in command.orders:
                    submitted[order.client_order_id] += 1
                    sides[order.client_order_id] = 1 if order.side == "BUY" else -1
        elif isinstance(fact := decode_fact(record.payload), Filled):
            assert submitted[fact.client_order_id] == 1, "a fill of an order that was not journaled before"
            spent_e6 += sides[fact.client_order_id] * fact.usd_e6 + fact.fee_usd_e6
    assert all(count == 1 for count in submitted.values())
    engine = new_engine()
    fold(engine, records)
    assert engine.portfolio.cash_e6() == CASH_USD_E6 - spent_e6


def _kind(record: JournalRecord) -> str:
    decode = decode_command if record.kind == "command" else decode_fact
    return type(decode(record.payload)).__name__


def _kill_repeatedly(data: Path, recordings: Path, kills: int, rng: random.Random) -> None:
    before: list[JournalRecord] = []
    for number in range(kills):
        _killed_run(data, recordings, number, rng.uniform(0.0, 0.6))
        after = _records(data)
        assert after[: len(before)] == before, "a journaled record was lost or changed"
        assert len(after) > len(before)
        before = after
    _check_state(before)
    kinds = Counter(_kind(record) for record in before)
    assert kinds["SubmitOrders"] > kills
    assert kinds["OrderAccepted"] > kills
    with stored_logs(data) as (journal, tape):
        report = verify(journal, tape, new_engine)
    assert report.first_divergence is None
    assert report.runs == kills


def test_survives_three_kills(recordings: Path, tmp_path: Path) -> None:
    _kill_repeatedly(tmp_path, recordings, 3, random.Random(1))


@pytest.mark.slow
def test_survives_fifty_kills(
    recordings: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _kill_repeatedly(tmp_path, recordings, 50, random.Random(record_seed(record_property)))


def record_seed(record_property: Callable[[str, object], None]) -> int:
    """Return a fresh seed and put it into the test's report."""
    seed = random.SystemRandom().getrandbits(32)
    record_property("seed", seed)
    return seed
