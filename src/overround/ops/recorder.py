"""Records the market feed: sockets and metadata onto a tape, without engine, store or orders.

What the tape needs to replay by itself is noted beside the frames: markets, events, and where connections
begin and end. Invariants: what arrives is numbered once and written in that order; a market is followed
once its listing is on the tape; a task that dies ends the recording with its cause.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from random import Random

import msgspec
import structlog

from overround.core.events import Fact
from overround.ops.config import VenueConfig
from overround.ops.following import Follower, Wanted
from overround.ops.halting import Halt
from overround.ops.mistakes import Problem
from overround.ops.venue_access import feed_config, metadata_of, refresh_config
from overround.polymarket.catalog import Catalog
from overround.polymarket.clock import SystemClock
from overround.polymarket.feeds import MarketFeed
from overround.polymarket.inbox import FrameIn, Inbox, Incoming
from overround.polymarket.metadata import MetadataRefresher
from overround.polymarket.venue_http import ReadError
from overround.storage.tape import FRAME, NOTE, RecordTuple, TapeWriter
from overround.storage.tape_notes import fact_note

MAX_BATCH = 4_096
SAY_S = 10.0
"""Time between two lines about the progress."""

_log = structlog.get_logger("overround.recorder")


class Recorded(msgspec.Struct, frozen=True):
    """What was recorded."""

    tape: str
    reason: str
    frames: int
    frame_bytes: int
    notes: int
    markets: int
    resyncs: dict[str, int]


class Recorder:
    """Writes what arrives to a tape."""

    def __init__(self, tape: TapeWriter) -> None:
        self.frames = self.frame_bytes = self.notes = 0
        self._tape = tape
        self._next_seq = tape.continues_seq + 1

    def write(self, items: Iterable[Incoming]) -> list[Fact]:
        """Number and write inputs; return the facts among them. Raises ``TapeError``."""
        records: list[RecordTuple] = []
        facts: list[Fact] = []
        for item in items:
            seq, self._next_seq = self._next_seq, self._next_seq + 1
            if isinstance(item, FrameIn):
                self.frames += 1
                self.frame_bytes += len(item.payload)
                times = (item.recv_wall_ns, item.recv_mono_ns)
                records.append((FRAME, seq, *times, item.stream, item.generation, item.payload))
            else:
                self.notes += 1
                facts.append(item.fact)
                records.append((NOTE, seq, item.ts_ns, 0, 0, 0, fact_note(item.fact)))
        self._tape.append_many(records)
        return facts


async def record(
    venue: VenueConfig,
    wanted: Wanted,
    out: Path,
    halt: Halt,
    duration_s: float | None = None,
    *,
    ask_clob: bool = True,
) -> Recorded:
    """Record what is wanted to the tape ``out`` until ``halt``, or for ``duration_s``.

    Raises:
        Problem: if the metadata cannot be read, name no market, or a task died.
        TapeError: if the tape cannot be written.
    """
    clock = SystemClock()
    rng = Random()
    async with metadata_of(venue, wanted.selection(), clock, ask_clob=ask_clob) as fetch:
        inbox = Inbox(venue.inbox_frames)
        feed = MarketFeed(feed_config(venue), inbox, clock, rng)
        refresher = MetadataRefresher(fetch, Catalog(), inbox, clock, rng, refresh_config(venue))
        try:
            await refresher.refresh()
        except ReadError as error:
            raise Problem(f"the venue's metadata cannot be read: {error}: check the Gamma address") from error
        with TapeWriter(out, run_id=uuid.uuid4().hex[:12]) as tape:
            recorder = Recorder(tape)
            follower = Follower(wanted, feed)
            follower.saw(recorder.write(inbox.drain(len(inbox))))
            if not follower.markets():
                raise Problem("nothing to record: the venue knows no open market of those that were named")
            _log.info("recording", tape=str(out), markets=len(follower.markets()))
            await _record_until(halt, duration_s, recorder, follower, feed, refresher, inbox)
        return Recorded(
            str(out),
            halt.reason,
            recorder.frames,
            recorder.frame_bytes,
            recorder.notes,
            len(follower.markets()),
            dict(sorted(feed.resyncs().items())),
        )


async def _record_until(
    halt: Halt,
    duration_s: float | None,
    recorder: Recorder,
    follower: Follower,
    feed: MarketFeed,
    refresher: MetadataRefresher,
    inbox: Inbox,
) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            receiving = tasks.create_task(feed.run())
            refreshing = tasks.create_task(refresher.run())
            ending = tasks.create_task(halt.wait(duration_s))
            await _write_until(halt, recorder, follower, inbox)
            feed.stop()
            refreshing.cancel()
            ending.cancel()
            await receiving
            recorder.write(inbox.drain(len(inbox)))
    except ExceptionGroup as errors:
        first = errors.exceptions[0]
        raise Problem(f"the recording ended: {type(first).__name__}: {first}") from errors


async def _write_until(halt: Halt, recorder: Recorder, follower: Follower, inbox: Inbox) -> None:
    said_s = time.monotonic()
    while not halt.asked:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.25):
                await inbox.wait()
        follower.saw(recorder.write(inbox.drain(MAX_BATCH)))
        if time.monotonic() - said_s >= SAY_S:
            said_s = time.monotonic()
            _log.info("recorded", frames=recorder.frames, bytes=recorder.frame_bytes)
