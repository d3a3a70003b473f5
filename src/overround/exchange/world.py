"""The liquidity of everybody else: what a recording (or a seeded flow) shows, less what we took of it.

Everything here is in terms of YES: ``Side.BUY`` means the bids of the market's one book. Simulated orders
are never part of the world.

Invariants: a level that is shown is never used twice within the impact memory; a book that is not live
shows nothing. Knows no orders, no accounts.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from overround.core.events import Side
from overround.core.market import Market
from overround.core.units import E6

Level = tuple[int, int]
"""Price and quantity in millionths."""


class Shown:
    """The book of one market as it is shown now, in terms of YES."""

    __slots__ = ("_asks", "_bids", "_mirrored", "best_ask_px_e6", "best_bid_px_e6")

    def __init__(self, book: "BookLike", *, mirrored: bool) -> None:
        """Look at a token's book; ``mirrored`` says that it is NO's."""
        self._mirrored = mirrored
        bid_px_e6, ask_px_e6 = book.best_bid_px_e6, book.best_ask_px_e6
        if mirrored:
            self._bids, self._asks = book.asks, book.bids
            bid_px_e6, ask_px_e6 = E6 - ask_px_e6, E6 - bid_px_e6
        else:
            self._bids, self._asks = book.bids, book.asks
        self.best_bid_px_e6 = bid_px_e6
        """0 if there is no bid."""
        self.best_ask_px_e6 = ask_px_e6
        """1,000,000 if there is no ask."""

    def levels(self, side: Side) -> list[Level]:
        """Return a side's levels, best first."""
        ladder = self._bids if side is Side.BUY else self._asks
        found = [(E6 - px, qty) for px, qty in ladder.items()] if self._mirrored else list(ladder.items())
        found.sort(reverse=side is Side.BUY)
        return found

    def size_e6(self, side: Side, px_e6: int) -> int:
        """Return the quantity at a price."""
        ladder = self._bids if side is Side.BUY else self._asks
        return ladder.get(E6 - px_e6 if self._mirrored else px_e6, 0)


class World(Protocol):
    """What the exchange asks about the rest of the world."""

    def market_of(self, token_id: str) -> Market | None:
        """Return the market of a token as known now, or ``None`` for an unknown token."""
        ...

    def shown(self, condition_id: str) -> Shown | None:
        """Return the market's book, or ``None`` if none is known to be true. Valid until it changes."""
        ...


class BookLike(Protocol):
    """The part of a recorded book that is read here (``core.books.Book`` fits)."""

    @property
    def bids(self) -> Mapping[int, int]:
        """Quantity by price."""
        ...

    @property
    def asks(self) -> Mapping[int, int]:
        """Quantity by price."""
        ...

    @property
    def best_bid_px_e6(self) -> int:
        """Best bid; 0 if there is none."""
        ...

    @property
    def best_ask_px_e6(self) -> int:
        """Best ask; 1,000,000 if there is none."""
        ...

    @property
    def live(self) -> bool:
        """Whether the book is known to be true now."""
        ...


class BooksLike(Protocol):
    """The part of the recorded books that is read here (``core.books.Books`` fits)."""

    def get(self, token_id: str) -> BookLike | None:
        """Return a token's book, or ``None`` if it is not tracked."""
        ...

    def market_of(self, token_id: str) -> Market:
        """Return the market of a tracked token."""
        ...


class RecordedWorld:
    """The engine's own books as the world. A market is read from YES's book, or else from NO's, mirrored."""

    def __init__(self, books: BooksLike) -> None:
        self._books = books
        self._tokens: dict[str, tuple[str, str]] = {}

    def market_of(self, token_id: str) -> Market | None:
        """Return the market of a token as known now, or ``None``."""
        if self._books.get(token_id) is None:
            return None
        market = self._books.market_of(token_id)
        self._tokens[market.condition_id] = market.token_ids()
        return market

    def shown(self, condition_id: str) -> Shown | None:
        """Return the market's book if one of its tokens' books is live."""
        tokens = self._tokens.get(condition_id)
        if tokens is None:
            return None
        for token_id in tokens:
            book = self._books.get(token_id)
            if book is not None and book.live:
                return Shown(book, mirrored=token_id == tokens[1])
        return None


class _Ladders:
    """A book that is written by hand."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.live = True

    @property
    def best_bid_px_e6(self) -> int:
        return max(self.bids, default=0)

    @property
    def best_ask_px_e6(self) -> int:
        return min(self.asks, default=E6)


class StaticWorld:
    """Liquidity that is set by hand: for tests, and for venues without a recording."""

    def __init__(self, markets: Iterable[Market]) -> None:
        self._markets = {token_id: market for market in markets for token_id in market.token_ids()}
        self._books = {market.condition_id: _Ladders() for market in self._markets.values()}

    def set_level(self, condition_id: str, side: Side, px_e6: int, qty_e6: int) -> None:
        """Show ``qty_e6`` at a price of YES; 0 removes the level."""
        book = self._books[condition_id]
        ladder = book.bids if side is Side.BUY else book.asks
        if qty_e6:
            ladder[px_e6] = qty_e6
        else:
            ladder.pop(px_e6, None)

    def set_live(self, condition_id: str, *, live: bool) -> None:
        """Say whether the market's book is known to be true."""
        self._books[condition_id].live = live

    def set_market(self, market: Market) -> None:
        """Replace what is known of a market."""
        self._markets.update(dict.fromkeys(market.token_ids(), market))

    def market_of(self, token_id: str) -> Market | None:
        """Return the market of a token as known now, or ``None``."""
        return self._markets.get(token_id)

    def shown(self, condition_id: str) -> Shown | None:
        """Return the market's book if it is live."""
        book = self._books[condition_id]
        return Shown(book, mirrored=False) if book.live else None


class Impact:
    """Remembers for a while what simulated takers took: the recording goes on showing it (spec 4.3)."""

    def __init__(self, memory_ns: int) -> None:
        self._memory_ns = memory_ns
        self._taken: dict[tuple[str, Side, int], list[tuple[int, int]]] = {}
        self._sweep_ns = 0

    def take(self, condition_id: str, side: Side, px_e6: int, qty_e6: int, now_ns: int) -> None:
        """Remember that ``qty_e6`` of a level were taken."""
        if now_ns >= self._sweep_ns:  # levels that nobody asks about again must not pile up
            for key in list(self._taken):
                self.taken_e6(*key, now_ns)
            self._sweep_ns = now_ns + self._memory_ns
        self._taken.setdefault((condition_id, side, px_e6), []).append((now_ns + self._memory_ns, qty_e6))

    def taken_e6(self, condition_id: str, side: Side, px_e6: int, now_ns: int) -> int:
        """Return how much of a level is remembered as taken."""
        key = (condition_id, side, px_e6)
        entries = self._taken.get(key)
        if entries is None:
            return 0
        kept = [entry for entry in entries if entry[0] > now_ns]
        if kept:
            self._taken[key] = kept
        else:
            del self._taken[key]
        return sum(qty_e6 for _, qty_e6 in kept)

    def available(self, shown: Shown | None, condition_id: str, side: Side, now_ns: int) -> Iterator[Level]:
        """Yield the levels that are shown and not taken, best first."""
        for px_e6, qty_e6 in () if shown is None else shown.levels(side):
            left_e6 = qty_e6 - self.taken_e6(condition_id, side, px_e6, now_ns) if self._taken else qty_e6
            if left_e6 > 0:
                yield px_e6, left_e6
