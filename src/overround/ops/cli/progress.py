"""How far a run on recorded feed has come, and its pace; on standard error."""

import time
from collections.abc import Callable

from rich.live import Live
from rich.table import Table

from overround.ops.cli.base import err

NS_PER_S = 1_000_000_000
REFRESH_S = 0.2


class Pace:
    """Sleeps so that feed time passes at a multiple of real time."""

    def __init__(self, speed: float, start_ns: int, show: Callable[[int], None]) -> None:
        """Pass at ``speed`` times real time, at once if 0; ``show`` is told of each moment."""
        self._speed = speed
        self._start_ns = start_ns
        self._show = show
        self._began = time.monotonic()

    def until(self, ts_ns: int) -> None:
        """Return when it is time for feed time ``ts_ns``."""
        self._show(ts_ns)
        if not self._speed:
            return
        due = self._began + (ts_ns - self._start_ns) / NS_PER_S / self._speed
        ahead = due - time.monotonic()
        if ahead > 0.005:
            time.sleep(ahead)


class Progress:
    """A live line on a terminal, a line every fifth of the way otherwise."""

    def __init__(self, totals: Callable[[], dict[str, int]], start_ns: int, end_ns: int) -> None:
        self._totals = totals
        self._start_ns = start_ns
        self._span_ns = end_ns - start_ns
        self._live = Live(console=err, auto_refresh=False, transient=True) if err.is_terminal else None
        self._shown_at = 0.0
        self._fifth = 0

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, ts_ns: int) -> None:
        """Show how far feed time has come; at most five times a second."""
        now = time.monotonic()
        if now - self._shown_at < REFRESH_S:
            return
        self._shown_at = now
        done = min(100, 100 * (ts_ns - self._start_ns) // self._span_ns)
        if self._live is not None:
            self._live.update(self._table(done), refresh=True)
        elif done // 20 > self._fifth:
            self._fifth = done // 20
            counts = " · ".join(f"{value:,} {name}" for name, value in self._totals().items())
            err.print(f"{done:3d} %  {counts}", soft_wrap=True)

    def _table(self, done: int) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        totals = self._totals()
        for name in ("feed time", *totals):
            table.add_column(name, justify="right", style="bold", header_style="dim", min_width=8)
        table.add_row(f"{done} %", *(f"{value:,}" for value in totals.values()))
        return table
