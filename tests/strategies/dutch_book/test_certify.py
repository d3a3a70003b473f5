"""Classes and certificates: golden vectors GT-0, 1, 3, 4, 6, 7, 11, and payoffs by brute force."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.fees import taker_fee_usd_e6
from overround.core.market import FeeSchedule
from overround.core.units import E6, parse_e6
from overround.strategies.dutch_book.certify import (
    Certificate,
    Sight,
    Verdict,
    contradiction,
    evaluate,
    skewed,
)
from overround.strategies.dutch_book.params import DutchParams
from overround.strategies.dutch_book.size import Outcome, Structure
from tests.strategies.dutch_book.terms import bare, outcome
from tests.strategies.dutch_book.test_size import outcomes
from tests.strategies.worlds import NOW_NS, FakeBook, Levels, ladder

CASH = 10_000_000 * E6


def long(asks: Sequence[Levels], params: DutchParams | None = None, rate: str = "0.04") -> Sight:
    legs = [outcome(index, levels, rate=rate, tick="0.001") for index, levels in enumerate(asks)]
    return evaluate(Structure.LONG, legs, params or bare(), CASH)


def proof(sight: Sight) -> Certificate:
    assert sight.certificate is not None
    return sight.certificate


@pytest.mark.parametrize(
    ("qty", "px", "rate", "fee"),
    [
        ("5", "0.47", "0.07", 87_180),
        ("20", "0.50", "0.07", 350_000),
        ("20", "0.38", "0.07", 329_840),
        ("100", "0.5", "0.04", 1_000_000),
        ("100", "0.025", "0.04", 97_500),
        ("100", "0.976", "0.04", 93_690),
        ("5", "0.01", "0.05", 2_470),
        ("0.01", "0.01", "0.05", 0),
    ],
)
def test_gt0_fees_and_their_symmetry(qty: str, px: str, rate: str, fee: int) -> None:
    schedule = FeeSchedule(rate_e6=parse_e6(rate))
    q, p = parse_e6(qty), parse_e6(px)
    assert taker_fee_usd_e6(schedule, q, q * p // E6) == fee
    assert taker_fee_usd_e6(schedule, q, q * (E6 - p) // E6) == fee


def test_gt1_naive_profit_is_a_true_loss() -> None:
    asks = [[(px, "100")] for px in ("0.62", "0.21", "0.09", "0.04", "0.02")]
    sight = long(asks, rate="0.05")
    assert sight.verdict is Verdict.SUB_FEE
    assert sight.detail == "gap 0.02, fees 0.02707 a share"


def test_gt3_full_no_basket() -> None:
    prices = ("0.54", "0.69", "0.83", "0.90")
    legs = [outcome(index, [(px, "100")]) for index, px in enumerate(prices)]
    sight = evaluate(Structure.SHORT, legs, bare(), CASH, granted=Verdict.EXECUTABLE_NOW)
    sized = proof(sight).sized
    assert sight.verdict is Verdict.EXECUTABLE_NOW
    assert (sized.qty_e6, sized.payoff_usd_e6, sized.notional_usd_e6) == (100 * E6, 300 * E6, 296 * E6)
    assert (sized.fees_usd_e6, sized.book_profit_usd_e6) == (2_773_600, 1_226_400)


def test_gt11_held_no_pays_more_when_none_wins() -> None:
    legs = [outcome(index, [(px, "100")]) for index, px in enumerate(("0.54", "0.69", "0.83", "0.90"))]
    states = dict(proof(evaluate(Structure.SHORT, legs, bare(), CASH, left_out=("Z",))).states)
    assert states == {
        "A": 300 * E6,
        "B": 300 * E6,
        "C": 300 * E6,
        "D": 300 * E6,
        "Z": 400 * E6,
        "none": 400 * E6,
    }


def test_gt4_buying_all_named_outcomes_loses_everything_if_other_wins() -> None:
    asks = [[(px, "100")] for px in ("0.40", "0.25", "0.15", "0.08", "0.05")]
    legs = [outcome(index, levels) for index, levels in enumerate(asks)]
    sight = evaluate(Structure.LONG, legs, bare(), CASH, left_out=("Other",), granted=Verdict.OTHER_ALLOWED)
    certificate = proof(sight)
    paid = certificate.sized.notional_usd_e6 + certificate.sized.fees_usd_e6
    assert dict(certificate.states)["Other"] - paid == -95_704_400
    assert sight.verdict is Verdict.OTHER_ALLOWED


def test_gt7_a_leg_worth_less_than_a_dollar_refuses_the_basket() -> None:
    sight = long([[("0.60", "120")], [("0.35", "120")], [("0.004", "120")]])
    assert sight.verdict is Verdict.SUB_LOT
    deep = long([[("0.60", "300")], [("0.35", "300")], [("0.004", "300")]])
    assert deep.verdict is Verdict.SETTLEMENT_LOCKED


def test_gt6_torn_books_are_an_alarm() -> None:
    fresh = FakeBook("yes", ladder([("0.47", "100")]), ladder([("0.48", "100")]))
    old = FakeBook("no", ladder([("0.49", "100")]), ladder([("0.50", "100")]))
    assert contradiction(fresh, old) == "YES and NO are not mirrors"
    synced = FakeBook("no", ladder([("0.52", "100")]), ladder([("0.53", "100")]))
    assert contradiction(fresh, synced) == ""
    crossed = FakeBook("yes", ladder([("0.48", "100")]), ladder([("0.48", "100")]))
    assert contradiction(crossed, synced) == "crossed book"


@pytest.mark.parametrize("qty", [1, 77, 100])
def test_gt6_buying_both_sides_of_one_market_would_lose(qty: int) -> None:
    # What the alarm protects from: 100 shares at .48 and .53 with rate .07 lose 4.49090.
    schedule = FeeSchedule(rate_e6=70_000)
    cost = sum(qty * px + taker_fee_usd_e6(schedule, qty * E6, qty * px) for px in (480_000, 530_000))
    assert qty * E6 - cost < 0
    if qty == 100:
        assert qty * E6 - cost == -4_490_900


def test_late_legs_are_skewed_and_quiet_legs_are_not() -> None:
    now_ms = NOW_NS // 1_000_000
    params = DutchParams()
    fresh = FakeBook("a")
    late = FakeBook("b", exchange_ts_ms=now_ms - params.max_skew_ms - 1)
    quiet = FakeBook("c", exchange_ts_ms=now_ms - 60_000, recv_ts_ns=NOW_NS - 60_000_000_000)
    never = FakeBook("d", exchange_ts_ms=0)
    assert skewed([fresh, quiet, never], NOW_NS, params) == ""
    assert skewed([fresh, late], NOW_NS, params) == "legs 1001 ms apart"


def test_margins_refuse_with_the_certificate_they_refused() -> None:
    asks = [[("0.50", "200")], [("0.45", "200")]]
    plain = proof(long(asks)).sized
    assert plain.net_usd_e6 > 0
    margin = long(asks, bare(safety_margin_usd_e6=plain.net_usd_e6 + 1))
    assert margin.verdict is Verdict.BELOW_MIN_PROFIT
    assert margin.certificate is not None
    exact = long(asks, bare(min_profit_usd_e6=plain.net_usd_e6))
    assert exact.verdict is Verdict.SETTLEMENT_LOCKED
    slipped = long(asks, bare(slippage_ticks=40))
    assert slipped.verdict is Verdict.BELOW_MIN_PROFIT


def test_capital_and_legging_have_their_own_reasons() -> None:
    asks = [[("0.50", "200")], [("0.45", "200")]]
    legs = [outcome(index, levels) for index, levels in enumerate(asks)]
    assert evaluate(Structure.LONG, legs, bare(), 0).verdict is Verdict.NO_CAPITAL
    # Without bids an incomplete basket may lose all of its larger leg.
    risky = evaluate(Structure.LONG, legs, bare(max_legging_ratio_e6=2 * E6), CASH)
    assert risky.verdict is Verdict.LEGGING_REJECT
    # A smaller basket loses less in dollars: the absolute bound shrinks it instead of refusing.
    smaller = evaluate(Structure.LONG, legs, bare(max_legging_loss_usd_e6=20 * E6), CASH)
    sized = proof(smaller).sized
    assert smaller.verdict is Verdict.SETTLEMENT_LOCKED
    assert sized.qty_e6 == 39 * E6
    assert sized.loss_bound_usd_e6 <= 20 * E6


def test_more_legs_than_a_basket_may_have() -> None:
    asks: list[Levels] = [[("0.05", "100")] for _ in range(16)]
    assert long(asks).verdict is Verdict.TOO_MANY_LEGS
    legs = [outcome(index, [("0.90", "100")]) for index in range(16)]
    short = evaluate(Structure.SHORT, legs, bare(), CASH)
    assert len(proof(short).sized.legs) == 15


@given(outcomes(50_000, 990_000), st.sampled_from(Structure), st.integers(0, 2))
def test_no_false_executable(legs: list[Outcome], structure: Structure, slip: int) -> None:
    """Whatever is acted on pays, in every state, more than its exact cost at the book's own prices."""
    sight = evaluate(structure, legs, bare(slippage_ticks=slip, min_profit_usd_e6=10_000), CASH)
    if not sight.acted_on:
        assert sight.verdict is not Verdict.EXECUTABLE_NOW
        return
    certificate = proof(sight)
    held = {leg.outcome.condition_id: leg for leg in certificate.sized.legs}
    spent = Fraction(0)
    for leg in held.values():
        left, cost = leg.qty_e6, Fraction(0)
        for px, size in leg.outcome.asks:
            taken = min(left, size)
            cost += Fraction(taken * px, E6 * E6)
            left -= taken
        assert left == 0
        v = cost / Fraction(leg.qty_e6, E6)
        spent += cost + Fraction(leg.qty_e6, E6) * Fraction(leg.outcome.fee.rate_e6, E6) * v * (1 - v)
    qty = Fraction(certificate.sized.qty_e6, E6)
    for o in legs:
        if structure is Structure.LONG:
            payoff = qty if o.condition_id in held else Fraction(0)
        else:
            payoff = qty * sum(cid != o.condition_id for cid in held)
        assert Fraction(dict(certificate.states)[o.name], E6) == payoff
        assert payoff - spent >= Fraction(certificate.sized.profit_usd_e6, E6) >= Fraction(1, 100)
