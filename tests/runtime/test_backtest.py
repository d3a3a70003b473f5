"""A backtest of a run's own tape is that run again, however its loop was paced."""

from pathlib import Path
from random import Random

import pytest

from overround.core.events import Fact, Filled, RunEnded, TimerFired
from overround.exchange.flow import FlowConfig
from overround.ops.app import Run, open_backtest, open_run, tape_path
from overround.ops.config import Config
from overround.ops.config_load import load
from overround.polymarket.inbox import FactIn, Incoming
from overround.runtime.backtest import noted_metadata, run_tape
from overround.runtime.recorded import batches, input_ts_ns
from overround.runtime.sequencer import Step
from overround.runtime.synthetic import SyntheticEvent
from overround.storage.tape import MARK, TapeReader
from tests.ops.paper_session import START_NS, STREAM, write_config

MS = 1_000_000


def live_like(run: Run, groups: list[list[Incoming]], rng: Random) -> list[Step]:
    """Step as the live loop does: a little late for everything, timers by its own clock."""
    steps: list[Step] = []
    timer_ns = START_NS
    venue = run.sequencer.venue
    for group in groups:
        while (due_ns := venue.next_due_ns()) is not None:
            woken_ns = due_ns + rng.randrange(2 * MS)
            if woken_ns >= input_ts_ns(group[0]):
                break
            steps.append(run.sequencer.step([], woken_ns))
        now_ns = input_ts_ns(group[-1]) + rng.randrange(3 * MS)
        inputs = list(group)
        if now_ns >= timer_ns:
            timer_ns = now_ns + 250 * MS
            inputs.append(FactIn(now_ns, TimerFired("tick")))
        steps.append(run.sequencer.step(inputs, now_ns))
    end_ns = run.sequencer.ts_ns
    steps.append(run.sequencer.step([FactIn(end_ns, RunEnded("test"))], end_ns))
    while (due_ns := venue.next_due_ns()) is not None:
        steps.append(run.sequencer.step([], due_ns + rng.randrange(2 * MS)))
    return steps


def fills(steps: list[Step]) -> list[tuple[int, int, int, int, str]]:
    facts: list[tuple[int, Fact]] = [(ts_ns, fact) for step in steps for _, ts_ns, fact in step.facts]
    return [
        (ts_ns, fact.px_e6, fact.qty_e6, fact.fee_usd_e6, str(fact.liquidity))
        for ts_ns, fact in facts
        if isinstance(fact, Filled)
    ]


def backtested(config: Config, data: Path) -> list[Step]:
    steps: list[Step] = []
    with TapeReader(data) as tape:
        run_tape(open_backtest(config, (), START_NS), tape, {}, steps.append)
    return steps


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_fills_at_the_same_times(tmp_path: Path, seed: int) -> None:
    config = load(write_config(tmp_path))
    event = SyntheticEvent(seed, START_NS, STREAM, FlowConfig())
    groups = list(batches(event.inputs(START_NS + 10_000 * MS), 2 * MS))
    with open_run(config, event.metadata(), START_NS) as run:
        live = live_like(run, groups, Random(seed))
    again = backtested(config, tape_path(config))
    assert len(fills(live)) > 3
    assert fills(again) == fills(live)


def test_a_tape_notes_its_markets(tmp_path: Path) -> None:
    config = load(write_config(tmp_path))
    event = SyntheticEvent(1, START_NS, STREAM, FlowConfig())
    with open_run(config, event.metadata(), START_NS):
        pass
    with TapeReader(tape_path(config)) as tape:
        assert noted_metadata(tape) == event.metadata()


def test_a_long_list_of_markets_hides_no_border(tmp_path: Path) -> None:
    config = load(write_config(tmp_path))
    event = SyntheticEvent(1, START_NS, STREAM, FlowConfig())
    groups = list(batches(event.inputs(START_NS + 1_000 * MS), 2 * MS))
    metadata = event.metadata() * 400
    with open_run(config, metadata, START_NS) as run:
        steps = live_like(run, groups, Random(1))
    again = backtested(config, tape_path(config))
    # Frames are decided on in the batches of the run, not in some of the backtest's own.
    assert [step.frames for step in again if step.frames] == [step.frames for step in steps if step.frames]
    assert sum(step.frames for step in again) > 10


def test_a_tape_whose_beginning_is_gone_takes_later_runs_over(tmp_path: Path) -> None:
    config = load(write_config(tmp_path))
    event = SyntheticEvent(1, START_NS, STREAM, FlowConfig())
    groups = list(batches(event.inputs(START_NS + 4_000 * MS), 2 * MS))
    half = len(groups) // 2
    for part in (groups[:half], groups[half:]):
        with open_run(config, event.metadata(), START_NS) as run:
            live_like(run, part, Random(1))
    with TapeReader(tape_path(config)) as tape:
        records = list(tape)
    first_mark = next(index for index, record in enumerate(records) if record.kind == MARK)
    sequencer = open_backtest(config, event.metadata(), START_NS)
    open_after: list[bool] = []
    run_tape(
        sequencer, records[first_mark + 1 :], {}, lambda _: open_after.append(sequencer.engine.gate_open)
    )
    # Closed at the end of the first run, open again in the second.
    closed_at = open_after.index(False)
    assert True in open_after[closed_at:]
    assert not open_after[-1]
