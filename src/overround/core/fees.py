"""The taker fee, once.

``fee = q * r * (p * (1 - p)) ** e`` dollars, rounded to five decimals, smaller amounts are free; makers
pay nothing (venue documentation; 2,898 real trades agree that it is cash on top of a purchase and out of
a sale). The rounding direction is not documented: measured charges agree with rounding down, which is
what accounts use; risk checks use the upper bound. ``p`` is the average price of the taker order, which
by concavity is also an upper bound of the fee summed level by level.
"""

from fractions import Fraction

from overround.core.market import FeeSchedule
from overround.core.units import E6

FEE_STEP_USD_E6 = 10
"""Fees are whole multiples of 0.00001 dollars."""


def _steps(schedule: FeeSchedule, qty_e6: int, usd_e6: int) -> tuple[int, int]:
    """Return numerator and denominator of the exact fee in fee steps, for ``usd_e6`` paid for ``qty_e6``."""
    e = schedule.exponent
    rest_e6 = qty_e6 - usd_e6
    # fee_e6 = qty_e6 * r * ((usd/qty) * (1 - usd/qty)) ** e
    numerator = schedule.rate_e6 * (usd_e6 * rest_e6) ** e
    denominator = E6 * qty_e6 ** (2 * e - 1) * FEE_STEP_USD_E6
    return numerator, denominator


def taker_fee_usd_e6(schedule: FeeSchedule, qty_e6: int, usd_e6: int) -> int:
    """Return the fee of taking ``qty_e6`` shares for ``usd_e6`` in all, in millionths, rounded down.

    Raises ``ValueError`` unless ``0 <= usd_e6 <= qty_e6`` and ``qty_e6 > 0`` (a price is within 0 and 1).
    """
    _check(qty_e6, usd_e6)
    numerator, denominator = _steps(schedule, qty_e6, usd_e6)
    return numerator // denominator * FEE_STEP_USD_E6


def taker_fee_bound_usd_e6(schedule: FeeSchedule, qty_e6: int, usd_e6: int) -> int:
    """Return the upper bound of :func:`taker_fee_usd_e6` under any rounding, for risk checks."""
    _check(qty_e6, usd_e6)
    numerator, denominator = _steps(schedule, qty_e6, usd_e6)
    return -(-numerator // denominator) * FEE_STEP_USD_E6


def taker_fee_per_share(schedule: FeeSchedule, px_e6: int) -> Fraction:
    """Return the unrounded fee of one share at ``px_e6``, in dollars."""
    p = Fraction(px_e6, E6)
    rate = Fraction(schedule.rate_e6, E6)
    return rate * (p * (1 - p)) ** schedule.exponent


def maker_rebate_usd_e6(schedule: FeeSchedule, qty_e6: int, usd_e6: int) -> int:
    """Return the estimated rebate of a maker fill: the rebate share of the fee its taker pays, rounded down.

    The venue pays from a daily pool per market; this is an accrued estimate and never cash.
    """
    return taker_fee_usd_e6(schedule, qty_e6, usd_e6) * schedule.rebate_e6 // E6


def _check(qty_e6: int, usd_e6: int) -> None:
    if qty_e6 <= 0 or not 0 <= usd_e6 <= qty_e6:
        raise ValueError(f"no price in [0, 1]: {usd_e6} for {qty_e6}")
