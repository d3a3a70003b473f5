"""Commands and facts are one tagged union each: whatever is journaled comes back equal."""

from typing import Any, get_args

import msgspec
import pytest

from overround.core import commands as cmd
from overround.core import events as ev
from overround.core.baskets import BasketState
from overround.core.events import Side
from overround.core.market import EventKind, MarketEvent, Rewards
from tests.core.worlds import gt5_basket, intent, market

COMMANDS: list[cmd.Command] = [
    cmd.PlanBasket("s", "e", "plan", gt5_basket()),
    cmd.MoveBasket("gt5", BasketState.COMPLETING, 2),
    cmd.SubmitOrders((intent(), intent("o2", basket_id="gt5", expires_ts_ms=5))),
    cmd.CancelOrders(("o1", "o2"), "wish changed"),
    cmd.CancelAll("drill"),
    cmd.RequestSnapshot(("m-yes",), "top"),
    cmd.Notify("error", "basket_stranded", "text"),
    cmd.StopRun("done"),
]

EVENT = MarketEvent(
    event_id="e", slug="e", title="E", kind=EventKind.AUGMENTED, condition_ids=("m",), as_of_ms=1
)

FACTS: list[ev.Fact] = [
    ev.FrameRejected(1, "bad_json", "text"),
    ev.TradePrinted("m-yes", 500_000, 1, Side.SELL, 2),
    ev.TickSizeChanged("m-yes", 1_000, 2),
    ev.MarketAnnounced("m", ("m-yes", "m-no"), "slug"),
    ev.MarketResolved("m", "m-yes"),
    ev.BookSuspect("m-yes", "top", "text"),
    ev.MarketListed(market(rewards=Rewards(1, 2), end_ts_ms=9)),
    ev.EventListed(EVENT),
    ev.RulesAcknowledged("e", "hash", "me"),
    ev.StreamUp(1, 2, ("m-yes",)),
    ev.StreamDown(1, 2, "reset"),
    ev.SubscriptionChanged(1, 2, ("a",), ("b",)),
    ev.OrderAccepted("o1", "v1", "matched"),
    ev.OrderRefused("o1", ev.RefusalReason.TOO_SMALL, "text"),
    ev.SubmitUnknown("o1", "timeout"),
    ev.OrderCanceled("o1", 5),
    ev.CancelRefused("o1", "gone"),
    ev.Filled("t", "o1", 1, 2, 3, 4, ev.Liquidity.TAKER),
    ev.SettlementChanged("t", ev.Settlement.MINED, "0x"),
    ev.TimerFired("tick"),
    ev.OperatorActed("me", "cancel_all", "drill"),
    ev.RunStarted("r", "v", "paper"),
    ev.ConfigLoaded("d", "text"),
    ev.RunEnded("done"),
    ev.Reconciled(3),
    ev.Deposited(5, "test"),
]


@pytest.mark.parametrize(("records", "union"), [(COMMANDS, cmd.Command), (FACTS, ev.Fact)])
def test_everything_is_written_and_read_back(records: list[Any], union: Any) -> None:
    assert {type(record) for record in records} == set(get_args(union))
    for record in records:
        text = msgspec.json.encode(record)
        assert msgspec.json.decode(text, type=union) == record
        assert f'"type":"{type(record).__name__}"'.encode() in text


def test_an_older_order_has_no_scope() -> None:
    text = msgspec.json.encode(intent()).replace(b',"scope":"m"', b"")
    assert msgspec.json.decode(text, type=cmd.OrderIntent).scope == ""
