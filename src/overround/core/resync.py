"""Which books need a snapshot although their connection is up, and when to ask for it.

A book that became SUSPECT, or lost its levels to a new tick size, heals by a snapshot only. One request may
be lost, so it is repeated, ever more slowly, until the book is LIVE or its connection is gone (then the
next connection brings a snapshot by itself). Knows no feeds: they may throttle further.
"""

from typing import Final

import msgspec

from overround.core.book import BookState
from overround.core.books import Books
from overround.core.commands import RequestSnapshot

INTERVAL_NS: Final = 1_000_000_000
"""A request is repeated after this long, and after twice as long each further time."""

MAX_DOUBLINGS: Final = 6

_WAITING: Final = frozenset({BookState.SUSPECT, BookState.SYNCING})


class _Wait(msgspec.Struct):
    reason: str
    asked: int = 0
    ask_ts_ns: int = 0


class SnapshotRequests:
    """Tokens whose books wait for a snapshot."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._waits: dict[str, _Wait] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def add(self, token_id: str, reason: str) -> None:
        """Let a token's book wait for a snapshot; one that already does keeps its reason and its pace."""
        self._waits.setdefault(token_id, _Wait(reason))

    def clear(self) -> None:
        """Forget all."""
        self._waits.clear()

    def due(self, ts_ns: int) -> list[RequestSnapshot]:
        """Return the requests to make now, one per reason; books that need none any more are dropped."""
        asked: dict[str, list[str]] = {}
        for token_id, wait in list(self._waits.items()):
            book = self._books.get(token_id)
            if book is None or book.state not in _WAITING:
                del self._waits[token_id]
            elif ts_ns >= wait.ask_ts_ns:
                wait.ask_ts_ns = ts_ns + (INTERVAL_NS << min(wait.asked, MAX_DOUBLINGS))
                wait.asked += 1
                asked.setdefault(wait.reason, []).append(token_id)
        return [RequestSnapshot(tuple(tokens), reason) for reason, tokens in asked.items()]
