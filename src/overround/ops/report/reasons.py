"""Every reason that a strategy or a risk check can give, in one plain sentence, in the order of the funnel.

Invariants: the order of :data:`REASONS` is the order in which an opportunity is looked at, first what ends
it soonest. A reason that is not known here is shown as it is; a test keeps the table complete.
"""

from enum import StrEnum
from typing import Final

import msgspec


class Stage(StrEnum):
    """How far an opportunity came."""

    FORBIDDEN = "forbidden"
    """The event, the market or the configuration rules it out, whatever the prices."""
    REFUSED = "refused"
    """Looked at, and not worth it or not safe."""
    WAITING = "waiting"
    """Good, but not now."""
    ACTED = "acted"
    """Led to orders."""
    CHECKED = "checked"
    """Wanted by a strategy, stopped by a risk check."""


class Explained(msgspec.Struct, frozen=True):
    """A reason's place and meaning."""

    stage: Stage
    sentence: str


_TABLE: Final[dict[Stage, dict[str, str]]] = {
    Stage.FORBIDDEN: {
        "disabled": "Switched off in the configuration.",
        "not_tracked": "The market's books are not subscribed.",
        "not_tradable": "The venue takes no orders for this market.",
        "x1_single_market": "One market's two tokens share a single book.",
        "not_exclusive": "Several of the event's markets may resolve YES.",
        "non_exhaustive": "An outcome that cannot be bought may win.",
        "decided": "An outcome has already won.",
        "ending": "The market is about to end.",
        "tick_mismatch": "The venue's tick is not the configured one.",
        "fee_unknown": "The venue's fee for a market is not known.",
        "rules_changed": "Resolution texts changed and nobody accepted them.",
    },
    Stage.REFUSED: {
        "no_gap": "A full set costs at least what it pays.",
        "sub_fee": "Fees eat the gap even at the best prices.",
        "not_live": "A book is not known to be true yet.",
        "stale_crossed": "Books contradict each other or the clock.",
        "crossed": "The best bid is not below the best ask.",
        "silent": "The book's connection has gone silent.",
        "quiet": "The book has not moved for too long.",
        "no_mid": "A side of the book is empty: there is no mid.",
        "wide_spread": "The spread is too wide to trust the mid.",
        "too_many_legs": "More legs than one basket may have.",
        "sub_lot": "No size that may be ordered is profitable.",
        "no_capital": "Too little free cash for the smallest basket.",
        "below_min_profit": "Profitable, but less than the required minimum.",
        "legging_reject": "A half-filled basket could lose too much.",
        "guarded": "Price guards, caps or minimum sizes leave nothing.",
    },
    Stage.WAITING: {
        "basket_open": "An earlier basket on this event is still open.",
        "cooldown": "Too soon after the last basket on this event.",
        "mid_jump": "The mid jumped: quotes stay out and cool off.",
    },
    Stage.ACTED: {
        "other_allowed": "Profit unless an unlisted outcome wins.",
        "settlement_locked": "Guaranteed profit, paid at resolution.",
        "executable_now": "Guaranteed profit; the set converts to cash.",
        "quoting": "Quotes are wanted in the market.",
    },
    Stage.CHECKED: {
        "gate_closed": "Trading is not open: starting, paused or halted.",
        "unknown_market": "The market was never listed.",
        "market_not_tradable": "The venue takes no orders for this market.",
        "book_not_live": "The book is not known to be true.",
        "off_grid": "The price is not on the market's tick grid.",
        "size": "The size is below the market's minimum.",
        "post_only_crosses": "A resting order would trade at once.",
        "self_cross": "It would trade with one of our own orders.",
        "not_enough_shares": "The shares are not there, or not settled yet.",
        "not_enough_cash": "The cash is not there, or reserved.",
        "order_notional": "More than one order may cost.",
        "market_notional": "More than one market may bind.",
        "total_notional": "More than all markets together may bind.",
        "open_orders": "As many orders are open as may be.",
        "basket_shape": "Not a set of equal purchases.",
    },
}

REASONS: Final[dict[str, Explained]] = {
    reason: Explained(stage, sentence)
    for stage, sentences in _TABLE.items()
    for reason, sentence in sentences.items()
}

_RANKS: Final = {reason: rank for rank, reason in enumerate(REASONS)}


def explain(reason: str) -> Explained:
    """Return what ``reason`` means; one that is not known counts as refused and has no sentence."""
    return REASONS.get(reason) or Explained(Stage.REFUSED, "")


def rank(reason: str) -> int:
    """Return the reason's place in the funnel; unknown ones come last."""
    return _RANKS.get(reason, len(_RANKS))
