"""Which markets a service follows: what was named, and what that turns out to be as metadata arrive.

Invariants: a market is followed from the moment its listing was numbered until it is closed or paid out; a
market that joins a followed event is followed by itself. Must not know where listings come from.
"""

import re
from collections.abc import Iterable
from typing import Final, Protocol, Self

import msgspec

from overround.core.events import EventListed, Fact, MarketAnnounced, MarketListed, MarketResolved
from overround.core.market import Market, MarketEvent
from overround.ops.config import CONDITION, Config
from overround.polymarket.catalog import Catalog
from overround.polymarket.gamma import Selection

_CONDITION: Final = re.compile(CONDITION)


class Feed(Protocol):
    """What following needs of a feed."""

    def follow(self, markets: Iterable[Market]) -> None:
        """Begin to receive these markets."""
        ...

    def unfollow(self, condition_ids: Iterable[str]) -> None:
        """Stop receiving these markets."""
        ...

    @property
    def followed(self) -> frozenset[str]:
        """Condition ids of the markets received."""
        ...


class Wanted(msgspec.Struct, frozen=True):
    """Markets and events by the names a person gave; condition ids in lower case."""

    market_slugs: frozenset[str] = frozenset()
    condition_ids: frozenset[str] = frozenset()
    event_slugs: frozenset[str] = frozenset()
    event_ids: frozenset[str] = frozenset()

    @classmethod
    def named(cls, markets: Iterable[str], events: Iterable[str]) -> Self:
        """Return what is meant: a market by slug or condition id, an event by slug or (digits) id."""
        market_names, event_names = frozenset(markets) - {""}, frozenset(events) - {""}
        conditions = {name for name in market_names if _CONDITION.match(name)}
        ids = {name for name in event_names if name.isascii() and name.isdigit()}
        return cls(
            market_names - conditions,
            frozenset(name.lower() for name in conditions),
            event_names - ids,
            frozenset(ids),
        )

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return everything a configuration names."""
        markets = [*config.service.markets, *(m.slug or m.condition_id for m in config.market)]
        events = [*config.service.events, *(e.slug or e.event_id for e in config.event)]
        return cls.named(markets, events)

    def __bool__(self) -> bool:
        return any((self.market_slugs, self.condition_ids, self.event_slugs, self.event_ids))

    def selection(self) -> Selection:
        """Return what to read, in a fixed order."""
        return Selection(
            market_slugs=tuple(sorted(self.market_slugs)),
            condition_ids=tuple(sorted(self.condition_ids)),
            event_slugs=tuple(sorted(self.event_slugs)),
            event_ids=tuple(sorted(self.event_ids)),
        )

    def covers(self, market: Market, event: MarketEvent | None) -> bool:
        """Whether a market is named, by itself or by its event."""
        if market.slug in self.market_slugs or market.condition_id in self.condition_ids:
            return True
        return market.event_id in self.event_ids or (event is not None and self.means(event))

    def means(self, event: MarketEvent) -> bool:
        """Whether an event itself is named."""
        return event.slug in self.event_slugs or event.event_id in self.event_ids

    def may_cover(self, announced: MarketAnnounced) -> bool:
        """Whether a market that was only announced may be a wanted one: its event is not known yet."""
        if self.event_slugs or self.event_ids:
            return True
        return announced.slug in self.market_slugs or announced.condition_id.lower() in self.condition_ids


class Follower:
    """Makes a feed follow what is wanted. Tell it every fact that was numbered, in order."""

    def __init__(self, wanted: Wanted, feed: Feed) -> None:
        self._wanted = wanted
        self._feed = feed
        self._known = Catalog()
        self._over: set[str] = set()
        """Markets that the stream itself reported as paid out; metadata may be older."""

    def saw(self, facts: Iterable[Fact]) -> None:
        """Take note of what became known, and adjust the feed."""
        relevant = False
        for fact in facts:
            if isinstance(fact, MarketResolved):
                self._over.add(fact.condition_id)
            elif not isinstance(fact, MarketListed | EventListed):
                continue
            self._known.apply(fact)
            relevant = True
        if relevant:
            self._adjust()

    def markets(self) -> dict[str, Market]:
        """Return the markets that should be followed now, by condition id."""
        return {
            condition_id: market
            for condition_id, market in self._known.markets.items()
            if not market.closed
            and market.winner is None
            and condition_id not in self._over
            and self._wanted.covers(market, self._known.event_of(market))
        }

    def _adjust(self) -> None:
        wanted, followed = self.markets(), self._feed.followed
        gone = [condition_id for condition_id in sorted(followed) if condition_id not in wanted]
        if gone:
            self._feed.unfollow(gone)
        new = [market for condition_id, market in wanted.items() if condition_id not in followed]
        if new:
            self._feed.follow(new)
