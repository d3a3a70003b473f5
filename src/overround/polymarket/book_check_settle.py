"""Put the messages of one token and millisecond into the order in which their hashes come true.

Exchange stamps have a resolution of 1 ms; on a busy market several changes share one, each frame with the
hash of the book after it, and they may arrive in any order. Whichever change makes its hash come true is
next. Invariants: the outcome does not depend on arrival order where hashes decide; a ladder passed in that
has snapshots beside it is not written to.
"""

from collections import Counter
from typing import NamedTuple

from overround.polymarket.book_check_input import Change, Message
from overround.polymarket.book_check_ladder import Ladder, Step
from overround.polymarket.book_check_terms import HashText, Terms

MAX_TRIES = 256
"""Books hashed in search of one millisecond's order; the most sub-batches seen in one were three."""

Connection = tuple[int, int]
"""Stream and generation."""


class Arrival(NamedTuple):
    """One message as it arrived, with what was true of the books at that moment."""

    order: int
    connection: Connection
    message: Message
    steps: list[tuple[Change, Step]]
    """Of price changes."""
    ladder: Ladder | None
    """Of a snapshot."""
    terms: Terms | None
    """Under which a snapshot's hash is right; ``None`` also for one that is wrong."""
    texts: dict[str, tuple[bytes, bytes]]
    """Each changed token's book in plain arrival order, after this message."""


class SubBatch(NamedTuple):
    """Changes of one token and timestamp that share one hash."""

    hash: str
    order: int
    changes: list[tuple[Change, Step]]


class Settled(NamedTuple):
    """What came of one token's messages of one timestamp."""

    ladder: Ladder | None
    verified: int
    reordered: bool
    right: bool
    """Whether the book after the last change has the hash it should."""
    false: set[str]
    """Hashes of the sub-batches that did not come true."""
    applied: list[Step]
    last: Change | None


def sub_batches(changes: list[tuple[Arrival, Change, Step]]) -> list[SubBatch]:
    """Return the changes grouped by hash, in order of first arrival."""
    by_hash: dict[str, SubBatch] = {}
    for arrival, change, step in changes:
        batch = by_hash.get(change.hash)
        if batch is None:
            batch = by_hash[change.hash] = SubBatch(change.hash, arrival.order, [])
        batch.changes.append((change, step))
    return list(by_hash.values())


class Settling:
    """Finds the order in which one token's messages of one timestamp make their hashes come true."""

    def __init__(
        self,
        condition_id: str,
        token_id: str,
        timestamp: str,
        snapshots: list[Arrival],
        batches: list[SubBatch],
        options: list[Terms],
    ) -> None:
        self._head = HashText(condition_id, token_id, timestamp, b"", b"")
        self._snapshots = snapshots
        self._batches = batches
        self._options = options
        self._tries_left = MAX_TRIES

    def run(self, ladder: Ladder | None) -> Settled:
        """Return the outcome. A snapshot goes first, unless more hashes come true when it waits."""
        if not self._snapshots:
            return self._chain(ladder, [])
        first = self._chain(self._snapshot(self._snapshots[-1]), [])
        if ladder is None or first.verified == len(self._batches):
            return first
        second = self._chain(ladder.copy(), self._snapshots)
        return second if (second.verified, second.right) > (first.verified, first.right) else first

    @staticmethod
    def _snapshot(arrival: Arrival) -> Ladder:
        assert arrival.ladder is not None
        return arrival.ladder.copy()

    def _chain(self, ladder: Ladder | None, snapshots: list[Arrival]) -> Settled:
        """Apply what makes hashes come true, then the next snapshot, then the rest as it arrived."""
        waiting = list(self._batches)
        shown_at = -1
        applied: list[Step] = []
        verified, right, reordered = 0, False, False
        last: Change | None = None
        false: set[str] = set()
        if not snapshots and self._snapshots:
            # A snapshot with a batch's own hash is that batch's outcome: nothing is left to apply.
            shown = {arrival.message.hash for arrival in self._snapshots}
            shown_at = max(arrival.order for arrival in self._snapshots)
            seen = [batch for batch in waiting if batch.hash in shown]
            waiting = [batch for batch in waiting if batch.hash not in shown]
            verified, right = len(seen), bool(seen)
            last = seen[-1].changes[-1][0] if seen else None
        snapshots = list(snapshots)
        while ladder is not None and (waiting or snapshots):
            path = self._true_path(ladder, waiting)
            if not path and snapshots:
                ladder = self._snapshot(snapshots.pop(0))
                continue
            for batch in path or waiting[:1]:
                reordered = reordered or batch is not waiting[0]
                waiting.remove(batch)
                if not path and batch.order < shown_at:
                    continue  # older than the snapshot of its own millisecond, which holds it already
                applied.extend(ladder.apply_all(step for _, step in batch.changes))
                verified += bool(path)
                right = bool(path)
                if not path:
                    false.add(batch.hash)
                last = batch.changes[-1][0]
        if not right and ladder is not None:
            right = any(self._is_true(ladder, batch.hash) for batch in self._batches)
        return Settled(ladder, verified, reordered, right, false, applied, last)

    def _true_path(self, ladder: Ladder, waiting: list[SubBatch]) -> list[SubBatch]:
        """Return the longest sequence of sub-batches in which each makes its hash come true.

        Several may start: of two values of one level the later one hides the earlier. Only true steps are
        followed, so the search stays small.
        """
        longest: list[SubBatch] = []
        for batch in waiting:
            if self._tries_left <= 0:
                break
            self._tries_left -= 1
            undo = ladder.apply_all(step for _, step in batch.changes)
            if self._is_true(ladder, batch.hash):
                rest = [other for other in waiting if other is not batch]
                path = [batch, *self._true_path(ladder, rest)]
                if len(path) > len(longest):
                    longest = path
            ladder.apply_all(undo)
            if len(longest) == len(waiting):
                break
        return longest

    def _is_true(self, ladder: Ladder, wanted: str) -> bool:
        bids, asks = ladder.texts()
        text = self._head._replace(bids=bids, asks=asks)
        return any(text.under(terms) == wanted for terms in self._options)


def ties_of(batches: list[SubBatch], ladder: Ladder) -> list[Step]:
    """Return the other values that levels had in the same millisecond: any of them may have been the last.

    Two changes of one level are true in either order, each replacing the other; the next hash tells.
    """
    if len(batches) < 2:
        return []
    steps = dict.fromkeys(step for batch in batches for _, step in batch.changes)
    touched = Counter((step.side, step.px_e6) for step in steps)
    return [
        step
        for step in steps
        if touched[step.side, step.px_e6] > 1 and ladder.sides[step.side].get(step.px_e6) != step.rung
    ]
