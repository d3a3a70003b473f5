"""The venue's clients as a configuration wants them: the market feed's settings, and metadata to read.

Invariant: an address on this machine is never reached through a proxy.
"""

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx

from overround.ops.config import VenueConfig
from overround.polymarket.clock import Clock
from overround.polymarket.feed_config import FeedConfig
from overround.polymarket.gamma import ClobMetadataClient, GammaClient, Selection
from overround.polymarket.listing import Listing
from overround.polymarket.metadata import Fetch, RefreshConfig
from overround.polymarket.venue_http import RetryPolicy, VenueReads

BUSY_AGE_MS: Final = 30_000
"""A connection that was busy is suspect after this long without data, or sooner if so configured."""
PROBE_TIMEOUT_MS: Final = 10_000


def feed_config(venue: VenueConfig) -> FeedConfig:
    """Return the settings of the market feed."""
    return FeedConfig(
        url=venue.ws_url,
        use_proxy=not _on_this_machine(venue.ws_url),
        max_assets=venue.max_assets_per_socket,
        open_timeout_ms=venue.timeout_ms,
        max_frame_bytes=venue.max_frame_bytes,
        ping_ms=venue.ping_interval_ms,
        dead_ms=venue.pong_timeout_ms,
        data_age_ms=min(BUSY_AGE_MS, venue.max_data_age_ms),
        quiet_probe_ms=venue.max_data_age_ms,
        probe_timeout_ms=min(PROBE_TIMEOUT_MS, venue.max_data_age_ms),
        healthy_ms=venue.healthy_after_ms,
        backoff_base_ms=venue.backoff_min_ms,
        backoff_cap_ms=venue.backoff_max_ms,
        snapshot_cooldown_ms=venue.snapshot_interval_ms,
    )


def refresh_config(venue: VenueConfig) -> RefreshConfig:
    """Return how often metadata are read."""
    return RefreshConfig(period_ms=venue.refresh_interval_s * 1_000)


@asynccontextmanager
async def metadata_of(
    venue: VenueConfig, selection: Selection, clock: Clock, *, ask_clob: bool = True
) -> AsyncIterator[Fetch]:
    """Yield a function that reads the metadata of ``selection``; it raises ``ReadError``.

    ``ask_clob`` completes tradable markets by the matching side's word on tick, fee and flags.
    """
    local = any(_on_this_machine(url) for url in (venue.gamma_url, venue.clob_url))
    policy = RetryPolicy(timeout_s=venue.timeout_ms / 1_000)
    async with httpx.AsyncClient(trust_env=not local) as http:
        gamma = GammaClient(VenueReads(http, venue.gamma_url, policy), clock.wall_ns)
        clob = ClobMetadataClient(VenueReads(http, venue.clob_url, policy), clock.wall_ns)

        async def fetch() -> Listing:
            listing = await _with_events(gamma, await gamma.listing(selection))
            return await clob.complete(listing) if ask_clob else listing

        yield fetch


async def _with_events(gamma: GammaClient, listing: Listing) -> Listing:
    """Return ``listing`` with the events that its markets belong to, whole.

    A market whose event is unknown is never traded: nobody could notice that the event's rules change.
    """
    known = {event.event_id for event in listing.events}
    missing = {market.event_id for market in listing.markets if market.event_id is not None} - known
    if not missing:
        return listing
    events = await gamma.listing(Selection(event_ids=tuple(sorted(missing))))
    again = {market.condition_id for market in events.markets}
    others = tuple(market for market in listing.markets if market.condition_id not in again)
    return Listing(others, listing.events, listing.refusals) + events


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
