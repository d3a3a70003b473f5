"""The dictionary of reasons is complete and readable."""

import pytest

from overround.core.risk import Refusal
from overround.ops.report.reasons import REASONS, Stage, explain, rank
from overround.strategies.dutch_book.certify import ACTED_ON, Verdict
from overround.strategies.spread_capture.guards import Reason

GIVEN = sorted({*Verdict, *Reason, *Refusal})


@pytest.mark.parametrize("reason", GIVEN)
def test_every_reason_that_can_be_given_is_explained(reason: str) -> None:
    sentence = REASONS[str(reason)].sentence
    assert sentence.endswith(".")
    assert sentence[0].isupper()
    # Beside name and count it must fit a terminal of 80 columns.
    assert len(sentence) <= 51


def test_no_explanation_is_left_over() -> None:
    assert set(REASONS) == {str(reason) for reason in GIVEN}


def test_exactly_what_leads_to_orders_counts_as_acted() -> None:
    acted = {reason for reason, known in REASONS.items() if known.stage is Stage.ACTED}
    assert acted == {str(verdict) for verdict in ACTED_ON} | {"quoting"}


def test_the_funnel_narrows_in_the_order_of_the_look() -> None:
    steps = [
        "no_gap",
        "sub_fee",
        "sub_lot",
        "below_min_profit",
        "legging_reject",
        "cooldown",
        "executable_now",
    ]
    assert sorted(steps, key=rank) == steps
    assert rank("self_cross") > rank("executable_now")


def test_an_unknown_reason_is_shown_last_without_a_sentence() -> None:
    assert rank("brand_new") > max(map(rank, REASONS))
    assert explain("brand_new").sentence == ""
