"""What is traded: tokens, binary markets, and the events that group them.

A market has two tokens that share one book: YES (outcome index 0) and NO (index 1), each paying one
dollar or nothing. An event groups markets; in a neg-risk event at most one market resolves YES.

Invariants: every value is a fact with an as-of time (``as_of_ms``); what the venue did not say is
``None``, never a default. A market without a fee schedule cannot be traded. This module knows no
venue format: polymarket/catalog.py builds these from metadata.
"""

from enum import StrEnum

import msgspec

from overround.core.units import E6


class EventKind(StrEnum):
    """How the markets of an event depend on each other."""

    BINARY = "binary"
    """One market."""
    INDEPENDENT = "independent"
    """Several markets that may resolve YES together (date and price ladders)."""
    NEG_RISK = "neg_risk"
    """At most one market resolves YES; the listed outcomes are meant to be all there are."""
    AUGMENTED = "augmented"
    """Neg-risk with placeholders or 'Other': outcomes that cannot be bought may still win."""


class FeeSchedule(msgspec.Struct, frozen=True):
    """Taker fee parameters of one market (Gamma ``feeSchedule``, CLOB ``fd``).

    Raises ``ValueError`` for values no fee formula has: a negative rate or rebate, an exponent below 1.
    """

    rate_e6: int
    """Rate r in millionths (0.04 is 40,000)."""
    exponent: int = 1
    taker_only: bool = True
    rebate_e6: int = 0
    """Share of the taker fee that goes back to makers, in millionths."""

    def __post_init__(self) -> None:
        if self.rate_e6 < 0 or self.exponent < 1 or self.rebate_e6 < 0:
            raise ValueError(f"no fee schedule: {self!r}; rate and rebate >= 0, exponent >= 1")


FREE = FeeSchedule(rate_e6=0)
"""The schedule of a market that the venue states to be fee-free."""


class Rewards(msgspec.Struct, frozen=True):
    """Liquidity-reward conditions of one market."""

    min_size_e6: int
    max_spread_e6: int


class Token(msgspec.Struct, frozen=True):
    """One outcome token, identified by its decimal position id."""

    token_id: str
    outcome: str


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A binary market as known at ``as_of_ms``."""

    condition_id: str
    yes: Token
    no: Token
    slug: str
    question: str
    tick_e6: int
    min_size_e6: int
    neg_risk: bool
    active: bool
    closed: bool
    accepting_orders: bool
    as_of_ms: int
    fee: FeeSchedule | None = None
    """``None`` means unknown: no order is allowed."""
    event_id: str | None = None
    title: str = ""
    """Short outcome label within the event."""
    question_index: int | None = None
    """On-chain index of a neg-risk question (last byte of its question id)."""
    other: bool = False
    """The catch-all outcome of an augmented event."""
    placeholder: bool = False
    """An unnamed outcome of an augmented event that may be named later."""
    uma_status: str = ""
    end_ts_ms: int | None = None
    seconds_delay: int = 0
    taker_delay: bool = False
    rewards: Rewards | None = None
    rule_hash: str = ""
    """SHA-256 over the texts that decide resolution; a change stops trading until acknowledged."""
    winner: str | None = None
    """Token id that paid out, once resolved."""

    @property
    def tradable(self) -> bool:
        """Whether the venue takes orders and nothing proposes a resolution."""
        return (
            self.active
            and self.accepting_orders
            and not self.closed
            and self.winner is None
            and self.uma_status in ("", "none")
        )

    def token_ids(self) -> tuple[str, str]:
        """Return the ids of YES and NO."""
        return self.yes.token_id, self.no.token_id

    def mirror(self, token_id: str) -> str:
        """Return the other token of this market. Raises ``ValueError`` for a token of another market."""
        yes, no = self.token_ids()
        if token_id not in (yes, no):
            raise ValueError(f"token {token_id} is not one of market {self.condition_id}")
        return no if token_id == yes else yes

    def on_grid(self, px_e6: int) -> bool:
        """Whether ``px_e6`` is a valid order price: on the tick grid within [tick, 1 - tick]."""
        return self.tick_e6 <= px_e6 <= E6 - self.tick_e6 and px_e6 % self.tick_e6 == 0


class MarketEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's event: a group of markets resolved together, as known at ``as_of_ms``."""

    event_id: str
    slug: str
    title: str
    kind: EventKind
    condition_ids: tuple[str, ...]
    """All markets of the event, closed and placeholder ones included, in listing order."""
    as_of_ms: int
    neg_risk_market_id: str | None = None
    convert_fee_bips: int | None = None
    end_ts_ms: int | None = None
    rule_hash: str = ""
    """SHA-256 over the event's own texts and its markets' rule hashes."""
