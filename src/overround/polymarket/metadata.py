"""Keeps the catalog fresh: reads metadata again and again and turns changes into facts.

Invariants: a failed read changes nothing (the catalog keeps its as-of times, and its age is visible);
refreshes are spread by jitter, failures by backoff, wishes for an early refresh are coalesced and
bounded. Must not know where metadata comes from: ``fetch`` returns a listing or raises ``ReadError``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias

import msgspec
import structlog

from overround.polymarket.backoff import Backoff
from overround.polymarket.catalog import Catalog
from overround.polymarket.clock import Clock
from overround.polymarket.feed_config import MS
from overround.polymarket.inbox import Inbox
from overround.polymarket.listing import Listing
from overround.polymarket.venue_http import ReadError

Fetch: TypeAlias = Callable[[], Awaitable[Listing]]

_log = structlog.get_logger("overround.metadata")


class RefreshConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Times in milliseconds. Gamma itself is cached for up to about five minutes."""

    period_ms: int = 300_000
    jitter_percent: int = 10
    """A period is shortened or lengthened by up to this much."""
    early_ms: int = 5_000
    """Least time between two refreshes, however many are wished for."""
    backoff_base_ms: int = 5_000
    backoff_cap_ms: int = 300_000


class MetadataRefresher:
    """The task that refreshes one catalog."""

    def __init__(
        self,
        fetch: Fetch,
        catalog: Catalog,
        inbox: Inbox,
        clock: Clock,
        rng: Random,
        config: RefreshConfig,
    ) -> None:
        self.refreshes = 0
        self.failures = 0
        self._fetch = fetch
        self._catalog = catalog
        self._inbox = inbox
        self._clock = clock
        self._rng = rng
        self._config = config
        self._backoff = Backoff(config.backoff_base_ms * MS, config.backoff_cap_ms * MS, rng)
        self._early = asyncio.Event()
        self._stopping = asyncio.Event()
        self._succeeded_ns: int | None = None

    def age_ms(self) -> int | None:
        """Return the time since the last good refresh, ``None`` before the first."""
        if self._succeeded_ns is None:
            return None
        return (self._clock.mono_ns() - self._succeeded_ns) // MS

    def refresh_early(self) -> None:
        """Wish for a refresh soon (a market was announced, the venue refused a tick, …)."""
        self._early.set()

    def stop(self) -> None:
        """Make :meth:`run` return after the refresh in progress, if any."""
        self._stopping.set()
        self._early.set()

    async def refresh(self) -> int:
        """Read once and put what changed into the inbox; return the number of facts. Raises ``ReadError``."""
        listing = await self._fetch()
        facts = self._catalog.update(listing)
        ts_ns = self._clock.wall_ns()
        for fact in facts:
            self._inbox.put_fact(ts_ns, fact)
        self.refreshes += 1
        self._succeeded_ns = self._clock.mono_ns()
        _log.info(
            "metadata_refreshed",
            markets=len(listing.markets),
            events=len(listing.events),
            changed=len(facts),
            refused=dict(self._catalog.refusal_counts()),
        )
        return len(facts)

    async def run(self) -> None:
        """Refresh until :meth:`stop`; at once, or a period after a refresh that was made before."""
        if self._succeeded_ns is not None:
            await self._until_due(self._succeeded_ns)
        while not self._stopping.is_set():
            started_ns = self._clock.mono_ns()
            try:
                await self.refresh()
            except ReadError as error:
                self.failures += 1
                wait_ns = self._backoff.next_ns()
                _log.warning("metadata_refresh_failed", error=str(error)[:200], retry_in_ms=wait_ns // MS)
                await self._clock.wait(self._stopping, wait_ns)
                continue
            self._backoff.reset()
            await self._until_due(started_ns)

    async def _until_due(self, last_ns: int) -> None:
        """Wait for the next period, or for a wish, but not sooner after the last refresh than allowed."""
        await self._clock.wait(self._early, self._period_ns())
        rest_ns = last_ns + self._config.early_ms * MS - self._clock.mono_ns()
        await self._clock.wait(self._stopping, rest_ns)
        self._early.clear()

    def _period_ns(self) -> int:
        spread = self._config.jitter_percent
        return self._config.period_ms * MS * (100 + self._rng.randint(-spread, spread)) // 100
