"""The witness that sees every level: compares the venue's hashes with our books.

A snapshot's hash is checked from the frame's own text. A change's hash covers the whole book after its batch
(all changes of one token and venue time), so it is checked when the next batch begins, and, because that
costs far more than applying the change, only within the decoder's budget, or while another witness doubts.

The hash needs the last trade price, which the venue often publishes only after the book that hashed it. A
hash that fits no known candidate therefore waits for the next prints; ``check_all`` (the checker's mode)
tries every price instead.

Invariants: bounded memory per market; a failed hash alone only opens a doubt (core.witnesses). Knows no
frames beyond a book's own fields.
"""

from collections.abc import Callable
from hashlib import sha1
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from overround.core.books import Book, Books
from overround.core.market import Market
from overround.core.units import format_e6
from overround.polymarket.book_hash import finish, hash_prefix, last_trade_candidates, side_text
from overround.polymarket.wire import BookFrame, BookHead

if TYPE_CHECKING:
    from hashlib import _Hash

ALL_LAST_TRADES: Final = ("", "0.5", *(f"0.{mills:03d}" for mills in range(1, 1000)))
VENUE_TICKS: Final = {
    "0.001": 1_000,
    "0.01": 10_000,
    "0.0001": 100,
    "0.0025": 2_500,
    "0.005": 5_000,
    "0.1": 100_000,
}
TICK_TEXTS: Final = {tick_e6: text for text, tick_e6 in VENUE_TICKS.items()}
KNOWN_PER_MARKET: Final = 4
WAITING_PER_MARKET: Final = 8
SPARE_MARKETS: Final = 64
"""Markets no longer tracked that are remembered before they are cleared out."""
PRINTS_TO_TRY: Final = 3
"""A waiting hash that the next three trade prints do not explain has failed."""


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
    """What the hash of one market's books needs beside the levels and the time."""

    __slots__ = ("candidates", "heads", "likely", "market", "min_size", "tail", "tick", "waiting")

    def __init__(self, market: Market) -> None:
        self.candidates: list[str] = []
        """Last trade prices; the first was the last that proved right, or is the first printed."""
        self.likely: list[str] = []
        """The same in the order in which they are tried on a snapshot."""
        self.waiting: list[_Waiting] = []
        self.heads = {
            token_id: f'{{"market":"{market.condition_id}","asset_id":"{token_id}","timestamp":"'.encode()
            for token_id in market.token_ids()
        }
        self.take(market)

    def take(self, market: Market) -> None:
        """Take over changed metadata."""
        self.market = market
        self.min_size = format_e6(market.min_size_e6)
        self.tick = format_e6(market.tick_e6)
        flag = "true" if market.neg_risk else "false"
        self.tail = (
            f',"min_order_size":"{self.min_size}","tick_size":"{self.tick}","neg_risk":{flag},'
            '"last_trade_price":"'
        ).encode()
        """Everything between the levels and the last trade price."""

    def prefer(self, text: str) -> None:
        """Try this last trade price first from now on."""
        if self.candidates and self.candidates[0] == text:
            self.likely = self.candidates
            return
        others = [other for other in self.candidates if other != text]
        self.candidates = self.likely = [text, *others[: KNOWN_PER_MARKET - 1]]

    def learn(self, fresh: tuple[str, str]) -> None:
        """Take in the two prices of a new print; a snapshot after it most likely has one of them."""
        self.candidates = list(dict.fromkeys((*self.candidates[:1], *fresh)))
        self.likely = list(dict.fromkeys((*fresh, *self.candidates)))


class HashWitness:
    """Checks hashes and reports to ``books``; see the module's text."""

    def __init__(
        self,
        books: Books,
        *,
        check_all: bool = False,
        observer: Callable[[HashCheck], None] | None = None,
    ) -> None:
        self._books = books
        self._check_all = check_all
        self._observer = observer
        self._texts: dict[str, _MarketTexts] = {}

    def snapshot(
        self, book: Book, head: BookHead | BookFrame, bids_text: bytes, asks_text: bytes, ts_ns: int
    ) -> int | None:
        """Check the hash of one ``book`` frame; what the frame lacks comes from the market's metadata.

        Returns the tick size in millionths if the hash proves another one than the market's: the venue
        does not always announce a change of tick before it sends books on the new grid.
        """
        texts = self._texts_of(book)
        ts_ms = head.timestamp
        if head.last_trade_price is not None:
            texts.prefer(head.last_trade_price)
        if head.tick_size is None and head.min_order_size is None and head.neg_risk is None:
            # Nearly every snapshot. Mostly the first candidate fits: one hash over known texts.
            begin = b'%b%d","hash":"","bids":%b,"asks":%b%b' % (
                texts.heads[book.token_id],
                ts_ms,
                bids_text,
                asks_text,
                texts.tail,
            )
            claimed = head.hash
            for text in texts.likely:
                if sha1(b'%b%b"}' % (begin, text.encode()), usedforsecurity=False).hexdigest() == claimed:
                    texts.prefer(text)
                    self._books.tally.snapshot_hash_ok += 1
                    self._books.agree(book, "hash", ts_ms)
                    if self._observer is not None:
                        self._report(book, ts_ms, ok=True, is_snapshot=True)
                    return None

        def prefix_of(tick_text: str) -> "_Hash":
            return hash_prefix(
                book.condition_id,
                book.token_id,
                str(ts_ms),
                bids_text,
                asks_text,
                texts.min_size if head.min_order_size is None else head.min_order_size,
                tick_text,
                neg_risk=book.market.neg_risk if head.neg_risk is None else head.neg_risk,
            )

        for tick_text in () if head.tick_size else _other_ticks(book):
            waiting = _Waiting(book, prefix_of(tick_text), head.hash, ts_ms, is_snapshot=True)
            if self._fits(waiting, texts):
                self._verdict(waiting, ts_ns, ok=True)
                return VENUE_TICKS[tick_text]
        prefix = prefix_of(head.tick_size or texts.tick)
        self._judge(_Waiting(book, prefix, head.hash, ts_ms, is_snapshot=True), texts, ts_ns)
        return None

    def batch(self, book: Book, ts_ns: int) -> None:
        """Check the book as it stands against the hash of its last batch, which must be complete."""
        texts = self._texts_of(book)
        waiting = _Waiting(
            book, self._prefix(book, texts), book.last_hash, book.exchange_ts_ms, is_snapshot=False
        )
        self._judge(waiting, texts, ts_ns)

    def reconsider(self, book: Book) -> None:
        """Withdraw a doubt if the book, as it stands, has the last hash the venue gave for it."""
        texts = self._texts_of(book)
        prefix = self._prefix(book, texts)
        candidates = ALL_LAST_TRADES if self._check_all else texts.candidates
        if any(finish(prefix, text) == book.last_hash for text in candidates):
            self._books.agree(book, "hash", book.exchange_ts_ms)

    def trade(self, condition_id: str, px_e6: int, ts_ns: int) -> None:
        """Learn the candidates a trade print gives, and judge the hashes that waited for it."""
        texts = self._texts.get(condition_id)
        if texts is None or px_e6 % 1000:
            return
        fresh = last_trade_candidates(px_e6)
        known = texts.candidates
        if not texts.waiting and fresh[0] in known and fresh[1] in known:
            return
        still_waiting = []
        for each in texts.waiting:
            hit = next((text for text in fresh if finish(each.prefix, text) == each.claimed), None)
            each.tries += 1
            if hit is not None:
                texts.prefer(hit)
                self._verdict(each, ts_ns, ok=True)
            elif each.tries >= PRINTS_TO_TRY:
                self._verdict(each, ts_ns, ok=False)
            else:
                still_waiting.append(each)
        texts.waiting = still_waiting
        known = texts.candidates
        if fresh[0] not in known or fresh[1] not in known:
            texts.learn(fresh)
            if not known:
                texts.prefer(fresh[0])

    def _texts_of(self, book: Book) -> _MarketTexts:
        texts = self._texts.get(book.condition_id)
        if texts is None:
            if len(self._texts) > len(self._books) + SPARE_MARKETS:
                tracked = {each.condition_id for each in self._books}
                self._texts = {key: kept for key, kept in self._texts.items() if key in tracked}
            texts = self._texts[book.condition_id] = _MarketTexts(book.market)
        elif texts.market is not book.market:
            texts.take(book.market)
        return texts

    @staticmethod
    def _prefix(book: Book, texts: _MarketTexts) -> "_Hash":
        return hash_prefix(
            book.condition_id,
            book.token_id,
            str(book.exchange_ts_ms),
            side_text(book.bids, descending=False),
            side_text(book.asks, descending=True),
            texts.min_size,
            texts.tick,
            neg_risk=book.market.neg_risk,
        )

    def _judge(self, hashed: _Waiting, texts: _MarketTexts, ts_ns: int) -> None:
        if self._fits(hashed, texts):
            self._verdict(hashed, ts_ns, ok=True)
            return
        if self._check_all:
            self._verdict(hashed, ts_ns, ok=False)
            return
        texts.waiting.append(hashed)
        if len(texts.waiting) > WAITING_PER_MARKET:
            # A snapshot proves more than a batch, whose failure is mostly the disorder of the feed.
            batch = next((each for each in texts.waiting if not each.is_snapshot), texts.waiting[0])
            texts.waiting.remove(batch)
            self._give_up(batch, texts, ts_ns)

    def _fits(self, hashed: _Waiting, texts: _MarketTexts) -> bool:
        """Whether a known last trade price explains the hash; it is then tried first from now on."""
        for text in (*texts.candidates, *(ALL_LAST_TRADES if self._check_all else ())):
            if finish(hashed.prefix, text) == hashed.claimed:
                texts.prefer(text)
                return True
        return False

    def _give_up(self, hashed: _Waiting, texts: _MarketTexts, ts_ns: int) -> None:
        """Judge a hash that no print explained in time; without any known price it proves nothing."""
        if hashed.is_snapshot:
            self._books.tally.snapshot_hash_unverified += 1
        elif texts.candidates:
            self._verdict(hashed, ts_ns, ok=False)

    def _verdict(self, hashed: _Waiting, ts_ns: int, *, ok: bool) -> None:
        counters = self._books.tally
        book = hashed.book
        if hashed.is_snapshot:
            counters.snapshot_hash_ok += ok
            counters.snapshot_hash_failed += not ok
        else:
            counters.batch_hash_checked += 1
            counters.batch_hash_ok += ok
        if ok:
            self._books.agree(book, "hash", hashed.ts_ms)
        else:
            detail = f"hash of {hashed.ts_ms} is not that of our levels"
            self._books.contradict(book, "hash", hashed.ts_ms, ts_ns, detail)
        self._report(book, hashed.ts_ms, ok=ok, is_snapshot=hashed.is_snapshot)

    def _report(self, book: Book, ts_ms: int, *, ok: bool, is_snapshot: bool) -> None:
        if self._observer is not None:
            kind: Literal["snapshot", "batch"] = "snapshot" if is_snapshot else "batch"
            self._observer(HashCheck(book.token_id, kind, ts_ms, ok))


def _other_ticks(book: Book) -> list[str]:
    """Return the ticks the book's prices speak for, if they do not speak for its own."""
    tick_e6 = book.market.tick_e6
    prices = (*book.bids, *book.asks)
    if any(px_e6 % tick_e6 for px_e6 in prices):
        return [text for text, other_e6 in VENUE_TICKS.items() if other_e6 < tick_e6]
    coarser = [(text, other_e6) for text, other_e6 in VENUE_TICKS.items() if other_e6 > tick_e6]
    return [text for text, other_e6 in coarser if not any(px_e6 % other_e6 for px_e6 in prices)]
