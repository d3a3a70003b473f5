"""Models of what a recording cannot tell: message latency, queue position, settlement times.

Invariants: every draw comes from the generator that is passed in, and all arithmetic is on integers, so
the same seed gives the same run on every machine and Python version. Knows no orders and no books.
"""

from enum import StrEnum
from typing import Final, Protocol

import msgspec

from overround.core.units import E6

MS_NS: Final = 1_000_000
"""One millisecond in nanoseconds."""
SECOND_NS: Final = 1_000 * MS_NS


class Random(Protocol):
    """All that is asked of a generator: ``random.Random`` fits, and its bits are stable across versions."""

    def getrandbits(self, k: int, /) -> int:
        """Return a uniform integer of ``k`` bits."""
        ...


def below(rng: Random, bound: int) -> int:
    """Return a uniform integer in ``[0, bound)`` (bias below 2**-32 for bounds under 2**32)."""
    return rng.getrandbits(64) * bound >> 64


def between(rng: Random, low: int, high: int) -> int:
    """Return a uniform integer in ``[low, high]``."""
    return low + below(rng, high - low + 1)


def happens(rng: Random, chance_e6: int) -> bool:
    """Return whether an event of probability ``chance_e6`` millionths happens this time."""
    return below(rng, E6) < chance_e6


# --- latency -------------------------------------------------------------------------------------

LATENCY_PERMILLE: Final = (
    *(60, 120, 154, 180, 203, 223, 242, 261, 278, 295, 311, 327, 343, 358, 374, 389, 404, 419, 434, 449),
    *(464, 480, 495, 510, 525, 541, 556, 572, 588, 604, 620, 636, 653, 670, 687, 704, 721, 739, 757, 775),
    *(794, 813, 832, 852, 871, 892, 913, 934, 955, 977, 1000, 1023, 1047, 1071, 1096, 1121, 1148, 1174),
    *(1202, 1230, 1260, 1290, 1321, 1353, 1386, 1421, 1456, 1493, 1532, 1571, 1613, 1656, 1701, 1748),
    *(1797, 1849, 1904, 1961, 2021, 2085, 2153, 2226, 2303, 2386, 2475, 2572, 2677, 2792, 2918, 3058),
    *(3216, 3394, 3599, 3838, 4125, 4478, 4931, 5552, 6500, 8333, 16718),
)
"""Percentiles 0.1, 1, 2 … 99, 99.9 of a log-normal, median 1 and p99 250/30, in thousandths (spec 4.4)."""


class Latency(msgspec.Struct, frozen=True):
    """Time a message needs one way."""

    median_ns: int
    drawn: bool = False
    """Whether each message draws its own time (log-normal shape), or all take the median."""

    def draw(self, rng: Random) -> int:
        """Return the time of the next message in nanoseconds."""
        if not self.drawn:
            return self.median_ns
        percentile, fraction = divmod(below(rng, 100 * 1024), 1024)
        low, high = LATENCY_PERMILLE[percentile], LATENCY_PERMILLE[percentile + 1]
        return self.median_ns * (low * 1024 + (high - low) * fraction) // 1_024_000


# --- queue position ------------------------------------------------------------------------------


class QueueModel(StrEnum):
    """How a resting order moves up in the queue at its price (spec 4.3)."""

    PESSIMISTIC = "pessimistic"
    """F0: only trades take away what is ahead."""
    PROBABILISTIC = "probabilistic"
    """F1: other decreases are split between ahead and behind by the logarithms of both."""
    OPTIMISTIC = "optimistic"
    """F2: nothing is ahead, and a touch is a fill. An upper bound, never a headline."""


LOG_BITS: Final = 12
"""Fractional bits of :func:`log2_fixed`."""


def log2_fixed(value: int) -> int:
    """Return ``floor(log2(value) * 2**LOG_BITS)`` up to one unit, by repeated squaring of integers.

    Raises ``ValueError`` unless ``value`` is positive.
    """
    if value <= 0:
        raise ValueError(f"no logarithm of {value}")
    whole = value.bit_length() - 1
    mantissa = (value << 32) >> whole  # in [1, 2), 32 fractional bits
    result = whole
    for _ in range(LOG_BITS):
        mantissa = mantissa * mantissa >> 32
        result <<= 1
        if mantissa >> 33:
            result |= 1
            mantissa >>= 1
    return result


def cancelled_ahead_e6(ahead_e6: int, behind_e6: int, decrease_e6: int) -> int:
    """Return how much of a level's decrease that is no trade happened ahead of us.

    The share is ``f(ahead) / (f(ahead) + f(behind))`` with ``f(x) = log(1 + x)``, x in shares, rounded
    down (to our disadvantage); what cannot have been behind was ahead (spec 4.3, F1).
    """
    weight_ahead = log2_fixed(E6 + ahead_e6) - log2_fixed(E6)
    weight_behind = log2_fixed(E6 + behind_e6) - log2_fixed(E6)
    total = weight_ahead + weight_behind
    share = decrease_e6 * weight_ahead // total if total else 0
    return min(ahead_e6, max(share, decrease_e6 - behind_e6))


# --- settlement and the whole --------------------------------------------------------------------


class SettlementConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How long a match takes to settle, and how often it does not (spec 4.3 ghost fills, 4.4)."""

    mined_min_ns: int = 2 * SECOND_NS
    mined_max_ns: int = 5 * SECOND_NS
    confirmed_after_ns: int = 4 * SECOND_NS
    """From MINED to CONFIRMED."""
    retry_chance_e6: int = 0
    """Chance that the first transaction is lost and a second one succeeds."""
    failure_chance_e6: int = 0
    """Chance that a match never settles. The spec's default for studies is 5,000 (0.5 %)."""
    failed_min_ns: int = 2 * SECOND_NS
    failed_max_ns: int = 30 * SECOND_NS


class SimulationConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is assumed about the venue."""

    entry: Latency = Latency(30 * MS_NS)
    """From us to the venue."""
    cancel: Latency = Latency(30 * MS_NS)
    ack: Latency = Latency(30 * MS_NS)
    """From the venue back to us."""
    queue: QueueModel = QueueModel.PROBABILISTIC
    fees_on: bool = True
    impact_memory_ns: int = 5 * SECOND_NS
    """How long liquidity that we took stays taken although the recording still shows it."""
    explain_window_ns: int = 250 * MS_NS
    """How far apart a trade and the change of its price level may be seen."""
    taker_delay_ns: int = 50 * MS_NS
    """Hold of marketable orders in markets with the taker-delay flag (250 ms before 17 Aug 2026)."""
    settlement: SettlementConfig = SettlementConfig()
    starting_cash_usd_e6: int = 0
