"""What a book check counts, and the report it becomes.

Invariants: every checked batch is either right or in exactly one class of misses; the report's field
names are the contract of ``book-check --json``.
"""

from collections import Counter

import msgspec

from overround.polymarket.book_check_input import Message
from overround.polymarket.book_check_misses import MissClass, Verdict
from overround.polymarket.book_check_terms import FoundBy, Terms

MAX_EXAMPLES = 20
"""Misses of one class, and books, that are listed singly."""


class BookCount(msgspec.Struct, frozen=True):
    """Snapshots whose hash was checked."""

    checked: int
    hash_ok: int
    found_by: dict[str, int]
    """How the last trade price became known, see ``FoundBy``."""


class Misses(msgspec.Struct, frozen=True):
    """Batches whose hash was not that of the rebuilt book, by class (see book_check_misses)."""

    late: int
    next_included: int
    unknown_last_trade: int
    gap: int
    unexplained: int


class BatchCount(msgspec.Struct, frozen=True):
    """Price-change batches."""

    checked: int
    hash_ok: int
    """After ordering by exchange time."""
    hash_ok_arrival_order: int
    """Applied blindly as they came."""
    longest_untrue_ms: int
    """Longest span of exchange time from a miss to the token's next right batch or snapshot."""
    misses: Misses
    longest_unexplained_ms: int
    """The same span for runs that hold an unexplained miss."""
    ties_reordered: int
    """Batches in which changes of one millisecond had arrived in another order than their hashes tell."""
    without_snapshot: int
    """Not checked: before their token's first snapshot."""


class Agreement(msgspec.Struct, frozen=True):
    """How often a witness was asked, and how often it disagreed."""

    checked: int
    mismatch: int


class Resync(msgspec.Struct, frozen=True):
    """A book that needed a new snapshot."""

    token: str
    reason: str
    at_ms: int


class Example(msgspec.Struct, frozen=True):
    """One miss or wrong book."""

    what: str
    token: str
    at_ms: int
    """Exchange time."""
    detail: str


class Rebuilt(msgspec.Struct, frozen=True):
    """The witnesses against the books rebuilt in exchange-time order."""

    top: Agreement
    mirror: Agreement


class FileReport(msgspec.Struct, frozen=True):
    """One file of ``book-check --json``."""

    path: str
    frames: int
    rejected: int
    tokens: int
    books: BookCount
    batches: BatchCount
    top: Agreement
    mirror: Agreement
    late_frames: int
    resyncs: list[Resync]
    states_ms: dict[str, int]
    rebuilt: Rebuilt
    running: dict[str, int]
    """The running system's own counters, see ``BookCounters``: also what share of hashes it checked."""
    examples: list[Example]
    notes: list[str]

    @property
    def ok(self) -> bool:
        """Whether every book verifies and every miss is explained."""
        return self.books.checked == self.books.hash_ok and not self.batches.misses.unexplained


class Tally:
    """Counters of one check."""

    def __init__(self) -> None:
        self.books_checked = 0
        self.books_ok = 0
        self.books_of_old_recipe = 0
        self.found_by: Counter[FoundBy] = Counter()
        self.batches_checked = 0
        self.batches_ok = 0
        self.hash_ok_arrival_order = 0
        self.ties_reordered = 0
        self.batches_unchecked = 0
        self.longest_untrue_ms = 0
        self.longest_unexplained_ms = 0
        self.misses: Counter[MissClass] = Counter()
        self.late_frames = 0
        self.beyond_horizon = 0
        self.top_checked = 0
        self.top_mismatch = 0
        self.mirror_checked = 0
        self.mirror_mismatch = 0
        self.examples: list[Example] = []
        self._listed: Counter[str] = Counter()

    def book(self, message: Message, solved: tuple[Terms, FoundBy] | None) -> None:
        """Count one snapshot with a hash."""
        self.books_checked += 1
        if solved is not None:
            self.books_ok += 1
            self.found_by[solved[1]] += 1
        else:
            self._example("book", message.asset_id, message.ts_ms, f"no terms give its hash {message.hash}")

    def miss(self, token_id: str, ts_ms: int, verdict: Verdict) -> None:
        """Count one batch that was not right."""
        self.misses[verdict.kind] += 1
        self._example(verdict.kind, token_id, ts_ms, verdict.detail)

    def untrue(self, span_ms: int, *, unexplained: bool) -> None:
        """Note how long a token's book was not what the hashes say."""
        self.longest_untrue_ms = max(self.longest_untrue_ms, span_ms)
        if unexplained:
            self.longest_unexplained_ms = max(self.longest_unexplained_ms, span_ms)

    def _example(self, what: str, token_id: str, ts_ms: int, detail: str) -> None:
        self._listed[what] += 1
        if self._listed[what] <= MAX_EXAMPLES:
            self.examples.append(Example(what, token_id, ts_ms, detail))

    def book_count(self) -> BookCount:
        """Return the snapshot counters."""
        found_by = {name.value: self.found_by[name] for name in FoundBy}
        return BookCount(self.books_checked, self.books_ok, found_by)

    def batch_count(self) -> BatchCount:
        """Return the batch counters."""
        return BatchCount(
            checked=self.batches_checked,
            hash_ok=self.batches_ok,
            hash_ok_arrival_order=self.hash_ok_arrival_order,
            longest_untrue_ms=self.longest_untrue_ms,
            misses=Misses(**{kind.value: self.misses[kind] for kind in MissClass}),
            longest_unexplained_ms=self.longest_unexplained_ms,
            ties_reordered=self.ties_reordered,
            without_snapshot=self.batches_unchecked,
        )

    def rebuilt(self) -> Rebuilt:
        """Return the other witnesses' counters."""
        return Rebuilt(
            top=Agreement(self.top_checked, self.top_mismatch),
            mirror=Agreement(self.mirror_checked, self.mirror_mismatch),
        )

    def notes(self) -> list[str]:
        """Return what a reader must know to understand the figures."""
        notes = []
        if not (self.books_checked or self.batches_checked or self.books_of_old_recipe):
            notes.append("no hash in this recording: nothing to verify")
        if self.books_of_old_recipe:
            notes.append(f"{self.books_of_old_recipe} books precede the hash recipe of 2025-12: not checked")
        if self.beyond_horizon:
            notes.append(f"{self.beyond_horizon} messages came too late to be ordered: hashed, not applied")
        hidden = sum(count - MAX_EXAMPLES for count in self._listed.values() if count > MAX_EXAMPLES)
        if hidden:
            notes.append(f"{hidden} more misses are not listed singly")
        return notes
