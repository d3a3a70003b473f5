"""A recorded paper session must regenerate its commands byte for byte."""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from overround.core.commands import SubmitOrders
from overround.core.engine import Engine
from overround.polymarket.inbox import FrameIn
from overround.runtime.recovery import fold
from overround.runtime.replay import verify
from overround.storage.journal import decode_command
from tests.runtime.sessions import frames, new_engine, stored_logs, stored_session

BTC = "books_btc-updown-5m-1776326100.jsonl.zst"


@pytest.fixture(scope="module")
def data(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with two runs."""
    folder = tmp_path_factory.mktemp("session")
    with stored_session(recordings, folder, "first") as session:
        session.run(islice(frames(recordings, BTC), 1_000))
    with stored_session(recordings, folder, "second") as session:
        session.run(frames(recordings))
    return folder


def test_regenerates_every_command_of_both_runs(data: Path) -> None:
    with stored_logs(data) as (journal, tape):
        report = verify(journal, tape, new_engine)
        journaled = [record for record in journal.read() if record.kind == "command"]
    assert report.first_divergence is None
    assert report.matches_journal
    assert report.runs == 2
    assert report.commands == len(journaled) > 20
    assert report.unverified_commands == 0
    assert report.frames > 2_000


def test_names_the_first_divergence(data: Path) -> None:
    def other_engine() -> Engine:
        return new_engine(size_qty_e6=19_000_000)

    with stored_logs(data) as (journal, tape):
        report = verify(journal, tape, other_engine)
        first = next(record for record in journal.read() if record.kind == "command")
    assert report.first_divergence is not None
    assert report.first_divergence.seq == first.seq
    assert report.first_divergence.journaled[0] == first.payload.decode()


def test_digest_does_not_depend_on_the_hash_seed(data: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from overround.runtime.replay import verify;"
        "from tests.runtime.sessions import new_engine, stored_logs;"
        "logs = stored_logs(Path(sys.argv[1])); journal, tape = logs.__enter__();"
        "report = verify(journal, tape, new_engine);"
        "print(report.decision_digest, report.matches_journal)"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", script, str(data)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
    assert answers.pop().endswith("True\n")


def test_no_order_is_submitted_twice(data: Path) -> None:
    ids: list[str] = []
    with stored_logs(data) as (journal, _):
        for record in journal.read():
            if record.kind == "command" and isinstance(
                command := decode_command(record.payload), SubmitOrders
            ):
                ids += [order.client_order_id for order in command.orders]
    assert len(ids) == len(set(ids)) > 10


def test_a_resolution_survives_a_restart_and_replays(recordings: Path, tmp_path: Path) -> None:
    market_id = "0x18b1c135d0a40c5894da9412e77311827d9caf16cf4cd6591b247a34730af919"
    resolution = b'{"event_type":"market_resolved","market":"%b","winning_asset_id":"%b","timestamp":"1"}'
    with stored_session(recordings, tmp_path, "first") as session:
        groups = list(islice(frames(recordings), 50))
        last = groups[-1][-1]
        assert isinstance(last, FrameIn)
        winner = session.engine.universe.markets[market_id].yes.token_id
        payload = resolution % (market_id.encode(), winner.encode())
        groups.append([msgspec.structs.replace(last, payload=payload)])
        session.run(iter(groups))
        assert session.engine.universe.markets[market_id].winner == winner
    engine = new_engine()
    with stored_logs(tmp_path) as (journal, tape):
        fold(engine, journal.read())
        report = verify(journal, tape, new_engine)
    assert engine.universe.markets[market_id].winner == winner
    assert report.matches_journal
    assert report.commands > 0
