"""The four terms of a book hash that are no levels, and the search for those a frame does not state.

A WebSocket ``book`` lacks the minimum size and the neg-risk flag and, after the first one, tick and last
trade price. The last trade price in the hash is the maker's, three decimals, and its trade frame comes
about 20 ms *after* the book. A match of a SHA-1 over the whole book is proof of the terms tried, so a
search cannot verify a wrong book. Invariants: a term the frame states is never searched; what was found
is the market's known state until the next find. Knows no levels but their texts.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from overround.core.market import Market
from overround.core.units import UnitError, format_e6, parse_e6
from overround.polymarket.book_check_input import Message
from overround.polymarket.book_hash import UNTRADED, finish, hash_prefix, last_trade_candidates, levels_text

if TYPE_CHECKING:
    from hashlib import _Hash

MIN_ORDER_SIZES = ("5", "1", "15")
TICK_SIZES = ("0.01", "0.001", "0.1", "0.0001", "0.005", "0.0025")
EVERY_LAST_TRADE = ("", UNTRADED, *(f"{mills // 1000}.{mills % 1000:03d}" for mills in range(1001)))


@lru_cache(maxsize=256)
def outward(centre: str) -> tuple[str, ...]:
    """Return every possible last trade price, those next to ``centre`` first."""
    at = EVERY_LAST_TRADE.index(centre) if centre in EVERY_LAST_TRADE else 0
    places = sorted(range(len(EVERY_LAST_TRADE)), key=lambda place: (abs(place - at), place))
    return tuple(EVERY_LAST_TRADE[place] for place in places)


class Terms(NamedTuple):
    """The last four fields of the hashed text."""

    min_order_size: str
    tick_size: str
    neg_risk: bool
    last_trade_price: str


class FoundBy(StrEnum):
    """How the last trade price of a verified book became known."""

    STATED = "stated"
    """The frame carries it."""
    KNOWN = "known"
    """It is that of the book before."""
    TRADE = "trade"
    """It is p or 1 - p of a trade printed before."""
    SEARCH = "search"
    """It is one of the thousand possible ones."""


class HashText(NamedTuple):
    """The part of the hashed text that the terms do not change."""

    market: str
    token_id: str
    timestamp: str
    bids: bytes
    asks: bytes

    @classmethod
    def of_message(cls, message: Message) -> "HashText":
        """Return the text of a snapshot exactly as sent."""
        bids = levels_text((level.price, level.size) for level in message.bids or ())
        asks = levels_text((level.price, level.size) for level in message.asks or ())
        return cls(message.market, message.asset_id, message.timestamp, bids, asks)

    def under(self, terms: Terms) -> str:
        """Return the hash under ``terms``."""
        return finish(self._prefix(terms), terms.last_trade_price)

    def search(
        self, wanted: Collection[str], shapes: Iterable[Terms], last_trades: Collection[str]
    ) -> Terms | None:
        """Return the first terms, shapes crossed with last trade prices, whose hash is ``wanted``."""
        for shape in shapes:
            prefix = self._prefix(shape)
            for last_trade in last_trades:
                if finish(prefix, last_trade) in wanted:
                    return shape._replace(last_trade_price=last_trade)
        return None

    def _prefix(self, terms: Terms) -> "_Hash":
        return hash_prefix(*self, terms.min_order_size, terms.tick_size, neg_risk=terms.neg_risk)


class MarketTerms:
    """What is known of one market's terms."""

    def __init__(self, market: Market | None) -> None:
        self._hints = market
        self.known: Terms | None = None
        self._trades: list[str] = []

    def trade_printed(self, price: str) -> None:
        """Note a trade: the maker's price may be its price or the other token's."""
        try:
            self._trades = [*last_trade_candidates(parse_e6(price)), *self._trades[:6]]
        except (UnitError, ValueError):
            return

    def solve(self, text: HashText, wanted: str, said: Message | None = None) -> tuple[Terms, FoundBy] | None:
        """Return the terms under which ``text`` has the ``wanted`` hash, and make them the known ones.

        ``said`` is the frame itself: what it states is taken as it is. ``None`` if nothing fits.
        """
        stated = said.last_trade_price if said is not None else None
        if stated is not None:
            tries: list[tuple[FoundBy, Sequence[str]]] = [(FoundBy.STATED, [stated])]
        else:
            known = self.known.last_trade_price if self.known is not None else UNTRADED
            tries = [
                (FoundBy.KNOWN, [known]),
                (FoundBy.TRADE, self._trades),
                (FoundBy.SEARCH, outward(known)),
            ]
        for found_by, last_trades in tries:
            found = text.search({wanted}, self._shapes(said), last_trades)
            if found is not None:
                self.known = found
                return found, found_by
        return None

    def _shapes(self, said: Message | None) -> Iterator[Terms]:
        """Yield the combinations of the other three terms, the likeliest first."""
        seen = set()
        for minimum in self._minimums(said):
            for neg_risk in self._flags(said):
                for tick in self._ticks(said):
                    shape = Terms(minimum, tick, neg_risk, "")
                    if shape not in seen:
                        seen.add(shape)
                        yield shape

    def _minimums(self, said: Message | None) -> list[str]:
        if said is not None and said.min_order_size is not None:
            return [said.min_order_size]
        if self.known is not None:
            return [self.known.min_order_size]
        hinted = [format_e6(self._hints.min_size_e6)] if self._hints else []
        return [*hinted, *MIN_ORDER_SIZES]

    def _ticks(self, said: Message | None) -> list[str]:
        if said is not None and said.tick_size is not None:
            return [said.tick_size]
        known = [self.known.tick_size] if self.known else []
        hinted = [format_e6(self._hints.tick_e6)] if self._hints else []
        return [*known, *hinted, *TICK_SIZES]

    def _flags(self, said: Message | None) -> list[bool]:
        if said is not None and said.neg_risk is not None:
            return [said.neg_risk]
        if self.known is not None:
            return [self.known.neg_risk]
        return [self._hints.neg_risk, not self._hints.neg_risk] if self._hints else [False, True]
