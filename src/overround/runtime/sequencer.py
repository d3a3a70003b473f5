"""Drain, number, fold, journal, release: the one loop body of every mode.

Theory. Inputs get their sequence number here and nowhere else; tape and journal share it. A batch is
whatever was ready when the sequencer looked. Within a batch each input is applied in order; at its border
the engine decides once. Commands, and the facts they follow from, are made durable in one commit, and only
then handed to the venue. So a crash can lose a command that was never sent, or leave one durable whose
fate is unknown, but it can never have sent one that is not written down.

Frames, timers and batch borders go to the tape (large, rotated), facts and commands to the journal (small,
kept): merged by sequence number they replay the run exactly.

Invariants: time never steps back for the core (a clock that does is held); nothing is released if the
journal raised.
"""

from collections.abc import Collection, Iterable

import msgspec

from overround.core.commands import Command
from overround.core.engine import Engine
from overround.core.events import (
    EventListed,
    Fact,
    MarketListed,
    MarketResolved,
    RunEnded,
    RunStarted,
    StreamDown,
    StreamUp,
    SubscriptionChanged,
    TickSizeChanged,
    TimerFired,
    TradePrinted,
)
from overround.polymarket.inbox import FrameIn, Incoming
from overround.runtime.ports import JournalSink, NoJournal, NoTape, TapeSink, Venue
from overround.storage.journal import JournalRecord, command_record, fact_record
from overround.storage.tape import FRAME, MARK, NOTE, TIMER, RecordTuple
from overround.storage.tape_notes import fact_note

BORDER_PAYLOAD = b""
NEVER_NS = 1 << 63
"""Later than any time."""

NOTED = (RunStarted, RunEnded, MarketListed, EventListed, StreamUp, StreamDown, SubscriptionChanged)
"""Facts that are also noted on the tape, so that a tape alone can be replayed and backtested."""


KEPT_FROM_FRAMES = (TickSizeChanged, MarketResolved)
"""Consequences of frames that a recovery must know too: journaled beside the frame, which is on the tape."""


class Step(msgspec.Struct):
    """What one batch did."""

    border_seq: int
    ts_ns: int
    frames: int
    facts: list[tuple[int, int, Fact]]
    """Journaled facts: (seq, ts_ns, fact); those that a frame carried have the frame's number."""
    commands: list[Command]
    rare: list[Fact] = msgspec.field(default_factory=list)
    """What frames carried besides book changes: on the tape within them."""


class Sequencer:
    """Owns the engine while a run lasts; everything happens in the caller's thread."""

    def __init__(
        self,
        engine: Engine,
        venue: Venue,
        journal: JournalSink,
        tape: TapeSink,
        next_seq: int,
        last_ts_ns: int,
    ) -> None:
        self.engine = engine
        self.venue = venue
        self._journal = journal
        self._tape = tape
        self._next_seq = next_seq
        self._ts_ns = last_ts_ns
        self._records: list[RecordTuple] = []
        self._taping = not isinstance(tape, NoTape)
        self._journaling = not isinstance(journal, NoJournal)
        self._due_ns = NEVER_NS
        """When the venue next has news."""
        self.frames = 0

    @property
    def ts_ns(self) -> int:
        """Time of the last input."""
        return self._ts_ns

    @property
    def next_seq(self) -> int:
        """The number the next input will get."""
        return self._next_seq

    def step(self, inputs: Iterable[Incoming], now_ns: int) -> Step:
        """Run one batch; ``now_ns`` is the time up to which the venue is asked for news.

        Raises whatever the journal or the tape raises; nothing was released then.
        """
        step = Step(0, 0, 0, [], [])
        # Asked again whenever the venue was told something, not for each frame.
        self._due_ns = self._next_due_ns()
        for item in inputs:
            if isinstance(item, FrameIn):
                self._frame(item, step)
            else:
                self._news(item.ts_ns, step)
                self._fact(item.fact, item.ts_ns, step)
        self._news(now_ns, step)
        self._border(step)
        return step

    def _frame(self, item: FrameIn, step: Step) -> None:
        wall_ns = item.recv_wall_ns
        ts_ns = self._ts_ns
        if self._due_ns <= wall_ns or self._due_ns <= ts_ns:
            self._news(wall_ns, step)
            ts_ns = self._ts_ns
        if wall_ns > ts_ns:
            self._ts_ns = ts_ns = wall_ns
        seq = self._next_seq
        self._next_seq = seq + 1
        stream, generation, payload = item.stream, item.generation, item.payload
        if self._taping:
            self._records.append((FRAME, seq, wall_ns, item.recv_mono_ns, stream, generation, payload))
        step.frames += 1
        watched = self.venue.watched()
        if watched:
            facts = self._shown_to_venue(item, ts_ns, watched)
        else:
            facts = self.engine.ingest(payload, ts_ns, stream, generation)
        if facts:
            step.rare += facts
            step.facts += [(seq, ts_ns, fact) for fact in facts if isinstance(fact, KEPT_FROM_FRAMES)]

    def _shown_to_venue(self, item: FrameIn, ts_ns: int, watched: Collection[str]) -> list[Fact] | None:
        """Apply a frame, and let the venue look at what it did to the books it watches."""
        books = self.engine.books
        touched, books.touched = books.touched, {}
        facts = self.engine.ingest(item.payload, ts_ns, item.stream, item.generation)
        fresh, books.touched = books.touched, touched
        touched.update(fresh)
        seen = [token_id for token_id in fresh if token_id in watched]
        trades = [fact for fact in facts if isinstance(fact, TradePrinted)] if facts else []
        if seen or trades:
            self.venue.observe(seen, trades, ts_ns)
            self._due_ns = self._next_due_ns()
        return facts

    def _news(self, now_ns: int, step: Step) -> None:
        for ts_ns, fact in self.venue.advance(max(now_ns, self._ts_ns)):
            self._fact(fact, ts_ns, step)
        self._due_ns = self._next_due_ns()

    def _next_due_ns(self) -> int:
        due_ns = self.venue.next_due_ns()
        return NEVER_NS if due_ns is None else due_ns

    def _fact(self, fact: Fact, at_ns: int, step: Step) -> None:
        ts_ns = self._tick(at_ns)
        seq = self._number()
        if isinstance(fact, TimerFired):
            if self._taping:
                self._records.append((TIMER, seq, at_ns, 0, 0, 0, fact.timer.encode()))
        else:
            step.facts.append((seq, ts_ns, fact))
            if self._taping and isinstance(fact, NOTED):
                self._records.append((NOTE, seq, at_ns, 0, 0, 0, fact_note(fact)))
        self.engine.on_fact(fact, ts_ns)

    def _border(self, step: Step) -> None:
        seq, ts_ns = self._number(), self._ts_ns
        commands = self.engine.decide(seq, ts_ns)
        if self._taping:
            taped, self._records = self._records, []
            self._tape.append_many(taped)
        if self._journaling and (step.facts or commands):
            records: list[JournalRecord] = [fact_record(*fact) for fact in step.facts]
            records += [command_record(seq, ts_ns, command) for command in commands]
            self._journal.append_batch(records)
        if self._taping:
            # Behind the commit: a border on the tape means that its commands, if any, are in the journal.
            self._tape.append_many(((MARK, seq, ts_ns, 0, 0, 0, BORDER_PAYLOAD),))
        if commands:
            self.venue.submit(commands, ts_ns)
        self.frames += step.frames
        step.border_seq, step.ts_ns, step.commands = seq, ts_ns, commands

    def _number(self) -> int:
        seq = self._next_seq
        self._next_seq = seq + 1
        return seq

    def _tick(self, at_ns: int) -> int:
        self._ts_ns = max(self._ts_ns, at_ns)
        return self._ts_ns
