"""A running service: feeds, metadata, the trading loop and what they tell each other, in one task group.

Order of start: lock and recovery (``open_run``), a first listing, then loop, feed and refresher together; a
market is followed once its listing was numbered. Order of the end: the loop closes the gate, cancels what
rests, waits for the answers and journals it; then sockets and store close.

Invariants: a task that dies ends the service with its cause, nothing is restarted silently. If it is the
trading loop itself, nothing more is journaled (its last batch is half done), so no order can follow from a
state that no journal explains; the paper venue's orders die with the process, and the next start recovers.
Must not know terminals.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec
import structlog

from overround.core.commands import RequestSnapshot, StopRun
from overround.core.events import EventListed, Fact, MarketAnnounced, MarketListed
from overround.ops.app import Run, open_run
from overround.ops.config import Config
from overround.ops.following import Follower, Wanted
from overround.ops.halting import Halt
from overround.ops.mistakes import Problem
from overround.ops.step_log import StepLog
from overround.ops.venue_access import feed_config, metadata_of, refresh_config
from overround.polymarket.catalog import Catalog
from overround.polymarket.clock import Clock, SystemClock
from overround.polymarket.feeds import MarketFeed
from overround.polymarket.inbox import Inbox
from overround.polymarket.metadata import Fetch, MetadataRefresher
from overround.polymarket.venue_http import ReadError
from overround.runtime.live import LiveLoop, LoopSettings
from overround.runtime.sequencer import Step

_log = structlog.get_logger("overround.service")

Watch = Callable[["Service"], Coroutine[Any, Any, None]]
"""Something that looks at a running service until it is cancelled: a display."""


class NothingToFollow(Problem):
    """The venue's metadata cannot be had, or name none of the wanted markets."""


class Service:
    """Everything that works together while the service runs."""

    def __init__(self, config: Config, wanted: Wanted, run: Run, fetch: Fetch, halt: Halt) -> None:
        clock: Clock = SystemClock()
        # Jitter is not part of the fold: it need not be repeatable.
        rng = Random()
        self.config = config
        self.run = run
        self.inbox = Inbox(config.venue.inbox_frames)
        self.feed = MarketFeed(feed_config(config.venue), self.inbox, clock, rng)
        self.catalog = Catalog()
        self.refresher = MetadataRefresher(
            fetch, self.catalog, self.inbox, clock, rng, refresh_config(config.venue)
        )
        self.loop = LiveLoop(run.sequencer, self.inbox, LoopSettings(), self._on_step, clock.wall_ns)
        self.log = StepLog()
        self._clock = clock
        self._wanted = wanted
        self._follower = Follower(wanted, self.feed)
        self._halt = halt
        self.failure: Problem | None = None
        """Why the service ended, if not because it was asked to."""
        run.observer.more_status = self._status

    async def list_markets(self) -> None:
        """Read the first listing into the inbox. Raises :class:`NothingToFollow`.

        What the journal knows already and the venue still says is said again, so that the tape of every
        run can be replayed without the ones before.
        """
        universe = self.run.engine.universe
        known: list[Fact] = [MarketListed(market) for market in universe.markets.values()]
        known += [EventListed(event) for event in universe.events.values()]
        for fact in known:
            self.catalog.apply(fact)
        before = {**self.catalog.markets, **self.catalog.events}
        try:
            await self.refresher.refresh()
        except ReadError as error:
            raise NothingToFollow(
                f"the venue's metadata cannot be read: {error}: check venue.gamma_url"
            ) from error
        self._say_again(before)
        for refusal in self.catalog.refusals.values():
            _log.warning(
                "metadata_refused", subject=refusal.subject, reason=refusal.reason, detail=refusal.detail
            )
        if not any(
            self._wanted.covers(market, self.catalog.event_of(market))
            for market in self.catalog.markets.values()
        ):
            raise NothingToFollow(
                "the venue knows none of the markets and events that the configuration names"
            )

    async def trade(self, watch: Watch, duration_s: float | None) -> None:
        """Run until the halt is asked for, or a task died. Raises :class:`Problem` if it was the loop."""
        async with asyncio.TaskGroup() as tasks:
            others = [
                tasks.create_task(self._supervised("metadata", self.refresher.run())),
                tasks.create_task(self._supervised("display", watch(self))),
                tasks.create_task(self._end_when_asked(duration_s)),
            ]
            feed = tasks.create_task(self._supervised("market feed", self.feed.run()))
            ended_in_order = await self._supervised("trading loop", self.loop.run())
            for task in others:
                task.cancel()
            self.feed.stop()
            await feed
        if not ended_in_order and self.failure is not None:
            raise self.failure

    async def end(self, reason: str) -> None:
        """End a run that never traded: nothing rests, but the journal says why it ended."""
        self.loop.stop(reason)
        await self.loop.run()

    # --- inside ----------------------------------------------------------------------------------

    async def _end_when_asked(self, duration_s: float | None) -> None:
        self.loop.stop(await self._halt.wait(duration_s))

    async def _supervised(self, name: str, work: Coroutine[Any, Any, None]) -> bool:
        """Return whether ``work`` ended without an error; one is logged and ends the service."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - border of a supervised task: its cause ends the service
            _log.exception("task_died", task=name)
            cause = _cause(error)
            if self.failure is None:
                self.failure = Problem(f"the service ended: {name}: {type(cause).__name__}: {cause}")
                self.failure.__cause__ = error
            self._halt.ask(f"{name} died")
            return False
        return True

    def _say_again(self, before: dict[str, Any]) -> None:
        now_ns = self._clock.wall_ns()
        for condition_id, market in self.catalog.markets.items():
            covered = self._wanted.covers(market, self.catalog.event_of(market))
            if before.get(condition_id) is market and covered:
                self.inbox.put_fact(now_ns, MarketListed(market))
        for event_id, event in self.catalog.events.items():
            if before.get(event_id) is event and self._wanted.means(event):
                self.inbox.put_fact(now_ns, EventListed(event))

    def _on_step(self, step: Step) -> None:
        self.run.on_step(step)
        self._follower.saw([*(fact for _, _, fact in step.facts), *step.rare])
        for fact in step.rare:
            if isinstance(fact, MarketAnnounced) and self._wanted.may_cover(fact):
                self.refresher.refresh_early()
        for command in step.commands:
            if isinstance(command, RequestSnapshot):
                self.feed.request_snapshot(command.token_ids, command.reason)
            elif isinstance(command, StopRun):
                self._halt.ask(command.reason)
        self.log.saw(step)

    def _status(self) -> dict[str, Any]:
        return {
            "service": self.config.service.name,
            "streams": [msgspec.structs.asdict(status) for status in self.feed.status()],
            "followed": len(self.feed.followed),
            "metadata": {
                "age_ms": self.refresher.age_ms(),
                "refreshes": self.refresher.refreshes,
                "failures": self.refresher.failures,
                "refused": dict(sorted(self.catalog.refusal_counts().items())),
            },
            "inbox": {"frames": self.inbox.frames, "refused_frames": self.inbox.refused_frames},
        }


class Ended(msgspec.Struct, frozen=True):
    """How a run went."""

    run_id: str
    reason: str
    frames: int
    commands: int
    orders: int
    fills: int
    refused: int


async def run_service(
    config: Config, wanted: Wanted, halt: Halt, watch: Watch, duration_s: float | None = None
) -> Ended:
    """Run the service in paper mode until ``halt`` or for ``duration_s`` of trading.

    Raises:
        Problem: if there is nothing to follow, or a task died.
        AlreadyRunning: if another process has the data directory.
        StoreError, TapeError: if what is there cannot be continued.
    """
    clock = SystemClock()
    service: Service | None = None
    try:
        async with metadata_of(config.venue, wanted.selection(), clock) as fetch:
            with open_run(config, (), clock.wall_ns()) as run, _named(run.run_id):
                service = Service(config, wanted, run, fetch, halt)
                await _until_halted(service, halt, watch, duration_s)
    except Exception as error:
        # What a task died of may come back when the store is closed: the first cause is the one to tell.
        if service is not None and service.failure is not None and service.failure is not error:
            raise service.failure from error
        raise
    if service.failure is not None:
        raise service.failure
    return Ended(
        run.run_id,
        halt.reason,
        run.sequencer.frames,
        run.engine.command_count,
        service.log.counts["orders"],
        service.log.counts["fills"],
        service.log.counts["refused"],
    )


async def _until_halted(service: Service, halt: Halt, watch: Watch, duration_s: float | None) -> None:
    _log.info("run_started", mode=service.config.mode, data_dir=str(service.config.data_dir()))
    try:
        await _unless_halted(asyncio.ensure_future(service.list_markets()), halt)
        await service.trade(watch, duration_s)
    except NothingToFollow as nothing:
        service.failure = nothing
        halt.ask("nothing to follow")
        await service.end(str(nothing))
    _log.info("run_ended", reason=halt.reason, frames=service.run.sequencer.frames)


def _cause(error: Exception) -> Exception:
    """Return the first error inside groups of them."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _unless_halted(work: asyncio.Future[None], halt: Halt) -> None:
    """Finish ``work``, or leave it when the halt is asked for. Raises what ``work`` raises."""
    asked = asyncio.ensure_future(halt.wait())
    try:
        await asyncio.wait((work, asked), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        work.cancel()
        asked.cancel()
        await asyncio.wait((work, asked))


@contextmanager
def _named(run_id: str) -> Iterator[None]:
    with structlog.contextvars.bound_contextvars(run_id=run_id):
        yield
