"""Risk: each check alone explains one refusal, and nothing else does."""

from collections.abc import Callable
from typing import Any

import pytest

from overround.core.books import Books
from overround.core.commands import OrderIntent, TimeInForce
from overround.core.events import Side
from overround.core.market import EventKind, MarketEvent
from overround.core.orders import Trigger
from overround.core.risk import Refusal, RiskLimits, order_cost_usd_e6, review, yes_terms
from overround.core.units import E6
from tests.core.worlds import CENT, GENERATION, STREAM, Account, intent, market, set_book

FOK = TimeInForce.FOK


def rest(account: Account, order: OrderIntent) -> None:
    """Let an order of ours be open."""
    account.exposure.note(account.orders.add(order, 1))


def taking(**changes: Any) -> OrderIntent:
    """Return a fill-or-kill purchase of 10 shares at 0.60."""
    return intent(**{"time_in_force": FOK, "post_only": False, "px_e6": 600_000} | changes)


def test_an_ordinary_order_passes() -> None:
    account = Account()
    assert review(intent(), account.exposure) is None
    assert review(intent("o", "m-no"), account.exposure) is None
    assert review(taking(), account.exposure) is None


def close_gate(account: Account) -> OrderIntent:
    account.exposure.gate_open = False
    return intent()


def relist(**changes: Any) -> Callable[[Account], OrderIntent]:
    def change(account: Account) -> OrderIntent:
        account.universe.list_market(market(**changes))
        return intent()

    return change


def another_grid(account: Account) -> OrderIntent:
    return intent(px_e6=505_000)


def stale(account: Account) -> OrderIntent:
    account.books.stream_down(STREAM, GENERATION, 2, "test")
    return intent()


def cross_ourselves(account: Account) -> OrderIntent:
    rest(account, intent("old", "m-no", px_e6=500_000))
    return intent("new")


def sell_what_is_promised(account: Account) -> OrderIntent:
    account.give("m-yes", 10 * E6)
    rest(account, intent("old", side=Side.SELL, qty_e6=6 * E6))
    return intent("new", side=Side.SELL, qty_e6=5 * E6)


def spend_what_is_promised(account: Account) -> OrderIntent:
    account.portfolio.deposit(15 * E6 - account.portfolio.cash_e6())
    rest(account, intent("old", qty_e6=20 * E6))  # 10 dollars and 0.20 fee
    return intent("new")  # 5 dollars and 0.10 fee


def beyond_the_market_cap(account: Account) -> OrderIntent:
    account.give("m-yes", 900 * E6)  # worth 360 dollars at the bid
    rest(account, intent("old", qty_e6=250 * E6))  # 125 dollars and 2.50 fee
    return intent("new", qty_e6=25 * E6)  # 12.5 dollars and 0.25 fee: 500.25 in all


def beyond_the_total_cap(account: Account) -> OrderIntent:
    account.exposure.limits = RiskLimits(max_total_usd_e6=100 * E6)
    account.give("x-yes", 96 * E6)  # of a market without a book: a dollar a share
    return intent()


def too_many_open(account: Account) -> OrderIntent:
    account.exposure.limits = RiskLimits(max_open_orders=2)
    rest(account, intent("a"))
    rest(account, intent("b", "n-yes"))
    return intent("c")


CASES: list[tuple[Refusal, Callable[[Account], OrderIntent]]] = [
    (Refusal.GATE_CLOSED, close_gate),
    (Refusal.UNKNOWN_MARKET, lambda _: intent("o", "x-yes")),
    (Refusal.MARKET_NOT_TRADABLE, relist(accepting_orders=False)),
    (Refusal.FEE_UNKNOWN, relist(fee=None)),
    (Refusal.RULES_CHANGED, relist(rule_hash="other")),
    (Refusal.BOOK_NOT_LIVE, stale),
    (Refusal.OFF_GRID, another_grid),
    (Refusal.OFF_GRID, lambda _: intent(px_e6=E6)),
    (Refusal.SIZE, lambda _: intent(qty_e6=5 * E6 - 10_000)),
    (Refusal.SIZE, lambda _: intent(qty_e6=10 * E6 + 1)),
    (Refusal.SIZE, lambda _: intent(qty_e6=0)),
    (Refusal.SIZE, lambda _: taking(qty_e6=10_000 * 166)),  # 0.996 dollars: no whole cents
    (Refusal.SIZE, lambda _: taking(px_e6=10_000, qty_e6=99 * E6)),  # 0.99 dollars
    (Refusal.POST_ONLY_CROSSES, lambda _: intent(px_e6=600_000)),
    (Refusal.SELF_CROSS, cross_ourselves),
    (Refusal.NOT_ENOUGH_SHARES, sell_what_is_promised),
    (Refusal.NOT_ENOUGH_CASH, spend_what_is_promised),
    (Refusal.ORDER_NOTIONAL, lambda _: intent(qty_e6=302 * E6)),
    (Refusal.MARKET_NOTIONAL, beyond_the_market_cap),
    (Refusal.TOTAL_NOTIONAL, beyond_the_total_cap),
    (Refusal.OPEN_ORDERS, too_many_open),
]


@pytest.mark.parametrize(("refusal", "arrange"), CASES, ids=[str(refusal) for refusal, _ in CASES])
def test_each_check_alone_refuses(refusal: Refusal, arrange: Callable[[Account], OrderIntent]) -> None:
    account = Account(market(), market("n"), limits=RiskLimits(max_order_usd_e6=150 * E6))
    assert review(arrange(account), account.exposure) is refusal


def test_every_reason_has_a_case() -> None:
    elsewhere = {Refusal.BASKET_SHAPE}  # refused by execution, see test_execution
    assert {refusal for refusal, _ in CASES} | elsewhere == set(Refusal)


def test_what_just_fits_passes() -> None:
    account = Account(cash_e6=5_100_000)
    assert review(intent(), account.exposure) is None  # 5 dollars and 0.10 fee: to the last cent
    assert review(intent(qty_e6=5 * E6), account.exposure) is None
    assert review(taking(px_e6=10_000, qty_e6=100 * E6), account.exposure) is None


def test_the_market_cap_counts_both_tokens() -> None:
    account = Account(market(), limits=RiskLimits(max_market_usd_e6=100 * E6))
    account.give("m-no", 200 * E6)  # its bid is 0.40: 80 dollars
    assert review(intent(qty_e6=30 * E6), account.exposure) is None
    assert review(intent(qty_e6=40 * E6), account.exposure) is Refusal.MARKET_NOTIONAL


def test_no_cap_stands_in_the_way_of_a_sale() -> None:
    account = Account(limits=RiskLimits(max_order_usd_e6=1, max_market_usd_e6=1, max_total_usd_e6=1))
    account.give("m-yes", 500 * E6)
    assert review(intent(side=Side.SELL, qty_e6=500 * E6), account.exposure) is None


def test_a_taking_order_never_rests() -> None:
    account = Account(limits=RiskLimits(max_open_orders=0))
    assert review(taking(), account.exposure) is None
    assert review(intent(), account.exposure) is Refusal.OPEN_ORDERS


@pytest.mark.parametrize(
    ("ours", "new", "crosses"),
    [
        # strategy-spec SC-5
        (("m-no", Side.BUY, 600_000), ("m-yes", Side.BUY, 400_000), True),
        (("m-no", Side.BUY, 600_000), ("m-yes", Side.BUY, 390_000), False),
        (("m-yes", Side.SELL, 410_000), ("m-yes", Side.BUY, 410_000), True),
        (("m-yes", Side.SELL, 420_000), ("m-yes", Side.BUY, 410_000), False),
        (("m-no", Side.SELL, 600_000), ("m-yes", Side.SELL, 400_000), True),
        (("m-no", Side.SELL, 610_000), ("m-yes", Side.SELL, 400_000), False),
        (("m-no", Side.SELL, 610_000), ("m-no", Side.BUY, 610_000), True),
        (("m-yes", Side.BUY, 400_000), ("m-yes", Side.BUY, 400_000), False),
    ],
)
def test_self_cross_on_the_unified_book(
    ours: tuple[str, Side, int], new: tuple[str, Side, int], crosses: bool
) -> None:
    account = Account()
    set_book(account.books, market(), {10_000: E6}, {990_000: E6}, ts_ms=2)
    for token_id in ("m-yes", "m-no"):
        account.give(token_id, 100 * E6)
    rest(account, intent("old", ours[0], side=ours[1], px_e6=ours[2]))
    expected = Refusal.SELF_CROSS if crosses else None
    assert review(intent("new", new[0], side=new[1], px_e6=new[2]), account.exposure) is expected


@pytest.mark.parametrize("trigger", [Trigger.LOST, Trigger.CANCEL_SENT])
def test_an_order_whose_fate_is_open_still_counts(trigger: Trigger) -> None:
    account = Account()
    rest(account, intent("old", "m-no"))
    account.orders.move(account.orders.known("old"), trigger, 2)
    assert review(intent("new"), account.exposure) is Refusal.SELF_CROSS
    account.orders.move(account.orders.known("old"), Trigger.CANCELED, 3)
    assert review(intent("new"), account.exposure) is None


def test_changed_event_rules_refuse_its_markets() -> None:
    of = market(event_id="e")
    account = Account(of)
    event = MarketEvent(
        event_id="e", slug="e", title="", kind=EventKind.NEG_RISK, condition_ids=("m",), as_of_ms=1
    )
    assert review(intent(), account.exposure) is Refusal.RULES_CHANGED, "the event is not known yet"
    account.universe.list_event(event)
    assert review(intent(), account.exposure) is None


def test_a_book_that_is_not_tracked_is_not_live() -> None:
    account = Account()
    empty = Account(market())
    empty.exposure = type(account.exposure)(
        RiskLimits(), account.universe, Books(), account.orders, account.portfolio
    )
    empty.exposure.gate_open = True
    assert review(intent(), empty.exposure) is Refusal.BOOK_NOT_LIVE


def test_cost_of_an_order() -> None:
    assert order_cost_usd_e6(intent(side=Side.SELL), market(fee=None)) == 0
    assert order_cost_usd_e6(intent(qty_e6=100 * E6), market()) == 51 * E6
    assert order_cost_usd_e6(intent(px_e6=CENT, qty_e6=10_000), market()) == 100 + 10
    with pytest.raises(ValueError, match="fee of m is unknown"):
        order_cost_usd_e6(intent(), market(fee=None))


def test_buying_no_is_selling_yes() -> None:
    assert yes_terms(intent(px_e6=300_000), market()) == (Side.BUY, 300_000)
    assert yes_terms(intent("o", "m-no", px_e6=300_000), market()) == (Side.SELL, 700_000)
    assert yes_terms(intent("o", "m-no", side=Side.SELL, px_e6=300_000), market()) == (Side.BUY, 700_000)
