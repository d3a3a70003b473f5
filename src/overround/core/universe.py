"""All markets and events the engine knows, and whose rules are the ones we agreed to.

Invariants: a market is looked up by condition id or by either token; the first rule hash seen for an
event is accepted, a different one stops trading on the event until a person acknowledges it.
"""

from collections.abc import Mapping

from overround.core.market import Market, MarketEvent


class Universe:
    """Markets and events with their indices."""

    def __init__(self) -> None:
        self._markets: dict[str, Market] = {}
        self._events: dict[str, MarketEvent] = {}
        self._condition_of: dict[str, str] = {}
        self._event_of: dict[str, str] = {}
        self._accepted: dict[str, str] = {}

    @property
    def markets(self) -> Mapping[str, Market]:
        return self._markets

    @property
    def events(self) -> Mapping[str, MarketEvent]:
        return self._events

    def list_market(self, market: Market) -> None:
        """Take ``market`` as its present truth."""
        self._markets[market.condition_id] = market
        for token_id in market.token_ids():
            self._condition_of[token_id] = market.condition_id
        if market.event_id is not None:
            self._event_of[market.condition_id] = market.event_id

    def list_event(self, event: MarketEvent) -> None:
        """Take ``event`` as its present truth; its first rule hash is accepted."""
        self._events[event.event_id] = event
        self._accepted.setdefault(event.event_id, event.rule_hash)
        for condition_id in event.condition_ids:
            self._event_of[condition_id] = event.event_id

    def acknowledge(self, event_id: str, rule_hash: str) -> None:
        """Accept a changed rule hash."""
        self._accepted[event_id] = rule_hash

    def rules_accepted(self, event_id: str) -> bool:
        """Whether the event's rules are the accepted ones. An unknown event has none, so ``False``."""
        event = self._events.get(event_id)
        return event is not None and event.rule_hash == self._accepted[event_id]

    def market_of(self, token_id: str) -> Market | None:
        """Return the market a token belongs to, if known."""
        condition_id = self._condition_of.get(token_id)
        return None if condition_id is None else self._markets[condition_id]

    def event_of(self, condition_id: str) -> MarketEvent | None:
        """Return the event a market belongs to, if known."""
        event_id = self._event_of.get(condition_id)
        return None if event_id is None else self._events.get(event_id)
