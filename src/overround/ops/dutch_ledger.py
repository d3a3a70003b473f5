"""What the Dutch book saw in a recording: baskets with their margins, and why the rest was refused.

Invariants: per basket ``gross = fees + slippage + safety + net`` exactly; only certified baskets whose
profit holds in every admitted state count as guaranteed. Knows no files and no engine.
"""

from typing import Any

import msgspec

from overround.core.market import MarketEvent
from overround.core.units import format_e6
from overround.strategies.dutch_book.certify import Sight, Verdict

NS_PER_MS = 1_000_000


class Margin(msgspec.Struct):
    """Sums over baskets, in millionths of a dollar."""

    gross_usd_e6: int = 0
    """Payoff less what the books ask."""
    fees_usd_e6: int = 0
    slippage_usd_e6: int = 0
    """What the plan allows the books to be worse."""
    safety_usd_e6: int = 0

    @property
    def guaranteed_usd_e6(self) -> int:
        """Profit at the plan's prices: gross less fees and slippage."""
        return self.gross_usd_e6 - self.fees_usd_e6 - self.slippage_usd_e6

    @property
    def net_usd_e6(self) -> int:
        """Guaranteed profit less the safety margin."""
        return self.guaranteed_usd_e6 - self.safety_usd_e6

    def document(self) -> dict[str, str]:
        """Return the parts as decimal texts in dollars."""
        return {
            "gross": format_e6(self.gross_usd_e6),
            "fees": format_e6(self.fees_usd_e6),
            "slippage": format_e6(self.slippage_usd_e6),
            "safety": format_e6(self.safety_usd_e6),
            "net": format_e6(self.net_usd_e6),
        }


class Seen(msgspec.Struct, frozen=True):
    """One basket."""

    at_ms: int
    event: str
    structure: str
    verdict: Verdict
    legs: int
    size_e6: int
    capital_usd_e6: int
    margin: Margin

    def document(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "at_ms": self.at_ms,
            "event": self.event,
            "structure": self.structure,
            "class": self.verdict.value.upper(),
            "legs": self.legs,
            "size": format_e6(self.size_e6),
            "capital": format_e6(self.capital_usd_e6),
            "profit": format_e6(self.margin.guaranteed_usd_e6),
            "margin": self.margin.document(),
        }


class DutchLedger:
    """Give :meth:`note` to the strategy as ``on_basket``."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def note(self, event: MarketEvent, sight: Sight, ts_ns: int) -> None:
        """Write a basket down. Raises ``ValueError`` for a sight without a certificate."""
        if sight.certificate is None:
            raise ValueError(f"a basket of {event.event_id} has no certificate")
        sized = sight.certificate.sized
        margin = Margin(
            sized.gross_usd_e6, sized.fees_bound_usd_e6, sized.slippage_usd_e6, sized.safety_usd_e6
        )
        self.seen.append(
            Seen(
                ts_ns // NS_PER_MS,
                event.title or event.slug or event.event_id,
                str(sight.structure),
                sight.verdict,
                len(sized.legs),
                sized.qty_e6,
                sized.capital_usd_e6,
                margin,
            )
        )

    @property
    def guaranteed(self) -> list[Seen]:
        """Baskets whose profit is certain; those that only hold while 'Other' loses are not among them."""
        return [seen for seen in self.seen if seen.verdict is not Verdict.OTHER_ALLOWED]

    def total(self) -> Margin:
        """Return the sums over the guaranteed baskets."""
        total = Margin()
        for seen in self.guaranteed:
            total.gross_usd_e6 += seen.margin.gross_usd_e6
            total.fees_usd_e6 += seen.margin.fees_usd_e6
            total.slippage_usd_e6 += seen.margin.slippage_usd_e6
            total.safety_usd_e6 += seen.margin.safety_usd_e6
        return total
