"""Paper sessions for the tests of the runtime: real frames, a plain quoting strategy, journal and tape."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec

from overround.core.engine import Engine
from overround.core.events import ConfigLoaded, Fact, MarketListed, RunStarted, Side
from overround.core.market import Market, MarketEvent
from overround.core.risk import RiskLimits
from overround.core.strategy import ChurnLimits, Decision, Finding, Quote, View
from overround.core.units import E6
from overround.exchange.models import SimulationConfig
from overround.exchange.world import RecordedWorld
from overround.polymarket.decoder import MarketDecoder
from overround.polymarket.inbox import FactIn, Incoming
from overround.polymarket.listing import markets_from_gamma
from overround.runtime.backtest import announced
from overround.runtime.paper import PaperVenue
from overround.runtime.ports import JournalSink, TapeSink
from overround.runtime.recorded import RecordedLoop, batches, input_ts_ns
from overround.runtime.recovery import fold, open_gate
from overround.runtime.sequencer import Sequencer, Step
from overround.storage.importers import open_recording
from overround.storage.journal import Journal, JournalReader
from overround.storage.tape import TapeReader, TapeWriter
from overround.storage.tape_notes import STREAM_MARKET

CASH_USD_E6 = 10_000 * E6


class TouchQuoter:
    """Joins the bid of both tokens with a fixed size: many orders, no opinion."""

    name = "touch_quoter"

    def __init__(self, size_qty_e6: int) -> None:
        self._size_qty_e6 = size_qty_e6
        self._seen: dict[str, object] = {}
        self._markets: Mapping[str, Market] = {}

    def scopes(
        self, markets: Mapping[str, Market], events: Mapping[str, MarketEvent]
    ) -> Mapping[str, Sequence[str]]:
        self._markets = dict(markets)
        return {condition_id: market.token_ids() for condition_id, market in markets.items()}

    def decide(self, view: View, scope: str) -> Decision | None:
        market = self._markets[scope]
        books = [view.book(token_id) for token_id in market.token_ids()]
        tops = tuple((book.live, book.best_bid_px_e6) if book is not None else None for book in books)
        if self._seen.get(scope) == tops:
            return None
        self._seen[scope] = tops
        quotes = tuple(
            Quote(book.token_id, Side.BUY, book.best_bid_px_e6, self._size_qty_e6)
            for book in books
            if book is not None and book.live and market.on_grid(book.best_bid_px_e6)
        )
        return Decision(quotes, churn=ChurnLimits(), findings=(Finding("quoting"),))

    def observe(self, fact: Fact, ts_ns: int) -> None:
        """Learn nothing."""


def new_engine(size_qty_e6: int = 20 * E6) -> Engine:
    limits = RiskLimits(max_order_usd_e6=10**12, max_market_usd_e6=10**12, max_total_usd_e6=10**13)
    return Engine([TouchQuoter(size_qty_e6)], MarketDecoder, limits)


def metadata(recordings: Path) -> tuple[list[Fact], tuple[str, ...]]:
    """The shipped recordings' markets as facts, and their tokens."""
    raw = msgspec.json.decode((recordings / "markets.gamma.json").read_bytes(), type=list[msgspec.Raw])
    markets = markets_from_gamma(raw, 0).markets
    return [MarketListed(market) for market in markets], tuple(t for m in markets for t in m.token_ids())


def frames(
    recordings: Path, name: str = "negrisk_pair_20260727.jsonl.zst", after_ns: int = 0
) -> Iterator[list[Incoming]]:
    """Batches of a shipped recording, shifted as a whole so that none is received before ``after_ns``."""
    _, token_ids = metadata(recordings)
    shift_ns = 0
    records = open_recording(recordings / name)
    for group in batches(announced(records, {STREAM_MARKET: token_ids})):
        if not shift_ns:
            shift_ns = max(1, after_ns - input_ts_ns(group[0]))
        yield [_shifted(item, shift_ns) for item in group]


def _shifted(item: Incoming, by_ns: int) -> Incoming:
    if isinstance(item, FactIn):
        return FactIn(item.ts_ns + by_ns, item.fact)
    return msgspec.structs.replace(item, recv_wall_ns=item.recv_wall_ns + by_ns)


class Session:
    """One run of paper trading over recorded frames."""

    def __init__(self, sequencer: Sequencer, started: Step) -> None:
        self.sequencer = sequencer
        self.engine = sequencer.engine
        self.steps = [started]

    def run(self, groups: Iterator[list[Incoming]], pace: Callable[[int], None] | None = None) -> None:
        RecordedLoop(self.sequencer, self.steps.append, pace).run(groups)


def begin(
    recordings: Path,
    journal: JournalSink,
    tape: TapeSink,
    *,
    engine: Engine | None = None,
    next_seq: int = 1,
    last_ts_ns: int = 0,
    run_id: str = "run",
    simulation: SimulationConfig | None = None,
) -> Session:
    """Open the gate of a paper session."""
    engine = engine if engine is not None else new_engine()
    venue = PaperVenue(RecordedWorld(engine.books), simulation or SimulationConfig(), Random(7))
    sequencer = Sequencer(engine, venue, journal, tape, next_seq, last_ts_ns)
    facts, _ = metadata(recordings)
    started = open_gate(
        sequencer, RunStarted(run_id, "test", "paper"), ConfigLoaded("", ""), facts, CASH_USD_E6, last_ts_ns
    )
    return Session(sequencer, started)


@contextmanager
def stored_session(recordings: Path, data: Path, run_id: str = "run") -> Iterator[Session]:
    """A session on a data directory, recovering what is there."""
    engine = new_engine()
    journal = Journal.open(data / "overround.db")
    try:
        folded = fold(engine, journal.read())
        with TapeWriter(data / "tape", run_id=run_id) as tape:
            next_seq = max(folded.last_seq, tape.continues_seq) + 1
            yield begin(
                recordings,
                journal,
                tape,
                engine=engine,
                next_seq=next_seq,
                last_ts_ns=folded.last_ts_ns,
                run_id=run_id,
            )
    finally:
        journal.close()


@contextmanager
def stored_logs(data: Path) -> Iterator[tuple[JournalReader, TapeReader]]:
    """The logs of a data directory, for reading."""
    with JournalReader.open(data / "overround.db") as journal, TapeReader(data / "tape") as tape:
        yield journal, tape
