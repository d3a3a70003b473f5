"""Exposure: after any history, reservations are what a computation from scratch says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import Side
from overround.core.orders import IllegalTransition, Trigger
from overround.core.risk import order_cost_usd_e6
from overround.core.units import E6
from tests.core.worlds import GENERATION, STREAM, Account, fill, intent, market

ODD_E6 = 333_333
"""Fills of no round part of an order, so that shares of a reservation must be rounded."""

STEPS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from([*Trigger, None]),
        st.sampled_from(["m-yes", "m-no", "n-yes"]),
        st.sampled_from(Side),
        st.integers(1, 30),
    ),
    max_size=30,
)


@given(STEPS)
def test_reservations_are_those_of_the_open_orders(
    steps: list[tuple[int, Trigger | None, str, Side, int]],
) -> None:
    account = Account(market(), market("n"))
    exposure, orders = account.exposure, account.orders
    keys: list[str] = []
    for now, (which, trigger, token_id, side, size) in enumerate(steps):
        if which == 0 or which > len(keys):
            keys.append(f"o{now}")
            exposure.note(
                orders.add(intent(keys[-1], token_id, side=side, qty_e6=20 * E6, px_e6=size * 10_000), now)
            )
            continue
        order = orders.known(keys[-which])
        try:
            if trigger is None:
                account.portfolio.fill(order.intent, fill(order.intent, f"t{now}", size * ODD_E6))
                orders.fill(order, size * ODD_E6, 0, 0, now)
            else:
                orders.move(order, trigger, now)
        except IllegalTransition:
            continue
        exposure.note(order)
    usd: dict[str, int] = {}
    shares: dict[str, int] = {}
    for order in orders:
        if not order.open:
            continue
        of = market(order.intent.condition_id)
        if order.side is Side.BUY:
            whole = order_cost_usd_e6(order.intent, of)
            rest = -(-whole * order.remaining_qty_e6 // order.intent.qty_e6)
            usd[order.intent.condition_id] = usd.get(order.intent.condition_id, 0) + rest
        else:
            shares[order.token_id] = shares.get(order.token_id, 0) + order.remaining_qty_e6
    assert exposure.reserved_usd_e6() == sum(usd.values())
    assert exposure.free_cash_e6() == account.portfolio.cash_e6() - sum(usd.values())
    positions = account.portfolio.positions()
    total = sum(usd.values())
    for name in ("m", "n"):
        held = 0
        for token_id in market(name).token_ids():
            position = positions.get(("s", token_id), 0)
            held += max(0, position) * 400_000 // E6  # every bid is 0.40
            settled = account.portfolio.settled_e6("s", token_id)
            assert settled + exposure.unconfirmed_e6("s", token_id) == position
            assert exposure.free_shares_e6("s", token_id) == settled - shares.get(token_id, 0)
        assert exposure.market_usd_e6(market(name)) == held + usd.get(name, 0)
        total += held
        open_here = [order for order in orders if order.open and order.intent.condition_id == name]
        on_market = exposure.open_orders_on(market(name))
        assert sorted(on_market, key=open_here.index) == open_here
    assert exposure.total_usd_e6() == total
    assert exposure.open_order_count() == len(orders.open_orders())


def test_a_reservation_keeps_the_fee_it_was_made_with() -> None:
    account = Account()
    order = account.orders.add(intent(), 1)
    account.exposure.note(order)
    account.universe.list_market(market(fee=None))
    account.orders.fill(order, 5 * E6, 0, 0, 2)
    account.exposure.note(order)
    assert account.exposure.reserved_usd_e6() == 2_550_000


def test_an_order_without_a_market_or_a_fee_is_a_bug() -> None:
    account = Account()
    with pytest.raises(ValueError, match="unknown token x-yes"):
        account.exposure.note(account.orders.add(intent("x", "x-yes"), 1))
    account.universe.list_market(market(fee=None))
    with pytest.raises(ValueError, match="fee of m is unknown"):
        account.exposure.note(account.orders.add(intent("y"), 1))


def test_shares_are_promised_per_strategy() -> None:
    account = Account()
    account.give("m-yes", 10 * E6, "s")
    account.give("m-yes", 7 * E6, "t")
    account.exposure.note(account.orders.add(intent(side=Side.SELL, qty_e6=4 * E6), 1))
    assert account.exposure.free_shares_e6("s", "m-yes") == 6 * E6
    assert account.exposure.free_shares_e6("t", "m-yes") == 7 * E6
    assert account.portfolio.holding_e6("m-yes") == 17 * E6


def test_without_a_live_book_a_share_counts_as_a_dollar() -> None:
    account = Account()
    account.give("m-yes", 10 * E6)
    assert account.exposure.market_usd_e6(market()) == 4 * E6
    account.books.stream_down(STREAM, GENERATION, 2, "test")
    assert account.exposure.market_usd_e6(market()) == account.exposure.total_usd_e6() == 10 * E6


def test_a_resolved_market_has_no_risk_left() -> None:
    account = Account()
    account.give("m-yes", 10 * E6)
    account.universe.list_market(market(winner="m-no"))
    assert account.exposure.total_usd_e6() == 0
