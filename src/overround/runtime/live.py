"""The driver for inputs that arrive by themselves: sockets, or anything else that fills an inbox.

It waits until something is ready or due, drains the inbox, and runs one batch. The wall clock is read
here, and nowhere below. Paper, shadow and live differ in the venue they are given, not in this loop.

Invariants: at most ``max_batch`` inputs a batch; a timer fires at least every ``timer_ns`` so that
deadlines pass in silence too; leaving the loop cancels what rests, waits for the answers, and says so in
the journal.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable

import msgspec

from overround.core.events import RunEnded, TimerFired
from overround.polymarket.inbox import FactIn, Inbox
from overround.runtime.sequencer import Sequencer, Step

NS_PER_S = 1_000_000_000


class LoopSettings(msgspec.Struct, frozen=True):
    """How the loop paces itself."""

    max_batch: int = 4_096
    timer_ns: int = 250_000_000
    drain_timeout_s: float = 5.0
    """How long to wait for the answers to the last cancellations."""


class LiveLoop:
    """Runs batches until told to stop."""

    def __init__(
        self,
        sequencer: Sequencer,
        inbox: Inbox,
        settings: LoopSettings,
        on_step: Callable[[Step], None],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._sequencer = sequencer
        self._inbox = inbox
        self._settings = settings
        self._on_step = on_step
        self._now_ns = now_ns
        self._timer_due_ns = 0
        self._stop_reason: str | None = None

    def stop(self, reason: str) -> None:
        """Ask the loop to end in order, at the latest with the next timer; :meth:`run` then returns."""
        self._stop_reason = reason

    async def run(self) -> None:
        """Run until :meth:`stop`. Raises what the sequencer raises."""
        # What exists by now stays: a full collection over it would only stop the loop for many milliseconds.
        gc.collect()
        gc.freeze()
        while self._stop_reason is None:
            await self._wait()
            self._batch()
        await self._end(self._stop_reason)

    async def _wait(self) -> None:
        due_ns = self._sequencer.venue.next_due_ns()
        until_ns = self._timer_due_ns if due_ns is None else min(self._timer_due_ns, due_ns)
        left_s = (until_ns - self._now_ns()) / NS_PER_S
        if left_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._inbox.wait()

    def _batch(self) -> Step:
        now_ns = self._now_ns()
        inputs = self._inbox.drain(self._settings.max_batch)
        if now_ns >= self._timer_due_ns:
            self._timer_due_ns = now_ns + self._settings.timer_ns
            inputs.append(FactIn(now_ns, TimerFired("tick")))
        step = self._sequencer.step(inputs, now_ns)
        self._on_step(step)
        return step

    async def _end(self, reason: str) -> None:
        """Close the gate, cancel what rests, and wait for the answers."""
        now_ns = self._now_ns()
        self._on_step(self._sequencer.step([FactIn(now_ns, RunEnded(reason))], now_ns))
        deadline_ns = now_ns + int(self._settings.drain_timeout_s * NS_PER_S)
        while self._sequencer.engine.orders.open_count() and self._now_ns() < deadline_ns:
            await self._wait()
            self._batch()
