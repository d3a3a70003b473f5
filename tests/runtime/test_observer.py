"""Observation: what is sampled reaches the store, and a failure to write ends the run."""

from pathlib import Path

import pytest

from overround.core.units import E6
from overround.runtime.observer import BackgroundWriter, Observer, ObserverSettings
from overround.storage.engine import read_store
from overround.storage.observations import Observations
from overround.storage.projections import Projector
from overround.storage.schema import book_snapshots, counters, equity, opportunities, orders, service_status
from tests.runtime.sessions import CASH_USD_E6, frames, stored_session


def test_a_run_leaves_equity_books_findings_and_counters(recordings: Path, tmp_path: Path) -> None:
    with stored_session(recordings, tmp_path, "r1") as session:
        path = tmp_path / "overround.db"
        with Observations.open(path) as observations, Projector.open(path) as projector:
            writer = BackgroundWriter(observations, projector)
            pruned: list[int] = []
            settings = ObserverSettings(equity_interval_ns=10**9, snapshot_interval_ns=10**9)
            observer = Observer(session.engine, "r1", "paper", writer, settings, pruned.append)
            for step in session.steps:
                observer.on_step(step)
            done = len(session.steps)
            session.run(frames(recordings))
            for step in session.steps[done:]:
                observer.on_step(step)
            observer.finish(session.sequencer.ts_ns)
            writer.close()
            assert pruned
    store = read_store(path)
    with store.connect() as connection:
        rows = {
            table.name: connection.execute(table.select()).mappings().all()
            for table in (book_snapshots, counters, equity, opportunities, orders, service_status)
        }
    store.dispose()
    total = [row for row in rows["equity"] if row["strategy"] == "total"]
    assert total[0]["cash_usd_e6"] == CASH_USD_E6
    last = max(total, key=lambda row: row["ts_ms"])
    assert abs(last["cash_usd_e6"] + last["position_usd_e6"] - CASH_USD_E6) < 100 * E6
    assert {row["token_id"] for row in rows["book_snapshots"]} == {
        book.token_id for book in session.engine.books if book.snapshot_seq
    }
    assert {row["name"]: row["value"] for row in rows["counters"]}["frames"] == 1264
    assert [row["reason"] for row in rows["opportunities"]] == ["quoting"] * len(rows["opportunities"]) != []
    assert len(rows["orders"]) == len(session.engine.orders) > 1
    assert {"run_id", "books", "gate_open"} <= {row["name"] for row in rows["service_status"]}


def test_a_failed_write_is_raised_at_the_next_sample_and_at_the_end(recordings: Path, tmp_path: Path) -> None:
    with stored_session(recordings, tmp_path):
        path = tmp_path / "overround.db"
        with Observations.open(path) as observations, Projector.open(path) as projector:
            writer = BackgroundWriter(observations, projector)

            def fail(_observations: Observations, _projector: Projector) -> None:
                raise OSError("disk full")

            writer.put(fail)
            with pytest.raises(OSError, match="disk full"):
                writer.close()
            with pytest.raises(OSError, match="disk full"):
                writer.put(fail)
