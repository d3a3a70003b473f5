"""``replay``, ``backtest`` and the two strategies on their own: recorded inputs through the engine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overround.ops.cli.base import (
    BadInput,
    JsonOption,
    Problem,
    out,
    print_json,
    print_pairs,
    print_table,
)

if TYPE_CHECKING:
    from overround.core.market import FeeSchedule
    from overround.ops.config import Config
    from overround.ops.dutch_ledger import DutchLedger
    from overround.ops.replay_material import Material
    from overround.ops.replays import BacktestReport, ReplayReport
    from overround.ops.trading_tally import Line

TapeArgument = Annotated[
    Path, typer.Argument(metavar="TAPE", help="Tape, data directory, or any known recording.")
]
MaybeConfig = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="Configuration; default: built in.")
]
MarketsOption = Annotated[
    Path | None, typer.Option("--markets", metavar="FILE", help="Metadata, for a TAPE that has none.")
]
FeeOption = Annotated[
    int | None,
    typer.Option("--fee-bps", min=0, max=10_000, help="Fee rate only of markets whose fee is unknown."),
]


def replay(
    tape: TapeArgument,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Default: config.toml in or beside TAPE."),
    ] = None,
    markets: MarketsOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the journal, byte for byte.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a tape through the whole engine; with --verify against its journal.

    With --verify TAPE is a data directory: every command of its runs is decided
    again and must equal the journaled one; exit code 1 if one does not. Without,
    the engine runs in shadow: its commands are counted and dropped.
    """
    from overround.ops.replay_material import Wanted, prepare
    from overround.ops.replays import default_config, shadow, verify_directory

    if not tape.exists():
        raise BadInput(tape, "no such file or directory", tape.name, "give a tape or a data directory")
    if verify:
        report = verify_directory(tape, config)
    else:
        report = shadow(_config(config or default_config(tape)), prepare(tape, Wanted(markets)))
    if as_json:
        print_json(report)
    else:
        _show_replay(tape, report)
    if report.matches_journal is False and report.first_divergence is not None:
        raise Problem(
            f"{tape}: the commands at border {report.first_divergence.seq} are not the journaled ones"
        )


def backtest(
    tape: TapeArgument,
    config: MaybeConfig = None,
    markets: MarketsOption = None,
    fee_bps: FeeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trade a recording on paper, both strategies, and print what came of it.

    The venue is simulated as in paper trading: latency, queue position, fees
    and settlement come from the configuration, also its seed.
    """
    from overround.ops import replays

    report = replays.backtest(_config(config), _material(tape, markets, fee_bps))
    if as_json:
        print_json(report.document(tape))
        return
    _show_backtest("backtest", tape, report)


def quoter_run_replay(
    tape: TapeArgument,
    config: MaybeConfig = None,
    markets: MarketsOption = None,
    fee_bps: FeeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run spread capture alone on a recording.

    Prints the quotes placed and cancelled, fills, inventory and profit of each
    market, and what the strategy found when it did not quote.
    """
    from overround.core.units import format_e6
    from overround.ops import replays
    from overround.strategies.spread_capture.strategy import NAME, SpreadCapture

    chosen = _config(config)
    report = replays.backtest(chosen, _material(tape, markets, fee_bps), [SpreadCapture(chosen.spread_for)])
    rows = []
    for (_strategy, condition_id), line in report.tally.markets.items():
        yes, no = report.tally.inventory_e6(NAME, condition_id)
        slug = report.engine.universe.markets[condition_id].slug
        held = {"inventory_yes": format_e6(yes), "inventory_no": format_e6(no)}
        rows.append({"market": slug or condition_id, "condition_id": condition_id, **line.document(), **held})
    if as_json:
        print_json({**report.document(tape), "markets": rows})
        return
    print_table(
        "quotes by market",
        ("market", "placed#", "cancelled#", "fills#", "YES#", "NO#", "fees#", "PnL#"),
        [_market_row(row) for row in rows],
    )
    _show_backtest("spread capture", tape, report)


def dutch_run_replay(  # noqa: PLR0913, PLR0917 - one parameter an option
    tape: TapeArgument,
    config: MaybeConfig = None,
    markets: MarketsOption = None,
    min_profit_usdc: Annotated[
        str | None, typer.Option(metavar="USDC", help="Least guaranteed profit of a basket.")
    ] = None,
    safety_margin_usdc: Annotated[
        str | None, typer.Option(metavar="USDC", help="Taken off each basket's profit first.")
    ] = None,
    slippage_ticks: Annotated[
        int | None, typer.Option(min=0, max=100, help="Each leg is reckoned this much worse.")
    ] = None,
    fee_bps: FeeOption = None,
    allow_other: Annotated[
        bool, typer.Option("--allow-other", help="Also events with 'Other': not guaranteed.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="List each basket and refusal.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the Dutch book alone on a recording and break its margin down."""
    from overround.ops import replays
    from overround.ops.dutch_ledger import DutchLedger
    from overround.strategies.dutch_book.strategy import DutchBook

    changes: dict[str, Any] = {
        "min_profit_usdc": min_profit_usdc,
        "safety_margin_usdc": safety_margin_usdc,
        "slippage_ticks": slippage_ticks,
        "allow_other": True if allow_other else None,
    }
    chosen = _with_dutch(
        _config(config), {name: value for name, value in changes.items() if value is not None}
    )
    ledger = DutchLedger()
    material = _material(tape, markets, fee_bps, single_events=True)
    report = replays.backtest(chosen, material, [DutchBook(chosen.dutch_for, ledger.note)])
    if as_json:
        print_json(_dutch_document(tape, report, ledger))
    else:
        _show_dutch(tape, report, ledger, verbose)


# --- input -----------------------------------------------------------------------------------------


def _config(path: Path | None) -> "Config":
    from overround.ops.config import Config
    from overround.ops.config_load import load

    return Config() if path is None else load(path)


def _material(
    tape: Path, markets: Path | None, fee_bps: int | None, *, single_events: bool = False
) -> "Material":
    from overround.ops.replay_material import Wanted, prepare

    return prepare(tape, Wanted(markets, _fee(fee_bps), single_events))


def _fee(bps: int | None) -> "FeeSchedule | None":
    from overround.core.market import FeeSchedule

    return None if bps is None else FeeSchedule(rate_e6=bps * 100)


def _with_dutch(config: "Config", changes: Mapping[str, Any]) -> "Config":
    """Return the configuration with parameters of the Dutch book from the command line, which win."""
    import msgspec

    from overround.ops.config_read import check_table
    from overround.strategies.dutch_book.params import DutchParams

    fields = check_table(DutchParams, dict(changes), Path("command line"))
    dutch = msgspec.structs.replace(config.service.dutch, **fields)
    events = tuple(
        msgspec.structs.replace(event, dutch={k: v for k, v in event.dutch.items() if k not in fields})
        for event in config.event
    )
    service = msgspec.structs.replace(config.service, dutch=dutch)
    return msgspec.structs.replace(config, service=service, event=events)


# --- output ----------------------------------------------------------------------------------------


def _show_replay(tape: Path, report: "ReplayReport") -> None:
    pairs: dict[str, object] = {
        "frames": f"{report.frames:,}",
        "frames/s": f"{report.frames_per_s:,}",
        "batches": f"{report.borders:,}",
        "commands": f"{report.commands:,}",
        "decision digest": report.decision_digest,
    }
    pairs |= {f"  {kind}": count for kind, count in report.decisions.items()}
    if report.matches_journal is not None:
        pairs["matches the journal"] = "yes" if report.matches_journal else "NO"
        pairs["runs"] = report.runs
        pairs["commands behind a lost tape end"] = report.unverified_commands
    if report.first_divergence is not None:
        pairs["first divergence at"] = report.first_divergence.seq
        pairs["  journaled"] = "\n".join(report.first_divergence.journaled) or "nothing"
        pairs["  regenerated"] = "\n".join(report.first_divergence.regenerated) or "nothing"
    print_pairs(f"replay of {tape.name}", pairs)
    _print_notes(report.notes)


def _show_backtest(title: str, tape: Path, report: "BacktestReport") -> None:
    from overround.core.units import format_usd

    lines = report.tally.strategies
    measures: dict[str, Callable[[Line], object]] = {
        "orders": lambda line: line.orders,
        "canceled": lambda line: line.canceled,
        "refused by the venue": lambda line: line.refused,
        "fills": lambda line: line.fills,
        "volume, USDC": lambda line: format_usd(line.volume_usd_e6),
        "fees, USDC": lambda line: format_usd(line.fees_usd_e6),
        "positions' value, USDC": lambda line: format_usd(line.position_value_usd_e6),
        "PnL, USDC": lambda line: format_usd(line.pnl_usd_e6),
    }
    print_table(
        f"{title} of {tape.name}: {report.frames:,} frames, {report.frames_per_s:,} frames/s",
        ("", *(f"{name}#" for name in lines)),
        [(label, *(measure(line) for line in lines.values())) for label, measure in measures.items()],
    )
    for name in report.tally.strategies:
        _print_reasons(f"{name}: findings", report.findings(name))
        _print_reasons(f"{name}: refused by risk", report.refusals(name))
    _print_reasons("refused by the venue", dict(report.tally.refusals))
    _print_notes(report.notes)


def _market_row(row: Mapping[str, Any]) -> tuple[object, ...]:
    names = ("orders", "cancels", "fills", "inventory_yes", "inventory_no", "fees_usdc", "pnl_usdc")
    return row["market"], *(row[name] for name in names)


def _dutch_document(tape: Path, report: "BacktestReport", ledger: "DutchLedger") -> dict[str, Any]:
    from overround.core.units import format_e6
    from overround.strategies.dutch_book.strategy import NAME

    total = ledger.total()
    return {
        **report.document(tape),
        "opportunities": len(ledger.seen),
        "guaranteed": len(ledger.guaranteed),
        "guaranteed_profit": format_e6(total.guaranteed_usd_e6),
        "margin": total.document(),
        "refused": _refused(report),
        "baskets": [seen.document() for seen in ledger.seen],
        "reasons": [
            {"event": scope, "reason": reason, "count": found.count, "detail": found.latest.detail}
            for (name, scope, reason), found in report.engine.findings.items()
            if name == NAME
        ],
    }


def _refused(report: "BacktestReport") -> dict[str, int]:
    from overround.strategies.dutch_book.certify import ACTED_ON
    from overround.strategies.dutch_book.strategy import NAME

    acted_on = {verdict.value for verdict in ACTED_ON}
    return {reason: count for reason, count in report.findings(NAME).items() if reason not in acted_on}


def _show_dutch(tape: Path, report: "BacktestReport", ledger: "DutchLedger", verbose: bool) -> None:
    total = ledger.total()
    pairs: dict[str, object] = {
        "frames": f"{report.frames:,}",
        "opportunities": len(ledger.seen),
        "guaranteed profit": _dollars(total.guaranteed_usd_e6),
        "net margin": _dollars(total.net_usd_e6),
        "  gross": _dollars(total.gross_usd_e6),
        "  less fees": _dollars(total.fees_usd_e6),
        "  less slippage": _dollars(total.slippage_usd_e6),
        "  less safety": _dollars(total.safety_usd_e6),
    }
    unsure = len(ledger.seen) - len(ledger.guaranteed)
    if unsure:
        pairs["not guaranteed ('Other' may win)"] = unsure
    print_pairs(f"Dutch book on {tape.name}", pairs)
    _print_reasons("refused", _refused(report))
    if verbose:
        _show_sights(report, ledger)
    _show_backtest("orders", tape, report)


def _show_sights(report: "BacktestReport", ledger: "DutchLedger") -> None:
    from overround.core.units import format_e6

    print_table(
        "baskets",
        ("ms", "event", "structure", "legs#", "size#", "profit#", "net#"),
        [
            (
                seen.at_ms,
                seen.event[:40],
                seen.structure,
                seen.legs,
                format_e6(seen.size_e6),
                _dollars(seen.margin.guaranteed_usd_e6),
                _dollars(seen.margin.net_usd_e6),
            )
            for seen in ledger.seen
        ],
    )
    for (_name, scope, reason), found in report.engine.findings.items():
        event = report.engine.universe.events.get(scope)
        title = scope if event is None else event.title or event.slug
        out.print(f"{title[:60]}: {reason} ({found.latest.detail})", soft_wrap=True, markup=False)


def _dollars(usd_e6: int) -> str:
    from overround.core.units import format_usd

    return f"${format_usd(usd_e6, 4)}"


def _print_reasons(title: str, reasons: Mapping[str, int]) -> None:
    if reasons:
        said = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
        out.print(f"{title}: {said}", soft_wrap=True, markup=False)


def _print_notes(notes: list[str]) -> None:
    for note in notes:
        out.print(f"note: {note}", soft_wrap=True, markup=False)


COMMANDS: dict[str, Callable[..., None]] = {
    "replay": replay,
    "backtest": backtest,
    "quoter-run-replay": quoter_run_replay,
    "dutch-run-replay": dutch_run_replay,
}
