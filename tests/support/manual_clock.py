"""A clock that moves only when the test says so."""

import asyncio


class ManualClock:
    """Both clocks start at ``start_ns``; waiters wake when :meth:`advance` reaches their deadline."""

    def __init__(self, start_ns: int = 1_000_000_000_000) -> None:
        self._now_ns = start_ns
        self._timers: list[tuple[int, asyncio.Event]] = []
        self._parked = asyncio.Event()

    def wall_ns(self) -> int:
        return self._now_ns

    def mono_ns(self) -> int:
        return self._now_ns

    def advance(self, duration_ns: int) -> None:
        self._now_ns += duration_ns
        for timer in tuple(self._timers):
            if timer[0] <= self._now_ns:
                self._timers.remove(timer)
                timer[1].set()

    async def parked(self, count: int = 1) -> None:
        """Return when at least ``count`` tasks wait for a time on this clock."""
        while len(self._timers) < count:
            self._parked.clear()
            await self._parked.wait()

    async def wait(self, event: asyncio.Event, timeout_ns: int | None) -> None:
        if event.is_set():
            return
        if timeout_ns is None:
            await event.wait()
            return
        if timeout_ns <= 0:
            return
        timer = (self._now_ns + timeout_ns, asyncio.Event())
        self._timers.append(timer)
        self._parked.set()
        waits = {asyncio.ensure_future(event.wait()), asyncio.ensure_future(timer[1].wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if timer in self._timers:
                self._timers.remove(timer)
            for wait in waits:
                wait.cancel()
