"""Market descriptions that recorders wrote in words of their own, read into markets.

Three shapes occur beside published recordings: two markets under ``current`` and ``next``, one market a
line with a raw fee schedule, and markets of sampled books that are known by name only. Invariants: what a
shape does not state is unknown (no fee: ``None``), except the grid of sampled books, whose rows are on a
cent grid by construction; a broken object raises ``MetadataRefused`` or ``msgspec.MsgspecError``. Knows no
files.
"""

from decimal import Decimal

import msgspec

from overround.core.market import FeeSchedule, Market, Token
from overround.core.units import E6
from overround.polymarket import metadata_fields as fields
from overround.storage.import_derived import derived_market_id, derived_token_id

SAMPLED_TICK_E6 = 10_000
SAMPLED_MIN_SIZE_E6 = 5 * E6


class _Window(msgspec.Struct, frozen=True, rename="camel"):
    condition_id: str
    slug: str
    tick_size: Decimal
    min_order_size: Decimal
    up_token_id: str
    down_token_id: str
    end_ts: int
    """Seconds."""


def window_market(raw: msgspec.Raw, as_of_ms: int) -> Market:
    """Return the market of ``{conditionId, slug, tickSize, minOrderSize, upTokenId, downTokenId, endTs}``."""
    said = msgspec.json.decode(raw, type=_Window)
    return _market(
        said.condition_id,
        fields.tokens((said.up_token_id, said.down_token_id), ("Up", "Down")),
        (said.slug, said.slug),
        (fields.tick_e6(said.tick_size, "tickSize"), fields.e6(said.min_order_size, "minOrderSize")),
        None,
        said.end_ts * 1_000,
        as_of_ms,
    )


class _RawFees(msgspec.Struct, frozen=True, rename="camel"):
    rate: Decimal
    exponent: Decimal
    taker_only: bool = False
    rebate_rate: Decimal | None = None


class _FeeParameters(msgspec.Struct, frozen=True):
    fees_enabled: bool | None = None
    raw_fee_config: _RawFees | None = None


class _Outcome(msgspec.Struct, frozen=True):
    token_id: str
    outcome: str


class _Session(msgspec.Struct, frozen=True):
    condition_id: str
    slug: str
    title: str
    outcomes: list[_Outcome]
    tick_size: Decimal
    min_order_size: Decimal
    end_ts: int
    """Milliseconds."""
    fee_parameters: _FeeParameters = _FeeParameters()


def session_market(raw: msgspec.Raw, as_of_ms: int) -> Market:
    """Return the market of ``{condition_id, outcomes, tick_size, min_order_size, fee_parameters, …}``."""
    said = msgspec.json.decode(raw, type=_Session)
    fees = said.fee_parameters
    fee = None
    if fees.fees_enabled and fees.raw_fee_config is not None:
        config = fees.raw_fee_config
        fee = fields.fee_schedule(config.rate, config.exponent, config.taker_only, config.rebate_rate)
    return _market(
        said.condition_id,
        fields.tokens([each.token_id for each in said.outcomes], [each.outcome for each in said.outcomes]),
        (said.slug, said.title),
        (fields.tick_e6(said.tick_size, "tick_size"), fields.e6(said.min_order_size, "min_order_size")),
        fee,
        said.end_ts,
        as_of_ms,
    )


class _Sampled(msgspec.Struct, frozen=True):
    slug: str
    question: str
    outcome_up: str
    outcome_down: str
    end_ts: int
    """Milliseconds."""


def sampled_market(raw: msgspec.Raw, as_of_ms: int) -> Market:
    """Return the market of ``{slug, question, outcome_up, outcome_down, payout_up, …}``.

    Its books name no token, so ids are derived from the slug as the importer does. The payout is left out:
    it was not known while the books were recorded.
    """
    said = msgspec.json.decode(raw, type=_Sampled)
    tokens = (
        Token(derived_token_id(said.slug, "UP"), said.outcome_up),
        Token(derived_token_id(said.slug, "DOWN"), said.outcome_down),
    )
    return _market(
        derived_market_id(said.slug),
        tokens,
        (said.slug, said.question),
        (SAMPLED_TICK_E6, SAMPLED_MIN_SIZE_E6),
        None,
        said.end_ts,
        as_of_ms,
    )


def _market(
    condition_id: str,
    tokens: tuple[Token, Token],
    names: tuple[str, str],
    grid_e6: tuple[int, int],
    fee: FeeSchedule | None,
    end_ts_ms: int,
    as_of_ms: int,
) -> Market:
    """Return a market that trades; ``names`` are slug and question, ``grid_e6`` tick and minimum size."""
    return Market(
        condition_id=fields.condition_id(condition_id, "condition id"),
        yes=tokens[0],
        no=tokens[1],
        slug=names[0],
        question=names[1],
        tick_e6=grid_e6[0],
        min_size_e6=grid_e6[1],
        neg_risk=False,
        active=True,
        closed=False,
        accepting_orders=True,
        as_of_ms=as_of_ms,
        fee=fee,
        end_ts_ms=end_ts_ms,
    )
