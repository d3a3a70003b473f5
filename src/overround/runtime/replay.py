"""Replay: fold journal and tape again and demand the same commands, byte for byte.

For every run in the journal the engine is restored as the run itself was (by folding what came before),
then fed the run's inputs in their order: frames and timers from the tape, facts from the journal (but for
those that frames carry: the frames bring them again). At each batch border the commands it decides must
equal the journaled ones. Where the tape of a run ends early
(a killed process loses the last unsealed block), verification of that run ends there and says so.

Invariants: replay writes nothing and reads no clock; the answer does not depend on the process.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import msgspec

from overround.core.engine import Engine
from overround.core.events import Fact, RunStarted, TimerFired
from overround.runtime.recovery import fold
from overround.runtime.sequencer import KEPT_FROM_FRAMES
from overround.storage.journal import JournalReader, JournalRecord, command_record, decode_fact
from overround.storage.tape_format import FRAME, MARK, TIMER, TapeRecord

EngineFactory = Callable[[], Engine]


class Divergence(msgspec.Struct, frozen=True):
    """The first border at which the regenerated commands differ."""

    seq: int
    journaled: tuple[str, ...]
    regenerated: tuple[str, ...]


class ReplayReport(msgspec.Struct, frozen=True):
    """What a verification found."""

    runs: int
    frames: int
    borders: int
    commands: int
    """Commands regenerated and compared."""
    unverified_commands: int
    """Commands behind the end of their run's tape."""
    decision_digest: str
    first_divergence: Divergence | None

    @property
    def matches_journal(self) -> bool:
        """Whether every compared border gave the journaled commands."""
        return self.first_divergence is None


class _Run:
    """One run under verification."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ts_ns = 0
        self.frames = self.borders = self.compared = self.unverified = 0
        self.waiting: list[JournalRecord] = []
        """Journaled commands of the border that is due."""
        self.tape_ended = False
        self.divergence: Divergence | None = None

    def tick(self, at_ns: int) -> int:
        self.ts_ns = max(self.ts_ns, at_ns)
        return self.ts_ns


def verify(journal: JournalReader, tape: Iterable[TapeRecord], new_engine: EngineFactory) -> ReplayReport:
    """Verify every run of ``journal`` against ``tape`` (all its records, in order).

    ``new_engine`` makes an empty engine with the configuration and strategies of the runs.
    Raises what journal and tape raise on damage.
    """
    hasher = sha256()
    runs = frames = borders = compared = unverified = 0
    first: Divergence | None = None
    run: _Run | None = None
    for record in _merged(journal.read(), tape):
        if isinstance(record, JournalRecord) and _starts_run(record):
            if run is not None:
                unverified += run.unverified + len(run.waiting)
            run = _begin(journal, record, new_engine)
            runs += 1
        if run is None or run.tape_ended:
            if run is not None and isinstance(record, JournalRecord) and record.kind == "command":
                unverified += 1
            continue
        before = (run.frames, run.borders, run.compared)
        _feed(run, record, hasher.update)
        frames += run.frames - before[0]
        borders += run.borders - before[1]
        compared += run.compared - before[2]
        first = first or run.divergence
        if run.divergence is not None:
            break
    if run is not None:
        unverified += len(run.waiting)
    return ReplayReport(runs, frames, borders, compared, unverified, f"sha256:{hasher.hexdigest()}", first)


def _merged(
    journal: Iterable[JournalRecord], tape: Iterable[TapeRecord]
) -> Iterator[JournalRecord | TapeRecord]:
    """Yield both logs in the one order; at a border its commands come before its mark."""
    return heapq.merge(journal, tape, key=_place)


def _place(record: JournalRecord | TapeRecord) -> tuple[int, int]:
    return record.seq, isinstance(record, TapeRecord)


def _starts_run(record: JournalRecord) -> bool:
    return record.kind == "fact" and isinstance(decode_fact(record.payload), RunStarted)


def _begin(journal: JournalReader, start: JournalRecord, new_engine: EngineFactory) -> _Run:
    engine = new_engine()
    folded = fold(engine, _before(journal, start.seq))
    run = _Run(engine)
    run.ts_ns = folded.last_ts_ns
    return run


def _before(journal: JournalReader, seq: int) -> Iterator[JournalRecord]:
    for record in journal.read():
        if record.seq >= seq:
            return
        yield record


def _feed(run: _Run, record: JournalRecord | TapeRecord, digest: Callable[[bytes], None]) -> None:
    if isinstance(record, JournalRecord):
        if record.kind == "command":
            run.waiting.append(record)
        elif run.waiting:
            run.tape_ended = True
            run.unverified += len(run.waiting)
            run.waiting.clear()
        elif not isinstance(fact := decode_fact(record.payload), KEPT_FROM_FRAMES):
            run.engine.on_fact(fact, run.tick(record.ts_ns))
        return
    if record.kind == FRAME:
        run.engine.ingest(record.payload, run.tick(record.recv_wall_ns), record.stream, record.generation)
        run.frames += 1
    elif record.kind == TIMER:
        timer: Fact = TimerFired(record.payload.decode())
        run.engine.on_fact(timer, run.tick(record.recv_wall_ns))
    elif record.kind == MARK:
        _border(run, record, digest)


def _border(run: _Run, mark: TapeRecord, digest: Callable[[bytes], None]) -> None:
    commands = run.engine.decide(mark.seq, run.tick(mark.recv_wall_ns))
    made = [command_record(mark.seq, run.ts_ns, command) for command in commands]
    run.borders += 1
    run.compared += len(made)
    for record in made:
        digest(record.payload)
    if made != run.waiting:
        run.divergence = Divergence(
            mark.seq,
            tuple(record.payload.decode() for record in run.waiting),
            tuple(record.payload.decode() for record in made),
        )
    run.waiting.clear()
