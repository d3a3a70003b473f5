"""Reads metadata once and writes what changed into the store: a run that ends after its first listing.

Invariants: what is written is journaled like anything else, under the lock of the data directory, so it
cannot happen beside a running service (which refreshes by itself); a failed read writes nothing.
"""

from collections.abc import Sequence

import msgspec

from overround.core.events import EventListed, MarketListed, RunEnded
from overround.ops.app import open_run
from overround.ops.config import Config
from overround.ops.following import Wanted
from overround.ops.mistakes import Problem
from overround.ops.venue_access import metadata_of
from overround.polymarket.catalog import Catalog
from overround.polymarket.clock import SystemClock
from overround.polymarket.inbox import FactIn
from overround.polymarket.metadata_wire import Refusal
from overround.polymarket.venue_http import ReadError
from overround.storage.lock import AlreadyRunning, holder


class Refreshed(msgspec.Struct, frozen=True):
    """What one refresh did."""

    markets: int
    events: int
    changed: int
    refused: Sequence[Refusal]


async def refresh_markets(config: Config, wanted: Wanted) -> Refreshed:
    """Read the metadata of what is wanted and store what changed.

    Raises:
        AlreadyRunning: if the service runs.
        Problem: if the metadata cannot be read.
        StoreError, TapeError: if the store cannot be continued.
    """
    pid = holder(config.data_dir())
    if pid is not None:
        raise AlreadyRunning(
            f"{config.data_dir()}: the service (process {pid}) uses it: it refreshes by itself"
        )
    clock = SystemClock()
    async with metadata_of(config.venue, wanted.selection(), clock) as fetch:
        try:
            listing = await fetch()
        except ReadError as error:
            raise Problem(f"the venue's metadata cannot be read: {error}: check venue.gamma_url") from error
    now_ns = clock.wall_ns()
    with open_run(config, (), now_ns) as run:
        catalog = Catalog()
        for market in run.engine.universe.markets.values():
            catalog.apply(MarketListed(market))
        for event in run.engine.universe.events.values():
            catalog.apply(EventListed(event))
        facts = [*catalog.update(listing), RunEnded("markets refreshed")]
        run.on_step(run.sequencer.step([FactIn(now_ns, fact) for fact in facts], now_ns))
    return Refreshed(
        len(listing.markets), len(listing.events), len(facts) - 1, tuple(catalog.refusals.values())
    )
