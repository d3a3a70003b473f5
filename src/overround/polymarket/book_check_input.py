"""What the book check reads of a recording: snapshots, changes and trades with their exact texts.

The running system turns texts into integers at once; a hash is taken over texts, so this reader keeps
them. Invariants: nothing is normalised; a message that is no market-channel message or REST book yields
nothing (the live decoder counts and names what it refuses). Knows no books and no hashes.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple, Protocol

import msgspec

from overround.core.market import Market, Token
from overround.core.units import UnitError, parse_e6

MISSING_TOKEN = "not-in-recording"
"""Suffix that names the second token of a market of which a recording holds only one."""


class Frame(Protocol):
    """One received message, as tapes and imported recordings give it."""

    @property
    def recv_wall_ns(self) -> int:
        """Receive time, nanoseconds since 1970; 0 when unknown."""
        ...

    @property
    def stream(self) -> int:
        """Which connection or source."""
        ...

    @property
    def generation(self) -> int:
        """Count of connections made by this stream."""
        ...

    @property
    def payload(self) -> bytes:
        """The bytes as received."""
        ...


class Level(msgspec.Struct, frozen=True):
    """One level of a ``book``, exactly as sent."""

    price: str
    size: str


class Change(msgspec.Struct, frozen=True):
    """One entry of ``price_changes``, exactly as sent; ``size`` is the level's new total."""

    asset_id: str
    price: str
    size: str
    side: str
    hash: str = ""
    best_bid: str = ""
    best_ask: str = ""


class Message(msgspec.Struct, frozen=True):
    """The union of the fields that matter here, over all market-channel messages and REST books."""

    event_type: str | None = None
    market: str = ""
    asset_id: str = ""
    timestamp: str = ""
    hash: str = ""
    bids: list[Level] | None = None
    asks: list[Level] | None = None
    price_changes: list[Change] | None = None
    price: str | None = None
    min_order_size: str | None = None
    tick_size: str | None = None
    neg_risk: bool | None = None
    last_trade_price: str | None = None

    @property
    def ts_ms(self) -> int:
        """Exchange time in milliseconds."""
        return int(self.timestamp)


_MESSAGES = msgspec.json.Decoder(Message | list[Message])


def read_messages(payload: bytes) -> list[Message]:
    """Return the messages of one frame that belong to a market and carry a time; others are left out."""
    try:
        decoded = _MESSAGES.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return []
    messages = decoded if isinstance(decoded, list) else [decoded]
    return [message for message in messages if message.market and _has_time(message) and _has_tokens(message)]


def _has_tokens(message: Message) -> bool:
    if message.price_changes is not None:
        return bool(message.price_changes) and all(change.asset_id for change in message.price_changes)
    return message.bids is None or bool(message.asset_id)


def _has_time(message: Message) -> bool:
    text = message.timestamp
    return text.isascii() and text.isdigit() and len(text) < 17


@lru_cache(maxsize=65_536)
def e6(text: str) -> int:
    """Return a decimal text in millionths; like ``parse_e6``, but remembered. Raises ``UnitError``."""
    return parse_e6(text)


class Survey(NamedTuple):
    """What a first reading tells about a recording."""

    markets: dict[str, Market]
    """By condition id, as far as the frames tell. The first token seen stands as YES."""
    tokens_of: dict[int, list[str]]
    """Tokens of each stream. A token belongs to the first that brought changes of it, or else a book."""
    token_count: int


def survey(frames: Iterable[Frame]) -> Survey:
    """Return which markets, tokens and streams a recording holds.

    Tick and neg-risk flag are the first ones stated, else 0.01 and ``False``; the minimum size was 5 in
    every market measured. The hashes prove or correct them.
    """
    tokens: dict[str, dict[str, None]] = {}
    said: dict[str, Message] = {}
    stream_of: dict[str, int] = {}
    changed: set[str] = set()
    for frame in frames:
        for message in read_messages(frame.payload):
            if message.bids is None and message.price_changes is None:
                continue
            of_market = tokens.setdefault(message.market, {})
            if message.bids is not None:
                of_market[message.asset_id] = None
                stream_of.setdefault(message.asset_id, frame.stream)
            for change in message.price_changes or ():
                of_market[change.asset_id] = None
                if change.asset_id not in changed:
                    changed.add(change.asset_id)
                    stream_of[change.asset_id] = frame.stream
            before = said.get(message.market)
            if before is None or (before.tick_size is None and message.tick_size is not None):
                said[message.market] = message
    tokens_of: dict[int, list[str]] = {}
    for token_id, stream in stream_of.items():
        tokens_of.setdefault(stream, []).append(token_id)
    markets = {
        condition_id: _market(condition_id, list(ids), said[condition_id])
        for condition_id, ids in tokens.items()
    }
    return Survey(markets, tokens_of, len(stream_of))


def _market(condition_id: str, token_ids: list[str], said: Message) -> Market:
    first, second = (*token_ids, f"{token_ids[0]}-{MISSING_TOKEN}")[:2]
    return Market(
        condition_id=condition_id,
        yes=Token(first, "YES"),
        no=Token(second, "NO"),
        slug="",
        question="",
        tick_e6=_or_default(said.tick_size, 10_000),
        min_size_e6=_or_default(said.min_order_size, 5_000_000),
        neg_risk=bool(said.neg_risk),
        active=True,
        closed=False,
        accepting_orders=True,
        as_of_ms=said.ts_ms,
    )


def _or_default(text: str | None, default_e6: int) -> int:
    try:
        return parse_e6(text) if text else default_e6
    except UnitError:
        return default_e6


def read_twice(frames: Iterable[Frame]) -> Iterable[Frame]:
    """Return ``frames`` if it can be read twice; an iterator is first kept in memory."""
    return list(frames) if isinstance(frames, Iterator) else frames
