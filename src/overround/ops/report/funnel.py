"""The opportunity funnel as HTML: each reason with its sentence, a bar and a count, then what was sent."""

from collections.abc import Sequence
from html import escape
from typing import Final

from overround.ops.report.charts import words
from overround.ops.report.markup import bar, panel
from overround.ops.report.model import ReasonCount, ReportData
from overround.ops.report.reasons import Stage, explain

CLASSES: Final = {
    Stage.FORBIDDEN: "refused",
    Stage.REFUSED: "refused",
    Stage.WAITING: "waiting",
    Stage.ACTED: "acted",
    Stage.CHECKED: "checked",
}

NOTE: Final = (
    "A strategy speaks when its verdict on an event or market changes; this counts what it said, in the "
    "order in which it looks. Point at a line for the latest figures."
)
KEY: Final = (
    "<p class='key'><i style='background:var(--refused)'></i>refused"
    "<i style='background:var(--waiting)'></i>waiting"
    "<i style='background:var(--acted)'></i>acted"
    "<i style='background:var(--checked)'></i>stopped by a risk check</p>"
)


def funnels(data: ReportData) -> str:
    """Return the funnel of every strategy that said something."""
    strategies = dict.fromkeys(one.strategy for one in data.reasons)
    if not strategies:
        return ""
    panels = "".join(panel(escape(words(name)), _funnel(data, name)) for name in strategies)
    return f"<h2>Opportunity funnel</h2><p class='note'>{NOTE}</p>{KEY}{panels}"


def outcomes(data: ReportData, strategy: str) -> list[tuple[str, str, int]]:
    """Return what came of the strategy's wishes: name, sentence, count."""
    line = next((one for one in data.strategies if one.strategy == strategy), None)
    if line is None:
        return []
    placed = line.orders
    rows = [
        ("orders sent", "Passed every risk check and went to the venue.", placed),
        ("orders filled", "Filled whole.", line.filled_orders),
    ]
    if strategy == "dutch_book":
        complete = sum(basket.state == "complete" for basket in data.baskets)
        rows = [
            ("baskets sent", "All legs at once, each whole or not at all.", len(data.baskets)),
            ("baskets complete", "Every leg filled.", complete),
        ]
    return rows


def _funnel(data: ReportData, strategy: str) -> str:
    reasons = [one for one in data.reasons if one.strategy == strategy]
    checks = [one for one in data.checks if one.strategy == strategy]
    results = outcomes(data, strategy)
    most_sent = max((count for _, _, count in results), default=0)
    parts = [
        ("Verdicts", _steps(reasons)),
        ("Wishes stopped by a risk check, at each attempt", _steps(checks)),
        (
            "What came of it",
            "".join(
                _step(name, sentence, bar(count, most_sent, "acted"), count)
                for name, sentence, count in results
            ),
        ),
    ]
    return "".join(f"<h4>{name}</h4>{steps}" for name, steps in parts if steps)


def _steps(reasons: Sequence[ReasonCount]) -> str:
    most = max((one.count for one in reasons), default=0)
    lines = []
    for one in reasons:
        known = explain(one.reason)
        drawn = bar(one.count, most, CLASSES[known.stage])
        lines.append(_step(words(one.reason), known.sentence, drawn, one.count, one.detail))
    return "".join(lines)


def _step(name: str, sentence: str, drawn: str, count: int, detail: str = "") -> str:
    hint = f" title='latest: {escape(detail)}'" if detail else ""
    return (
        f"<div class='step'{hint}><div><b>{escape(name)}</b><small>{escape(sentence)}</small></div>"
        f"{drawn}<div class='count'>{count:,}</div></div>"
    )
