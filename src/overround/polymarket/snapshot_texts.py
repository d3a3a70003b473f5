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


class _Texts:
    """The texts of one book's levels, without braces, by price and in the order of the venue."""

    __slots__ = ("asks", "bids", "snapshot_seq")

    def __init__(self, bids: dict[int, bytes], asks: dict[int, bytes], snapshot_seq: int) -> None:
        self.bids = bids
        self.asks = asks
        self.snapshot_seq = snapshot_seq


class SnapshotTexts:
    """What the newest snapshots of all books said."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._texts: dict[str, _Texts] = {}

    def remember(self, book: Book, bid_texts: Iterable[bytes], ask_texts: Iterable[bytes]) -> None:
        """Keep the level texts of a snapshot just applied, in the order of the book's own dicts."""
        if len(self._texts) > len(self._books) + SPARE_BOOKS:
            self._texts = {key: kept for key, kept in self._texts.items() if key in self._books}
        bids = dict(zip(book.bids, bid_texts, strict=True))
        asks = dict(zip(book.asks, ask_texts, strict=True))
        self._texts[book.token_id] = _Texts(bids, asks, book.snapshot_seq)

    def confirmed(self, book: Book) -> None:
        """Take note that the book just took in a snapshot that said what it held."""
        self._texts[book.token_id].snapshot_seq = book.snapshot_seq

    def match(self, book: Book, bids_text: bytes, asks_text: bytes) -> bool:
        """Return whether a snapshot's two JSON arrays are, byte for byte, the levels the book holds."""
        texts = self._texts.get(book.token_id)
        return (
            texts is not None
            and texts.snapshot_seq == book.snapshot_seq
            and _says(bids_text, texts.bids, book.bids, book.bid_ts_ms, descending=False)
            and _says(asks_text, texts.asks, book.asks, book.ask_ts_ms, descending=True)
        )


def _says(
    text: bytes, texts: dict[int, bytes], side: dict[int, int], changed: Iterable[int], *, descending: bool
) -> bool:
    """Return whether ``text`` is the side's JSON array, having brought its levels' texts up to date."""
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
    if not texts:
        return text == NO_LEVELS
    return text[2:-2] == b"},{".join(texts.values()) and text[:2] == b"[{" and text[-2:] == b"}]"
