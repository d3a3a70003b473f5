"""``run-service``, ``quoter-run-ws`` and ``record-ws``: what runs on live streams until it is told to end."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overround.ops.cli.base import (
    BadInput,
    ConfigOption,
    JsonOption,
    ProfileOption,
    err,
    print_json,
    print_pairs,
)

if TYPE_CHECKING:
    from overround.ops.config import Config, VenueConfig
    from overround.ops.following import Wanted
    from overround.ops.recorder import Recorded
    from overround.ops.service import Ended

DurationOption = Annotated[
    float | None,
    typer.Option(
        "--duration", metavar="SECONDS", help="End after this long; default: until Ctrl-C.", min=0.1
    ),
]
MarketOption = Annotated[
    list[str] | None,
    typer.Option("--market", "-m", metavar="NAME", help="Market by slug or condition id; repeat for more."),
]
EventOption = Annotated[
    list[str] | None,
    typer.Option("--event", "-e", metavar="NAME", help="Event by slug or id; repeat for more."),
]


def run_service(
    config: ConfigOption,
    profile: ProfileOption = None,
    duration: DurationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run both strategies on live streams, on paper.

    Records every frame, keeps the books true, trades against the built-in
    exchange and writes journal, tape and log below service.data_dir. Ctrl-C or
    SIGTERM ends in order: what rests is cancelled first.
    """
    from overround.ops.following import Wanted

    loaded = _paper(config, profile)
    wanted = Wanted.of(loaded)
    if not wanted:
        remedy = "name some in service.markets, service.events, [[market]] or [[event]]"
        raise BadInput(config, "no market or event to follow", "none named", remedy)
    _serve(loaded, wanted, duration, as_json)


def quoter_run_ws(
    config: ConfigOption,
    market: MarketOption = None,
    profile: ProfileOption = None,
    duration: DurationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Quote the given markets on paper, with spread capture alone.

    As run-service, but nothing else of the configuration is followed, and the
    Dutch book does not look. Parameters come from service.spread and from the
    markets' own [[market]] entries.
    """
    import msgspec

    from overround.ops.following import Wanted

    if not market:
        raise BadInput("--market", "no market given", "none", "name at least one by slug or condition id")
    loaded = _paper(config, profile)
    replace = msgspec.structs.replace
    dutch = replace(loaded.service.dutch, enabled=False)
    alone = replace(
        loaded,
        service=replace(loaded.service, markets=tuple(market), events=(), dutch=dutch),
        event=tuple(replace(entry, dutch={**entry.dutch, "enabled": False}) for entry in loaded.event),
    )
    _serve(alone, Wanted.named(market, ()), duration, as_json)


def record_ws(  # noqa: PLR0913, PLR0917 - the options of one command
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Take addresses, markets and data_dir from it.")
    ] = None,
    profile: ProfileOption = None,
    market: MarketOption = None,
    event: EventOption = None,
    ws_url: Annotated[str | None, typer.Option(metavar="URL", help="Market stream.")] = None,
    gamma_url: Annotated[str | None, typer.Option(metavar="URL", help="Market metadata.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="New tape; default: by time, below data_dir/recordings."),
    ] = None,
    duration: DurationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record market streams to a tape: no strategies, no orders.

    The tape carries the markets' metadata and replays by itself. Without a
    configuration, name markets or events and --out.
    """
    from overround.ops.config import Config
    from overround.ops.config_load import load
    from overround.ops.following import Wanted

    loaded = load(config, profile) if config is not None else Config()
    wanted = Wanted.named(market or (), event or ()) if market or event else Wanted.of(loaded)
    if not wanted:
        raise BadInput("--market", "nothing to record", "none named", "name a market or an event")
    if out is None and config is None:
        raise BadInput("--out", "no tape to write", "absent", "name a directory, or give --config")
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    tape = out if out is not None else loaded.data_dir() / "recordings" / moment
    venue = _addresses(loaded.venue, ws_url, gamma_url)
    ask_clob = config is not None or gamma_url is None
    done = _record(loaded, venue, wanted, tape, duration, ask_clob=ask_clob)
    if as_json:
        print_json(done)
    else:
        print_pairs("recorded", {name: getattr(done, name) for name in done.__struct_fields__})


def _paper(path: Path, profile: str | None) -> "Config":
    from overround.ops.config_load import load

    config = load(path, profile)
    if config.mode != "paper":
        raise BadInput(
            path, "this version trades on paper only", 'relayer.type = "real"', 'set relayer.type = "fake"'
        )
    return config


def _serve(config: "Config", wanted: "Wanted", duration: float | None, as_json: bool) -> None:
    ended = _run(config, wanted, duration)
    if as_json:
        print_json(ended)
    else:
        print_pairs("run ended", {name: getattr(ended, name) for name in ended.__struct_fields__})


def _run(config: "Config", wanted: "Wanted", duration: float | None) -> "Ended":
    from overround.ops.halting import Halt, halting_on_signals
    from overround.ops.logs import logs
    from overround.ops.service import run_service as serve
    from overround.ops.status_block import Block, Lines

    people = err.is_terminal and config.service.log.format == "console"

    async def run() -> "Ended":
        halt = Halt()
        with halting_on_signals(halt):
            watch = Block(err, recent).watch if people else Lines().watch
            return await serve(config, wanted, halt, watch, duration)

    directory = config.data_dir() / "logs"
    with ExitStack() as stack:
        try:
            recent = stack.enter_context(
                logs(config.service.log, config.wallet, directory, on_screen=not people)
            )
        except OSError as error:
            raise BadInput(
                directory, "cannot be written", error.strerror or error, "choose another service.data_dir"
            ) from error
        return asyncio.run(run())


def _record(
    config: "Config",
    venue: "VenueConfig",
    wanted: "Wanted",
    tape: Path,
    duration: float | None,
    *,
    ask_clob: bool,
) -> "Recorded":
    from overround.ops.halting import Halt, halting_on_signals
    from overround.ops.logs import logs
    from overround.ops.recorder import record

    async def run() -> "Recorded":
        halt = Halt()
        with halting_on_signals(halt):
            return await record(venue, wanted, tape, halt, duration, ask_clob=ask_clob)

    with logs(config.service.log, config.wallet):
        return asyncio.run(run())


def _addresses(venue: "VenueConfig", ws_url: str | None, gamma_url: str | None) -> "VenueConfig":
    import re

    import msgspec

    from overround.ops.config import HTTP, WS

    given = {
        name: (option, url, pattern)
        for name, option, url, pattern in (
            ("ws_url", "--ws-url", ws_url, WS),
            ("gamma_url", "--gamma-url", gamma_url, HTTP),
        )
        if url is not None
    }
    for option, url, pattern in given.values():
        if not re.match(pattern, url):
            raise BadInput(option, "is no address", url, "write ws://… or wss://…, http://… or https://…")
    return msgspec.structs.replace(venue, **{name: url for name, (_, url, _) in given.items()})


COMMANDS: dict[str, Callable[..., None]] = {
    "run-service": run_service,
    "quoter-run-ws": quoter_run_ws,
    "record-ws": record_ws,
}
