"""``status``, ``health``, ``orders``, ``fills``, ``positions``, ``config-dump``: looking, without touching.

They read the store of service.data_dir, beside a running service or without one.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer

from overround.ops.cli.base import (
    PROBLEM,
    ConfigOption,
    JsonOption,
    ProfileOption,
    out,
    print_json,
    print_pairs,
    print_table,
)

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="Most rows.")]
MS_PER_DAY = 86_400_000


def status(
    config: ConfigOption,
    profile: ProfileOption = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Why: resyncs, refusals, findings.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what the service does, and how old that news is.

    --json prints a list of topics: name, content, updated_ms, age_ms.
    """
    from overround.ops.config_load import load
    from overround.ops.store_reads import status as read

    topics = read(load(config, profile).data_dir(), _now_ms(), verbose=verbose)
    if as_json:
        print_json(topics)
        return
    said = {topic["name"]: topic["content"] for topic in topics}
    age_ms = min((topic["age_ms"] for topic in topics if topic["name"] == "run_id"), default=None)
    print_pairs("service", _summary(said, age_ms))
    if verbose:
        _print_verbose(said)


def health(
    config: ConfigOption,
    profile: ProfileOption = None,
    staleness_ms: Annotated[
        int, typer.Option("--staleness-ms", min=1, max=MS_PER_DAY, help="Oldest last frame that is healthy.")
    ] = 30_000,
    as_json: JsonOption = False,
) -> None:
    """Say in one line whether the service does its work; exit code 1 if not.

    Healthy means: running, fed by the venue, and its gate open.
    """
    from overround.ops.config_load import load
    from overround.ops.store_reads import health as judge

    found = judge(load(config, profile).data_dir(), staleness_ms, _now_ms())
    if as_json:
        print_json(found)
    elif found.ok:
        out.print(f"ok: last frame {found.last_frame_age_ms} ms ago, gate open, books {_counts(found.books)}")
    else:
        out.print(f"unhealthy: {'; '.join(found.problems)}", soft_wrap=True)
    if not found.ok:
        raise typer.Exit(PROBLEM)


def orders(
    config: ConfigOption,
    profile: ProfileOption = None,
    limit: LimitOption = 50,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that may still trade.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the newest orders."""
    from overround.ops.store_reads import orders as read

    _list(
        config,
        profile,
        lambda connection: read(connection, limit, only_open=only_open),
        ("strategy", "token_id", "side", "px#", "qty#", "filled_qty#", "state"),
        as_json=as_json,
    )


def fills(
    config: ConfigOption,
    profile: ProfileOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List the newest fills."""
    from overround.ops.store_reads import fills as read

    _list(
        config,
        profile,
        lambda connection: read(connection, limit),
        ("strategy", "token_id", "side", "px#", "qty#", "fee_usd#", "settlement"),
        as_json=as_json,
    )


def positions(config: ConfigOption, profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """List what each strategy holds."""
    from overround.ops.store_reads import positions as read

    columns = ("strategy", "token_id", "qty#", "unsettled_qty#", "cash_usd#", "fee_usd#")
    _list(config, profile, read, columns, as_json=as_json)


def config_dump(config: ConfigOption, profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """Print the configuration in force, every key, secrets masked."""
    from overround.ops.config_load import load
    from overround.ops.config_text import to_toml

    loaded = load(config, profile)
    if as_json:
        print_json({"digest": loaded.digest(), "config": loaded.redacted()})
    else:
        typer.echo(f"# {loaded.digest()}\n{to_toml(loaded.redacted())}", nl=False)


def _list(
    config: Any,
    profile: str | None,
    read: Callable[[Any], list[dict[str, Any]]],
    columns: Iterable[str],
    *,
    as_json: bool,
) -> None:
    from overround.ops.config_load import load
    from overround.ops.store_reads import reading

    with reading(load(config, profile).data_dir()) as connection:
        rows = read(connection)
    if as_json:
        print_json(rows)
        return
    shown = list(columns)
    print_table("", shown, [[_short(row[name.removesuffix("#")]) for name in shown] for row in rows])


def _summary(said: Mapping[str, Any], age_ms: int | None) -> dict[str, object]:
    pid = said.get("process")
    last_frame_ms = said.get("last_frame_ms")
    summary: dict[str, object] = {
        "running": f"yes, process {pid}" if said.get("running") else "no",
        "run": f"{said.get('run_id', '-')} ({said.get('mode', '-')})",
        "as of": "never" if age_ms is None else f"{_age(age_ms)} ago",
        "gate": "open" if said.get("gate_open") else "closed",
        "frames": said.get("frames", 0),
        "last frame": "never" if not last_frame_ms else f"{_age(max(0, _now_ms() - last_frame_ms))} ago",
        "books": _counts(said.get("books") or {}),
        "markets": f"{said.get('followed', 0)} followed, {said.get('markets', 0)} known",
        "open orders": said.get("open_orders", 0),
    }
    for stream in said.get("streams") or []:
        ends = _counts(stream["ends"])
        summary[f"stream {stream['stream']}"] = (
            f"{stream['phase']}, {stream['tokens']} tokens, {stream['frames']} frames, ended: {ends}"
        )
    return summary | {f"PnL {strategy}": f"${usd}" for strategy, usd in (said.get("pnl") or {}).items()}


def _print_verbose(said: Mapping[str, Any]) -> None:
    _table("resyncs", ("kind", "reason", "count#"), said.get("resyncs") or [])
    _table("orders", ("strategy", "state", "count#"), said.get("orders") or [])
    _table("findings", ("strategy", "reason", "count#"), said.get("findings") or [])
    print_pairs("refused by our own checks", said.get("refusals") or {"none": ""})
    print_pairs("hashes", said.get("hashes") or {"none": ""})
    print_pairs("counters", said.get("counters") or {"none": ""})


def _table(title: str, columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> None:
    print_table(title, columns, [[row[name.removesuffix("#")] for name in columns] for row in rows])


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _age(age_ms: int) -> str:
    return f"{age_ms} ms" if age_ms < 10_000 else f"{age_ms // 1000} s"


def _short(value: object) -> object:
    """Return a value for a table: long ids by their end, which is what tells them apart."""
    return f"…{value[-12:]}" if isinstance(value, str) and len(value) > 40 else value


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


COMMANDS: dict[str, Callable[..., None]] = {
    "status": status,
    "health": health,
    "orders": orders,
    "fills": fills,
    "positions": positions,
    "config-dump": config_dump,
}
