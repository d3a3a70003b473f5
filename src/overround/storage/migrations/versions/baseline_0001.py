"""Baseline: all tables of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "baskets",
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("basket_id", sa.Text(), nullable=False),
        sa.Column("legs", sa.Text(), nullable=False),
        sa.Column("cost_usd_e6", BIG, nullable=False),
        sa.Column("fee_usd_e6", BIG, nullable=False),
        sa.Column("profit_usd_e6", BIG, nullable=False),
        sa.Column("loss_bound_usd_e6", BIG, nullable=False),
        sa.Column("planned_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_baskets")),
    )
    op.create_table(
        "book_snapshots",
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("ts_ms", BIG, autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("best_bid_e6", BIG, nullable=True),
        sa.Column("best_ask_e6", BIG, nullable=True),
        sa.Column("bids", sa.Text(), nullable=False),
        sa.Column("asks", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("token_id", "ts_ms", name=op.f("pk_book_snapshots")),
    )
    op.create_index(op.f("ix_book_snapshots_ts_ms"), "book_snapshots", ["ts_ms"], unique=False)
    op.create_table(
        "counters",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", BIG, nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_counters")),
    )
    op.create_table(
        "equity",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("ts_ms", BIG, autoincrement=False, nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("cash_usd_e6", BIG, nullable=False),
        sa.Column("position_usd_e6", BIG, nullable=False),
        sa.Column("fee_usd_e6", BIG, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "ts_ms", "strategy", name=op.f("pk_equity")),
    )
    op.create_index(op.f("ix_equity_ts_ms"), "equity", ["ts_ms"], unique=False)
    op.create_table(
        "events",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("condition_ids", sa.Text(), nullable=False),
        sa.Column("neg_risk_market_id", sa.Text(), nullable=True),
        sa.Column("convert_fee_bips", BIG, nullable=True),
        sa.Column("end_ts_ms", BIG, nullable=True),
        sa.Column("rule_hash", sa.Text(), nullable=False),
        sa.Column("acknowledged_rule_hash", sa.Text(), nullable=True),
        sa.Column("as_of_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_events")),
    )
    op.create_table(
        "exec_audit",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("intents", sa.Text(), nullable=False),
        sa.Column("acks", sa.Text(), nullable=False),
        sa.Column("intent_count", BIG, nullable=False),
        sa.Column("ack_count", BIG, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("place_call_ns", BIG, nullable=False),
        sa.Column("first_ack_ns", BIG, nullable=True),
        sa.Column("last_ack_ns", BIG, nullable=True),
        sa.Column("ack_latency_us", BIG, nullable=True),
        sa.Column("duration_us", BIG, nullable=True),
        sa.PrimaryKeyConstraint("request_id", "plan_id", name=op.f("pk_exec_audit")),
    )
    op.create_index(op.f("ix_exec_audit_place_call_ns"), "exec_audit", ["place_call_ns"], unique=False)
    op.create_index(op.f("ix_exec_audit_plan_id"), "exec_audit", ["plan_id"], unique=False)
    op.create_table(
        "fills",
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("condition_id", sa.Text(), nullable=False),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("px_e6", BIG, nullable=False),
        sa.Column("qty_e6", BIG, nullable=False),
        sa.Column("usd_e6", BIG, nullable=False),
        sa.Column("fee_usd_e6", BIG, nullable=False),
        sa.Column("liquidity", sa.Text(), nullable=False),
        sa.Column("settlement", sa.Text(), nullable=False),
        sa.Column("tx_hash", sa.Text(), nullable=False),
        sa.Column("filled_ms", BIG, nullable=False),
        sa.Column("settled_ms", BIG, nullable=True),
        sa.PrimaryKeyConstraint("trade_id", name=op.f("pk_fills")),
    )
    op.create_index(op.f("ix_fills_client_order_id"), "fills", ["client_order_id"], unique=False)
    op.create_index(op.f("ix_fills_filled_ms"), "fills", ["filled_ms"], unique=False)
    op.create_table(
        "journal",
        sa.Column("pos", BIG, autoincrement=False, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("ts_ns", BIG, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_journal")),
    )
    op.create_table(
        "market_status",
        sa.Column("condition_id", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("accepting_orders", sa.Boolean(), nullable=False),
        sa.Column("uma_status", sa.Text(), nullable=False),
        sa.Column("winner", sa.Text(), nullable=True),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("condition_id", name=op.f("pk_market_status")),
    )
    op.create_table(
        "markets",
        sa.Column("condition_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("yes_token_id", sa.Text(), nullable=False),
        sa.Column("no_token_id", sa.Text(), nullable=False),
        sa.Column("tick_e6", BIG, nullable=False),
        sa.Column("min_size_e6", BIG, nullable=False),
        sa.Column("neg_risk", sa.Boolean(), nullable=False),
        sa.Column("other", sa.Boolean(), nullable=False),
        sa.Column("placeholder", sa.Boolean(), nullable=False),
        sa.Column("question_index", BIG, nullable=True),
        sa.Column("fee_rate_e6", BIG, nullable=True),
        sa.Column("fee_exponent", BIG, nullable=True),
        sa.Column("fee_rebate_e6", BIG, nullable=True),
        sa.Column("reward_min_size_e6", BIG, nullable=True),
        sa.Column("reward_max_spread_e6", BIG, nullable=True),
        sa.Column("seconds_delay", BIG, nullable=False),
        sa.Column("taker_delay", sa.Boolean(), nullable=False),
        sa.Column("end_ts_ms", BIG, nullable=True),
        sa.Column("rule_hash", sa.Text(), nullable=False),
        sa.Column("as_of_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("condition_id", name=op.f("pk_markets")),
    )
    op.create_index(op.f("ix_markets_event_id"), "markets", ["event_id"], unique=False)
    op.create_table(
        "opportunities",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("edge_usd_e6", BIG, nullable=False),
        sa.Column("qty_e6", BIG, nullable=False),
        sa.Column("count", BIG, nullable=False),
        sa.Column("last_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "strategy", "event_id", "reason", name=op.f("pk_opportunities")),
    )
    op.create_index(op.f("ix_opportunities_last_ms"), "opportunities", ["last_ms"], unique=False)
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("venue_order_id", sa.Text(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("basket_id", sa.Text(), nullable=True),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("condition_id", sa.Text(), nullable=False),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("px_e6", BIG, nullable=False),
        sa.Column("qty_e6", BIG, nullable=False),
        sa.Column("time_in_force", sa.Text(), nullable=False),
        sa.Column("post_only", sa.Boolean(), nullable=False),
        sa.Column("expires_ts_ms", BIG, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("filled_qty_e6", BIG, nullable=False),
        sa.Column("filled_usd_e6", BIG, nullable=False),
        sa.Column("fee_usd_e6", BIG, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("submit_request_id", sa.Text(), nullable=False),
        sa.Column("cancel_request_id", sa.Text(), nullable=True),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_orders")),
    )
    op.create_index(op.f("ix_orders_plan_id"), "orders", ["plan_id"], unique=False)
    op.create_index(op.f("ix_orders_state"), "orders", ["state"], unique=False)
    op.create_index(op.f("ix_orders_token_id"), "orders", ["token_id"], unique=False)
    op.create_table(
        "outcomes",
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("condition_id", sa.Text(), nullable=False),
        sa.Column("outcome_index", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("won", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_outcomes")),
    )
    op.create_index(op.f("ix_outcomes_condition_id"), "outcomes", ["condition_id"], unique=False)
    op.create_table(
        "positions",
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("condition_id", sa.Text(), nullable=False),
        sa.Column("qty_e6", BIG, nullable=False),
        sa.Column("unsettled_qty_e6", BIG, nullable=False),
        sa.Column("cash_usd_e6", BIG, nullable=False),
        sa.Column("fee_usd_e6", BIG, nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("strategy", "token_id", name=op.f("pk_positions")),
    )
    op.create_table(
        "projection_cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pos", BIG, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_projection_cursors")),
    )
    op.create_table(
        "resyncs",
        sa.Column("pos", BIG, autoincrement=False, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ts_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("pos", "subject", name=op.f("pk_resyncs")),
    )
    op.create_index(op.f("ix_resyncs_ts_ms"), "resyncs", ["ts_ms"], unique=False)
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("first_seq", BIG, nullable=False),
        sa.Column("started_ms", BIG, nullable=False),
        sa.Column("ended_ms", BIG, nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("config_digest", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_first_seq"), "runs", ["first_seq"], unique=False)
    op.create_table(
        "service_status",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_service_status")),
    )


def downgrade() -> None:
    """Drop every table, and with them all data."""
    op.drop_table("service_status")
    op.drop_table("runs")
    op.drop_table("resyncs")
    op.drop_table("projection_cursors")
    op.drop_table("positions")
    op.drop_table("outcomes")
    op.drop_table("orders")
    op.drop_table("opportunities")
    op.drop_table("markets")
    op.drop_table("market_status")
    op.drop_table("journal")
    op.drop_table("fills")
    op.drop_table("exec_audit")
    op.drop_table("events")
    op.drop_table("equity")
    op.drop_table("counters")
    op.drop_table("book_snapshots")
    op.drop_table("baskets")
