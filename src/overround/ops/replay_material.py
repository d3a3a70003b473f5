"""What a replay or backtest is fed: the records of a source, and the markets they are about.

Metadata comes from where it can be had: the tape's own notes, a file that was named, one that lies beside
the recording; what is still missing is taken from the frames themselves, without a fee. Invariants: a fee
is assumed only where none is known, and only if the caller says which; every assumption is noted in
words. Knows no engine.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from overround.core.events import EventListed, Fact, MarketListed
from overround.core.market import EventKind, FeeSchedule, Market, MarketEvent
from overround.ops.market_files import load_listing
from overround.ops.mistakes import BadInput
from overround.ops.recorded_sources import MarketFrames, RecordedSource, beside, notes_of, open_source
from overround.polymarket.book_check_input import Survey, survey
from overround.polymarket.catalog import Catalog
from overround.polymarket.listing import Listing
from overround.runtime.backtest import head_of, noted_metadata

NS_PER_MS = 1_000_000


class Wanted(msgspec.Struct, frozen=True):
    """What the caller asks of the material."""

    markets: Path | None = None
    """A file with metadata."""
    assumed_fee: FeeSchedule | None = None
    """For markets whose fee is unknown."""
    single_events: bool = False
    """Make an event of one market of each market that names none."""


class Material(msgspec.Struct):
    """A source, ready to run."""

    source: RecordedSource
    metadata: list[Fact]
    tokens_of: dict[int, list[str]]
    """Tokens of each stream that the records do not announce."""
    first_ts_ns: int
    notes: list[str]
    assumed_fee: FeeSchedule | None = None
    assumed: set[str] = msgspec.field(default_factory=set)
    """Condition ids whose fee was assumed."""

    def edit(self, fact: Fact) -> Fact:
        """Return the fact with the assumed fee, if it lists a market without one."""
        if self.assumed_fee is None or not isinstance(fact, MarketListed) or fact.market.fee is not None:
            return fact
        self.assumed.add(fact.market.condition_id)
        return MarketListed(msgspec.structs.replace(fact.market, fee=self.assumed_fee))

    def all_notes(self) -> list[str]:
        """Return what a reader must know, the assumptions on fees included."""
        notes = [*self.source.left_out(), *self.notes]
        if self.assumed_fee is not None:
            rate_bps = self.assumed_fee.rate_e6 // 100
            notes.append(f"fee of {rate_bps} bps assumed for {len(self.assumed)} markets of unknown fee")
        return notes


def prepare(path: Path, wanted: Wanted) -> Material:
    """Open a source with its metadata.

    Raises ``BadInput``, ``TapeError`` and ``ImportFormatError``.
    """
    source = open_source(path)
    first = next(iter(source.records), None)
    if first is None:
        raise BadInput(path, "holds no record", "0 records", "give a tape or recording with frames")
    notes: list[str] = []
    with notes_of(path):
        noted = noted_metadata(head_of(source.records)) if source.is_tape else []
    surveyed = Survey({}, {}, 0) if noted else survey(MarketFrames(source.records))
    catalog = Catalog()
    for fact in noted:
        catalog.apply(fact)
    markets_file = wanted.markets or (None if noted else beside(path))
    metadata: list[Fact] = []
    if markets_file is not None:
        listing = load_listing(markets_file, first.recv_wall_ns // NS_PER_MS)
        if wanted.markets is None and not listing.events:
            # A file found beside a recording may describe its neighbours' markets too.
            listing = _about(listing, surveyed)
        metadata += catalog.update(listing)
        notes += _said(listing, markets_file)
    if wanted.markets is None:
        metadata += _from_frames(surveyed, catalog, notes)
    if not catalog.markets:
        raise BadInput(path, "tells of no market", source.form, "give its metadata with --markets")
    if wanted.single_events:
        metadata += _single_events(catalog)
    material = Material(
        source, [], surveyed.tokens_of, first.recv_wall_ns, notes, assumed_fee=wanted.assumed_fee
    )
    material.metadata = [material.edit(fact) for fact in metadata]
    return material


def _about(listing: Listing, surveyed: Survey) -> Listing:
    kept = tuple(market for market in listing.markets if market.condition_id in surveyed.markets)
    return msgspec.structs.replace(listing, markets=kept)


def _said(listing: Listing, path: Path) -> list[str]:
    notes = [f"{len(listing.markets)} markets from {path.name}"] if listing.markets else []
    if listing.refusals:
        first = listing.refusals[0]
        notes.append(
            f"{len(listing.refusals)} objects of {path.name} refused, first: {first.reason}, {first.detail}"
        )
    return notes


def _from_frames(surveyed: Survey, catalog: Catalog, notes: list[str]) -> Iterator[Fact]:
    missing = [market for cid, market in surveyed.markets.items() if not _known(catalog, market, cid)]
    if missing:
        notes.append(
            f"{len(missing)} markets known from their frames only: which token is YES, and the minimum size,"
            " are guesses; the fee is unknown"
        )
    for market in missing:
        fact = MarketListed(market)
        catalog.apply(fact)
        yield fact


def _known(catalog: Catalog, market: Market, condition_id: str) -> bool:
    return condition_id in catalog.markets or catalog.market_of(market.yes.token_id) is not None


def _single_events(catalog: Catalog) -> Iterator[Fact]:
    listed = {cid for event in catalog.events.values() for cid in event.condition_ids}
    for condition_id, market in catalog.markets.items():
        if condition_id in listed or market.event_id is not None:
            continue
        event = MarketEvent(
            event_id=f"single {condition_id}",
            slug=market.slug,
            title=market.question or market.slug or condition_id,
            kind=EventKind.BINARY,
            condition_ids=(condition_id,),
            as_of_ms=market.as_of_ms,
        )
        yield EventListed(event)
