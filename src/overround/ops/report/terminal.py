"""A run's report for a terminal: four small tables without frames, readable at 80 columns."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from overround.core.units import format_usd
from overround.ops.report.charts import words
from overround.ops.report.funnel import outcomes
from overround.ops.report.markup import plain_usd, signed_usd
from overround.ops.report.model import HashTally, ReasonCount, ReportData
from overround.ops.report.reasons import Stage, explain

STYLES = {Stage.ACTED: "green", Stage.WAITING: "yellow", Stage.CHECKED: "red"}


def told(data: ReportData) -> Iterator[RenderableType]:
    """Yield the report's parts, top to bottom."""
    yield _feed(data)
    yield _strategies(data)
    if data.baskets:
        yield _baskets(data)
    if data.reasons:
        yield _funnel(data)


def _feed(data: ReportData) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    count = data.counters.get
    states = " · ".join(f"{number} {words(state.lower())}" for state, number in data.books.items())
    table.add_row(
        "Frames",
        f"{count('frames', 0):,} · {count('books_rejected', 0):,} rejected · "
        f"{count('books_late_frames', 0):,} out of order · {sum(data.resyncs.values()):,} resyncs",
    )
    table.add_row("Books", states or "none")
    table.add_row("Snapshot hashes", _hashes(data.snapshot_hashes))
    table.add_row("Change hashes", _hashes(data.change_hashes))
    table.add_row("", "")
    return table


def _hashes(tally: HashTally) -> str:
    parts = [f"{tally.verified:,} verified", f"{tally.failed:,} failed"]
    if tally.unverifiable:
        parts.append(f"{tally.unverifiable:,} unverifiable")
    if tally.unchecked:
        parts.append(f"{tally.unchecked:,} not sampled")
    return " · ".join(parts)


def _strategies(data: ReportData) -> Table:
    table = _table("Strategy", "orders#", "filled#", "canceled#", "fills#", "volume#", "fees#", "PnL#")
    for line in data.strategies:
        table.add_row(
            words(line.strategy),
            f"{line.orders:,}",
            f"{line.filled_orders:,}",
            f"{line.canceled_orders:,}",
            f"{line.fills:,}",
            f"${format_usd(line.volume_usd_e6, 0)}",
            plain_usd(line.fee_usd_e6),
            _money(line.pnl_usd_e6),
        )
    if len(data.strategies) > 1:
        table.add_row(
            *("total", *[""] * 5),
            plain_usd(sum(line.fee_usd_e6 for line in data.strategies)),
            _money(data.pnl_usd_e6),
        )
    return _spaced(table)


def _baskets(data: ReportData) -> Table:
    states = Counter(basket.state for basket in data.baskets)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    table.add_row("Baskets", " · ".join(f"{count} {state}" for state, count in states.most_common()))
    worth = Text.assemble(_money(data.guaranteed_usd_e6), " whichever outcome wins; PnL takes the best bids")
    table.add_row("At resolution", worth)
    table.add_row("", "")
    return table


def _funnel(data: ReportData) -> Table:
    table = _table("Opportunities", "times#", "")
    for strategy in dict.fromkeys(one.strategy for one in data.reasons):
        table.add_row(Text(words(strategy), style="bold"))
        for one in _of(data.reasons, strategy) + _of(data.checks, strategy):
            known = explain(one.reason)
            name = Text(f"  {words(one.reason)}", style=STYLES.get(known.stage, ""))
            table.add_row(name, f"{one.count:,}", known.sentence)
        for name_, sentence, count in outcomes(data, strategy):
            table.add_row(Text(f"  {name_}", style="green"), f"{count:,}", sentence)
    return _spaced(table)


def _of(reasons: Sequence[ReasonCount], strategy: str) -> list[ReasonCount]:
    return [one for one in reasons if one.strategy == strategy]


def _money(usd_e6: int) -> Text:
    text = signed_usd(usd_e6)
    return Text(text, style="green" if text.startswith("+") else "red" if text.startswith("−") else "")


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold dim", pad_edge=False)
    for column in columns:
        right = column.endswith("#")
        table.add_column(column.removesuffix("#"), justify="right" if right else "left", no_wrap=right)
    return table


def _spaced(table: Table) -> Table:
    table.add_row()
    return table
