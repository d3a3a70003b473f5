"""A report says what the store says."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from overround.ops.app import store_path
from overround.ops.report.model import ReportData
from overround.ops.report.plain import plain
from overround.ops.report.read import read_report
from overround.storage.engine import read_store
from overround.storage.schema import book_snapshots, fills, orders
from tests.ops.paper_session import run_session


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_path(run_session(tmp_path_factory.mktemp("session"), seconds=12))


@pytest.fixture(scope="module")
def data(store: Path) -> ReportData:
    found = read_report(store)
    assert found is not None
    return found


def count(connection: Connection, table: object, *where: object) -> int:
    return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()  # type: ignore[arg-type]


def test_orders_and_fills_add_up(store: Path, data: ReportData) -> None:
    engine = read_store(store)
    with engine.connect() as connection:
        assert sum(line.orders for line in data.strategies) == count(connection, orders) > 0
        assert sum(line.fills for line in data.strategies) == count(connection, fills) > 0
        for story in data.stories:
            assert len(story.ts_ms) > 0
        assert count(connection, book_snapshots) > 0
    engine.dispose()


def test_the_last_point_of_equity_is_the_strategys_profit(data: ReportData) -> None:
    assert {line.strategy: line.pnl_usd_e6[-1] for line in data.equity} == {
        line.strategy: line.pnl_usd_e6 for line in data.strategies
    }


def test_markets_with_most_fills_are_drawn_in_order(data: ReportData) -> None:
    drawn = [len(story.fills) for story in data.stories]
    assert 1 <= len(drawn) <= 4
    assert drawn == sorted(drawn, reverse=True)


def test_quotes_lie_on_their_side_in_yes_terms(data: ReportData) -> None:
    for story in data.stories:
        bids = [order.px_e6 for order in story.orders if order.bid]
        asks = [order.px_e6 for order in story.orders if not order.bid]
        assert bids
        assert asks
        assert sum(bids) / len(bids) < sum(asks) / len(asks)


def test_snapshots_are_verified_failed_or_unverifiable(data: ReportData) -> None:
    tally = data.snapshot_hashes
    assert tally.verified > 0
    assert tally.failed == 0
    assert tally.unchecked >= 0


def test_scripts_get_decimal_strings(data: ReportData) -> None:
    document = plain(data)
    assert document["frames"] > 0
    for line in document["strategies"]:
        assert all(isinstance(line[name], str) for name in ("volume", "fees", "cash", "positions", "pnl"))


def test_a_run_that_is_not_there_has_no_report(store: Path) -> None:
    assert read_report(store, "nobody") is None
