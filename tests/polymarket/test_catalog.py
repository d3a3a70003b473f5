"""The catalog: facts exactly when something changed, withdrawal of what became unreadable."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import EventListed, Fact, MarketListed
from overround.core.universe import Universe
from overround.polymarket.catalog import UNREADABLE_RULES, Catalog, listing_gaps
from overround.polymarket.listing import Listing, events_from_gamma, markets_from_gamma
from tests.polymarket import gamma_samples as gs


def listing(*markets: gs.Json, as_of_ms: int = 1, **event: Any) -> Listing:
    return events_from_gamma([gs.raw(gs.event(list(markets), **event))], as_of_ms)


def kinds(facts: list[Fact]) -> list[str]:
    return [type(fact).__name__ for fact in facts]


def test_new_markets_come_before_their_event() -> None:
    catalog = Catalog()
    assert kinds(catalog.update(listing(gs.market(0), gs.market(1)))) == [
        "MarketListed",
        "MarketListed",
        "EventListed",
    ]
    market = catalog.market_of(gs.token_id(4))
    assert market is not None
    assert (market.slug, catalog.event_of(market)) == ("outcome-1", catalog.events["77"])
    assert catalog.market_of("1") is None


def test_time_alone_is_no_change() -> None:
    catalog = Catalog()
    catalog.update(listing(gs.market(0), as_of_ms=1))
    assert catalog.update(listing(gs.market(0), as_of_ms=2)) == []
    assert catalog.events["77"].as_of_ms == 1


def test_diff_changes_nothing() -> None:
    catalog = Catalog()
    facts = catalog.diff(listing(gs.market(0)))
    assert not catalog.markets
    assert facts == catalog.update(listing(gs.market(0)))


def test_a_changed_market_is_listed_alone() -> None:
    catalog = Catalog()
    catalog.update(listing(gs.market(0), gs.market(1)))
    (fact,) = catalog.update(listing(gs.market(0), gs.market(1, orderPriceMinTickSize=0.01)))
    assert isinstance(fact, MarketListed)
    assert (fact.market.slug, fact.market.tick_e6) == ("outcome-1", 10_000)


def test_absence_proves_nothing() -> None:
    catalog = Catalog()
    catalog.update(listing(gs.market(0)))
    assert catalog.update(Listing()) == []
    assert len(catalog.markets) == 1


def test_a_market_that_becomes_unreadable_is_withdrawn_and_returns() -> None:
    catalog = Catalog()
    catalog.update(listing(gs.market(0), gs.market(1)))
    broken = listing(gs.market(0), gs.market(1, orderMinSize=None))
    (fact,) = catalog.update(broken)
    assert isinstance(fact, MarketListed)
    assert not fact.market.tradable
    assert fact.market.fee is None
    assert catalog.refusal_counts() == {"missing_field": 1}
    assert catalog.update(broken) == []
    assert kinds(catalog.update(listing(gs.market(0), gs.market(1)))) == ["MarketListed"]
    assert not catalog.refusals


def test_an_event_that_becomes_contradictory_loses_its_rules_and_returns() -> None:
    catalog, universe = Catalog(), Universe()
    good = listing(gs.market(0), gs.market(1))

    def rules_accepted(facts: list[Fact]) -> bool:
        for fact in facts:
            if isinstance(fact, EventListed):
                universe.list_event(fact.event)
        return universe.rules_accepted("77")

    assert rules_accepted(catalog.update(good))
    facts = catalog.update(listing(gs.market(0), gs.market(1), negRiskMarketID="0x" + "cd" * 32))
    assert catalog.events["77"].rule_hash == UNREADABLE_RULES
    assert not rules_accepted(facts)
    assert rules_accepted(catalog.update(good))


def test_a_token_belongs_to_one_market() -> None:
    catalog = Catalog()
    catalog.update(listing(gs.market(0)))
    thief = gs.market(1, clobTokenIds=gs.market(0)["clobTokenIds"])
    assert catalog.update(markets_from_gamma([gs.raw(thief)], 1)) == []
    assert catalog.refusal_counts() == {"duplicate_token": 1}
    within_one_answer = Catalog()
    within_one_answer.update(markets_from_gamma(gs.raws([gs.market(0), thief]), 1))
    assert [m.slug for m in within_one_answer.markets.values()] == ["outcome-0"]


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from([0.01, 0.001])), max_size=12))
def test_folding_the_facts_gives_the_same_catalog(changes: list[tuple[int, bool, float]]) -> None:
    live, folded = Catalog(), Catalog()
    for n, accepting, tick in changes:
        page = [gs.raw(gs.market(n, acceptingOrders=accepting, orderPriceMinTickSize=tick))]
        for fact in live.update(markets_from_gamma(page, 1)):
            folded.apply(fact)
    assert dict(folded.markets) == dict(live.markets)


def test_gaps_of_a_complete_event_with_decided_outcomes() -> None:
    lost = {"closed": True, "acceptingOrders": False, "umaResolutionStatus": "resolved"}
    no, yes = lost | {"outcomePrices": '["0", "1"]'}, lost | {"outcomePrices": '["1", "0"]'}

    def gaps(*markets: gs.Json) -> list[str]:
        listed = listing(*markets)
        by_id = {m.condition_id: m for m in listed.markets}
        return [gap.partition(":")[0] for gap in listing_gaps(listed.events[0], by_id)]

    assert gaps(gs.market(0), gs.market(1), gs.market(2, **no)) == []
    assert gaps(gs.market(0), gs.market(1), gs.market(2, **yes)) == ["decided"]
    assert gaps(gs.market(0), gs.market(1, umaResolutionStatus="proposed")) == ["not_tradable"]
    assert gaps(gs.market(0), gs.market(2)) == ["missing_index"]
    assert gaps(gs.market(0), gs.market(1, questionID=None)) == ["no_question_index", "missing_index"]
    assert gaps(gs.market(0)) == ["kind", "single_market"]
