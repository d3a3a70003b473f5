"""`run-service`, `quoter-run-ws`, `record-ws` as processes of their own, against a venue on loopback."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from overround.core.events import EventListed, MarketListed, StreamUp
from overround.polymarket.inbox import FactIn, FrameIn
from overround.runtime.backtest import announced
from overround.storage.tape import TapeReader
from tests.conftest import PROJECT_ROOT
from tests.ops.cli.running import Cli
from tests.ops.trading_venue import SLUG, TradingVenue, tokens, trading_venue

PATIENCE_S = 30

if sys.platform == "win32":
    STOP: Final = signal.CTRL_BREAK_EVENT
    STOP_NAME: Final = "SIGBREAK"
    GROUP: Final = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    STOP: Final = signal.SIGTERM
    STOP_NAME: Final = "SIGTERM"
    GROUP: Final = 0


class Ran:
    """How a command ended."""

    def __init__(self, code: int | None, out: bytes, err: bytes) -> None:
        self.code = code
        self.out = out.decode()
        self.err = err.decode().splitlines()

    def json(self) -> Any:
        return json.loads(self.out)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.err]


class Command:
    """A command that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def stop(self) -> None:
        """Ask for an orderly end as a supervisor does."""
        self._process.send_signal(STOP)

    async def ended(self) -> Ran:
        out, err = await asyncio.wait_for(self._process.communicate(), PATIENCE_S)
        return Ran(self._process.returncode, out, err)


@asynccontextmanager
async def command(*words: str | Path) -> AsyncIterator[Command]:
    """Run ``overround`` with these words; it is killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "overround",
        *map(str, words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT / "src"), "PYTHONUTF8": "1"},
        creationflags=GROUP,
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ran(*words: str | Path) -> Ran:
    async with command(*words) as running:
        return await running.ended()


async def health(config: Path) -> Ran:
    """Ask until the service has written its first status with a frame in it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await ran("health", "--config", config, "--json")
            if found.json()["last_frame_age_ms"] is not None:
                return found


async def test_the_service_ends_in_order_when_told_to(tmp_path: Path) -> None:
    async with trading_venue() as venue:
        config = venue.write_config(tmp_path)
        async with command("run-service", "--config", config, "--json") as service:
            await venue.serve(0, 1)
            second = await ran("run-service", "--config", config)
            assert second.code == 2
            assert second.err[-1].startswith(f"error: {tmp_path / 'data'}: another instance (process ")
            well = await health(config)
            assert (well.code, well.json()["running"], well.json()["gate_open"]) == (0, True, True)
            service.stop()
            ended = await service.ended()
        assert ended.code == 0
        assert (ended.json()["reason"], ended.json()["frames"], ended.json()["orders"]) == (STOP_NAME, 1, 4)
        events = ended.events()
        assert (events[0], events[-1]) == ("run_started", "run_ended")
        assert events.count("order") == 4
        assert events.index("cancel") > events.index("order")
        written = (tmp_path / "data" / "logs" / "overround.log").read_text(encoding="utf-8")
        assert [json.loads(line)["event"] for line in written.splitlines()] == events


@pytest.mark.slow
async def test_the_quoter_quotes_what_it_is_given_and_nothing_else(tmp_path: Path) -> None:
    async with trading_venue() as venue:
        config = venue.write_config(tmp_path)
        words = ("quoter-run-ws", "--config", config, "--market", "outcome-1", "--duration", "1.5", "--json")
        async with command(*words) as quoter:
            await venue.serve(1)
            ended = await quoter.ended()
        assert ended.code == 0, ended.err
        assert (ended.json()["reason"], ended.json()["orders"]) == ("duration is over", 2)
        orders = (await ran("orders", "--config", config, "--json")).json()
        assert {order["token_id"] for order in orders} == set(tokens(1))
        assert {order["strategy"] for order in orders} == {"spread_capture"}


async def record(venue: TradingVenue, out: Path) -> Ran:
    urls = ("--ws-url", venue.ws_url, "--gamma-url", venue.http_url)
    async with command("record-ws", *urls, "--event", SLUG, "--out", out, "--json") as recorder:
        session = await venue.serve(0, 1)
        await session.sync()
        recorder.stop()
        return await recorder.ended()


async def test_a_recording_replays_by_itself(cli: Cli, tmp_path: Path) -> None:
    async with trading_venue() as venue:
        recorded = await record(venue, tmp_path / "tape")
        assert recorded.code == 0, recorded.err
        said = recorded.json()
        assert (said["frames"], said["markets"], said["reason"]) == (1, 2, STOP_NAME)
        assert said["resyncs"] == {"stopped": 1}
    with TapeReader(tmp_path / "tape") as tape:
        inputs = list(announced(tape, {}))
    kinds = [type(item.fact) if isinstance(item, FactIn) else FrameIn for item in inputs]
    assert kinds[:5] == [MarketListed, MarketListed, EventListed, StreamUp, FrameIn]
    (file,) = cli("book-check", tmp_path / "tape", "--json").json()["files"]
    assert (file["frames"], file["rejected"], file["tokens"]) == (1, 0, 4)


def test_mistakes_are_one_line_each(cli: Cli, tmp_path: Path) -> None:
    def refused(*words: str, text: str = "") -> str:
        config = tmp_path / "service.toml"
        config.write_text(text, encoding="utf-8")
        return cli(*words, "--config", config).refusal()

    assert "no market or event to follow" in refused("run-service")
    assert "unknown key" in refused("run-service", text="[service]\nmarkts = []\n")
    real = '[relayer]\ntype = "real"\n[service]\nmarkets = ["a"]\n'
    assert 'paper only (relayer.type = "real")' in refused("run-service", text=real)
    assert 'paper only (relayer.type = "real")' in refused("quoter-run-ws", "--market", "a", text=real)
    assert "--market: no market given" in refused("quoter-run-ws")
    assert "nothing to record" in refused("record-ws")
    assert "--duration" in refused("run-service", "--duration", "0")
    assert "--ws-url: is no address" in refused("record-ws", "--market", "a", "--ws-url", "http://x")
    assert "--out: no tape to write" in cli("record-ws", "--market", "a").refusal()
    (tmp_path / "data").write_text("a file in the way", encoding="utf-8")
    assert "choose another service.data_dir" in refused("run-service", text='[service]\nmarkets = ["a"]\n')
    assert "no such" in cli("run-service", "--config", tmp_path / "none.toml").refusal().lower()


@pytest.mark.slow
async def test_a_venue_that_refuses_metadata_is_one_line(tmp_path: Path) -> None:
    async with trading_venue() as venue:
        config = venue.write_config(tmp_path)
        text = config.read_text(encoding="utf-8").replace(SLUG, "no-such-event")
        config.write_text(text, encoding="utf-8")
        ended = await ran("run-service", "--config", config)
    assert ended.code == 1
    assert ended.err[-1] == "the venue knows none of the markets and events that the configuration names"
