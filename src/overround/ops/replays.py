"""Recorded inputs through the whole engine: shadow, verification against the journal, backtest.

Invariants: nothing is written; the clock is read only to say how fast it went. What is traded against
whom is the composition root's business.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from overround.core.engine import Engine
from overround.core.events import ConfigLoaded
from overround.core.strategy import Strategy
from overround.core.units import format_e6
from overround.ops.app import new_engine, open_backtest, open_shadow
from overround.ops.config import Config
from overround.ops.config_load import load
from overround.ops.mistakes import BadInput
from overround.ops.recorded_sources import TAPE_NAME, notes_of
from overround.ops.replay_material import Material
from overround.ops.trading_tally import Tally
from overround.runtime.backtest import run_tape
from overround.runtime.replay import Divergence, verify
from overround.runtime.sequencer import Sequencer, Step
from overround.storage.engine import DATABASE_NAME
from overround.storage.journal import JournalReader, decode_fact
from overround.storage.tape import TapeReader

CONFIG_NAME = "config.toml"


class ReplayReport(msgspec.Struct, frozen=True, omit_defaults=False):
    """``replay --json``: the first six are the contract."""

    frames: int
    commands: int
    decision_digest: str
    matches_journal: bool | None
    """``None`` when nothing was compared."""
    first_divergence: Divergence | None
    frames_per_s: int
    runs: int = 1
    borders: int = 0
    unverified_commands: int = 0
    decisions: dict[str, int] = {}
    """Commands by kind."""
    notes: list[str] = []


class BacktestReport(msgspec.Struct):
    """What a backtest came to."""

    engine: Engine
    tally: Tally
    frames: int
    frames_per_s: int
    notes: list[str]

    def findings(self, strategy: str) -> dict[str, int]:
        """Return how often a strategy found what, most frequent first."""
        counts: Counter[str] = Counter()
        for (name, _scope, reason), found in self.engine.findings.items():
            if name == strategy:
                counts[reason] += found.count
        return dict(counts.most_common())

    def refusals(self, strategy: str) -> dict[str, int]:
        """Return how many wishes of a strategy risk and execution refused, by reason."""
        refused = self.engine.execution.refusals.items()
        return {reason: count for (name, reason), count in sorted(refused) if name == strategy}

    def document(self, path: Path) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {
            "path": str(path),
            "frames": self.frames,
            "frames_per_s": self.frames_per_s,
            "rejected": self.engine.books.counters.rejected,
            "commands": self.engine.command_count,
            "decision_digest": self.engine.commands_digest(),
            "cash_usdc": format_e6(self.engine.portfolio.cash_e6()),
            "strategies": [
                {
                    "strategy": name,
                    **line.document(),
                    "findings": self.findings(name),
                    "refusals": self.refusals(name),
                }
                for name, line in self.tally.strategies.items()
            ],
            "venue_refusals": dict(self.tally.refusals),
            "fills": self.tally.fills,
            "notes": self.notes,
        }


def backtest(
    config: Config, material: Material, strategies: Sequence[Strategy] | None = None
) -> BacktestReport:
    """Run the material against the simulated venue. Raises what reading it raises."""
    sequencer = open_backtest(config, material.metadata, material.first_ts_ns, strategies)
    tally = Tally(sequencer.engine)
    frames_per_s = _timed(sequencer, material, tally.on_step)
    tally.finish()
    return BacktestReport(
        sequencer.engine, tally, sequencer.frames, frames_per_s, [*material.all_notes(), *_quiet(sequencer)]
    )


def shadow(config: Config, material: Material) -> ReplayReport:
    """Run the material with nobody to carry out what is decided. Raises what reading it raises."""
    sequencer = open_shadow(config, material.metadata, material.first_ts_ns)
    decisions: Counter[str] = Counter()
    borders = 0

    def on_step(step: Step) -> None:
        nonlocal borders
        borders += 1
        decisions.update(type(command).__name__ for command in step.commands)

    frames_per_s = _timed(sequencer, material, on_step)
    engine = sequencer.engine
    return ReplayReport(
        sequencer.frames,
        engine.command_count,
        engine.commands_digest(),
        None,
        None,
        frames_per_s,
        borders=borders,
        decisions=dict(decisions.most_common()),
        notes=[*material.all_notes(), *_quiet(sequencer)],
    )


def verify_directory(data: Path, config_path: Path | None) -> ReplayReport:
    """Regenerate every command of a data directory's runs and compare it with the journaled one.

    Raises ``BadInput`` when ``data`` holds no run or the configuration is not the one that was in force,
    and ``StoreError``, ``TapeError`` or ``ConfigError``.
    """
    if not (data / DATABASE_NAME).is_file() and (data.parent / DATABASE_NAME).is_file():
        data = data.parent
    if not (data / DATABASE_NAME).is_file():
        remedy = "give the data directory of a run, which holds its journal and its tape"
        raise BadInput(data, "holds no journal to verify against", DATABASE_NAME, remedy)
    with JournalReader.open(data / DATABASE_NAME) as journal, TapeReader(data / TAPE_NAME) as tape:
        config = _config_of(journal, data, config_path)
        started_s = time.perf_counter()
        found = verify(journal, tape, lambda: new_engine(config))
        elapsed_s = time.perf_counter() - started_s
        torn = [f"torn end: {cut.path.name}, {cut.lost_bytes} bytes" for cut in tape.info().torn]
    return ReplayReport(
        found.frames,
        found.commands,
        found.decision_digest,
        found.matches_journal,
        found.first_divergence,
        _rate(found.frames, elapsed_s),
        found.runs,
        found.borders,
        found.unverified_commands,
        notes=torn,
    )


def default_config(path: Path) -> Path | None:
    """Return the configuration file in a data directory or beside it, if there is one."""
    for directory in (path, path.parent):
        if (directory / CONFIG_NAME).is_file():
            return directory / CONFIG_NAME
    return None


def _config_of(journal: JournalReader, data: Path, path: Path | None) -> Config:
    """Return the configuration in ``path`` if it is the one that every journaled run had."""
    facts = (record.payload for record in journal.read() if record.kind == "fact")
    try:
        loaded = [fact for fact in map(decode_fact, facts) if isinstance(fact, ConfigLoaded)]
    except msgspec.MsgspecError as error:
        remedy = "verify it with the program version that wrote it"
        raise BadInput(data, "its journal holds a fact this program does not know", error, remedy) from error
    if not loaded:
        raise BadInput(data, "holds no run", "empty journal", "start a run first")
    path = path or default_config(data)
    if path is None:
        remedy = "name the configuration of the run with --config"
        raise BadInput(data, "has no configuration beside it", CONFIG_NAME, remedy)
    said: Mapping[str, Any] = msgspec.json.decode(loaded[-1].toml) if loaded[-1].toml else {}
    config = load(path, said.get("service", {}).get("profile") or None)
    other = next((fact.digest for fact in loaded if fact.digest != config.digest()), None)
    if other is not None:
        remedy = f"name the file that was in force (a journaled run had {other[:23]})"
        raise BadInput(path, "is not the configuration of this journal", config.digest()[:23], remedy)
    return config


def _timed(sequencer: Sequencer, material: Material, on_step: Callable[[Step], None]) -> int:
    started_s = time.perf_counter()
    with notes_of(material.source.path):
        run_tape(sequencer, material.source.records, material.tokens_of, on_step, material.edit)
    return _rate(sequencer.frames, time.perf_counter() - started_s)


def _rate(frames: int, elapsed_s: float) -> int:
    return round(frames / elapsed_s) if elapsed_s > 0 else 0


def _quiet(sequencer: Sequencer) -> list[str]:
    """Return a note if no book was ever true: nothing could be decided then."""
    if any(book.snapshot_seq for book in sequencer.engine.books):
        return []
    return ["no book of a known market was seen: give the right metadata with --markets"]
