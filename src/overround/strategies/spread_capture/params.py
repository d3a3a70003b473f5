"""Parameters of spread capture: one frozen struct, each field with unit, range and meaning as data.

The configuration reads keys, ranges and texts from here (``msgspec.Meta``), so a parameter is
described in one place. Invariant: an instance that exists is consistent (``__post_init__``). This
module knows no file format and no market.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct, field

from overround.core.units import DOLLARS_PER_SHARE, E6, MS, RATIO, SHARES, TICKS

VENUE_TICKS_E6: Final = (100, 1_000, 2_500, 5_000, 10_000, 100_000)
"""Tick sizes the venue uses, in millionths of a dollar."""


class SpreadParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How spread capture quotes one market.

    The defaults suit an account of about $10,000.

    Raises ``ValueError`` when two values contradict each other.
    """

    enabled: Annotated[bool, Meta(description="Quote at all.")] = True
    size_qty_e6: Annotated[
        int,
        Meta(ge=1 * E6, le=1_000_000 * E6, extra=SHARES, description="Size of each quote."),
    ] = field(default=100 * E6, name="size")
    edge_px_e6: Annotated[
        int,
        Meta(
            ge=0,
            le=E6 // 2,
            extra=DOLLARS_PER_SHARE,
            description="Smallest distance of a quote from the fair value (half spread).",
        ),
    ] = field(default=10_000, name="edge")
    tick_size_px_e6: Annotated[
        Annotated[int, Meta(extra={**DOLLARS_PER_SHARE, "choices": VENUE_TICKS_E6})] | None,
        Meta(
            description="Quote this market only while the venue's tick is exactly this; absent: any tick.",
        ),
    ] = field(default=None, name="tick_size")
    max_position_qty_e6: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000 * E6,
            extra=SHARES,
            description="Largest net position (YES minus NO, pending fills included), either way.",
        ),
    ] = field(default=1_000 * E6, name="max_position")
    inventory_skew_px_e6: Annotated[
        int,
        Meta(
            ge=0,
            le=E6 // 2,
            extra=DOLLARS_PER_SHARE,
            description="How far a position of max_position moves both quotes against itself; linear below.",
        ),
    ] = field(default=20_000, name="inventory_skew")
    rebalance_ratio_e6: Annotated[
        int,
        Meta(
            ge=0,
            le=E6,
            extra=RATIO,
            description="Share of max_position from which only the side that reduces the position is quoted.",
        ),
    ] = field(default=600_000, name="rebalance_ratio")
    staleness_threshold_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=600_000,
            extra=MS,
            description="Pull the quotes when the connection that feeds the book is silent for longer.",
        ),
    ] = 15_000
    quiet_is_stale: Annotated[
        bool,
        Meta(
            description="Also pull when this market's own book has not changed for staleness_threshold_ms. "
            "Off: a thin tape is not a stale one.",
        ),
    ] = False
    halt_before_end_ms: Annotated[
        int,
        Meta(
            ge=0, le=2_592_000_000, extra=MS, description="No quotes from this long before the market's end."
        ),
    ] = 60_000
    max_mid_jump_px_e6: Annotated[
        int,
        Meta(
            ge=1_000,
            le=E6,
            extra=DOLLARS_PER_SHARE,
            description="Pull the quotes when the mid moves by this much within mid_jump_window_ms.",
        ),
    ] = field(default=50_000, name="max_mid_jump")
    mid_jump_window_ms: Annotated[
        int, Meta(ge=1, le=600_000, extra=MS, description="Window of max_mid_jump.")
    ] = 2_000
    cooloff_ms: Annotated[
        int, Meta(ge=0, le=3_600_000, extra=MS, description="No quotes for this long after a jump.")
    ] = 30_000
    min_requote_interval_ms: Annotated[
        int,
        Meta(ge=0, le=600_000, extra=MS, description="Shortest time between two changes of one side."),
    ] = 500
    min_quote_lifetime_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=600_000,
            extra=MS,
            description="A quote stays at least this long, unless risk demands the cancel.",
        ),
    ] = 3_500
    min_change_ticks: Annotated[
        int,
        Meta(ge=1, le=100, extra=TICKS, description="Smaller wished changes leave the quote where it is."),
    ] = 2
    replace_window_ms: Annotated[
        int, Meta(ge=1, le=3_600_000, extra=MS, description="Window of max_replaces_per_side.")
    ] = 10_000
    max_replaces_per_side: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            extra={"unit": "replaces"},
            description="Most replacements of one side of one market within replace_window_ms.",
        ),
    ] = 6
    max_cancels_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            extra={"unit": "cancels"},
            description="Most cancels per market in 60 s; cancels that risk demands always pass.",
        ),
    ] = 60
    min_px_e6: Annotated[
        int,
        Meta(ge=100, le=E6 - 100, extra=DOLLARS_PER_SHARE, description="No quote below this price (YES)."),
    ] = field(default=30_000, name="min_price")
    max_px_e6: Annotated[
        int,
        Meta(ge=100, le=E6 - 100, extra=DOLLARS_PER_SHARE, description="No quote above this price (YES)."),
    ] = field(default=970_000, name="max_price")
    max_spread_px_e6: Annotated[
        int,
        Meta(
            ge=1_000,
            le=E6,
            extra=DOLLARS_PER_SHARE,
            description="No quotes while the market's own spread is wider: its mid says nothing.",
        ),
    ] = field(default=100_000, name="max_spread")
    post_only: Annotated[
        bool,
        Meta(extra={"choices": (True,)}, description="Quotes never take; only true is allowed."),
    ] = True

    def __post_init__(self) -> None:
        if self.min_px_e6 >= self.max_px_e6:
            raise ValueError("min_price must be below max_price")
        if not self.post_only:
            raise ValueError("post_only must be true")
