"""Units: exact against the decimal module, and every text that is not a plain decimal is refused."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from overround.core.units import (
    E6,
    MAX_E6,
    UnitError,
    ceil_to,
    floor_to,
    format_e6,
    format_usd,
    notional_down_e6,
    notional_up_e6,
    parse_e6,
    parse_signed_e6,
)

AMOUNTS = st.integers(0, MAX_E6)


@pytest.mark.parametrize(
    ("text", "value_e6"),
    [
        ("0.48", 480_000),
        (".48", 480_000),
        ("12", 12 * E6),
        ("0", 0),
        ("00.50", 500_000),
        ("1.0000000000", E6),
        ("0.000001", 1),
        ("0.1230000000", 123_000),
        ("9223372036854.775807", MAX_E6),
    ],
)
def test_plain_decimals(text: str, value_e6: int) -> None:
    assert parse_e6(text) == value_e6


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "1.",
            "-",
            "--1",
            "+1",
            "-1",
            "1e3",
            "1E3",
            "nan",
            "NaN",
            "inf",
            "Infinity",
            "0x10",
            "1_000",
        ),
        *(
            "1,000",
            " 1",
            "1 ",
            "1\n",
            "٣",
            "\uff11",
            "²",
            "1.2.3",
            "1.-2",
            "0.0000001",
            "0.1234567",
            "1/2",
            "True",
        ),
        *("9223372036854.775808", "99999999999999999999", "1" * 25, "0." + "0" * 30),
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_e6(text)
    assert repr(text)[:20] in str(caught.value)


@pytest.mark.parametrize("text", ["--1", "-", "- 1", "-+1", "-nan", "-1e3"])
def test_a_minus_does_not_make_a_bad_text_good(text: str) -> None:
    with pytest.raises(UnitError):
        parse_signed_e6(text)


@given(AMOUNTS)
def test_format_and_parse_are_inverse(value_e6: int) -> None:
    assert parse_e6(format_e6(value_e6)) == value_e6
    assert parse_signed_e6(format_e6(-value_e6)) == -value_e6


@given(AMOUNTS)
def test_format_is_the_shortest_exact_text(value_e6: int) -> None:
    text = format_e6(value_e6)
    assert Decimal(text) * E6 == value_e6
    assert "." not in text or text[-1] not in "0."


@given(st.text("0123456789.-+eE_ nan", max_size=26))
def test_parse_agrees_with_decimal_or_refuses(text: str) -> None:
    try:
        value_e6 = parse_e6(text)
    except UnitError:
        return
    assert Decimal(text) * E6 == value_e6


@given(st.integers(-(10**15), 10**15), st.integers(0, 6))
@example(5_000, 2)
@example(15_000, 2)
@example(-1, 2)
def test_money_for_people_is_rounded_half_even(usd_e6: int, places: int) -> None:
    exact = Decimal(usd_e6) / E6
    rounded = exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    expected = f"{rounded:,}" if rounded else f"{abs(rounded):,}"
    assert format_usd(usd_e6, places) == expected


@pytest.mark.parametrize("places", [-1, 7])
def test_money_has_no_other_number_of_places(places: int) -> None:
    with pytest.raises(ValueError, match="0 to 6"):
        format_usd(1, places)


@given(st.integers(0, E6), st.integers(0, 10**15))
def test_notional_is_rounded_as_named(px_e6: int, qty_e6: int) -> None:
    exact = Fraction(px_e6 * qty_e6, E6)
    assert notional_down_e6(px_e6, qty_e6) <= exact <= notional_up_e6(px_e6, qty_e6)
    assert notional_up_e6(px_e6, qty_e6) - notional_down_e6(px_e6, qty_e6) == (exact.denominator != 1)


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_rounding_to_a_step(value: int, step: int) -> None:
    down, up = floor_to(value, step), ceil_to(value, step)
    assert down % step == up % step == 0
    assert down <= value <= up
    assert value - down < step
    assert up - value < step
