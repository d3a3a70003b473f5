"""Texts to integers: the quick ways give what the exact parser gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.units import E6, UnitError, format_e6, parse_e6
from overround.polymarket.numbers import WireError, best_of, plain_side, price_of, quantity_of, tick_of

numberish = st.text("0123456789.+-eE_ x\u0661", max_size=22)


def _exact(text: str) -> int | None:
    try:
        return parse_e6(text)
    except UnitError:
        return None


@given(numberish | st.decimals(0, 10**9, places=6).map(str) | st.integers(0, 10**15).map(format_e6))
def test_quantities_are_exact_or_refused(text: str) -> None:
    expected = _exact(text)
    for _ in range(2):  # the second time from the cache
        if expected is None:
            with pytest.raises(WireError):
                quantity_of(text)
        else:
            assert quantity_of(text) == expected


@given(numberish | st.integers(0, 2 * E6).map(format_e6))
def test_prices_are_exact_and_between_0_and_1_or_refused(text: str) -> None:
    expected = _exact(text)
    for _ in range(2):
        if expected is None or not 0 < expected < E6:
            with pytest.raises(WireError):
                price_of(text)
        else:
            assert price_of(text) == expected


@pytest.mark.parametrize(("text", "px_e6"), [("0.48", 480_000), (".48", 480_000), ("0.480", 480_000)])
def test_spellings_of_one_price(text: str, px_e6: int) -> None:
    assert price_of(text) == px_e6
    assert best_of(text, 0) == px_e6


@pytest.mark.parametrize("text", ["", "0", "1", "0.0", "1.000"])
def test_texts_of_an_empty_side(text: str) -> None:
    assert best_of(text, 0) == 0
    assert best_of(text, E6) == E6


@pytest.mark.parametrize("text", ["2", "1.1", "NaN", "-1"])
def test_impossible_best_prices_are_refused(text: str) -> None:
    with pytest.raises(WireError):
        best_of(text, 0)


def test_ticks_divide_one() -> None:
    assert [tick_of(text) for text in ("0.01", "0.0025")] == [10_000, 2_500]
    for text in ("0.3", "0", "1", "x"):
        with pytest.raises(WireError):
            tick_of(text)


@given(st.dictionaries(st.integers(1, E6 - 1), st.integers(1, 10**14), max_size=9))
def test_a_plain_side_reads_back(side: dict[int, int]) -> None:
    parts = [f'{{"price":"{format_e6(px)}","size":"{format_e6(qty)}"}}' for px, qty in side.items()]
    for _ in range(2):
        assert plain_side(f"[{','.join(parts)}]".encode()) == (side, [part[1:-1].encode() for part in parts])


@pytest.mark.parametrize(
    "text",
    [
        b"[{}]",
        b"[",
        b'[{"price":"0.5","size":"0"}]',
        b'[{"price":"0.5"},{"price":"0.4","size":"3","size":"2"}]',
        b'[{"size":"3","price":"0.5"}]',
        b'[{"price":"0.5","size":"3"}, {"price":"0.4","size":"3"}]',
        b'[{"price":"0.5","size":"3"},{"price":"0.50","size":"3"}]',
        b'[{"price":"0.5","size":"3","x":"1"}]',
        b'[{"price":"0.5","size":3}]',
        b'[{"price":"0.\xd9\xa1","size":"3"}]',
        b'[{"price":"\xff","size":"3"}]',
        b'[{"price":"0.5","size":"1e3"}]',
    ],
)
def test_any_other_spelling_of_a_side_is_left_to_json(text: bytes) -> None:
    with pytest.raises(KeyError):
        plain_side(text)
