"""The ledger: every entry balances, every trade is entered once, a failure reverses exactly."""

from collections.abc import Mapping
from itertools import count

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from overround.core.commands import OrderIntent
from overround.core.events import Settlement, Side
from overround.core.portfolio import FEES, MARKET, POOL, USD, Portfolio, Posting, marked_value_e6
from overround.core.units import E6
from tests.core.worlds import fill, intent, market

FINAL = {Settlement.CONFIRMED, Settlement.FAILED}


def test_a_purchase_and_a_sale() -> None:
    books = Portfolio()
    books.deposit(100 * E6)
    buy = intent("b")
    assert books.fill(buy, fill(buy, "t1", 10 * E6, 5 * E6, 100))
    sell = intent("s", side=Side.SELL)
    assert books.fill(sell, fill(sell, "t2", 4 * E6, 3 * E6, 50))
    assert books.cash_e6() == 100 * E6 - 5 * E6 - 100 + 3 * E6 - 50
    assert books.cash_flow_e6("s") == -2 * E6 - 150
    assert books.fees_e6() == books.fees_of_e6("s") == 150
    assert books.position_e6("s", "m-yes") == books.holding_e6("m-yes") == 6 * E6
    assert books.unsettled_e6("m-yes") == 6 * E6
    assert books.positions() == {("s", "m-yes"): 6 * E6}
    assert dict(books.holdings()) == {"m-yes": 6 * E6}


def test_improvement_is_owned_whole() -> None:
    books = Portfolio()
    buy = intent(qty_e6=100 * E6, px_e6=520_000)
    books.fill(buy, fill(buy, "t", 104 * E6, 52 * E6, 1_040_000))  # strategy-spec GT-8
    assert books.position_e6("s", "m-yes") == 104 * E6
    assert books.cash_e6() == -53_040_000


def test_a_trade_is_entered_once() -> None:
    books = Portfolio()
    buy = intent()
    trade = fill(buy, "t", E6)
    assert books.fill(buy, trade)
    before = books.balances()
    assert not books.fill(buy, trade)
    books.settle("t", Settlement.CONFIRMED)
    assert not books.fill(buy, trade)
    assert books.balances() == before
    assert books.has_trade("t")


def test_a_failure_reverses_once_and_is_remembered() -> None:
    books = Portfolio()
    books.deposit(10 * E6)
    before = books.balances()
    buy = intent()
    books.fill(buy, fill(buy, "t", E6, None, 7))
    assert books.settle("t", Settlement.FAILED)
    assert not books.settle("t", Settlement.FAILED)
    assert {key: amount for key, amount in books.balances().items() if amount} == before
    assert books.fees_of_e6("s") == 0
    assert not books.fill(buy, fill(buy, "t", E6)), "the same trade does not come back"


def test_an_unknown_trade_settles_nothing() -> None:
    books = Portfolio()
    assert not books.settle("x", Settlement.FAILED)
    assert books.balances() == {}


def test_an_unbalanced_entry_posts_nothing() -> None:
    books = Portfolio()
    with pytest.raises(ValueError, match="unbalanced entry"):
        books.enter((Posting(POOL, USD, 5), Posting(MARKET, "m-yes", -5)))
    assert books.balances() == {}


class Ledger(RuleBasedStateMachine):
    """Random fills, duplicates and settlements against plain dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Portfolio()
        self.ids = count()
        self.deposited = 0
        self.trades: dict[str, tuple[OrderIntent, int, int, int, Settlement]] = {}

    @rule(usd=st.integers(0, 10**9))
    def deposit(self, usd: int) -> None:
        self.books.deposit(usd)
        self.deposited += usd

    @rule(
        strategy=st.sampled_from(["s", "t"]),
        token=st.sampled_from(["m-yes", "m-no"]),
        side=st.sampled_from(Side),
        qty=st.integers(1, 10**9),
        usd=st.integers(0, 10**9),
        fee=st.integers(0, 10**6),
    )
    def trade(self, strategy: str, token: str, side: Side, qty: int, usd: int, fee: int) -> None:
        name = f"t{next(self.ids)}"
        of = intent(name, token, strategy=strategy, side=side)
        assert self.books.fill(of, fill(of, name, qty, usd, fee))
        self.trades[name] = (of, qty, usd, fee, Settlement.MATCHED)

    @rule(data=st.data(), status=st.sampled_from(Settlement))
    def settle(self, data: st.DataObject, status: Settlement) -> None:
        if not self.trades:
            return
        name = data.draw(st.sampled_from(sorted(self.trades)))
        *rest, before = self.trades[name]
        assert self.books.settle(name, status) == (before not in FINAL)
        if before not in FINAL:
            self.trades[name] = (rest[0], rest[1], rest[2], rest[3], status)  # type: ignore[assignment] # same fields

    @rule(data=st.data())
    def duplicate(self, data: st.DataObject) -> None:
        if self.trades:
            name = data.draw(st.sampled_from(sorted(self.trades)))
            of, qty, usd, fee, _ = self.trades[name]
            assert not self.books.fill(of, fill(of, name, qty, usd, fee))

    @invariant()
    def double_entry(self) -> None:
        sums: dict[str, int] = {}
        for (_, commodity), amount in self.books.balances().items():
            sums[commodity] = sums.get(commodity, 0) + amount
        assert not any(sums.values())

    @invariant()
    def same_as_plain_sums(self) -> None:
        standing = [each for each in self.trades.values() if each[4] is not Settlement.FAILED]
        cash, positions, fees = self.deposited, dict[tuple[str, str], int](), dict[str, int]()
        for of, qty, usd, fee, _ in standing:
            sign = 1 if of.side is Side.BUY else -1
            cash -= sign * usd + fee
            key = (of.strategy, of.token_id)
            positions[key] = positions.get(key, 0) + sign * qty
            fees[of.strategy] = fees.get(of.strategy, 0) + fee
        assert self.books.cash_e6() == cash
        assert self.books.positions() == {key: qty for key, qty in sorted(positions.items()) if qty}
        assert all(self.books.fees_of_e6(name) == fees.get(name, 0) for name in ("s", "t"))
        assert self.books.fees_e6() == sum(fees.values())
        for token in ("m-yes", "m-no"):
            held = sum(qty for (_, commodity), qty in positions.items() if commodity == token)
            assert self.books.holding_e6(token) == held
            pending = [
                each for each in standing if each[0].token_id == token and each[4] is not Settlement.CONFIRMED
            ]
            assert self.books.unsettled_e6(token) == sum(
                each[1] if each[0].side is Side.BUY else -each[1] for each in pending
            )

    @invariant()
    def only_open_trades_are_unsettled(self) -> None:
        assert set(self.books.unsettled_trades()) == {
            name for name, each in self.trades.items() if each[4] not in FINAL
        }


TestLedger = Ledger.TestCase


def no_price(_token: str) -> int | None:
    return None


def test_a_pair_is_worth_a_dollar_without_any_price() -> None:
    assert marked_value_e6({"m-yes": 3 * E6, "m-no": 3 * E6}, [market()], no_price) == (3 * E6, ())


def test_the_rest_is_worth_its_bid_or_is_reported() -> None:
    positions: Mapping[str, int] = {"m-yes": 5 * E6, "m-no": 3 * E6}
    bids = {"m-yes": 400_000}
    assert marked_value_e6(positions, [market()], bids.get) == (3 * E6 + 800_000, ())
    assert marked_value_e6(positions, [market()], no_price) == (3 * E6, ("m-yes",))


def test_a_resolved_market_is_worth_its_payout() -> None:
    positions = {"m-yes": 5 * E6, "m-no": 3 * E6}
    assert marked_value_e6(positions, [market(winner="m-no")], no_price) == (3 * E6, ())


def test_fees_and_the_market_are_not_ours() -> None:
    books = Portfolio()
    buy = intent()
    books.fill(buy, fill(buy, "t", E6, None, 7))
    assert {account for account, _ in books.balances()} == {"s", MARKET, FEES}
    assert books.positions() == {("s", "m-yes"): E6}


def test_what_is_bought_can_be_sold_once_it_is_confirmed() -> None:
    books = Portfolio()
    for name in ("t1", "t2", "t3"):
        buy = intent(name)
        books.fill(buy, fill(buy, name, 10 * E6))
    books.settle("t1", Settlement.CONFIRMED)
    books.settle("t2", Settlement.MINED)
    assert books.settled_e6("s", "m-yes") == 10 * E6
    books.settle("t3", Settlement.FAILED)
    assert books.settled_e6("s", "m-yes") == 10 * E6
    sell = intent("s", side=Side.SELL)
    books.fill(sell, fill(sell, "t4", 4 * E6))
    assert books.settled_e6("s", "m-yes") == 6 * E6, "what was sold is gone at once"
    books.settle("t2", Settlement.CONFIRMED)
    assert books.settled_e6("s", "m-yes") == books.position_e6("s", "m-yes") == 16 * E6


def test_the_memory_of_settled_trades_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overround.core.portfolio.MAX_SETTLED_IDS", 2)
    books = Portfolio()
    for name in ("t1", "t2", "t3"):
        buy = intent(name)
        books.fill(buy, fill(buy, name, E6))
        books.settle(name, Settlement.CONFIRMED)
    assert [books.has_trade(name) for name in ("t1", "t2", "t3")] == [False, True, True]
