"""Parameters of the Dutch book: one frozen struct, each field with unit, range and meaning as data.

The configuration reads keys, ranges and texts from here (``msgspec.Meta``), so a parameter is
described in one place. There is no fee parameter on purpose: fees are facts of each market. This
module knows no file format and no market.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from overround.core.units import DOLLARS, E6, MS, RATIO, SHARES, TICKS


class DutchParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a complete set of outcomes is bought or sold.

    Raises ``ValueError`` when two values contradict each other.
    """

    enabled: Annotated[bool, Meta(description="Look for baskets at all.")] = True
    long_enabled: Annotated[
        bool, Meta(description="Buy YES of every outcome when together they cost less than one dollar.")
    ] = True
    short_enabled: Annotated[
        bool, Meta(description="Buy NO of every outcome when together they cost less than they must pay.")
    ] = True
    min_profit_usd_e6: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000 * E6,
            extra=DOLLARS,
            description="Smallest guaranteed profit of a basket, after fees, slippage and safety margin.",
        ),
    ] = field(default=500_000, name="min_profit_usdc")
    safety_margin_usd_e6: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000 * E6,
            extra=DOLLARS,
            description="Taken off every basket's profit before it is compared with min_profit_usdc.",
        ),
    ] = field(default=100_000, name="safety_margin_usdc")
    slippage_ticks: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            extra=TICKS,
            description="Each leg is reckoned, and its limit set, this many ticks worse than the book.",
        ),
    ] = 1
    allow_other: Annotated[
        bool,
        Meta(
            description="Also buy all named outcomes of an event with 'Other' or placeholders. "
            "Such a basket is not safe: an outcome that cannot be bought may win.",
        ),
    ] = False
    max_size_qty_e6: Annotated[
        int,
        Meta(
            ge=1 * E6, le=1_000_000 * E6, extra=SHARES, description="Most shares of each leg in one basket."
        ),
    ] = field(default=500 * E6, name="max_size")
    max_capital_usd_e6: Annotated[
        int,
        Meta(
            ge=1 * E6,
            le=10_000_000 * E6,
            extra=DOLLARS,
            description="Most cash one basket may bind, fees included.",
        ),
    ] = field(default=500 * E6, name="max_capital_usdc")
    participation_e6: Annotated[
        int,
        Meta(ge=10_000, le=E6, extra=RATIO, description="Share of a leg's visible depth that is used."),
    ] = field(default=500_000, name="participation")
    max_book_age_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=600_000,
            extra=MS,
            description="A leg whose book changed within this time is fresh; fresh legs are checked by "
            "max_skew. An older one is quiet, and trusted while its connection is alive.",
        ),
    ] = 500
    max_skew_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=600_000,
            extra=MS,
            description="Largest difference of exchange times among the fresh legs.",
        ),
    ] = 1_000
    max_legs: Annotated[
        int,
        Meta(
            ge=2,
            le=256,
            extra={"unit": "legs"},
            description="Most legs of one basket; the venue takes 15 orders in one message.",
        ),
    ] = 15
    max_legging_loss_usd_e6: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000 * E6,
            extra=DOLLARS,
            description="Most that an incomplete basket may lose, its legs sold two ticks below the bids.",
        ),
    ] = field(default=25 * E6, name="max_legging_loss_usdc")
    max_legging_ratio_e6: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000 * E6,
            extra=RATIO,
            description="The same loss as a multiple of the basket's guaranteed profit.",
        ),
    ] = field(default=5 * E6, name="max_legging_ratio")
    cooldown_ms: Annotated[
        int,
        Meta(ge=0, le=3_600_000, extra=MS, description="No new basket on an event for this long after one."),
    ] = 1_000
    basket_timeout_ms: Annotated[
        int,
        Meta(ge=100, le=600_000, extra=MS, description="An unfinished basket is given up after this long."),
    ] = 10_000

    def __post_init__(self) -> None:
        if not (self.long_enabled or self.short_enabled) and self.enabled:
            raise ValueError("long_enabled and short_enabled must not both be false while enabled is true")
