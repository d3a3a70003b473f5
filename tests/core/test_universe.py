"""The universe: look-ups, resolved for good, and rules that a person agreed to."""

from overround.core.market import EventKind, Market, MarketEvent
from overround.core.universe import Universe
from tests.core.worlds import market


def event(rule_hash: str = "r1", *condition_ids: str) -> MarketEvent:
    return MarketEvent(
        event_id="e",
        slug="e",
        title="E",
        kind=EventKind.NEG_RISK,
        condition_ids=condition_ids or ("a", "b"),
        as_of_ms=1,
        rule_hash=rule_hash,
    )


def universe(*markets: Market) -> Universe:
    known = Universe()
    for each in markets or (market("a", event_id="e"), market("b", event_id="e")):
        known.list_market(each)
    return known


def test_look_up_by_token_and_by_market() -> None:
    known = universe()
    known.list_event(event())
    found = known.market_of("b-no")
    assert found is not None
    assert found.condition_id == "b"
    assert known.event_of("a") == event()
    assert known.market_of("x") is None
    assert known.event_of("x") is None


def test_a_market_may_name_its_event_before_the_event_is_known() -> None:
    known = universe()
    assert known.event_of("a") is None
    assert not known.market_rules_accepted("a")
    known.list_event(event())
    assert known.market_rules_accepted("a")


def test_changed_event_rules_stop_the_event_until_acknowledged() -> None:
    known = universe()
    assert not known.rules_accepted("e"), "an unknown event has no rules that anyone accepted"
    known.list_event(event("r1"))
    assert known.rules_accepted("e")
    known.list_event(event("r2"))
    assert not known.rules_accepted("e")
    assert not known.market_rules_accepted("a")
    known.acknowledge("e", "r9")
    assert not known.rules_accepted("e"), "these are not the present rules"
    known.acknowledge("e", "r2")
    assert known.rules_accepted("e")
    known.list_event(event("r1"))
    assert not known.rules_accepted("e"), "going back is a change too"


def test_changed_market_rules_stop_the_whole_event() -> None:
    known = universe()
    known.list_event(event("r1"))
    known.list_market(market("a", event_id="e", rule_hash="other"))
    assert not known.rules_accepted("e")
    assert not known.market_rules_accepted("b")
    known.list_event(event("r2"))
    known.acknowledge("e", "r2")
    assert known.rules_accepted("e")
    assert known.market_rules_accepted("a")


def test_acknowledging_other_rules_than_the_present_ones_accepts_no_market() -> None:
    known = universe()
    known.list_event(event("r1"))
    known.list_market(market("a", event_id="e", rule_hash="other"))
    known.acknowledge("e", "r9")
    known.list_event(event("r9"))
    assert not known.rules_accepted("e"), "nobody has read the market's rules"


def test_a_market_without_event_has_rules_of_its_own() -> None:
    known = universe(market("a"))
    assert known.market_rules_accepted("a")
    known.list_market(market("a", rule_hash="other"))
    assert not known.market_rules_accepted("a")
    known.acknowledge("a", "other")
    assert known.market_rules_accepted("a")


def test_an_unknown_market_has_no_accepted_rules() -> None:
    assert not Universe().market_rules_accepted("a")


def test_a_market_that_paid_out_stays_so() -> None:
    known = universe(market("a", winner="a-yes", closed=True))
    known.list_market(market("a", question="older metadata"))
    found = known.markets["a"]
    assert (found.winner, found.closed, found.tradable) == ("a-yes", True, False)
    assert found.question == "older metadata"
