"""Exact decimal units: one scale for everything that is money, price or quantity.

Prices are millionths of a dollar per share (``px_e6``), quantities millionths of a share
(``qty_e6``), money millionths of a dollar (``usd_e6``). These are the raw units of the venue's
contracts, so nothing is ever converted, only parsed on entry and formatted on exit.

Invariants: no float enters or leaves; every division names its rounding; text that is not a plain
finite decimal with at most six places is refused, never rounded.
"""

from typing import Any, Final

E6: Final = 1_000_000
"""One dollar, one share, or a price of 1, in millionths."""

MAX_TEXT_LENGTH: Final = 24
"""Longest decimal text accepted. The venue's longest real value is 15 characters; a longer one is damage."""

MAX_E6: Final = 2**63 - 1
"""Largest magnitude accepted, so that every amount fits a signed 64-bit column."""


# Units of parameters, as the ``extra`` of ``msgspec.Meta``; ``scale`` is that of the integer behind the key.
SHARES: Final[dict[str, Any]] = {"unit": "shares", "scale": "e6"}
DOLLARS: Final[dict[str, Any]] = {"unit": "dollars", "scale": "e6"}
DOLLARS_PER_SHARE: Final[dict[str, Any]] = {"unit": "dollars per share", "scale": "e6"}
RATIO: Final[dict[str, Any]] = {"unit": "ratio", "scale": "e6"}
TICKS: Final[dict[str, Any]] = {"unit": "ticks"}
MS: Final[dict[str, Any]] = {"unit": "ms"}


class UnitError(ValueError):
    """A text is not an exact decimal in millionths."""

    def __init__(self, text: object, why: str) -> None:
        super().__init__(f"{text!r:.60}: {why}")


def parse_e6(text: str) -> int:
    """Return the non-negative decimal ``text`` ("0.48", ".48", "12") in millionths.

    Raises:
        UnitError: for signs, exponents, NaN, infinities, other scripts' digits, blanks, more than
            six decimals that are not zero, or a value beyond ``MAX_E6``.
    """
    if len(text) > MAX_TEXT_LENGTH or not text.isascii():
        raise UnitError(text, "not a plain decimal")
    whole, dot, frac = text.partition(".")
    if (whole and not whole.isdigit()) or (frac and not frac.isdigit()) or not (whole or frac):
        raise UnitError(text, "not a plain decimal")
    if dot and not frac:
        raise UnitError(text, "no digits after the point")
    if len(frac) > 6:
        if frac[6:].strip("0"):
            raise UnitError(text, "more than six decimals")
        frac = frac[:6]
    value = int(whole or "0") * E6 + (int(frac) * 10 ** (6 - len(frac)) if frac else 0)
    if value > MAX_E6:
        raise UnitError(text, "too large")
    return value


def parse_signed_e6(text: str) -> int:
    """Like :func:`parse_e6`, but a leading minus is allowed. Raises ``UnitError``."""
    return -parse_e6(text[1:]) if text.startswith("-") else parse_e6(text)


def format_e6(value_e6: int) -> str:
    """Return the shortest exact decimal text of ``value_e6`` ("0.48", "12", "-0.000001")."""
    sign = "-" if value_e6 < 0 else ""
    whole, frac = divmod(abs(value_e6), E6)
    if not frac:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{frac:06d}".rstrip("0")


def format_usd(usd_e6: int, places: int = 2) -> str:
    """Return dollars for people, half-even rounded to ``places`` decimals, with a sign and separators.

    Raises ``ValueError`` unless ``places`` is within 0 and 6.
    """
    if not 0 <= places <= 6:
        raise ValueError(f"places is {places}: use 0 to 6")
    unit = 10 ** (6 - places)
    quotient, rest = divmod(abs(usd_e6), unit)
    if rest * 2 > unit or (rest * 2 == unit and quotient % 2):
        quotient += 1
    whole, frac = divmod(quotient, 10**places)
    sign = "-" if usd_e6 < 0 and quotient else ""
    return f"{sign}{whole:,}" + (f".{frac:0{places}d}" if places else "")


def notional_down_e6(px_e6: int, qty_e6: int) -> int:
    """Return price times quantity in millionths of a dollar, rounded down (what a seller is owed)."""
    return px_e6 * qty_e6 // E6


def notional_up_e6(px_e6: int, qty_e6: int) -> int:
    """Return price times quantity in millionths of a dollar, rounded up (what a buyer must reserve)."""
    return -(-px_e6 * qty_e6 // E6)


def floor_to(value: int, step: int) -> int:
    """Return the largest multiple of ``step`` that is not above ``value``."""
    return value - value % step


def ceil_to(value: int, step: int) -> int:
    """Return the smallest multiple of ``step`` that is not below ``value``."""
    return -(-value // step) * step
