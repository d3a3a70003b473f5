"""Whether a sight is money: classes, reasons, and the certificate with its payoff in every state.

Theory. A sum of prices away from 1 is only an appearance. It is money when every state in which the
event can end pays more than the exact cost, at a size that can be ordered, on books that are true
together. Each step that can refuse has its own verdict, so a funnel of verdicts explains every
opportunity that was not taken.

Invariants: ``EXECUTABLE_NOW`` and ``SETTLEMENT_LOCKED`` are given only with a certificate whose smallest
payoff exceeds cost, fees, slippage and margin by the required profit. Usable without an engine
(``evaluate``). Knows metadata only through :class:`~overround.strategies.dutch_book.gate.Gate`'s results.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from overround.core.strategy import BookView
from overround.core.units import E6, format_e6, format_usd
from overround.strategies.dutch_book.params import DutchParams
from overround.strategies.dutch_book.search import Search
from overround.strategies.dutch_book.size import (
    Limits,
    Outcome,
    Sized,
    Structure,
    unit_fee_floor_e6,
)


class Verdict(StrEnum):
    """What a sight is. The first two are acted on; every other one is a reason not to act."""

    EXECUTABLE_NOW = "executable_now"
    """Guaranteed profit, and the capital can be freed before the event ends (conversion)."""
    SETTLEMENT_LOCKED = "settlement_locked"
    """Guaranteed profit, paid when the event resolves."""
    OTHER_ALLOWED = "other_allowed"
    """Profit in every named state only; acted on because ``allow_other`` is on. Not guaranteed."""
    NO_GAP = "no_gap"
    """Prices do not even add up to an apparent profit."""
    X1_SINGLE_MARKET = "x1_single_market"
    """One market's YES and NO share one book: there is nothing to buy against."""
    NOT_EXCLUSIVE = "not_exclusive"
    """The event's markets may resolve YES together."""
    NON_EXHAUSTIVE = "non_exhaustive"
    """An outcome that cannot be bought may win."""
    DECIDED = "decided"
    """An outcome has already won."""
    RULES_CHANGED = "rules_changed"
    """The texts that decide resolution changed and nobody has accepted them."""
    NOT_LIVE = "not_live"
    """A leg's book is not known to be true."""
    STALE_CROSSED = "stale_crossed"
    """Books contradict themselves, each other, or the clock."""
    FEE_UNKNOWN = "fee_unknown"
    TOO_MANY_LEGS = "too_many_legs"
    DISABLED = "disabled"
    SUB_FEE = "sub_fee"
    """The fees eat the gap even at the best prices."""
    BELOW_MIN_PROFIT = "below_min_profit"
    """Profitable, but not by enough after slippage and safety margin."""
    SUB_LOT = "sub_lot"
    """No size that may be ordered is profitable: lots, minimum sizes, one dollar a leg, depth."""
    NO_CAPITAL = "no_capital"
    LEGGING_REJECT = "legging_reject"
    """An incomplete basket could lose too much."""
    BASKET_OPEN = "basket_open"
    """Orders of an earlier basket on this event may still trade."""
    COOLDOWN = "cooldown"


ACTED_ON: Final = frozenset({Verdict.EXECUTABLE_NOW, Verdict.SETTLEMENT_LOCKED, Verdict.OTHER_ALLOWED})


class Certificate(msgspec.Struct, frozen=True):
    """The proof: a priced basket and its gross payoff in each state in which the event can end."""

    sized: Sized
    states: tuple[tuple[str, int], ...]


class Sight(msgspec.Struct, frozen=True):
    """One structure of one event at one moment: what it is, why, and the numbers if there are any.

    A refused sight may carry the certificate that it was refused on (profit too small, loss too large).
    """

    structure: Structure
    verdict: Verdict
    detail: str = ""
    certificate: Certificate | None = None

    @property
    def acted_on(self) -> bool:
        """Whether a basket follows."""
        return self.verdict in ACTED_ON


def unit_gap_e6(structure: Structure, px_e6: Sequence[int]) -> int:
    """Return the apparent profit of one share of every leg at the prices to be paid, without any cost."""
    payoff = E6 if structure is Structure.LONG else (len(px_e6) - 1) * E6
    return payoff - sum(px_e6)


def evaluate(
    structure: Structure,
    outcomes: Sequence[Outcome],
    params: DutchParams,
    cash_usd_e6: int,
    left_out: Sequence[str] = (),
    granted: Verdict = Verdict.SETTLEMENT_LOCKED,
) -> Sight:
    """Return what buying ``outcomes`` is worth: the best size, or the first reason against it.

    ``outcomes`` are the tokens to buy (YES for the long side, NO for the short one); ``left_out`` names
    the event's other unresolved outcomes, which may win too. ``granted`` is the verdict if all is well.
    """
    usable = [outcome for outcome in outcomes if outcome.asks]
    if structure is Structure.LONG and len(usable) < len(outcomes):
        return Sight(structure, Verdict.NO_GAP, "an outcome has no ask")
    best_px = [outcome.asks[0][0] for outcome in usable]
    gap = unit_gap_e6(structure, best_px)
    if len(usable) < 2 or gap <= 0:
        return Sight(structure, Verdict.NO_GAP, f"gap {format_e6(gap)} a share")
    fees = sum(unit_fee_floor_e6(o.fee, px) for o, px in zip(usable, best_px, strict=True))
    if fees >= gap:
        return Sight(structure, Verdict.SUB_FEE, f"gap {format_e6(gap)}, fees {format_e6(fees)} a share")
    if structure is Structure.LONG and len(usable) > params.max_legs:
        return Sight(structure, Verdict.TOO_MANY_LEGS, f"{len(usable)} legs, at most {params.max_legs}")
    return _sized_sight(structure, usable, params, cash_usd_e6, _Names(outcomes, left_out), granted)


class _Names(msgspec.Struct, frozen=True):
    """The outcomes of the event that may still win."""

    offered: Sequence[Outcome]
    left_out: Sequence[str]


def _sized_sight(
    structure: Structure,
    usable: Sequence[Outcome],
    params: DutchParams,
    cash_usd_e6: int,
    names: _Names,
    granted: Verdict,
) -> Sight:
    search = Search(structure, usable, limits_of(params))
    capital = min(params.max_capital_usd_e6, cash_usd_e6)

    best = search.best(capital)
    if best is None:
        if search.best() is None:
            return Sight(structure, Verdict.SUB_LOT, "no lot fits minimum sizes and depth")
        return Sight(structure, Verdict.NO_CAPITAL, f"at most {format_usd(capital)} dollars")
    certificate = Certificate(best, states_of(best, names.offered, names.left_out))
    if best.book_profit_usd_e6 <= 0:
        return Sight(structure, Verdict.SUB_LOT, "no lot is profitable", certificate)
    if best.net_usd_e6 < max(params.min_profit_usd_e6, 1):
        return Sight(structure, Verdict.BELOW_MIN_PROFIT, f"net {format_e6(best.net_usd_e6)}", certificate)
    if not bearable(best, params):
        loss = format_e6(best.loss_bound_usd_e6)
        refused = Sight(structure, Verdict.LEGGING_REJECT, f"incomplete, it may lose {loss}", certificate)
        smaller = search.best(capital, params.max_legging_loss_usd_e6, lambda sized: bearable(sized, params))
        if smaller is None or smaller.net_usd_e6 < max(params.min_profit_usd_e6, 1):
            return refused
        certificate = Certificate(smaller, states_of(smaller, names.offered, names.left_out))
    return Sight(structure, granted, f"net {format_e6(certificate.sized.net_usd_e6)}", certificate)


def bearable(sized: Sized, params: DutchParams) -> bool:
    """Whether an incomplete basket stays within the configured loss (strategy-spec 2.6)."""
    by_profit = params.max_legging_ratio_e6 * max(sized.profit_usd_e6, 0) // E6
    return sized.loss_bound_usd_e6 <= min(params.max_legging_loss_usd_e6, by_profit)


def limits_of(params: DutchParams) -> Limits:
    """Return the bounds of a basket's size that the parameters set."""
    return Limits(
        max_size_e6=params.max_size_qty_e6,
        max_capital_usd_e6=params.max_capital_usd_e6,
        participation_e6=params.participation_e6,
        slippage_ticks=params.slippage_ticks,
        safety_usd_e6=params.safety_margin_usd_e6,
        max_legs=params.max_legs,
    )


def states_of(
    sized: Sized, offered: Sequence[Outcome], left_out: Sequence[str]
) -> tuple[tuple[str, int], ...]:
    """Return the basket's gross payoff for each outcome that may win and, on the short side, for none.

    The long side is only ever offered when exactly one of the offered outcomes must win, or when
    ``left_out`` names what else may (then those states pay nothing).
    """
    held = {leg.outcome.condition_id for leg in sized.legs}
    qty, k = sized.qty_e6, len(sized.legs)
    if sized.structure is Structure.LONG:
        return tuple((o.name, qty) for o in offered) + tuple((name, 0) for name in left_out)
    named = tuple((o.name, (k - 1 if o.condition_id in held else k) * qty) for o in offered)
    return (*named, *((name, k * qty) for name in left_out), ("none", k * qty))


def contradiction(yes: BookView, no: BookView) -> str:
    """Return what is wrong between the two books of one market, or an empty text.

    Both are one ladder: an ask of NO at p is a bid for YES at 1 - p. A book that crosses itself or its
    mirror is torn or stale data, never an opportunity.
    """
    if yes.best_bid_px_e6 >= yes.best_ask_px_e6 or no.best_bid_px_e6 >= no.best_ask_px_e6:
        return "crossed book"
    if yes.best_bid_px_e6 + no.best_ask_px_e6 != E6 or yes.best_ask_px_e6 + no.best_bid_px_e6 != E6:
        return "YES and NO are not mirrors"
    return ""


def skewed(books: Sequence[BookView], ts_ns: int, params: DutchParams) -> str:
    """Return how far the fresh legs' exchange times disagree, or an empty text.

    A leg that has not changed for ``max_book_age_ms`` is quiet, not stale. Among legs that have, one
    whose exchange time lies far behind was delivered late: the others may have moved on since.
    """
    oldest = ts_ns - params.max_book_age_ms * 1_000_000
    fresh = [book.exchange_ts_ms for book in books if book.recv_ts_ns >= oldest and book.exchange_ts_ms > 0]
    skew = max(fresh) - min(fresh) if fresh else 0
    return f"legs {skew} ms apart" if skew > params.max_skew_ms else ""
