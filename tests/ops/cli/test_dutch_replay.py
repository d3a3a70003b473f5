"""`dutch-run-replay`: an opportunity taken apart, and the recordings that only look like one."""

from pathlib import Path

import msgspec
import pytest

from overround.core.units import E6, format_e6, parse_e6
from overround.ops.market_files import load_listing
from tests.ops.cli.running import Cli
from tests.ops.made_recordings import AT_MS, gamma_tops, read_json, write_books

NOBEL = "event_nobel_2026_negrisk_other_20260216.json.zst"
WORLD_CUP = "event_world_cup_winner_negrisk_other_20260628.json.zst"
FED = "fed_june2026.gamma-event.json"


def fed_books(recordings: Path, folder: Path, asks: list[str]) -> Path:
    markets = {m.condition_id: m for m in load_listing(recordings / FED, AT_MS).markets}
    prices = [parse_e6(ask) for ask in asks]
    tops = {cid: (ask - 10_000, ask) for cid, ask in zip(markets, prices, strict=True)}
    return write_books(folder / "fed.jsonl", markets, tops)


def test_a_complete_event_below_one_dollar_is_taken_and_broken_down(
    cli: Cli, recordings: Path, tmp_path: Path
) -> None:
    books = fed_books(recordings, tmp_path, ["0.18"] * 5)
    report = cli(
        "dutch-run-replay", books, "--markets", recordings / FED, "--json", "--slippage-ticks", "2",
        "--safety-margin-usdc", "0.25", "--min-profit-usdc", "0.5",
    ).json()  # fmt: skip
    assert report["opportunities"] == report["guaranteed"] >= 1
    basket = report["baskets"][0]
    assert basket["structure"] == "L1"
    assert basket["legs"] == 5
    size = parse_e6(basket["size"])
    margin = {name: parse_e6(text) for name, text in basket["margin"].items()}
    # Five YES at 0.18 pay one dollar: ten cents a share before costs.
    assert margin["gross"] == size // 10
    # Five legs, two ticks of 0.001 each, and the fee on the worse price.
    assert margin["slippage"] > size * 5 * 2 // 1_000
    # Rate 0.05: 5 * q * 0.05 * 0.18 * 0.82, rounded up a leg.
    assert 0 <= margin["fees"] - size * 5 * 5 * 18 * 82 // 1_000_000 <= 5 * 20
    assert margin["safety"] == 250_000
    assert margin["net"] == margin["gross"] - margin["fees"] - margin["slippage"] - margin["safety"]
    assert parse_e6(basket["profit"]) == margin["net"] + margin["safety"]
    assert parse_e6(report["guaranteed_profit"]) == sum(parse_e6(b["profit"]) for b in report["baskets"])
    (line,) = report["strategies"]
    assert line["baskets"] >= 1 or "max_order" in str(line["refusals"])


def test_the_required_profit_decides(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    books = fed_books(recordings, tmp_path, ["0.18"] * 5)
    words = ("dutch-run-replay", books, "--markets", recordings / FED, "--json")
    assert cli(*words, "--min-profit-usdc", "0.01").json()["opportunities"] >= 1
    refused = cli(*words, "--min-profit-usdc", "100000").json()
    assert refused["opportunities"] == 0
    assert "below_min_profit" in refused["refused"]


def test_real_books_of_a_whole_event_show_no_gap(cli: Cli, recordings: Path) -> None:
    books = recordings / "fed_june2026.clob-books.json.zst"
    report = cli("dutch-run-replay", books, "--markets", recordings / FED, "--json").json()
    assert report["frames"] == 10
    assert report["opportunities"] == report["strategies"][0]["orders"] == 0
    assert set(report["refused"]) == {"no_gap"}


@pytest.mark.parametrize("cheaper", [False, True])
@pytest.mark.parametrize("name", [NOBEL, WORLD_CUP])
def test_events_with_other_give_no_order(
    cli: Cli, recordings: Path, tmp_path: Path, name: str, cheaper: bool
) -> None:
    listing = load_listing(recordings / name, AT_MS)
    markets = {market.condition_id: market for market in listing.markets}
    tops = {
        cid: top
        for cid, top in gamma_tops(read_json(recordings / name)["markets"]).items()
        if cid in markets and markets[cid].tradable
    }
    if cheaper:
        # As if the leaders had been sold off: the sum of the live asks falls far below one dollar.
        for cid in sorted(tops, key=lambda each: -tops[each][1])[:3]:
            tops[cid] = 0, markets[cid].tick_e6
    asks = sum(ask for _, ask in tops.values())
    books = write_books(tmp_path / "event.jsonl", markets, tops)
    report = cli("dutch-run-replay", books, "--markets", recordings / name, "--json").json()
    assert report["opportunities"] == report["strategies"][0]["orders"] == 0
    if asks < E6:
        assert report["refused"]["non_exhaustive"] >= 1
        assert any("'Other' may win" in reason["detail"] for reason in report["reasons"])
    else:
        assert name == WORLD_CUP, format_e6(asks)
        assert set(report["refused"]) == {"no_gap"}


def test_allow_other_says_that_nothing_is_guaranteed(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    listing = load_listing(recordings / NOBEL, AT_MS)
    markets = {market.condition_id: market for market in listing.markets}
    tops = {
        cid: (0, 5 * markets[cid].tick_e6)
        for cid in gamma_tops(read_json(recordings / NOBEL)["markets"])
        if markets[cid].tradable
    }
    books = write_books(tmp_path / "event.jsonl", markets, tops)
    config = tmp_path / "config.toml"
    config.write_text(
        '[service.dutch]\nmax_legs = 100\nmax_legging_loss_usdc = "1000"\nmin_profit_usdc = "0.01"\n',
        encoding="utf-8",
    )
    words = ("dutch-run-replay", books, "--markets", recordings / NOBEL, "--config", config, "--fee-bps", "0")
    assert cli(*words, "--json").json()["opportunities"] == 0
    report = cli(*words, "--allow-other", "--json").json()
    assert report["opportunities"] >= 1
    assert report["guaranteed"] == 0
    assert report["guaranteed_profit"] == "0"
    assert report["baskets"][0]["class"] == "OTHER_ALLOWED"


def test_skewed_pairs_of_one_market_are_an_alarm_and_never_an_order(cli: Cli, recordings: Path) -> None:
    report = cli(
        "dutch-run-replay", recordings / "btc15m_yesno_bbo_20260401.csv.zst", "--fee-bps", "0", "--json"
    ).json()
    assert report["frames"] == 7_529
    assert report["opportunities"] == report["strategies"][0]["orders"] == 0
    assert report["refused"]["stale_crossed"] > 10
    assert set(report["refused"]) <= {"stale_crossed", "x1_single_market"}


def test_an_assumed_fee_counts_only_where_none_is_known(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    books = fed_books(recordings, tmp_path, ["0.18"] * 5)
    words = ("dutch-run-replay", books, "--json", "--min-profit-usdc", "0.01", "--markets")
    known = cli(*words, recordings / FED).json()
    assumed = cli(*words, recordings / FED, "--fee-bps", "0").json()
    assert assumed["baskets"] == known["baskets"]
    assert "fee of 0 bps assumed for 0 markets of unknown fee" in assumed["notes"]

    event = read_json(recordings / FED)
    for market in event["markets"]:
        del market["feeSchedule"]
    unknown = tmp_path / "event.json"
    unknown.write_bytes(msgspec.json.encode(event))
    assert cli(*words, unknown).json()["refused"] == {"fee_unknown": 2}
    filled = cli(*words, unknown, "--fee-bps", "500").json()
    assert filled["baskets"] == known["baskets"]
    assert "fee of 500 bps assumed for 5 markets of unknown fee" in filled["notes"]


def test_best_prices_in_metadata_are_no_books(cli: Cli, recordings: Path) -> None:
    line = cli("dutch-run-replay", recordings / NOBEL).refusal()
    assert "holds market metadata and no book" in line
    assert "--markets" in line


def test_the_table_names_total_and_parts(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    books = fed_books(recordings, tmp_path, ["0.18"] * 5)
    ran = cli("dutch-run-replay", books, "--markets", recordings / FED, "--verbose")
    assert ran.code == 0
    for word in ("opportunities", "guaranteed profit", "less fees", "less slippage", "less safety", "L1"):
        assert word in ran.out


@pytest.mark.slow
def test_a_decided_event_with_leftovers_gives_no_order(cli: Cli, shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "gamma" / "negrisk_events_markets_20260311.json.zst"
    slug = "how-to-make-a-killing-rotten-tomatoes-score"
    raws = read_json(source)[slug]
    metadata = tmp_path / "event.json"
    metadata.write_bytes(msgspec.json.encode({slug: raws}))
    markets = {market.condition_id: market for market in load_listing(metadata, AT_MS).markets}
    tops = gamma_tops(raws)
    assert sum(ask for _, ask in tops.values()) < E6 // 10
    books = write_books(tmp_path / "books.jsonl", markets, tops)
    report = cli("dutch-run-replay", books, "--markets", metadata, "--fee-bps", "0", "--json").json()
    assert report["opportunities"] == report["strategies"][0]["orders"] == 0
    assert "non_exhaustive" in report["refused"]
