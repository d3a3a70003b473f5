"""What a backtest traded, counted from its steps: orders, fills, fees, inventory and profit.

Invariants: money is what the account's own ledger says; a position is worth its pairs, payouts and bids,
and a token without a bid is named instead of valued. Reads an engine, changes nothing.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any

import msgspec

from overround.core.commands import CancelOrders, Command, PlanBasket, SubmitOrders
from overround.core.engine import Engine
from overround.core.events import (
    Fact,
    Filled,
    OrderCanceled,
    OrderRefused,
    Settlement,
    SettlementChanged,
    Side,
)
from overround.core.portfolio import marked_value_e6
from overround.core.units import format_e6
from overround.runtime.sequencer import Step

NS_PER_MS = 1_000_000


class Fill(msgspec.Struct, frozen=True):
    """One fill of ours; decimals as text."""

    at_ms: int
    strategy: str
    condition_id: str
    client_order_id: str
    token_id: str
    side: str
    price: str
    size: str
    usd: str
    fee: str
    liquidity: str


class Line(msgspec.Struct):
    """Counts and money of one strategy, or of one of its markets. Money in millionths of a dollar."""

    orders: int = 0
    cancels: int = 0
    """Orders asked to be canceled."""
    canceled: int = 0
    refused: int = 0
    fills: int = 0
    baskets: int = 0
    failed_trades: int = 0
    volume_usd_e6: int = 0
    fees_usd_e6: int = 0
    cash_flow_usd_e6: int = 0
    """Taken in less paid out, fees included."""
    position_value_usd_e6: int = 0
    unpriced_tokens: int = 0

    @property
    def pnl_usd_e6(self) -> int:
        """Cash flow plus what the positions are worth."""
        return self.cash_flow_usd_e6 + self.position_value_usd_e6

    def document(self) -> dict[str, Any]:
        """Return counts, and money as decimal texts in dollars."""
        said = msgspec.structs.asdict(self)
        counts = {name: value for name, value in said.items() if not name.endswith("_usd_e6")}
        money = {name.removesuffix("_usd_e6"): value for name, value in said.items() if name not in counts}
        money["pnl"] = self.pnl_usd_e6
        return counts | {f"{name}_usdc": format_e6(value) for name, value in money.items()}


class Tally:
    """Give :meth:`on_step` every step of a run, then :meth:`finish`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.strategies: dict[str, Line] = {name: Line() for name in engine.strategy_names()}
        self.markets: dict[tuple[str, str], Line] = {}
        """By (strategy, condition id)."""
        self.fills: list[Fill] = []
        self.refusals: Counter[str] = Counter()
        """Orders the venue refused, by reason."""
        self._trades: dict[str, tuple[tuple[Line, Line], Filled, Side]] = {}

    def on_step(self, step: Step) -> None:
        """Count one batch."""
        for command in step.commands:
            self._command(command)
        for _seq, ts_ns, fact in step.facts:
            self._fact(fact, ts_ns)

    def _command(self, command: Command) -> None:
        match command:
            case SubmitOrders(orders=orders):
                for intent in orders:
                    for line in self._lines_of(intent.strategy, intent.condition_id):
                        line.orders += 1
            case CancelOrders(client_order_ids=ids):
                for line in chain.from_iterable(map(self._lines, ids)):
                    line.cancels += 1
            case PlanBasket(strategy=strategy):
                self.strategies[strategy].baskets += 1
            case _:
                pass

    def _fact(self, fact: Fact, ts_ns: int) -> None:
        match fact:
            case OrderCanceled():
                for line in self._lines(fact.client_order_id):
                    line.canceled += 1
            case OrderRefused():
                self.refusals[str(fact.reason)] += 1
                for line in self._lines(fact.client_order_id):
                    line.refused += 1
            case Filled():
                self._fill(fact, ts_ns)
            case SettlementChanged(status=Settlement.FAILED):
                self._failed(fact.trade_id)
            case _:
                pass

    def finish(self) -> None:
        """Value what is held now."""
        held: dict[str, dict[str, int]] = {}
        for (strategy, token_id), qty_e6 in self._engine.portfolio.positions().items():
            held.setdefault(strategy, {})[token_id] = qty_e6
        for strategy, positions in held.items():
            line = self.strategies[strategy]
            line.position_value_usd_e6, line.unpriced_tokens = self._value(positions)
        for (strategy, condition_id), line in self.markets.items():
            market = self._engine.universe.markets[condition_id]
            of_market = {
                token: qty for token, qty in held.get(strategy, {}).items() if token in market.token_ids()
            }
            line.position_value_usd_e6, line.unpriced_tokens = self._value(of_market)

    def inventory_e6(self, strategy: str, condition_id: str) -> tuple[int, int]:
        """Return the shares held of YES and NO, in millionths."""
        yes, no = self._engine.universe.markets[condition_id].token_ids()
        portfolio = self._engine.portfolio
        return portfolio.position_e6(strategy, yes), portfolio.position_e6(strategy, no)

    def _fill(self, fact: Filled, ts_ns: int) -> None:
        intent = self._engine.orders.known(fact.client_order_id).intent
        lines = self._lines_of(intent.strategy, intent.condition_id)
        self._trades[fact.trade_id] = lines, fact, intent.side
        for line in lines:
            line.fills += 1
            _enter(line, fact, intent.side, 1)
        self.fills.append(
            Fill(
                ts_ns // NS_PER_MS,
                intent.strategy,
                intent.condition_id,
                fact.client_order_id,
                intent.token_id,
                str(intent.side),
                format_e6(fact.px_e6),
                format_e6(fact.qty_e6),
                format_e6(fact.usd_e6),
                format_e6(fact.fee_usd_e6),
                str(fact.liquidity),
            )
        )

    def _failed(self, trade_id: str) -> None:
        known = self._trades.pop(trade_id, None)
        if known is not None:
            lines, fact, side = known
            for line in lines:
                line.failed_trades += 1
                _enter(line, fact, side, -1)

    def _value(self, positions: dict[str, int]) -> tuple[int, int]:
        universe = self._engine.universe
        found = (universe.market_of(token_id) for token_id in positions)
        markets = {market.condition_id: market for market in found if market is not None}
        value_e6, unpriced = marked_value_e6(positions, list(markets.values()), self._bid_px_e6)
        return value_e6, len(unpriced)

    def _bid_px_e6(self, token_id: str) -> int | None:
        book = self._engine.books.get(token_id)
        return None if book is None or not book.snapshot_seq else book.best_bid_px_e6

    def _lines(self, client_order_id: str) -> Iterable[Line]:
        intent = self._engine.orders.known(client_order_id).intent
        return self._lines_of(intent.strategy, intent.condition_id)

    def _lines_of(self, strategy: str, condition_id: str) -> tuple[Line, Line]:
        market = self.markets.setdefault((strategy, condition_id), Line())
        return self.strategies[strategy], market


def _enter(line: Line, fact: Filled, side: Side, sign: int) -> None:
    received = -fact.usd_e6 if side is Side.BUY else fact.usd_e6
    line.volume_usd_e6 += sign * fact.usd_e6
    line.fees_usd_e6 += sign * fact.fee_usd_e6
    line.cash_flow_usd_e6 += sign * (received - fact.fee_usd_e6)
