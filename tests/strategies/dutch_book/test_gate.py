"""What metadata allows: each condition of the exhaustiveness gate refuses alone."""

from typing import Any

import msgspec
import pytest

from overround.core.market import EventKind, Market, MarketEvent
from overround.strategies.dutch_book.certify import Verdict
from overround.strategies.dutch_book.gate import Gate, Refusal, read_gate
from tests.strategies.worlds import make_event, make_market

MARKETS = [make_market(index) for index in range(4)]


def gate(markets: list[Market] | None = None, kind: EventKind = EventKind.NEG_RISK, **event: Any) -> Gate:
    found = MARKETS if markets is None else markets
    return read_gate(make_event(found, kind, **event), {m.condition_id: m for m in found})


def changed(index: int, **changes: Any) -> list[Market]:
    return [msgspec.structs.replace(m, **changes) if i == index else m for i, m in enumerate(MARKETS)]


def long_detail(found: Gate) -> str:
    assert found.long_refusal is not None
    assert found.long_refusal.verdict is Verdict.NON_EXHAUSTIVE
    assert found.short_refusal is None
    return found.long_refusal.detail


def test_a_complete_event_allows_both_sides() -> None:
    found = gate()
    assert (found.long_refusal, found.short_refusal, found.left_out) == (None, None, ())
    assert found.legs == tuple(MARKETS)
    assert found.convertible


def test_a_resolved_no_outcome_is_simply_gone() -> None:
    found = gate(changed(1, winner="n1", closed=True, active=False, uma_status="resolved"))
    assert found.long_refusal is None
    assert [m.condition_id for m in found.legs] == ["c0", "c2", "c3"]
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"other": True, "active": False}, "'Other' may win: B"),
        ({"placeholder": True, "active": False}, "a placeholder may win: B"),
        ({"uma_status": "proposed"}, "B: proposed"),
        ({"accepting_orders": False}, "B: closed to orders"),
        ({"closed": True}, "B: closed to orders"),
        ({"question_index": 7}, "question indices are not complete from 0"),
        ({"question_index": None}, "question indices are not complete from 0"),
    ],
)
def test_one_outcome_that_cannot_be_bought_forbids_the_long_side_only(
    changes: dict[str, Any], detail: str
) -> None:
    found = gate(changed(1, **changes))
    assert long_detail(found) == detail
    if "question_index" not in changes:
        assert found.left_out == ("B",)


def test_an_outcome_without_metadata_may_win() -> None:
    event = make_event(MARKETS)
    found = read_gate(event, {m.condition_id: m for m in MARKETS[:3]})
    assert long_detail(found) == "1 outcomes without metadata"
    assert found.left_out == ("unknown 1",)


def test_a_listing_that_lost_its_last_question_is_noticed_only_by_the_event() -> None:
    # Closed outcomes drop out of listings: indices then have a hole, or the first is missing.
    assert long_detail(gate(MARKETS[1:])) == "question indices are not complete from 0"


def test_augmented_events_keep_the_short_side() -> None:
    found = gate(kind=EventKind.AUGMENTED)
    assert long_detail(found) == "augmented: outcomes may be added"
    assert found.other_only
    assert not gate(changed(0, uma_status="disputed"), EventKind.AUGMENTED).other_only


@pytest.mark.parametrize(
    ("event", "verdict"),
    [
        (gate(MARKETS[:1], EventKind.BINARY), Verdict.X1_SINGLE_MARKET),
        (gate(MARKETS[:1]), Verdict.X1_SINGLE_MARKET),
        (gate(kind=EventKind.INDEPENDENT), Verdict.NOT_EXCLUSIVE),
        (gate(changed(2, neg_risk=False)), Verdict.NOT_EXCLUSIVE),
        (gate(changed(2, winner="y2")), Verdict.DECIDED),
        (gate(changed(2, fee=None)), Verdict.FEE_UNKNOWN),
    ],
)
def test_what_forbids_both_sides(event: Gate, verdict: Verdict) -> None:
    assert isinstance(event.short_refusal, Refusal)
    assert event.short_refusal == event.long_refusal
    assert event.short_refusal.verdict is verdict


def test_conversion_needs_known_terms() -> None:
    assert not gate(convert_fee_bips=None).convertible
    assert not gate(convert_fee_bips=100).convertible
    assert not gate(neg_risk_market_id=None).convertible


def test_an_empty_event_is_refused() -> None:
    event: MarketEvent = make_event(MARKETS)
    found = read_gate(event, {})
    assert found.short_refusal == Refusal(Verdict.NON_EXHAUSTIVE, "0 tradable outcomes")
