"""Rebuild one market's books in exchange-time order and compare every batch with the venue's hash.

A batch is all price changes of one (market, timestamp) for one token; its hash is that of the whole book
after them. Frames arrive out of order, so a group of messages of one timestamp is settled only when the
market's newest time is ``HORIZON_MS`` ahead. Stamps have 1 ms resolution: within one, sub-batches (each
with its own hash) are put in the order in which their hashes come true, else in arrival order.

Invariants: memory is bounded by the horizon, not by the recording; a batch before its token's first
snapshot is not counted as checked. Knows no running system: see book_check_live.
"""

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice
from typing import NamedTuple

from overround.core.market import Market
from overround.polymarket.book_check_input import Change, Message, e6
from overround.polymarket.book_check_ladder import BadLevel, Ladder, Step, step_of
from overround.polymarket.book_check_misses import WINDOW_MS, Case, Classifier, MissClass, Nearby, Verdict
from overround.polymarket.book_check_settle import (
    Arrival,
    Connection,
    Settled,
    Settling,
    SubBatch,
    sub_batches,
    ties_of,
)
from overround.polymarket.book_check_tally import Tally
from overround.polymarket.book_check_terms import HashText, MarketTerms, Terms

HORIZON_MS = 2_000
"""How long a group waits for late frames; the latest one measured came 89 ms late."""

MAX_TIES = 8
"""Open ties kept while hashes do not come true."""

RECIPE_SINCE_MS = 1_764_547_200_000
"""2025-12-01: books hashed before it follow older recipes that nobody can compute any more."""


class Applied(NamedTuple):
    """A change that was applied, and what takes it back."""

    ts_ms: int
    undo: Step


class TokenBook:
    """One token's rebuilt book."""

    def __init__(self, token_id: str) -> None:
        self.token_id = token_id
        self.ladder: Ladder | None = None
        """In exchange-time order."""
        self.arrived: Ladder | None = None
        """In plain arrival order, as a naive program would hold it."""
        self.applied: deque[Applied] = deque()
        self.ties: list[Step] = []
        """Values of levels that no hash has ruled out yet, see ``ties_of``."""
        self.synced: set[Connection] = set()
        self.untrue_since_ms: int | None = None
        self.unexplained = False
        """Whether the present untrue run holds an unexplained miss."""


class MarketCheck:
    """One market's messages, waiting for their order, and its two books."""

    def __init__(self, condition_id: str, hints: Market | None, tally: Tally, classifier: Classifier) -> None:
        self._condition_id = condition_id
        self._tally = tally
        self._classifier = classifier
        self.found = MarketTerms(hints)
        self._terms: Terms | None = None
        self._books: dict[str, TokenBook] = {}
        self._groups: dict[int, list[Arrival]] = {}
        self._times: list[int] = []
        self._newest_ms = 0
        self._last_ms: dict[Connection, int] = {}
        self._settled_ms = -1

    def take(self, order: int, connection: Connection, message: Message) -> None:
        """Take one message in arrival order; settle what has waited long enough."""
        if message.bids is None and message.price_changes is None:
            if message.event_type == "last_trade_price" and message.price is not None:
                self.found.trade_printed(message.price)
            return
        try:
            read = self._changes if message.bids is None else self._snapshot
            arrival = read(order, connection, message)
        except BadLevel:
            return  # the live decoder counts it as rejected
        if arrival is None:
            return
        ts_ms = message.ts_ms
        if ts_ms < self._newest_ms:
            self._tally.late_frames += 1
        self._newest_ms = max(self._newest_ms, ts_ms)
        self._last_ms[connection] = max(self._last_ms.get(connection, 0), ts_ms)
        if ts_ms <= self._settled_ms:
            self._tally.beyond_horizon += 1
            return
        if ts_ms not in self._groups:
            self._groups[ts_ms] = []
            heappush(self._times, ts_ms)
        self._groups[ts_ms].append(arrival)
        while self._times[0] < self._newest_ms - HORIZON_MS:
            self._settle_next()

    def finish(self) -> None:
        """Settle everything that waits."""
        while self._times:
            self._settle_next()
        for book in self._books.values():
            self._end_of_run(book, self._newest_ms)

    def _book(self, token_id: str) -> TokenBook:
        book = self._books.get(token_id)
        if book is None:
            book = self._books[token_id] = TokenBook(token_id)
        return book

    def _snapshot(self, order: int, connection: Connection, message: Message) -> Arrival | None:
        """Verify a snapshot at once; ``None`` for one whose hash is wrong: nothing is built upon it."""
        ladder = Ladder.of(message.bids or (), message.asks or ())
        book = self._book(message.asset_id)
        book.arrived = ladder.copy()
        terms = None
        if message.hash and message.ts_ms < RECIPE_SINCE_MS:
            self._tally.books_of_old_recipe += 1
        elif message.hash:
            solved = self.found.solve(HashText.of_message(message), message.hash, message)
            self._tally.book(message, solved)
            if solved is None:
                return None
            terms = solved[0]
        return Arrival(order, connection, message, [], ladder, terms, {})

    def _changes(self, order: int, connection: Connection, message: Message) -> Arrival | None:
        steps = [(change, step_of(change)) for change in message.price_changes or ()]
        texts = {}
        for change, step in steps:
            arrived = self._book(change.asset_id).arrived
            if arrived is not None:
                arrived.apply(step)
        for token_id in {change.asset_id for change, _ in steps}:
            arrived = self._book(token_id).arrived
            if arrived is not None:
                texts[token_id] = arrived.texts()
        return Arrival(order, connection, message, steps, None, None, texts)

    # --- settling one timestamp --------------------------------------------------------------------

    def _settle_next(self) -> None:
        ts_ms = heappop(self._times)
        self._settled_ms = ts_ms
        group = self._groups.pop(ts_ms)
        snapshots: dict[str, list[Arrival]] = {}
        changes: dict[str, list[tuple[Arrival, Change, Step]]] = {}
        for arrival in group:
            if arrival.ladder is not None:
                snapshots.setdefault(arrival.message.asset_id, []).append(arrival)
            for change, step in arrival.steps:
                changes.setdefault(change.asset_id, []).append((arrival, change, step))
        terms = [arrival.terms for arrival in group if arrival.terms is not None]
        options = list(dict.fromkeys(([self._terms] if self._terms is not None else []) + terms))
        for token_id in dict.fromkeys([*snapshots, *changes]):
            self._settle_token(
                self._book(token_id), ts_ms, snapshots.get(token_id, []), changes.get(token_id, []), options
            )
        if terms:
            self._terms = terms[-1]
        self._compare_mirror(dict.fromkeys([*snapshots, *changes]))

    def _settle_token(
        self,
        book: TokenBook,
        ts_ms: int,
        snapshots: list[Arrival],
        changes: list[tuple[Arrival, Change, Step]],
        options: list[Terms],
    ) -> None:
        batches = sub_batches(changes)
        settling = Settling(self._condition_id, book.token_id, str(ts_ms), snapshots, batches, options)
        settled = self._settle_with_ties(book, settling, batches)
        book.ladder = settled.ladder
        if snapshots and not batches:
            book.ties = []
        book.synced.update(arrival.connection for arrival in snapshots)
        book.applied.extend(Applied(ts_ms, undo) for undo in settled.applied)
        while book.applied and book.applied[0].ts_ms < ts_ms - WINDOW_MS:
            book.applied.popleft()
        if snapshots and not batches and any(arrival.terms for arrival in snapshots):
            self._end_of_run(book, ts_ms)
        wanted = {batch.hash for batch in batches if batch.hash}
        if not wanted:
            return
        if book.ladder is None or ts_ms < RECIPE_SINCE_MS:
            self._tally.batches_unchecked += 1
            return
        last_arrival = max((arrival for arrival, _, _ in changes), key=lambda arrival: arrival.order)
        self._tally.batches_checked += 1
        self._tally.ties_reordered += settled.reordered
        self._tally.hash_ok_arrival_order += self._arrived_right(book, ts_ms, last_arrival, wanted, options)
        self._compare_top(book, settled)
        if settled.right:
            self._tally.batches_ok += 1
            self._end_of_run(book, ts_ms)
            return
        verdict = self._verdict(book, ts_ms, settled.false or wanted, options, last_arrival.connection)
        self._tally.miss(book.token_id, ts_ms, verdict)
        book.unexplained |= verdict.kind is MissClass.UNEXPLAINED
        if book.untrue_since_ms is None:
            book.untrue_since_ms = ts_ms

    def _settle_with_ties(self, book: TokenBook, settling: Settling, batches: list[SubBatch]) -> Settled:
        """Settle; if that is not right, decide an open tie of the millisecond before the other way."""
        if not batches or book.ladder is None:
            return settling.run(book.ladder)
        start = book.ladder.copy() if book.ties else book.ladder
        settled = settling.run(book.ladder)
        for step in [] if settled.right else book.ties:
            other = start.copy()
            other.apply(step)
            again = settling.run(other)
            if again.right:
                settled = again._replace(reordered=True)
                break
        if settled.ladder is not None:
            ties = ties_of(batches, settled.ladder)
            book.ties = ties if settled.right else [*book.ties, *ties][-MAX_TIES:]
        return settled

    def _arrived_right(
        self, book: TokenBook, ts_ms: int, last: Arrival, wanted: set[str], options: list[Terms]
    ) -> bool:
        texts = last.texts.get(book.token_id)
        if texts is None:
            return False
        text = HashText(self._condition_id, book.token_id, str(ts_ms), *texts)
        return any(text.under(terms) in wanted for terms in options)

    def _verdict(
        self, book: TokenBook, ts_ms: int, wanted: set[str], options: list[Terms], connection: Connection
    ) -> Verdict:
        assert book.ladder is not None
        case = Case(
            HashText(self._condition_id, book.token_id, str(ts_ms), b"", b""),
            book.ladder,
            wanted,
            options[-1] if options else None,
            list(self._later(book.token_id, ts_ms)),
            [Nearby(MissClass.LATE, undo, at_ms - ts_ms) for at_ms, undo in reversed(book.applied)],
        )
        verdict = self._classifier.classify(case, self.found, self._hole(book, ts_ms, connection))
        if verdict.terms is not None:
            self._terms = verdict.terms
        return verdict

    def _hole(self, book: TokenBook, ts_ms: int, connection: Connection) -> str | None:
        """Return what the feed lacks around a batch, if anything."""
        if connection not in book.synced:
            return "no snapshot since the connection began"
        if self._last_ms[connection] <= ts_ms + WINDOW_MS:
            return "the connection ends here: what follows is not in the recording"
        return None

    def _later(self, token_id: str, ts_ms: int) -> Iterator[Nearby]:
        for later_ms in sorted(at_ms for at_ms in self._times if at_ms <= ts_ms + WINDOW_MS):
            for arrival in self._groups[later_ms]:
                for change, step in arrival.steps:
                    if change.asset_id == token_id:
                        yield Nearby(MissClass.NEXT_INCLUDED, step, later_ms - ts_ms)

    def _end_of_run(self, book: TokenBook, ts_ms: int) -> None:
        if book.untrue_since_ms is not None:
            self._tally.untrue(ts_ms - book.untrue_since_ms, unexplained=book.unexplained)
            book.untrue_since_ms = None
            book.unexplained = False

    # --- the other two witnesses -------------------------------------------------------------------

    def _compare_top(self, book: TokenBook, settled: Settled) -> None:
        change = settled.last
        if change is None or book.ladder is None or not (change.best_bid and change.best_ask):
            return
        self._tally.top_checked += 1
        self._tally.top_mismatch += book.ladder.top() != (e6(change.best_bid), e6(change.best_ask))

    def _compare_mirror(self, touched: dict[str, None]) -> None:
        ladders = [self._books[token_id].ladder for token_id in islice(touched, 2)]
        if len(ladders) == 2 and ladders[0] is not None and ladders[1] is not None:
            self._tally.mirror_checked += 1
            self._tally.mirror_mismatch += not ladders[0].mirrors(ladders[1])
