"""The commands that feed recordings to the engine: replay, backtest, and each strategy alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from overround.core.commands import SubmitOrders
from overround.core.events import Filled
from overround.core.units import format_e6, parse_signed_e6
from overround.storage.import_source import Source
from overround.storage.journal import Journal, JournalReader, JournalRecord, decode_command, decode_fact
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
    assert (
        report["fills"]
        != cli("backtest", session / "data", "--config", session / "config.toml", "--json").json()["fills"]
    )


def test_replay_names_the_first_divergence(cli: Cli, session: Path, tmp_path: Path) -> None:
    """A journal whose commands were decided by other code, or tampered with before hashing, is found out."""
    data = tmp_path / "data"
    shutil.copytree(session / "data" / "tape", data / "tape")
    forged = False
    with (
        JournalReader.open(session / "data" / "overround.db") as old,
        Journal.open(data / "overround.db") as new,
    ):
        for record in old.read():
            if not forged and record.kind == "command":
                command = decode_command(record.payload)
                if isinstance(command, SubmitOrders):
                    orders = tuple(
                        msgspec.structs.replace(order, qty_e6=order.qty_e6 + 1) for order in command.orders
                    )
                    payload = msgspec.json.encode(SubmitOrders(orders))
                    record = JournalRecord(record.seq, record.ts_ns, "command", payload)  # noqa: PLW2901
                    forged = True
            new.append_batch([record])
    assert forged
    ran = cli("replay", data, "--verify", "--config", session / "config.toml", "--json")
    assert ran.code == 1
    report = ran.json()
    assert report["matches_journal"] is False
    assert report["first_divergence"]["seq"] > 0
    assert report["first_divergence"]["journaled"] != report["first_divergence"]["regenerated"]
    assert str(report["first_divergence"]["seq"]) in ran.err


def test_verify_demands_the_configuration_in_force(cli: Cli, session: Path, tmp_path: Path) -> None:
    other = tmp_path / "config.toml"
    text = (session / "config.toml").read_text(encoding="utf-8")
    other.write_text(text.replace("size = 40", "size = 41"), encoding="utf-8")
    assert (
        "is not the configuration of this journal"
        in cli("replay", session / "data", "--verify", "--config", other).refusal()
    )
    shutil.copytree(session / "data", tmp_path / "elsewhere" / "data")
    line = cli("replay", tmp_path / "elsewhere" / "data", "--verify").refusal()
    assert "--config" in line


def test_the_digest_is_the_same_in_every_process(session: Path) -> None:
    digests = set()
    for seed in ("1", "77"):
        ran = subprocess.run(
            [sys.executable, "-m", "overround", "replay", str(session / "data"), "--verify", "--json"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        digests.add(msgspec.json.decode(ran.stdout)["decision_digest"])
    assert len(digests) == 1


def test_a_session_that_went_on_later_verifies_too(cli: Cli, tmp_path: Path) -> None:
    run_session(tmp_path, seconds=5)
    run_session(tmp_path, seconds=5, part=1)
    report = cli("replay", tmp_path / "data", "--verify", "--json").json()
    assert report["matches_journal"] is True
    assert report["runs"] == 2
    assert cli("backtest", tmp_path / "data", "--config", tmp_path / "config.toml").code == 0


def test_shadow_counts_decisions_and_compares_nothing(cli: Cli, recordings: Path) -> None:
    report = cli("replay", recordings / NEGRISK, "--json").json()
    assert report["frames"] == 1_264
    assert report["matches_journal"] is None
    assert report["commands"] == sum(report["decisions"].values()) > 0
    again = cli("replay", recordings / NEGRISK, "--json").json()
    assert again["decision_digest"] == report["decision_digest"]
    assert "2 markets from markets.gamma.json" in report["notes"]
    assert "decision digest" in cli("replay", recordings / NEGRISK).out


def test_backtest_adds_up(cli: Cli, session: Path) -> None:
    report = cli("backtest", session / "data", "--config", session / "config.toml", "--json").json()
    lines = {line["strategy"]: line for line in report["strategies"]}
    assert lines.keys() == {"dutch_book", "spread_capture"}
    money = {name: parse_signed_e6(line["cash_flow_usdc"]) for name, line in lines.items()}
    assert parse_signed_e6(report["cash_usdc"]) == 10_000_000_000 + sum(money.values())
    for name, line in lines.items():
        fills = [fill for fill in report["fills"] if fill["strategy"] == name]
        assert line["fills"] == len(fills)
        assert parse_signed_e6(line["fees_usdc"]) == sum(parse_signed_e6(fill["fee"]) for fill in fills)
        assert parse_signed_e6(line["volume_usdc"]) == sum(parse_signed_e6(fill["usd"]) for fill in fills)
        pnl = money[name] + parse_signed_e6(line["position_value_usdc"])
        assert parse_signed_e6(line["pnl_usdc"]) == pnl
        assert sum(line["findings"].values()) > 0
    assert "PnL, USDC" in cli("backtest", session / "data", "--config", session / "config.toml").out


def test_trades_whose_settlement_fails_leave_no_money(cli: Cli, session: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    text = (session / "config.toml").read_text(encoding="utf-8")
    config.write_text(text + 'failure_ratio = "0.5"\n', encoding="utf-8")
    report = cli("backtest", session / "data", "--config", config, "--json").json()
    lines = report["strategies"]
    assert 0 < sum(line["failed_trades"] for line in lines) < sum(line["fills"] for line in lines)
    taken_in = sum(parse_signed_e6(line["cash_flow_usdc"]) for line in lines)
    assert parse_signed_e6(report["cash_usdc"]) == 10_000_000_000 + taken_in


def test_quoter_shows_quotes_and_inventory_by_market(cli: Cli, session: Path) -> None:
    words = ("quoter-run-replay", session / "data", "--config", session / "config.toml")
    report = cli(*words, "--json").json()
    (line,) = report["strategies"]
    assert line["strategy"] == "spread_capture"
    assert report["markets"]
    for name in ("orders", "cancels", "fills"):
        assert sum(market[name] for market in report["markets"]) == line[name]
    for market in report["markets"]:
        held = {"yes": 0, "no": 0}
        for fill in report["fills"]:
            if fill["condition_id"] == market["condition_id"]:
                sign = 1 if fill["side"] == "BUY" else -1
                held["yes"] += sign * parse_signed_e6(fill["size"])
        total = parse_signed_e6(market["inventory_yes"]) + parse_signed_e6(market["inventory_no"])
        assert total == sum(held.values())
    assert "quotes by market" in cli(*words).out


def test_an_unknown_fee_means_no_order_until_one_is_assumed(
    cli: Cli, recordings: Path, tmp_path: Path
) -> None:
    csv = tmp_path / "pairs.csv"
    lines = Source(recordings / "btc15m_yesno_bbo_20260401.csv.zst").whole().splitlines(keepends=True)
    csv.write_bytes(b"".join(lines[:1_500]))
    without = cli("quoter-run-replay", csv, "--json").json()
    assert without["strategies"][0]["orders"] == 0
    assumed = cli("quoter-run-replay", csv, "--fee-bps", "0", "--json").json()
    assert assumed["strategies"][0]["orders"] > 0
    assert any("fee of 0 bps assumed for" in note for note in assumed["notes"])


def test_wrong_metadata_is_said_so(cli: Cli, recordings: Path) -> None:
    ran = cli(
        "backtest", recordings / NEGRISK, "--markets", recordings / "fed_june2026.gamma-event.json", "--json"
    )
    assert ran.code == 0
    assert any("no book of a known market was seen" in note for note in ran.json()["notes"])
