"""``refresh-markets``, ``markets-list``, ``markets-search``, ``markets-show``: the catalog in the store."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overround.ops.cli.base import (
    BadInput,
    ConfigOption,
    JsonOption,
    Problem,
    ProfileOption,
    print_json,
    print_pairs,
    print_table,
)

if TYPE_CHECKING:
    from overround.ops.config import Config
    from overround.ops.following import Wanted
    from overround.ops.market_refresh import Refreshed

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="Most rows.")]


def refresh_markets(
    config: ConfigOption,
    profile: ProfileOption = None,
    market: Annotated[
        list[str] | None,
        typer.Option("--market", "-m", metavar="NAME", help="Also this market, by slug or condition id."),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option("--event", "-e", metavar="NAME", help="Also this event, by slug or id."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read the metadata of the configured markets once and store what changed.

    For the time before the service runs; while it runs it refreshes by itself.
    """
    from overround.ops.config_load import load
    from overround.ops.following import Wanted

    loaded = load(config, profile)
    named, more = Wanted.of(loaded), Wanted.named(market or (), event or ())
    wanted = Wanted(*(getattr(named, name) | getattr(more, name) for name in named.__struct_fields__))
    if not wanted:
        raise BadInput(config, "no market or event to read", "none named", "name some here or by --market")
    done = _refresh(loaded, wanted)
    if as_json:
        print_json(done)
    else:
        print_pairs("refreshed", {"markets": done.markets, "events": done.events, "changed": done.changed})
        if done.refused:
            rows = [(refusal.subject, refusal.reason, refusal.detail) for refusal in done.refused]
            print_table("refused", ("subject", "reason", "detail"), rows)
    if not done.markets:
        raise Problem("the venue knows none of the markets and events that were named")


def markets_list(
    config: ConfigOption,
    profile: ProfileOption = None,
    limit: LimitOption = 1_000,
    as_json: JsonOption = False,
) -> None:
    """List the markets in the store."""
    from overround.ops.store_reads import markets

    _print_markets(
        _read(config, profile, lambda connection: markets(connection, limit=limit)), as_json=as_json
    )


def markets_search(
    config: ConfigOption,
    text: Annotated[str, typer.Argument(help="Part of a slug, question or title, in any case.")],
    profile: ProfileOption = None,
    limit: LimitOption = 1_000,
    as_json: JsonOption = False,
) -> None:
    """List the markets that mention a text; exit code 1 if there are none."""
    from overround.ops.store_reads import markets

    rows = _read(config, profile, lambda connection: markets(connection, text, limit))
    _print_markets(rows, as_json=as_json)
    if not rows:
        raise Problem(f"no market mentions {text!r}")


def markets_show(
    config: ConfigOption,
    name: Annotated[str, typer.Argument(help="Slug, condition id or token id.")],
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything known of a market: metadata, status, latest stored books."""
    from overround.ops.store_reads import market

    rows = _read(config, profile, lambda connection: market(connection, name))
    if not rows:
        raise Problem(f"no market is called {name!r}: look with markets-search, or refresh-markets first")
    if as_json:
        print_json(rows)
        return
    for row in rows:
        outcomes = row.pop("outcomes")
        print_pairs(row["question"], row)
        for outcome in outcomes:
            _print_outcome(outcome)


def _refresh(config: "Config", wanted: "Wanted") -> "Refreshed":
    from overround.ops.logs import logs
    from overround.ops.market_refresh import refresh_markets as refresh

    with logs(config.service.log, config.wallet):
        return asyncio.run(refresh(config, wanted))


def _read(
    config: Path, profile: str | None, read: Callable[[Any], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    from overround.ops.config_load import load
    from overround.ops.store_reads import reading

    with reading(load(config, profile).data_dir()) as connection:
        return read(connection)


def _print_markets(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    columns = ("event", "market", "tick#", "min size#", "fee rate#", "status")
    print_table(
        "",
        columns,
        [
            (row["event_slug"] or "-", row["slug"], row["tick"], row["min_size"], _fee(row), _status(row))
            for row in rows
        ],
    )


def _print_outcome(outcome: dict[str, Any]) -> None:
    book = outcome["book"]
    pairs = {"token": outcome["token_id"], "won": outcome["won"]}
    if book is not None:
        pairs |= {"state": book["state"], "best bid": book["best_bid"], "best ask": book["best_ask"]}
        pairs["bids"] = " ".join(f"{px}×{qty}" for px, qty in book["bids"][:5])
        pairs["asks"] = " ".join(f"{px}×{qty}" for px, qty in book["asks"][:5])
    print_pairs(outcome["outcome"], pairs)


def _fee(row: dict[str, Any]) -> str:
    return "unknown" if row["fee_rate"] is None else f"{row['fee_rate']}"


def _status(row: dict[str, Any]) -> str:
    if row["winner"]:
        return "resolved"
    if row["closed"]:
        return "closed"
    if row["uma_status"] not in ("", "none", None):
        return f"{row['uma_status']}"
    return "open" if row["active"] and row["accepting_orders"] else "paused"


COMMANDS: dict[str, Callable[..., None]] = {
    "refresh-markets": refresh_markets,
    "markets-list": markets_list,
    "markets-search": markets_search,
    "markets-show": markets_show,
}
