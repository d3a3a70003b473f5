"""Why a price-change batch's hash was not that of the rebuilt book: one class each, with its proof.

A class is given only when a book was *found* that has the venue's hash, so each is proven by SHA-1:

- next_included: changes stamped up to ``WINDOW_MS`` later are in it already (the venue stamps a change
  before it hashes, and the next change got in between);
- late: changes stamped earlier or equally are not in it yet (they took effect in another order);
- unknown_last_trade: the same book under another last trade price or tick;
- gap: none found, and the feed has a hole here: no snapshot has come since a reconnection, or the
  connection (or the recording) ends before the changes that could be in the hash already;
- unexplained: none found.

Invariants: a ladder is left as it was; the work is bounded, whatever the recording holds.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

from overround.polymarket.book_check_ladder import Ladder, Step
from overround.polymarket.book_check_terms import HashText, MarketTerms, Terms

WINDOW_MS = 250
"""How far around a batch changes are tried: what lasts longer is no reordering but a fault."""

MAX_NEXT = 32
MAX_NEXT_WITH_TERMS = 3
MAX_SINGLES = 400
MAX_IN_PAIRS = 48
MAX_FUTILE = 100
"""Searches without result in one check; after that the recording is broken and only the first is made."""


class MissClass(StrEnum):
    """See the module's text."""

    LATE = "late"
    NEXT_INCLUDED = "next_included"
    UNKNOWN_LAST_TRADE = "unknown_last_trade"
    GAP = "gap"
    UNEXPLAINED = "unexplained"


class Nearby(NamedTuple):
    """A change near a batch: what it would do to the book, and its distance in exchange time."""

    kind: MissClass
    """NEXT_INCLUDED: ``step`` applies a later change. LATE: ``step`` takes an earlier one back."""
    step: Step
    distance_ms: int


class Verdict(NamedTuple):
    """The class of a miss and what proves it."""

    kind: MissClass
    detail: str
    terms: Terms | None = None
    """The terms found, when they are the reason."""


class Case(NamedTuple):
    """One failing batch of one token."""

    head: HashText
    """Market, token and timestamp; its level texts are replaced by those of each book tried."""
    ladder: Ladder
    wanted: Collection[str]
    terms: Terms | None
    later: Sequence[Nearby]
    """Changes that follow within the window, in exchange order."""
    earlier: Sequence[Nearby]
    """Changes applied within the window before, this batch's own included, the last one first."""

    def text(self) -> HashText:
        """Return the hashed text of the ladder as it is now."""
        bids, asks = self.ladder.texts()
        return self.head._replace(bids=bids, asks=asks)

    def fits(self, steps: Sequence[Step]) -> bool:
        """Whether the book has a wanted hash once ``steps`` are applied; they are undone again."""
        if self.terms is None:
            return False
        undo = self.ladder.apply_all(steps)
        fits = self.text().under(self.terms) in self.wanted
        self.ladder.apply_all(undo)
        return fits


class Classifier:
    """Finds the class of misses; stops searching in a recording where searching is futile."""

    def __init__(self) -> None:
        self._futile = 0

    def classify(self, case: Case, terms: MarketTerms, hole: str | None) -> Verdict:
        """Return the verdict on ``case``. ``hole`` says what the feed lacks here, if anything."""
        verdict = _next(case)
        if verdict is None and self._futile < MAX_FUTILE:
            verdict = _other_terms(case, terms, ()) or _reordered(case) or _next_and_terms(case, terms)
        if verdict is not None:
            return verdict
        self._futile += 1
        if hole is not None:
            return Verdict(MissClass.GAP, hole)
        return Verdict(MissClass.UNEXPLAINED, "no book near this one has the hash")


def _next(case: Case) -> Verdict | None:
    steps: list[Step] = []
    for near in case.later[:MAX_NEXT]:
        steps.append(near.step)
        if case.fits(steps):
            return Verdict(
                MissClass.NEXT_INCLUDED, f"with the next {len(steps)}, up to {near.distance_ms} ms later"
            )
    return None


def _other_terms(case: Case, terms: MarketTerms, steps: Sequence[Step]) -> Verdict | None:
    undo = case.ladder.apply_all(steps)
    found = [terms.solve(case.text(), wanted) for wanted in case.wanted]
    case.ladder.apply_all(undo)
    for solved in found:
        if solved is not None:
            after = f" after the next {len(steps)}" if steps else ""
            return Verdict(
                MissClass.UNKNOWN_LAST_TRADE,
                f"last trade {solved[0].last_trade_price} tick {solved[0].tick_size}{after}",
                solved[0],
            )
    return None


def _next_and_terms(case: Case, terms: MarketTerms) -> Verdict | None:
    for count in range(1, min(len(case.later), MAX_NEXT_WITH_TERMS) + 1):
        verdict = _other_terms(case, terms, [near.step for near in case.later[:count]])
        if verdict is not None:
            return verdict
    return None


def _reordered(case: Case) -> Verdict | None:
    nearby = [*_nearest(case.later), *_nearest(case.earlier)]
    nearby.sort(key=lambda near: abs(near.distance_ms))
    for near in nearby[:MAX_SINGLES]:
        if case.fits([near.step]):
            return _verdict([near])
    for pair in combinations(nearby[:MAX_IN_PAIRS], 2):
        if case.fits([near.step for near in pair]):
            return _verdict(list(pair))
    return None


def _nearest(nearby: Sequence[Nearby]) -> list[Nearby]:
    """Return the nearest change of each level.

    One further off cannot be in, or out, without the nearer one: that a level had the same size once
    before would be chance, not a reason.
    """
    by_level: dict[tuple[int, int], Nearby] = {}
    for near in nearby:
        by_level.setdefault((near.step.side, near.step.px_e6), near)
    return list(by_level.values())


def _verdict(nearby: list[Nearby]) -> Verdict:
    late = any(near.kind is MissClass.LATE for near in nearby)
    words = {MissClass.NEXT_INCLUDED: "with", MissClass.LATE: "without"}
    what = ", ".join(f"{words[near.kind]} the change at {near.distance_ms:+d} ms" for near in nearby)
    return Verdict(MissClass.LATE if late else MissClass.NEXT_INCLUDED, what)
