"""The fold from journal records to rows: what each fact and command means for the tables.

Invariants: it follows core/orders.py's transition table, so a row's state is the engine's state; a trade id
is entered once; rows depend on the records alone, so folding the same journal again gives the same rows.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from overround.core import commands as cmd
from overround.core import events as ev
from overround.core.market import Market
from overround.core.orders import OrderState, Trigger, next_state
from overround.storage import schema
from overround.storage.errors import StoreError
from overround.storage.journal import JournalRecord, decode
from overround.storage.rows import Row, RowCache

NS_PER_MS: Final = 1_000_000


class UnfoldableRecord(StoreError):
    """A journal record is unreadable, or refers to what the journal never made: a bug of its writer."""


class Fold:
    """Applies records to rows. One instance per batch of records; the caller flushes and commits.

    ``run_id`` is the run that the records before this batch belong to.
    """

    def __init__(self, rows: RowCache, run_id: str | None) -> None:
        self._rows = rows
        self._run_id = run_id
        self._pos = 0
        self._seq = 0
        self._ts_ns = 0

    def apply(self, pos: int, record: JournalRecord) -> None:
        """Apply one record. Raises :class:`UnfoldableRecord`."""
        self._pos, self._seq, self._ts_ns = pos, record.seq, record.ts_ns
        try:
            content = decode(record)
        except msgspec.MsgspecError as error:
            raise UnfoldableRecord(f"journal record {pos}: {error}") from error
        handler = _HANDLERS.get(type(content))
        if handler is not None:
            handler(self, content)

    @property
    def _ms(self) -> int:
        return self._ts_ns // NS_PER_MS

    def _existing(self, table: Any, key: str) -> Row:
        row = self._rows.get(table, key)
        if row is None:
            raise UnfoldableRecord(f"journal record {self._pos}: no {table.name} row {key!r}")
        return row

    # --- runs ------------------------------------------------------------------------------------

    def _run_started(self, fact: ev.RunStarted) -> None:
        self._rows.put(
            schema.runs,
            {
                "run_id": fact.run_id,
                "version": fact.version,
                "mode": fact.mode,
                "first_seq": self._seq,
                "started_ms": self._ms,
                "ended_ms": None,
                "end_reason": None,
                "config_digest": None,
            },
        )
        self._run_id = fact.run_id

    def _config_loaded(self, fact: ev.ConfigLoaded) -> None:
        self._run()["config_digest"] = fact.digest

    def _run_ended(self, fact: ev.RunEnded) -> None:
        self._run().update(ended_ms=self._ms, end_reason=fact.reason)

    def _run(self) -> Row:
        return self._existing(schema.runs, self._run_id or "")

    # --- markets ---------------------------------------------------------------------------------

    def _market(self, fact: ev.MarketListed) -> None:
        market = fact.market
        self._rows.put(schema.markets, _market_row(market))
        for index, token in enumerate((market.yes, market.no)):
            self._rows.put(
                schema.outcomes,
                {
                    "token_id": token.token_id,
                    "condition_id": market.condition_id,
                    "outcome_index": index,
                    "outcome": token.outcome,
                    "won": None if market.winner is None else market.winner == token.token_id,
                },
            )
        self._rows.put(
            schema.market_status,
            {
                "condition_id": market.condition_id,
                "active": market.active,
                "closed": market.closed,
                "accepting_orders": market.accepting_orders,
                "uma_status": market.uma_status,
                "winner": market.winner,
                "updated_ms": self._ms,
            },
        )

    def _resolved(self, fact: ev.MarketResolved) -> None:
        status = self._rows.get(schema.market_status, fact.condition_id)
        market = self._rows.get(schema.markets, fact.condition_id)
        if status is None or market is None:
            return  # the stream also reports markets that were never listed here
        status.update(winner=fact.winner, closed=True, accepting_orders=False, updated_ms=self._ms)
        for token_id in (market["yes_token_id"], market["no_token_id"]):
            self._existing(schema.outcomes, token_id)["won"] = token_id == fact.winner

    def _event(self, fact: ev.EventListed) -> None:
        event = fact.event
        known = self._rows.get(schema.events, event.event_id)
        row = {column.name: getattr(event, column.name, None) for column in schema.events.columns}
        row["kind"] = event.kind.value
        row["condition_ids"] = _json(event.condition_ids)
        row["acknowledged_rule_hash"] = None if known is None else known["acknowledged_rule_hash"]
        self._rows.put(schema.events, row)

    def _rules(self, fact: ev.RulesAcknowledged) -> None:
        known = self._rows.get(schema.events, fact.event_id)
        if known is not None:
            known["acknowledged_rule_hash"] = fact.rule_hash

    # --- streams ---------------------------------------------------------------------------------

    def _stream_down(self, fact: ev.StreamDown) -> None:
        self._resync("stream", str(fact.stream), fact.reason)

    def _snapshots_requested(self, command: cmd.RequestSnapshot) -> None:
        for token_id in command.token_ids:
            self._resync("book", token_id, command.reason)

    def _resync(self, kind: str, subject: str, reason: str) -> None:
        row = {"pos": self._pos, "subject": subject, "kind": kind, "reason": reason, "ts_ms": self._ms}
        self._rows.put(schema.resyncs, row)

    # --- commands --------------------------------------------------------------------------------

    def _basket(self, command: cmd.PlanBasket) -> None:
        basket = command.basket
        self._rows.put(
            schema.baskets,
            {
                "plan_id": command.plan_id,
                "strategy": command.strategy,
                "event_id": command.scope,
                "basket_id": basket.key,
                "legs": _json(basket.legs),
                "cost_usd_e6": basket.cost_usd_e6,
                "fee_usd_e6": basket.fees_usd_e6,
                "profit_usd_e6": basket.profit_usd_e6,
                "loss_bound_usd_e6": basket.loss_bound_usd_e6,
                "planned_ms": self._ms,
            },
        )

    def _submit(self, command: cmd.SubmitOrders) -> None:
        by_plan: dict[str, list[cmd.OrderIntent]] = {}
        for intent in command.orders:
            self._rows.put(schema.orders, self._order_row(intent))
            by_plan.setdefault(intent.plan_id, []).append(intent)
        for plan_id, intents in by_plan.items():
            self._request(plan_id, "submit", intents[0].strategy, _json(intents), len(intents))

    def _cancel(self, command: cmd.CancelOrders) -> None:
        by_plan: dict[str, list[Row]] = {}
        for client_order_id in command.client_order_ids:
            order = self._existing(schema.orders, client_order_id)
            self._move(order, Trigger.CANCEL_SENT)
            order["cancel_request_id"] = str(self._pos)
            by_plan.setdefault(order["plan_id"], []).append(order)
        for plan_id, orders in by_plan.items():
            ids = [order["client_order_id"] for order in orders]
            intents = _json([{"client_order_id": one, "reason": command.reason} for one in ids])
            self._request(plan_id, "cancel", orders[0]["strategy"], intents, len(ids))

    def _request(self, plan_id: str, action: str, strategy: str, intents: str, count: int) -> None:
        self._rows.put(
            schema.exec_audit,
            {
                "request_id": str(self._pos),
                "plan_id": plan_id,
                "action": action,
                "strategy": strategy,
                "intents": intents,
                "acks": "[]",
                "intent_count": count,
                "ack_count": 0,
                "seq": self._seq,
                "place_call_ns": self._ts_ns,
                "first_ack_ns": None,
                "last_ack_ns": None,
                "ack_latency_us": None,
                "duration_us": None,
            },
        )

    def _order_row(self, intent: cmd.OrderIntent) -> Row:
        return {
            "client_order_id": intent.client_order_id,
            "venue_order_id": "",
            "plan_id": intent.plan_id,
            "basket_id": intent.basket_id,
            "strategy": intent.strategy,
            "condition_id": intent.condition_id,
            "token_id": intent.token_id,
            "side": intent.side.value,
            "px_e6": intent.px_e6,
            "qty_e6": intent.qty_e6,
            "time_in_force": intent.time_in_force.value,
            "post_only": intent.post_only,
            "expires_ts_ms": intent.expires_ts_ms,
            "state": OrderState.SENT.value,
            "filled_qty_e6": 0,
            "filled_usd_e6": 0,
            "fee_usd_e6": 0,
            "note": "",
            "submit_request_id": str(self._pos),
            "cancel_request_id": None,
            "created_ms": self._ms,
            "updated_ms": self._ms,
        }

    # --- answers ---------------------------------------------------------------------------------

    def _accepted(self, fact: ev.OrderAccepted) -> None:
        order = self._existing(schema.orders, fact.client_order_id)
        self._move(order, Trigger.DELAYED if fact.status == "delayed" else Trigger.ACCEPTED)
        order["venue_order_id"] = fact.venue_order_id
        self._acknowledge(order, "submit", fact.status)

    def _refused(self, fact: ev.OrderRefused) -> None:
        order = self._existing(schema.orders, fact.client_order_id)
        self._move(order, Trigger.REFUSED)
        order["note"] = f"{fact.reason.value}: {fact.text}" if fact.text else fact.reason.value
        self._acknowledge(order, "submit", fact.reason.value)

    def _unknown(self, fact: ev.SubmitUnknown) -> None:
        order = self._existing(schema.orders, fact.client_order_id)
        self._move(order, Trigger.LOST)
        order["note"] = fact.cause
        self._acknowledge(order, "submit", "unknown")

    def _canceled(self, fact: ev.OrderCanceled) -> None:
        order = self._existing(schema.orders, fact.client_order_id)
        self._move(order, Trigger.CANCELED)
        order["note"] = fact.cause
        self._acknowledge(order, "cancel", "canceled")

    def _cancel_refused(self, fact: ev.CancelRefused) -> None:
        order = self._existing(schema.orders, fact.client_order_id)
        self._move(order, Trigger.CANCEL_REFUSED)
        self._acknowledge(order, "cancel", "refused")

    def _move(self, order: Row, trigger: Trigger) -> None:
        state, surprise = next_state(OrderState(order["state"]), trigger)
        order.update(state=state.value, updated_ms=self._ms, note=surprise or order["note"])

    def _acknowledge(self, order: Row, action: str, answer: str) -> None:
        """Note an answer in the request it belongs to; a cancellation nobody asked for belongs to none."""
        request_id = order[f"{action}_request_id"]
        if request_id is None:
            return
        audit = self._rows.get(schema.exec_audit, request_id, order["plan_id"])
        if audit is None:
            raise UnfoldableRecord(f"journal record {self._pos}: no request {request_id}")
        elapsed_us = (self._ts_ns - audit["place_call_ns"]) // 1_000
        acks = msgspec.json.decode(audit["acks"])
        acks.append({"client_order_id": order["client_order_id"], "answer": answer, "after_us": elapsed_us})
        if audit["first_ack_ns"] is None:
            audit.update(first_ack_ns=self._ts_ns, ack_latency_us=elapsed_us)
        audit.update(acks=_json(acks), ack_count=len(acks), last_ack_ns=self._ts_ns, duration_us=elapsed_us)

    # --- fills and positions -----------------------------------------------------------------------

    def _filled(self, fact: ev.Filled) -> None:
        if self._rows.get(schema.fills, fact.trade_id) is not None:
            return
        order = self._existing(schema.orders, fact.client_order_id)
        whole = order["filled_qty_e6"] + fact.qty_e6 >= order["qty_e6"]
        self._move(order, Trigger.FILLED if whole else Trigger.PART_FILLED)
        order["filled_qty_e6"] += fact.qty_e6
        order["filled_usd_e6"] += fact.usd_e6
        order["fee_usd_e6"] += fact.fee_usd_e6
        fill = {
            "trade_id": fact.trade_id,
            **{
                name: order[name]
                for name in ("client_order_id", "strategy", "condition_id", "token_id", "side")
            },
            "px_e6": fact.px_e6,
            "qty_e6": fact.qty_e6,
            "usd_e6": fact.usd_e6,
            "fee_usd_e6": fact.fee_usd_e6,
            "liquidity": fact.liquidity.value,
            "settlement": ev.Settlement.MATCHED.value,
            "tx_hash": "",
            "filled_ms": self._ms,
            "settled_ms": None,
        }
        self._rows.put(schema.fills, fill)
        position = self._position(fill)
        _post(position, fill, 1)
        position["unsettled_qty_e6"] += _signed(fill)

    def _settled(self, fact: ev.SettlementChanged) -> None:
        fill = self._rows.get(schema.fills, fact.trade_id)
        final = {ev.Settlement.CONFIRMED.value, ev.Settlement.FAILED.value}
        if fill is None or fill["settlement"] in final:
            return
        fill.update(settlement=fact.status.value, tx_hash=fact.tx_hash or fill["tx_hash"])
        if fill["settlement"] in final:
            fill["settled_ms"] = self._ms
            position = self._position(fill)
            position["unsettled_qty_e6"] -= _signed(fill)
            if fact.status is ev.Settlement.FAILED:
                _post(position, fill, -1)

    def _position(self, fill: Row) -> Row:
        row = self._rows.get(schema.positions, fill["strategy"], fill["token_id"])
        if row is None:
            row = {
                "strategy": fill["strategy"],
                "token_id": fill["token_id"],
                "condition_id": fill["condition_id"],
                "qty_e6": 0,
                "unsettled_qty_e6": 0,
                "cash_usd_e6": 0,
                "fee_usd_e6": 0,
            }
            self._rows.put(schema.positions, row)
        row["updated_ms"] = self._ms
        return row


_HANDLERS: Final[dict[type, Callable[[Fold, Any], None]]] = {
    ev.RunStarted: Fold._run_started,
    ev.ConfigLoaded: Fold._config_loaded,
    ev.RunEnded: Fold._run_ended,
    ev.MarketListed: Fold._market,
    ev.MarketResolved: Fold._resolved,
    ev.EventListed: Fold._event,
    ev.RulesAcknowledged: Fold._rules,
    ev.StreamDown: Fold._stream_down,
    ev.OrderAccepted: Fold._accepted,
    ev.OrderRefused: Fold._refused,
    ev.SubmitUnknown: Fold._unknown,
    ev.OrderCanceled: Fold._canceled,
    ev.CancelRefused: Fold._cancel_refused,
    ev.Filled: Fold._filled,
    ev.SettlementChanged: Fold._settled,
    cmd.PlanBasket: Fold._basket,
    cmd.SubmitOrders: Fold._submit,
    cmd.CancelOrders: Fold._cancel,
    cmd.RequestSnapshot: Fold._snapshots_requested,
}
"""What has no handler (timers, notices, market data) leaves no row."""


def _market_row(market: Market) -> Row:
    fee, rewards = market.fee, market.rewards
    row = {column.name: getattr(market, column.name, None) for column in schema.markets.columns}
    row |= {
        "yes_token_id": market.yes.token_id,
        "no_token_id": market.no.token_id,
        "fee_rate_e6": None if fee is None else fee.rate_e6,
        "fee_exponent": None if fee is None else fee.exponent,
        "fee_rebate_e6": None if fee is None else fee.rebate_e6,
        "reward_min_size_e6": None if rewards is None else rewards.min_size_e6,
        "reward_max_spread_e6": None if rewards is None else rewards.max_spread_e6,
    }
    return row


def _signed(fill: Row) -> int:
    qty_e6: int = fill["qty_e6"]
    return qty_e6 if fill["side"] == ev.Side.BUY.value else -qty_e6


def _post(position: Row, fill: Row, sign: int) -> None:
    """Enter a fill into its position, or take it back (``sign`` -1)."""
    bought = 1 if fill["side"] == ev.Side.BUY.value else -1
    position["qty_e6"] += sign * _signed(fill)
    position["cash_usd_e6"] -= sign * (bought * fill["usd_e6"] + fill["fee_usd_e6"])
    position["fee_usd_e6"] += sign * fill["fee_usd_e6"]


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
