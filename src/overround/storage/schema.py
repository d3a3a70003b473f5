"""All tables, once, for SQLite and PostgreSQL.

Invariants: money, price and quantity are integers in millionths (``*_e6``), times are integers
(``*_ms``, ``*_ns``) since 1970; ids are text (token ids exceed 64 bits); lists are JSON text. Only
``journal`` is a source of truth: projections are folds of it and can be rebuilt; snapshots, equity
and counters are observations that may be pruned. docs/store.md explains every column. This module knows
neither engine nor file.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(column_0_label)s",
    }
)

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits everywhere; on SQLite named INTEGER, so that a primary key is the row id itself."""


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _big(name: str) -> Column[int]:
    return Column(name, BIG, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _maybe(name: str) -> Column[int]:
    return Column(name, BIG)


# --- source of truth -----------------------------------------------------------------------------

journal = Table(
    "journal",
    metadata,
    Column("pos", BIG, primary_key=True, autoincrement=False),
    _big("seq"),
    _big("ts_ns"),
    Column("kind", String(8), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

# --- projections of the journal --------------------------------------------------------------------

projection_cursors = Table(
    "projection_cursors",
    metadata,
    _key("name"),
    _big("pos"),
    Column("hash", LargeBinary, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    _key("run_id"),
    _text("version"),
    _text("mode"),
    Column("first_seq", BIG, nullable=False, index=True),
    _big("started_ms"),
    _maybe("ended_ms"),
    Column("end_reason", Text),
    Column("config_digest", Text),
)

events = Table(
    "events",
    metadata,
    _key("event_id"),
    _text("slug"),
    _text("title"),
    _text("kind"),
    _text("condition_ids"),
    Column("neg_risk_market_id", Text),
    _maybe("convert_fee_bips"),
    _maybe("end_ts_ms"),
    _text("rule_hash"),
    Column("acknowledged_rule_hash", Text),
    _big("as_of_ms"),
)

markets = Table(
    "markets",
    metadata,
    _key("condition_id"),
    Column("event_id", Text, index=True),
    _text("slug"),
    _text("question"),
    _text("title"),
    _text("yes_token_id"),
    _text("no_token_id"),
    _big("tick_e6"),
    _big("min_size_e6"),
    _flag("neg_risk"),
    _flag("other"),
    _flag("placeholder"),
    _maybe("question_index"),
    _maybe("fee_rate_e6"),
    _maybe("fee_exponent"),
    _maybe("fee_rebate_e6"),
    _maybe("reward_min_size_e6"),
    _maybe("reward_max_spread_e6"),
    _big("seconds_delay"),
    _flag("taker_delay"),
    _maybe("end_ts_ms"),
    _text("rule_hash"),
    _big("as_of_ms"),
)

outcomes = Table(
    "outcomes",
    metadata,
    _key("token_id"),
    Column("condition_id", Text, nullable=False, index=True),
    Column("outcome_index", SmallInteger, nullable=False),
    _text("outcome"),
    Column("won", Boolean),
)

market_status = Table(
    "market_status",
    metadata,
    _key("condition_id"),
    _flag("active"),
    _flag("closed"),
    _flag("accepting_orders"),
    _text("uma_status"),
    Column("winner", Text),
    _big("updated_ms"),
)

orders = Table(
    "orders",
    metadata,
    _key("client_order_id"),
    _text("venue_order_id"),
    Column("plan_id", Text, nullable=False, index=True),
    Column("basket_id", Text),
    _text("strategy"),
    _text("condition_id"),
    Column("token_id", Text, nullable=False, index=True),
    _text("side"),
    _big("px_e6"),
    _big("qty_e6"),
    _text("time_in_force"),
    _flag("post_only"),
    _maybe("expires_ts_ms"),
    Column("state", Text, nullable=False, index=True),
    _big("filled_qty_e6"),
    _big("filled_usd_e6"),
    _big("fee_usd_e6"),
    _text("note"),
    _text("submit_request_id"),
    Column("cancel_request_id", Text),
    _big("created_ms"),
    _big("updated_ms"),
)

baskets = Table(
    "baskets",
    metadata,
    _key("plan_id"),
    _text("strategy"),
    _text("event_id"),
    _text("basket_id"),
    _text("legs"),
    _big("cost_usd_e6"),
    _big("fee_usd_e6"),
    _big("profit_usd_e6"),
    _big("loss_bound_usd_e6"),
    _big("planned_ms"),
)

fills = Table(
    "fills",
    metadata,
    _key("trade_id"),
    Column("client_order_id", Text, nullable=False, index=True),
    _text("strategy"),
    _text("condition_id"),
    _text("token_id"),
    _text("side"),
    _big("px_e6"),
    _big("qty_e6"),
    _big("usd_e6"),
    _big("fee_usd_e6"),
    _text("liquidity"),
    _text("settlement"),
    _text("tx_hash"),
    Column("filled_ms", BIG, nullable=False, index=True),
    _maybe("settled_ms"),
)

positions = Table(
    "positions",
    metadata,
    Column("strategy", Text, primary_key=True),
    Column("token_id", Text, primary_key=True),
    _text("condition_id"),
    _big("qty_e6"),
    _big("unsettled_qty_e6"),
    _big("cash_usd_e6"),
    _big("fee_usd_e6"),
    _big("updated_ms"),
)

exec_audit = Table(
    "exec_audit",
    metadata,
    _key("request_id"),
    Column("plan_id", Text, primary_key=True, index=True),
    _text("action"),
    _text("strategy"),
    _text("intents"),
    _text("acks"),
    _big("intent_count"),
    _big("ack_count"),
    _big("seq"),
    Column("place_call_ns", BIG, nullable=False, index=True),
    _maybe("first_ack_ns"),
    _maybe("last_ack_ns"),
    _maybe("ack_latency_us"),
    _maybe("duration_us"),
)

resyncs = Table(
    "resyncs",
    metadata,
    Column("pos", BIG, primary_key=True, autoincrement=False),
    Column("subject", Text, primary_key=True),
    _text("kind"),
    _text("reason"),
    Column("ts_ms", BIG, nullable=False, index=True),
)

# --- observations --------------------------------------------------------------------------------

book_snapshots = Table(
    "book_snapshots",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("ts_ms", BIG, primary_key=True, index=True, autoincrement=False),
    _text("state"),
    _maybe("best_bid_e6"),
    _maybe("best_ask_e6"),
    _text("bids"),
    _text("asks"),
)

opportunities = Table(
    "opportunities",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("strategy", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    _text("detail"),
    _big("edge_usd_e6"),
    _big("qty_e6"),
    _big("count"),
    Column("last_ms", BIG, nullable=False, index=True),
)

equity = Table(
    "equity",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("ts_ms", BIG, primary_key=True, index=True, autoincrement=False),
    Column("strategy", Text, primary_key=True),
    _big("cash_usd_e6"),
    _big("position_usd_e6"),
    _big("fee_usd_e6"),
)

counters = Table(
    "counters",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    _big("value"),
    _big("updated_ms"),
)

service_status = Table(
    "service_status",
    metadata,
    _key("name"),
    _text("content"),
    _big("updated_ms"),
)

PROJECTIONS: tuple[Table, ...] = (
    runs,
    events,
    markets,
    outcomes,
    market_status,
    orders,
    baskets,
    fills,
    positions,
    exec_audit,
    resyncs,
)
"""What is folded from the journal, and can be made anew from it."""

OBSERVATIONS: tuple[Table, ...] = (book_snapshots, opportunities, equity, counters, service_status)
"""What the running service writes down by the way; it cannot be rebuilt, and no decision depends on it."""
