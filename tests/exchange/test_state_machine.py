"""Everything at once, against a naive ledger: two accounts, one market, a world, settlement that fails.

The ledger knows only what was reported (legs of trades, settlement steps); the
exchange's balances must agree with it at every step.
"""

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from overround.core.commands import TimeInForce
from overround.core.events import Liquidity, Settlement, Side
from overround.core.units import E6
from overround.exchange.exchange import Exchange, Leg, Placed, Trade
from overround.exchange.models import QueueModel
from overround.exchange.orders import Order, OrderRequest
from overround.exchange.world import StaticWorld
from tests.exchange.support import CENT, NOW_NS, make_config, make_market, make_print

ACCOUNTS = ("a", "b")
CONDITION = "0xm"
START = 300 * E6


class ExchangeMachine(RuleBasedStateMachine):
    """Random orders, cancels, world moves, prints and settlement steps."""

    @initialize(model=st.sampled_from(QueueModel), world_trades=st.booleans())
    def begin(self, model: QueueModel, *, world_trades: bool) -> None:
        self.market = make_market(min_size_e6=E6)
        self.world = StaticWorld([self.market])
        self.exchange = Exchange(self.world, make_config(model), Random(1))
        self.world_trades = world_trades
        """Without a world, money and shares stay among the accounts."""
        self.tokens = self.market.token_ids()
        for account in ACCOUNTS:
            self.exchange.open_account(account, START, [(token, START) for token in self.tokens])
        self.now_ns = NOW_NS
        self.number = 0
        self.trades: dict[str, Trade] = {}
        self.cash = dict.fromkeys(ACCOUNTS, START)
        self.shares = {(account, token): START for account in ACCOUNTS for token in self.tokens}
        self.fees = 0
        self.fills = 0
        self.limits: dict[str, OrderRequest] = {}

    # --- the naive ledger ----------------------------------------------------------------------------

    def enter(self, leg: Leg, sign: int = 1) -> None:
        direction = 1 if leg.side is Side.BUY else -1
        self.fees += sign * leg.fee_usd_e6
        self.cash[leg.account_id] -= sign * (direction * leg.usd_e6 + leg.fee_usd_e6)
        self.shares[leg.account_id, leg.token_id] += sign * direction * leg.qty_e6

    def matched(self, trade: Trade) -> None:
        self.trades[trade.trade_id] = trade
        for leg in trade.legs:
            self.enter(leg)
            request = self.limits[leg.client_order_id]
            self.fills += 1
            assert leg.qty_e6 > 0
            assert leg.usd_e6 >= 0
            if leg.liquidity is Liquidity.MAKER:
                assert leg.px_e6 == request.px_e6
                assert leg.fee_usd_e6 == 0
            elif leg.side is Side.BUY:
                assert leg.usd_e6 <= -(-request.px_e6 * leg.qty_e6 // E6)
            else:
                assert leg.usd_e6 >= request.px_e6 * leg.qty_e6 // E6
        makers = sum(leg.qty_e6 for leg in trade.legs if leg.liquidity is Liquidity.MAKER)
        takers = sum(leg.qty_e6 for leg in trade.legs if leg.liquidity is Liquidity.TAKER)
        if takers:
            assert makers <= takers
            if not self.world_trades:
                assert makers == takers

    # --- what may happen -----------------------------------------------------------------------------

    @rule(
        account=st.sampled_from(ACCOUNTS),
        yes=st.booleans(),
        side=st.sampled_from(Side),
        cents=st.integers(44, 56),
        hundredths=st.integers(100, 12_000),
        tif=st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.FAK, TimeInForce.FOK]),
        post_only=st.booleans(),
    )
    def place(
        self,
        account: str,
        side: Side,
        cents: int,
        hundredths: int,
        tif: TimeInForce,
        *,
        yes: bool,
        post_only: bool,
    ) -> None:
        self.number += 1
        whole = tif in {TimeInForce.FAK, TimeInForce.FOK}
        request = OrderRequest(
            account_id=account,
            client_order_id=str(self.number),
            token_id=self.tokens[0] if yes else self.tokens[1],
            side=side,
            px_e6=cents * CENT,
            # Whole cents for immediate orders; odd hundredths of a share make later orders share dust.
            qty_e6=(hundredths // 100 * 100 if whole else hundredths) * CENT,
            time_in_force=tif,
            post_only=post_only and not whole,
        )
        self.limits[request.client_order_id] = request
        before = self.balances()
        outcome = self.exchange.place(request, self.now_ns)
        if not isinstance(outcome, Placed):
            assert self.balances() == before
        elif outcome.trade is not None:
            assert not request.post_only
            self.matched(outcome.trade)
            if tif is TimeInForce.FOK:
                assert outcome.trade.legs[0].qty_e6 >= request.qty_e6

    @rule(account=st.sampled_from(ACCOUNTS), pick=st.integers(0, 50))
    def cancel(self, account: str, pick: int) -> None:
        orders = self.exchange.open_orders(account)
        if orders:
            order = orders[pick % len(orders)]
            assert self.exchange.cancel(account, order.request.client_order_id) is order

    @precondition(lambda self: self.world_trades)
    @rule(
        side=st.sampled_from(Side),
        cents=st.integers(44, 56),
        shares=st.integers(0, 40),
        ms=st.integers(0, 3_000),
    )
    def move_world(self, side: Side, cents: int, shares: int, ms: int) -> None:
        self.now_ns += ms * 1_000_000
        shown = self.world.shown(CONDITION)
        assert shown is not None
        if cents * CENT < shown.best_ask_px_e6 if side is Side.BUY else cents * CENT > shown.best_bid_px_e6:
            self.world.set_level(CONDITION, side, cents * CENT, shares * E6)
            for trade in self.exchange.observe(self.tokens, (), self.now_ns):
                self.matched(trade)

    @precondition(lambda self: self.world_trades)
    @rule(side=st.sampled_from(Side), cents=st.integers(44, 56), shares=st.integers(1, 60), yes=st.booleans())
    def print_trade(self, side: Side, cents: int, shares: int, *, yes: bool) -> None:
        self.number += 1
        token = self.tokens[0] if yes else self.tokens[1]
        printed = make_print(side, cents, shares, token, ts_ms=self.number)
        trades = self.exchange.observe((), (printed,), self.now_ns)
        assert sum(leg.qty_e6 for trade in trades for leg in trade.legs) <= shares * E6
        for trade in trades:
            self.matched(trade)

    @precondition(lambda self: self.trades)
    @rule(pick=st.integers(0, 50), fails=st.booleans())
    def settle(self, pick: int, *, fails: bool) -> None:
        trade = list(self.trades.values())[pick % len(self.trades)]
        if trade.status is Settlement.MATCHED and fails:
            self.exchange.settle(trade.trade_id, Settlement.FAILED)
            for leg in trade.legs:
                self.enter(leg, -1)
        elif trade.status is Settlement.MATCHED:
            self.exchange.settle(trade.trade_id, Settlement.MINED)
            return
        else:
            self.exchange.settle(trade.trade_id, Settlement.CONFIRMED)
        del self.trades[trade.trade_id]

    # --- what must hold ------------------------------------------------------------------------------

    def balances(self) -> list[object]:
        accounts = [self.exchange.account(name) for name in ACCOUNTS]
        return [
            (a.cash_usd_e6, a.reserved_usd_e6, a.available_usd_e6(), [a.available_e6(t) for t in self.tokens])
            for a in accounts
        ]

    @invariant()
    def balances_agree_with_the_ledger(self) -> None:
        for name in ACCOUNTS:
            account = self.exchange.account(name)
            pending = account.pending()
            assert account.cash_usd_e6 + pending.usd_e6 == self.cash[name]
            for token in self.tokens:
                under_way = dict(pending.shares).get(token, 0)
                assert account.shares_e6(token) + under_way == self.shares[name, token]

    @invariant()
    def nothing_is_negative_and_reservations_are_those_of_open_orders(self) -> None:
        for name in ACCOUNTS:
            account = self.exchange.account(name)
            orders = self.exchange.open_orders(name)
            assert account.available_usd_e6() >= 0
            assert account.reserved_usd_e6 == sum(order.reserved_usd_e6 for order in orders)
            for token in self.tokens:
                assert account.available_e6(token) >= 0
                selling = [o for o in orders if o.request.side is Side.SELL and o.request.token_id == token]
                assert account.reserved_e6(token) == sum(order.remaining_qty_e6 for order in selling)

    @invariant()
    def money_and_shares_stay_among_the_accounts_without_a_world(self) -> None:
        if self.world_trades:
            return
        yes, no = (sum(self.shares[name, token] for name in ACCOUNTS) for token in self.tokens)
        assert yes == no  # a pair is minted or merged whole
        gone = 2 * START - sum(self.cash.values()) - (yes - 2 * START)
        # Fees, and less than a millionth per fill: sums are rounded against each order.
        assert abs(gone - self.fees) <= self.fills

    @invariant()
    def resting_orders_do_not_cross(self) -> None:
        resting = self.exchange.resting(CONDITION)
        bid, ask = resting.best_px_e6(Side.BUY), resting.best_px_e6(Side.SELL)
        assert bid is None or ask is None or bid < ask

    @invariant()
    def orders_rest_in_price_time_priority(self) -> None:
        for side, sign in ((Side.BUY, -1), (Side.SELL, 1)):
            orders: list[Order] = self.exchange.resting(CONDITION).side(side)
            keys = [(sign * order.book_px_e6, order.seq) for order in orders]
            assert keys == sorted(keys)
            assert all(order.remaining_qty_e6 > 0 for order in orders)


ExchangeMachine.TestCase.settings = settings(settings.default, max_examples=40, stateful_step_count=40)
TestExchange = ExchangeMachine.TestCase
