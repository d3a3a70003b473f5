"""Builds markets and events from the venue's metadata (Gamma): parse or refuse, never guess.

Invariants: numbers become exact millionths; a required field that is missing, and parts that
contradict each other, refuse the object with the field's name; a fee that is not stated is ``None``
(no order), not zero. Each refused object is kept in the listing it came with. This module knows no
network, clock or file: the caller says when the answer was received (``as_of_ms``).
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from overround.core.market import FREE, EventKind, FeeSchedule, Market, MarketEvent, Token
from overround.polymarket import metadata_fields as fields
from overround.polymarket.metadata_wire import (
    GammaEvent,
    GammaEventHead,
    GammaFees,
    GammaMarket,
    MetadataRefused,
    Refusal,
    decode_each,
    name_of,
)

RESOLVED: Final = frozenset({"resolved", "settled"})
"""UMA states after which the prices of a closed market are its payout."""


class Listing(msgspec.Struct, frozen=True):
    """What one metadata answer said: usable markets and events, and everything that was refused."""

    markets: tuple[Market, ...] = ()
    events: tuple[MarketEvent, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def __add__(self, other: "Listing") -> "Listing":
        return Listing(
            self.markets + other.markets, self.events + other.events, self.refusals + other.refusals
        )


def _gamma_fee(enabled: bool | None, schedule: GammaFees | None) -> FeeSchedule | None:
    if schedule is None:
        return FREE if enabled is False else None
    fee = fields.fee_schedule(schedule.rate, schedule.exponent, schedule.taker_only, schedule.rebate_rate)
    if enabled:
        return fee
    # A schedule beside "fees are off", or beside no word about it, says two things: unknown.
    return None if fee.rate_e6 else FREE


def _question_index(question_id: str | None, group_id: str | None) -> int | None:
    """Return the last byte of a neg-risk question id; the other bytes are the group's (venue rule)."""
    if not question_id:
        return None
    question_id = question_id.lower()
    if not fields.CONDITION_ID.fullmatch(question_id):
        raise MetadataRefused("bad_id", f"questionID {question_id:.70}")
    if group_id and question_id[:-2] != group_id.lower()[:-2]:
        raise MetadataRefused("conflict", f"questionID {question_id} is not of negRiskMarketID {group_id}")
    return int(question_id[-2:], 16)


def _winner(raw: GammaMarket, tokens: tuple[Token, Token]) -> str | None:
    decided = raw.uma_resolution_status in RESOLVED or raw.automatically_resolved is True
    if not (raw.closed and decided and raw.outcome_prices):
        return None
    prices = fields.texts(raw.outcome_prices, "outcomePrices")
    if prices == ["1", "0"]:
        return tokens[0].token_id
    return tokens[1].token_id if prices == ["0", "1"] else None


# --- rule hashes ----------------------------------------------------------------------------------


def _digest(parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def market_rule_hash(raw: GammaMarket) -> str:
    """Return SHA-256 (hex) over what decides the resolution of a market.

    Hashed is the compact JSON array ``["overround-rules-1", question, description, resolutionSource,
    outcomes, endDate in ms]``. Texts are hashed exactly as sent; a missing text counts as empty, a
    missing date as null. Prices, volumes, images and tags are left out: they change without the rules.
    """
    try:
        outcomes: object = fields.texts(raw.outcomes, "outcomes")
        end_ts_ms: object = fields.ts_ms(raw.end_date, "endDate")
    except MetadataRefused:
        outcomes, end_ts_ms = raw.outcomes, raw.end_date  # a refused market still has rules to watch
    return _digest(
        (
            "overround-rules-1",
            raw.question or "",
            raw.description or "",
            raw.resolution_source or "",
            outcomes,
            end_ts_ms,
        )
    )


def event_rule_hash(head: GammaEventHead, market_hashes: Iterable[tuple[str, str]]) -> str:
    """Return SHA-256 (hex) over an event's own texts and its markets' rule hashes.

    Hashed is the compact JSON array ``["overround-event-rules-1", title, description,
    resolutionSource, endDate in ms, [[condition id, rule hash], … sorted by condition id]]``, so an
    outcome that is added, removed or named changes it.
    """
    return _digest(
        (
            "overround-event-rules-1",
            head.title,
            head.description or "",
            head.resolution_source or "",
            fields.ts_ms(head.end_date, "endDate"),
            sorted(market_hashes),
        )
    )


# --- Gamma ----------------------------------------------------------------------------------------


def market_from_gamma(
    raw: GammaMarket, as_of_ms: int, head: GammaEventHead | None = None, *, augmented: bool | None = None
) -> Market:
    """Return the market a Gamma object describes.

    ``head`` is the event it belongs to, by default the one named inside the object; ``augmented``
    says whether that event has placeholders, by default what the event's flag says.

    Raises:
        MetadataRefused: the object lacks a required field, or says something that must not be guessed.
    """
    if head is None and raw.events:
        head = raw.events[0]
    if augmented is None:
        augmented = head is not None and head.neg_risk_augmented is True
    if raw.version == "v2":
        raise MetadataRefused("v2", "version is v2")
    condition_id = fields.condition_id(raw.condition_id)
    tokens = fields.tokens(
        fields.texts(raw.clob_token_ids, "clobTokenIds"), fields.texts(raw.outcomes, "outcomes")
    )
    neg_risk = fields.need(raw.neg_risk, "negRisk")
    active, closed = fields.need(raw.active, "active"), fields.need(raw.closed, "closed")
    accepting = fields.need(raw.accepting_orders, "acceptingOrders") and fields.need(
        raw.enable_order_book, "enableOrderBook"
    )
    other = raw.neg_risk_other is True
    return Market(
        condition_id=condition_id,
        yes=tokens[0],
        no=tokens[1],
        slug=fields.need(raw.slug, "slug"),
        question=fields.need(raw.question, "question"),
        tick_e6=fields.tick_e6(
            fields.need(raw.order_price_min_tick_size, "orderPriceMinTickSize"), "orderPriceMinTickSize"
        ),
        min_size_e6=fields.e6(fields.need(raw.order_min_size, "orderMinSize"), "orderMinSize"),
        neg_risk=neg_risk,
        active=active,
        closed=closed,
        accepting_orders=accepting,
        as_of_ms=as_of_ms,
        fee=_gamma_fee(raw.fees_enabled, raw.fee_schedule),
        event_id=None if head is None else head.id,
        title=raw.group_item_title or "",
        question_index=_question_index(raw.question_id, raw.neg_risk_market_id) if neg_risk else None,
        other=other,
        placeholder=augmented and not active and not closed and not other,
        uma_status=raw.uma_resolution_status or "",
        end_ts_ms=fields.ts_ms(raw.end_date, "endDate"),
        seconds_delay=raw.seconds_delay or 0,
        rewards=fields.rewards(raw.rewards_min_size, raw.rewards_max_spread),
        rule_hash=market_rule_hash(raw),
        winner=_winner(raw, tokens),
    )


def markets_from_gamma(items: list[msgspec.Raw], as_of_ms: int) -> Listing:
    """Return the markets of one Gamma page.

    Their events are named in them but not listed: a page does not show whether an event is whole.
    """
    raws, refusals = decode_each(items, GammaMarket)
    markets: list[Market] = []
    for raw in raws:
        try:
            markets.append(market_from_gamma(raw, as_of_ms))
        except MetadataRefused as refused:
            refusals.append(refused.refusal((raw.condition_id or raw.slug or raw.id).lower()))
    return Listing(tuple(markets), (), tuple(refusals))


def events_from_gamma(items: list[msgspec.Raw], as_of_ms: int) -> Listing:
    """Return the events of one Gamma page with all their markets."""
    events, refusals = decode_each(items, GammaEvent)
    listing = Listing(refusals=tuple(refusals))
    for event in events:
        listing += event_listing(event, event.markets or [], as_of_ms)
    return listing


def event_from_markets(items: list[msgspec.Raw], as_of_ms: int) -> Listing:
    """Return the event that the first of these market objects names, made of exactly these markets.

    For recordings that kept the markets of an event but not the event's own answer; outcomes missing
    from them show only as gaps in the question indices.
    """
    raws, _ = decode_each(items[:1], GammaMarket)
    if not raws or not raws[0].events:
        name = name_of(items[0]) if items else "?"
        return Listing(refusals=(Refusal(name, "missing_field", "events: the market names no event"),))
    return event_listing(raws[0].events[0], items, as_of_ms)


def event_listing(head: GammaEventHead, items: list[msgspec.Raw], as_of_ms: int) -> Listing:
    """Return an event and its markets.

    A market that must be refused stays a member of the event by its id, so the event cannot pass for
    complete. An event whose markets contradict it is refused; its usable markets are still listed.
    """
    raws, refusals = decode_each(items, GammaMarket)
    neg_risk = head.neg_risk is True
    augmented = head.neg_risk_augmented is True or any(
        raw.neg_risk_other or (neg_risk and raw.active is False and not raw.closed) for raw in raws
    )
    markets: list[Market] = []
    members = [f"unreadable:{refusal.subject}" for refusal in refusals]
    hashes: list[tuple[str, str]] = []
    for raw in raws:
        # A market that is not deployed yet has no condition id; it is a member all the same.
        member = (raw.condition_id or f"gamma:{raw.id}").lower()
        members.append(member)
        hashes.append((member, market_rule_hash(raw)))
        try:
            markets.append(market_from_gamma(raw, as_of_ms, head, augmented=augmented))
        except MetadataRefused as refused:
            refusals.append(refused.refusal(member))
    try:
        event = _event(head, raws, members, hashes, as_of_ms, augmented)
    except MetadataRefused as refused:
        refusals.append(refused.refusal(head.id))
        return Listing(tuple(markets), (), tuple(refusals))
    return Listing(tuple(markets), (event,), tuple(refusals))


def _event(
    head: GammaEventHead,
    raws: Sequence[GammaMarket],
    members: list[str],
    hashes: list[tuple[str, str]],
    as_of_ms: int,
    augmented: bool,
) -> MarketEvent:
    neg_risk = head.neg_risk is True
    for raw in raws:
        if raw.neg_risk is not None and raw.neg_risk is not neg_risk:
            raise MetadataRefused(
                "conflict", f"negRisk: event says {neg_risk}, market {raw.slug} {raw.neg_risk}"
            )
        if neg_risk and raw.neg_risk_market_id != head.neg_risk_market_id:
            raise MetadataRefused(
                "conflict",
                f"negRiskMarketID: event {head.neg_risk_market_id}, market {raw.neg_risk_market_id}",
            )
    if len(set(members)) != len(members):
        raise MetadataRefused("conflict", "conditionId: the event lists one market twice")
    if augmented:
        kind = EventKind.AUGMENTED
    elif len(members) == 1:
        kind = EventKind.BINARY
    else:
        kind = EventKind.NEG_RISK if neg_risk else EventKind.INDEPENDENT
    return MarketEvent(
        event_id=head.id,
        slug=head.slug,
        title=head.title,
        kind=kind,
        condition_ids=tuple(members),
        as_of_ms=as_of_ms,
        neg_risk_market_id=head.neg_risk_market_id if neg_risk else None,
        convert_fee_bips=head.neg_risk_fee_bips,
        end_ts_ms=fields.ts_ms(head.end_date, "endDate"),
        rule_hash=event_rule_hash(head, hashes),
    )
