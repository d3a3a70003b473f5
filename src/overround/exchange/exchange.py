"""The venue's core without time or network: accounts, one book per market, matches, settlement.

Every call happens at one instant ``now_ns`` and answers at once; latency is added outside
(exchange/venue.py for paper and backtests). Several accounts may trade, with each other and with the world.

Invariants: simulated orders never rest crossed; what an account promised or gave away is never available
again; per trade, simulated makers never get more than was printed or shown; ids depend only on the
order and its number of fills, so a run repeated, or continued after a restart, never repeats an id.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from overround.core.commands import TimeInForce
from overround.core.events import Liquidity, RefusalReason, Settlement, Side, TradePrinted
from overround.core.fees import taker_fee_usd_e6
from overround.core.market import FREE, FeeSchedule, Market
from overround.exchange.accounts import Account, Movement, redeem
from overround.exchange.matching import Plan, Resting, plan
from overround.exchange.models import MS_NS, SECOND_NS, Random, SimulationConfig
from overround.exchange.orders import (
    GTD_SECURITY_MS,
    IMMEDIATE,
    Order,
    OrderRequest,
    Refusal,
    admission,
    opposite,
    too_small_to_take,
)
from overround.exchange.passive import PassiveFills
from overround.exchange.queues import QueuePosition
from overround.exchange.settlement import Step, check_step, plan_settlement
from overround.exchange.world import Impact, World

CLOSED_IDS_KEPT: Final = 100_000
"""How many ids of closed orders are remembered to recognise duplicates."""

MARKET_NOT_READY: Final = "the market is not yet ready to process new orders"
NO_BALANCE: Final = "not enough balance / allowance: the balance is not enough"
FOK_UNMATCHED: Final = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_UNMATCHED: Final = (
    "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found."
)

OrderKey = tuple[str, str]
"""Account and client order id."""


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One order's part of a trade."""

    trade_id: str
    """Unique per leg, because one account may be on both sides."""
    account_id: str
    client_order_id: str
    token_id: str
    side: Side
    px_e6: int
    """In terms of the leg's token; the average, rounded, if a taker walked several levels."""
    qty_e6: int
    usd_e6: int
    fee_usd_e6: int
    liquidity: Liquidity


class Trade(msgspec.Struct, kw_only=True):
    """One match: the taker first, if it is simulated, then the simulated makers."""

    trade_id: str
    condition_id: str
    legs: tuple[Leg, ...]
    steps: tuple[Step, ...]
    """The settlement steps to come."""
    status: Settlement = Settlement.MATCHED


class Placed(NamedTuple):
    """What became of an order that was taken."""

    order: Order
    trade: Trade | None
    resting: bool
    killed_qty_e6: int
    """Rest of a FAK order that found no counterparty."""


class Exchange:
    """All accounts, all resting simulated orders, and trades on their way to settlement."""

    def __init__(self, world: World, config: SimulationConfig, rng: Random) -> None:
        self._world = world
        self._config = config
        self._rng = rng
        self._impact = Impact(config.impact_memory_ns)
        self._passive = PassiveFills(world, self._impact, config.queue)
        self._accounts: dict[str, Account] = {}
        self._orders: dict[OrderKey, Order] = {}
        self._closed: dict[OrderKey, None] = {}
        self._resting: dict[str, Resting] = {}
        self._condition_of: dict[str, str] = {}
        self._trades: dict[str, Trade] = {}
        self._resolved: dict[str, tuple[Market, str]] = {}
        self._seq = 0

    # --- accounts and questions ------------------------------------------------------------------

    def open_account(
        self, account_id: str, cash_usd_e6: int = 0, shares: Iterable[tuple[str, int]] = ()
    ) -> Account:
        """Open an account with settled balances. Raises ``ValueError`` if it exists."""
        if account_id in self._accounts:
            raise ValueError(f"account {account_id} exists")
        account = self._accounts[account_id] = Account(account_id, cash_usd_e6, shares)
        return account

    def account(self, account_id: str) -> Account:
        """Return an account. Raises ``KeyError`` if it was never opened."""
        return self._accounts[account_id]

    def order(self, account_id: str, client_order_id: str) -> Order | None:
        """Return a resting order, or ``None``."""
        return self._orders.get((account_id, client_order_id))

    def open_orders(self, account_id: str) -> list[Order]:
        """Return an account's resting orders, oldest first."""
        return [order for (owner, _), order in self._orders.items() if owner == account_id]

    def resting(self, condition_id: str) -> Resting:
        """Return the simulated orders that rest in a market (read-only)."""
        return self._resting.get(condition_id) or Resting()

    def hold_ns(self, request: OrderRequest, now_ns: int) -> int:
        """Return how long the venue holds a marketable order before matching it (protocol sheet 4.8)."""
        market = self._world.market_of(request.token_id)
        if market is None or request.post_only or not (market.seconds_delay or market.taker_delay):
            return 0
        if not self._plan(self._new_order(request, market, FREE), now_ns).takes:
            return 0
        return market.seconds_delay * SECOND_NS if market.seconds_delay else self._config.taker_delay_ns

    # --- orders ----------------------------------------------------------------------------------

    def place(self, request: OrderRequest, now_ns: int) -> Placed | Refusal:
        """Match an order and let the rest of it rest, or refuse it, in which case nothing changed."""
        key = (request.account_id, request.client_order_id)
        if key in self._orders or key in self._closed:
            return Refusal(
                RefusalReason.DUPLICATE, f"order {request.client_order_id} is invalid. Duplicated."
            )
        market = self._world.market_of(request.token_id)
        if market is None:
            return Refusal(RefusalReason.UNKNOWN_TOKEN, f"no market for token {request.token_id}")
        if market.condition_id in self._resolved:
            return Refusal(RefusalReason.MARKET_CLOSED, MARKET_NOT_READY)
        if (refusal := admission(request, market, now_ns // MS_NS)) is not None:
            return refusal
        fee = market.fee if self._config.fees_on else FREE
        if fee is None:
            return Refusal(RefusalReason.OTHER, "no fee schedule is known for this market")
        order = self._new_order(request, market, fee)
        proposal = self._plan(order, now_ns)
        refusal = self._match_refusal(order, proposal) or self._balance_refusal(order, proposal)
        if refusal is not None:
            return refusal
        self._seq += 1
        trade = self._take(order, proposal, now_ns) if proposal.takes else None
        if request.time_in_force in IMMEDIATE or not order.remaining_qty_e6:
            self._remember_closed(key)
            killed_qty_e6 = 0 if proposal.whole else order.remaining_qty_e6
            return Placed(order, trade, resting=False, killed_qty_e6=killed_qty_e6)
        self._rest(order, market, now_ns)
        return Placed(order, trade, resting=True, killed_qty_e6=0)

    def cancel(self, account_id: str, client_order_id: str) -> Order | None:
        """Take a resting order out of the book and return it, or ``None`` if there is none."""
        order = self._orders.get((account_id, client_order_id))
        if order is not None:
            self._close(order)
            self._reserve(order, 0, 0)
        return order

    def expires_ns(self, order: Order) -> int | None:
        """Return when a GTD order stops matching, or ``None``."""
        if order.request.time_in_force is not TimeInForce.GTD or order.request.expires_ts_ms is None:
            return None
        return (order.request.expires_ts_ms - GTD_SECURITY_MS) * MS_NS

    def _new_order(self, request: OrderRequest, market: Market, fee: FeeSchedule) -> Order:
        queue = QueuePosition(self._config.queue, self._config.explain_window_ns)
        return Order(request, market, fee, queue, self._seq, _order_id(request))

    def _plan(self, order: Order, now_ns: int) -> Plan:
        side = opposite(order.book_side)
        makers = self.resting(order.condition_id).side(side)
        shown = self._world.shown(order.condition_id)
        return plan(order, makers, self._impact.available(shown, order.condition_id, side, now_ns))

    @staticmethod
    def _match_refusal(order: Order, proposal: Plan) -> Refusal | None:
        request = order.request
        if request.post_only and proposal.takes:
            return Refusal(RefusalReason.POST_ONLY_CROSSES, "invalid post-only order: order crosses book")
        if request.time_in_force is TimeInForce.FOK and not proposal.whole:
            return Refusal(RefusalReason.NOT_FILLABLE, FOK_UNMATCHED)
        if request.time_in_force is TimeInForce.FAK and not proposal.takes:
            return Refusal(RefusalReason.NOT_FILLABLE, FAK_UNMATCHED)
        if request.side is Side.BUY and proposal.takes:
            return too_small_to_take(request.budget_e12)
        return None

    def _balance_refusal(self, order: Order, proposal: Plan) -> Refusal | None:
        account = self._accounts[order.request.account_id]
        usd_e6, qty_e6 = order.needed_on_arrival()
        if order.request.side is Side.BUY and proposal.takes:
            # Improvement can raise the fee above the bound at the limit, as more shares are bought.
            taken_e6 = order.usd_of_e6(proposal.notional_e12)
            cost_e6 = taken_e6 + taker_fee_usd_e6(order.fee, proposal.qty_e6, taken_e6)
            if not order.request.spends_budget:
                rest_e6 = order.request.qty_e6 - proposal.qty_e6
                whole_e6 = order.usd_of_e6(proposal.notional_e12 + rest_e6 * order.request.px_e6)
                cost_e6 += whole_e6 - taken_e6
            usd_e6 = max(usd_e6, cost_e6)
        available = account.available_usd_e6(), account.available_e6(order.request.token_id)
        if usd_e6 <= max(0, available[0]) and qty_e6 <= max(0, available[1]):
            return None
        balance, amount = (available[1], qty_e6) if qty_e6 else (available[0], usd_e6)
        text = f"{NO_BALANCE} -> balance: {balance}, order amount: {amount}"
        return Refusal(RefusalReason.NO_BALANCE, text)

    # --- matches ---------------------------------------------------------------------------------

    def _take(self, order: Order, proposal: Plan, now_ns: int) -> Trade:
        makers = opposite(order.book_side)
        from_world: dict[int, int] = {}
        for take in proposal.takes:
            if take.maker is None:
                from_world[take.book_px_e6] = from_world.get(take.book_px_e6, 0) + take.qty_e6
        for book_px_e6, qty_e6 in from_world.items():
            self._impact.take(order.condition_id, makers, book_px_e6, qty_e6, now_ns)
            self._serve_queues(order.condition_id, makers, book_px_e6, qty_e6)
        qty_e6, notional_e12 = proposal.qty_e6, proposal.notional_e12
        fee_e6 = taker_fee_usd_e6(order.fee, qty_e6, order.usd_of_e6(notional_e12))
        legs = [self._fill(order, qty_e6, notional_e12, fee_e6, Liquidity.TAKER)]
        legs.extend(
            self._fill_maker(take.maker, take.qty_e6) for take in proposal.takes if take.maker is not None
        )
        return self._record(order.condition_id, tuple(legs), now_ns)

    def _serve_queues(self, condition_id: str, side: Side, book_px_e6: int, qty_e6: int) -> None:
        for maker in self.resting(condition_id).side(side):
            if maker.book_px_e6 == book_px_e6 and maker.queue.ahead_e6:
                maker.queue.served(min(maker.queue.ahead_e6, qty_e6))

    def _fill_maker(self, order: Order, qty_e6: int) -> Leg:
        leg = self._fill(order, qty_e6, order.request.px_e6 * qty_e6, 0, Liquidity.MAKER)
        if not order.remaining_qty_e6:
            self._close(order)
        return leg

    def _fill(self, order: Order, qty_e6: int, notional_e12: int, fee_e6: int, liquidity: Liquidity) -> Leg:
        request = order.request
        usd_e6 = order.trade(qty_e6, notional_e12)
        buying = request.side is Side.BUY
        if liquidity is Liquidity.MAKER:
            wanted_usd_e6, wanted_qty_e6 = order.wanted_reservation()
            # What is left of the old reservation is enough; the rest rounded anew might be a millionth more.
            kept_usd_e6 = min(wanted_usd_e6, order.reserved_usd_e6 - usd_e6) if buying else 0
            self._reserve(order, kept_usd_e6, wanted_qty_e6)
        leg = Leg(
            trade_id=_trade_id(order),
            account_id=request.account_id,
            client_order_id=request.client_order_id,
            token_id=request.token_id,
            side=request.side,
            px_e6=(notional_e12 + qty_e6 // 2) // qty_e6,
            qty_e6=qty_e6,
            usd_e6=usd_e6,
            fee_usd_e6=fee_e6,
            liquidity=liquidity,
        )
        sign = 1 if buying else -1
        movement = Movement(-sign * usd_e6 - fee_e6, ((request.token_id, sign * qty_e6),))
        self._accounts[request.account_id].matched(leg.trade_id, movement)
        return leg

    def _record(self, condition_id: str, legs: tuple[Leg, ...], now_ns: int) -> Trade:
        trade_id = legs[0].trade_id
        steps = plan_settlement(self._config.settlement, trade_id, now_ns, self._rng)
        trade = Trade(trade_id=trade_id, condition_id=condition_id, legs=legs, steps=steps)
        self._trades[trade_id] = trade
        return trade

    # --- resting orders --------------------------------------------------------------------------

    def _rest(self, order: Order, market: Market, now_ns: int) -> None:
        usd_e6, qty_e6 = order.wanted_reservation()
        # The balance check has shown that there is enough; rounding the rest anew must not ask for more.
        available_usd_e6 = self._accounts[order.request.account_id].available_usd_e6()
        self._reserve(order, min(usd_e6, available_usd_e6), qty_e6)
        shown = self._world.shown(order.condition_id)
        if shown is not None:
            order.queue.resized(shown.size_e6(order.book_side, order.book_px_e6), now_ns)
        self._orders[order.request.account_id, order.request.client_order_id] = order
        self._resting.setdefault(order.condition_id, Resting()).add(order)
        self._condition_of.update(dict.fromkeys(market.token_ids(), order.condition_id))

    def _close(self, order: Order) -> None:
        key = (order.request.account_id, order.request.client_order_id)
        del self._orders[key]
        resting = self._resting[order.condition_id]
        resting.remove(order)
        if not resting:
            del self._resting[order.condition_id]
        self._remember_closed(key)

    def _remember_closed(self, key: OrderKey) -> None:
        self._closed[key] = None
        if len(self._closed) > CLOSED_IDS_KEPT:
            del self._closed[next(iter(self._closed))]

    def _reserve(self, order: Order, usd_e6: int, qty_e6: int) -> None:
        """Make the order's reservation exactly these amounts."""
        account = self._accounts[order.request.account_id]
        account.reserve(
            usd_e6 - order.reserved_usd_e6, order.request.token_id, qty_e6 - order.reserved_qty_e6
        )
        order.reserved_usd_e6, order.reserved_qty_e6 = usd_e6, qty_e6

    # --- the world moves -------------------------------------------------------------------------

    def observe(self, token_ids: Iterable[str], prints: Iterable[TradePrinted], now_ns: int) -> list[Trade]:
        """Return the fills of resting orders that follow from trades and changed books of the world."""
        trades: list[Trade] = []
        for printed in prints:
            resting = self._resting.get(self._condition_of.get(printed.token_id, ""))
            market = self._world.market_of(printed.token_id)
            if resting is not None and market is not None:
                for order, qty_e6 in self._passive.printed(market, resting, printed, now_ns):
                    trades.append(self._fill_passive(order, qty_e6, now_ns))
        for condition_id in dict.fromkeys(self._condition_of.get(token_id, "") for token_id in token_ids):
            resting = self._resting.get(condition_id)
            if resting is not None:
                for order, qty_e6 in self._passive.moved(condition_id, resting, now_ns):
                    trades.append(self._fill_passive(order, qty_e6, now_ns))
        return trades

    def _fill_passive(self, order: Order, qty_e6: int, now_ns: int) -> Trade:
        return self._record(order.condition_id, (self._fill_maker(order, qty_e6),), now_ns)

    # --- settlement and resolution ---------------------------------------------------------------

    def settle(self, trade_id: str, status: Settlement) -> Trade:
        """Move a trade on, and its legs' balances with it.

        Raises ``KeyError`` for an unknown or final trade, ``IllegalSettlement`` for a step the table lacks.
        """
        trade = self._trades[trade_id]
        check_step(trade.status, status)
        trade.status = status
        for leg in trade.legs:
            account = self._accounts[leg.account_id]
            if status is Settlement.MINED:
                account.mined(leg.trade_id)
                self._redeem(trade.condition_id, account)
            elif status is Settlement.FAILED:
                account.failed(leg.trade_id)
        if status in (Settlement.CONFIRMED, Settlement.FAILED):
            del self._trades[trade_id]
        return trade

    def resolve(self, market: Market, winner: str) -> list[Order]:
        """Close a market: cancel its orders (returned) and pay a dollar for each winning share.

        Trades under way are paid when they are mined. Raises ``ValueError`` if ``winner`` is no token of it.
        """
        if winner not in market.token_ids():
            raise ValueError(f"{winner} is no token of {market.condition_id}")
        resting = self.resting(market.condition_id)
        orders = resting.side(Side.BUY) + resting.side(Side.SELL)
        for order in orders:
            self.cancel(order.request.account_id, order.request.client_order_id)
        self._resolved[market.condition_id] = (market, winner)
        for account in self._accounts.values():
            self._redeem(market.condition_id, account)
        return orders

    def _redeem(self, condition_id: str, account: Account) -> None:
        if (resolved := self._resolved.get(condition_id)) is not None:
            account.apply(redeem(*resolved, account))


def _order_id(request: OrderRequest) -> str:
    text = f"{request.account_id}/{request.client_order_id}"
    return "0x" + blake2b(text.encode(), digest_size=32).hexdigest()


def _trade_id(order: Order) -> str:
    return blake2b(f"{order.venue_order_id}/{order.fills}".encode(), digest_size=16).hexdigest()
