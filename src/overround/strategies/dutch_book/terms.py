"""What metadata and parameters say about one side of an event, and the cheapest bound on its prices.

Theory. The cost of a share is at least its best ask plus that price's fee, so one pass over the best YES
prices bounds the profit of every size from above (an ask for NO is a bid for YES, and ``p*(1-p)`` is the
same for both). Most apparent gaps end here, at a small part of the cost of a real look.

Invariants: a bound never refuses what a real look would accept, given that the two books of a market are
mirrors. Knows books only by their best prices.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from overround.core.strategy import View
from overround.core.units import E6, format_e6
from overround.strategies.dutch_book.certify import Verdict
from overround.strategies.dutch_book.gate import Gate, Refusal
from overround.strategies.dutch_book.params import DutchParams
from overround.strategies.dutch_book.size import Structure

E12: Final = E6 * E6


class Bound(NamedTuple):
    """The best that one share of every leg can bring, in millionths of a dollar."""

    verdict: Verdict | None
    """Why no size can be enough, or ``None`` if one might be."""
    gap_e6: int
    left_e6: int
    """What fees, and slippage if it came to that, leave of the gap."""

    @property
    def detail(self) -> str:
        """The bound in words."""
        return f"gap {format_e6(self.gap_e6)} a share, {format_e6(self.left_e6)} after costs"


class Terms:
    """One side of one event, as far as it is known before any book is read."""

    __slots__ = ("_legs", "_long", "_margin_usd_e6", "_most_shares", "_slippage_ticks", "granted", "refusal")

    def __init__(self, structure: Structure, gate: Gate, params: DutchParams) -> None:
        self._long = structure is Structure.LONG
        self.refusal = gate.long_refusal if self._long else gate.short_refusal
        self.granted = Verdict.SETTLEMENT_LOCKED
        """The verdict of a sight that passes everything."""
        if gate.convertible and not self._long:
            self.granted = Verdict.EXECUTABLE_NOW
        if self._long and gate.other_only and params.allow_other:
            self.refusal, self.granted = None, Verdict.OTHER_ALLOWED
        if self.refusal is None and not (params.long_enabled if self._long else params.short_enabled):
            self.refusal = Refusal(Verdict.DISABLED, "switched off")
        # A fee of another shape than r*p*(1-p) is left to the real look: no fee, no slippage here.
        self._legs = [
            (market.fee.rate_e6, market.tick_e6) if market.fee and market.fee.exponent == 1 else (0, 0)
            for market in gate.legs
        ]
        self._slippage_ticks = params.slippage_ticks
        self._most_shares = params.max_size_qty_e6 // E6
        self._margin_usd_e6 = max(params.safety_margin_usd_e6 + params.min_profit_usd_e6, 1)

    def bound(self, view: View, yes_ids: Sequence[str]) -> Bound | None:
        """Return the bound at the present prices, or ``None`` if a book is not tracked."""
        book_of, long, slipping = view.book, self._long, self._slippage_ticks
        gap, fees, slip = (E6 if long else -E6), 0, 0
        for token_id, (rate, tick) in zip(yes_ids, self._legs, strict=True):
            book = book_of(token_id)
            if book is None:
                return None
            px = book.best_ask_px_e6 if long else book.best_bid_px_e6
            # Without a bid nobody offers NO: the short side leaves that outcome out, and px is 0 here.
            gap += -px if long else px
            fees += rate * px * (E6 - px) // E12
            if slipping:
                # The price paid is px, or 1 - px for NO; it can get worse up to the end of the grid.
                room = max((E6 - px if long else px) - tick, 0)
                # A worse price costs its distance, less at most the fee rate's share of it.
                slip += min(slipping * tick, room) * (E6 - rate) // E6
        if gap <= fees:
            return Bound(Verdict.SUB_FEE if gap > 0 else Verdict.NO_GAP, gap, gap - fees)
        left = gap - fees - slip
        # Per leg, a rounded-down fee and slippage may hide a millionth each.
        if (left + 2 * len(yes_ids)) * self._most_shares < self._margin_usd_e6:
            return Bound(Verdict.BELOW_MIN_PROFIT, gap, left)
        return Bound(None, gap, left)
