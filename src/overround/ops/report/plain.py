"""A run's report for scripts: decimal strings in dollars and shares, times in milliseconds."""

from typing import Any

from overround.core.units import format_e6
from overround.ops.report.model import HashTally, ReasonCount, ReportData


def plain(data: ReportData) -> dict[str, Any]:
    """Return the report without its drawings."""
    return {
        "run_id": data.run_id,
        "mode": data.mode,
        "started_ms": data.started_ms,
        "ended_ms": data.ended_ms,
        "frames": data.counters.get("frames", 0),
        "books": data.books,
        "snapshot_hashes": _hashes(data.snapshot_hashes),
        "change_hashes": _hashes(data.change_hashes),
        "late_frames": data.counters.get("books_late_frames", 0),
        "rejected": data.counters.get("books_rejected", 0),
        "resyncs": data.resyncs,
        "strategies": [
            {
                "strategy": line.strategy,
                "orders": line.orders,
                "filled": line.filled_orders,
                "canceled": line.canceled_orders,
                "refused": line.refused_orders,
                "fills": line.fills,
                "volume": format_e6(line.volume_usd_e6),
                "fees": format_e6(line.fee_usd_e6),
                "cash": format_e6(line.cash_usd_e6),
                "positions": format_e6(line.position_usd_e6),
                "pnl": format_e6(line.pnl_usd_e6),
            }
            for line in data.strategies
        ],
        "opportunities": [_reason(one) for one in data.reasons],
        "risk_refusals": [_reason(one) for one in data.checks],
        "baskets": [
            {
                "planned_ms": basket.planned_ms,
                "legs": basket.legs,
                "token": basket.outcome_token,
                "size": format_e6(basket.shares_e6),
                "state": basket.state,
                "sets": format_e6(basket.sets_e6),
                "cost": format_e6(basket.cost_usd_e6),
                "fees": format_e6(basket.fee_usd_e6),
                "promised": format_e6(basket.promised_usd_e6),
                "at_resolution": format_e6(basket.result_usd_e6),
                "guaranteed": basket.guaranteed,
            }
            for basket in data.baskets
        ],
        "pnl": format_e6(data.pnl_usd_e6),
        "guaranteed": format_e6(data.guaranteed_usd_e6),
    }


def _hashes(tally: HashTally) -> dict[str, int]:
    return {
        "total": tally.total,
        "verified": tally.verified,
        "failed": tally.failed,
        "unverifiable": tally.unverifiable,
        "unchecked": tally.unchecked,
    }


def _reason(one: ReasonCount) -> dict[str, object]:
    return {"strategy": one.strategy, "reason": one.reason, "count": one.count, "detail": one.detail}
