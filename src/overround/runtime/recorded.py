"""The driver for inputs that were recorded: a tape, an imported recording, a seeded flow.

Time is the inputs' own: batches are what was received within the same millisecond (or what the recorder
drained together, where it said so), timers fire by feed time, and the venue's news come at their due
time. Backtests run as fast as they can; the demo paces itself by sleeping between batches.

Invariants: nothing here reads a clock, so the same inputs give the same run.
"""

from collections.abc import Callable, Iterable, Iterator

from overround.core.events import RunEnded, TimerFired
from overround.polymarket.inbox import FactIn, FrameIn, Incoming
from overround.runtime.sequencer import Sequencer, Step

TIMER_NS = 250_000_000
BATCH_NS = 1_000_000
MAX_SILENCE_NS = 3_600_000_000_000
"""A longer gap between two inputs is crossed at once: timers stop after this much of it."""

SETTLE_NS = 60_000_000_000
"""How long feed time goes on after the last input, so that everything on its way arrives."""


def input_ts_ns(item: Incoming) -> int:
    """Return the receive time of an input."""
    return item.ts_ns if isinstance(item, FactIn) else item.recv_wall_ns


def batches(inputs: Iterable[Incoming], batch_ns: int = BATCH_NS) -> Iterator[list[Incoming]]:
    """Yield inputs grouped by receive time, each group spanning less than ``batch_ns``."""
    batch: list[Incoming] = []
    end_ns = 0
    for item in inputs:
        at_ns = item.recv_wall_ns if isinstance(item, FrameIn) else item.ts_ns
        if at_ns >= end_ns or not batch:
            if batch:
                yield batch
            batch = []
            end_ns = at_ns + batch_ns
        batch.append(item)
    if batch:
        yield batch


class RecordedLoop:
    """Runs recorded inputs through a sequencer."""

    def __init__(
        self,
        sequencer: Sequencer,
        on_step: Callable[[Step], None],
        pace: Callable[[int], None] | None = None,
    ) -> None:
        self._sequencer = sequencer
        self._on_step = on_step
        self._pace = pace
        self._timer_due_ns: int | None = None

    def run(self, groups: Iterable[list[Incoming]], reason: str = "end of recording") -> None:
        """Run all batches, then end the run and let everything under way arrive."""
        for group in groups:
            at_ns = max(input_ts_ns(group[0]), self._sequencer.ts_ns)
            if self._pace is not None:
                self._pace(at_ns)
            self._until(at_ns)
            self._step(group, input_ts_ns(group[-1]))
        end_ns = self._sequencer.ts_ns
        self._step([FactIn(end_ns, RunEnded(reason))], end_ns)
        self._until(end_ns + SETTLE_NS, timers=False)

    def _until(self, at_ns: int, *, timers: bool = True) -> None:
        """Let timers and the venue's news between the last batch and ``at_ns`` happen at their times."""
        if self._timer_due_ns is None:
            self._timer_due_ns = at_ns + TIMER_NS
        silent_from_ns = self._timer_due_ns + MAX_SILENCE_NS
        while True:
            news_ns = self._sequencer.venue.next_due_ns()
            due = [
                ns
                for ns in (news_ns, self._timer_due_ns if timers else None)
                if ns is not None and ns < at_ns
            ]
            if not due:
                return
            next_ns = min(due)
            if next_ns > silent_from_ns:
                self._timer_due_ns = at_ns
            elif timers and next_ns == self._timer_due_ns:
                self._timer_due_ns = next_ns + TIMER_NS
                self._step([FactIn(next_ns, TimerFired("tick"))], next_ns)
            else:
                self._step([], next_ns)

    def _step(self, group: list[Incoming], now_ns: int) -> None:
        self._on_step(self._sequencer.step(group, now_ns))
