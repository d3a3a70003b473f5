"""A scripted venue with one event of two outcomes, and configurations and services that talk to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from overround.ops.config import Config
from overround.ops.config_load import load
from overround.ops.following import Wanted
from overround.ops.halting import Halt
from overround.ops.service import Ended, Service, run_service
from overround.runtime.sequencer import Step
from tests.polymarket import gamma_samples as gs
from tests.support.scripted_venue import PATIENCE_S, Answer, ScriptedVenue, Session

END = "2099-01-01T00:00:00Z"
SLUG = "who-wins"


def outcome(n: int, **changes: Any) -> gs.Json:
    return gs.market(n, endDate=END, orderPriceMinTickSize=0.01, **changes)


def tokens(*numbers: int) -> list[str]:
    return [gs.token_id(2 * n + leg) for n in numbers for leg in (1, 2)]


def books(n: int, ts_ms: int, bid: int = 48, ask: int = 52) -> list[gs.Json]:
    """Return the books of YES and NO of outcome ``n``; prices of YES in cents."""

    def book(token: str, best_bid: int, best_ask: int) -> gs.Json:
        return {
            "event_type": "book",
            "asset_id": token,
            "market": outcome(n)["conditionId"],
            "timestamp": str(ts_ms),
            "bids": [
                {"price": f"0.{best_bid - 1}", "size": "900"},
                {"price": f"0.{best_bid}", "size": "300"},
            ],
            "asks": [
                {"price": f"0.{best_ask + 1}", "size": "900"},
                {"price": f"0.{best_ask}", "size": "300"},
            ],
        }

    yes, no = tokens(n)
    return [book(yes, bid, ask), book(no, 100 - ask, 100 - bid)]


class TradingVenue(ScriptedVenue):
    """Lists outcomes 0 and 1 of one event, and what is listed later."""

    def __init__(self) -> None:
        super().__init__()
        self.ts_ms = 1_000_000
        self.list(0, 1)

    def list(self, *numbers: int, **changes: Any) -> None:
        """Make the metadata say that the event has these outcomes."""
        markets = [outcome(n, **changes) for n in numbers]
        event = gs.event(markets, slug=SLUG, endDate=END)
        self.answer(f"/events/slug/{SLUG}", Answer(event))
        self.answer(f"/events/{event['id']}", Answer(event))
        for market in markets:
            self.answer(f"/markets/slug/{market['slug']}", Answer({**market, "events": [event]}))
            self.answer(f"/clob-markets/{market['conditionId']}", Answer(_compact(market)))

    async def accept(self) -> Session:
        """Return the next socket a client opened, also one that is only starting as a process."""
        return await asyncio.wait_for(self._sessions.get(), 4 * PATIENCE_S)

    async def serve(self, *numbers: int) -> Session:
        """Accept a socket that asks for these outcomes, and send their books."""
        session = await self.accept()
        assert (await session.receive())["assets_ids"] == tokens(*numbers)
        await self.send_books(session, *numbers)
        return session

    async def send_books(self, session: Session, *numbers: int, bid: int = 48, ask: int = 52) -> None:
        self.ts_ms += 1
        await session.send([book for n in numbers for book in books(n, self.ts_ms, bid, ask)])

    def config_text(self, data_dir: Path, extra: str = "") -> str:
        return f"""
[service]
data_dir = "{data_dir.as_posix()}"
events = ["{SLUG}"]
[venue]
clob_url = "{self.http_url}"
gamma_url = "{self.http_url}"
ws_url = "{self.ws_url}"
backoff_min_ms = 1
backoff_max_ms = 1
max_data_age_ms = 100
snapshot_interval_ms = 0
[relayer.simulation]
entry_latency_ms = 1
cancel_latency_ms = 1
{extra}
"""

    def write_config(self, directory: Path, extra: str = "", name: str = "service.toml") -> Path:
        path = directory / name
        path.write_text(self.config_text(directory / "data", extra), encoding="utf-8")
        return path


def _compact(market: gs.Json) -> gs.Json:
    yes, no = tokens(int(market["id"]) - 900)
    return {
        "c": market["conditionId"],
        "t": [{"t": yes, "o": "Yes"}, {"t": no, "o": "No"}],
        "mos": 5,
        "mts": 0.01,
        "nr": True,
        "ao": True,
    }


class Running:
    """A service under test: its steps can be awaited."""

    def __init__(self, service: Service, halt: Halt, monkeypatch: pytest.MonkeyPatch) -> None:
        self.service = service
        self.halt = halt
        self._stepped = asyncio.Event()
        saw = service.log.saw

        def seen(step: Step) -> None:
            saw(step)
            self._stepped.set()

        monkeypatch.setattr(service.log, "saw", seen)

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when ``condition`` holds after some step."""
        async with asyncio.timeout(2 * PATIENCE_S):
            while not condition():
                self._stepped.clear()
                await self._stepped.wait()

    def states(self) -> set[str]:
        """The states of all books."""
        return {book.state.name for book in self.service.run.engine.books}

    def quotes(self) -> int:
        """Orders that rest or are on their way."""
        return self.service.run.engine.orders.open_count()


Script = Callable[[Running], Awaitable[None]]


async def run(
    config: Config, script: Script, monkeypatch: pytest.MonkeyPatch, wanted: Wanted | None = None
) -> Ended:
    """Run the service while ``script`` plays; the service ends with it."""
    halt = Halt()

    async def watch(service: Service) -> None:
        await script(Running(service, halt, monkeypatch))
        halt.ask("script is over")

    return await run_service(config, wanted or Wanted.of(config), halt, watch, 4 * PATIENCE_S)


def config_of(venue: TradingVenue, directory: Path, extra: str = "") -> Config:
    return load(venue.write_config(directory, extra))


@asynccontextmanager
async def trading_venue() -> AsyncIterator[TradingVenue]:
    venue = TradingVenue()
    async with venue:
        yield venue
