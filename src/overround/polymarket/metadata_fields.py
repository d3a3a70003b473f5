"""Fields the venue's metadata objects share, read exactly or refused by name.

Invariants: every function returns a checked value or raises ``MetadataRefused`` that names the field;
none has a default for something the venue did not say.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from overround.core.market import FeeSchedule, Rewards, Token
from overround.core.units import E6, UnitError, parse_e6
from overround.polymarket.metadata_wire import MetadataRefused

CONDITION_ID: Final = re.compile(r"0x[0-9a-f]{64}")
V2_CONDITION_ID: Final = re.compile(r"0x[0-9a-f]{62}")
V2_ID_MASK: Final = ((1 << 64) - 1) << 40
"""Bits that are all zero in a "protocol v2" position id (rule of the official client)."""
FEE_EXPONENTS: Final = range(1, 5)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_DIGITS: Final = 20

V = TypeVar("V")


def need(value: V | None, field: str) -> V:
    """Return a required value. Raises ``missing_field``."""
    if value is None:
        raise MetadataRefused("missing_field", field)
    return value


def e6(value: Decimal, field: str) -> int:
    """Return a non-negative number in millionths. Raises ``bad_number`` (more than six decimals, NaN, …)."""
    # The digit bounds come first: Decimal("1E+999999999") is small to hold and endless to write out.
    if not value.is_finite() or not -_MAX_DIGITS <= value.adjusted() <= _MAX_DIGITS:
        raise MetadataRefused("bad_number", f"{field}: {value!s:.40}")
    try:
        return parse_e6(f"{value:f}")
    except UnitError as error:
        raise MetadataRefused("bad_number", f"{field}: {error}") from error


def texts(value: str | None, field: str) -> list[str]:
    """Return the list of texts that Gamma sends as JSON inside a string. Raises ``bad_object``."""
    try:
        return msgspec.json.decode(need(value, field), type=list[str])
    except msgspec.MsgspecError as error:
        raise MetadataRefused("bad_object", f"{field} is not a JSON list of texts: {error}") from error


def ts_ms(text: str | None, field: str) -> int | None:
    """Return the venue's ISO-like time (several spellings; UTC where no zone is given) in milliseconds.

    Empty or missing is ``None``. Raises ``bad_time``.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise MetadataRefused("bad_time", f"{field}: {text!r:.40}") from error


def condition_id(text: str | None, field: str = "conditionId") -> str:
    """Return a condition id in lower case, as the streams spell it. Raises ``v2``, ``bad_id``."""
    lower = need(text, field).lower()
    if not CONDITION_ID.fullmatch(lower):
        raise MetadataRefused(
            "v2" if V2_CONDITION_ID.fullmatch(lower) else "bad_id", f"{field} {lower!r:.80}"
        )
    return lower


def tokens(token_ids: Sequence[str], outcomes: Sequence[str]) -> tuple[Token, Token]:
    """Return the YES and NO token of a binary market. Raises ``outcomes``, ``bad_id``, ``v2``."""
    if len(token_ids) != 2 or len(outcomes) != 2:
        raise MetadataRefused("outcomes", f"{len(outcomes)} outcomes, {len(token_ids)} tokens; 2 are needed")
    for token_id in token_ids:
        digits = token_id.isascii() and token_id.isdigit() and len(token_id) <= 78
        if not digits or int(token_id) >= 1 << 256:
            raise MetadataRefused("bad_id", f"token id {token_id!r:.90}")
        if int(token_id) & V2_ID_MASK == 0:
            raise MetadataRefused("v2", f"token id {token_id} is a protocol v2 position")
    if token_ids[0] == token_ids[1]:
        raise MetadataRefused("bad_id", f"both outcomes have token {token_ids[0]}")
    return Token(token_ids[0], outcomes[0]), Token(token_ids[1], outcomes[1])


def tick_e6(value: Decimal, field: str) -> int:
    """Return the price step in millionths. Raises ``bad_number`` unless it divides 1."""
    tick = e6(value, field)
    if not 0 < tick <= E6 // 2 or E6 % tick:
        raise MetadataRefused("bad_number", f"{field}: {value} is not a price step that divides 1")
    return tick


def fee_schedule(rate: Decimal, exponent: Decimal, taker_only: bool, rebate: Decimal | None) -> FeeSchedule:
    """Return a stated fee schedule.

    Raises:
        MetadataRefused: ``fee_schedule`` for an exponent outside 1..4 or a share above 1, ``bad_number``.
    """
    if not exponent.is_finite() or exponent not in FEE_EXPONENTS:
        raise MetadataRefused("fee_schedule", f"exponent {exponent!s:.40} is outside 1..4")
    rate_e6 = e6(rate, "fee rate")
    rebate_e6 = 0 if rebate is None else e6(rebate, "rebateRate")
    if rate_e6 > E6 or rebate_e6 > E6:
        raise MetadataRefused("fee_schedule", f"rate {rate}, rebate {rebate}: more than the whole")
    return FeeSchedule(rate_e6, int(exponent), taker_only, rebate_e6)


def rewards(min_size: Decimal | None, max_spread_cents: Decimal | None) -> Rewards | None:
    """Return reward conditions (size in shares, spread in cents on the wire); zeros mean no programme."""
    if min_size is None or max_spread_cents is None:
        return None
    size_e6, cents_e6 = e6(min_size, "rewards size"), e6(max_spread_cents, "rewards spread")
    if not size_e6 or not cents_e6:
        return None
    if cents_e6 % 100:
        raise MetadataRefused("bad_number", f"rewards spread: {max_spread_cents} cents is too fine")
    return Rewards(size_e6, cents_e6 // 100)
