"""The simulated venue: latency, order of facts, the life of orders, settlement, reports, determinism."""

from random import Random
from typing import Any

import pytest

from overround.core.commands import (
    CancelAll,
    CancelOrders,
    Command,
    Notify,
    RequestSnapshot,
    StopRun,
    SubmitOrders,
    TimeInForce,
)
from overround.core.events import (
    CancelRefused,
    Fact,
    Filled,
    Liquidity,
    OrderAccepted,
    OrderCanceled,
    OrderRefused,
    RefusalReason,
    Settlement,
    SettlementChanged,
    Side,
)
from overround.exchange.models import MS_NS, Latency, QueueModel, SettlementConfig, SimulationConfig
from overround.exchange.venue import SimulatedVenue
from overround.exchange.world import StaticWorld
from tests.exchange.support import (
    CENT,
    E6,
    NOW_NS,
    S_NS,
    fills,
    make_config,
    make_intent,
    make_market,
    make_print,
    make_venue,
)

BUY, SELL = Side.BUY, Side.SELL
CASH = 1_000 * E6


def make_world(**market: Any) -> StaticWorld:
    world = StaticWorld([make_market(**market)])
    world.set_level("0xm", BUY, 48 * CENT, 100 * E6)
    world.set_level("0xm", SELL, 52 * CENT, 100 * E6)
    return world


def make_slow(**changes: Any) -> SimulationConfig:
    return make_config(
        entry=Latency(30 * MS_NS),
        cancel=Latency(40 * MS_NS),
        ack=Latency(10 * MS_NS),
        starting_cash_usd_e6=CASH,
        **changes,
    )


def names(facts: list[tuple[int, Fact]]) -> list[str]:
    return [type(fact).__name__ for _, fact in facts]


def test_an_order_meets_the_world_at_its_arrival_and_the_answer_takes_its_time() -> None:
    world = make_world()
    venue = make_venue(make_slow(), world)
    venue.submit([SubmitOrders((make_intent(BUY, 52, 10, time_in_force=TimeInForce.FAK),))], NOW_NS)
    assert venue.next_due_ns() == NOW_NS + 30 * MS_NS
    assert venue.advance(NOW_NS + 30 * MS_NS - 1) == []
    world.set_level("0xm", SELL, 51 * CENT, 100 * E6)  # improvement while the order was on its way
    assert venue.advance(NOW_NS + 30 * MS_NS) == []
    facts = venue.advance(NOW_NS + S_NS)
    assert names(facts)[:2] == ["OrderAccepted", "Filled"]
    assert {ts for ts, _ in facts[:2]} == {NOW_NS + 40 * MS_NS}
    accepted, filled = facts[0][1], facts[1][1]
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(filled, Filled)
    assert accepted.status == "matched"
    assert (filled.px_e6, filled.liquidity) == (51 * CENT, Liquidity.TAKER)


def test_settlement_follows_in_steps() -> None:
    config = make_slow(settlement=SettlementConfig(mined_min_ns=2 * S_NS, mined_max_ns=2 * S_NS))
    venue = make_venue(config, make_world())
    venue.submit([SubmitOrders((make_intent(BUY, 52, 10),))], NOW_NS)
    facts = venue.advance(NOW_NS + 20 * S_NS)
    settled = [(ts, fact) for ts, fact in facts if isinstance(fact, SettlementChanged)]
    arrival_ns = NOW_NS + 30 * MS_NS
    assert [(ts, fact.status) for ts, fact in settled] == [
        (arrival_ns + 2 * S_NS + 10 * MS_NS, Settlement.MINED),
        (arrival_ns + 6 * S_NS + 10 * MS_NS, Settlement.CONFIRMED),
    ]
    assert {fact.trade_id for _, fact in settled} == {fills(facts)[0].trade_id}
    assert settled[0][1].tx_hash.startswith("0x")


def test_a_failed_match_leaves_the_account_as_it_was() -> None:
    venue = make_venue(make_slow(settlement=SettlementConfig(failure_chance_e6=E6)), make_world())
    before = venue.report()
    venue.submit([SubmitOrders((make_intent(BUY, 52, 10),))], NOW_NS)
    venue.advance(NOW_NS + S_NS)
    during = venue.report()
    assert during.pending_e6 == {"m-yes": 10 * E6}
    assert during.pending_usd_e6 == -(5_200_000 + 99_840)
    facts = venue.advance(NOW_NS + 60 * S_NS)
    assert [f.status for _, f in facts if isinstance(f, SettlementChanged)] == [
        Settlement.RETRYING,
        Settlement.FAILED,
    ]
    assert venue.report() == before


def test_cancel_and_the_race_it_can_lose() -> None:
    world = make_world()
    venue = make_venue(make_slow(queue=QueueModel.OPTIMISTIC), world)
    venue.submit([SubmitOrders((make_intent(BUY, 50, 10, "one"), make_intent(BUY, 49, 10, "two")))], NOW_NS)
    assert names(venue.advance(NOW_NS + S_NS)) == ["OrderAccepted", "OrderAccepted"]
    later = NOW_NS + S_NS
    venue.submit([CancelOrders(("one", "two"), "test")], later)
    venue.observe(("m-yes",), (make_print(SELL, 50, 10),), later + 20 * MS_NS)
    facts = [fact for _, fact in venue.advance(later + S_NS) if not isinstance(fact, SettlementChanged)]
    assert [type(fact) for fact in facts] == [Filled, CancelRefused, OrderCanceled]
    assert facts[2] == OrderCanceled("two", 10 * E6)
    venue.submit([CancelOrders(("never",), "test")], later + S_NS)
    assert names(venue.advance(later + 2 * S_NS)) == ["CancelRefused"]


def test_cancel_all_takes_every_order() -> None:
    venue = make_venue(make_slow(), make_world())
    orders = tuple(make_intent(BUY, 40 + i, 10, str(i)) for i in range(5))
    venue.submit([SubmitOrders(orders), CancelAll("stop")], NOW_NS)
    assert names(venue.advance(NOW_NS + S_NS)) == ["OrderAccepted"] * 5 + ["OrderCanceled"] * 5
    report = venue.report()
    assert report.open_orders == ()
    assert report.reserved_usd_e6 == 0


def test_messages_do_not_overtake_each_other() -> None:
    drawn = Latency(30 * MS_NS, drawn=True)
    venue = make_venue(
        make_config(entry=drawn, cancel=drawn, ack=drawn, starting_cash_usd_e6=CASH), make_world()
    )
    for number in range(40):
        name = str(number)
        venue.submit(
            [SubmitOrders((make_intent(BUY, 40, 5, name),)), CancelOrders((name,), "x")],
            NOW_NS + number * 50 * MS_NS,
        )
    facts = venue.advance(NOW_NS + 60 * S_NS)
    assert names(facts) == ["OrderAccepted", "OrderCanceled"] * 40
    assert [ts for ts, _ in facts] == sorted(ts for ts, _ in facts)
    assert len({ts for ts, _ in facts}) > 20


def test_a_gtd_order_ends_a_minute_before_its_expiration() -> None:
    venue = make_venue(make_slow(), make_world())
    expires_ms = NOW_NS // MS_NS + 200_000
    venue.submit(
        [SubmitOrders((make_intent(BUY, 40, 10, time_in_force=TimeInForce.GTD, expires_ts_ms=expires_ms),))],
        NOW_NS,
    )
    facts = venue.advance(NOW_NS + 300 * S_NS)
    assert facts[1:] == [
        ((expires_ms - 60_000) * MS_NS + 10 * MS_NS, OrderCanceled("o1", 10 * E6, "expired"))
    ]


def test_the_rest_of_a_fak_is_cancelled() -> None:
    venue = make_venue(make_slow(), make_world())
    venue.submit([SubmitOrders((make_intent(BUY, 52, 150, time_in_force=TimeInForce.FAK),))], NOW_NS)
    facts = venue.advance(NOW_NS + S_NS)
    assert names(facts)[:2] == ["OrderAccepted", "Filled"]
    assert facts[2][1] == OrderCanceled("o1", 50 * E6, "fak_remainder")


def test_refusals_are_facts() -> None:
    venue = make_venue(make_slow(), make_world())
    venue.submit([SubmitOrders((make_intent(BUY, 52, 10, post_only=True),))], NOW_NS)
    ((ts, fact),) = venue.advance(NOW_NS + S_NS)
    assert ts == NOW_NS + 40 * MS_NS
    assert isinstance(fact, OrderRefused)
    assert fact.reason is RefusalReason.POST_ONLY_CROSSES


@pytest.mark.parametrize(
    "command", [Notify("info", "code", "text"), StopRun("end"), RequestSnapshot(("m-yes",), "x")]
)
def test_commands_for_others_are_ignored(command: Command) -> None:
    venue = make_venue()
    venue.submit([command], NOW_NS)
    assert venue.next_due_ns() is None


def test_marketable_orders_are_held_in_delayed_markets() -> None:
    venue = make_venue(make_slow(), make_world(seconds_delay=3))
    venue.submit([SubmitOrders((make_intent(BUY, 52, 10, "take"), make_intent(BUY, 40, 10, "rest")))], NOW_NS)
    venue.submit([CancelOrders(("take",), "test")], NOW_NS + S_NS)
    facts = venue.advance(NOW_NS + 2 * S_NS)
    assert facts[0][1] == OrderAccepted("take", "", "delayed")
    assert names(facts) == ["OrderAccepted", "OrderAccepted", "CancelRefused"]
    later = venue.advance(NOW_NS + 4 * S_NS)
    assert later[0][0] == NOW_NS + 3 * S_NS + 40 * MS_NS
    assert names(later)[:2] == ["OrderAccepted", "Filled"]


def test_the_short_hold_only_delays_the_answer() -> None:
    venue = make_venue(make_slow(), make_world(taker_delay=True))
    venue.submit([SubmitOrders((make_intent(BUY, 52, 10),))], NOW_NS)
    facts = venue.advance(NOW_NS + S_NS)
    assert facts[0][0] == NOW_NS + (30 + 50 + 10) * MS_NS
    assert names(facts)[:2] == ["OrderAccepted", "Filled"]


def test_resolution_pays_out() -> None:
    world = make_world()
    venue = make_venue(make_slow(), world, positions=[("m-yes", 10 * E6)])
    venue.submit([SubmitOrders((make_intent(BUY, 40, 10),))], NOW_NS)
    venue.advance(NOW_NS + S_NS)
    venue.resolve(make_market(), "m-yes", NOW_NS + S_NS)
    assert names(venue.advance(NOW_NS + 2 * S_NS)) == ["OrderCanceled"]
    assert venue.report().cash_usd_e6 == CASH + 10 * E6


def test_the_report_shows_open_orders() -> None:
    venue = make_venue(make_slow(), make_world(), positions=[("m-no", 20 * E6)])
    venue.submit([SubmitOrders((make_intent(SELL, 60, 20, token_id="m-no"),))], NOW_NS)
    venue.advance(NOW_NS + S_NS)
    report = venue.report()
    (order,) = report.open_orders
    assert (order.token_id, order.side, order.px_e6, order.filled_qty_e6) == ("m-no", SELL, 60 * CENT, 0)
    assert (report.cash_usd_e6, report.positions_e6) == (CASH, {"m-no": 20 * E6})


def run(seed: int) -> list[tuple[int, Fact]]:
    """Trade at random against a world at random, everything drawn from ``seed``."""
    drawn = Latency(30 * MS_NS, drawn=True)
    config = SimulationConfig(
        entry=drawn,
        cancel=drawn,
        ack=drawn,
        starting_cash_usd_e6=CASH,
        settlement=SettlementConfig(failure_chance_e6=100_000, retry_chance_e6=100_000),
    )
    world = make_world()
    venue: SimulatedVenue = make_venue(config, world, seed)
    choices = Random(99)
    facts: list[tuple[int, Fact]] = []
    now_ns = NOW_NS
    for number in range(150):
        now_ns += choices.randrange(100) * MS_NS
        facts += venue.advance(now_ns)
        side, cents = choices.choice(((BUY, 48), (SELL, 52)))
        world.set_level("0xm", side, (cents + choices.randrange(-1, 2)) * CENT, choices.randrange(100) * E6)
        venue.observe(("m-yes",), (make_print(side, 50, 5, ts_ms=number),), now_ns)
        token = choices.choice(("m-yes", "m-no"))
        intent = make_intent(BUY, choices.randrange(45, 55), 10, str(number), token_id=token)
        venue.submit([SubmitOrders((intent,)), CancelOrders((str(number - 5),), "old")], now_ns)
    return facts + venue.advance(now_ns + 60 * S_NS)


def test_same_seed_same_facts() -> None:
    assert run(1) == run(1)
    assert run(1) != run(2)
    assert len(fills(run(1))) > 10
