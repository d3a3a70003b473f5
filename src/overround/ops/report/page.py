"""The report as one HTML file that needs nothing else: styles, Plotly's script and data are inside.

Invariants: the page's own policy forbids every load from elsewhere; text from data is escaped.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Final

from plotly.offline import get_plotlyjs

from overround import __version__
from overround.core.units import format_e6
from overround.ops.report.charts import equity_chart, story_chart, words
from overround.ops.report.funnel import funnels
from overround.ops.report.markup import chart, clock, money, panel, plain_usd, table
from overround.ops.report.model import HashTally, ReportData
from overround.ops.report.style import SCRIPT, STYLE

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:"
)

FOOTER: Final = (
    f"<footer>overround {__version__} · everything here was read from the run's store · "
    "drag across a chart to zoom, double-click to go back</footer>"
)

Checks = Mapping[str, bool]
"""What was verified about the run, in words, and whether it held."""


def write_report(data: ReportData, path: Path, title: str, checks: Checks) -> None:
    """Write the report of a run to ``path``, replacing what is there. Raises ``OSError``."""
    path.write_text(render(data, title, checks), encoding="utf-8", newline="\n")


def render(data: ReportData, title: str, checks: Checks) -> str:
    """Return the report as one HTML document."""
    body = "".join(
        (
            _head(data, title, checks),
            _cards(data),
            _profit(data),
            _strategies(data),
            _stories(data),
            funnels(data),
            _baskets(data),
            _truth(data),
            FOOTER,
        )
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta name='color-scheme' content='light dark'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>{body}</main>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _head(data: ReportData, title: str, checks: Checks) -> str:
    start = datetime.fromtimestamp(data.started_ms / 1_000, UTC)
    ended = (
        "still running"
        if data.ended_ms is None
        else f"{(data.ended_ms - data.started_ms) / 60_000:.1f} minutes"
    )
    chips = "".join(
        f"<span class='{'good' if held else 'bad'}'>{'✓' if held else '✗'} {escape(text)}</span>"
        for text, held in checks.items()
    )
    return (
        f"<h1>{escape(title)}</h1><p class='sub'>{escape(data.mode)} trading · {ended} of feed from "
        f"{start:%Y-%m-%d %H:%M:%S} UTC · run {escape(data.run_id)}</p><div class='chips'>{chips}</div>"
    )


def _cards(data: ReportData) -> str:
    cards = {
        "profit at bids": money(data.pnl_usd_e6),
        "baskets at resolution": money(data.guaranteed_usd_e6) if data.baskets else "–",
        "fees paid": plain_usd(sum(line.fee_usd_e6 for line in data.strategies)),
        "fills": f"{sum(line.fills for line in data.strategies):,}",
        "orders": f"{sum(line.orders for line in data.strategies):,}",
        "frames": f"{data.counters.get('frames', 0):,}",
    }
    return (
        "<div class='cards'>"
        + "".join(
            f"<div class='card'><b>{value}</b><small>{name}</small></div>" for name, value in cards.items()
        )
        + "</div>"
    )


PROFIT_NOTE: Final = (
    "Cash plus positions at their best bids, fees included; YES and NO of one market count one dollar "
    "together. A position is worth less at the bid than it cost the moment it is bought, so a line steps "
    "down before it rises."
)
LOCKED_NOTE: Final = (
    " A complete basket is worth more than its bids, which are furthest away just while prices are wrong: "
    "the dotted line is what the baskets must bring when the event resolves, whoever wins."
)


def _profit(data: ReportData) -> str:
    if not data.equity:
        return ""
    note = PROFIT_NOTE + (LOCKED_NOTE if data.baskets else "")
    return "<h2>Profit and loss</h2>" + panel(
        "", chart(equity_chart(data.equity, data.baskets), "equity"), note
    )


def _strategies(data: ReportData) -> str:
    header = (
        "strategy", "orders", "filled", "canceled", "refused", "fills", "volume", "fees", "cash",
        "positions", "profit",
    )  # fmt: skip
    rows = [
        (
            escape(words(line.strategy)),
            f"{line.orders:,}",
            f"{line.filled_orders:,}",
            f"{line.canceled_orders:,}",
            f"{line.refused_orders:,}",
            f"{line.fills:,}",
            plain_usd(line.volume_usd_e6),
            plain_usd(line.fee_usd_e6),
            plain_usd(line.cash_usd_e6),
            plain_usd(line.position_usd_e6),
            money(line.pnl_usd_e6),
        )
        for line in data.strategies
    ]
    return "<h2>Strategies</h2>" + panel("", table(header, rows))


STORY_NOTE: Final = (
    "In YES terms: buying NO at 0.60 is selling YES at 0.40. The grey band lies between best bid and best "
    "ask; coloured lines are our resting quotes, triangles our fills."
)


def _stories(data: ReportData) -> str:
    if not data.stories:
        return ""
    panels = "".join(
        panel(escape(story.title), chart(story_chart(story), f"story-{number}"))
        for number, story in enumerate(data.stories)
    )
    return f"<h2>Books through time</h2><p class='note'>{STORY_NOTE}</p>{panels}"


BASKET_NOTE: Final = (
    "Promised is the profit that the strategy reckoned with. At resolution is what the shares now held must "
    "pay whoever wins, less cost and fees. It is less where a leg was filled below its limit: the venue "
    "then gives more shares for the money, and odd shares pay in one outcome only."
)


def _baskets(data: ReportData) -> str:
    if not data.baskets:
        return ""
    header = (
        "sent", "legs", "shares", "outcome", "sets held", "cost", "fees", "promised", "at resolution",
    )  # fmt: skip
    rows = [
        (
            clock(basket.planned_ms),
            f"{basket.legs} × {basket.outcome_token}",
            format_e6(basket.shares_e6),
            _state(basket.state),
            format_e6(basket.sets_e6),
            plain_usd(basket.cost_usd_e6),
            plain_usd(basket.fee_usd_e6),
            plain_usd(basket.promised_usd_e6),
            money(basket.result_usd_e6) if basket.guaranteed else "not guaranteed",
        )
        for basket in data.baskets
    ]
    states = Counter(basket.state for basket in data.baskets)
    summary = ", ".join(f"{count} {state}" for state, count in states.most_common())
    title = f"{summary} · at resolution {money(data.guaranteed_usd_e6)}"
    return "<h2>Baskets</h2>" + panel(title, table(header, rows), BASKET_NOTE)


def _state(state: str) -> str:
    kind = {"complete": "good", "unwound": "bad", "incomplete": "bad"}.get(state, "")
    return f"<span class='state {kind}'>{escape(state)}</span>"


TRUTH_NOTE: Final = (
    "The venue sends a hash of every book. Unverifiable: the hash covers the last trade's price, and a "
    "recording that holds only books does not tell it. Unchecked: changes are sampled within a time budget."
)


def _truth(data: ReportData) -> str:
    header = ("witness", "verified", "failed", "unverifiable", "unchecked", "all")
    count = data.counters.get
    rows = [
        _tally("hashes of snapshots", data.snapshot_hashes),
        _tally("hashes of changes", data.change_hashes),
        _tally("best prices the venue sent along", _agreement(data, "top")),
        _tally("YES and NO mirror each other", _agreement(data, "mirror")),
    ]
    facts = [(f"books {escape(words(state.lower()))}", f"{number:,}") for state, number in data.books.items()]
    facts += [
        ("frames out of exchange order", f"{count('books_late_frames', 0):,}"),
        ("frames rejected", f"{count('books_rejected', 0):,}"),
        ("resyncs", f"{sum(data.resyncs.values()):,}"),
    ]
    facts += [(f"… because of {escape(words(why))}", f"{number:,}") for why, number in data.resyncs.items()]
    return (
        "<h2>Truth of the books</h2>"
        + panel("", table(header, rows), TRUTH_NOTE)
        + panel("", table(("", "count"), facts))
    )


def _agreement(data: ReportData, name: str) -> HashTally:
    checked = data.counters.get(f"books_{name}_checked", 0)
    wrong = data.counters.get(f"books_{name}_mismatch", 0)
    return HashTally(checked, checked - wrong, wrong, 0)


def _tally(name: str, tally: HashTally) -> tuple[str, ...]:
    failed = f"<span class='bad'>{tally.failed:,}</span>" if tally.failed else "0"
    return (
        name, f"{tally.verified:,}", failed, f"{tally.unverifiable:,}", f"{tally.unchecked:,}",
        f"{tally.total:,}",
    )  # fmt: skip
