"""What metadata allows on an event: mutual exclusivity for the short side, exhaustiveness for the long one.

Theory (strategy-spec 2.8). Buying NO of several outcomes needs only that at most one of them wins. Buying
YES of all needs more: that one of those bought must win. Every question of the event has to be known,
and be tradable or already resolved NO. 'Other', placeholders and outcomes missing from the list are
outcomes that can win and cannot be bought.

Invariants: a gate depends on metadata alone, so it is computed when metadata changes and never on the
hot path; what is unknown closes it. Knows no book.
"""

from collections.abc import Mapping

import msgspec

from overround.core.market import EventKind, Market, MarketEvent
from overround.strategies.dutch_book.certify import Verdict


class Refusal(msgspec.Struct, frozen=True):
    """Why metadata forbids a structure."""

    verdict: Verdict
    detail: str


class Gate(msgspec.Struct, frozen=True):
    """One event, read for the Dutch book."""

    event: MarketEvent
    legs: tuple[Market, ...]
    """Outcomes whose tokens may be bought, in listing order."""
    left_out: tuple[str, ...]
    """Names of the other outcomes that may still win."""
    long_refusal: Refusal | None
    short_refusal: Refusal | None
    other_only: bool
    """Whether 'Other' and placeholders are all that stands against the long side."""
    convertible: bool
    """Whether a set of NO can be turned into cash before the event ends, as far as metadata says."""


def read_gate(event: MarketEvent, markets: Mapping[str, Market]) -> Gate:
    """Return what may be bought on ``event``; ``markets`` by condition id may lack some of its markets."""
    known = [markets[cid] for cid in event.condition_ids if cid in markets]
    missing = len(event.condition_ids) - len(known)
    open_ones = [market for market in known if not _resolved_no(market)]
    legs = tuple(m for m in open_ones if m.tradable and not (m.other or m.placeholder))
    bought = {market.condition_id for market in legs}
    left_out = tuple(state_name(m) for m in open_ones if m.condition_id not in bought)
    left_out += tuple(f"unknown {n + 1}" for n in range(missing))
    both = _exclusivity(event, known, legs)
    unbuyable = _incompleteness(event, known, missing)
    other = _other(event, known)
    return Gate(
        event=event,
        legs=legs,
        left_out=left_out,
        long_refusal=both or unbuyable or other,
        short_refusal=both,
        other_only=both is None and unbuyable is None and other is not None,
        convertible=event.neg_risk_market_id is not None
        and event.convert_fee_bips == 0
        and all(market.question_index is not None for market in legs),
    )


def state_name(market: Market) -> str:
    """Return the name of the state in which this market's outcome wins."""
    return market.title or market.question or market.condition_id


def _exclusivity(event: MarketEvent, known: list[Market], legs: tuple[Market, ...]) -> Refusal | None:
    """Return why not even the short side is possible."""
    if event.kind is EventKind.BINARY or len(event.condition_ids) == 1:
        return Refusal(Verdict.X1_SINGLE_MARKET, "one market's two tokens share one book")
    if event.kind is EventKind.INDEPENDENT or not all(market.neg_risk for market in known):
        return Refusal(Verdict.NOT_EXCLUSIVE, "several outcomes may win")
    if winner := next((m for m in known if m.winner == m.yes.token_id), None):
        return Refusal(Verdict.DECIDED, state_name(winner))
    if len(legs) < 2:
        return Refusal(Verdict.NON_EXHAUSTIVE, f"{len(legs)} tradable outcomes")
    if unpriced := next((market for market in legs if market.fee is None), None):
        return Refusal(Verdict.FEE_UNKNOWN, state_name(unpriced))
    return None


def _incompleteness(event: MarketEvent, known: list[Market], missing: int) -> Refusal | None:
    """Return which outcome, apart from 'Other' and placeholders, may win without being bought."""
    if missing:
        return Refusal(Verdict.NON_EXHAUSTIVE, f"{missing} outcomes without metadata")
    for market in known:
        if not (market.tradable or _resolved_no(market) or market.other or market.placeholder):
            why = market.uma_status or "closed to orders"
            return Refusal(Verdict.NON_EXHAUSTIVE, f"{state_name(market)}: {why}")
    indices = [market.question_index for market in known]
    if None in indices or sorted(index for index in indices if index is not None) != list(range(len(known))):
        return Refusal(Verdict.NON_EXHAUSTIVE, "question indices are not complete from 0")
    return None


def _other(event: MarketEvent, known: list[Market]) -> Refusal | None:
    """Return whether the event has outcomes that cannot be bought by design."""
    if catch_all := next((market for market in known if market.other), None):
        return Refusal(Verdict.NON_EXHAUSTIVE, f"'Other' may win: {state_name(catch_all)}")
    if unnamed := next((market for market in known if market.placeholder), None):
        return Refusal(Verdict.NON_EXHAUSTIVE, f"a placeholder may win: {state_name(unnamed)}")
    if event.kind is EventKind.AUGMENTED:
        return Refusal(Verdict.NON_EXHAUSTIVE, "augmented: outcomes may be added")
    return None


def _resolved_no(market: Market) -> bool:
    return market.winner == market.no.token_id
