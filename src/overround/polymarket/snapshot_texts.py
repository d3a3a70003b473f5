"""Snapshots that say what the book already says: told by their text, without parsing a level.

Between two snapshots of a book few levels change, and the changes themselves told us which. So the text of
a book is kept level by level, only the changed levels are written anew, and a snapshot with exactly that
text holds exactly those levels.

Invariants: a kept text is that of a level as of the book's newest snapshot; levels younger than it have a
time in the book (core.book) and are written anew before they are compared; texts of another snapshot are
never used. Bounded: a few texts for each level of each tracked book. Knows no frames and applies nothing.
"""

from collections.abc import Iterable
from typing import Final

from overround.core.books import Book, Books
from overround.polymarket.book_hash import NO_LEVELS, level_text

SPARE_BOOKS: Final = 128
"""Books no longer tracked that are remembered before they are cleared out."""


class SnapshotTexts:
    """What the newest snapshots of all books said."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._texts: dict[str, tuple[int, dict[int, bytes], dict[int, bytes]]] = {}
        """Number of the snapshot, level texts without braces of bids and asks in their order, by token."""

    def remember(self, book: Book, bid_texts: Iterable[bytes], ask_texts: Iterable[bytes]) -> None:
        """Keep the level texts of a snapshot just applied, in the order of the book's own dicts."""
        if len(self._texts) > len(self._books) + SPARE_BOOKS:
            self._texts = {key: kept for key, kept in self._texts.items() if key in self._books}
        bids = dict(zip(book.bids, bid_texts, strict=True))
        asks = dict(zip(book.asks, ask_texts, strict=True))
        self._texts[book.token_id] = (book.snapshot_seq, bids, asks)

    def confirmed(self, book: Book) -> None:
        """Take note that the book just took in a snapshot that said what it held."""
        _, bids, asks = self._texts[book.token_id]
        self._texts[book.token_id] = (book.snapshot_seq, bids, asks)

    def match(self, book: Book, bids_text: bytes, asks_text: bytes) -> bool:
        """Return whether a snapshot's two JSON arrays are, byte for byte, the levels the book holds."""
        kept = self._texts.get(book.token_id)
        if kept is None or kept[0] != book.snapshot_seq:
            return False
        bids, asks = book.bids, book.asks
        return (
            # Where a snapshot brings news it mostly shows in these.
            _may_be(bids_text, bids, book.best_bid_px_e6)
            and _may_be(asks_text, asks, book.best_ask_px_e6)
            and bids_text[2:-2] == _now(kept[1], bids, book.bid_ts_ms, descending=False)
            and asks_text[2:-2] == _now(kept[2], asks, book.ask_ts_ms, descending=True)
        )


def _may_be(text: bytes, side: dict[int, int], best_px_e6: int) -> bool:
    """Return whether a side's text has as many levels as the side, and its best last."""
    if not side:
        return text == NO_LEVELS
    return (
        text.count(b"{") == len(side)
        and text[:2] == b"[{"
        and text.endswith(level_text(best_px_e6, side[best_px_e6]) + b"}]")
    )


def _now(texts: dict[int, bytes], side: dict[int, int], changed: Iterable[int], *, descending: bool) -> bytes:
    """Bring a side's texts up to date; return what stands between its outer braces."""
    known = len(texts)
    for px_e6 in changed:
        qty_e6 = side.get(px_e6)
        if qty_e6 is None:
            known -= texts.pop(px_e6, None) is not None
        else:
            # Keeps its place, unless it is new.
            texts[px_e6] = level_text(px_e6, qty_e6)
    if len(texts) != known:
        ordered = sorted(texts.items(), reverse=descending)
        texts.clear()
        texts.update(ordered)
    return b"},{".join(texts.values())
