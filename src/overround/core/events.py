"""Facts: everything that can enter the engine, in the past tense.

Each fact is a frozen struct; together they are one tagged union, ``Fact``. The header (sequence
number and receive time) is kept beside the fact, see :class:`Sequenced`: ``ts_ns`` is the only clock
the core knows. New fields are appended with defaults, so old journals stay readable.

Market data is not among the facts: a raw frame is an input of its own and is applied by
``core.books``; only its rare consequences (a trade, a tick change) appear here.
"""

from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

from overround.core.market import Market, MarketEvent


class Side(StrEnum):
    """Direction of an order or of a price level."""

    BUY = "BUY"
    SELL = "SELL"


class Liquidity(StrEnum):
    """Whether a fill rested in the book or took from it."""

    MAKER = "maker"
    TAKER = "taker"


class RefusalReason(StrEnum):
    """Why the venue did not take an order; the text beside it keeps the venue's own words."""

    POST_ONLY_CROSSES = "post_only_crosses"
    NOT_FILLABLE = "not_fillable"
    """FOK could not be filled whole, or FAK found nothing: a clean zero fill."""
    OFF_GRID = "off_grid"
    TOO_SMALL = "too_small"
    INVALID_AMOUNTS = "invalid_amounts"
    NO_BALANCE = "no_balance"
    MARKET_CLOSED = "market_closed"
    DUPLICATE = "duplicate"
    UNKNOWN_TOKEN = "unknown_token"
    EXPIRED = "expired"
    RESTRICTED = "restricted"
    OTHER = "other"


class Settlement(StrEnum):
    """Life of a trade after the match. Only CONFIRMED and FAILED are final."""

    MATCHED = "MATCHED"
    MINED = "MINED"
    CONFIRMED = "CONFIRMED"
    RETRYING = "RETRYING"
    FAILED = "FAILED"


class FactBase(msgspec.Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """Base of all facts: frozen, tagged with its class name."""


# --- market data, as far as it is rare -----------------------------------------------------------


class FrameRejected(FactBase, frozen=True):
    """A frame could not be understood; no book was changed. The frame itself stays on the tape."""

    stream: int
    reason: str
    """Bounded, machine-readable: bad_json, bad_type, bad_number, unknown_event, too_large, …"""
    detail: str


class TradePrinted(FactBase, frozen=True):
    """The venue published a trade. ``px_e6`` is the price in terms of ``token_id``."""

    token_id: str
    px_e6: int
    qty_e6: int
    taker_side: Side
    exchange_ts_ms: int


class TickSizeChanged(FactBase, frozen=True):
    """The price grid of a token's market changed: its books begin a new epoch and wait for a snapshot."""

    token_id: str
    tick_e6: int
    exchange_ts_ms: int


class MarketAnnounced(FactBase, frozen=True):
    """The stream announced a new market; its metadata must be fetched before it can be traded."""

    condition_id: str
    token_ids: tuple[str, ...]
    slug: str


class MarketResolved(FactBase, frozen=True):
    """A market paid out: ``winner`` is the token worth one dollar."""

    condition_id: str
    winner: str


class BookSuspect(FactBase, frozen=True):
    """A witness contradicted a book; it is not traded on until a snapshot or the witnesses clear it."""

    token_id: str
    witness: str
    detail: str


# --- metadata and streams ------------------------------------------------------------------------


class MarketListed(FactBase, frozen=True):
    """Metadata of a market became known, or changed: this is now its truth."""

    market: Market


class EventListed(FactBase, frozen=True):
    """Metadata of an event became known, or changed."""

    event: MarketEvent


class RulesAcknowledged(FactBase, frozen=True):
    """A person accepted the present rule texts of an event: trading on it may resume."""

    event_id: str
    rule_hash: str
    actor: str


class StreamUp(FactBase, frozen=True):
    """A connection began. Books of its tokens are SYNCING until a snapshot of this generation arrives."""

    stream: int
    generation: int
    token_ids: tuple[str, ...]


class StreamDown(FactBase, frozen=True):
    """A connection ended; books of its tokens are STALE."""

    stream: int
    generation: int
    reason: str


class SubscriptionChanged(FactBase, frozen=True):
    """Tokens were added to, or removed from, a running connection."""

    stream: int
    generation: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


# --- orders --------------------------------------------------------------------------------------


class OrderAccepted(FactBase, frozen=True):
    """The venue took the order. ``status`` is live, matched or delayed, in the venue's sense."""

    client_order_id: str
    venue_order_id: str
    status: Literal["live", "matched", "delayed"] = "live"


class OrderRefused(FactBase, frozen=True):
    """The venue certainly did not take the order."""

    client_order_id: str
    reason: RefusalReason
    text: str = ""


class SubmitUnknown(FactBase, frozen=True):
    """No clear answer: the order may rest or have traded. It counts against risk and is never resent."""

    client_order_id: str
    cause: str


class OrderCanceled(FactBase, frozen=True):
    """The order left the book with ``remaining_qty_e6`` unfilled."""

    client_order_id: str
    remaining_qty_e6: int
    cause: str = "requested"


class CancelRefused(FactBase, frozen=True):
    """The venue did not cancel (already filled, already gone, held in a delay window)."""

    client_order_id: str
    text: str = ""


class Filled(FactBase, frozen=True):
    """A (partial) fill of our order: MATCHED, not yet settled.

    ``usd_e6`` is the exact cash of the match without the fee; ``fee_usd_e6`` is paid on top of a buy
    and out of a sale.
    """

    trade_id: str
    client_order_id: str
    px_e6: int
    qty_e6: int
    usd_e6: int
    fee_usd_e6: int
    liquidity: Liquidity


class SettlementChanged(FactBase, frozen=True):
    """A trade moved on in its settlement."""

    trade_id: str
    status: Settlement
    tx_hash: str = ""


# --- run, time, people ---------------------------------------------------------------------------


class TimerFired(FactBase, frozen=True):
    """Time passed without data; strategies and breakers may need to look again."""

    timer: str


class OperatorActed(FactBase, frozen=True):
    """A person or a script asked for something."""

    actor: str
    action: Literal["pause", "resume", "cancel_all"]
    reason: str = ""


class RunStarted(FactBase, frozen=True):
    """A process began to write this journal. State before it is what the journal folds to."""

    run_id: str
    version: str
    mode: str


class ConfigLoaded(FactBase, frozen=True):
    """The configuration in force from here on, redacted, with its digest."""

    digest: str
    toml: str


class RunEnded(FactBase, frozen=True):
    """The process ended on purpose."""

    reason: str


class Reconciled(FactBase, frozen=True):
    """Our orders and positions were compared with the venue's: trading may begin."""

    open_orders: int


class Deposited(FactBase, frozen=True):
    """Cash entered the account (the paper book's starting capital, or a transfer)."""

    usd_e6: int
    reason: str


Fact: TypeAlias = (
    FrameRejected
    | TradePrinted
    | TickSizeChanged
    | MarketAnnounced
    | MarketResolved
    | BookSuspect
    | MarketListed
    | EventListed
    | RulesAcknowledged
    | StreamUp
    | StreamDown
    | SubscriptionChanged
    | OrderAccepted
    | OrderRefused
    | SubmitUnknown
    | OrderCanceled
    | CancelRefused
    | Filled
    | SettlementChanged
    | TimerFired
    | OperatorActed
    | RunStarted
    | ConfigLoaded
    | RunEnded
    | Reconciled
    | Deposited
)


class Sequenced(msgspec.Struct, frozen=True):
    """A fact with its header: position in the one order of all inputs, and receive time."""

    seq: int
    ts_ns: int
    fact: Fact
