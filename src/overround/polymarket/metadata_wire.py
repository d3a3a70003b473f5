"""The venue's metadata as it is on the wire: Gamma's markets and events, the CLOB's two market objects.

Invariants: JSON numbers are read as exact decimals, never as floats; a field the venue left out, or
sent as null, is ``None``; unknown fields are ignored; one broken object never spoils the page it came
in. Nothing is interpreted here: polymarket/catalog.py turns these into markets and events.
"""

from decimal import Decimal
from typing import TypeVar

import msgspec

MAX_PLACES = 6
"""Decimal places of every price, size and rate this program accepts."""


class Refusal(msgspec.Struct, frozen=True):
    """A metadata object that cannot be used, kept and counted so that it is never silently lost."""

    subject: str
    """Condition id, or the next best name the object still shows."""
    reason: str
    """Machine-readable: missing_field, bad_number, outcomes, v2, fee_schedule, conflict, …"""
    detail: str


class MetadataRefused(ValueError):
    """A metadata object says something this program must not guess about."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def refusal(self, subject: str) -> Refusal:
        """Return this refusal with the name of the object it is about."""
        return Refusal(subject, self.reason, self.detail)


class GammaFees(msgspec.Struct, frozen=True, rename="camel"):
    """Gamma ``feeSchedule``."""

    rate: Decimal
    exponent: Decimal
    taker_only: bool
    rebate_rate: Decimal | None = None


class GammaEventHead(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A Gamma event without its markets, as it is repeated inside each market object."""

    id: str
    slug: str
    title: str = ""
    description: str | None = None
    resolution_source: str | None = None
    end_date: str | None = None
    neg_risk: bool | None = None
    neg_risk_augmented: bool | None = None
    neg_risk_market_id: str | None = msgspec.field(default=None, name="negRiskMarketID")
    neg_risk_fee_bips: int | None = None


class GammaMarket(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A Gamma market. ``outcomes``, ``outcomePrices`` and ``clobTokenIds`` are JSON inside a string."""

    id: str
    condition_id: str | None = None
    question_id: str | None = msgspec.field(default=None, name="questionID")
    slug: str | None = None
    question: str | None = None
    description: str | None = None
    resolution_source: str | None = None
    end_date: str | None = None
    outcomes: str | None = None
    outcome_prices: str | None = None
    clob_token_ids: str | None = None
    position_ids: list[str] | None = None
    version: str | None = None
    active: bool | None = None
    closed: bool | None = None
    enable_order_book: bool | None = None
    accepting_orders: bool | None = None
    neg_risk: bool | None = None
    neg_risk_market_id: str | None = msgspec.field(default=None, name="negRiskMarketID")
    neg_risk_other: bool | None = None
    group_item_title: str | None = None
    order_price_min_tick_size: Decimal | None = None
    order_min_size: Decimal | None = None
    seconds_delay: int | None = None
    fees_enabled: bool | None = None
    fee_schedule: GammaFees | None = None
    rewards_min_size: Decimal | None = None
    rewards_max_spread: Decimal | None = None
    uma_resolution_status: str | None = None
    automatically_resolved: bool | None = None
    events: list[GammaEventHead] | None = None


class GammaEvent(GammaEventHead, frozen=True, rename="camel", kw_only=True):
    """A Gamma event with all its markets, closed and placeholder ones included, each still raw."""

    markets: list[msgspec.Raw] | None = None


class ClobFees(msgspec.Struct, frozen=True):
    """Compact fee schedule ``fd`` of the CLOB."""

    rate: Decimal = msgspec.field(name="r")
    exponent: Decimal = msgspec.field(name="e")
    taker_only: bool = msgspec.field(name="to", default=False)


class ClobRewards(msgspec.Struct, frozen=True):
    """Compact reward conditions ``r`` of the CLOB: minimum size in shares, widest spread in cents."""

    min_size: Decimal | None = msgspec.field(name="mi", default=None)
    max_spread: Decimal | None = msgspec.field(name="ma", default=None)


class ClobToken(msgspec.Struct, frozen=True):
    """Compact token of the CLOB."""

    token_id: str = msgspec.field(name="t")
    outcome: str = msgspec.field(name="o")


class ClobCompact(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``/clob-markets/{condition_id}``: keys are left out where they have their default."""

    condition_id: str | None = msgspec.field(name="c", default=None)
    tokens: list[ClobToken] = msgspec.field(name="t", default_factory=list)
    min_size: Decimal | None = msgspec.field(name="mos", default=None)
    tick: Decimal | None = msgspec.field(name="mts", default=None)
    neg_risk: bool = msgspec.field(name="nr", default=False)
    fees: ClobFees | None = msgspec.field(name="fd", default=None)
    rewards: ClobRewards | None = msgspec.field(name="r", default=None)
    accepting_orders: bool = msgspec.field(name="ao", default=False)
    taker_delay: bool = msgspec.field(name="itode", default=False)
    version: str | None = msgspec.field(name="v", default=None)


class ClobFullToken(msgspec.Struct, frozen=True):
    """Token of the CLOB's full market object."""

    token_id: str
    outcome: str
    winner: bool = False


class ClobMarket(msgspec.Struct, frozen=True, kw_only=True):
    """One market of the CLOB's ``/markets`` pages. It carries no fee schedule."""

    condition_id: str
    question_id: str = ""
    question: str = ""
    description: str = ""
    market_slug: str = ""
    end_date_iso: str | None = None
    active: bool
    closed: bool
    enable_order_book: bool
    accepting_orders: bool
    minimum_order_size: Decimal
    minimum_tick_size: Decimal
    neg_risk: bool = False
    seconds_delay: int = 0
    tokens: list[ClobFullToken] = []


class _Names(msgspec.Struct, frozen=True, rename="camel"):
    """What a broken object may still be called."""

    condition_id: msgspec.Raw = msgspec.Raw(b"")
    snake_condition_id: msgspec.Raw = msgspec.field(name="condition_id", default=msgspec.Raw(b""))
    slug: msgspec.Raw = msgspec.Raw(b"")
    id: msgspec.Raw = msgspec.Raw(b"")


T = TypeVar("T", bound=msgspec.Struct)
_NAMES = msgspec.json.Decoder(_Names)


def name_of(raw: bytes | msgspec.Raw) -> str:
    """Return the best name a JSON object shows for itself, at most 80 characters; "?" when it has none."""
    try:
        names = _NAMES.decode(raw)
    except msgspec.MsgspecError:
        return "?"
    for value in (names.condition_id, names.snake_condition_id, names.slug, names.id):
        text = bytes(value).decode("utf-8", "replace").strip('"')
        if text not in ("", "null"):
            return text[:80]
    return "?"


def decode_each(items: list[msgspec.Raw], kind: type[T]) -> tuple[list[T], list[Refusal]]:
    """Decode objects one by one: the readable ones, and a refusal for each that is not."""
    decoder = msgspec.json.Decoder(kind)
    good: list[T] = []
    refused: list[Refusal] = []
    for raw in items:
        try:
            good.append(decoder.decode(raw))
        except msgspec.MsgspecError as error:
            refused.append(Refusal(name_of(raw), "bad_object", str(error)[:200]))
    return good, refused


def decode_page(body: bytes, key: str) -> tuple[list[msgspec.Raw], str | None]:
    """Return the raw objects of a list answer and the cursor of the next page.

    Accepts a bare array (legacy paging) and an envelope ``{key: […], "next_cursor": …}``; the CLOB's
    end mark ``LTE=`` and an empty cursor both mean the last page.

    Raises:
        MetadataRefused: ``bad_page`` when the answer is neither.
    """
    try:
        if body.lstrip()[:1] == b"[":
            return msgspec.json.decode(body, type=list[msgspec.Raw]), None
        envelope = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        items = msgspec.json.decode(envelope[key], type=list[msgspec.Raw])
        cursor = msgspec.json.decode(envelope.get("next_cursor", b"null"), type=str | None)
    except (msgspec.MsgspecError, KeyError) as error:
        raise MetadataRefused("bad_page", f"expected an array or an object with {key!r}: {error}") from error
    return items, None if cursor in ("", "LTE=") else cursor
