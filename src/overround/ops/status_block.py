"""What a person sees of a running service: a small block on a terminal, a log line elsewhere.

Invariants: it only reads, between batches; it is drawn at most twice a second, in a thread of its own, so
that a terminal that takes nothing (stopped by Ctrl-S, a dead connection) never holds up trading.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import Any

import structlog
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from overround.core.units import format_e6
from overround.ops.logs import Recent
from overround.ops.service import Service

DRAW_S = 0.5
SAY_S = 10.0

_log = structlog.get_logger("overround.status")


class Glance:
    """Looks at a service and remembers what is needed for rates."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._frames = 0
        self._at_s = monotonic()

    def take(self) -> dict[str, Any]:
        """Return the state of the service in few words, by name."""
        service, engine = self._service, self._service.run.engine
        frames, now_s = service.run.sequencer.frames, monotonic()
        rate = (frames - self._frames) / max(now_s - self._at_s, 1e-3)
        self._frames, self._at_s = frames, now_s
        books = Counter(
            book.state.name for book in engine.books if book.market.condition_id in self._followed
        )
        streams = Counter(status.phase for status in service.feed.status())
        counts = service.log.counts
        return {
            "frames": frames,
            "frames_per_s": round(rate),
            "streams": dict(sorted(streams.items())),
            "books": dict(sorted(books.items())),
            "gate": "open" if engine.gate_open else "closed",
            "open_orders": engine.orders.open_count(),
            "orders": counts["orders"],
            "fills": counts["fills"],
            "refused": counts["refused"],
            "pnl": dict(self._pnl()),
        }

    @property
    def _followed(self) -> frozenset[str]:
        return self._service.feed.followed

    def _pnl(self) -> Iterator[tuple[str, str]]:
        for point in self._service.run.observer.equity_points(0):
            if point.strategy != "total":
                yield point.strategy, format_e6(point.cash_usd_e6 + point.position_usd_e6)


class Block:
    """The block on a terminal."""

    def __init__(self, console: Console, recent: Recent) -> None:
        self._console = console
        self._recent = recent

    async def watch(self, service: Service) -> None:
        """Draw until cancelled."""
        glance = Glance(service)
        with Live(console=self._console, auto_refresh=False, transient=False) as live:
            try:
                while True:
                    await asyncio.to_thread(live.update, self.render(service, glance.take()), refresh=True)
                    await asyncio.sleep(DRAW_S)
            finally:
                live.update(self.render(service, glance.take()), refresh=True)

    def render(self, service: Service, state: dict[str, Any]) -> Group:
        """Return the block for a state as :meth:`Glance.take` gives it."""
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        table.add_column()
        title = f"{service.config.service.name} · {service.config.mode} · run {service.run.run_id}"
        table.add_row(Text(title, style="bold cyan"), f"gate {state['gate']}")
        table.add_row("frames", f"{state['frames']:,} ({state['frames_per_s']:,}/s)")
        table.add_row("streams", _counts(state["streams"]))
        table.add_row("books", _counts(state["books"]))
        table.add_row(
            "orders",
            f"{state['open_orders']} open, {state['orders']} sent, {state['fills']} fills, "
            f"{state['refused']} refused",
        )
        for strategy, usd in state["pnl"].items():
            table.add_row(f"PnL {strategy}", f"${usd}")
        events = [
            Text(line, style=_style(level), no_wrap=True, overflow="ellipsis")
            for level, line in self._recent.lines
        ]
        return Group(table, *events)


class Lines:
    """One log line now and then, where nobody looks at a terminal."""

    async def watch(self, service: Service) -> None:
        """Say something until cancelled."""
        glance = Glance(service)
        while True:
            await asyncio.sleep(SAY_S)
            _log.info("status", **glance.take())


def _style(level: int) -> str:
    if level >= logging.ERROR:
        return "bold red"
    return "yellow" if level >= logging.WARNING else "dim"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
