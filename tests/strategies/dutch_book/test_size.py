"""Exact cost at a size, and the best size: golden vectors, an exhaustive search, brute-force payoffs."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.fees import taker_fee_bound_usd_e6
from overround.core.market import FeeSchedule
from overround.core.units import E6, parse_e6
from overround.strategies.dutch_book.certify import limits_of
from overround.strategies.dutch_book.params import DutchParams
from overround.strategies.dutch_book.search import Search
from overround.strategies.dutch_book.size import (
    Ladder,
    Leg,
    Outcome,
    Sized,
    Structure,
    lot_shares,
    price_basket,
)
from tests.strategies.dutch_book.terms import bare, outcome

GT2 = [
    outcome(0, [("0.50", "200"), ("0.51", "300")], [("0.51", "1000")], tick="0.001"),
    outcome(1, [("0.30", "150"), ("0.32", "500")], [("0.31", "1000")], tick="0.001"),
    outcome(2, [("0.150", "400"), ("0.158", "400")], tick="0.001"),
]


def priced(outcomes: list[Outcome], shares: int, params: DutchParams, structure: Structure) -> Sized:
    limits = limits_of(params)
    return price_basket(structure, [Leg(o, limits) for o in outcomes], shares, limits.safety_usd_e6)


@pytest.mark.parametrize(
    ("shares", "notional", "fees", "profit"),
    [
        (150, "142.5", "3.525", 3_975_000),
        (200, "191", "4.7158", 4_284_200),
        (201, "191.98", "4.7396", 4_280_400),
        (300, "289", "7.09666", 3_903_340),
        (500, "485.8", "11.8797", 2_320_300),
    ],
)
def test_gt2_every_row(shares: int, notional: str, fees: str, profit: int) -> None:
    sized = priced(GT2, shares, bare(), Structure.LONG)
    assert sized.notional_usd_e6 == parse_e6(notional)
    assert sized.fees_usd_e6 == parse_e6(fees)
    assert sized.book_profit_usd_e6 == profit


def test_gt2_best_size_is_200_at_level_ends() -> None:
    best = Search(Structure.LONG, GT2, limits_of(bare())).best()
    assert best is not None
    assert (best.qty_e6, best.book_profit_usd_e6) == (200 * E6, 4_284_200)
    assert {leg.outcome.name: leg.limit_px_e6 for leg in best.legs} == {
        "A": 500_000,
        "B": 320_000,
        "C": 150_000,
    }


def test_gt5_unwinding_two_legs_at_the_stressed_bids_costs_12_34220() -> None:
    # Bids .51 and .31 stressed by two ticks of .01 are the .49 and .29 of the vector.
    legs = [
        outcome(0, [("0.50", "200")], [("0.51", "500")]),
        outcome(1, [("0.30", "150"), ("0.32", "500")], [("0.31", "500")]),
    ]
    sized = priced(legs, 200, bare(), Structure.LONG)
    losses = {leg.outcome.name: leg.unwind_loss_usd_e6 for leg in sized.legs}
    assert losses == {"A": 5_999_200, "B": 6_343_000}
    assert [leg.outcome.name for leg in sized.legs] == ["A", "B"]


@pytest.mark.parametrize(("px", "lot"), [("0.15", 1), ("0.155", 2), ("0.158", 5), ("0.157", 10), ("0.5", 1)])
def test_lots_make_whole_cents(px: str, lot: int) -> None:
    assert lot_shares(parse_e6(px)) == lot


def test_beyond_the_depth_nothing_is_priced() -> None:
    ladder = Ladder([(500_000, 10 * E6)])
    assert ladder.walk(10 * E6) == (5 * E6, 500_000)
    with pytest.raises(ValueError, match="beyond the visible depth"):
        ladder.walk(10 * E6 + 1)


def test_slippage_makes_levels_and_limits_worse_but_never_invalid() -> None:
    legs = [outcome(0, [("0.98", "100")]), outcome(1, [("0.01", "200")])]
    sized = priced(legs, 100, bare(slippage_ticks=3), Structure.LONG)
    assert {leg.outcome.name: leg.limit_px_e6 for leg in sized.legs} == {"A": 990_000, "B": 40_000}
    assert sized.cost_usd_e6 == (99 + 4) * E6
    assert sized.notional_usd_e6 == (98 + 1) * E6
    # The four parts of the net margin add up.
    assert (
        sized.gross_usd_e6 - sized.fees_bound_usd_e6 - sized.slippage_usd_e6 - sized.safety_usd_e6
        == sized.net_usd_e6
    )


# --- properties ----------------------------------------------------------------------------------

TICKS = st.sampled_from([10_000, 1_000, 5_000])


@st.composite
def ladders(draw: st.DrawFn, tick: int, lowest: int, highest: int) -> list[tuple[int, int]]:
    low, high = -(-lowest // tick), highest // tick
    steps = draw(st.lists(st.integers(low, high), min_size=1, max_size=3, unique=True))
    # Hundredths of a share, like the venue's sizes.
    return [(step * tick, draw(st.integers(300, 4_000)) * 10_000) for step in sorted(steps)]


@st.composite
def outcomes(draw: st.DrawFn, low_px: int, high_px: int, most: int = 4) -> list[Outcome]:
    rate = draw(st.sampled_from([0, 10_000, 40_000, 70_000]))
    found = []
    for index in range(draw(st.integers(2, most))):
        tick = draw(TICKS)
        found.append(
            Outcome(
                condition_id=f"c{index}",
                token_id=f"t{index}",
                name=f"S{index}",
                tick_e6=tick,
                min_size_e6=5 * E6,
                fee=FeeSchedule(rate_e6=rate),
                asks=draw(ladders(tick, low_px, high_px)),
                bids=list(reversed(draw(ladders(tick, tick, low_px)))),
            )
        )
    return found


def naive_cost(levels: list[tuple[int, int]], qty: int, fee: FeeSchedule) -> int | None:
    """Fill level by level, without any table, and round up to the whole cents of a budget."""
    left, cost_e12 = qty, 0
    for px, size in levels:
        taken = min(left, size)
        cost_e12 += taken * px
        left -= taken
    if left:
        return None
    cost = -(-cost_e12 // (10_000 * E6)) * 10_000
    return cost + taker_fee_bound_usd_e6(fee, qty, min(cost, qty))


def naive_worst(levels: list[tuple[int, int]], qty: int) -> int:
    reached = 0
    for px, size in levels:
        reached += size
        if reached >= qty:
            return px
    raise AssertionError("beyond the depth")


def naive_net(outcomes: list[Outcome], shares: int, params: DutchParams, structure: Structure) -> int | None:
    """Net profit of a size by the definition: the worst state's payoff less what every leg costs."""
    qty = shares * E6
    legs = []
    for o in outcomes:
        slip = params.slippage_ticks * o.tick_e6
        plan = [(min(px + slip, E6 - o.tick_e6), size) for px, size in o.asks]
        depth = sum(size for _, size in plan) * params.participation_e6 // E6
        usable = (
            qty <= min(depth, params.max_size_qty_e6) and qty >= o.min_size_e6 and shares * o.asks[0][0] >= E6
        )
        if usable:
            legs.append((o, plan))
        elif structure is Structure.LONG:
            return None
    if len(legs) < 2 or any(naive_worst(plan, qty) * shares % 10_000 for _, plan in legs):
        return None
    cost = 0
    for o, plan in legs:
        one = naive_cost(plan, qty, o.fee)
        assert one is not None
        cost += one
    bought = {o.condition_id for o, _ in legs}
    payoffs = []
    for winner in [o.condition_id for o in outcomes] + ([] if structure is Structure.LONG else ["none"]):
        if structure is Structure.LONG:
            payoffs.append(qty if winner in bought else 0)
        else:
            payoffs.append(sum(qty for cid in bought if cid != winner))
    return min(payoffs) - cost - params.safety_margin_usd_e6


PARAMS = st.builds(
    bare,
    slippage_ticks=st.integers(0, 2),
    safety_margin_usd_e6=st.sampled_from([0, 100_000]),
    participation_e6=st.sampled_from([E6, E6 // 2]),
    max_size_qty_e6=st.integers(5, 120).map(lambda shares: shares * E6),
)


def check_against_exhaustive_search(legs: list[Outcome], params: DutchParams, structure: Structure) -> None:
    best = Search(structure, legs, limits_of(params)).best()
    tried = [naive_net(legs, shares, params, structure) for shares in range(1, 125)]
    values = [net for net in tried if net is not None]
    if best is None:
        assert not values
        return
    assert best.net_usd_e6 == naive_net(legs, best.qty_e6 // E6, params, structure)
    # Convexity holds for exact costs; each leg's budget is rounded by less than a cent, its fee by less.
    assert max(values) - best.net_usd_e6 <= 10_010 * len(legs)
    for leg in best.legs:
        assert leg.limit_px_e6 * best.qty_e6 // E6 % 10_000 == 0


@given(outcomes(50_000, 450_000), PARAMS)
def test_long_size_is_the_exhaustive_optimum(legs: list[Outcome], params: DutchParams) -> None:
    check_against_exhaustive_search(legs, params, Structure.LONG)


@given(outcomes(500_000, 990_000), PARAMS)
def test_short_size_is_the_exhaustive_optimum(legs: list[Outcome], params: DutchParams) -> None:
    check_against_exhaustive_search(legs, params, Structure.SHORT)


@given(outcomes(50_000, 450_000), st.integers(5, 20))
def test_loss_bound_covers_every_incomplete_subset(legs: list[Outcome], shares: int) -> None:
    deep = [o for o in legs if sum(size for _, size in o.asks) >= shares * E6]
    if len(deep) < 2:
        return
    sized = priced(deep, shares, bare(slippage_ticks=1), Structure.LONG)
    losses = [leg.unwind_loss_usd_e6 for leg in sized.legs]
    subsets = [sum(chosen) for k in range(len(losses)) for chosen in combinations(losses, k)]
    assert sized.loss_bound_usd_e6 == max(subsets)


@given(outcomes(100_000, 400_000), st.integers(20, 200))
def test_capital_limit_is_used_to_the_last_lot(legs: list[Outcome], dollars: int) -> None:
    params = bare()
    best = Search(Structure.LONG, legs, limits_of(params)).best(dollars * E6)
    if best is None:
        return
    assert best.capital_usd_e6 <= dollars * E6
    for shares in range(5, 60):
        net = naive_net(legs, shares, params, Structure.LONG)
        if net is not None and net > best.net_usd_e6 + 10_010 * len(legs):
            assert priced(legs, shares, params, Structure.LONG).capital_usd_e6 > dollars * E6
