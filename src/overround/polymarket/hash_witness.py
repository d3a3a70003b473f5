"""The witness that sees every level: compares the venue's hashes with our books.

A snapshot's hash is checked from the frame's own text. A change's hash covers the whole book after its batch
(all changes of one token and venue time), so it is checked when the next batch begins, and, because that
costs far more than applying the change, only within a budget, or whenever another witness doubts the book.

The hash needs the last trade price, which the venue often publishes only after the book that hashed it. A
hash that fits no known candidate therefore waits for the next prints; ``check_all`` (the checker's mode)
tries every price instead and checks every batch.

Invariants: bounded memory per market; a failed hash alone only opens a doubt (core.witnesses).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from overround.core.books import Book, Books
from overround.core.units import format_e6
from overround.polymarket.book_hash import finish, hash_prefix, last_trade_candidates, side_text

if TYPE_CHECKING:
    from hashlib import _Hash

ALL_LAST_TRADES: Final = ("", "0.5", *(f"0.{mills:03d}" for mills in range(1, 1000)))
VENUE_TICKS: Final = ("0.01", "0.001", "0.1", "0.005", "0.0025", "0.0001")
WAITING_PER_MARKET: Final = 8
PRINTS_TO_TRY: Final = 3
"""A waiting hash that the next three trade prints do not explain has failed."""

LEVELS_PER_SECOND: Final = 2_000
"""Default budget for change hashes, in hashed levels per second of receive time (about 0.1 % of a core)."""


class HashCheck(msgspec.Struct, frozen=True):
    """One judged hash, for an observer."""

    token_id: str
    kind: Literal["snapshot", "batch"]
    exchange_ts_ms: int
    ok: bool


class _Waiting:
    """A hash that fits no known last trade price yet."""

    __slots__ = ("book", "claimed", "is_snapshot", "prefix", "tries", "ts_ms")

    def __init__(self, book: Book, prefix: "_Hash", claimed: str, ts_ms: int, *, is_snapshot: bool) -> None:
        self.book = book
        self.prefix = prefix
        self.claimed = claimed
        self.ts_ms = ts_ms
        self.is_snapshot = is_snapshot
        self.tries = 0


class _MarketTexts:
    """What the hash of one market's books needs beside the levels."""

    __slots__ = ("candidates", "waiting")

    def __init__(self) -> None:
        self.candidates: tuple[str, ...] = ()
        self.waiting: list[_Waiting] = []


class HashWitness:
    """Checks hashes and reports to ``books``; see the module's text."""

    def __init__(
        self,
        books: Books,
        *,
        check_all: bool = False,
        levels_per_second: int = LEVELS_PER_SECOND,
        observer: Callable[[HashCheck], None] | None = None,
    ) -> None:
        self._books = books
        self._check_all = check_all
        self._levels_per_second = levels_per_second
        self._observer = observer
        self._texts: dict[str, _MarketTexts] = {}
        self._credit_levels = 0
        self._credit_ts_ns = 0

    # --- snapshots --------------------------------------------------------------------------------

    def snapshot(  # noqa: PLR0913 - the fields of the venue's record
        self,
        book: Book,
        timestamp: str,
        bids_text: bytes,
        asks_text: bytes,
        claimed: str,
        ts_ns: int,
        *,
        min_order_size: str | None,
        tick_size: str | None,
        neg_risk: bool | None,
        last_trade_price: str | None,
    ) -> None:
        """Check the hash of one ``book`` frame; what the frame lacks comes from the market's metadata."""
        texts = self._texts.get(book.condition_id)
        if texts is None:
            texts = self._texts[book.condition_id] = _MarketTexts()
        if last_trade_price is not None:
            _prefer(texts, last_trade_price)
        market = self._books.market_of(book.token_id)
        prefix = hash_prefix(
            market.condition_id,
            book.token_id,
            timestamp,
            bids_text,
            asks_text,
            format_e6(market.min_size_e6) if min_order_size is None else min_order_size,
            format_e6(book.tick_e6) if tick_size is None else tick_size,
            neg_risk=market.neg_risk if neg_risk is None else neg_risk,
        )
        self._judge(texts, book, prefix, claimed, int(timestamp), ts_ns, is_snapshot=True)

    # --- batches ----------------------------------------------------------------------------------

    def batch(self, book: Book, ts_ns: int) -> None:
        """Check the book as it stands against the hash of its last batch, which must be complete."""
        if not book.last_hash:
            return
        texts = self._texts.get(book.condition_id)
        if texts is None:
            texts = self._texts[book.condition_id] = _MarketTexts()
        market = self._books.market_of(book.token_id)
        prefix = hash_prefix(
            market.condition_id,
            book.token_id,
            str(book.exchange_ts_ms),
            side_text(book.bids, descending=False),
            side_text(book.asks, descending=True),
            format_e6(market.min_size_e6),
            format_e6(book.tick_e6),
            neg_risk=market.neg_risk,
        )
        self._judge(texts, book, prefix, book.last_hash, book.exchange_ts_ms, ts_ns, is_snapshot=False)

    def afford(self, book: Book, ts_ns: int) -> bool:
        """Take the cost of one check from the budget; False if it is spent."""
        if ts_ns > self._credit_ts_ns:
            earned = (ts_ns - self._credit_ts_ns) * self._levels_per_second // 1_000_000_000
            if earned:
                self._credit_levels = min(self._credit_levels + earned, self._levels_per_second)
                self._credit_ts_ns = ts_ns
        cost = len(book.bids) + len(book.asks)
        if self._credit_levels < cost:
            return False
        self._credit_levels -= cost
        return True

    # --- prints -----------------------------------------------------------------------------------

    def trade(self, condition_id: str, px_e6: int, ts_ns: int) -> None:
        """Learn the candidates a trade print gives, and judge the hashes that waited for it."""
        texts = self._texts.get(condition_id)
        if texts is None:
            texts = self._texts[condition_id] = _MarketTexts()
        if px_e6 % 1000:
            return
        fresh = last_trade_candidates(px_e6)
        waiting, texts.waiting = texts.waiting, []
        for each in waiting:
            hit = next((text for text in fresh if finish(each.prefix, text) == each.claimed), None)
            each.tries += 1
            if hit is not None:
                _prefer(texts, hit)
                self._verdict(each.book, each.ts_ms, ts_ns, ok=True, is_snapshot=each.is_snapshot)
            elif each.tries >= PRINTS_TO_TRY:
                self._verdict(each.book, each.ts_ms, ts_ns, ok=False, is_snapshot=each.is_snapshot)
            else:
                texts.waiting.append(each)
        for text in fresh:
            if text not in texts.candidates:
                texts.candidates = (*texts.candidates[:1], *fresh)
                break

    def forget(self, condition_id: str) -> None:
        """Drop what is known about a market."""
        self._texts.pop(condition_id, None)

    # --- verdicts ---------------------------------------------------------------------------------

    def _judge(
        self,
        texts: _MarketTexts,
        book: Book,
        prefix: "_Hash",
        claimed: str,
        ts_ms: int,
        ts_ns: int,
        *,
        is_snapshot: bool,
    ) -> None:
        for index, text in enumerate(texts.candidates):
            if finish(prefix, text) == claimed:
                if index:
                    _prefer(texts, text)
                self._verdict(book, ts_ms, ts_ns, ok=True, is_snapshot=is_snapshot)
                return
        if self._check_all:
            hit = next((text for text in ALL_LAST_TRADES if finish(prefix, text) == claimed), None)
            if hit is not None:
                _prefer(texts, hit)
            self._verdict(book, ts_ms, ts_ns, ok=hit is not None, is_snapshot=is_snapshot)
            return
        if len(texts.waiting) >= WAITING_PER_MARKET:
            oldest = texts.waiting.pop(0)
            if oldest.is_snapshot:
                self._books.counters.snapshot_hash_unverified += 1
        texts.waiting.append(_Waiting(book, prefix, claimed, ts_ms, is_snapshot=is_snapshot))

    def _verdict(self, book: Book, ts_ms: int, ts_ns: int, *, ok: bool, is_snapshot: bool) -> None:
        counters = self._books.counters
        if is_snapshot:
            if ok:
                counters.snapshot_hash_ok += 1
            else:
                counters.snapshot_hash_failed += 1
        else:
            counters.batch_hash_checked += 1
            counters.batch_hash_ok += ok
        if ok:
            self._books.agree(book, "hash", ts_ms)
        else:
            self._books.contradict(book, "hash", ts_ms, ts_ns, f"hash of {ts_ms} is not that of our levels")
        if self._observer is not None:
            kind: Literal["snapshot", "batch"] = "snapshot" if is_snapshot else "batch"
            self._observer(HashCheck(book.token_id, kind, ts_ms, ok))


def _prefer(texts: _MarketTexts, text: str) -> None:
    """Put a last trade price that was right first; the two newest others stay."""
    texts.candidates = (text, *[other for other in texts.candidates if other != text][:3])
