"""Sharding: bounded, stable, both tokens of a market together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.polymarket.subscriptions import Shards


def pair(n: int) -> dict[str, tuple[str, ...]]:
    return {f"m{n}": (f"y{n}", f"n{n}")}


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 30), max_size=8), st.lists(st.integers(0, 30), max_size=4))),
    st.sampled_from([2, 3, 6, 400]),
)
def test_any_changes_keep_the_rules(steps: list[tuple[list[int], list[int]]], max_assets: int) -> None:
    shards = Shards(max_assets)
    model: dict[str, int] = {}
    for add, remove in steps:
        wanted = {key: tokens for n in add for key, tokens in pair(n).items()}
        expected = (model.keys() - {f"m{n}" for n in remove}) | wanted.keys()
        for change in shards.change(wanted, [f"m{n}" for n in remove]):
            for market in change.removed:
                assert model.pop(market) == change.shard
            for market in change.added:
                assert model.setdefault(market, change.shard) == change.shard
        assert model.keys() == shards.markets.keys() == expected
        for market, shard in model.items():  # where it was placed is where it stays
            assert {shards.locate(token) for token in shards.markets[market]} == {(shard, market)}
        for shard in range(len(shards)):
            load = sum(len(shards.markets[market]) for market, at in model.items() if at == shard)
            assert load == shards.load(shard) <= max_assets


def test_shards_fill_one_by_one_and_holes_are_used_again() -> None:
    shards = Shards(4)
    markets = {key: tokens for n in range(5) for key, tokens in pair(n).items()}
    assert [(c.shard, list(c.added)) for c in shards.change(markets)] == [
        (0, ["m0", "m1"]),
        (1, ["m2", "m3"]),
        (2, ["m4"]),
    ]
    (change,) = shards.change({}, ["m1", "unknown"])
    assert (change.shard, change.removed) == (0, ("m1",))
    (change,) = shards.change(pair(9) | pair(0))
    assert (change.shard, list(change.added)) == (0, ["m9"])


def test_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"max_assets 501 must be in 2..500"):
        Shards(501)
    shards = Shards(2)
    with pytest.raises(ValueError, match="has 3 tokens"):
        shards.change({"m": ("a", "b", "c")})
    shards.change({"m": ("a", "b")})
    with pytest.raises(ValueError, match="token b of other belongs to m"):
        shards.change({"other": ("b", "c")})
    assert shards.locate("c") is None
