"""`refresh-markets` and the catalog it fills."""

import asyncio
from pathlib import Path

from overround.ops.config_load import load
from overround.ops.following import Wanted
from overround.ops.halting import Halt
from overround.ops.service import Service, run_service
from overround.storage.lock import DirectoryLock
from tests.ops.cli.running import Cli, Ran
from tests.ops.trading_venue import TradingVenue, outcome, tokens, trading_venue
from tests.support.scripted_venue import Answer


async def refresh(cli: Cli, config: Path, *words: str) -> Ran:
    return await asyncio.to_thread(cli, "refresh-markets", "--config", config, "--json", *words)


async def test_refresh_stores_what_changed(cli: Cli, tmp_path: Path) -> None:
    async with trading_venue() as venue:
        config = venue.write_config(tmp_path)
        first = (await refresh(cli, config)).json()
        assert first == {"markets": 2, "events": 1, "changed": 3, "refused": []}
        again = (await refresh(cli, config)).json()
        assert again["changed"] == 0
        venue.list(0, 1, acceptingOrders=False)
        assert (await refresh(cli, config)).json()["changed"] == 2
    rows = cli("markets-list", "--config", config, "--json").json()
    assert [(row["slug"], row["accepting_orders"], row["event_slug"]) for row in rows] == [
        ("outcome-0", False, "who-wins"),
        ("outcome-1", False, "who-wins"),
    ]
    assert "paused" in cli("markets-list", "--config", config).out


async def test_search_and_show(cli: Cli, tmp_path: Path) -> None:
    async with trading_venue() as venue:
        config = venue.write_config(tmp_path)
        await refresh(cli, config)
    names = ("--config", config)
    assert [row["slug"] for row in cli("markets-search", "OUTCOME 1", *names, "--json").json()] == [
        "outcome-1"
    ]
    assert len(cli("markets-search", "who wins", *names, "--json").json()) == 2
    none = cli("markets-search", "100%_sure", *names)
    assert (none.code, none.err) == (1, "no market mentions '100%_sure'\n")
    for name in ("outcome-0", outcome(0)["conditionId"], tokens(0)[1]):
        (row,) = cli("markets-show", name, *names, "--json").json()
        assert row["slug"] == "outcome-0"
        assert (row["tick"], row["min_size"], row["fee_rate"]) == ("0.01", "5", "0")
        assert [out["outcome"] for out in row["outcomes"]] == ["Yes", "No"]
    shown = cli("markets-show", "outcome-0", *names)
    assert shown.code == 0
    assert "Will outcome 0 happen?" in shown.out
    unknown = cli("markets-show", "nothing", *names)
    assert unknown.code == 1
    assert unknown.err.startswith("no market is called 'nothing'")


async def test_refresh_refuses_and_says_why(cli: Cli, tmp_path: Path) -> None:
    async with trading_venue() as venue:
        config = venue.write_config(tmp_path)
        with DirectoryLock(load(config).data_dir()):
            refused = await refresh(cli, config)
            assert refused.code == 2
            assert "it refreshes by itself" in refused.err
        more = await refresh(cli, config, "--market", "no-such-market")
        assert (more.code, more.json()["refused"][0]["reason"]) == (0, "not_found")
        venue.answer("/events/slug/who-wins", Answer("gone", 403))
        failed = await refresh(cli, config)
        assert failed.code == 1
        assert "HTTP 403" in failed.err
        nothing = tmp_path / "nothing.toml"
        nothing.write_text("", encoding="utf-8")
        assert "no market or event to read" in cli("refresh-markets", "--config", nothing).refusal()


async def test_a_service_goes_on_where_a_refresh_ended(tmp_path: Path, cli: Cli) -> None:
    async with trading_venue() as venue:
        config = venue.write_config(tmp_path)
        await refresh(cli, config)
        assert await _markets_of_a_run(venue, config) == 2


async def _markets_of_a_run(venue: TradingVenue, config: Path) -> int:
    seen: list[int] = []
    halt = Halt()

    async def watch(service: Service) -> None:
        await venue.serve(0, 1)
        seen.append(len(service.feed.followed))
        halt.ask("seen")

    loaded = load(config)
    await run_service(loaded, Wanted.of(loaded), halt, watch, 20)
    return seen[0]
