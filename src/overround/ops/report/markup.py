"""Small pieces of HTML: tables, panels, bars, money. Text from data is escaped by whoever passes it on."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from plotly.graph_objects import Figure

from overround.core.units import format_usd

CHART_CONFIG: Final = {"displayModeBar": False, "responsive": True}


def signed_usd(usd_e6: int) -> str:
    """Return dollars with a sign: ``+$1.20``, ``−$0.05``, ``$0.00``."""
    text = format_usd(abs(usd_e6))
    sign = "" if not any(digit in "123456789" for digit in text) else "−" if usd_e6 < 0 else "+"
    return f"{sign}${text}"


def plain_usd(usd_e6: int) -> str:
    """Return dollars that are no gain and no loss; a minus only if negative."""
    return signed_usd(usd_e6).removeprefix("+")


def money(usd_e6: int) -> str:
    """Return a gain or a loss, coloured."""
    text = signed_usd(usd_e6)
    kind = "good" if text.startswith("+") else "bad" if text.startswith("−") else ""
    return f"<span class='{kind}'>{text}</span>"


def clock(ts_ms: int) -> str:
    """Return a time of day, UTC."""
    return f"{datetime.fromtimestamp(ts_ms / 1_000, UTC):%H:%M:%S}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the first column is text, the others are numbers. Cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"


def panel(title: str, content: str, note: str = "") -> str:
    """Return a framed part of the page; title, note and content are HTML."""
    heading = f"<h3>{title}</h3>" if title else ""
    remark = f"<p class='note'>{note}</p>" if note else ""
    return f"<div class='panel'>{heading}{remark}{content}</div>"


def chart(figure: Figure, name: str) -> str:
    """Return a figure as a page element with the id ``name``; the page brings Plotly's script."""
    html: str = figure.to_html(full_html=False, include_plotlyjs=False, config=CHART_CONFIG, div_id=name)
    return html


def bar(part: int, whole: int, kind: str) -> str:
    """Return a bar as long as ``part`` of ``whole``; what is there at all stays visible."""
    share = 0.0 if not whole else max(100 * part / whole, 0.8 if part else 0)
    return f"<div class='track'><i class='{kind}' style='width:{share:.1f}%'></i></div>"
