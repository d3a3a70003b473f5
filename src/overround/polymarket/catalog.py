"""The catalog: every market and event known from metadata, and what a new answer changes in it.

Invariants: a change becomes a fact exactly once (``as_of_ms`` alone is no change); facts of markets
come before those of their events; an object that was usable and now is refused is withdrawn by a
fact, never kept at its last good state; a token belongs to one market. This module knows no network.
"""

from collections import Counter
from collections.abc import Mapping

import msgspec

from overround.core.events import EventListed, Fact, MarketListed
from overround.core.market import EventKind, Market, MarketEvent
from overround.polymarket.listing import Listing
from overround.polymarket.metadata_wire import Refusal

UNREADABLE_RULES = "unreadable"
"""Rule hash of an event whose metadata is refused: it differs from every accepted one, so nothing trades."""


class Catalog:
    """Markets by condition id, the market of each token, events, and the refusals in force."""

    def __init__(self) -> None:
        self._markets: dict[str, Market] = {}
        self._events: dict[str, MarketEvent] = {}
        self._condition_of: dict[str, str] = {}
        self._refusals: dict[str, Refusal] = {}

    @property
    def markets(self) -> Mapping[str, Market]:
        """Markets by condition id."""
        return self._markets

    @property
    def events(self) -> Mapping[str, MarketEvent]:
        """Events by event id."""
        return self._events

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        """What could not be used, by subject, until a later answer is usable."""
        return self._refusals

    def refusal_counts(self) -> Counter[str]:
        """Return how many objects are refused, by reason."""
        return Counter(refusal.reason for refusal in self._refusals.values())

    def market_of(self, token_id: str) -> Market | None:
        """Return the market of a token, if known."""
        condition_id = self._condition_of.get(token_id)
        return None if condition_id is None else self._markets[condition_id]

    def event_of(self, market: Market) -> MarketEvent | None:
        """Return the event of a market, if known."""
        return None if market.event_id is None else self._events.get(market.event_id)

    def diff(self, listing: Listing) -> list[Fact]:
        """Return the facts that would make this catalog agree with ``listing``; changes nothing.

        What the listing does not mention is left alone: answers are filtered, absence proves nothing.
        """
        markets, refused = self._without_stolen_tokens(listing)
        facts: list[Fact] = [
            MarketListed(market)
            for market in markets.values()
            if _changed(self._markets.get(market.condition_id), market)
        ]
        listed_events = {event.event_id: event for event in listing.events}
        for refusal in refused.values():
            known = self._markets.get(refusal.subject)
            if known is not None and refusal.subject not in markets and known.accepting_orders:
                facts.append(
                    MarketListed(
                        msgspec.structs.replace(known, accepting_orders=False, active=False, fee=None)
                    )
                )
            event = self._events.get(refusal.subject)
            if event is not None and event.event_id not in listed_events:
                listed_events[event.event_id] = msgspec.structs.replace(event, rule_hash=UNREADABLE_RULES)
        facts.extend(
            EventListed(event)
            for event in listed_events.values()
            if _changed(self._events.get(event.event_id), event)
        )
        return facts

    def update(self, listing: Listing) -> list[Fact]:
        """Make this catalog agree with ``listing``; return the facts, see :meth:`diff`."""
        facts = self.diff(listing)
        markets, refused = self._without_stolen_tokens(listing)
        for subject in (*markets, *(event.event_id for event in listing.events)):
            self._refusals.pop(subject, None)
        self._refusals.update(refused)
        for fact in facts:
            self.apply(fact)
        return facts

    def apply(self, fact: Fact) -> None:
        """Fold a fact of metadata (from :meth:`diff` or a journal); other facts are ignored."""
        match fact:
            case MarketListed(market=market):
                self._markets[market.condition_id] = market
                for token_id in market.token_ids():
                    self._condition_of[token_id] = market.condition_id
            case EventListed(event=event):
                self._events[event.event_id] = event
            case _:
                return

    def _without_stolen_tokens(self, listing: Listing) -> tuple[dict[str, Market], dict[str, Refusal]]:
        """Return the listing's markets (the last word on each) and its refusals.

        A market that claims a token another market has is among the refusals.
        """
        markets = {market.condition_id: market for market in listing.markets}
        refused = {refusal.subject: refusal for refusal in listing.refusals}
        owners: dict[str, str] = {}
        for market in tuple(markets.values()):
            for token_id in market.token_ids():
                owner = self._condition_of.get(token_id) or owners.setdefault(token_id, market.condition_id)
                if owner != market.condition_id:
                    markets.pop(market.condition_id, None)
                    refused[market.condition_id] = Refusal(
                        market.condition_id, "duplicate_token", f"{token_id} belongs to {owner}"
                    )
        return markets, refused


def _changed(known: Market | MarketEvent | None, new: Market | MarketEvent) -> bool:
    return known is None or msgspec.structs.replace(new, as_of_ms=known.as_of_ms) != known


def listing_gaps(event: MarketEvent, markets: Mapping[str, Market]) -> tuple[str, ...]:
    """Return why the listed outcomes of ``event`` are not all there is to win, empty when they are.

    Complete means: a plain neg-risk event of at least two markets, every one readable, with question
    indices 0..n-1, no 'Other' and no placeholder, each either tradable or already resolved NO. Even
    then nothing on chain forces some outcome to win: all may resolve NO.
    """
    gaps: list[str] = []
    if event.kind is not EventKind.NEG_RISK:
        gaps.append(f"kind:{event.kind}")
    if len(event.condition_ids) < 2:
        gaps.append("single_market")
    indices: set[int] = set()
    for condition_id in event.condition_ids:
        market = markets.get(condition_id)
        if market is None:
            gaps.append(f"unknown_market:{condition_id}")
            continue
        if market.question_index is None:
            gaps.append(f"no_question_index:{condition_id}")
        else:
            indices.add(market.question_index)
        gaps.extend(f"{why}:{condition_id}" for why in _outcome_gaps(market))
    gaps.extend(f"missing_index:{index}" for index in sorted(set(range(len(event.condition_ids))) - indices))
    return tuple(gaps)


def _outcome_gaps(market: Market) -> list[str]:
    if market.other:
        return ["other"]
    if market.placeholder:
        return ["placeholder"]
    if market.winner == market.yes.token_id:
        return ["decided"]
    if market.winner == market.no.token_id or market.tradable:
        return []
    return ["not_tradable"]
