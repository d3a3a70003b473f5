"""One token's book rebuilt from exact texts, so that it can be hashed after every change.

Invariants: a level is kept as the text it was last sent with; a level of size zero is not kept. Knows no
time and no hash.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from overround.core.units import E6, UnitError
from overround.polymarket.book_check_input import Change, Level, e6


class Rung(NamedTuple):
    """One level: its compact JSON, and its size text."""

    text: bytes
    size: str


class Step(NamedTuple):
    """One change of one level: side 0 is bids, 1 is asks; ``None`` removes the level."""

    side: int
    px_e6: int
    rung: Rung | None


class BadLevel(ValueError):
    """A price, size or side that is none."""


def step_of(change: Change) -> Step:
    """Return a wire change as a step, its claimed best prices looked at too. Raises ``BadLevel``."""
    if change.side not in {"BUY", "SELL"}:
        raise BadLevel(change.side)
    for claimed in (change.best_bid, change.best_ask):
        if claimed:
            _millionths(claimed)
    return Step(0 if change.side == "BUY" else 1, *_rung(change.price, change.size))


@lru_cache(maxsize=65_536)
def _rung(price: str, size: str) -> tuple[int, Rung | None]:
    px_e6, qty_e6 = _millionths(price), _millionths(size)
    return px_e6, Rung(f'{{"price":"{price}","size":"{size}"}}'.encode(), size) if qty_e6 else None


def _millionths(text: str) -> int:
    try:
        return e6(text)
    except UnitError as why:
        raise BadLevel(str(why)) from why


class Ladder:
    """Bids and asks by price in millionths."""

    __slots__ = ("sides",)

    def __init__(self, bids: dict[int, Rung], asks: dict[int, Rung]) -> None:
        self.sides = (bids, asks)

    @classmethod
    def of(cls, bids: Iterable[Level], asks: Iterable[Level]) -> "Ladder":
        """Return the ladder of a snapshot. Raises ``BadLevel``."""
        return cls(_side(bids), _side(asks))

    def copy(self) -> "Ladder":
        """Return an independent copy."""
        return Ladder(dict(self.sides[0]), dict(self.sides[1]))

    def apply(self, step: Step) -> Step:
        """Apply one change and return the step that undoes it."""
        side = self.sides[step.side]
        before = side.get(step.px_e6)
        if step.rung is None:
            side.pop(step.px_e6, None)
        else:
            side[step.px_e6] = step.rung
        return Step(step.side, step.px_e6, before)

    def apply_all(self, steps: Iterable[Step]) -> list[Step]:
        """Apply changes in order and return the steps that undo them, in the order to undo them."""
        undo = [self.apply(step) for step in steps]
        undo.reverse()
        return undo

    def texts(self) -> tuple[bytes, bytes]:
        """Return bids and asks as the venue writes them: best level last."""
        bids, asks = self.sides
        return (
            b"[%b]" % b",".join([bids[px].text for px in sorted(bids)]),
            b"[%b]" % b",".join([asks[px].text for px in sorted(asks, reverse=True)]),
        )

    def top(self) -> tuple[int, int]:
        """Return best bid and best ask; 0 and 1,000,000 stand for empty sides, as the venue writes them."""
        bids, asks = self.sides
        return max(bids, default=0), min(asks, default=E6)

    def mirrors(self, other: "Ladder") -> bool:
        """Whether each level here is the other token's at one minus its price, with the same size."""
        return all(
            {px: e6(rung.size) for px, rung in mine.items()}
            == {E6 - px: e6(rung.size) for px, rung in theirs.items()}
            for mine, theirs in zip(self.sides, reversed(other.sides), strict=True)
        )


def _side(levels: Iterable[Level]) -> dict[int, Rung]:
    side = {}
    for level in levels:
        px_e6, rung = _rung(level.price, level.size)
        if rung is not None:
            side[px_e6] = rung
    return side
