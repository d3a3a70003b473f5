"""Clients of the venue's public metadata: Gamma (events and markets) and the CLOB's compact objects.

Invariants: a listing is whole or an error: a page that fails, a cursor that repeats, and a listing
longer than the paging can reach raise instead of ending early; what one page says is never lost to
another object's fault. Paging is by keyset, and by offset where the venue does not know keysets.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

import msgspec

from overround.core.market import Market
from overround.polymarket.clob_listing import merge_clob
from overround.polymarket.listing import Listing, events_from_gamma, markets_from_gamma
from overround.polymarket.metadata_wire import ClobCompact, MetadataRefused, Refusal, decode_page
from overround.polymarket.venue_http import Params, ReadError, ReadFailed, ReadRefused, VenueReads

PAGE: Final = 100
"""Largest page Gamma gives."""
MAX_OFFSET: Final = 2000
"""Offsets above about 2000 fail on the legacy lists."""
IDS_PER_REQUEST: Final = 50
"""Condition ids in one query: 50 of them keep the address below 4 KB."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which metadata to read. Everything named is read; ``all_open`` adds every open event."""

    event_slugs: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    market_slugs: tuple[str, ...] = ()
    condition_ids: tuple[str, ...] = ()
    all_open: bool = False
    filters: dict[str, str] = {}
    """Further query parameters of the open events (``tag_slug``, ``series_id``, …)."""


class GammaClient:
    """Gamma's events and markets."""

    def __init__(self, reads: VenueReads, wall_ns: Callable[[], int], max_pages: int = 2000) -> None:
        self._reads = reads
        self._wall_ns = wall_ns
        self._max_pages = max_pages

    async def listing(self, selection: Selection) -> Listing:
        """Return everything the selection names.

        A named event or market that the venue does not know becomes a refusal.

        Raises:
            ReadError: something could not be read; a part is never returned as the whole.
        """
        listing = Listing()
        if selection.all_open:
            listing += await self.open_events(selection.filters)
        for slug in selection.event_slugs:
            listing += await self._single(f"/events/slug/{slug}", slug, events_from_gamma)
        for event_id in selection.event_ids:
            listing += await self._single(f"/events/{event_id}", event_id, events_from_gamma)
        for slug in selection.market_slugs:
            listing += await self._single(f"/markets/slug/{slug}", slug, markets_from_gamma)
        return listing + await self.markets(selection.condition_ids)

    async def open_events(self, filters: Params | None = None) -> Listing:
        """Return all open events (and their markets) that pass the filters. Raises ``ReadError``."""
        listing = Listing()
        async for items in self._pages("events", {"closed": False, **(filters or {})}):
            listing += events_from_gamma(items, self._now_ms())
        return listing

    async def markets(self, condition_ids: Sequence[str]) -> Listing:
        """Return these markets, open or closed; one that is in neither list is a refusal."""
        listing = Listing()
        for chunk in _chunks(condition_ids, IDS_PER_REQUEST):
            for closed in (False, True):
                async for items in self._pages("markets", {"condition_ids": chunk, "closed": closed}):
                    listing += markets_from_gamma(items, self._now_ms())
        seen = {market.condition_id for market in listing.markets}
        seen |= {refusal.subject for refusal in listing.refusals}
        unknown = tuple(Refusal(c, "not_found", "not on Gamma") for c in condition_ids if c not in seen)
        return listing + Listing(refusals=unknown)

    async def _single(
        self, path: str, name: str, parse: Callable[[list[msgspec.Raw], int], Listing]
    ) -> Listing:
        try:
            body = await self._reads.get(path)
        except ReadRefused as refused:
            if refused.status == 404:
                return Listing(refusals=(Refusal(name, "not_found", str(refused)),))
            raise
        return parse([msgspec.Raw(body)], self._now_ms())

    async def _pages(self, kind: str, params: Params) -> AsyncIterator[list[msgspec.Raw]]:
        cursors: set[str] = set()
        cursor: str | None = None
        for _ in range(self._max_pages):
            after = {} if cursor is None else {"after_cursor": cursor}
            try:
                body = await self._reads.get(f"/{kind}/keyset", {**params, "limit": PAGE, **after})
            except ReadRefused as refused:
                if refused.status not in (404, 405) or cursors:
                    raise
                async for items in self._legacy_pages(kind, params):
                    yield items
                return
            items, cursor = _page(body, kind)
            yield items
            if cursor is None:
                return
            if cursor in cursors:
                raise ReadFailed(f"/{kind}/keyset: cursor {cursor:.40} came twice")
            cursors.add(cursor)
        raise ReadFailed(f"/{kind}/keyset: more than {self._max_pages} pages")

    async def _legacy_pages(self, kind: str, params: Params) -> AsyncIterator[list[msgspec.Raw]]:
        for offset in range(0, MAX_OFFSET + 1, PAGE):
            body = await self._reads.get(f"/{kind}", {**params, "limit": PAGE, "offset": offset})
            items, _ = _page(body, kind)
            yield items
            if len(items) < PAGE:
                return
        raise ReadFailed(f"/{kind}: more than {MAX_OFFSET + PAGE} entries, beyond the reach of offset paging")

    def _now_ms(self) -> int:
        return self._wall_ns() // 1_000_000


class ClobMetadataClient:
    """The CLOB's compact market objects."""

    def __init__(self, reads: VenueReads, wall_ns: Callable[[], int], concurrency: int = 8) -> None:
        self._reads = reads
        self._wall_ns = wall_ns
        self._slots = asyncio.Semaphore(concurrency)

    async def complete(self, listing: Listing) -> Listing:
        """Return ``listing`` with every tradable market completed by the CLOB's word on it.

        A market that the CLOB does not know, or on which the sources disagree, becomes a refusal.

        Raises:
            ReadError: an answer could not be read.
        """
        asked = [market for market in listing.markets if market.tradable]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {m.condition_id: group.create_task(self._complete(m)) for m in asked}
        except ExceptionGroup as errors:
            reads, others = errors.split(ReadError)
            if reads is None or others is not None:
                raise
            raise reads.exceptions[0] from errors
        answers = {condition_id: task.result() for condition_id, task in tasks.items()}
        markets = [answers.get(market.condition_id, market) for market in listing.markets]
        return Listing(
            tuple(market for market in markets if isinstance(market, Market)),
            listing.events,
            listing.refusals + tuple(refusal for refusal in markets if isinstance(refusal, Refusal)),
        )

    async def _complete(self, market: Market) -> Market | Refusal:
        path = f"/clob-markets/{market.condition_id}"
        try:
            async with self._slots:
                body = await self._reads.get(path)
            compact = msgspec.json.decode(body, type=ClobCompact)
            return merge_clob(market, compact, self._wall_ns() // 1_000_000)
        except MetadataRefused as refused:
            return refused.refusal(market.condition_id)
        except msgspec.MsgspecError as error:
            return Refusal(market.condition_id, "bad_object", f"{path}: {error}")
        except ReadRefused as refused:
            if refused.status == 404:
                return Refusal(market.condition_id, "not_found", str(refused))
            raise


def _page(body: bytes, kind: str) -> tuple[list[msgspec.Raw], str | None]:
    try:
        return decode_page(body, kind)
    except MetadataRefused as refused:
        raise ReadFailed(f"/{kind}: {refused}") from refused


def _chunks(items: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
