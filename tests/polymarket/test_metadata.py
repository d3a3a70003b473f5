"""The refresher: facts for changes, nothing for failures, spread and bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random

from overround.polymarket.catalog import Catalog
from overround.polymarket.feed_config import MS
from overround.polymarket.inbox import FactIn, Inbox
from overround.polymarket.listing import Listing, events_from_gamma
from overround.polymarket.metadata import MetadataRefresher, RefreshConfig
from overround.polymarket.venue_http import ReadFailed
from tests.polymarket import gamma_samples as gs
from tests.support.manual_clock import ManualClock

CONFIG = RefreshConfig(period_ms=100_000, backoff_base_ms=1_000, backoff_cap_ms=8_000)


def listing(tick: float = 0.001) -> Listing:
    return events_from_gamma([gs.raw(gs.event([gs.market(0, orderPriceMinTickSize=tick)]))], 1)


class Source:
    """Returns the listing in force, or fails while told to."""

    def __init__(self) -> None:
        self.listing = listing()
        self.failing = False
        self.reads = 0

    async def __call__(self) -> Listing:
        self.reads += 1
        if self.failing:
            raise ReadFailed("/events: HTTP 500")
        return self.listing


class Longest(Random):
    """Always waits as long as allowed."""

    def randint(self, a: int, b: int) -> int:
        return b


class Bench:
    def __init__(self, rng: Random) -> None:
        self.clock = ManualClock()
        self.inbox = Inbox()
        self.source = Source()
        self.catalog = Catalog()
        self.refresher = MetadataRefresher(self.source, self.catalog, self.inbox, self.clock, rng, CONFIG)

    def facts(self) -> list[str]:
        return [type(item.fact).__name__ for item in self.inbox.drain(100) if isinstance(item, FactIn)]

    async def pass_time(self, seconds: int) -> None:
        async with asyncio.timeout(5):
            for _ in range(seconds):
                await self.clock.parked()
                self.clock.advance(1000 * MS)
                for _ in range(10):
                    await asyncio.sleep(0)
            await self.clock.parked()


@asynccontextmanager
async def running(rng: Random | None = None) -> AsyncIterator[Bench]:
    bench = Bench(rng or Random(3))
    task = asyncio.create_task(bench.refresher.run())
    try:
        await bench.clock.parked()
        yield bench
    finally:
        bench.refresher.stop()
        await asyncio.wait_for(task, 5)


async def test_changes_become_facts_once() -> None:
    async with running() as b:
        assert b.facts() == ["MarketListed", "EventListed"]
        await b.pass_time(110)
        assert (b.source.reads, b.facts()) == (2, [])
        b.source.listing = listing(tick=0.01)
        await b.pass_time(110)
        assert b.facts() == ["MarketListed"]
        assert b.catalog.markets[gs.market(0)["conditionId"]].tick_e6 == 10_000


async def test_periods_are_jittered() -> None:
    async with running() as b:
        ends = []
        for second in range(1, 900):
            before = b.source.reads
            await b.pass_time(1)
            if b.source.reads > before:
                ends.append(second)
        gaps = {later - earlier for earlier, later in pairwise(ends)}
        assert all(90 <= gap <= 111 for gap in gaps)
        assert len(gaps) > 2


async def test_a_failure_changes_nothing_and_backs_off() -> None:
    async with running(Longest()) as b:
        b.facts()
        for _ in range(2):  # the second time as the first: success starts the backoff anew
            b.source.failing = True
            await b.pass_time(110 - 1)
            assert b.refresher.failures == 0
            failed_at = []
            for second in range(30):
                before = b.refresher.failures
                await b.pass_time(1)
                if b.refresher.failures > before:
                    failed_at.append(second)
            assert failed_at == [0, 1, 3, 7, 15, 23]
            assert b.refresher.age_ms() == 139_000
            assert b.facts() == []
            b.source.failing = False
            await b.pass_time(2)
            assert b.refresher.age_ms() == 0
            b.refresher.failures = 0


async def test_early_wishes_are_coalesced_and_bounded() -> None:
    async with running() as b:
        for _ in range(4):
            for _ in range(100):
                b.refresher.refresh_early()
            await b.pass_time(1)
        assert b.source.reads == 1
        await b.pass_time(1)
        assert b.source.reads == 2
        await b.pass_time(10)
        assert b.source.reads == 2
        b.refresher.refresh_early()
        await b.pass_time(1)
        assert b.source.reads == 3


def test_age_is_unknown_before_the_first_refresh() -> None:
    assert Bench(Random(3)).refresher.age_ms() is None


async def test_what_was_just_refreshed_is_not_refreshed_again_at_once() -> None:
    bench = Bench(Longest())
    await bench.refresher.refresh()
    task = asyncio.create_task(bench.refresher.run())
    await bench.pass_time(109)
    assert bench.source.reads == 1
    await bench.pass_time(2)
    assert bench.source.reads == 2
    bench.refresher.stop()
    await asyncio.wait_for(task, 5)
