"""The clock of everything that talks to the venue, injected so that tests need not wait.

Must not know who waits for what.
"""

import asyncio
import time
from contextlib import suppress
from typing import Protocol


class Clock(Protocol):
    """Time in nanoseconds, and waiting."""

    def wall_ns(self) -> int:
        """Return UTC nanoseconds since 1970."""
        ...

    def mono_ns(self) -> int:
        """Return nanoseconds of a clock that is never set back."""
        ...

    async def wait(self, event: asyncio.Event, timeout_ns: int | None) -> None:
        """Return when ``event`` is set or ``timeout_ns`` has passed (``None``: only the event)."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall_ns(self) -> int:
        """Return UTC nanoseconds since 1970."""
        return time.time_ns()

    def mono_ns(self) -> int:
        """Return nanoseconds of the monotonic clock."""
        return time.monotonic_ns()

    async def wait(self, event: asyncio.Event, timeout_ns: int | None) -> None:
        """Return when ``event`` is set or ``timeout_ns`` has passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(None if timeout_ns is None else max(0, timeout_ns) / 1e9):
                await event.wait()


async def pause(clock: Clock, duration_ns: int) -> None:
    """Wait ``duration_ns`` on ``clock``."""
    await clock.wait(asyncio.Event(), duration_ns)
