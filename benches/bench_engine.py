"""A tape through the whole engine: what a replay costs per frame, and where the time goes.

A synthetic stream of 1,000 tokens (500 markets, 50 neg-risk events) is written to a tape with its metadata
and read back from disk by the driver of ``replay`` and ``backtest``: batches of one millisecond, Dutch book
on all 50 events, spread capture on the 20 busiest markets, gate open. ``shadow`` has nobody to carry out
commands (as ``replay``), ``paper`` the simulated venue (as ``backtest``).

Peers take turns with it in one process, on the same frames, already in memory: a naive bot as they are
usually written (json, float SortedDict, sums re-added and a quote computed on each change), and the parser of
the official client alone. The ratio is the result; absolute times drift with the machine.

Usage: python benches/bench_engine.py [--quick] [--frames N] [--rounds N] [--json]
"""

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import stream
from bench_pipeline import Naive, OfficialParser
from stream import OUTCOMES, Generator, MarketState, Stream

from overround.core.books import Books
from overround.core.engine import Engine
from overround.core.events import ConfigLoaded, EventListed, Fact, MarketListed, RunStarted, StreamUp
from overround.core.market import EventKind, MarketEvent
from overround.core.risk import RiskLimits
from overround.core.strategy import Strategy
from overround.core.units import E6
from overround.exchange.models import SimulationConfig
from overround.exchange.world import RecordedWorld
from overround.polymarket.decoder import MarketDecoder
from overround.runtime.backtest import run_tape
from overround.runtime.paper import PaperVenue
from overround.runtime.ports import NoJournal, NoTape, NullVenue, Venue
from overround.runtime.recovery import open_gate
from overround.runtime.sequencer import Sequencer, Step
from overround.storage.tape import FRAME, NOTE, RecordTuple, TapeReader, TapeRecord, TapeWriter
from overround.storage.tape_notes import fact_note
from overround.strategies.dutch_book import DutchBook, DutchParams
from overround.strategies.spread_capture import SpreadCapture, SpreadParams

FRAMES_PER_SECOND = 15_000
"""A burst: some 15 frames in each batch of a millisecond."""
QUOTED_MARKETS = 20
TURN_RECORDS = 2_000
CASH_USD_E6 = 10_000 * E6
FIGURES = {"frames_per_s": 100_000.0}


class FairGenerator(Generator):
    """The common stream, with the prices of each event's outcomes summing to about one dollar."""

    def _fill(self, state: MarketState) -> None:
        tick = state.market.tick_e6
        group, place = divmod(int(state.market.slug.removeprefix("market-")), OUTCOMES)
        rng = Random(group)
        weights = [rng.uniform(0.5, 1.5) for _ in range(OUTCOMES)]
        mid_e6 = int(E6 * weights[place] / sum(weights))
        mid = min(max(mid_e6 // tick, 2), E6 // tick - 2)
        half = stream.HALF_DEPTH
        state.bids = {p * tick: self._size() for p in range(max(1, mid - half), mid)}
        state.asks = {p * tick: self._size() for p in range(mid + 1, min(E6 // tick, mid + 1 + half))}


class World:
    """Stream, metadata and the markets to quote."""

    def __init__(self, frames: int, markets: int = 500, seed: int = 1) -> None:
        stream.FRAMES_PER_SECOND = FRAMES_PER_SECOND
        made = FairGenerator(markets, seed).run(frames)
        members = [
            msgspec.structs.replace(
                market, question_index=index % OUTCOMES, title=f"outcome {index % OUTCOMES}"
            )
            for index, market in enumerate(made.markets)
        ]
        self.stream = Stream(members, made.frames, made.ts_ns, made.opening, made.tops)
        self.events = [
            MarketEvent(
                event_id=f"event-{group}",
                slug=f"event-{group}",
                title=f"Event {group}",
                kind=EventKind.NEG_RISK,
                condition_ids=tuple(
                    m.condition_id for m in members[group * OUTCOMES : (group + 1) * OUTCOMES]
                ),
                as_of_ms=0,
                neg_risk_market_id=f"0x{group:064x}",
                convert_fee_bips=0,
            )
            for group in range(markets // OUTCOMES)
        ]
        # Every market-channel frame of the stream opens with its market.
        activity = Counter(frame[11:77].decode() for frame in made.frames if frame.startswith(b'{"market":"'))
        known = {market.condition_id for market in members}
        busiest = [condition_id for condition_id, _ in activity.most_common() if condition_id in known]
        self.quoted = frozenset((busiest or sorted(known))[:QUOTED_MARKETS])

    def records(self) -> Iterator[RecordTuple]:
        """Yield the tape's records: metadata, the connection, the frames by receive time."""
        source = self.stream
        token_ids = tuple(token_id for market in source.markets for token_id in market.token_ids())
        facts: list[Fact] = [MarketListed(market) for market in source.markets]
        facts += [EventListed(event) for event in self.events]
        facts.append(StreamUp(1, 1, token_ids))
        wall_ns = source.ts_ns[0]
        seq = 0
        for fact in facts:
            seq += 1
            yield (NOTE, seq, wall_ns, 0, 0, 0, fact_note(fact))
        rng = Random(7)
        for frame in source.frames:
            seq += 1
            wall_ns += 1 + int(rng.expovariate(FRAMES_PER_SECOND / 1e9))
            yield (FRAME, seq, wall_ns, wall_ns - source.ts_ns[0] + 1, 1, 1, frame)

    def strategies(self) -> list[Strategy]:
        """Return the strategies of a replay, with their default parameters."""
        dutch, spread = DutchParams(), SpreadParams()
        quoted = self.quoted
        return [
            DutchBook(lambda event: dutch),
            SpreadCapture(lambda market, event: spread if market.condition_id in quoted else None),
        ]

    def sequencer(
        self, strategies: Sequence[Strategy], *, paper: bool = False, trade: bool = True
    ) -> Sequencer:
        """Return a sequencer in memory; with ``trade`` its gate is open."""
        engine = Engine(strategies, MarketDecoder, RiskLimits())
        venue: Venue = NullVenue()
        if paper:
            config = SimulationConfig(starting_cash_usd_e6=CASH_USD_E6)
            venue = PaperVenue(RecordedWorld(engine.books), config, Random(1))
        sequencer = Sequencer(engine, venue, NoJournal(), NoTape(), 1, 0)
        if trade:
            started, loaded = RunStarted("bench", "0", "shadow"), ConfigLoaded("", "")
            open_gate(sequencer, started, loaded, (), CASH_USD_E6, self.stream.ts_ns[0])
        return sequencer


def cpu_ns() -> int:
    return time.thread_time_ns()


def ignore(_step: Step) -> None:
    """Look at nothing."""


# --- whole replays --------------------------------------------------------------------------------


class Replay:
    """One replay from disk, with its steps timed if asked for."""

    def __init__(self, world: World, tape: Path, *, paper: bool) -> None:
        self.sequencer = world.sequencer(world.strategies(), paper=paper)
        self._tape = tape

    def run(self, between: Callable[[list[TapeRecord]], None] | None = None) -> int:
        """Return the CPU time in ns; ``between`` gets each portion of records, off the clock."""
        spent_ns = 0
        started_ns = cpu_ns()

        def portions(
            reader: TapeReader, peers: Callable[[list[TapeRecord]], None]
        ) -> Iterator[list[TapeRecord]]:
            nonlocal spent_ns, started_ns
            records = iter(reader)
            while portion := list(islice(records, TURN_RECORDS)):
                spent_ns += cpu_ns() - started_ns
                peers(portion)
                started_ns = cpu_ns()
                yield portion

        with TapeReader(self._tape) as reader:
            records = iter(reader) if between is None else chain.from_iterable(portions(reader, between))
            run_tape(self.sequencer, records, {}, ignore)
        return spent_ns + cpu_ns() - started_ns

    def latencies(self) -> list[tuple[int, int]]:
        """Return (ns, frames) of every batch."""
        taken: list[tuple[int, int]] = []
        clock = time.perf_counter_ns
        step = self.sequencer.step

        def timed(inputs: Any, now_ns: int) -> Step:
            begin_ns = clock()
            done = step(inputs, now_ns)
            taken.append((clock() - begin_ns, done.frames))
            return done

        self.sequencer.step = timed  # type: ignore[method-assign] # an instrument
        with TapeReader(self._tape) as reader:
            run_tape(self.sequencer, reader, {}, ignore)
        return taken


class NaiveQuoter(Naive):
    """The naive bot with a quote for each change of the markets it makes."""

    def __init__(self, world: World) -> None:
        super().__init__(world.stream)
        self._quoted = {m.yes.token_id for m in world.stream.markets if m.condition_id in world.quoted}
        self.quotes: dict[str, tuple[float, float]] = {}
        self.requotes = 0

    def on_message(self, message: dict[str, Any]) -> None:
        super().on_message(message)
        changes = message.get("price_changes") or [message]
        for token in {change["asset_id"] for change in changes} & self._quoted:
            book = self.books.get(token)
            if not book or not book["bids"] or not book["asks"]:
                continue
            mid = (book["bids"].peekitem(-1)[0] + book["asks"].peekitem(0)[0]) / 2
            quote = (round(mid - 0.01, 2), round(mid + 0.01, 2))
            if self.quotes.get(token) != quote:
                self.quotes[token] = quote
                self.requotes += 1


class Turns:
    """Peers that take turns with a replay; a bounded number of frames each."""

    def __init__(self, world: World, most_frames: int) -> None:
        self._peers: dict[str, Any] = {
            "naive bot (json, SortedDict, quotes)": NaiveQuoter(world),
            "official client's parser alone": OfficialParser(world.stream),
        }
        self._left = most_frames
        self._opening = world.stream.opening
        self.frames = 0
        self.ns = dict.fromkeys(self._peers, 0)

    def __call__(self, records: list[TapeRecord]) -> None:
        frames = [record.payload for record in records if record.kind == FRAME]
        if self._left <= 0 or not frames:
            return
        self._left -= len(frames)
        # The opening snapshots, like the metadata, are not what a frame costs.
        opening, self._opening = self._opening > 0, self._opening - len(frames)
        for name, peer in self._peers.items():
            begin_ns = cpu_ns()
            peer.run(frames, [])
            if not opening:
                self.ns[name] += cpu_ns() - begin_ns
        if not opening:
            self.frames += len(frames)

    def us_per_frame(self) -> dict[str, float]:
        """Return µs per frame of each peer."""
        return {name: ns / 1000 / max(self.frames, 1) for name, ns in self.ns.items()}


# --- stages ---------------------------------------------------------------------------------------


def stage_times(world: World, tape: Path) -> dict[str, int]:
    """Return the CPU time in ns of replays that do ever more; each stage is a difference of two."""

    def read() -> None:
        with TapeReader(tape) as reader:
            for _record in reader:
                pass

    def replay(strategies: Sequence[Strategy], *, trade: bool = True, decode: bool = True) -> None:
        sequencer = world.sequencer(strategies, trade=trade)
        if not decode:
            sequencer.engine.ingest = lambda *_: None  # type: ignore[method-assign] # an instrument
        with TapeReader(tape) as reader:
            run_tape(sequencer, reader, {}, ignore)

    def decode() -> None:
        books = Books()
        ingest = MarketDecoder(books).ingest
        for market in world.stream.markets:
            books.track(market, 0)
        books.stream_up(1, 1, list(books.by_token), 0)
        for frame, ts_ns in zip(world.stream.frames, world.stream.ts_ns, strict=True):
            ingest(frame, ts_ns, 1, 1)
            books.touched.clear()

    spread_only = world.strategies()[1:]
    runs: dict[str, Callable[[], None]] = {
        "read": read,
        "drive": lambda: replay([], decode=False),
        "decode": decode,
        "no strategies": lambda: replay([]),
        "spread, gate closed": lambda: replay(spread_only, trade=False),
        "gate closed": lambda: replay(world.strategies(), trade=False),
        "whole": lambda: replay(world.strategies()),
    }
    times = {}
    for name, run in runs.items():
        gc.collect()
        begin_ns = cpu_ns()
        run()
        times[name] = cpu_ns() - begin_ns
    return times


def stages(times: dict[str, float]) -> dict[str, float]:
    """Return what each stage adds."""
    return {
        "read and decompress": times["read"],
        "batches, sequencer": times["drive"] - times["read"],
        "decode, books": times["decode"],
        "engine around them": times["no strategies"] - times["drive"] - times["decode"],
        "spread capture": times["spread, gate closed"] - times["no strategies"],
        "Dutch book": times["gate closed"] - times["spread, gate closed"],
        "execution": times["whole"] - times["gate closed"],
    }


# --- memory ---------------------------------------------------------------------------------------


def memory_mb(tokens: int) -> float:
    """Return what an engine with ``tokens`` tokens and their books takes in MB (tracemalloc)."""
    world = World(0, tokens // 2, seed=2)
    with tempfile.TemporaryDirectory() as folder:
        tape = write_tape(world, Path(folder) / "tape")
        gc.collect()
        tracemalloc.start()
        sequencer = world.sequencer(world.strategies())
        with TapeReader(tape) as reader:
            run_tape(sequencer, reader, {}, ignore)
        gc.collect()
        current, _peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return current / 1e6


def write_tape(world: World, path: Path) -> Path:
    with TapeWriter(path, run_id="bench") as tape:
        for record in world.records():
            tape.append(*record)
    return path


def wrong_tops(engine: Engine, world: World) -> int:
    """Return how many books do not end at the generator's truth."""
    tops = world.stream.tops
    return sum((b.best_bid_px_e6, b.best_ask_px_e6) != tops[b.token_id] for b in engine.books)


def quantile(values: Sequence[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * q), len(ordered) - 1)]


def load_average() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"


def report_latencies(world: World, tape: Path) -> dict[str, float]:
    replay = Replay(world, tape, paper=False)
    gc.collect()
    gc.freeze()
    gc.disable()
    taken = [(ns, frames) for ns, frames in replay.latencies() if frames]
    gc.enable()
    gc.unfreeze()
    taken = taken[len(taken) // 50 :]  # opening snapshots
    batches = [ns / 1000 for ns, _ in taken]
    each = [ns / 1000 / frames for ns, frames in taken]
    sizes = [frames for _, frames in taken]
    print(f"batches: {len(taken):,}, frames in one: median {quantile(sizes, 0.5)}, most {max(sizes)}")
    figures = {}
    for title, values in (("batch", batches), ("frame, as its batch's mean", each)):
        at = {q: quantile(values, q) for q in (0.5, 0.9, 0.99, 0.999)}
        text = "  ".join(f"p{q * 100:g} {us:.1f}" for q, us in at.items())
        print(f"µs per {title}: {text}  max {max(values):.1f}")
        figures[f"{title.split(',')[0]}_p99_us"] = at[0.99]
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer frames and rounds")
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object at the end")
    options = parser.parse_args()
    frames = options.frames or (20_000 if options.quick else 100_000)
    rounds = options.rounds or (3 if options.quick else 7)
    world = World(frames)
    with tempfile.TemporaryDirectory() as folder:
        tape = write_tape(world, Path(folder) / "tape")
        with TapeReader(tape) as reader:
            info = reader.info()
        total = info.frames
        print(
            f"tape: {total:,} frames, {len(world.stream.markets) * 2:,} tokens,"
            f" {info.payload_bytes / 1e6:.0f} MB, ratio {info.ratio:.1f}; load {load_average()}"
        )
        us: dict[str, list[float]] = {}
        parts: dict[str, list[int]] = {}
        for _ in range(rounds):
            for mode in ("shadow", "paper"):
                replay = Replay(world, tape, paper=mode == "paper")
                gc.collect()
                us.setdefault(mode, []).append(replay.run() / 1000 / total)
                engine = replay.sequencer.engine
                if len(us[mode]) == 1:
                    found = sum(f.count for f in engine.findings.values())
                    print(
                        f"{mode}: {engine.command_count:,} commands, {len(engine.orders):,} orders,"
                        f" {len(engine.execution.baskets)} baskets, {found:,} findings,"
                        f" {wrong_tops(engine, world)} books off the truth, {engine.commands_digest()[:23]}"
                    )
            turns = Turns(world, min(frames, 20_000))
            replay = Replay(world, tape, paper=False)
            gc.collect()
            us.setdefault("shadow, taking turns", []).append(replay.run(turns) / 1000 / total)
            for peer, value in turns.us_per_frame().items():
                us.setdefault(peer, []).append(value)
            for stage, ns in stage_times(world, tape).items():
                parts.setdefault(stage, []).append(ns)
        middle = {name: statistics.median(values) for name, values in us.items()}
        ours = middle["shadow, taking turns"]
        for name, value in middle.items():
            print(
                f"{name:38} {value:7.2f} µs/frame  {1e6 / value:9,.0f} frames/s"
                f"  best {min(us[name]):6.2f}  {value / ours:5.2f} × ours"
            )
        print("where it goes (shadow, medians of differences):")
        spent = stages({name: statistics.median(values) for name, values in parts.items()})
        for name, ns in spent.items():
            print(f"  {name:24} {ns / 1000 / total:6.2f} µs/frame  {ns / sum(spent.values()):6.1%}")
        figures = report_latencies(world, tape)
    memory = {tokens: memory_mb(tokens) for tokens in ((1_000,) if options.quick else (1_000, 10_000))}
    for tokens, megabytes in memory.items():
        print(f"memory: {tokens:,} tokens: {megabytes:.0f} MB")
    rate = 1e6 / middle["shadow"]
    met = rate >= FIGURES["frames_per_s"]
    verdict = "reached" if met else "NOT reached"
    print(f"frames/s {rate:,.0f}  figure to reach {FIGURES['frames_per_s']:,.0f}: {verdict}")
    print(f"load {load_average()}")
    if options.json:
        ratios = {f"ratio {name}": value / ours for name, value in middle.items() if name in turns.ns}
        print(
            json.dumps({"frames_per_s": rate, **{k: 1e6 / v for k, v in middle.items()}, **ratios, **figures})
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
