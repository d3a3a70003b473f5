"""Metadata over HTTP: paging, fallback, retries, limits, and what must never pass for a whole listing."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from overround.polymarket.gamma import ClobMetadataClient, GammaClient, Selection
from overround.polymarket.listing import Listing, events_from_gamma
from overround.polymarket.venue_http import ReadFailed, ReadRefused, RetryPolicy, VenueReads
from tests.polymarket import gamma_samples as gs
from tests.support.scripted_venue import Answer, ScriptedVenue

QUICK = RetryPolicy(attempts=3, first_wait_s=0.001, max_wait_s=0.002, jitter_s=0, timeout_s=5)


@asynccontextmanager
async def reading(
    policy: RetryPolicy = QUICK, **options: Any
) -> AsyncIterator[tuple[ScriptedVenue, VenueReads]]:
    async with ScriptedVenue() as venue, httpx.AsyncClient(trust_env=False) as http:
        yield venue, VenueReads(http, venue.http_url, policy, **options)


def gamma(reads: VenueReads, **options: Any) -> GammaClient:
    return GammaClient(reads, lambda: 9_000_000, **options)


def events(*numbers: int) -> list[gs.Json]:
    return [gs.event([gs.market(n)], id=str(n), slug=f"event-{n}") for n in numbers]


# --- one request ----------------------------------------------------------------------------------


async def test_what_may_pass_is_read_again() -> None:
    async with reading() as (venue, reads):
        venue.answer("/x", Answer(status=500), Answer(status=425), Answer("whole"))
        assert await reads.get("/x") == b"whole"
        assert (len(venue.requests), reads.retries) == (3, 2)


async def test_what_does_not_pass_is_an_error() -> None:
    async with reading() as (venue, reads):
        venue.answer("/x", Answer("out of order", status=503))
        with pytest.raises(ReadFailed, match="/x: HTTP 503 out of order"):
            await reads.get("/x")
        assert len(venue.requests) == 3


async def test_a_refusal_is_final() -> None:
    async with reading() as (venue, reads):
        venue.answer("/x", Answer({"error": "offset is gone"}, status=422))
        with pytest.raises(ReadRefused, match=r"/x: HTTP 422 .*offset is gone") as caught:
            await reads.get("/x")
        assert (caught.value.status, len(venue.requests)) == (422, 1)


async def test_retry_after_is_obeyed() -> None:
    # By the policy alone the second attempt would come after a minute.
    patient = RetryPolicy(attempts=2, first_wait_s=60, max_wait_s=60, total_s=600)
    async with reading(patient) as (venue, reads), asyncio.timeout(5):
        venue.answer("/x", Answer(status=429, headers={"Retry-After": "0"}), Answer("now"))
        assert await reads.get("/x") == b"now"


async def test_a_venue_that_is_not_there_fails_after_all_attempts() -> None:
    async with ScriptedVenue() as gone:
        url = gone.http_url
    async with httpx.AsyncClient(trust_env=False) as http:
        reads = VenueReads(http, url, QUICK)
        with pytest.raises(ReadFailed, match="/x: ConnectError"):
            await reads.get("/x")
        assert reads.retries == 3


async def test_an_answer_without_end_is_cut_off() -> None:
    async with reading(max_body_bytes=1000) as (venue, reads):
        venue.answer("/x", Answer("x" * 1001))
        with pytest.raises(ReadFailed, match="exceeds 1000 bytes"):
            await reads.get("/x")
        assert len(venue.requests) == 1


async def test_a_torn_answer_is_no_answer() -> None:
    async with reading() as (venue, reads):
        venue.answer("/x", Answer("half", headers={"Content-Length": "8"}), Answer("whole"))
        assert await reads.get("/x") == b"whole"


async def test_a_venue_that_never_answers_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        async with httpx.AsyncClient(trust_env=False) as http:
            policy = RetryPolicy(attempts=2, first_wait_s=0.001, max_wait_s=0.002, jitter_s=0, timeout_s=0.05)
            reads = VenueReads(http, f"http://127.0.0.1:{deaf.getsockname()[1]}", policy)
            with pytest.raises(ReadFailed, match="/x: ReadTimeout"):
                await reads.get("/x")


# --- paging ---------------------------------------------------------------------------------------


async def test_keyset_pages_are_followed_to_the_end() -> None:
    async with reading() as (venue, reads):
        first = "/events/keyset?closed=false&tag_slug=fed&limit=100"
        venue.answer(first, Answer({"events": events(0, 1), "next_cursor": "a="}))
        venue.answer(first + "&after_cursor=a%3D", Answer({"events": events(2)}))
        listing = await gamma(reads).listing(Selection(all_open=True, filters={"tag_slug": "fed"}))
        assert [event.slug for event in listing.events] == ["event-0", "event-1", "event-2"]
        assert {market.as_of_ms for market in listing.markets} == {9}


async def test_without_keysets_pages_are_read_by_offset() -> None:
    async with reading() as (venue, reads):
        numbers = list(range(150))
        for offset in (0, 100):
            path = f"/events?closed=false&limit=100&offset={offset}"
            venue.answer(path, Answer(events(*numbers[offset : offset + 100])))
        listing = await gamma(reads).open_events()
        assert [event.event_id for event in listing.events] == [str(n) for n in numbers]
        assert len(venue.requests) == 3


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([Answer({"events": [], "next_cursor": "a"})], "cursor a came twice"),
        (
            [Answer({"events": [], "next_cursor": "a"}), Answer({"events": [], "next_cursor": "b"})],
            "more than 2 pages",
        ),
        ([Answer({"events": [], "next_cursor": "a"}), Answer(status=404)], "/events/keyset: HTTP 404"),
        ([Answer({"error": "?"})], "bad_page"),
        ([Answer("<html>")], "bad_page"),
        ([Answer({"events": {}})], "bad_page"),
        ([Answer(status=502)], "HTTP 502"),
    ],
)
async def test_a_part_never_passes_for_the_whole(answers: list[Answer], message: str) -> None:
    async with reading() as (venue, reads):
        venue.answer("/events/keyset", *answers)
        pages = 2 if "pages" in message else 2000
        with pytest.raises((ReadFailed, ReadRefused), match=message):
            await gamma(reads, max_pages=pages).open_events()


async def test_offset_paging_that_cannot_reach_the_end_says_so() -> None:
    async with reading() as (venue, reads):
        venue.answer("/events", Answer([{}] * 100))
        with pytest.raises(ReadFailed, match="beyond the reach of offset paging"):
            await gamma(reads).open_events()


# --- named things ---------------------------------------------------------------------------------


async def test_named_events_and_markets() -> None:
    async with reading() as (venue, reads):
        venue.answer("/events/slug/event-1", Answer(events(1)[0]))
        venue.answer("/markets/slug/outcome-2", Answer(gs.market(2)))
        selection = Selection(event_slugs=("event-1", "gone"), market_slugs=("outcome-2",))
        listing = await gamma(reads).listing(selection)
        event_id = listing.events[0].event_id
        venue.answer(f"/events/{event_id}", Answer(events(1)[0]))
        assert (await gamma(reads).listing(Selection(event_ids=(event_id,)))).events[0].slug == "event-1"
        assert [market.slug for market in listing.markets] == ["outcome-1", "outcome-2"]
        assert [event.slug for event in listing.events] == ["event-1"]
        assert [(r.subject, r.reason) for r in listing.refusals] == [("gone", "not_found")]


async def test_markets_by_condition_are_read_open_and_closed() -> None:
    ids = [gs.market(n)["conditionId"] for n in range(60)]
    async with reading() as (venue, reads):

        def path(chunk: list[str], closed: str) -> str:
            return (
                "/markets/keyset?"
                + "".join(f"condition_ids={i}&" for i in chunk)
                + f"closed={closed}&limit=100"
            )

        venue.answer(path(ids[:50], "false"), Answer({"markets": [gs.market(n) for n in range(49)]}))
        venue.answer(path(ids[:50], "true"), Answer({"markets": [gs.market(49, closed=True)]}))
        venue.answer(path(ids[50:], "false"), Answer({"markets": [gs.market(n) for n in range(50, 59)]}))
        venue.answer(path(ids[50:], "true"), Answer({"markets": []}))
        listing = await gamma(reads).markets(ids)
        assert len(listing.markets) == 59
        assert [(r.subject, r.reason) for r in listing.refusals] == [(ids[59], "not_found")]


# --- the CLOB's word ------------------------------------------------------------------------------


def clob(n: int, **changes: Any) -> Answer:
    market = gs.market(n)
    yes, no = json.loads(market["clobTokenIds"])
    pair = [{"t": yes, "o": "Yes"}, {"t": no, "o": "No"}]
    return Answer(
        {"c": market["conditionId"], "t": pair, "mos": 5, "mts": 0.001, "nr": True, "ao": True, **changes}
    )


def listing_of(*markets: gs.Json) -> Listing:
    return events_from_gamma([gs.raw(gs.event(list(markets)))], 1)


async def completed(
    listing: Listing, answers: dict[int, Answer], check: Callable[[ScriptedVenue], None] = lambda _: None
) -> Listing:
    async with reading() as (venue, reads):
        for n, answer in answers.items():
            venue.answer(f"/clob-markets/{gs.market(n)['conditionId']}", answer)
        result = await ClobMetadataClient(reads, lambda: 9_000_000).complete(listing)
        check(venue)
        return result


async def test_tradable_markets_are_completed() -> None:
    listing = listing_of(*(gs.market(n) for n in range(3)), gs.market(3, closed=True))

    def asked(venue: ScriptedVenue) -> None:
        assert len(venue.requests) == 3

    whole = await completed(listing, {0: clob(0), 1: clob(1, mts=0.01), 2: clob(2, ao=False)}, asked)
    assert [m.tick_e6 for m in whole.markets] == [1_000, 10_000, 1_000, 1_000]
    assert [m.tradable for m in whole.markets] == [True, True, False, False]
    assert whole.events == listing.events


async def test_requests_are_bounded_in_number() -> None:
    active: list[str] = []
    most = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal most
        active.append(request.url.path)
        most = max(most, len(active))
        await asyncio.sleep(0)
        active.remove(request.url.path)
        return httpx.Response(404)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        client = ClobMetadataClient(VenueReads(http, "http://venue.invalid", QUICK), lambda: 0, concurrency=3)
        whole = await client.complete(listing_of(*(gs.market(n) for n in range(20))))
    assert (most, len(whole.refusals)) == (3, 20)


async def test_disagreement_and_absence_refuse_one_market_only() -> None:
    listing = listing_of(*(gs.market(n) for n in range(4)))
    whole = await completed(listing, {0: clob(0, mos=15), 2: clob(2), 3: Answer([1])})
    assert [m.slug for m in whole.markets] == ["outcome-2"]
    assert [r.reason for r in whole.refusals] == ["conflict", "not_found", "bad_object"]


async def test_an_answer_that_does_not_come_fails_the_refresh() -> None:
    listing = listing_of(*(gs.market(n) for n in range(3)))
    read: Awaitable[Listing] = completed(listing, {0: clob(0), 1: Answer(status=500), 2: clob(2)})
    with pytest.raises(ReadFailed, match="HTTP 500"):
        await read
