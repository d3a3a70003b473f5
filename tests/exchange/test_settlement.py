"""Settlement: the table, drawn plans, and balances that follow."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.commands import TimeInForce
from overround.core.events import Settlement, Side
from overround.exchange.exchange import Trade
from overround.exchange.models import SECOND_NS, SettlementConfig
from overround.exchange.settlement import NEXT, IllegalSettlement, check_step, plan_settlement
from tests.exchange.support import E6, Bench, make_config

S = Settlement


@given(st.integers(0, 1_000), st.integers(0, E6), st.integers(0, E6))
def test_every_plan_obeys_the_table_and_ends(seed: int, failure: int, retry: int) -> None:
    config = SettlementConfig(failure_chance_e6=failure, retry_chance_e6=retry)
    steps = plan_settlement(config, "t", 100, Random(seed))
    status, due_ns = S.MATCHED, 100
    for step in steps:
        check_step(status, step.status)
        assert step.due_ns >= due_ns
        status, due_ns = step.status, step.due_ns
    assert not NEXT[status]
    assert status is (S.FAILED if any(s.status is S.FAILED for s in steps) else S.CONFIRMED)


def test_failures_come_at_the_configured_rate() -> None:
    config = SettlementConfig(failure_chance_e6=5_000)
    rng = Random(3)
    ends = [plan_settlement(config, str(i), 0, rng)[-1] for i in range(20_000)]
    failed = [step for step in ends if step.status is S.FAILED]
    assert 60 < len(failed) < 140
    assert all(2 * SECOND_NS <= step.due_ns <= 30 * SECOND_NS for step in failed)


def test_a_retry_has_another_hash() -> None:
    steps = plan_settlement(SettlementConfig(retry_chance_e6=E6), "t", 0, Random(1))
    assert [step.status for step in steps] == [S.RETRYING, S.MINED, S.CONFIRMED]
    assert steps[0].tx_hash != steps[1].tx_hash == steps[2].tx_hash


@pytest.mark.parametrize("old", [S.CONFIRMED, S.FAILED])
def test_final_states_stay(old: Settlement) -> None:
    for new in S:
        with pytest.raises(IllegalSettlement):
            check_step(old, new)


def bought(bench: Bench) -> Trade:
    bench.show(Side.SELL, 50, 100)
    trade = bench.place(Side.BUY, 50, 100, tif=TimeInForce.FOK).trade
    assert trade is not None
    return trade


def test_what_was_bought_can_be_used_once_mined() -> None:
    bench = Bench(make_config())
    account = bench.exchange.account("a")
    trade = bought(bench)
    assert account.available_e6("m-yes") == 1_000 * E6
    assert account.available_usd_e6() == 949 * E6  # 50 and a fee of 1 are gone at once
    assert account.cash_usd_e6 == 1_000 * E6
    bench.exchange.settle(trade.trade_id, S.MINED)
    assert account.available_e6("m-yes") == 1_100 * E6
    assert account.cash_usd_e6 == 949 * E6
    bench.exchange.settle(trade.trade_id, S.CONFIRMED)
    with pytest.raises(KeyError):
        bench.exchange.settle(trade.trade_id, S.FAILED)


def test_a_failed_trade_is_undone() -> None:
    bench = Bench()
    account = bench.exchange.account("a")
    trade = bought(bench)
    bench.exchange.settle(trade.trade_id, S.FAILED)
    assert account.available_usd_e6() == account.cash_usd_e6 == 1_000 * E6
    assert account.available_e6("m-yes") == 1_000 * E6
    assert account.pending().usd_e6 == 0


def test_an_illegal_step_changes_nothing() -> None:
    bench = Bench()
    trade = bought(bench)
    with pytest.raises(IllegalSettlement):
        bench.exchange.settle(trade.trade_id, S.CONFIRMED)
    assert trade.status is S.MATCHED
