"""When not to quote at all: reasons, and the window that notices a jumping mid.

Invariants: a window holds what happened within its span and nothing else, and answers in constant time
(amortised). Knows neither books nor orders.
"""

from collections import deque
from enum import StrEnum
from typing import Final

FOREVER_NS: Final = 2**63 - 1
"""Later than any time."""


class Reason(StrEnum):
    """Why a market is quoted, or not."""

    QUOTING = "quoting"
    NOT_TRACKED = "not_tracked"
    NOT_LIVE = "not_live"
    """A book is not known to be true: its connection is down, silent, or a witness contradicts."""
    SILENT = "silent"
    """The connection that feeds the book has said nothing for ``staleness_threshold_ms``."""
    QUIET = "quiet"
    """The book has not changed for ``staleness_threshold_ms`` and ``quiet_is_stale`` is on."""
    CROSSED = "crossed"
    NOT_TRADABLE = "not_tradable"
    FEE_UNKNOWN = "fee_unknown"
    RULES_CHANGED = "rules_changed"
    TICK_MISMATCH = "tick_mismatch"
    """The venue's tick is not the one the configuration names."""
    ENDING = "ending"
    NO_MID = "no_mid"
    """A side of the book is missing, and the last mid is too old."""
    WIDE_SPREAD = "wide_spread"
    MID_JUMP = "mid_jump"
    GUARDED = "guarded"
    """Price guards, caps or minimum sizes leave neither side."""


class JumpWindow:
    """The range of a step function over the last ``span_ns``: two monotonic queues.

    A value counts for as long as it was in force, so the first move after a long silence is seen whole.
    """

    __slots__ = ("_highs", "_lows", "_span_ns")

    def __init__(self, span_ns: int) -> None:
        self._span_ns = span_ns
        # Each entry is [value, until]: when the value was replaced. The last one is in force.
        self._highs: deque[list[int]] = deque()
        self._lows: deque[list[int]] = deque()

    def add(self, ts_ns: int, value: int) -> int:
        """Note ``value`` from ``ts_ns`` (not before the last one) on; return the range within the window."""
        highs, lows = self._highs, self._lows
        if highs:
            highs[-1][1] = lows[-1][1] = ts_ns
        while highs and highs[-1][0] <= value:
            highs.pop()
        while lows and lows[-1][0] >= value:
            lows.pop()
        highs.append([value, FOREVER_NS])
        lows.append([value, FOREVER_NS])
        oldest = ts_ns - self._span_ns
        while highs[0][1] < oldest:
            highs.popleft()
        while lows[0][1] < oldest:
            lows.popleft()
        return highs[0][0] - lows[0][0]

    def clear(self) -> None:
        """Forget everything."""
        self._highs.clear()
        self._lows.clear()
