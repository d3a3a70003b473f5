"""Looks at a run from the side: equity, books, findings and counters into the store, at intervals.

Sampling reads the engine in the loop's own thread, between batches, and is cheap; writing, and folding the
journal into its projections, happens in a thread of its own.

Invariants: nothing here influences a decision; a failure to write ends the run with its cause at the next
sample, it is never swallowed.
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from overround.core.book import Book
from overround.core.engine import Engine
from overround.core.events import Side
from overround.core.portfolio import marked_value_e6
from overround.runtime.sequencer import Step
from overround.storage.observations import BookSnapshot, EquityPoint, Observations, Opportunity
from overround.storage.projections import Projector

NS_PER_MS = 1_000_000
SNAPSHOT_DEPTH = 20
"""Levels a side in a stored snapshot."""

Job = Callable[[Observations, Projector], None]


class BackgroundWriter:
    """One thread that writes what it is handed, in order."""

    def __init__(self, observations: Observations, projector: Projector) -> None:
        self._observations = observations
        self._projector = projector
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="observations", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Hand over a job. Raises the cause if an earlier one failed."""
        if self._failure is not None:
            raise self._failure
        self._jobs.put(job)

    def close(self) -> None:
        """Finish what was handed over. Raises the cause if anything failed."""
        self._jobs.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._failure is not None:
                continue
            try:
                job(self._observations, self._projector)
            except Exception as error:  # noqa: BLE001 - border of the thread: the cause must reach the loop
                self._failure = error


class ObserverSettings(msgspec.Struct, frozen=True):
    """How often a run is looked at, in feed time."""

    equity_interval_ns: int = 1_000_000_000
    snapshot_interval_ns: int = 60_000_000_000
    prune_interval_ns: int = 3_600_000_000_000


class Observer:
    """Samples a run after its batches."""

    def __init__(
        self,
        engine: Engine,
        run_id: str,
        mode: str,
        writer: BackgroundWriter,
        settings: ObserverSettings,
        prune: Callable[[int], None],
    ) -> None:
        """Look at ``engine``; ``prune`` deletes what is too old at a time in ms, in the writing thread."""
        self.more_status: Callable[[], Mapping[str, Any]] = dict
        """What else belongs to the status, by topic: set by who knows the feeds."""
        self._engine = engine
        self._run_id = run_id
        self._mode = mode
        self._writer = writer
        self._settings = settings
        self._prune = prune
        self._prune_due_ns = 0
        self._equity_due_ns = 0
        self._snapshot_due_ns = 0
        self._frames = 0
        self._last_frame_ns = 0

    def on_step(self, step: Step) -> None:
        """Look at the engine if it is time to. Raises what writing raised."""
        self._frames += step.frames
        if step.frames:
            self._last_frame_ns = step.ts_ns
        if step.ts_ns >= self._equity_due_ns:
            self._equity_due_ns = step.ts_ns + self._settings.equity_interval_ns
            self._sample(step.ts_ns)
        if step.ts_ns >= self._snapshot_due_ns:
            self._snapshot_due_ns = step.ts_ns + self._settings.snapshot_interval_ns
            self._snapshot(step.ts_ns)
        if step.ts_ns >= self._prune_due_ns:
            self._prune_due_ns = step.ts_ns + self._settings.prune_interval_ns
            now_ms = step.ts_ns // NS_PER_MS
            self._writer.put(lambda _observations, _projector: self._prune(now_ms))

    def finish(self, ts_ns: int) -> None:
        """Take a last sample."""
        self._sample(ts_ns)
        self._snapshot(ts_ns)

    # --- samples ---------------------------------------------------------------------------------

    def _sample(self, ts_ns: int) -> None:
        now_ms = ts_ns // NS_PER_MS
        points = self.equity_points(now_ms)
        found = self._opportunities()
        counts = self._counters()
        status = self._status()

        def write(observations: Observations, projector: Projector) -> None:
            projector.catch_up()
            observations.equity(points)
            observations.opportunities(found)
            observations.counters(self._run_id, counts, now_ms)
            observations.status(status, now_ms)

        self._writer.put(write)

    def _snapshot(self, ts_ns: int) -> None:
        now_ms = ts_ns // NS_PER_MS
        books = [
            BookSnapshot(
                book.token_id,
                now_ms,
                book.state.name,
                book.levels(Side.BUY, SNAPSHOT_DEPTH),
                book.levels(Side.SELL, SNAPSHOT_DEPTH),
            )
            for book in self._engine.books
            if book.snapshot_seq
        ]
        self._writer.put(lambda observations, _projector: observations.snapshots(books))

    def equity_points(self, now_ms: int) -> list[EquityPoint]:
        """Return the money of every strategy, and ``total``, at the bids of now."""
        engine = self._engine
        held: dict[str, dict[str, int]] = {name: {} for name in engine.strategy_names()}
        for (strategy, token_id), qty_e6 in engine.portfolio.positions().items():
            held.setdefault(strategy, {})[token_id] = qty_e6
        points = [
            EquityPoint(
                self._run_id,
                now_ms,
                strategy,
                engine.portfolio.cash_flow_e6(strategy),
                self._value_e6(positions),
                engine.portfolio.fees_of_e6(strategy),
            )
            for strategy, positions in held.items()
        ]
        points.append(
            EquityPoint(
                self._run_id,
                now_ms,
                "total",
                engine.portfolio.cash_e6(),
                sum(point.position_usd_e6 for point in points),
                engine.portfolio.fees_e6(),
            )
        )
        return points

    def _value_e6(self, positions: Mapping[str, int]) -> int:
        """Value at the bids; a token without a bid is worth nothing until it has one."""
        universe = self._engine.universe
        found = (universe.market_of(token_id) for token_id in positions)
        markets = {market.condition_id: market for market in found if market is not None}
        value_e6, _ = marked_value_e6(positions, list(markets.values()), self._bid_px_e6)
        return value_e6

    def _bid_px_e6(self, token_id: str) -> int | None:
        book = self._engine.books.get(token_id)
        return None if book is None or not book.snapshot_seq else book.best_bid_px_e6

    def _opportunities(self) -> list[Opportunity]:
        return [
            Opportunity(
                self._run_id,
                strategy,
                scope,
                reason,
                found.latest.detail,
                found.latest.edge_usd_e6,
                found.latest.size_e6,
                found.count,
                found.ts_ns // NS_PER_MS,
            )
            for (strategy, scope, reason), found in self._engine.findings.items()
        ]

    def _counters(self) -> dict[str, int]:
        engine = self._engine
        counts = {
            f"books_{name}": value
            for name, value in msgspec.structs.asdict(engine.books.counters).items()
            if isinstance(value, int)
        }
        counts |= {f"resyncs_{reason}": n for reason, n in sorted(engine.books.counters.resyncs.items())}
        counts["frames"] = self._frames
        counts["commands"] = engine.command_count
        for (strategy, reason), count in engine.execution.refusals.items():
            counts[f"refused_{strategy}_{reason}"] = count
        for surprise, count in engine.orders.surprises.items():
            counts[f"surprise: {surprise}"] = count
        return counts

    def _status(self) -> dict[str, Any]:
        engine = self._engine
        states: Counter[str] = Counter(book.state.name for book in _books(engine))
        return {
            "run_id": self._run_id,
            "mode": self._mode,
            "gate_open": engine.gate_open,
            "paused": engine.paused,
            "frames": self._frames,
            "last_frame_ms": self._last_frame_ns // NS_PER_MS,
            "books": dict(sorted(states.items())),
            "markets": len(engine.universe.markets),
            "open_orders": engine.orders.open_count(),
            **self.more_status(),
        }


def _books(engine: Engine) -> list[Book]:
    return list(engine.books)
