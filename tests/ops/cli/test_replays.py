"""The commands that feed recordings to the engine: replay, backtest, and each strategy alone."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from overround.core.events import Filled
from overround.core.units import format_e6
from overround.storage.journal import JournalReader, decode_fact
from tests.ops.cli.running import Cli
from tests.ops.paper_session import run_session

NEGRISK = "negrisk_pair_20260727.jsonl.zst"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished paper session: config.toml and data/."""
    folder = tmp_path_factory.mktemp("paper")
    run_session(folder)
    return folder


def journaled_fills(data: Path) -> list[dict[str, str]]:
    with JournalReader.open(data / "overround.db") as journal:
        facts = [decode_fact(record.payload) for record in journal.read() if record.kind == "fact"]
    return [
        {
            "price": format_e6(fact.px_e6),
            "size": format_e6(fact.qty_e6),
            "usd": format_e6(fact.usd_e6),
            "fee": format_e6(fact.fee_usd_e6),
            "liquidity": str(fact.liquidity),
        }
        for fact in facts
        if isinstance(fact, Filled)
    ]


def test_replay_verifies_a_paper_session(cli: Cli, session: Path) -> None:
    ran = cli("replay", session / "data", "--verify", "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert report["matches_journal"] is True
    assert report["first_divergence"] is None
    assert report["frames"] > 100
    assert report["commands"] > 10
    assert report["unverified_commands"] == 0
    assert report["decision_digest"].startswith("sha256:")
    assert report["frames_per_s"] > 0


def test_a_backtest_of_a_paper_tape_trades_the_same_fills(cli: Cli, session: Path) -> None:
    """BT-4: the paper engine is the backtest engine."""
    ran = cli("backtest", session / "data", "--config", session / "config.toml", "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    fills = journaled_fills(session / "data")
    assert len(fills) > 5
    assert [{name: fill[name] for name in fills[0]} for fill in report["fills"]] == fills


def test_another_seed_or_size_is_another_backtest(cli: Cli, session: Path, tmp_path: Path) -> None:
    other = tmp_path / "config.toml"
    other.write_text((session / "config.toml").read_text(encoding="utf-8").replace("size = 40", "size = 30"))
    report = cli("backtest", session / "data", "--config", other, "--json").json()
    assert report["fills"] != cli(
        "backtest", session / "data", "--config", session / "config.toml", "--json"
    ).json()["fills"]
