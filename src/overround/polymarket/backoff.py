"""How long to wait before trying again: full jitter under a doubling, capped ceiling.

Invariants: a delay lies between ``floor_ns`` and the ceiling of its attempt; only :meth:`reset`, called
after proof of health, brings the ceiling back. What the venue asks for (``Retry-After``) is bounded.
Source: "Exponential Backoff And Jitter" (AWS, 2015).
"""

from email.utils import parsedate_to_datetime
from random import Random
from typing import Final

MAX_RETRY_AFTER_NS: Final = 300 * 1_000_000_000
"""Longest wait a ``Retry-After`` can impose."""


class Backoff:
    """Successive delays of one thing that fails."""

    def __init__(self, base_ns: int, cap_ns: int, rng: Random, floor_ns: int = 0) -> None:
        if not 0 <= floor_ns <= base_ns <= cap_ns or not base_ns:
            raise ValueError(
                f"need 0 <= floor {floor_ns} <= base {base_ns} <= cap {cap_ns}, and a base above 0"
            )
        self._base_ns = base_ns
        self._cap_ns = cap_ns
        self._floor_ns = floor_ns
        self._rng = rng
        self.failures = 0

    def next_ns(self) -> int:
        """Return the delay before the next attempt and count the failure."""
        # The shift is bounded: 2**64 times any base is beyond every cap.
        ceiling = min(self._cap_ns, self._base_ns << min(self.failures, 64))
        self.failures += 1
        return self._rng.randint(self._floor_ns, ceiling)

    def reset(self) -> None:
        """Forget the failures: the thing proved healthy."""
        self.failures = 0


def retry_after_ns(text: str | None, now_wall_ns: int) -> int | None:
    """Return an HTTP ``Retry-After`` (seconds or a date) as a wait of at most five minutes, if readable."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1_000_000_000, MAX_RETRY_AFTER_NS)
    try:
        moment_ns = int(parsedate_to_datetime(text).timestamp()) * 1_000_000_000
    except (ValueError, OverflowError):
        return None
    return min(max(0, moment_ns - now_wall_ns), MAX_RETRY_AFTER_NS)
