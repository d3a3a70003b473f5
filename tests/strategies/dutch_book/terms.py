"""Terms of the golden vectors: no margins, full depth, nothing refused for capital or legging."""

from typing import Any

from overround.core.market import FeeSchedule
from overround.core.units import E6, parse_e6
from overround.strategies.dutch_book.params import DutchParams
from overround.strategies.dutch_book.size import Outcome
from tests.strategies.worlds import Levels, ladder


def bare(**changes: Any) -> DutchParams:
    values: dict[str, Any] = {
        "min_profit_usd_e6": 0,
        "safety_margin_usd_e6": 0,
        "slippage_ticks": 0,
        "participation_e6": E6,
        "max_size_qty_e6": 1_000_000 * E6,
        "max_capital_usd_e6": 10_000_000 * E6,
        "max_legging_loss_usd_e6": 1_000_000 * E6,
        "max_legging_ratio_e6": 1_000 * E6,
    }
    return DutchParams(**{**values, **changes})


def outcome(
    index: int, asks: Levels, bids: Levels = (), *, rate: str = "0.04", tick: str = "0.01"
) -> Outcome:
    return Outcome(
        condition_id=f"c{index}",
        token_id=f"t{index}",
        name=chr(ord("A") + index),
        tick_e6=parse_e6(tick),
        min_size_e6=5 * E6,
        fee=FeeSchedule(rate_e6=parse_e6(rate)),
        asks=sorted(ladder(asks).items()),
        bids=sorted(ladder(bids).items(), reverse=True),
    )
