"""The whole service in this process, against a scripted venue on loopback."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from overround.core.events import MarketAnnounced
from overround.ops.app import new_engine, store_path, tape_path
from overround.ops.config import Config
from overround.ops.following import Wanted
from overround.ops.halting import Halt
from overround.ops.mistakes import Problem
from overround.ops.service import Service, run_service
from overround.runtime.replay import verify
from overround.storage import schema
from overround.storage.engine import read_store
from overround.storage.journal import JournalReader
from overround.storage.lock import AlreadyRunning, DirectoryLock
from overround.storage.rows import public_rows
from overround.storage.tape import FRAME, TapeReader
from tests.ops.trading_venue import (
    SLUG,
    Running,
    config_of,
    outcome,
    run,
    tokens,
    trading_venue,
)
from tests.polymarket import gamma_samples as gs
from tests.support.scripted_venue import Answer


def rows(config: Config, table: Any) -> list[dict[str, Any]]:
    engine = read_store(store_path(config))
    with engine.connect() as connection:
        found = list(public_rows(connection, select(table).order_by(*table.primary_key)))
    engine.dispose()
    return found


def matches(config: Config) -> bool:
    """Whether replaying journal and tape gives the journaled commands."""
    journal = JournalReader.open(store_path(config))
    with TapeReader(tape_path(config)) as tape:
        report = verify(journal, tape, lambda: new_engine(config))
    assert report.commands > 0
    return report.matches_journal and not report.unverified_commands


async def test_quotes_fills_records_and_ends_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trading_venue() as venue:
        config = config_of(venue, tmp_path)

        async def script(running: Running) -> None:
            session = await venue.serve(0, 1)
            await running.until(lambda: running.quotes() == 4)
            await venue.send_books(session, 0, bid=30, ask=33)  # sellers walk through our bid
            await running.until(lambda: running.service.log.counts["fills"])

        ended = await run(config, script, monkeypatch)
        assert ended.reason == "script is over"
        assert ended.fills >= 1
        (started,) = rows(config, schema.runs)
        assert (started["run_id"], started["mode"]) == (ended.run_id, "paper")
        assert started["end_reason"] == "script is over"
        assert {order["state"] for order in rows(config, schema.orders)} == {"filled", "canceled"}
        assert rows(config, schema.positions)
        with TapeReader(tape_path(config)) as tape:
            assert sum(record.kind == FRAME for record in tape) == ended.frames == 2
        assert matches(config)


async def test_a_dropped_and_a_silent_socket_are_replaced_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trading_venue() as venue:
        config = config_of(venue, tmp_path)

        async def script(running: Running) -> None:
            session = await venue.serve(0, 1)
            await running.until(lambda: running.quotes() == 4)
            session.drop()
            await running.until(lambda: running.quotes() == 0)
            assert "LIVE" not in running.states()
            await venue.serve(0, 1)
            await running.until(lambda: running.quotes() == 4)
            # From here the venue answers PING and nothing else: not even the question for a book.
            await running.until(lambda: running.quotes() == 0)
            assert "LIVE" not in running.states()
            await venue.serve(0, 1)
            await running.until(lambda: running.states() == {"LIVE"})

        with capture_logs() as said:
            await run(config, script, monkeypatch)
        reasons = [row["reason"] for row in rows(config, schema.resyncs) if row["kind"] == "stream"]
        assert reasons == ["closed_1006", "silent"]
        downs = [entry["reason"] for entry in said if entry["event"] == "stream_down"]
        assert downs[:2] == ["closed_1006", "silent"]
        assert matches(config)


async def test_a_restart_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with trading_venue() as venue:
        config = config_of(venue, tmp_path)

        async def script(running: Running) -> None:
            await venue.serve(0, 1)
            await running.until(lambda: running.quotes() == 4)

        first, second = await run(config, script, monkeypatch), await run(config, script, monkeypatch)
        assert [row["run_id"] for row in rows(config, schema.runs)] == sorted((first.run_id, second.run_id))
        assert len(rows(config, schema.orders)) == first.orders + second.orders
        assert matches(config)


async def test_a_market_that_joins_the_event_is_followed_and_a_closed_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trading_venue() as venue:
        config = config_of(venue, tmp_path)
        venue.list(0)

        async def script(running: Running) -> None:
            refresher = running.service.refresher
            session = await venue.serve(0)
            await running.until(lambda: running.states() == {"LIVE"})
            venue.list(0, 1)
            await refresher.refresh()
            assert (await session.receive())["assets_ids"] == tokens(1)
            await venue.send_books(session, 1)
            await running.until(lambda: running.states() == {"LIVE"})
            assert len(running.service.run.engine.books) == 4
            await running.until(lambda: running.quotes() == 0)  # another outcome is another set of rules
            venue.list(0, 1, closed=True)
            await refresher.refresh()
            await running.until(lambda: not running.service.feed.followed)

        await run(config, script, monkeypatch)


async def test_an_announced_market_brings_an_early_refresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes: list[str] = []
    monkeypatch.setattr(
        "overround.ops.service.MetadataRefresher.refresh_early", lambda _self: wishes.append("x")
    )
    async with trading_venue() as venue:

        async def script(running: Running) -> None:
            session = await venue.serve(0, 1)
            assert not wishes
            yes, no = tokens(7)
            new = {"event_type": "new_market", "market": outcome(7)["conditionId"], "assets_ids": [yes, no]}
            await session.send({**new, "slug": "outcome-7", "timestamp": "1"})
            await running.until(lambda: wishes)

        await run(config_of(venue, tmp_path), script, monkeypatch)


async def test_a_task_that_dies_ends_the_service_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trading_venue() as venue:
        config = config_of(venue, tmp_path)

        async def feed_dies(running: Running) -> None:
            session = await venue.serve(0, 1)
            await running.until(lambda: running.quotes() == 4)

            def broken(*_: object) -> None:
                raise RuntimeError("a bug in the feed")

            monkeypatch.setattr("overround.polymarket.connection.Connection.data", broken)
            await session.send({"event_type": "x"})
            await running.until(lambda: running.halt.asked and running.quotes() == 0)

        with pytest.raises(
            Problem, match=r"^the service ended: market feed: RuntimeError: a bug in the feed$"
        ):
            await run(config, feed_dies, monkeypatch)
        (row,) = rows(config, schema.runs)
        assert row["end_reason"] == "market feed died"
        assert {order["state"] for order in rows(config, schema.orders)} == {"canceled"}


async def test_a_bug_in_the_core_journals_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trading_venue() as venue:
        config = config_of(venue, tmp_path)

        async def core_dies(running: Running) -> None:
            await venue.serve(0, 1)
            await running.until(lambda: running.quotes() == 4)

            def broken(*_: object) -> None:
                raise ZeroDivisionError("a bug in the core")

            monkeypatch.setattr(running.service.run.engine, "decide", broken)
            await running.halt.wait()

        with pytest.raises(Problem, match="trading loop: ZeroDivisionError: a bug in the core"):
            await run(config, core_dies, monkeypatch)
        (row,) = rows(config, schema.runs)
        assert row["ended_ms"] is None
        monkeypatch.undo()

        async def script(running: Running) -> None:
            await venue.serve(0, 1)
            await running.until(lambda: running.quotes() == 4)

        await run(config, script, monkeypatch)


async def test_nothing_to_follow_is_one_line_and_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trading_venue() as venue:
        config = config_of(venue, tmp_path)

        async def script(_running: Running) -> None:
            pytest.fail("nothing may run")

        wanted = Wanted.named((), ("no-such-event",))
        with pytest.raises(Problem, match="knows none of the markets"):
            await run(config, script, monkeypatch, wanted)
        venue.answer(f"/events/slug/{SLUG}", Answer("down", 400))
        with pytest.raises(Problem, match=r"metadata cannot be read: .* HTTP 400"):
            await run(config, script, monkeypatch)
        assert all(row["ended_ms"] for row in rows(config, schema.runs))


async def test_a_second_instance_is_refused(tmp_path: Path) -> None:
    async with trading_venue() as venue:
        config = config_of(venue, tmp_path)

        async def watch(_service: Service) -> None:
            pytest.fail("nothing may run")

        with DirectoryLock(config.data_dir()), pytest.raises(AlreadyRunning):
            await run_service(config, Wanted.of(config), Halt(), watch)


async def test_the_duration_ends_it_and_status_is_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trading_venue() as venue:
        config = config_of(venue, tmp_path)

        async def watch(_service: Service) -> None:
            await venue.serve(0, 1)

        ended = await run_service(config, Wanted.of(config), Halt(), watch, 0.5)
        assert ended.reason == "duration is over"
        status = {row["name"]: row["content"] for row in rows(config, schema.service_status)}
        assert status["run_id"] == ended.run_id
        assert status["books"] == {"LIVE": 4}
        assert status["followed"] == 2
        assert status["metadata"]["refreshes"] == 1
        (stream,) = status["streams"]
        assert (stream["tokens"], stream["frames"]) == (4, 1)


def test_names_are_told_apart() -> None:
    condition = gs.market(3)["conditionId"]
    wanted = Wanted.named(("a-slug", condition.upper().replace("0X", "0x"), ""), ("77", "who-wins"))
    assert wanted == Wanted(
        frozenset({"a-slug"}), frozenset({condition}), frozenset({"who-wins"}), frozenset({"77"})
    )
    assert not Wanted()
    announced = MarketAnnounced(condition, (), "x")
    assert Wanted.named((condition,), ()).may_cover(announced)
    assert not Wanted.named(("y",), ()).may_cover(announced)
