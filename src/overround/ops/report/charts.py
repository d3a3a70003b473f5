"""The report's charts as Plotly figures; prices and money become floats here, for drawing only."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import plotly.graph_objects as go

from overround.core.units import E6
from overround.ops.report.model import BasketLine, EquityLine, FillPoint, MarketStory, OrderSpan

BID: Final = "#1a9c6b"
ASK: Final = "#d1495b"
BAND: Final = "rgba(110, 126, 150, 0.22)"
TOUCH: Final = "rgba(110, 126, 150, 0.75)"
LINES: Final = ("#3b76e1", "#e08a1e", "#8d63d2", "#1a9c6b")
TOTAL: Final = "rgba(127, 138, 153, 0.5)"
GRID: Final = "rgba(128, 128, 128, 0.18)"
EDGE_SHARE: Final = 50
"""One part in so many of the touches may lie outside the drawn range, at either end."""


def equity_chart(lines: Sequence[EquityLine], baskets: Sequence[BasketLine]) -> go.Figure:
    """Return profit through time: one line a strategy, their sum, and what baskets must pay in the end."""
    figure = _figure(320)
    if len(lines) > 1 and len({tuple(line.ts_ms) for line in lines}) == 1:
        total = [sum(values) for values in zip(*(line.pnl_usd_e6 for line in lines), strict=True)]
        _add_money(figure, lines[0].ts_ms, total, "total", {"color": TOTAL, "width": 4})
    for line, color in zip(lines, LINES * len(lines), strict=False):
        _add_money(figure, line.ts_ms, line.pnl_usd_e6, words(line.strategy), {"color": color, "width": 2})
    done = [basket for basket in baskets if basket.guaranteed]
    if done and lines and lines[0].ts_ms:
        times, sums = [lines[0].ts_ms[0]], [0]
        for basket in done:
            times.append(basket.planned_ms)
            sums.append(sums[-1] + basket.result_usd_e6)
        times.append(max(lines[0].ts_ms[-1], times[-1]))
        sums.append(sums[-1])
        dash = {"color": BID, "width": 2, "dash": "dot", "shape": "hv"}
        _add_money(figure, times, sums, "baskets at resolution", dash)
    figure.update_yaxes(tickformat="$,.2~f", zeroline=True, zerolinecolor=TOUCH)
    figure.update_layout(hovermode="x unified")
    return figure


def story_chart(story: MarketStory) -> go.Figure:
    """Return one market through time in YES terms: the touch, our resting orders, our fills."""
    figure = _figure(360)
    times = [_when(ts_ms) for ts_ms in story.ts_ms]
    step = {"shape": "hv", "width": 1, "color": TOUCH}
    for values, name, band in (
        (story.best_ask_e6, "best ask", {}),
        (story.best_bid_e6, "best bid to best ask", {"fill": "tonexty", "fillcolor": BAND}),
    ):
        figure.add_scatter(
            x=times,
            y=[None if px is None else px / E6 for px in values],
            name=name,
            line=step,
            mode="lines",
            showlegend=bool(band),
            hovertemplate="%{y:.3f}<extra>" + ("best bid" if band else name) + "</extra>",
            **band,
        )
    for bid, color, name in ((True, BID, "our bids"), (False, ASK, "our asks")):
        _add_orders(figure, [order for order in story.orders if order.bid is bid], color, name)
    for bid, color in ((True, BID), (False, ASK)):
        _add_fills(figure, [fill for fill in story.fills if fill.bid is bid], color, bid=bid)
    figure.update_yaxes(tickformat=".3~f", range=_price_range(story))
    if times:
        figure.update_xaxes(range=[times[0], times[-1]])
    return figure


def words(name: str) -> str:
    """Return a machine's name for people."""
    return name.replace("_", " ")


def _price_range(story: MarketStory) -> list[float] | None:
    """Return the prices to draw: nearly all touches, all our orders and fills, and a margin."""
    touches = sorted(px for side in (story.best_bid_e6, story.best_ask_e6) for px in side if px is not None)
    cut = len(touches) // EDGE_SHARE
    drawn = touches[cut : len(touches) - cut] if touches else []
    drawn += [order.px_e6 for order in story.orders]
    drawn += [fill.px_e6 for fill in story.fills]
    if not drawn:
        return None
    low, high = min(drawn), max(drawn)
    margin = max((high - low) // 12, 2_000)
    return [max(low - margin, 0) / E6, min(high + margin, E6) / E6]


def _add_money(
    figure: go.Figure, ts_ms: Sequence[int], usd_e6: Sequence[int], name: str, line: dict[str, object]
) -> None:
    figure.add_scatter(
        x=[_when(at_ms) for at_ms in ts_ms],
        y=[value / E6 for value in usd_e6],
        name=name,
        mode="lines",
        line=line,
        hovertemplate="%{y:$,.2f}",
    )


def _add_orders(figure: go.Figure, orders: Iterable[OrderSpan], color: str, name: str) -> None:
    xs: list[datetime | None] = []
    ys: list[float | None] = []
    labels: list[str] = []
    for order in orders:
        xs += [_when(order.from_ms), _when(order.to_ms), None]
        ys += [order.px_e6 / E6, order.px_e6 / E6, None]
        labels += [order.label, order.label, ""]
    if xs:
        figure.add_scatter(
            x=xs,
            y=ys,
            name=name,
            mode="lines",
            line={"color": color, "width": 2.5},
            opacity=0.7,
            text=labels,
            hovertemplate="%{text}<extra></extra>",
        )


def _add_fills(figure: go.Figure, fills: Sequence[FillPoint], color: str, *, bid: bool) -> None:
    if fills:
        figure.add_scatter(
            x=[_when(fill.ts_ms) for fill in fills],
            y=[fill.px_e6 / E6 for fill in fills],
            name="bought" if bid else "sold",
            mode="markers",
            marker={
                "color": color,
                "size": 10,
                "symbol": "triangle-up" if bid else "triangle-down",
                "line": {"color": "rgba(255, 255, 255, 0.8)", "width": 0.5},
            },
            text=[fill.label for fill in fills],
            hovertemplate="%{text}<extra></extra>",
        )


def _when(ts_ms: int) -> datetime:
    return datetime.fromtimestamp(ts_ms / 1_000, UTC)


def _figure(height: int) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#5b6575"},
        # Below the plot: a legend of several lines on a narrow screen then covers nothing.
        legend={
            "orientation": "h",
            "yanchor": "top",
            "y": -0.12,
            "x": 0,
            "bgcolor": "rgba(0,0,0,0)",
            "traceorder": "normal",
        },
        hovermode="closest",
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, automargin=True, nticks=7, tickformat="%H:%M:%S")
    figure.update_yaxes(gridcolor=GRID, zeroline=False, automargin=True)
    return figure
