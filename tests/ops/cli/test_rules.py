"""Changed resolution texts stop trading on an event until a person accepts exactly those texts."""

from pathlib import Path

import msgspec

from overround.core.events import EventListed, RulesAcknowledged
from overround.ops.app import new_engine, open_run, store_path
from overround.ops.config import Config
from overround.polymarket.inbox import FactIn
from overround.runtime.recovery import fold
from overround.runtime.synthetic import EVENT_ID
from overround.storage.journal import JournalReader, decode_fact
from tests.ops.cli.running import Cli
from tests.ops.paper_session import START_NS, run_session, write_config


def changed_rules(tmp_path: Path) -> Config:
    """A stopped service whose event has new texts."""
    config = run_session(tmp_path, seconds=1)
    with open_run(config, (), START_NS) as run:
        event = run.engine.universe.events[EVENT_ID]
        changed = EventListed(msgspec.structs.replace(event, rule_hash="new"))
        run.on_step(run.sequencer.step([FactIn(START_NS, changed)], START_NS))
    return config


def accepted(config: Config) -> bool:
    engine = new_engine(config)
    with JournalReader.open(store_path(config)) as journal:
        fold(engine, journal.read())
    return engine.universe.rules_accepted(EVENT_ID)


def test_exactly_the_texts_that_were_read_are_accepted(tmp_path: Path, cli: Cli) -> None:
    config = changed_rules(tmp_path)
    words = ("rules-accept", f"{EVENT_ID}-event", "--config", tmp_path / "config.toml")
    assert not accepted(config)
    shown = cli(*words)
    assert shown.code == 0
    assert "--rule-hash new" in shown.out
    assert "it is new now" in cli(*words, "--rule-hash", "old").refusal()
    assert not accepted(config), "nothing is accepted by looking, or by another hash"
    done = cli(*words, "--rule-hash", "new")
    assert (done.code, "trading resumes" in done.out) == (0, True)
    assert accepted(config)
    with JournalReader.open(store_path(config)) as journal:
        facts = [decode_fact(record.payload) for record in journal.read() if record.kind == "fact"]
    assert [fact.rule_hash for fact in facts if isinstance(fact, RulesAcknowledged)] == ["new"]
    assert "accepted already" in cli(*words).out


def test_an_unknown_name_is_refused(tmp_path: Path, cli: Cli) -> None:
    run_session(tmp_path, seconds=1)
    refusal = cli("rules-accept", "nobody", "--config", tmp_path / "config.toml").refusal()
    assert "no such event or market" in refusal


def test_looking_at_rules_makes_no_store(tmp_path: Path, cli: Cli) -> None:
    config = write_config(tmp_path)
    assert "no store here" in cli("rules-accept", "nobody", "--config", config).refusal()
    assert not (tmp_path / "data").exists()
