"""Metadata → markets and events: real answers, each refusal, exact numbers, rule hashes."""

import json
from collections import Counter
from contextlib import suppress
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.market import FREE, EventKind, FeeSchedule, Market, Rewards
from overround.core.units import E6
from overround.polymarket import metadata_fields as fields
from overround.polymarket.catalog import Catalog, listing_gaps
from overround.polymarket.clob_listing import markets_from_clob, merge_clob
from overround.polymarket.listing import (
    Listing,
    event_from_markets,
    events_from_gamma,
    markets_from_gamma,
)
from overround.polymarket.metadata_wire import ClobCompact, MetadataRefused, decode_page
from tests.polymarket import gamma_samples as gs

FEES = {"rate": 0.05, "exponent": 1, "takerOnly": True, "rebateRate": 0.25}


def one(**changes: Any) -> Market:
    listing = markets_from_gamma([gs.raw(gs.market(**changes))], 1)
    assert not listing.refusals, listing.refusals
    return listing.markets[0]


def refusal(**changes: Any) -> tuple[str, str]:
    listing = markets_from_gamma([gs.raw(gs.market(**changes))], 1)
    assert not listing.markets
    return listing.refusals[0].reason, listing.refusals[0].detail


def event(*markets: gs.Json, **changes: Any) -> Listing:
    return events_from_gamma([gs.raw(gs.event(list(markets), **changes))], 1)


# --- real answers ---------------------------------------------------------------------------------


def test_fed_event_is_a_complete_neg_risk_event(recordings: Path) -> None:
    listing = events_from_gamma([gs.raw(gs.load(recordings / "fed_june2026.gamma-event.json"))], 7)
    (fed,) = listing.events
    assert (fed.kind, fed.slug, len(fed.condition_ids)) == (EventKind.NEG_RISK, "fed-decision-in-june-825", 5)
    assert fed.end_ts_ms == 1_781_654_400_000
    assert {market.question_index for market in listing.markets} == set(range(5))
    cut = listing.markets[0]
    assert (cut.title, cut.tick_e6, cut.min_size_e6) == ("25 bps decrease", 1_000, 5_000_000)
    assert cut.fee == FeeSchedule(rate_e6=50_000, exponent=1, taker_only=True, rebate_e6=250_000)
    assert cut.rewards == Rewards(100_000_000, 35_000)
    assert all(market.tradable and market.event_id == fed.event_id for market in listing.markets)
    assert listing_gaps(fed, {m.condition_id: m for m in listing.markets}) == ()


def test_fed_clob_answers_agree_with_gamma(recordings: Path) -> None:
    listing = events_from_gamma([gs.raw(gs.load(recordings / "fed_june2026.gamma-event.json"))], 7)
    compact = msgspec.json.decode(
        (recordings / "fed_june2026.clob-markets.json").read_bytes(), type=list[ClobCompact]
    )
    markets = {market.condition_id: market for market in listing.markets}
    assert len(compact) == 5
    for answer in compact:
        gamma = markets[answer.condition_id or ""]
        assert msgspec.structs.replace(merge_clob(gamma, answer, 8), as_of_ms=7) == gamma


@pytest.mark.parametrize(
    ("file", "members", "placeholders", "decided_no"),
    [
        ("event_nobel_2026_negrisk_other_20260216.json.zst", 71, 50, 0),
        ("event_world_cup_winner_negrisk_other_20260628.json.zst", 60, 9, 18),
    ],
)
def test_events_with_other_are_augmented_and_never_complete(
    recordings: Path, file: str, members: int, placeholders: int, decided_no: int
) -> None:
    listing = events_from_gamma([gs.raw(gs.load(recordings / file))], 1)
    (event_,) = listing.events
    assert (event_.kind, len(event_.condition_ids), listing.refusals) == (EventKind.AUGMENTED, members, ())
    assert sum(m.placeholder for m in listing.markets) == placeholders
    assert [m.title for m in listing.markets if m.other] == ["Other"]
    assert sum(m.winner == m.no.token_id for m in listing.markets) == decided_no
    gaps = Counter(
        g.partition(":")[0] for g in listing_gaps(event_, {m.condition_id: m for m in listing.markets})
    )
    assert gaps == {"kind": 1, "other": 1, "placeholder": placeholders}


def test_single_markets(recordings: Path) -> None:
    free = gs.load(recordings / "gamma_binary_market_20260628.json")
    paid = gs.load(recordings / "gamma_feed_market_20260628.json")
    listing = markets_from_gamma(gs.raws([free, paid]), 1)
    assert [market.fee for market in listing.markets] == [FREE, FeeSchedule(70_000, 1, True, 200_000)]
    assert listing.events == ()


@pytest.mark.slow
def test_every_recorded_page_parses(shared_data: Path) -> None:
    folder = shared_data / "gamma"
    catalog = Catalog()
    read = 0
    for line in gs.read(folder / "markets_pages_60x25_20260311.jsonl.zst").splitlines():
        items, cursor = decode_page(line, "markets")
        read += len(items)
        catalog.update(markets_from_gamma(items, 1))
        assert cursor is None
    assert read == len(catalog.markets) == 1500
    assert not catalog.refusals
    # In March 2026 fees were switched on without a schedule: unknown, so not tradable.
    fees = Counter(market.fee for market in catalog.markets.values())
    assert fees == {FREE: 1425, None: 75}


@pytest.mark.slow
def test_recorded_neg_risk_events(shared_data: Path) -> None:
    folder = shared_data / "gamma"
    by_slug = msgspec.json.decode(
        gs.read(folder / "negrisk_events_markets_20260311.json.zst"), type=dict[str, list[msgspec.Raw]]
    )
    gaps: dict[str, tuple[str, ...]] = {}
    for slug, items in by_slug.items():
        listing = event_from_markets(items, 1)
        assert not listing.refusals
        gaps[slug] = listing_gaps(listing.events[0], {m.condition_id: m for m in listing.markets})
    assert len(gaps) == 10
    assert {slug: why for slug, why in gaps.items() if why} == {
        "how-to-make-a-killing-rotten-tomatoes-score": ("missing_index:1",),
        "blast-open-rotterdam-2026-winner": ("kind:augmented",),
        "f1-chinese-grand-prix-winner-2026-03-15": ("kind:augmented",),
    }


@pytest.mark.slow
def test_recorded_weather_polls_change_only_what_changed(shared_data: Path) -> None:
    catalog = Catalog()
    facts = []
    for line in gs.read(shared_data / "gamma" / "weather_negrisk_polls_20260703.ndjson.zst").splitlines():
        poll = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        items = msgspec.json.decode(poll["gamma_events"], type=list[msgspec.Raw])
        facts.append(len(catalog.update(events_from_gamma(items, 1))))
    # Two polls for each of four sets of events; later polls of an event repeat it but for a few changes.
    assert facts == [24, 24, 24, 24, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 12, 1]
    assert not catalog.refusals


@pytest.mark.slow
def test_recorded_clob_page(shared_data: Path) -> None:
    items, cursor = decode_page(
        gs.read(shared_data / "gamma" / "clob_markets_first_page_1000.json.zst"), "data"
    )
    listing = markets_from_clob(items, 1)
    assert cursor == "MTAwMA=="
    assert (len(listing.markets), len(listing.refusals)) == (945, 55)
    assert {r.reason for r in listing.refusals} == {"bad_id"}  # the oldest markets have no tokens
    assert all(market.fee is None and not market.rule_hash for market in listing.markets)


@pytest.mark.slow
def test_recorded_payouts(shared_data: Path) -> None:
    for line in gs.read(shared_data / "gamma" / "btc5m_markets_outcomes_20260724.jsonl.zst").splitlines():
        sample = json.loads(line)
        (market,) = markets_from_gamma([gs.raw(sample["raw"])], 1).markets
        payout = dict(zip(market.token_ids(), sample["outcome_prices"], strict=True))
        assert market.winner == next((token for token, price in payout.items() if price == "1"), None)


# --- numbers, flags, fees -------------------------------------------------------------------------


@given(st.integers(0, 10**12), st.integers(0, 6))
def test_numbers_are_exact(units: int, places: int) -> None:
    value = Decimal(units).scaleb(-places)
    assert fields.e6(value, "x") == units * 10 ** (6 - places)


@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "Infinity", "-1", "0.0000001", "1E+999999999", "1E-999999999"]
)
def test_numbers_that_are_no_amounts_are_refused(text: str) -> None:
    with pytest.raises(MetadataRefused, match="bad_number: size"):
        fields.e6(Decimal(text), "size")


def test_a_number_keeps_every_digit_of_the_wire() -> None:
    body = (
        json.dumps(gs.market())
        .replace('"orderMinSize": 5', '"orderMinSize": 5.00000000000000000001')
        .encode()
    )
    listing = markets_from_gamma([msgspec.Raw(body)], 1)
    assert [r.reason for r in listing.refusals] == ["bad_number"]  # a float would have read 5.0


@pytest.mark.parametrize(
    ("enabled", "schedule", "fee"),
    [
        (False, None, FREE),
        (True, FEES, FeeSchedule(50_000, 1, True, 250_000)),
        (True, None, None),
        (None, None, None),
        (False, FEES, None),
        (None, FEES, None),
        (False, FEES | {"rate": 0}, FREE),
    ],
)
def test_fee_is_stated_or_unknown(
    enabled: bool | None, schedule: gs.Json | None, fee: FeeSchedule | None
) -> None:
    assert one(feesEnabled=enabled, feeSchedule=schedule).fee == fee


@pytest.mark.parametrize(
    ("changes", "reason", "names"),
    [
        ({"conditionId": None}, "missing_field", "conditionId"),
        ({"negRisk": None}, "missing_field", "negRisk"),
        ({"acceptingOrders": None}, "missing_field", "acceptingOrders"),
        ({"orderPriceMinTickSize": None}, "missing_field", "orderPriceMinTickSize"),
        ({"clobTokenIds": None}, "missing_field", "clobTokenIds"),
        ({"clobTokenIds": "[1"}, "bad_object", "clobTokenIds"),
        ({"clobTokenIds": "[1, 2]"}, "bad_object", "clobTokenIds"),
        ({"clobTokenIds": json.dumps([gs.token_id(1), ""])}, "bad_id", "token id"),
        ({"clobTokenIds": json.dumps([gs.token_id(1)] * 2)}, "bad_id", "both outcomes"),
        ({"clobTokenIds": json.dumps([gs.token_id(1), "1" * 79])}, "bad_id", "token id"),
        ({"clobTokenIds": json.dumps([gs.token_id(1), str(2**200)])}, "v2", "protocol v2"),
        ({"outcomes": '["A", "B", "C"]'}, "outcomes", "3 outcomes"),
        ({"version": "v2"}, "v2", "version"),
        ({"conditionId": "0x" + "a" * 62}, "v2", "conditionId"),
        ({"conditionId": "0x12"}, "bad_id", "conditionId"),
        ({"orderPriceMinTickSize": 0.003}, "bad_number", "orderPriceMinTickSize"),
        ({"orderPriceMinTickSize": 0}, "bad_number", "orderPriceMinTickSize"),
        ({"orderMinSize": -5}, "bad_number", "orderMinSize"),
        ({"orderMinSize": True}, "bad_object", "orderMinSize"),
        ({"questionID": "0x" + "cd" * 32}, "conflict", "questionID"),
        ({"endDate": "soon"}, "bad_time", "endDate"),
        ({"feesEnabled": True, "feeSchedule": FEES | {"exponent": 0}}, "fee_schedule", "exponent 0"),
        ({"feesEnabled": True, "feeSchedule": FEES | {"exponent": 1.5}}, "fee_schedule", "exponent 1.5"),
        ({"feesEnabled": True, "feeSchedule": FEES | {"exponent": 5}}, "fee_schedule", "exponent 5"),
        ({"feesEnabled": True, "feeSchedule": FEES | {"rate": 1.1}}, "fee_schedule", "rate 1.1"),
        ({"rewardsMinSize": 50, "rewardsMaxSpread": 0.00001}, "bad_number", "rewards spread"),
    ],
)
def test_refused_with_the_fields_name(changes: gs.Json, reason: str, names: str) -> None:
    why, detail = refusal(**changes)
    assert why == reason
    assert names in detail


@pytest.mark.parametrize(
    ("text", "ts_ms"),
    [
        ("2026-03-12 00:00:00+00", 1_773_273_600_000),
        ("2026-03-12T00:00:00Z", 1_773_273_600_000),
        ("2026-03-12T00:00:00.123456Z", 1_773_273_600_123),
        ("2026-03-12", 1_773_273_600_000),
        ("", None),
        (None, None),
    ],
)
def test_times(text: str | None, ts_ms: int | None) -> None:
    assert fields.ts_ms(text, "endDate") == ts_ms


def test_only_a_resolved_market_has_a_winner() -> None:
    closed = {"closed": True, "outcomePrices": '["0", "1"]'}
    assert one(**closed).winner is None
    assert one(**closed, umaResolutionStatus="proposed").winner is None
    assert one(**closed, umaResolutionStatus="resolved").winner == gs.token_id(2)
    assert one(closed=True, outcomePrices='["0.5", "0.5"]', umaResolutionStatus="resolved").winner is None
    assert one(outcomePrices='["1", "0"]', umaResolutionStatus="resolved").winner is None


# --- events ---------------------------------------------------------------------------------------


def kinds(listing: Listing) -> list[EventKind]:
    return [event.kind for event in listing.events]


def test_kinds_of_events() -> None:
    independent = [gs.market(n, negRisk=False, negRiskMarketID=None) for n in range(2)]
    assert kinds(event(independent[0], negRisk=False)) == [EventKind.BINARY]
    assert kinds(event(*independent, negRisk=False)) == [EventKind.INDEPENDENT]
    assert kinds(event(gs.market(0), gs.market(1))) == [EventKind.NEG_RISK]
    assert kinds(event(gs.market(0), gs.market(1), negRiskAugmented=True)) == [EventKind.AUGMENTED]
    assert kinds(event(gs.market(0), gs.market(1, negRiskOther=True))) == [EventKind.AUGMENTED]
    assert kinds(event(gs.market(0), gs.market(1, active=False))) == [EventKind.AUGMENTED]


def test_a_refused_market_stays_a_member() -> None:
    listing = event(gs.market(0), gs.market(1, version="v2"), gs.market(2, conditionId=None))
    (event_,) = listing.events
    assert len(event_.condition_ids) == 3
    assert [r.reason for r in listing.refusals] == ["v2", "missing_field"]
    gaps = listing_gaps(event_, {m.condition_id: m for m in listing.markets})
    assert [g.partition(":")[0] for g in gaps] == [
        "unknown_market",
        "unknown_market",
        "missing_index",
        "missing_index",
    ]


def test_an_unreadable_market_stays_a_member() -> None:
    listing = event(gs.market(0), gs.market(1, active="yes"))
    assert len(listing.events[0].condition_ids) == 2
    assert [r.reason for r in listing.refusals] == ["bad_object"]


@pytest.mark.parametrize(
    ("markets", "names"),
    [
        ([gs.market(0), gs.market(1, negRisk=False)], "negRisk: event says True"),
        ([gs.market(0), gs.market(1, questionID=None, negRiskMarketID="0x" + "cd" * 32)], "negRiskMarketID"),
        ([gs.market(0), gs.market(0)], "conditionId: the event lists one market twice"),
    ],
)
def test_an_event_that_contradicts_its_markets_is_refused(markets: list[gs.Json], names: str) -> None:
    listing = event(*markets)
    assert not listing.events
    assert (listing.refusals[-1].subject, listing.refusals[-1].reason) == ("77", "conflict")
    assert names in listing.refusals[-1].detail


def test_market_pages_name_events_but_do_not_list_them() -> None:
    head = {"id": "77", "slug": "who-wins", "title": "Who wins?", "negRisk": True, "negRiskAugmented": True}
    listing = markets_from_gamma([gs.raw(gs.market(0, active=False, events=[head]))], 1)
    assert (listing.events, listing.markets[0].event_id, listing.markets[0].placeholder) == ((), "77", True)


# --- rule hashes ----------------------------------------------------------------------------------

RULE_TEXTS = {
    "question": "Will it?",
    "description": "Other rules.",
    "resolutionSource": "https://example.org",
    "outcomes": '["Up", "Down"]',
    "endDate": "2026-06-18T00:00:00Z",
}


@pytest.mark.parametrize("field", list(RULE_TEXTS))
def test_every_deciding_text_changes_the_rule_hash(field: str) -> None:
    before, after = event(gs.market(0)), event(gs.market(0, **{field: RULE_TEXTS[field]}))
    assert before.markets[0].rule_hash != after.markets[0].rule_hash
    assert before.events[0].rule_hash != after.events[0].rule_hash


def test_what_does_not_decide_leaves_the_rule_hash() -> None:
    plain = event(gs.market(0), gs.market(1)).events[0].rule_hash
    noisy = gs.market(0, feesEnabled=True, outcomePrices='["0.4", "0.6"]', bestBid=0.4, image="x.png")
    assert event(gs.market(1), noisy, volume=5).events[0].rule_hash == plain  # nor does the listing order
    assert event(gs.market(0)).events[0].rule_hash != plain
    assert event(gs.market(0), gs.market(1), title="Who won?").events[0].rule_hash != plain


def test_rule_hash_is_stable_across_versions() -> None:
    # Journals hold these hashes: a changed recipe would stop every event until acknowledged.
    market = sha256(
        b'["overround-rules-1","Will outcome 0 happen?","Resolves by the official result.","",["Yes","No"],'
        b"1781654400000]"
    ).hexdigest()
    members = f'[["{gs.market(0)["conditionId"]}","{market}"]]'
    whole = f'["overround-event-rules-1","Who wins?","One outcome wins.","",1781654400000,{members}]'
    listing = event(gs.market(0))
    assert listing.markets[0].rule_hash == market
    assert listing.events[0].rule_hash == sha256(whole.encode()).hexdigest()


# --- CLOB -----------------------------------------------------------------------------------------


def compact(market: Market, **changes: Any) -> ClobCompact:
    item: gs.Json = {
        "c": market.condition_id,
        "t": [{"t": market.yes.token_id, "o": "Yes"}, {"t": market.no.token_id, "o": "No"}],
        "mos": 5,
        "mts": 0.001,
        "nr": True,
        "ao": True,
    }
    item.update(changes)
    return msgspec.json.decode(json.dumps({k: v for k, v in item.items() if v is not None}), type=ClobCompact)


def test_clob_wins_where_markets_live() -> None:
    market = one()
    merged = merge_clob(market, compact(market, mts=0.0025, ao=False, itode=True, r={"mi": 20, "ma": 4.5}), 9)
    assert (merged.tick_e6, merged.accepting_orders, merged.taker_delay, merged.as_of_ms) == (
        2_500,
        False,
        True,
        9,
    )
    assert merged.rewards == Rewards(20_000_000, 45_000)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"c": "0x" + "0" * 64}, "c"),
        ({"t": []}, "t"),
        ({"nr": None}, "nr"),
        ({"mos": 15}, "mos"),
        ({"fd": {"r": 0.05, "e": 1, "to": True}}, "fd"),
    ],
)
def test_disagreement_names_the_field(changes: gs.Json, names: str) -> None:
    market = one()
    with pytest.raises(MetadataRefused, match=f"conflict: {names}: Gamma says"):
        merge_clob(market, compact(market, **changes), 9)


def test_fees_of_both_sources() -> None:
    unknown, stated = one(feesEnabled=True), one(feesEnabled=True, feeSchedule=FEES)
    fd = {"r": 0.05, "e": 1, "to": True}
    assert merge_clob(unknown, compact(unknown), 9).fee is None
    assert merge_clob(unknown, compact(unknown, fd=fd), 9).fee == FeeSchedule(50_000, 1, True)
    assert merge_clob(stated, compact(stated, fd=fd), 9).fee == stated.fee
    with pytest.raises(MetadataRefused, match="fd: Gamma says"):
        merge_clob(stated, compact(stated), 9)
    with pytest.raises(MetadataRefused, match="fd: Gamma says"):
        merge_clob(stated, compact(stated, fd=fd | {"r": 0.04}), 9)


# --- broken input ---------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(gs.market(feeSchedule=FEES, rewardsMinSize=50, rewardsMaxSpread=4))), JSON)
def test_any_value_in_any_field_is_used_or_refused(field: str, value: object) -> None:
    item = gs.market(feesEnabled=True, feeSchedule=FEES)
    item[field] = value
    listing = markets_from_gamma([gs.raw(item), gs.raw(gs.market(1))], 1)
    assert len(listing.markets) + len(listing.refusals) == 2
    assert listing.markets[-1].slug == "outcome-1"
    for market in listing.markets:
        assert E6 % market.tick_e6 == 0
        assert market.min_size_e6 >= 0


@given(st.binary(max_size=60))
def test_any_bytes_are_a_page_or_refused(body: bytes) -> None:
    with suppress(MetadataRefused):  # and nothing else
        decode_page(body, "markets")


@pytest.mark.parametrize(
    ("body", "count", "cursor"),
    [
        (b"[]", 0, None),
        (b' [{"id": "1"}]', 1, None),
        (b'{"markets": [{}, {}], "next_cursor": "abc"}', 2, "abc"),
        (b'{"markets": []}', 0, None),
        (b'{"markets": [], "next_cursor": "LTE="}', 0, None),
        (b'{"markets": [], "next_cursor": ""}', 0, None),
    ],
)
def test_pages(body: bytes, count: int, cursor: str | None) -> None:
    items, after = decode_page(body, "markets")
    assert (len(items), after) == (count, cursor)
