"""Matching: rules of admission, price-time priority against a naive matcher, YES and NO as one book."""

from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.commands import TimeInForce
from overround.core.events import Liquidity, RefusalReason, Side
from overround.core.market import Market
from overround.exchange.exchange import Exchange, Placed
from overround.exchange.orders import OrderRequest
from overround.exchange.world import StaticWorld
from tests.exchange.support import (
    CENT,
    E6,
    NOW_NS,
    S_NS,
    Bench,
    make_config,
    make_market,
    make_request,
    taker_leg,
)

R = RefusalReason
T = TimeInForce
BUY, SELL = Side.BUY, Side.SELL


def odd(**changes: Any) -> OrderRequest:
    """Return a purchase with amounts that are not whole cents and shares."""
    return msgspec.structs.replace(make_request(BUY, 50, 10), **changes)


# --- admission ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (make_request(BUY, 50, 4), R.TOO_SMALL),
        (make_request(BUY, 50, 10, token="other"), R.UNKNOWN_TOKEN),
        (make_request(BUY, 0, 10), R.OFF_GRID),
        (make_request(BUY, 100, 10), R.OFF_GRID),
        (odd(px_e6=505_000), R.OFF_GRID),
        (odd(qty_e6=5 * E6 + 1), R.INVALID_AMOUNTS),
        (make_request(BUY, 50, 0), R.INVALID_AMOUNTS),
        (make_request(BUY, 50, 10, tif=T.FOK, post_only=True), R.INVALID_AMOUNTS),
        (make_request(BUY, 50, 10, budget_usd_e6=E6), R.INVALID_AMOUNTS),
        (make_request(BUY, 50, 10, tif=T.FAK, budget_usd_e6=5 * E6 + 1), R.INVALID_AMOUNTS),
        (odd(side=SELL, qty_e6=5 * E6 + 100, time_in_force=T.FAK), R.INVALID_AMOUNTS),
        (make_request(BUY, 50, 10, tif=T.GTD), R.EXPIRED),
        (make_request(BUY, 50, 10, tif=T.GTD, expires_ts_ms=NOW_NS // 1_000_000 + 179_999), R.EXPIRED),
        (make_request(BUY, 50, 10, expires_ts_ms=NOW_NS), R.EXPIRED),
        (make_request(BUY, 50, 10, tif=T.FAK), R.NOT_FILLABLE),
        (make_request(BUY, 50, 10, tif=T.FOK), R.NOT_FILLABLE),
        (make_request(BUY, 50, 1_971), R.NO_BALANCE),
        (make_request(SELL, 50, 1_001), R.NO_BALANCE),
    ],
)  # fmt: skip
def test_refusals(request_: OrderRequest, reason: RefusalReason) -> None:
    bench = Bench()
    outcome = bench.exchange.place(request_, NOW_NS)
    assert not isinstance(outcome, Placed)
    assert outcome.reason is reason
    assert outcome.text
    account = bench.exchange.account("a")
    assert (account.available_usd_e6(), account.available_e6("m-yes")) == (1_000 * E6, 1_000 * E6)


def test_whole_cents_rule_of_immediate_purchases() -> None:
    market = make_market(tick_e6=1_000)
    bench = Bench(market=market)
    bench.show(SELL, 30, 100)
    request = odd(px_e6=333_000, qty_e6=10 * E6 + CENT, time_in_force=T.FAK)  # 3.33333 dollars
    outcome = bench.exchange.place(request, NOW_NS)
    assert not isinstance(outcome, Placed)
    assert outcome.reason is R.INVALID_AMOUNTS


@pytest.mark.parametrize("field", ["active", "accepting_orders", "closed"])
def test_a_market_that_takes_no_orders(field: str) -> None:
    bench = Bench(market=msgspec.structs.replace(make_market(), **{field: field == "closed"}))
    assert bench.refuse(BUY, 50, 10) is R.MARKET_CLOSED


def test_a_market_without_fee_schedule_cannot_be_traded_unless_fees_are_off() -> None:
    market = make_market(fee=None)
    assert Bench(market=market).refuse(BUY, 50, 10) is R.OTHER
    assert Bench(make_config(fees_on=False), market=market).place(BUY, 50, 10).resting


def test_the_same_order_id_is_a_duplicate_open_or_closed() -> None:
    bench = Bench()
    bench.place(BUY, 50, 10)
    assert bench.refuse(BUY, 50, 10) is R.DUPLICATE
    bench.exchange.cancel("a", "o1")
    assert bench.refuse(BUY, 50, 10) is R.DUPLICATE
    bench.place(BUY, 50, 10, account="b")  # ids are per account


def test_post_only_never_takes() -> None:
    bench = Bench()
    bench.show(SELL, 50, 10)
    assert bench.refuse(BUY, 50, 10, post_only=True) is R.POST_ONLY_CROSSES
    assert bench.place(BUY, 49, 10, post_only=True).resting


def test_a_purchase_below_a_dollar_may_rest_but_not_take() -> None:
    bench = Bench()
    bench.place(BUY, 4, 5)
    bench.show(SELL, 4, 100)
    assert bench.refuse(BUY, 4, 5, name="o2") is R.TOO_SMALL


# --- matches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maker_token", "maker_side", "maker_px", "taker_token", "taker_side", "taker_px"),
    [
        ("m-yes", SELL, 40, "m-yes", BUY, 45),  # complementary
        ("m-no", BUY, 60, "m-yes", BUY, 45),  # mint
        ("m-no", SELL, 60, "m-yes", SELL, 35),  # merge
        ("m-yes", BUY, 40, "m-no", BUY, 65),  # mint, the other way round
    ],
)
def test_the_taker_gets_the_improvement_on_either_token(
    maker_token: str, maker_side: Side, maker_px: int, taker_token: str, taker_side: Side, taker_px: int
) -> None:
    bench = Bench()
    bench.place(maker_side, maker_px, 10, token=maker_token, account="b")
    trade = bench.place(taker_side, taker_px, 10, token=taker_token).trade
    assert trade is not None
    taker, maker = trade.legs
    assert maker.px_e6 == maker_px * CENT
    assert maker.usd_e6 == maker_px * 10 * CENT
    assert maker.fee_usd_e6 == 0
    assert taker.px_e6 == (maker_px if maker_token == taker_token else 100 - maker_px) * CENT
    assert taker.fee_usd_e6 == 96_000  # 10 * 0.04 * 0.4 * 0.6
    assert bench.exchange.account("b").reserved_usd_e6 == 0
    assert not bench.exchange.open_orders("b")


def test_a_partly_filled_order_rests_with_the_rest() -> None:
    bench = Bench()
    bench.show(SELL, 50, 6)
    placed = bench.place(BUY, 50, 10)
    assert taker_leg(placed).qty_e6 == 6 * E6
    assert placed.resting
    assert placed.order.remaining_qty_e6 == 4 * E6
    assert bench.exchange.account("a").reserved_usd_e6 == 2 * E6 + 40_000


def test_fak_kills_the_rest_and_fok_refuses_it() -> None:
    bench = Bench()
    bench.show(SELL, 50, 6)
    assert bench.refuse(BUY, 50, 10, tif=T.FOK) is R.NOT_FILLABLE
    placed = bench.place(BUY, 50, 10, tif=T.FAK, name="o2")
    assert not placed.resting
    assert placed.killed_qty_e6 == 4 * E6


def test_liquidity_shown_is_eaten_once_within_the_memory() -> None:
    bench = Bench()
    bench.show(SELL, 50, 10)
    bench.place(BUY, 50, 10, tif=T.FOK)
    assert bench.refuse(BUY, 50, 10, tif=T.FAK, name="o2", now_ns=NOW_NS + 5 * S_NS - 1) is R.NOT_FILLABLE
    bench.place(BUY, 50, 10, tif=T.FOK, name="o3", now_ns=NOW_NS + 5 * S_NS)


def test_liquidity_of_a_book_that_is_not_live_is_not_there() -> None:
    bench = Bench()
    bench.show(SELL, 50, 10)
    bench.world.set_live("0xm", live=False)
    assert bench.refuse(BUY, 50, 10, tif=T.FAK) is R.NOT_FILLABLE
    placed = bench.place(BUY, 50, 10, name="o2")
    assert placed.resting
    assert placed.order.queue.ahead_e6 is None


def test_a_cancelled_order_frees_its_reservation() -> None:
    bench = Bench()
    bench.place(SELL, 50, 10, token="m-no")
    account = bench.exchange.account("a")
    assert account.available_e6("m-no") == 990 * E6
    assert bench.exchange.cancel("a", "o1") is not None
    assert account.available_e6("m-no") == 1_000 * E6
    assert bench.exchange.cancel("a", "o1") is None


def test_resolution_cancels_pays_and_closes() -> None:
    bench = Bench()
    bench.place(BUY, 50, 10)
    assert len(bench.exchange.resolve(bench.market, "m-no")) == 1
    account = bench.exchange.account("a")
    assert account.cash_usd_e6 == account.available_usd_e6() == 2_000 * E6
    assert account.positions() == {}
    assert bench.refuse(BUY, 50, 10, name="o2") is R.MARKET_CLOSED
    with pytest.raises(ValueError, match="no token"):
        bench.exchange.resolve(bench.market, "other")


# --- a naive matcher ---------------------------------------------------------------------------------


class Offer(NamedTuple):
    """One share for sale in terms of the taker's token; sorted best first by the naive matcher."""

    px: int
    place: int
    owner: str


def naive(taker_side: Side, limit: int, shares: int, offers: list[Offer]) -> dict[str, int]:
    """Match share by share: always the best price, then the earliest place."""
    sign = 1 if taker_side is BUY else -1
    got: dict[str, int] = {}
    for offer in sorted(offers, key=lambda o: (sign * o.px, o.place))[:shares]:
        if sign * offer.px <= sign * limit:
            got[offer.owner] = got.get(offer.owner, 0) + 1
    return got


makers_and_world = st.lists(
    st.tuples(st.booleans(), st.integers(30, 40), st.integers(5, 9), st.booleans()), max_size=7
)


@given(makers_and_world, st.integers(25, 45), st.integers(5, 40), st.booleans(), st.sampled_from(Side))
def test_matches_equal_those_of_a_naive_matcher(
    steps: list[tuple[bool, int, int, bool]], limit: int, shares: int, yes: bool, side: Side
) -> None:
    """World liquidity and simulated makers come in turn; who comes first at a price is served first."""
    bench = Bench(make_config(fees_on=False))
    offers: list[Offer] = []
    shown: dict[int, int] = {}
    book_side = SELL if (side is BUY) is yes else BUY  # the side of YES that the taker meets
    for place, (world, px, size, maker_yes) in enumerate(steps):
        book_px = px if yes else 100 - px
        owner = "world" if world else f"m{place}"
        if world:
            shown[book_px] = shown.get(book_px, 0) + size
            bench.show(book_side, book_px, shown[book_px])
        else:
            maker_side = book_side if maker_yes else (BUY if book_side is SELL else SELL)
            own_px = book_px if maker_yes else 100 - book_px
            token = "m-yes" if maker_yes else "m-no"
            bench.place(maker_side, own_px, size, token=token, account="b", name=owner)
        offers += [Offer(px, place, owner)] * size
    expected = naive(side, limit, shares, offers)
    outcome = bench.exchange.place(
        make_request(side, limit, shares, token="m-yes" if yes else "m-no", tif=T.GTC), NOW_NS
    )
    if not isinstance(outcome, Placed):
        assert outcome.reason is R.TOO_SMALL
        assert side is BUY
        return
    legs = outcome.trade.legs if outcome.trade is not None else ()
    got = {leg.client_order_id: leg.qty_e6 // E6 for leg in legs if leg.liquidity is Liquidity.MAKER}
    taken = sum(leg.qty_e6 // E6 for leg in legs if leg.liquidity is Liquidity.TAKER)
    from_world = taken - sum(got.values())
    assert got | ({"world": from_world} if from_world else {}) == expected


def test_ids_do_not_depend_on_what_happened_before() -> None:
    def ids(market: Market, noise: int) -> tuple[str, str]:
        world = StaticWorld([market])
        exchange = Exchange(world, make_config(), Random(noise))
        exchange.open_account("a", 1_000 * E6)
        world.set_level("0xm", SELL, 50 * CENT, 100 * E6)
        for number in range(noise):
            exchange.place(make_request(BUY, 40, 5, name=f"noise{number}"), NOW_NS)
        placed = exchange.place(make_request(BUY, 50, 10), NOW_NS)
        assert isinstance(placed, Placed)
        return placed.order.venue_order_id, taker_leg(placed).trade_id

    assert ids(make_market(), 0) == ids(make_market(), 3)
