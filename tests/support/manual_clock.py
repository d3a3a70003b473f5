"""A clock that moves only when the test says so."""

import asyncio
from contextlib import suppress


class ManualClock:
    """Both clocks start at ``start_ns``; waiters wake when :meth:`advance` passes their deadline."""

    def __init__(self, start_ns: int = 1_000_000_000_000) -> None:
        self._now_ns = start_ns
        self._moved = asyncio.Condition()

    def wall_ns(self) -> int:
        return self._now_ns

    def mono_ns(self) -> int:
        return self._now_ns

    async def advance(self, duration_ns: int) -> None:
        async with self._moved:
            self._now_ns += duration_ns
            self._moved.notify_all()

    async def wait(self, event: asyncio.Event, timeout_ns: int | None) -> None:
        if event.is_set():
            return
        waiter = asyncio.ensure_future(event.wait())
        if timeout_ns is None:
            await waiter
            return
        timer = asyncio.ensure_future(self._until(self._now_ns + timeout_ns))
        try:
            await asyncio.wait({waiter, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (waiter, timer):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _until(self, deadline_ns: int) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._now_ns >= deadline_ns)
