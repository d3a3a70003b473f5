"""Balances: nothing is promised twice, and chain operations conserve value in every outcome."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.market import Market
from overround.exchange.accounts import Account, InsufficientFunds, Movement, convert, merge, redeem, split
from tests.exchange.support import E6, make_market


def make_questions(count: int) -> list[Market]:
    return [make_market(f"q{i}") for i in range(count)]


def worth(movement: Movement, questions: list[Market], winner: int | None) -> int:
    """Return what a movement is worth if question ``winner`` (or none) resolves YES."""
    value = movement.usd_e6
    for token_id, qty_e6 in movement.shares:
        for index, market in enumerate(questions):
            pays = market.yes.token_id if index == winner else market.no.token_id
            value += qty_e6 if token_id == pays else 0
    return value


@given(st.integers(1, 10**12))
def test_split_and_merge_are_worth_nothing_and_undo_each_other(qty: int) -> None:
    market = make_market()
    account = Account("a", cash_usd_e6=qty)
    assert worth(split(market, qty), [market], 0) == worth(split(market, qty), [market], None) == 0
    account.apply(split(market, qty))
    assert account.positions() == dict.fromkeys(sorted(market.token_ids()), qty)
    account.apply(merge(market, qty))
    assert (account.cash_usd_e6, account.positions()) == (qty, {})


@given(st.integers(2, 8), st.data())
def test_conversion_is_worth_the_same_whoever_wins(count: int, data: st.DataObject) -> None:
    questions = make_questions(count)
    indices = frozenset(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    qty = data.draw(st.integers(1, 10**12))
    movement = convert(questions, indices, qty)
    assert all(worth(movement, questions, winner) == 0 for winner in range(count))
    # No winner: a converted position is worth less than the NO shares it came from (protocol sheet 7.5).
    assert worth(movement, questions, None) == -qty


def test_gt3_conversion_of_all_no_and_of_some() -> None:
    questions = make_questions(4)
    every = convert(questions, frozenset(range(4)), 100 * E6)
    assert every.usd_e6 == 300 * E6
    some = convert(questions, frozenset({0, 1}), 100 * E6)
    assert some == Movement(
        100 * E6, (("q0-no", -100 * E6), ("q1-no", -100 * E6), ("q2-yes", 100 * E6), ("q3-yes", 100 * E6))
    )
    assert convert(questions, frozenset(range(4)), 100 * E6, fee_bips=100).usd_e6 == 297 * E6


@pytest.mark.parametrize(
    ("count", "indices", "qty"), [(1, {0}, 1), (3, set(), 1), (3, {3}, 1), (3, {-1}, 1), (3, {0}, 0)]
)
def test_conversions_that_revert_are_refused(count: int, indices: set[int], qty: int) -> None:
    with pytest.raises(ValueError, match=r"cannot be converted|positive"):
        convert(make_questions(count), frozenset(indices), qty)


def test_redemption_burns_both_tokens_and_pays_the_winner() -> None:
    market = make_market()
    account = Account("a", 0, [("m-yes", 30 * E6), ("m-no", 5 * E6)])
    account.apply(redeem(market, "m-yes", account))
    assert (account.cash_usd_e6, account.positions()) == (30 * E6, {})
    with pytest.raises(ValueError, match="no token"):
        redeem(market, "other", account)


def test_promised_amounts_cannot_be_used_again() -> None:
    account = Account("a", 100, [("t", 50)])
    account.reserve(60, "t", 20)
    for movement in (Movement(-41), Movement(0, (("t", -31),))):
        with pytest.raises(InsufficientFunds):
            account.apply(movement)
        with pytest.raises(InsufficientFunds):
            account.matched("k", movement)
    with pytest.raises(InsufficientFunds):
        account.reserve(41, "t", 0)
    with pytest.raises(InsufficientFunds):
        account.reserve(0, "t", 31)
    with pytest.raises(InsufficientFunds):
        account.reserve(-61, "t", 0)
    account.matched("k", Movement(-40, (("t", 7),)))
    assert (account.available_usd_e6(), account.available_e6("t")) == (0, 30)
    with pytest.raises(ValueError, match="under way"):
        account.matched("k", Movement(1))
    account.failed("k")
    account.reserve(-60, "t", -20)
    assert (account.available_usd_e6(), account.available_e6("t")) == (100, 50)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 2)), max_size=30))
def test_no_sequence_makes_anything_negative(steps: list[tuple[int, int, int]]) -> None:
    account = Account("a", 100, [("t", 100)])
    settled, under_way = Fraction(100), []
    for number, (usd, qty, kind) in enumerate(steps):
        try:
            if kind == 0:
                account.matched(str(number), Movement(usd, (("t", qty),)))
                under_way.append((str(number), usd))
            elif kind == 1:
                account.apply(Movement(usd, (("t", qty),)))
                settled += usd
            elif under_way:
                key, amount = under_way.pop(0)
                account.mined(key)
                settled += amount
        except InsufficientFunds:
            pass
        assert account.available_usd_e6() >= 0
        assert account.available_e6("t") >= 0
        assert account.cash_usd_e6 == settled
        assert account.pending().usd_e6 == sum(amount for _, amount in under_way)
