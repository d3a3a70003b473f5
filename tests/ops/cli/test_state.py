"""`status`, `health`, `orders`, `fills`, `positions`, `config-dump`: reading beside a service or without."""

import asyncio
import json
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from overround.ops.config_load import load
from overround.storage.engine import DATABASE_NAME
from overround.storage.lock import DirectoryLock, holder
from overround.storage.observations import Observations
from tests.ops.cli.running import Cli
from tests.ops.trading_venue import Running, run, tokens, trading_venue


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a service that has quoted, was filled and lost a connection."""
    directory = tmp_path_factory.mktemp("service")
    with pytest.MonkeyPatch.context() as patch:
        return asyncio.run(_served(directory, patch))


async def _served(directory: Path, patch: pytest.MonkeyPatch) -> Path:
    async with trading_venue() as venue:

        async def script(running: Running) -> None:
            session = await venue.serve(0, 1)
            await running.until(lambda: running.quotes() == 4)
            await venue.send_books(session, 0, bid=30, ask=33)
            await running.until(lambda: running.service.log.counts["fills"])
            session.drop()
            await running.until(lambda: running.service.feed.resyncs()["closed_1006"])
            await venue.serve(0, 1)
            await running.until(lambda: running.states() == {"LIVE"})

        path = venue.write_config(directory, '[wallet]\napi_key = "not-for-logs"')
        path.chmod(0o600)
        await run(load(path), script, patch)
    return path


def topics(cli: Cli, *words: str | Path) -> dict[str, Any]:
    rows = cli("status", *words, "--json").json()
    assert all(set(row) == {"name", "content", "updated_ms", "age_ms"} for row in rows)
    return {row["name"]: row["content"] for row in rows}


def test_status_says_what_was_and_how_old_it_is(cli: Cli, config: Path) -> None:
    said = topics(cli, "--config", config)
    assert (said["running"], said["process"], said["mode"]) == (False, None, "paper")
    assert said["frames"] == 3
    assert said["books"] == {"LIVE": 4}
    assert float(said["pnl"]["spread_capture"]) < 0
    assert "resyncs" not in said
    shown = cli("status", "--config", config)
    assert shown.code == 0
    assert "4 LIVE" in shown.out
    assert "2 followed" in shown.out


def test_verbose_status_says_why(cli: Cli, config: Path) -> None:
    said = topics(cli, "--config", config, "--verbose")
    assert {"kind": "stream", "reason": "closed_1006", "count": 1} in said["resyncs"]
    states = {row["state"] for row in said["orders"]}
    assert states == {"canceled", "filled"}
    reasons = {(row["strategy"], row["reason"]) for row in said["findings"]}
    assert ("spread_capture", "quoting") in reasons
    assert any(strategy == "dutch_book" for strategy, _ in reasons)
    assert said["hashes"]["checked_share"] is None
    assert said["counters"]["books_snapshots"] == 10
    shown = cli("status", "--config", config, "--verbose").out
    assert "closed_1006" in shown
    assert "quoting" in shown


def test_lists_have_the_columns_of_the_store(cli: Cli, config: Path) -> None:
    orders = cli("orders", "--config", config, "--json").json()
    assert len(orders) >= 4
    assert {order["token_id"] for order in orders} == set(tokens(0, 1))
    assert {"client_order_id", "px", "qty", "filled_qty", "state", "created_ms"} <= set(orders[0])
    assert [order["created_ms"] for order in orders] == sorted(
        (o["created_ms"] for o in orders), reverse=True
    )
    assert cli("orders", "--config", config, "--open", "--json").json() == []
    assert len(cli("orders", "--config", config, "--limit", "3", "--json").json()) == 3
    (fill, *_) = fills = cli("fills", "--config", config, "--json").json()
    assert (fill["side"], fill["liquidity"], fill["token_id"]) == ("BUY", "maker", tokens(0)[0])
    (position, *_) = cli("positions", "--config", config, "--json").json()
    assert position["strategy"] == "spread_capture"
    for name, rows in (("orders", orders), ("fills", fills), ("positions", [position])):
        shown = cli(name, "--config", config)
        assert shown.code == 0
        assert rows[0]["token_id"][-12:] in shown.out


def test_health(cli: Cli, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = load(config).data_dir()
    down = cli("health", "--config", config)
    assert (down.code, down.err) == (1, "")
    assert down.out.startswith("unhealthy: the service is not running")
    with DirectoryLock(data_dir):
        closed = cli("health", "--config", config, "--json").json()
        assert closed["problems"] == ["the gate is closed"]
        _open_the_gate(data_dir)
        well = cli("health", "--config", config)
        assert well.code == 0
        assert well.out.startswith("ok: last frame ")
        stale = cli("health", "--config", config, "--staleness-ms", "1")
        assert stale.code == 1
        assert "ms old (allowed 1)" in stale.out
        assert len(stale.out.splitlines()) == 1
        # A process that holds the lock but writes nothing hangs.
        monkeypatch.setattr("overround.ops.store_reads.MAX_SAMPLE_AGE_MS", -1)
        assert "does not write its status" in cli("health", "--config", config).out


def _open_the_gate(data_dir: Path) -> None:
    with Observations.open(data_dir / DATABASE_NAME) as store:
        store.status({"gate_open": True}, time.time_ns() // 1_000_000)


def test_nothing_there_yet(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "service.toml"
    config.write_text("", encoding="utf-8")
    assert "no store here" in cli("status", "--config", config).refusal()
    assert "no store here" in cli("orders", "--config", config).refusal()
    assert cli("health", "--config", config).code == 1
    assert not (tmp_path / "data").exists()


def test_a_look_at_the_lock_disturbs_nobody(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with DirectoryLock(tmp_path):
        assert holder(tmp_path) is not None
    assert holder(tmp_path) is None
    with DirectoryLock(tmp_path):
        pass


def test_config_dump_masks_secrets_and_loads_again(cli: Cli, config: Path, tmp_path: Path) -> None:
    dumped = cli("config-dump", "--config", config)
    assert dumped.code == 0
    assert "not-for-logs" not in dumped.out
    assert tomllib.loads(dumped.out)["wallet"]["api_key"] == "***"
    said = cli("config-dump", "--config", config, "--json")
    assert "not-for-logs" not in said.out
    assert said.json()["digest"] == load(config).digest()
    again = tmp_path / "again.toml"
    again.write_text(dumped.out.replace('api_key = "***"', ""), encoding="utf-8")
    assert load(again).venue == load(config).venue
    assert json.dumps(said.json()["config"]["service"]["events"]) == '["who-wins"]'
