"""The wish to end, from wherever it comes: a signal, the clock, a command, a task that died.

Invariants: the first reason counts; a second signal is not caught, so that a person can always end the
process.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
"""Ctrl-C, an orderly kill, and Ctrl-Break on Windows."""


class Halt:
    """Asked once, seen by everybody."""

    def __init__(self) -> None:
        self.reason = ""
        self._asked = asyncio.Event()

    @property
    def asked(self) -> bool:
        """Whether the end was asked for."""
        return self._asked.is_set()

    def ask(self, reason: str) -> None:
        """Ask for the end; a later reason than the first is dropped."""
        if not self.asked:
            self.reason = reason
            self._asked.set()

    async def wait(self, at_most_s: float | None = None) -> str:
        """Return the reason when asked, or ask for the end after ``at_most_s`` seconds."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._asked.wait()
        except TimeoutError:
            self.ask("duration is over")
        return self.reason


@contextmanager
def halting_on_signals(halt: Halt) -> Iterator[None]:
    """Let the first signal ask for the end, a second one end the process; for the main thread."""
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {}

    def asked(number: int, _frame: FrameType | None) -> None:
        for known, handler in before.items():
            signal.signal(known, handler)
        loop.call_soon_threadsafe(halt.ask, signal.Signals(number).name)

    try:
        for number in SIGNALS:
            before[number] = signal.signal(number, asked)
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
