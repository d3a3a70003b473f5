"""All markets and events the engine knows, and whose rules are the ones we agreed to.

Invariants: a market is looked up by condition id or by either token; a market that paid out stays so,
whatever older metadata say; the first rule hash seen of a market or an event is accepted, a different one
stops trading there until a person acknowledges it.
"""

from collections.abc import Mapping

import msgspec

from overround.core.market import Market, MarketEvent


class Universe:
    """Markets and events with their indices."""

    def __init__(self) -> None:
        self._markets: dict[str, Market] = {}
        self._events: dict[str, MarketEvent] = {}
        self._condition_of: dict[str, str] = {}
        self._event_of: dict[str, str] = {}
        self._accepted: dict[str, str] = {}
        """Accepted rule hash by condition id and by event id (the two never look alike)."""
        self._changed: set[str] = set()
        """Markets and events whose present rule hash is not the accepted one."""

    @property
    def markets(self) -> Mapping[str, Market]:
        """All markets by condition id, in listing order."""
        return self._markets

    @property
    def events(self) -> Mapping[str, MarketEvent]:
        """All events by event id, in listing order."""
        return self._events

    @property
    def accepted_rules(self) -> Mapping[str, str]:
        """The accepted rule hash of every market (by condition id) and event (by event id)."""
        return self._accepted

    def list_market(self, market: Market) -> None:
        """Take ``market`` as its present truth; its first rule hash is accepted."""
        key = market.condition_id
        known = self._markets.get(key)
        if known is not None and known.winner is not None and market.winner is None:
            market = msgspec.structs.replace(market, winner=known.winner, closed=True, accepting_orders=False)
        self._markets[key] = market
        self._judge_rules(key, market.rule_hash)
        for token_id in market.token_ids():
            self._condition_of[token_id] = key
        if market.event_id is not None:
            self._event_of[key] = market.event_id

    def list_event(self, event: MarketEvent) -> None:
        """Take ``event`` as its present truth; its first rule hash is accepted."""
        self._events[event.event_id] = event
        self._judge_rules(event.event_id, event.rule_hash)
        for condition_id in event.condition_ids:
            self._event_of[condition_id] = event.event_id

    def acknowledge(self, rules_of: str, rule_hash: str) -> None:
        """Accept a rule hash of an event, or of a market by its condition id.

        If it is the event's present hash, the present rules of its markets are accepted with it.
        """
        self._accepted[rules_of] = rule_hash
        market = self._markets.get(rules_of)
        if market is not None:
            self._judge_rules(rules_of, market.rule_hash)
        event = self._events.get(rules_of)
        if event is None:
            return
        self._judge_rules(rules_of, event.rule_hash)
        if rules_of not in self._changed:
            for condition_id in self._changed.intersection(event.condition_ids):
                self._accepted[condition_id] = self._markets[condition_id].rule_hash
                self._changed.discard(condition_id)

    def rules_accepted(self, event_id: str) -> bool:
        """Whether the rules of the event and of its markets are accepted. ``False`` for an unknown event."""
        event = self._events.get(event_id)
        if event is None or not self._changed:
            return event is not None
        return event_id not in self._changed and self._changed.isdisjoint(event.condition_ids)

    def market_rules_accepted(self, condition_id: str) -> bool:
        """Whether the rules of a listed market, and of the event it belongs to if any, are accepted."""
        event_id = self._event_of.get(condition_id)
        if event_id is not None and not self.rules_accepted(event_id):
            return False
        return condition_id in self._markets and condition_id not in self._changed

    def _judge_rules(self, key: str, rule_hash: str) -> None:
        if self._accepted.setdefault(key, rule_hash) == rule_hash:
            self._changed.discard(key)
        else:
            self._changed.add(key)

    def market_of(self, token_id: str) -> Market | None:
        """Return the market a token belongs to, or ``None`` if it is unknown."""
        condition_id = self._condition_of.get(token_id)
        return None if condition_id is None else self._markets[condition_id]

    def event_of(self, condition_id: str) -> MarketEvent | None:
        """Return the event a market belongs to, or ``None`` if there is none or it is unknown."""
        event_id = self._event_of.get(condition_id)
        return None if event_id is None else self._events.get(event_id)
