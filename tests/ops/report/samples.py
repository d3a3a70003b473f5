"""Reports made by hand."""

from overround.ops.report.model import (
    BasketLine,
    EquityLine,
    FillPoint,
    MarketStory,
    OrderSpan,
    ReasonCount,
    ReportData,
    StrategyLine,
)

EMPTY = ReportData(
    run_id="run",
    mode="paper",
    started_ms=1_785_163_378_339,
    ended_ms=None,
    status={},
    counters={},
    strategies=[],
    equity=[],
    stories=[],
    reasons=[],
    checks=[],
    baskets=[],
    resyncs={},
)
"""A run in which nothing happened."""


def basket(result_usd_e6: int = 420_000, *, state: str = "complete", guaranteed: bool = True) -> BasketLine:
    """A basket of five legs."""
    return BasketLine(
        planned_ms=1_785_163_379_000,
        legs=5,
        outcome_token="YES",
        shares_e6=21_000_000,
        promised_usd_e6=650_000,
        state=state,
        sets_e6=21_000_000,
        cost_usd_e6=20_370_000,
        fee_usd_e6=610_000,
        result_usd_e6=result_usd_e6,
        guaranteed=guaranteed,
    )


def full(title: str = "Will Ada win?", detail: str = "net 0.42", run_id: str = "run") -> ReportData:
    """A run with something of everything."""
    at = [1_785_163_378_000, 1_785_163_379_000, 1_785_163_380_000]
    return ReportData(
        run_id=run_id,
        mode="paper",
        started_ms=at[0],
        ended_ms=at[-1],
        status={"books": {"LIVE": 14, "SYNCING": 2}},
        counters={
            "frames": 33_602,
            "books_snapshots": 8_807,
            "books_snapshot_hash_ok": 3_452,
            "books_snapshot_hash_failed": 3,
            "books_snapshot_hash_unverified": 5_347,
            "books_batches": 45_852,
            "books_batch_hash_checked": 11_920,
            "books_batch_hash_ok": 11_918,
        },
        strategies=[
            StrategyLine("dutch_book", 31, 30, 0, 1, 30, 445_150_000, 7_910_000, -453_060_000, 450_220_000),
            StrategyLine(
                "spread_capture", 915, 141, 769, 5, 323, 3_672_060_000, 0, -219_160_000, 233_000_000
            ),
        ],
        equity=[
            EquityLine("dutch_book", at, [0, -1_000_000, -2_840_000]),
            EquityLine("spread_capture", at, [0, 5_000_000, 13_840_000]),
        ],
        stories=[
            MarketStory(
                title,
                at,
                [400_000, None, 410_000],
                [420_000, 430_000, None],
                [OrderSpan(True, 390_000, at[0], at[1], "buy 5 YES at 0.39")],
                [FillPoint(False, 430_000, at[1], "sell 5 YES at 0.43")],
            )
        ],
        reasons=[
            ReasonCount("dutch_book", "sub_fee", 78, detail),
            ReasonCount("dutch_book", "settlement_locked", 15, detail),
            ReasonCount("spread_capture", "quoting", 9, detail),
        ],
        checks=[ReasonCount("spread_capture", "self_cross", 1_476, "")],
        baskets=[basket(), basket(-1_890_000, state="unwound")],
        resyncs={"gap": 2},
    )
