"""Every start is a recovery: capital once, the account taken over, the gate opened last."""

from pathlib import Path

import pytest

from overround.core.events import (
    Deposited,
    Filled,
    OrderCanceled,
    Reconciled,
    RunStarted,
    Settlement,
    SettlementChanged,
)
from overround.runtime.paper import RESTARTED
from overround.runtime.recorded import input_ts_ns
from overround.runtime.recovery import account_state, fold
from overround.storage.journal import JournalReader, decode_fact
from tests.runtime.sessions import CASH_USD_E6, Session, frames, new_engine, stored_session

BTC = "books_btc-updown-5m-1776326100.jsonl.zst"


def unfinished(recordings: Path, data: Path) -> Session:
    """Trade until something rests and something is not settled, then vanish without an ending."""
    with stored_session(recordings, data, "first") as session:
        for group in frames(recordings, BTC):
            session.steps.append(session.sequencer.step(group, input_ts_ns(group[-1])))
            state = account_state(session.engine)
            if state.open_orders and state.unsettled:
                return session
    pytest.fail("the recording should leave an order and a trade open")


def test_the_next_run_takes_over_what_the_last_one_left(recordings: Path, tmp_path: Path) -> None:
    before = unfinished(recordings, tmp_path)
    left = account_state(before.engine)
    with stored_session(recordings, tmp_path, "second") as session:
        facts = [fact for _, _, fact in session.steps[0].facts]
        assert isinstance(facts[0], RunStarted)
        assert not any(isinstance(fact, Deposited) for fact in facts), "capital is entered once"
        canceled = [fact for fact in facts if isinstance(fact, OrderCanceled)]
        assert {fact.client_order_id for fact in canceled} == {o.client_order_id for o in left.open_orders}
        assert {fact.cause for fact in canceled} == {RESTARTED}
        settled = {fact.trade_id: fact.status for fact in facts if isinstance(fact, SettlementChanged)}
        assert settled == dict.fromkeys(left.unsettled, Settlement.CONFIRMED)
        assert isinstance(facts[-1], Reconciled), "the gate opens last"
        now = account_state(session.engine)
        assert (now.cash_usd_e6, now.holdings_e6) == (left.cash_usd_e6, left.holdings_e6)
        assert not now.unsettled
        report = session.sequencer.venue.simulated.report()  # type: ignore[attr-defined]  # a PaperVenue
        assert report.cash_usd_e6 == left.cash_usd_e6
        assert report.positions_e6 == left.holdings_e6
        assert session.sequencer.ts_ns >= before.sequencer.ts_ns
        assert session.steps[0].border_seq > before.sequencer.next_seq


def test_folding_the_journal_is_the_state_that_was_lived(recordings: Path, tmp_path: Path) -> None:
    lived = unfinished(recordings, tmp_path).engine
    engine = new_engine()
    with JournalReader.open(tmp_path / "overround.db") as journal:
        folded = fold(engine, journal.read())
        fills = [
            f for r in journal.read() if r.kind == "fact" and isinstance(f := decode_fact(r.payload), Filled)
        ]
    assert folded.commands > 1
    assert fills
    assert engine.account_digest() == lived.account_digest()
    assert engine.portfolio.cash_e6() == lived.portfolio.cash_e6() != CASH_USD_E6


def test_capital_is_deposited_into_a_new_account(recordings: Path, tmp_path: Path) -> None:
    with stored_session(recordings, tmp_path) as session:
        assert session.engine.portfolio.cash_e6() == CASH_USD_E6
        assert session.engine.gate_open
