"""Observations are written, shown and pruned by age; facts stay."""

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from overround.core.units import E6
from overround.storage import retention
from overround.storage.engine import read_store
from overround.storage.errors import StoreMissing
from overround.storage.journal import JournalReader
from overround.storage.observations import BookSnapshot, EquityPoint, Observations, Opportunity
from overround.storage.retention import MS_PER_DAY, RetentionPolicy, prune, prune_tape
from overround.storage.rows import public_rows
from overround.storage.schema import metadata
from overround.storage.tape import FRAME, TapeReader, TapeWriter
from tests.storage.journals import append, database, ticks

NOW = 100 * MS_PER_DAY
POLICY = RetentionPolicy(snapshot_days=7, observation_days=30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = database(tmp_path)
    append(path, ticks(1, 3))
    return path


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    engine = read_store(path)
    with engine.connect() as connection:
        made = list(
            public_rows(
                connection, select(metadata.tables[table]).order_by(*metadata.tables[table].primary_key)
            )
        )
    engine.dispose()
    return made


def snapshot(ts_ms: int, token_id: str = "11") -> BookSnapshot:
    return BookSnapshot(token_id, ts_ms, "LIVE", [(480_000, 5 * E6), (470_000, 1)], [])


def test_what_is_written_is_shown(path: Path) -> None:
    with Observations.open(path) as observations:
        observations.snapshots([snapshot(5)])
        observations.equity(
            [EquityPoint("r", 1, "total", 10 * E6, -5, 0), EquityPoint("r", 1, "total", 9 * E6, 0, 1)]
        )
        observations.opportunities([Opportunity("r", "dutch_book", "e", "sub_fee", "Σ", -7, 8, 2, 3)])
        observations.opportunities([Opportunity("r", "dutch_book", "e", "sub_fee", "x", -7, 8, 5, 9)])
        observations.counters("r", {"frames": 7, "rejected": 0}, 4)
        observations.counters("r", {"frames": 9}, 5)
        observations.status({"books": {"LIVE": 2}}, 6)
    assert rows(path, "book_snapshots") == [
        {
            "token_id": "11",
            "ts_ms": 5,
            "state": "LIVE",
            "best_bid": "0.48",
            "best_ask": None,
            "bids": [["0.48", "5"], ["0.47", "0.000001"]],
            "asks": [],
        }
    ]
    (point,) = rows(path, "equity")
    assert (point["cash_usd"], point["position_usd"], point["fee_usd"]) == ("9", "0", "0.000001")
    (found,) = rows(path, "opportunities")
    assert (found["count"], found["detail"], found["edge_usd"], found["last_ms"]) == (5, "x", "-0.000007", 9)
    assert [(row["name"], row["value"], row["updated_ms"]) for row in rows(path, "counters")] == [
        ("frames", 9, 5),
        ("rejected", 0, 4),
    ]
    assert rows(path, "service_status") == [{"name": "books", "content": {"LIVE": 2}, "updated_ms": 6}]


def test_only_old_observations_are_deleted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK_ROWS", 3)
    limit = NOW - 7 * MS_PER_DAY
    with Observations.open(path) as observations:
        observations.snapshots(
            [snapshot(limit - age) for age in range(1, 8)] + [snapshot(limit), snapshot(NOW, "12")]
        )
        old = NOW - 30 * MS_PER_DAY
        observations.equity([EquityPoint("r", ts, "total", 0, 0, 0) for ts in (old - 1, old, NOW)])
        observations.opportunities(
            [Opportunity("r", "d", "e", str(ts), "", 0, 0, 1, ts) for ts in (old - 1, old)]
        )
    assert prune(path, POLICY, NOW) == {"book_snapshots": 7, "equity": 1, "opportunities": 1}
    assert prune(path, POLICY, NOW) == {"book_snapshots": 0, "equity": 0, "opportunities": 0}
    assert {row["ts_ms"] for row in rows(path, "book_snapshots")} == {limit, NOW}
    assert [row["ts_ms"] for row in rows(path, "equity")] == [old, NOW]
    assert [row["last_ms"] for row in rows(path, "opportunities")] == [old]
    with JournalReader.open(path) as reader:
        assert reader.verify().records == 3


def test_without_a_store_there_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        prune(database(tmp_path), POLICY, NOW)
    with pytest.raises(StoreMissing):
        Observations.open(database(tmp_path))


def test_a_tape_loses_its_oldest_segments_and_keeps_its_last(tmp_path: Path) -> None:
    for number in range(1, 5):  # every opening begins a segment
        with TapeWriter(tmp_path, run_id="r") as tape:
            tape.append_many([(FRAME, number, 0, 0, 16, 1, b"{}")])
    first, second, third, last = sorted(tmp_path.glob("*.tape"))
    for path, days in ((first, 9), (second, 5), (third, 9), (last, 9)):
        os.utime(path, ns=(0, (NOW - days * MS_PER_DAY) * 1_000_000))
    assert prune_tape(tmp_path, 7, NOW) == 1, "the third is old too, but a gap would be damage"
    with TapeReader(tmp_path) as reader:
        assert [record.seq for record in reader] == [2, 3, 4]
    assert prune_tape(tmp_path, 1, NOW) == 2
    assert list(tmp_path.glob("*.tape")) == [last]
