"""An engine, a venue and logs that write down what the runtime does with them."""

from collections.abc import Collection, Sequence

import msgspec

from overround.core.books import Books
from overround.core.commands import Command, Notify
from overround.core.events import Fact, TradePrinted
from overround.runtime.ports import AccountState
from overround.runtime.sequencer import Sequencer
from overround.storage.journal import JournalRecord
from overround.storage.tape import RecordTuple


class Diary:
    """What happened, in order, by all doubles of a test."""

    def __init__(self) -> None:
        self.entries: list[tuple[object, ...]] = []

    def kinds(self) -> list[object]:
        return [entry[0] for entry in self.entries]


class EngineDouble:
    """Writes inputs down and decides what it is told."""

    def __init__(self, diary: Diary) -> None:
        self.books = Books()
        self.decisions: list[list[Command]] = []
        self.rare: dict[bytes, list[Fact]] = {}
        self.touches: dict[bytes, tuple[str, ...]] = {}
        self._diary = diary

    def ingest(self, frame: bytes, ts_ns: int, stream: int, generation: int) -> list[Fact] | None:
        self._diary.entries.append(("frame", frame, ts_ns))
        self.books.touched.update(dict.fromkeys(self.touches.get(frame, ())))
        return self.rare.get(frame)

    def on_fact(self, fact: Fact, ts_ns: int) -> None:
        self._diary.entries.append(("fact", fact, ts_ns))

    def decide(self, seq: int, ts_ns: int) -> list[Command]:
        self._diary.entries.append(("decide", seq, ts_ns))
        return self.decisions.pop(0) if self.decisions else []


class VenueDouble:
    """Has news at given times and writes down what it is sent."""

    def __init__(self, diary: Diary) -> None:
        self.news: list[tuple[int, Fact]] = []
        self.watching: tuple[str, ...] = ()
        self.on_observe: list[tuple[int, Fact]] = []
        """News that follow from what is observed."""
        self._diary = diary

    def take_over(self, account: AccountState) -> list[Fact]:
        self._diary.entries.append(("take_over", account))
        return []

    def submit(self, commands: Sequence[Command], now_ns: int) -> None:
        self._diary.entries.append(("submit", tuple(commands), now_ns))

    def advance(self, now_ns: int) -> list[tuple[int, Fact]]:
        due = [news for news in self.news if news[0] <= now_ns]
        self.news = [news for news in self.news if news[0] > now_ns]
        return due

    def watched(self) -> Collection[str]:
        return self.watching

    def observe(self, touched: Sequence[str], trades: Sequence[TradePrinted], now_ns: int) -> None:
        self._diary.entries.append(("observe", tuple(touched), tuple(trades)))
        self.news += self.on_observe

    def next_due_ns(self) -> int | None:
        return min((ns for ns, _ in self.news), default=None)


class LogDouble:
    """Journal and tape in one list."""

    def __init__(self, diary: Diary) -> None:
        self.taped: list[RecordTuple] = []
        self.journaled: list[JournalRecord] = []
        self.failure: Exception | None = None
        self._diary = diary

    def append_many(self, records: Sequence[RecordTuple]) -> None:
        self.taped += records
        self._diary.entries.append(("taped", [record[0] for record in records]))

    def append_batch(self, records: Sequence[JournalRecord]) -> None:
        if self.failure is not None:
            raise self.failure
        self.journaled += records
        self._diary.entries.append(("journaled", [record.kind for record in records]))


class Bench(msgspec.Struct):
    """A sequencer with doubles all round it."""

    diary: Diary
    engine: EngineDouble
    venue: VenueDouble
    log: LogDouble
    sequencer: Sequencer


def bench(next_seq: int = 1, last_ts_ns: int = 0) -> Bench:
    diary = Diary()
    engine, venue, log = EngineDouble(diary), VenueDouble(diary), LogDouble(diary)
    # The double has the three methods that the sequencer uses.
    sequencer = Sequencer(engine, venue, log, log, next_seq, last_ts_ns)  # type: ignore[arg-type]
    return Bench(diary, engine, venue, log, sequencer)


COMMAND = Notify("info", "test", "a command")
