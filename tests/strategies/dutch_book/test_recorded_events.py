"""Real events that look like money: each one is refused, and the reason is the right one."""

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from overround.core.market import EventKind, MarketEvent
from overround.core.units import E6, format_e6, parse_e6
from overround.polymarket.listing import Listing, event_from_markets, events_from_gamma
from overround.strategies.dutch_book import DutchBook
from overround.strategies.dutch_book.certify import Verdict, unit_gap_e6
from overround.strategies.dutch_book.size import Structure
from tests.polymarket.gamma_samples import read
from tests.strategies.dutch_book.terms import bare
from tests.strategies.worlds import FakeBook, FakeView, event_view, mirrored

AS_OF_MS = 1_767_225_600_000


def world(listing: Listing) -> tuple[FakeView, MarketEvent]:
    (event,) = listing.events
    view = FakeView(markets={m.condition_id: m for m in listing.markets}, events={event.event_id: event})
    return view, event


def put_top(view: FakeView, yes: str, no: str, bid_e6: int, ask_e6: int, qty_e6: int = 1_000 * E6) -> None:
    bids = {bid_e6: qty_e6} if bid_e6 else {}
    asks = {ask_e6: qty_e6} if 0 < ask_e6 < E6 else {}
    view.books[yes] = FakeBook(yes, bids, asks)
    view.books[no] = FakeBook(no, mirrored(asks), mirrored(bids))


def verdicts(view: FakeView, event: MarketEvent) -> list[tuple[str, str]]:
    strategy = DutchBook(lambda _: bare())
    strategy.scopes(view.markets, view.events)
    decision = strategy.decide(view, event.event_id)
    assert decision is not None
    assert decision.baskets == ()
    return [(finding.reason, finding.detail) for finding in decision.findings]


def gamma_tops(view: FakeView, raw: dict[str, Any]) -> int:
    """Put Gamma's best prices as books; return the sum of the live asks."""
    total = 0
    by_id = {
        str(market["conditionId"]).lower(): market for market in raw["markets"] if market.get("conditionId")
    }
    for market in view.markets.values():
        listed = by_id[market.condition_id]
        bid = parse_e6(format(listed.get("bestBid") or 0, "f"))
        ask = parse_e6(format(listed.get("bestAsk") or 1, "f"))
        put_top(view, market.yes.token_id, market.no.token_id, bid, ask)
        total += ask if market.tradable else 0
    return total


@pytest.mark.parametrize(
    ("name", "asks"),
    [
        ("event_nobel_2026_negrisk_other_20260216.json.zst", "0.807"),
        ("event_world_cup_winner_negrisk_other_20260628.json.zst", None),
    ],
)
def test_events_with_other_are_not_exhaustive(recordings: Path, name: str, asks: str | None) -> None:
    data = read(recordings / name)
    view, event = world(events_from_gamma([msgspec.Raw(data)], AS_OF_MS))
    total = gamma_tops(view, msgspec.json.decode(data))
    if asks is not None:
        assert format_e6(total) == asks
    else:
        # The recorded prices show no gap: cheapen one outcome until they do.
        market = next(m for m in view.markets.values() if m.tradable and view.books[m.yes.token_id].asks)
        put_top(view, market.yes.token_id, market.no.token_id, 0, market.tick_e6)
        leader = max(
            (m for m in view.markets.values() if m.tradable),
            key=lambda m: view.books[m.yes.token_id].best_ask_px_e6,
        )
        put_top(view, leader.yes.token_id, leader.no.token_id, 0, leader.tick_e6)
    (long, _) = verdicts(view, event)
    assert long[0] == "non_exhaustive"
    assert "'Other' may win" in long[1]


def test_fed_event_has_no_gap_on_its_real_books(recordings: Path) -> None:
    view, event = world(
        events_from_gamma([msgspec.Raw(read(recordings / "fed_june2026.gamma-event.json"))], AS_OF_MS)
    )
    for raw in msgspec.json.decode(read(recordings / "fed_june2026.clob-books.json.zst")):
        bids, asks = (
            {parse_e6(level["price"]): parse_e6(level["size"]) for level in raw[side]}
            for side in ("bids", "asks")
        )
        view.books[raw["asset_id"]] = FakeBook(raw["asset_id"], bids, asks)
    assert event.kind is EventKind.NEG_RISK
    sum_asks = sum(view.books[m.yes.token_id].best_ask_px_e6 for m in view.markets.values())
    sum_bids = sum(view.books[m.yes.token_id].best_bid_px_e6 for m in view.markets.values())
    assert (format_e6(sum_asks), format_e6(sum_bids)) == ("1.004", "0.999")
    assert [reason for reason, _ in verdicts(view, event)] == ["no_gap", "no_gap"]


def test_unequal_ages_of_one_market_are_an_alarm_and_never_an_order(recordings: Path) -> None:
    rows = csv.DictReader(io.StringIO(read(recordings / "btc15m_yesno_bbo_20260401.csv.zst").decode("utf-8")))
    view = event_view([([], [])], EventKind.BINARY)
    strategy = DutchBook(lambda _: bare())
    strategy.scopes(view.markets, view.events)
    alarms = apparent = 0
    for row in rows:
        for token, side in (("y0", "up"), ("n0", "down")):
            bids, asks = (
                {parse_e6(row[f"{side}_{kind}"]): parse_e6(row[f"{side}_{kind}_size"])}
                if row[f"{side}_{kind}"] and row[f"{side}_{kind}_size"]
                else {}
                for kind in ("bid", "ask")
            )
            view.books[token] = FakeBook(token, bids, asks)
        yes, no = view.books["y0"], view.books["n0"]
        sums = (
            unit_gap_e6(Structure.LONG, (yes.best_ask_px_e6, no.best_ask_px_e6)),
            (yes.best_bid_px_e6 + no.best_bid_px_e6 - E6),
        )
        apparent += max(sums) > 0
        decision = strategy.decide(view, "ev")
        if decision is None:
            continue
        assert decision.baskets == ()
        reasons = {finding.reason for finding in decision.findings}
        assert reasons == {"stale_crossed" if max(sums) > 0 else "x1_single_market"}
        alarms += "stale_crossed" in reasons
    assert apparent >= alarms > 10


@pytest.mark.slow
def test_a_decided_event_with_leftovers_is_not_exhaustive(shared_data: Path) -> None:
    slugs = msgspec.json.decode(
        read(shared_data / "gamma" / "negrisk_events_markets_20260311.json.zst"),
        type=dict[str, list[msgspec.Raw]],
    )
    raws = slugs["how-to-make-a-killing-rotten-tomatoes-score"]
    view, event = world(event_from_markets(raws, AS_OF_MS))
    total = gamma_tops(view, {"markets": [msgspec.json.decode(raw) for raw in raws]})
    assert format_e6(total) == "0.004"
    assert [reason for reason, _ in verdicts(view, event)] == ["non_exhaustive", "no_gap"]


@pytest.mark.slow
def test_weather_gaps_are_below_the_fee(shared_data: Path) -> None:
    seen: Counter[str] = Counter()
    for line in read(shared_data / "gamma" / "weather_negrisk_polls_20260703.ndjson.zst").splitlines():
        poll = msgspec.json.decode(line)
        for raw in poll["gamma_events"]:
            listing = events_from_gamma([msgspec.Raw(msgspec.json.encode(raw))], AS_OF_MS)
            view, event = world(listing)
            for market in view.markets.values():
                quote = poll["clob_quotes"][market.yes.token_id]
                bid, ask = (parse_e6(quote[key]["price"]) for key in ("price_buy", "price_sell"))
                put_top(view, market.yes.token_id, market.no.token_id, bid, ask)
            seen.update(reason for reason, _ in verdicts(view, event))
    assert set(seen) <= {Verdict.NO_GAP, Verdict.SUB_FEE, Verdict.NON_EXHAUSTIVE}
    assert seen[Verdict.SUB_FEE] >= 5
