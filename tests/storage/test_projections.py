"""Projections: what each record means for the tables, once, from any interruption, and again from scratch."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text

from overround.core import commands as cmd
from overround.core import events as ev
from overround.core.commands import CancelOrders, PlanBasket, RequestSnapshot, SubmitOrders
from overround.core.market import EventKind, MarketEvent
from overround.core.orders import Orders, Trigger
from overround.core.portfolio import Portfolio
from overround.core.strategy import Basket, Leg
from overround.core.units import E6
from overround.storage import projections
from overround.storage.engine import read_store
from overround.storage.errors import StoreDamaged, StoreMissing
from overround.storage.fold import UnfoldableRecord
from overround.storage.journal import Journal, JournalRecord, decode
from overround.storage.projections import Projector
from overround.storage.rows import public_rows
from overround.storage.schema import PROJECTIONS, metadata, projection_cursors
from tests.storage.journals import append, database, fill, intent, market, records, tamper

STARTED = ev.RunStarted("r1", "0.1", "paper")
LISTED = ev.MarketListed(market())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return database(tmp_path)


def project(path: Path, *contents: ev.Fact | cmd.Command) -> None:
    append(path, records(*contents))
    with Projector.open(path) as projector:
        assert projector.catch_up() == len(contents)


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    engine = read_store(path)
    with engine.connect() as connection:
        found = metadata.tables[table]
        made = list(public_rows(connection, select(found).order_by(*found.primary_key)))
    engine.dispose()
    return made


def only(path: Path, table: str) -> dict[str, Any]:
    (row,) = rows(path, table)
    return row


def test_an_order_filled_in_parts(path: Path) -> None:
    project(
        path,
        SubmitOrders((intent(),)),
        ev.OrderAccepted("p1-0", "0xv"),
        fill("t1", qty_e6=30 * E6),
        fill("t1", qty_e6=30 * E6),
        fill("t2", qty_e6=70 * E6, fee_usd_e6=10_000),
        ev.SettlementChanged("t1", ev.Settlement.MINED, "0xtx"),
        ev.SettlementChanged("t1", ev.Settlement.CONFIRMED),
        ev.SettlementChanged("t1", ev.Settlement.FAILED),
        ev.SettlementChanged("unknown", ev.Settlement.FAILED),
    )
    order = only(path, "orders")
    assert order == {
        "client_order_id": "p1-0",
        "venue_order_id": "0xv",
        "plan_id": "p1",
        "basket_id": None,
        "strategy": "spread_capture",
        "condition_id": "0xc1",
        "token_id": "11",
        "side": "BUY",
        "px": "0.4",
        "qty": "100",
        "time_in_force": "GTC",
        "post_only": True,
        "expires_ts_ms": None,
        "state": "filled",
        "filled_qty": "100",
        "filled_usd": "40",
        "fee_usd": "0.01",
        "note": "",
        "submit_request_id": "1",
        "cancel_request_id": None,
        "created_ms": 1,
        "updated_ms": 5,
    }
    first, second = rows(path, "fills")
    assert (first["qty"], first["settlement"], first["tx_hash"], first["settled_ms"]) == (
        "30",
        "CONFIRMED",
        "0xtx",
        7,
    )
    assert (second["usd"], second["settlement"], second["settled_ms"]) == ("28", "MATCHED", None)
    assert only(path, "positions") == {
        "strategy": "spread_capture",
        "token_id": "11",
        "condition_id": "0xc1",
        "qty": "100",
        "unsettled_qty": "70",
        "cash_usd": "-40.01",
        "fee_usd": "0.01",
        "updated_ms": 7,
    }


def test_a_failed_settlement_is_taken_back(path: Path) -> None:
    project(
        path,
        SubmitOrders((intent(), intent("p2-0", "p2", ev.Side.SELL, 40 * E6))),
        fill("t1", fee_usd_e6=10_000),
        fill("t2", "p2-0", 40 * E6, 20_000),
        ev.SettlementChanged("t1", ev.Settlement.FAILED),
    )
    position = only(path, "positions")
    assert (position["qty"], position["unsettled_qty"]) == ("-40", "-40")
    assert (position["cash_usd"], position["fee_usd"]) == ("15.98", "0.02")
    assert [row["settlement"] for row in rows(path, "fills")] == ["FAILED", "MATCHED"]


def test_the_audit_of_a_plan(path: Path) -> None:
    project(
        path,
        SubmitOrders((intent(), intent("p1-1"), intent("p2-0", "p2"))),
        ev.OrderAccepted("p1-0", "0xa"),
        ev.OrderRefused("p1-1", ev.RefusalReason.NO_BALANCE, "not enough"),
        ev.SubmitUnknown("p2-0", "timeout"),
        CancelOrders(("p1-0",), "wish changed"),
        ev.OrderCanceled("p1-0", 100 * E6),
    )
    cancel, first, second = sorted(rows(path, "exec_audit"), key=lambda row: (row["action"], row["plan_id"]))
    assert (first["request_id"], first["plan_id"], first["seq"]) == ("1", "p1", 1)
    assert [one["client_order_id"] for one in first["intents"]] == ["p1-0", "p1-1"]
    assert first["acks"] == [
        {"client_order_id": "p1-0", "answer": "live", "after_us": 1_000},
        {"client_order_id": "p1-1", "answer": "no_balance", "after_us": 2_000},
    ]
    assert (first["intent_count"], first["ack_count"]) == (2, 2)
    assert (first["place_call_ms"], first["first_ack_ms"], first["last_ack_ms"]) == (1, 2, 3)
    assert (first["ack_latency_us"], first["duration_us"]) == (1_000, 2_000)
    assert second["acks"] == [{"client_order_id": "p2-0", "answer": "unknown", "after_us": 3_000}]
    assert cancel["intents"] == [{"client_order_id": "p1-0", "reason": "wish changed"}]
    assert cancel["acks"] == [{"client_order_id": "p1-0", "answer": "canceled", "after_us": 1_000}]
    states = {row["client_order_id"]: (row["state"], row["note"]) for row in rows(path, "orders")}
    assert states == {
        "p1-0": ("canceled", "requested"),
        "p1-1": ("refused", "no_balance: not enough"),
        "p2-0": ("unknown", "timeout"),
    }


def test_orders_that_end_by_themselves(path: Path) -> None:
    project(
        path,
        SubmitOrders((intent(), intent("p1-1"))),
        ev.OrderAccepted("p1-0", "0xa", "delayed"),
        ev.OrderCanceled("p1-0", 100 * E6, "expired"),
        ev.OrderAccepted("p1-1", "0xb"),
        CancelOrders(("p1-1",), "x"),
        ev.CancelRefused("p1-1", "matched"),
    )
    assert [(row["state"], row["note"]) for row in rows(path, "orders")] == [
        ("canceled", "expired"),
        ("live", ""),
    ]
    assert [row["ack_count"] for row in rows(path, "exec_audit")] == [2, 1]


def test_markets_events_and_their_status(path: Path) -> None:
    event = MarketEvent(
        event_id="e",
        slug="rain-week",
        title="Rain",
        kind=EventKind.AUGMENTED,
        condition_ids=("0xc1", "0xc2"),
        as_of_ms=1,
        rule_hash="h",
    )
    project(
        path,
        LISTED,
        ev.EventListed(event),
        ev.RulesAcknowledged("e", "h", "me"),
        ev.RulesAcknowledged("other", "h", "me"),
        ev.EventListed(msgspec.structs.replace(event, title="Rain?", rule_hash="h2")),
        ev.MarketListed(msgspec.structs.replace(market(), tick_e6=1_000, fee=None)),
        ev.MarketResolved("0xc1", "12"),
        ev.MarketResolved("0xstranger", "1"),
    )
    listed = only(path, "markets")
    assert (listed["tick"], listed["min_size"], listed["fee_rate"], listed["yes_token_id"]) == (
        "0.001",
        "5",
        None,
        "11",
    )
    assert only(path, "events")["condition_ids"] == ["0xc1", "0xc2"]
    assert (only(path, "events")["title"], only(path, "events")["kind"]) == ("Rain?", "augmented")
    assert (only(path, "events")["rule_hash"], only(path, "events")["acknowledged_rule_hash"]) == ("h2", "h")
    status = only(path, "market_status")
    assert (status["winner"], status["closed"], status["accepting_orders"], status["updated_ms"]) == (
        "12",
        True,
        False,
        7,
    )
    assert [(row["token_id"], row["outcome_index"], row["won"]) for row in rows(path, "outcomes")] == [
        ("11", 0, False),
        ("12", 1, True),
    ]


def test_runs_and_resyncs(path: Path) -> None:
    project(
        path,
        STARTED,
        ev.ConfigLoaded("sha256:1", ""),
        ev.StreamDown(2, 1, "silent"),
        RequestSnapshot(("11", "12"), "mirror"),
        ev.RunEnded("asked to"),
        ev.RunStarted("r2", "0.1", "paper"),
    )
    append(path, records(ev.ConfigLoaded("sha256:2", ""), first_seq=7))
    with Projector.open(path) as projector:
        assert projector.catch_up() == 1
    first, second = rows(path, "runs")
    assert (first["run_id"], first["started_ms"], first["ended_ms"]) == ("r1", 1, 5)
    assert (first["end_reason"], first["config_digest"]) == ("asked to", "sha256:1")
    assert (second["run_id"], second["ended_ms"], second["config_digest"]) == ("r2", None, "sha256:2")
    assert [(row["kind"], row["subject"], row["reason"]) for row in rows(path, "resyncs")] == [
        ("stream", "2", "silent"),
        ("book", "11", "mirror"),
        ("book", "12", "mirror"),
    ]


def test_a_basket_is_kept_with_its_bounds(path: Path) -> None:
    leg = Leg("0xc1", "11", ev.Side.BUY, 400_000, 100 * E6)
    basket = Basket(
        "k", (leg,), cost_usd_e6=40 * E6, fees_usd_e6=1, profit_usd_e6=2 * E6, loss_bound_usd_e6=3
    )
    project(
        path, PlanBasket("dutch_book", "e", "p9", basket), ev.TimerFired("x"), cmd.Notify("warn", "c", "t")
    )
    row = only(path, "baskets")
    assert (row["plan_id"], row["event_id"], row["basket_id"], row["planned_ms"]) == ("p9", "e", "k", 1)
    assert (row["cost_usd"], row["fee_usd"], row["profit_usd"]) == ("40", "0.000001", "2")
    assert row["legs"][0]["token_id"] == "11"


def test_a_record_about_nothing_is_refused(path: Path) -> None:
    append(path, records(LISTED, ev.OrderAccepted("ghost", "0x")))
    with Projector.open(path) as projector:
        with pytest.raises(UnfoldableRecord, match="journal record 2: no orders row 'ghost'"):
            projector.catch_up()
        assert projector.position() == 0
    assert rows(path, "markets") == []


def test_a_record_that_says_nothing_is_refused(path: Path) -> None:
    append(path, [JournalRecord(1, 0, "command", b'{"type":"Nonsense"}')])
    with Projector.open(path) as projector, pytest.raises(UnfoldableRecord, match="record 1: Invalid value"):
        projector.catch_up()


def session(seed: int, length: int) -> list[ev.Fact | cmd.Command]:
    """Return a random but lawful life of orders, as a core engine would journal it."""
    rng = random.Random(seed)
    made: list[ev.Fact | cmd.Command] = [STARTED, LISTED]
    live: dict[str, int] = {}
    for number in range(length):
        choice = rng.randrange(6)
        if choice == 0 or not live:
            order = intent(f"p{number}-0", f"p{number}", rng.choice(list(ev.Side)))
            made += [SubmitOrders((order,)), ev.OrderAccepted(order.client_order_id, f"0x{number}")]
            live[order.client_order_id] = order.qty_e6
            continue
        chosen = rng.choice(sorted(live))
        if choice <= 3:
            part = min(live[chosen], rng.randrange(1, 60) * E6)
            made.append(fill(f"t{number}", chosen, part, rng.randrange(100)))
            live[chosen] -= part
            if rng.random() < 0.7:
                final = rng.choice([ev.Settlement.CONFIRMED, ev.Settlement.FAILED])
                made.append(ev.SettlementChanged(f"t{number}", final))
            if not live[chosen]:
                del live[chosen]
        elif choice == 4:
            made += [CancelOrders((chosen,), "x"), ev.OrderCanceled(chosen, live.pop(chosen))]
        else:
            made.append(ev.StreamDown(number, 1, "test"))
    return made


def everything(path: Path) -> dict[str, list[dict[str, Any]]]:
    return {table.name: rows(path, table.name) for table in (*PROJECTIONS, projection_cursors)}


@pytest.mark.parametrize("seed", range(3))
def test_any_interruption_and_a_rebuild_give_the_same_tables(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = records(*session(seed, 60))
    whole, pieces = database(tmp_path / "whole"), database(tmp_path / "pieces")
    append(whole, contents)
    with Projector.open(whole) as projector:
        projector.catch_up()
    rng = random.Random(seed)
    start = 0
    with Journal.open(pieces) as journal:
        while start < len(contents):
            size = rng.randrange(1, 30)
            journal.append_batch(contents[start : start + size])
            start += size
            monkeypatch.setattr(projections, "BATCH_RECORDS", rng.randrange(1, 9))
            with Projector.open(pieces) as projector:
                projector.catch_up()
    assert everything(pieces) == everything(whole)
    tamper(pieces, "DELETE FROM orders")
    tamper(pieces, "UPDATE positions SET qty_e6 = 7")
    with Projector.open(pieces) as projector:
        assert projector.rebuild() == len(contents)
    assert everything(pieces) == everything(whole)


@pytest.mark.parametrize("seed", range(3))
def test_the_tables_say_what_the_core_says(path: Path, seed: int) -> None:
    contents = records(*session(seed, 150))
    append(path, contents)
    with Projector.open(path) as projector:
        projector.catch_up()
    orders, portfolio = core_fold([(record.ts_ns, decode(record)) for record in contents])
    assert {row["client_order_id"]: row["state"] for row in rows(path, "orders")} == {
        order.client_order_id: order.state.value for order in orders
    }
    engine = read_store(path)
    with engine.connect() as connection:
        raw = connection.execute(
            text("SELECT qty_e6, unsettled_qty_e6, cash_usd_e6, fee_usd_e6 FROM positions")
        ).one()
    engine.dispose()
    assert tuple(raw) == (
        portfolio.position_e6("spread_capture", "11"),
        portfolio.unsettled_e6("11"),
        portfolio.cash_flow_e6("spread_capture"),
        portfolio.fees_e6(),
    )


def core_fold(contents: list[tuple[int, ev.Fact | cmd.Command]]) -> tuple[Orders, Portfolio]:
    """Fold with the core's own tables."""
    orders, portfolio = Orders(), Portfolio()
    for ts_ns, content in contents:
        match content:
            case SubmitOrders(intents):
                for one in intents:
                    orders.add(one, ts_ns)
            case CancelOrders(ids):
                for client_order_id in ids:
                    move(orders, client_order_id, Trigger.CANCEL_SENT, ts_ns)
            case ev.OrderAccepted(client_order_id):
                move(orders, client_order_id, Trigger.ACCEPTED, ts_ns)
            case ev.OrderCanceled(client_order_id):
                move(orders, client_order_id, Trigger.CANCELED, ts_ns)
            case ev.Filled():
                order = orders.get(content.client_order_id)
                assert order is not None
                assert portfolio.fill(order.intent, content)
                orders.fill(order, content.qty_e6, content.usd_e6, content.fee_usd_e6, ts_ns)
            case ev.SettlementChanged():
                portfolio.settle(content.trade_id, content.status)
            case _:
                pass  # moves no order and no money
    return orders, portfolio


def move(orders: Orders, client_order_id: str, trigger: Trigger, ts_ns: int) -> None:
    order = orders.get(client_order_id)
    assert order is not None
    orders.move(order, trigger, ts_ns)


def test_tables_of_another_journal_are_found_out(path: Path) -> None:
    project(path, LISTED, STARTED)
    for statement in ("DELETE FROM journal WHERE pos = 2", "UPDATE projection_cursors SET pos = 1"):
        tamper(path, statement)
        with (
            Projector.open(path) as projector,
            pytest.raises(StoreDamaged, match="folded up to journal record"),
        ):
            projector.catch_up()


def test_projections_run_beside_the_writer(path: Path) -> None:
    with Journal.open(path) as journal, Projector.open(path) as projector:
        for seq in range(1, 30):
            journal.append_batch(records(ev.StreamDown(seq, 1, "x"), first_seq=seq))
            assert projector.catch_up() == 1
        assert projector.catch_up() == 0
        assert projector.position() == 29


def test_without_a_store_there_is_nothing_to_project(path: Path) -> None:
    with pytest.raises(StoreMissing, match="start a run first"):
        Projector.open(path)
