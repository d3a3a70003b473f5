"""Money for people."""

import pytest

from overround.ops.report.markup import bar, money, plain_usd, signed_usd


@pytest.mark.parametrize(
    ("usd_e6", "text"),
    [
        (1_200_000, "+$1.20"),
        (-50_000, "−$0.05"),
        (0, "$0.00"),
        (4_999, "$0.00"),
        (-4_999, "$0.00"),
        (-1_234_567_890_000, "−$1,234,567.89"),
    ],
)
def test_gains_and_losses_carry_their_sign(usd_e6: int, text: str) -> None:
    assert signed_usd(usd_e6) == text


def test_amounts_carry_only_a_minus() -> None:
    assert plain_usd(3_000_000) == "$3.00"
    assert plain_usd(-3_000_000) == "−$3.00"


def test_money_is_coloured_by_its_sign() -> None:
    assert "good" in money(10_000)
    assert "bad" in money(-10_000)
    assert "class=''" in money(1)


def test_a_bar_shows_whatever_is_there() -> None:
    assert "width:50.0%" in bar(5, 10, "acted")
    assert "width:0.8%" in bar(1, 100_000, "acted")
    assert "width:0.0%" in bar(0, 10, "acted")
    assert "width:0.0%" in bar(0, 0, "acted")
