"""Small markets, orders and venues for the exchange tests."""

from random import Random
from typing import Any

from overround.core.commands import OrderIntent, TimeInForce
from overround.core.events import Fact, Filled, Liquidity, RefusalReason, Side, TradePrinted
from overround.core.market import FeeSchedule, Market, Token
from overround.exchange.exchange import Exchange, Leg, Placed, Trade
from overround.exchange.models import Latency, QueueModel, SettlementConfig, SimulationConfig
from overround.exchange.orders import OrderRequest, Refusal
from overround.exchange.venue import SimulatedVenue
from overround.exchange.world import StaticWorld

E6 = 1_000_000
CENT = 10_000
S_NS = 1_000_000_000
NOW_NS = 1_790_000_000 * S_NS
POLITICS = FeeSchedule(rate_e6=40_000)
INSTANT = SettlementConfig(mined_min_ns=0, mined_max_ns=0, confirmed_after_ns=0)


def make_market(name: str = "m", **changes: Any) -> Market:
    fields: dict[str, Any] = {
        "condition_id": f"0x{name}",
        "yes": Token(token_id=f"{name}-yes", outcome="Yes"),
        "no": Token(token_id=f"{name}-no", outcome="No"),
        "slug": name,
        "question": f"{name}?",
        "tick_e6": CENT,
        "min_size_e6": 5 * E6,
        "neg_risk": True,
        "active": True,
        "closed": False,
        "accepting_orders": True,
        "as_of_ms": 0,
        "fee": POLITICS,
    }
    return Market(**(fields | changes))


def make_config(queue: QueueModel = QueueModel.PROBABILISTIC, **changes: Any) -> SimulationConfig:
    zero = Latency(0)
    fields: dict[str, Any] = {
        "entry": zero,
        "cancel": zero,
        "ack": zero,
        "settlement": INSTANT,
        "queue": queue,
    }
    return SimulationConfig(**(fields | changes))


def make_request(
    side: Side,
    cents: int,
    shares: int,
    *,
    token: str = "m-yes",
    tif: TimeInForce = TimeInForce.GTC,
    account: str = "a",
    name: str = "o1",
    **changes: Any,
) -> OrderRequest:
    return OrderRequest(
        account_id=account,
        client_order_id=name,
        token_id=token,
        side=side,
        px_e6=cents * CENT,
        qty_e6=shares * E6,
        time_in_force=tif,
        **changes,
    )


def make_intent(side: Side, cents: int, shares: int, name: str = "o1", **changes: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "client_order_id": name,
        "plan_id": name,
        "strategy": "test",
        "condition_id": "0xm",
        "token_id": "m-yes",
        "side": side,
        "px_e6": cents * CENT,
        "qty_e6": shares * E6,
    }
    return OrderIntent(**(fields | changes))


def make_print(
    taker_side: Side, cents: int, shares: int, token: str = "m-yes", ts_ms: int = 1
) -> TradePrinted:
    return TradePrinted(
        token_id=token, px_e6=cents * CENT, qty_e6=shares * E6, taker_side=taker_side, exchange_ts_ms=ts_ms
    )


class Bench:
    """An exchange with one market, accounts ``a`` and ``b``, and a hand-set world."""

    def __init__(
        self, config: SimulationConfig | None = None, market: Market | None = None, usd: int = 1_000
    ) -> None:
        self.market = market or make_market()
        self.world = StaticWorld([self.market])
        self.exchange = Exchange(self.world, config or make_config(), Random(1))
        for name in ("a", "b"):
            self.exchange.open_account(
                name, usd * E6, [(token, usd * E6) for token in self.market.token_ids()]
            )

    def show(self, side: Side, cents: int, shares: int) -> None:
        self.world.set_level(self.market.condition_id, side, cents * CENT, shares * E6)

    def place(self, *args: Any, now_ns: int = NOW_NS, **kwargs: Any) -> Placed:
        outcome = self.exchange.place(make_request(*args, **kwargs), now_ns)
        assert isinstance(outcome, Placed), outcome
        return outcome

    def refuse(self, *args: Any, now_ns: int = NOW_NS, **kwargs: Any) -> RefusalReason:
        outcome = self.exchange.place(make_request(*args, **kwargs), now_ns)
        assert isinstance(outcome, Refusal), outcome
        return outcome.reason

    def observe(self, *prints: TradePrinted, now_ns: int = NOW_NS) -> list[Leg]:
        trades: list[Trade] = self.exchange.observe(self.market.token_ids(), prints, now_ns)
        return [leg for trade in trades for leg in trade.legs]


def taker_leg(placed: Placed) -> Leg:
    assert placed.trade is not None
    leg = placed.trade.legs[0]
    assert leg.liquidity is Liquidity.TAKER
    return leg


def make_venue(
    config: SimulationConfig | None = None, world: StaticWorld | None = None, seed: int = 1, **kwargs: Any
) -> SimulatedVenue:
    config = config or make_config(starting_cash_usd_e6=1_000 * E6)
    return SimulatedVenue(world or StaticWorld([make_market()]), config, Random(seed), **kwargs)


def fills(facts: list[tuple[int, Fact]]) -> list[Filled]:
    return [fact for _, fact in facts if isinstance(fact, Filled)]
