"""The configuration: frozen structs, one per section, each field with unit, range and meaning as data.

Invariants: an instance that exists is valid; money, prices and quantities are integers in millionths,
though the file writes them as plain decimals; secrets cannot be printed. Keys, ranges and the example
file are all derived from these structs, so nothing is said twice. Reading files is ``config_load``'s.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from overround.core.market import Market, MarketEvent
from overround.core.risk import RiskLimits
from overround.core.units import DOLLARS, E6, MS, RATIO
from overround.ops.config_text import public_tree
from overround.ops.secrets import Secret
from overround.strategies.dutch_book.params import DutchParams
from overround.strategies.spread_capture.params import SpreadParams

SECONDS: Final[dict[str, Any]] = {"unit": "s", "scale": "e3"}
S: Final[dict[str, Any]] = {"unit": "s"}
DAYS: Final[dict[str, Any]] = {"unit": "days"}

HTTP = r"^https?://[^\s/]+[^\s]*\Z"
WS = r"^wss?://[^\s/]+[^\s]*\Z"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
CONDITION = r"^0x[0-9a-fA-F]{1,64}\Z"


class Section(Struct, frozen=True, kw_only=True):
    """Base of all sections."""


class LogConfig(Section, frozen=True):
    """Logging."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least severe entries that are kept.")
    ] = "info"
    format: Annotated[
        Literal["console", "json"],
        Meta(description="Lines for people, or one JSON object a line (where there is no terminal: always)."),
    ] = "console"


class TapeConfig(Section, frozen=True):
    """The recording of raw frames."""

    enabled: Annotated[bool, Meta(description="Record every frame.")] = True
    retention_days: Annotated[
        int, Meta(ge=1, le=3_650, extra=DAYS, description="Segments older than this are deleted.")
    ] = 14


class StoreConfig(Section, frozen=True):
    """Observations in the database. The journal itself is never pruned."""

    snapshot_interval_s: Annotated[
        int, Meta(ge=1, le=86_400, extra=S, description="Time between two stored snapshots of every book.")
    ] = 60
    snapshot_retention_days: Annotated[
        int, Meta(ge=1, le=3_650, extra=DAYS, description="Book snapshots older than this are deleted.")
    ] = 7
    observation_retention_days: Annotated[
        int,
        Meta(
            ge=1,
            le=3_650,
            extra=DAYS,
            description="Opportunities and equity points older than this are deleted.",
        ),
    ] = 90
    prune_interval_s: Annotated[
        int, Meta(ge=10, le=86_400, extra=S, description="Time between two prunings.")
    ] = 3_600


class ServiceConfig(Section, frozen=True):
    """What runs, on which markets, and where it keeps its data."""

    name: Annotated[str, Meta(pattern=NAME, description="Name of this service in logs and reports.")] = (
        "overround"
    )
    profile: Annotated[
        str, Meta(description="The [profile.*] to lay over this file; empty: none. --profile wins.")
    ] = ""
    data_dir: Annotated[
        str, Meta(min_length=1, description="Database and tape; relative to this file's directory.")
    ] = "data"
    markets: Annotated[tuple[str, ...], Meta(description="Markets to follow, by slug or condition id.")] = ()
    events: Annotated[
        tuple[str, ...], Meta(description="Events to follow with all their markets, by slug or id.")
    ] = ()
    hash_levels_per_second: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            extra={"unit": "levels/s"},
            description="Budget for checking book changes by hash, in levels of hashed books per second of "
            "feed time (about 0.5 µs a level); snapshots are always checked, doubted books at once.",
        ),
    ] = 1_000
    log: LogConfig = LogConfig()
    tape: TapeConfig = TapeConfig()
    store: StoreConfig = StoreConfig()
    spread: SpreadParams = SpreadParams()
    dutch: DutchParams = DutchParams()


class VenueConfig(Section, frozen=True):
    """The venue's addresses and how its streams are kept alive."""

    clob_url: Annotated[str, Meta(pattern=HTTP, description="Order book REST interface.")] = (
        "https://clob.polymarket.com"
    )
    gamma_url: Annotated[str, Meta(pattern=HTTP, description="Market metadata interface.")] = (
        "https://gamma-api.polymarket.com"
    )
    ws_url: Annotated[str, Meta(pattern=WS, description="Market stream.")] = (
        "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    )
    max_assets_per_socket: Annotated[
        int,
        Meta(
            ge=1,
            le=500,
            extra={"unit": "tokens"},
            description="Tokens on one connection; beyond about 500 the venue silently sends nothing.",
        ),
    ] = 400
    ping_interval_ms: Annotated[
        int, Meta(ge=100, le=60_000, extra=MS, description="Time between two PINGs.")
    ] = 10_000
    pong_timeout_ms: Annotated[
        int, Meta(ge=100, le=600_000, extra=MS, description="Reconnect when no PONG came for this long.")
    ] = 30_000
    max_data_age_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=3_600_000,
            extra=MS,
            description="Reconnect when a connection sent no data for this long, even if it answers PING.",
        ),
    ] = 120_000
    backoff_min_ms: Annotated[
        int,
        Meta(ge=1, le=600_000, extra=MS, description="First wait before a reconnect; doubles, with jitter."),
    ] = 250
    backoff_max_ms: Annotated[
        int, Meta(ge=1, le=600_000, extra=MS, description="Longest wait before a reconnect.")
    ] = 30_000
    healthy_after_ms: Annotated[
        int,
        Meta(
            ge=0, le=600_000, extra=MS, description="Data must flow this long before the backoff starts anew."
        ),
    ] = 10_000
    inbox_frames: Annotated[
        int,
        Meta(
            ge=16,
            le=10_000_000,
            extra={"unit": "frames"},
            description="Frames that may wait; when full, the connection is dropped and resynced.",
        ),
    ] = 65_536
    max_frame_bytes: Annotated[
        int,
        Meta(
            ge=1_024, le=268_435_456, extra={"unit": "bytes"}, description="Larger frames end the connection."
        ),
    ] = 16_777_216
    snapshot_interval_ms: Annotated[
        int,
        Meta(
            ge=0, le=600_000, extra=MS, description="Shortest time between two snapshot requests of a token."
        ),
    ] = 2_000
    refresh_interval_s: Annotated[
        int,
        Meta(ge=5, le=86_400, extra=S, description="Time between two refreshes of market metadata, ± 10 %."),
    ] = 300
    timeout_ms: Annotated[
        int, Meta(ge=100, le=120_000, extra=SECONDS, description="Longest wait for a REST answer.")
    ] = field(default=10_000, name="timeout_s")

    def __post_init__(self) -> None:
        if self.backoff_min_ms > self.backoff_max_ms:
            raise ValueError("backoff_min_ms must not be above backoff_max_ms")
        if self.pong_timeout_ms <= self.ping_interval_ms:
            raise ValueError("pong_timeout_ms must be above ping_interval_ms")


class SimulationConfig(Section, frozen=True):
    """The built-in exchange that answers when relayer.type is "fake"."""

    starting_cash_usd_e6: Annotated[
        int, Meta(ge=0, le=1_000_000_000 * E6, extra=DOLLARS, description="Cash of a new paper account.")
    ] = field(default=10_000 * E6, name="starting_cash_usdc")
    entry_latency_ms: Annotated[
        int, Meta(ge=0, le=60_000, extra=MS, description="From sending an order to its arrival at the book.")
    ] = 80
    cancel_latency_ms: Annotated[
        int, Meta(ge=0, le=60_000, extra=MS, description="From sending a cancel to its arrival at the book.")
    ] = 80
    queue_model: Annotated[
        Literal["pessimistic", "probabilistic", "optimistic"],
        Meta(description="Where our order stands among others at its price when their size shrinks."),
    ] = "pessimistic"
    mined_after_ms: Annotated[
        int, Meta(ge=0, le=3_600_000, extra=MS, description="From MATCHED to MINED.")
    ] = 2_000
    confirmed_after_ms: Annotated[
        int, Meta(ge=0, le=3_600_000, extra=MS, description="From MINED to CONFIRMED.")
    ] = 4_000
    failure_ratio_e6: Annotated[
        int, Meta(ge=0, le=E6, extra=RATIO, description="Share of trades whose settlement fails.")
    ] = field(default=0, name="failure_ratio")
    seed: Annotated[
        int, Meta(ge=0, le=2**63 - 1, description="Seed of everything random in the simulation.")
    ] = 1


class RelayerConfig(Section, frozen=True):
    """Who carries out orders."""

    type: Annotated[
        Literal["fake", "real"],
        Meta(description="fake: the built-in exchange (paper). real: the venue (live)."),
    ] = "fake"
    base_url: Annotated[
        str, Meta(pattern=HTTP, description="Where orders are sent when the type is real.")
    ] = "https://clob.polymarket.com"
    dry_run: Annotated[bool, Meta(description="With type real: sign and log orders, but send nothing.")] = (
        True
    )
    chain_id: Annotated[
        int, Meta(extra={"choices": (137, 80_002)}, description="137: Polygon. 80002: Amoy test network.")
    ] = 137
    timeout_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=120_000,
            extra=SECONDS,
            description="Longest wait for an answer; then an order is UNKNOWN: asked for, never resent.",
        ),
    ] = field(default=10_000, name="timeout_s")
    simulation: SimulationConfig = SimulationConfig()


class RiskConfig(Section, frozen=True):
    """Caps that every order is checked against."""

    max_order_usd_e6: Annotated[
        int, Meta(ge=0, le=1_000_000_000 * E6, extra=DOLLARS, description="Largest notional of one order.")
    ] = field(default=150 * E6, name="max_order_usdc")
    max_market_usd_e6: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000 * E6,
            extra=DOLLARS,
            description="Most that one market may hold: positions plus open purchases.",
        ),
    ] = field(default=500 * E6, name="max_market_usdc")
    max_total_usd_e6: Annotated[
        int, Meta(ge=0, le=1_000_000_000 * E6, extra=DOLLARS, description="The same over all markets.")
    ] = field(default=6_000 * E6, name="max_total_usdc")
    max_open_orders: Annotated[
        int, Meta(ge=0, le=100_000, extra={"unit": "orders"}, description="Most open orders.")
    ] = 100

    def limits(self) -> RiskLimits:
        """Return the caps as the core wants them."""
        return RiskLimits(**{name: getattr(self, name) for name in self.__struct_fields__})


class WalletConfig(Section, frozen=True):
    """Keys. They belong into secrets.local.toml, which nobody else may read."""

    private_key: Annotated[Secret | None, Meta(description="Signing key, hexadecimal.")] = None
    api_key: Annotated[Secret | None, Meta(description="Order interface: key.")] = None
    api_secret: Annotated[Secret | None, Meta(description="Order interface: secret.")] = None
    api_passphrase: Annotated[Secret | None, Meta(description="Order interface: passphrase.")] = None


class MarketConfig(Section, frozen=True):
    """One market to follow, with its own parameters."""

    slug: Annotated[str, Meta(description="The market, by slug …")] = ""
    condition_id: Annotated[str, Meta(pattern=rf"^\Z|{CONDITION}", description="… or by condition id.")] = ""
    spread: Annotated[
        Mapping[str, Any], Meta(extra={"partial": SpreadParams}, description="Overrides of service.spread.")
    ] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.slug) == bool(self.condition_id):
            raise ValueError("needs either slug or condition_id")

    def names(self, market: Market) -> bool:
        """Whether this entry means ``market``."""
        return market.slug == self.slug or market.condition_id.lower() == self.condition_id.lower()


class EventConfig(Section, frozen=True):
    """One event to follow, with its own parameters."""

    slug: Annotated[str, Meta(description="The event, by slug …")] = ""
    event_id: Annotated[str, Meta(description="… or by the venue's event id.")] = ""
    dutch: Annotated[
        Mapping[str, Any], Meta(extra={"partial": DutchParams}, description="Overrides of service.dutch.")
    ] = msgspec.field(default_factory=dict)
    spread: Annotated[
        Mapping[str, Any],
        Meta(
            extra={"partial": SpreadParams},
            description="Overrides of service.spread for all markets of the event; [[market]] wins.",
        ),
    ] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.slug) == bool(self.event_id):
            raise ValueError("needs either slug or event_id")

    def names(self, event: MarketEvent) -> bool:
        """Whether this entry means ``event``."""
        return self.slug == event.slug or self.event_id == event.event_id


class Config(Section, frozen=True):
    """Everything that is configured."""

    service: ServiceConfig = ServiceConfig()
    venue: VenueConfig = VenueConfig()
    relayer: RelayerConfig = RelayerConfig()
    risk: RiskConfig = RiskConfig()
    wallet: WalletConfig = WalletConfig()
    market: tuple[MarketConfig, ...] = ()
    event: tuple[EventConfig, ...] = ()
    base_dir: Annotated[Path, Meta(extra={"internal": True})] = Path()
    """The directory of the configuration file; not a key."""

    @property
    def mode(self) -> Literal["paper", "live"]:
        """What this configuration runs: who carries out orders decides it."""
        return "paper" if self.relayer.type == "fake" else "live"

    def data_dir(self) -> Path:
        """Return the data directory, resolved against the configuration file's directory."""
        return self.base_dir / Path(self.service.data_dir).expanduser()

    def spread_for(self, market: Market, event: MarketEvent | None) -> SpreadParams:
        """Return the parameters of spread capture for a market: service, then event, then market."""
        changes: dict[str, Any] = {}
        for entry in self.event:
            if event is not None and entry.names(event):
                changes.update(entry.spread)
        for own in self.market:
            if own.names(market):
                changes.update(own.spread)
        return msgspec.structs.replace(self.service.spread, **changes) if changes else self.service.spread

    def dutch_for(self, event: MarketEvent) -> DutchParams:
        """Return the parameters of the Dutch book for an event: service, then event."""
        changes: dict[str, Any] = {}
        for entry in self.event:
            if entry.names(event):
                changes.update(entry.dutch)
        return msgspec.structs.replace(self.service.dutch, **changes) if changes else self.service.dutch

    def redacted(self) -> dict[str, Any]:
        """Return the effective configuration by its file's keys: decimals as text, secrets masked."""
        return public_tree(self)

    def digest(self) -> str:
        """Return ``sha256:`` and the hash of :meth:`redacted`: equal digests mean equal behaviour."""
        canonical = msgspec.json.encode(self.redacted(), order="sorted")
        return f"sha256:{sha256(canonical).hexdigest()}"
