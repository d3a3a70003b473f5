"""Settings of the market feed, with the venue's limits they come from."""

import msgspec

MS = 1_000_000
"""Nanoseconds in a millisecond."""


class FeedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Times in milliseconds. The defaults follow the venue's documents and its users' reports."""

    url: str = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    use_proxy: bool = True
    """Honour the environment's proxy settings."""
    max_assets: int = 400
    """Tokens per socket; past about 500 the venue silently sends nothing."""
    connect_spacing_ms: int = 200
    """Between two handshakes; many at once are answered with 429."""
    open_timeout_ms: int = 10_000
    close_timeout_ms: int = 1_000
    send_timeout_ms: int = 5_000
    max_frame_bytes: int = 16 * 1024 * 1024
    ping_ms: int = 10_000
    """Text PING; without it the venue closes the socket."""
    dead_ms: int = 30_000
    """Nothing at all received, not even PONG: the socket is dead."""
    snapshot_timeout_ms: int = 15_000
    """No book after subscribing: the venue accepted the socket but does not serve it."""
    data_age_ms: int = 30_000
    """A busy connection may be without data for this long, and for ``silence_factor`` mean gaps."""
    busy_frames: int = 20
    """Frames after which the mean gap between them says something."""
    silence_factor: int = 20
    """Silence of so many mean gaps has probability e**-20 if frames come independently."""
    quiet_probe_ms: int = 120_000
    """A quiet connection without data for this long is asked for one market's book."""
    probe_timeout_ms: int = 10_000
    healthy_ms: int = 10_000
    """A connection with a snapshot is healthy after this long; only then its backoff starts anew."""
    max_age_ms: int | None = None
    """Reconnect on schedule after this long (``None``: never)."""
    backoff_base_ms: int = 250
    backoff_cap_ms: int = 30_000
    limited_base_ms: int = 5_000
    limited_cap_ms: int = 120_000
    """Backoff after a handshake that was answered with 429."""
    snapshots_per_s: int = 20
    """Markets asked for a fresh book per socket and second."""
    snapshot_cooldown_ms: int = 2_000
    """Between two requests for the same market."""
    snapshot_tries: int = 5
    """Requests in a row for one market before its socket is replaced."""
    snapshot_memory_ms: int = 120_000
    """Requests further apart than this are not in a row."""
    escalation_pause_ms: int = 600_000
    """Least time between two sockets replaced for one market's sake."""
