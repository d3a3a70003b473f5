"""What it costs to take from a ladder: the exact walk, with the fee of the whole order.

Levels are (price, quantity) pairs in millionths, best first. A quantity beyond the ladder has no price:
the answer is ``None``, never an extrapolation (strategy-spec 2.2).
"""

from collections.abc import Iterable

import msgspec

from overround.core.fees import taker_fee_bound_usd_e6, taker_fee_usd_e6
from overround.core.market import FeeSchedule
from overround.core.units import E6


class Walk(msgspec.Struct, frozen=True):
    """A ladder walked for some quantity."""

    usd_e6: int
    """Notional: rounded up for a purchase, down for a sale."""
    fee_usd_e6: int
    fee_bound_usd_e6: int
    """The fee under the least favourable rounding."""
    last_px_e6: int
    """Price of the worst level touched."""


def walk(levels: Iterable[tuple[int, int]], qty_e6: int, fee: FeeSchedule, *, buying: bool) -> Walk | None:
    """Return what taking ``qty_e6`` (> 0) from ``levels`` costs or yields, ``None`` if it is too much."""
    left = qty_e6
    scaled = 0
    last_px_e6 = 0
    for px_e6, size_e6 in levels:
        take = min(left, size_e6)
        scaled += px_e6 * take
        last_px_e6 = px_e6
        left -= take
        if not left:
            break
    else:
        return None
    usd_e6 = -(-scaled // E6) if buying else scaled // E6
    return Walk(
        usd_e6,
        taker_fee_usd_e6(fee, qty_e6, usd_e6),
        taker_fee_bound_usd_e6(fee, qty_e6, usd_e6),
        last_px_e6,
    )
