"""What the venue's matching side (CLOB) says about markets: read alone, or merged with Gamma's word.

Invariants: what decides the meaning of an order (tokens, neg-risk, minimum size, fee) must agree
between the two sources, else the market is refused with the field's name; what changes while a market
lives (tick, accepting orders, rewards) is taken from the CLOB, which matches and is not cached.
"""

import msgspec

from overround.core.market import FREE, FeeSchedule, Market
from overround.polymarket import metadata_fields as fields
from overround.polymarket.listing import Listing
from overround.polymarket.metadata_wire import ClobCompact, ClobFees, ClobMarket, MetadataRefused, decode_each


def market_from_clob(raw: ClobMarket, as_of_ms: int) -> Market:
    """Return the market a full CLOB object describes: no event, no fee (the object carries none), no
    rule hash (it lacks the resolution source).

    Raises:
        MetadataRefused: the object lacks a required field, or says something that must not be guessed.
    """
    tokens = fields.tokens([t.token_id for t in raw.tokens], [t.outcome for t in raw.tokens])
    winners = [t.token_id for t in raw.tokens if t.winner]
    return Market(
        condition_id=fields.condition_id(raw.condition_id, "condition_id"),
        yes=tokens[0],
        no=tokens[1],
        slug=raw.market_slug,
        question=raw.question,
        tick_e6=fields.tick_e6(raw.minimum_tick_size, "minimum_tick_size"),
        min_size_e6=fields.e6(raw.minimum_order_size, "minimum_order_size"),
        neg_risk=raw.neg_risk,
        active=raw.active,
        closed=raw.closed,
        accepting_orders=raw.accepting_orders and raw.enable_order_book,
        as_of_ms=as_of_ms,
        question_index=int(raw.question_id[-2:], 16) if raw.neg_risk and raw.question_id else None,
        end_ts_ms=fields.ts_ms(raw.end_date_iso, "end_date_iso"),
        seconds_delay=raw.seconds_delay,
        winner=winners[0] if len(winners) == 1 else None,
    )


def markets_from_clob(items: list[msgspec.Raw], as_of_ms: int) -> Listing:
    """Return the markets of one page of the CLOB's ``/markets``."""
    raws, refusals = decode_each(items, ClobMarket)
    markets: list[Market] = []
    for raw in raws:
        try:
            markets.append(market_from_clob(raw, as_of_ms))
        except MetadataRefused as refused:
            refusals.append(refused.refusal(raw.condition_id or raw.market_slug or "?"))
    return Listing(tuple(markets), (), tuple(refusals))


def merge_clob(market: Market, compact: ClobCompact, as_of_ms: int) -> Market:
    """Return Gamma's ``market`` completed by the CLOB's compact object, as known at ``as_of_ms``.

    Raises:
        MetadataRefused: ``conflict`` naming the field on which the sources disagree, or a field that
            cannot be read.
    """
    if compact.version == "v2":
        raise MetadataRefused("v2", "v is v2")
    _agree("c", market.condition_id, fields.condition_id(compact.condition_id or market.condition_id, "c"))
    _agree("t", sorted(market.token_ids()), sorted(token.token_id for token in compact.tokens))
    _agree("nr", market.neg_risk, compact.neg_risk)
    _agree("mos", market.min_size_e6, fields.e6(fields.need(compact.min_size, "mos"), "mos"))
    clob_rewards = compact.rewards
    return msgspec.structs.replace(
        market,
        tick_e6=fields.tick_e6(fields.need(compact.tick, "mts"), "mts"),
        fee=_merged_fee(market.fee, compact.fees),
        accepting_orders=market.accepting_orders and compact.accepting_orders,
        taker_delay=compact.taker_delay,
        rewards=None
        if clob_rewards is None
        else fields.rewards(clob_rewards.min_size, clob_rewards.max_spread),
        as_of_ms=as_of_ms,
    )


def _agree(field: str, gamma: object, clob: object) -> None:
    if gamma != clob:
        raise MetadataRefused("conflict", f"{field}: Gamma says {gamma}, the CLOB {clob}")


def _merged_fee(gamma: FeeSchedule | None, clob: ClobFees | None) -> FeeSchedule | None:
    """Return the fee both sources support; unknown on both sides stays unknown."""
    if clob is None:
        # The CLOB leaves ``fd`` out for a fee-free market, and did so for all before it knew fees:
        # alone it proves nothing.
        if gamma is not None and gamma != FREE:
            raise MetadataRefused("conflict", f"fd: Gamma says {gamma}, the CLOB none")
        return gamma
    stated = fields.fee_schedule(clob.rate, clob.exponent, clob.taker_only, None)
    if gamma is None:
        return stated
    _agree(
        "fd",
        (gamma.rate_e6, gamma.exponent, gamma.taker_only),
        (stated.rate_e6, stated.exponent, stated.taker_only),
    )
    return gamma
