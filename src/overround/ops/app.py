"""The composition root: the only place that knows every class.

A run is an engine with its strategies, a venue, a journal, a tape and an observer, put together from one
configuration. Paper trading on sockets, on recordings and in the demo is the same run; what differs is who
fills the inbox, and that is the caller's.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import Random

import msgspec

from overround import __version__
from overround.core.engine import Engine
from overround.core.events import ConfigLoaded, Fact, RunStarted
from overround.core.strategy import Strategy
from overround.exchange.models import MS_NS, Latency, QueueModel, SettlementConfig, SimulationConfig
from overround.exchange.world import RecordedWorld
from overround.ops.config import Config
from overround.polymarket.decoder import MarketDecoder
from overround.runtime.observer import BackgroundWriter, Observer, ObserverSettings
from overround.runtime.paper import PaperVenue
from overround.runtime.ports import NoJournal, NoTape, NullVenue, TapeSink
from overround.runtime.recovery import fold, open_gate
from overround.runtime.sequencer import Sequencer, Step
from overround.storage.engine import DATABASE_NAME
from overround.storage.journal import Journal
from overround.storage.observations import Observations
from overround.storage.projections import Projector
from overround.storage.retention import RetentionPolicy, prune, prune_tape
from overround.storage.tape import TapeWriter
from overround.strategies.dutch_book.strategy import DutchBook
from overround.strategies.spread_capture.strategy import SpreadCapture

NS_PER_S = 1_000_000_000


class Run(msgspec.Struct):
    """A run that is open: feed batches to ``sequencer`` and every step to :meth:`on_step`."""

    run_id: str
    sequencer: Sequencer
    observer: Observer

    def on_step(self, step: Step) -> None:
        """Look at what a step did. Raises what writing it down raised."""
        self.observer.on_step(step)

    @property
    def engine(self) -> Engine:
        """The engine of this run."""
        return self.sequencer.engine

    def totals(self) -> dict[str, int]:
        """Return how much there was so far, for a line of progress."""
        return {
            "frames": self.sequencer.frames,
            "commands": self.engine.command_count,
            "orders": len(self.engine.orders),
            "open": self.engine.orders.open_count(),
            "baskets": len(self.engine.execution.baskets),
        }


def store_path(config: Config) -> Path:
    """Return the database file of a configuration's data directory."""
    return config.data_dir() / DATABASE_NAME


def tape_path(config: Config) -> Path:
    """Return the tape of a configuration's data directory."""
    return config.data_dir() / "tape"


def strategies_of(config: Config) -> list[Strategy]:
    """Return the strategies that a configuration runs, with their parameters."""
    return [
        DutchBook(config.dutch_for),
        SpreadCapture(config.spread_for, own_orders_in_books=config.relayer.type == "real"),
    ]


def new_engine(config: Config, strategies: Sequence[Strategy] | None = None) -> Engine:
    """Return an empty engine for a configuration: the same for every run and for every replay of it.

    ``strategies`` replaces those of the configuration.
    """
    chosen = strategies if strategies is not None else strategies_of(config)
    decoder = partial(MarketDecoder, levels_per_second=config.service.hash_levels_per_second)
    return Engine(chosen, decoder, config.risk.limits())


def simulation_of(config: Config) -> SimulationConfig:
    """Return what a configuration assumes about the venue."""
    wanted = config.relayer.simulation
    mined_ns = wanted.mined_after_ms * MS_NS
    return SimulationConfig(
        entry=Latency(wanted.entry_latency_ms * MS_NS),
        cancel=Latency(wanted.cancel_latency_ms * MS_NS),
        ack=Latency(wanted.entry_latency_ms * MS_NS),
        queue=QueueModel(wanted.queue_model),
        settlement=SettlementConfig(
            mined_min_ns=mined_ns,
            mined_max_ns=mined_ns,
            confirmed_after_ns=wanted.confirmed_after_ms * MS_NS,
            failure_chance_e6=wanted.failure_ratio_e6,
        ),
    )


def paper_venue(config: Config, engine: Engine) -> PaperVenue:
    """Return the simulated venue of a configuration, trading against the engine's books."""
    return PaperVenue(
        RecordedWorld(engine.books), simulation_of(config), Random(config.relayer.simulation.seed)
    )


@contextmanager
def open_run(config: Config, metadata: Sequence[Fact], now_ns: int) -> Iterator[Run]:
    """Open a durable paper run in the configuration's data directory: recover, take over, open the gate.

    Raises:
        AlreadyRunning: if another process has the data directory.
        StoreError, TapeError: if what is there cannot be continued.
    """
    run_id = uuid.uuid4().hex[:12]
    engine = new_engine(config)
    config.data_dir().mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        journal = Journal.open(store_path(config))
        stack.callback(journal.close)
        folded = fold(engine, journal.read())
        tape, tape_seq = _open_tape(config, run_id, stack)
        sequencer = Sequencer(
            engine,
            paper_venue(config, engine),
            journal,
            tape,
            max(folded.last_seq, tape_seq) + 1,
            folded.last_ts_ns,
        )
        observer = _observer(config, engine, run_id, stack)
        observer.on_step(_begin(config, sequencer, run_id, metadata, now_ns))
        yield Run(run_id, sequencer, observer)
        observer.finish(sequencer.ts_ns)


def open_backtest(
    config: Config, metadata: Sequence[Fact], now_ns: int, strategies: Sequence[Strategy] | None = None
) -> Sequencer:
    """Return a sequencer in memory with its gate open: no journal, no tape, nothing left behind."""
    engine = new_engine(config, strategies)
    sequencer = Sequencer(engine, paper_venue(config, engine), NoJournal(), NoTape(), 1, 0)
    _begin(config, sequencer, "backtest", metadata, now_ns)
    return sequencer


def open_shadow(config: Config, metadata: Sequence[Fact], now_ns: int) -> Sequencer:
    """Return a sequencer in memory whose commands nobody carries out."""
    sequencer = Sequencer(new_engine(config), NullVenue(), NoJournal(), NoTape(), 1, 0)
    _begin(config, sequencer, "shadow", metadata, now_ns)
    return sequencer


def _begin(config: Config, sequencer: Sequencer, run_id: str, metadata: Sequence[Fact], now_ns: int) -> Step:
    loaded = ConfigLoaded(config.digest(), msgspec.json.encode(config.redacted()).decode())
    started = RunStarted(run_id, __version__, config.mode)
    cash_usd_e6 = config.relayer.simulation.starting_cash_usd_e6
    return open_gate(sequencer, started, loaded, metadata, cash_usd_e6, now_ns)


def _open_tape(config: Config, run_id: str, stack: ExitStack) -> tuple[TapeSink, int]:
    if not config.service.tape.enabled:
        return NoTape(), 0
    tape = TapeWriter(tape_path(config), run_id=run_id)
    stack.callback(tape.close)
    return tape, tape.continues_seq


def _observer(config: Config, engine: Engine, run_id: str, stack: ExitStack) -> Observer:
    observations = Observations.open(store_path(config))
    stack.callback(observations.close)
    projector = Projector.open(store_path(config))
    stack.callback(projector.close)
    writer = BackgroundWriter(observations, projector)
    stack.callback(writer.close)
    store = config.service.store
    settings = ObserverSettings(
        snapshot_interval_ns=store.snapshot_interval_s * NS_PER_S,
        prune_interval_ns=store.prune_interval_s * NS_PER_S,
    )
    return Observer(engine, run_id, config.mode, writer, settings, lambda now_ms: _prune(config, now_ms))


def _prune(config: Config, now_ms: int) -> None:
    store, tape = config.service.store, config.service.tape
    policy = RetentionPolicy(store.snapshot_retention_days, store.observation_retention_days)
    prune(store_path(config), policy, now_ms)
    if tape.enabled:
        prune_tape(tape_path(config), tape.retention_days, now_ms)
