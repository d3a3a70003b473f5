"""The feed against a scripted venue on loopback: real sockets, a clock that the test moves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest

from overround.core.events import Fact, FrameRejected, StreamDown, StreamUp, SubscriptionChanged
from overround.core.market import Market
from overround.polymarket.feed_config import MS, FeedConfig
from overround.polymarket.feeds import MarketFeed
from overround.polymarket.inbox import FactIn, FrameIn, Inbox, Incoming
from overround.polymarket.listing import markets_from_gamma
from tests.polymarket import gamma_samples as gs
from tests.support.manual_clock import ManualClock
from tests.support.scripted_venue import PATIENCE_S, Answer, ScriptedVenue, Session

S = 1000 * MS


def markets(*numbers: int) -> list[Market]:
    return list(markets_from_gamma(gs.raws([gs.market(n) for n in numbers]), 1).markets)


def tokens(*numbers: int) -> list[str]:
    return [token for market in markets(*numbers) for token in market.token_ids()]


def book(token_id: str) -> gs.Json:
    return {"event_type": "book", "asset_id": token_id, "bids": [], "asks": []}


def delta(n: int) -> gs.Json:
    return {"event_type": "price_change", "n": n}


class Bench:
    """A feed, its inbox and what came out of it so far."""

    def __init__(self, venue: ScriptedVenue, clock: ManualClock, inbox: Inbox, feed: MarketFeed) -> None:
        self.venue = venue
        self.clock = clock
        self.inbox = inbox
        self.feed = feed
        self.got: list[Incoming] = []

    @property
    def facts(self) -> list[Fact]:
        return [item.fact for item in self.got if isinstance(item, FactIn)]

    @property
    def frames(self) -> list[FrameIn]:
        return [item for item in self.got if isinstance(item, FrameIn)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Drain the inbox until ``condition`` holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await self.inbox.wait()
                self.got += self.inbox.drain(1000)

    async def until_fact(self, fact: Fact) -> None:
        await self.until(lambda: fact in self.facts)

    async def serve(self, *numbers: int) -> Session:
        """Accept a socket, check its subscription, send the books."""
        session = await self.venue.accept()
        assert (await session.receive())["assets_ids"] == tokens(*numbers)
        await session.send([book(token) for token in tokens(*numbers)])
        count = len(self.frames) + 1
        await self.until(lambda: len(self.frames) >= count)
        return session

    async def pass_time(self, seconds: int, session: Session | None = None) -> None:
        """Move the clock second by second; with a session, each PING is answered before time moves on."""
        for _ in range(seconds):
            await self.settle(session)
            self.clock.advance(S)
        await self.settle(session)

    async def settle(self, session: Session | None = None) -> None:
        """Return when the feed has done what is due and waits for time to pass."""
        async with asyncio.timeout(PATIENCE_S):
            await self.clock.parked()
            if session is not None:
                await session.sync()


@asynccontextmanager
async def bench(inbox: Inbox | None = None, **changes: Any) -> AsyncIterator[Bench]:
    clock = ManualClock()
    inbox = Inbox() if inbox is None else inbox
    async with ScriptedVenue() as venue:
        config = FeedConfig(
            url=venue.ws_url,
            **({"use_proxy": False, "connect_spacing_ms": 0, "backoff_base_ms": 1} | changes),
        )
        feed = MarketFeed(config, inbox, clock, Random(5))
        task = asyncio.create_task(feed.run())
        try:
            yield Bench(venue, clock, inbox, feed)
        finally:
            feed.stop()
            async with asyncio.timeout(PATIENCE_S):
                await task


async def test_subscribe_dump_deltas_in_order() -> None:
    async with bench() as b:
        b.feed.follow(markets(0, 1))
        session = await b.venue.accept()
        assert await session.receive() == {
            "type": "market",
            "assets_ids": tokens(0, 1),
            "custom_feature_enabled": True,
            "initial_dump": True,
        }
        sent = [[book(token) for token in tokens(0, 1)], *(delta(n) for n in range(200))]
        await session.send(*sent)
        await b.until(lambda: len(b.frames) == 201)
        assert b.got[0] == FactIn(b.clock.wall_ns(), StreamUp(0, 1, tuple(tokens(0, 1))))
        assert [json.loads(frame.payload) for frame in b.frames] == sent
        assert {(f.stream, f.generation, f.recv_wall_ns) for f in b.frames} == {(0, 1, b.clock.wall_ns())}
        (status,) = b.feed.status()
        assert (status.phase, status.frames, status.tokens, status.data_age_ms) == ("syncing", 201, 4, 0)


async def test_frames_keep_their_bytes_text_or_binary() -> None:
    async with bench() as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        await session.send(b"\xff\x00{broken", '{"a": "\u00e9"}', "PONGS", " PONG")
        await b.until(lambda: len(b.frames) == 5)
        assert [f.payload for f in b.frames[1:]] == [
            b"\xff\x00{broken",
            b'{"a": "\xc3\xa9"}',
            b"PONGS",
            b" PONG",
        ]


async def test_text_ping_is_answered_and_pong_is_no_data() -> None:
    async with bench() as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        await b.pass_time(20, session)
        (status,) = b.feed.status()
        assert (session.pings, status.pongs, status.frames, status.data_age_ms) == (2, 2, 1, 20_000)
        assert status.phase == "healthy"


async def test_a_silent_socket_that_answers_ping_is_found_and_replaced() -> None:
    async with bench() as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        await session.send(*(delta(n) for n in range(30)))
        await b.until(lambda: len(b.frames) == 31)
        await b.pass_time(29, session)
        b.clock.advance(S)
        await b.until_fact(StreamDown(0, 1, "silent"))
        await session.wait_ended()
        assert session.pings >= 2
        await b.settle()
        b.clock.advance(S)
        await b.serve(0)
        assert b.facts[-1] == StreamUp(0, 2, tuple(tokens(0)))
        assert b.frames[-1].generation == 2
        assert b.feed.resyncs() == {"silent": 1}


async def test_a_quiet_socket_is_probed_and_kept() -> None:
    async with bench() as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        await b.pass_time(120, session)
        assert (await session.receive())["operation"] == "unsubscribe"
        assert await session.receive() == {
            "operation": "subscribe",
            "assets_ids": tokens(0),
            "custom_feature_enabled": True,
        }
        await session.send([book(token) for token in tokens(0)])
        await b.until(lambda: len(b.frames) == 2)
        await b.pass_time(30, session)
        assert not b.feed.resyncs()


async def test_a_socket_that_answers_no_ping_is_dead() -> None:
    async with bench() as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        session.answers_pings = False
        await b.pass_time(29)
        assert b.feed.status()[0].phase == "healthy"
        b.clock.advance(S)
        await b.until_fact(StreamDown(0, 1, "no_pong"))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda session: session.close(1000), "closed_1000"),
        (lambda session: session.close(1008, "invalid subscription payload"), "closed_1008"),
        (lambda session: session.close(1009, "your frame is too big"), "closed_1009"),
        (lambda session: session.close(1012, "restart"), "closed_1012"),
        (lambda session: asyncio.sleep(0, session.drop()), "closed_1006"),
    ],
    ids=["1000", "1008", "1009", "1012", "dropped"],
)
async def test_an_ended_socket_is_reopened_as_a_new_generation(
    end: Callable[[Session], Any], reason: str
) -> None:
    async with bench() as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        await end(session)
        await b.until_fact(StreamDown(0, 1, reason))
        await b.settle()
        b.clock.advance(S)
        await b.serve(0)
        assert b.facts == [
            StreamUp(0, 1, tuple(tokens(0))),
            StreamDown(0, 1, reason),
            StreamUp(0, 2, tuple(tokens(0))),
        ]


async def test_refused_handshakes_are_retried_and_429_obeys_the_venue() -> None:
    async with bench(limited_base_ms=10) as b:
        b.venue.refuse_handshakes(Answer(status=503), Answer(status=429, headers={"Retry-After": "7"}))
        b.feed.follow(markets(0))

        await b.settle()
        assert b.feed.status()[0].refusals == {"http_503": 1}
        await b.pass_time(1)
        assert b.feed.status()[0].refusals == {"http_503": 1, "limited": 1}
        await b.pass_time(6)
        assert b.venue.handshakes == 2
        b.clock.advance(S)
        await b.serve(0)
        assert b.facts == [StreamUp(0, 1, tuple(tokens(0)))]  # a refused handshake is no generation


async def test_a_venue_that_is_not_there() -> None:
    clock, inbox = ManualClock(), Inbox()
    async with ScriptedVenue() as gone:
        url = gone.ws_url
    feed = MarketFeed(FeedConfig(url=url, use_proxy=False), inbox, clock, Random(5))
    task = asyncio.create_task(feed.run())
    feed.follow(markets(0))
    async with asyncio.timeout(PATIENCE_S):
        await clock.parked()
        feed.stop()
        await task
    assert feed.status()[0].refusals == {"network": 1}
    assert len(inbox) == 0


async def test_overload_ends_the_stream_and_resyncs_when_there_is_room() -> None:
    async with bench(Inbox(max_frames=10)) as b:
        b.feed.follow(markets(0))
        session = await b.venue.accept()
        await session.receive()
        await session.send(*(delta(n) for n in range(12)))
        await session.wait_ended()  # nobody drained: the feed itself hung up
        assert session.socket.close_code == 1006  # at once: a closing handshake would read on
        await b.settle()
        b.clock.advance(S)
        await asyncio.sleep(0.02)
        assert b.venue.handshakes == 1  # and stays away while the inbox is full
        await b.until_fact(StreamDown(0, 1, "overload"))
        assert [json.loads(f.payload)["n"] for f in b.frames] == list(range(10))
        assert (b.inbox.refused_frames, b.feed.resyncs()) == (1, {"overload": 1})
        await b.serve(0)


async def test_a_frame_beyond_the_bound_is_reported() -> None:
    async with bench(max_frame_bytes=1000) as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        await session.send(b"x" * 1001)
        await b.until_fact(StreamDown(0, 1, "frame_too_large"))
        assert FrameRejected(0, "too_large", "a frame exceeds 1000 bytes") in b.facts


async def test_markets_come_and_go_while_running() -> None:
    async with bench() as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        b.feed.follow(markets(0, 1))
        assert await session.receive() == {
            "operation": "subscribe",
            "assets_ids": tokens(1),
            "custom_feature_enabled": True,
        }
        b.feed.unfollow([markets(0)[0].condition_id, "unknown"])
        assert await session.receive() == {"operation": "unsubscribe", "assets_ids": tokens(0)}
        await b.until_fact(SubscriptionChanged(0, 1, (), tuple(tokens(0))))
        assert SubscriptionChanged(0, 1, tuple(tokens(1))) in b.facts
        assert b.feed.followed == {markets(1)[0].condition_id}
        session.drop()
        await b.until_fact(StreamDown(0, 1, "closed_1006"))
        await b.settle()
        b.clock.advance(S)
        await b.serve(1)  # the new connection subscribes to what is followed now


async def test_the_last_market_closes_the_socket_in_order() -> None:
    async with bench() as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        b.feed.unfollow(b.feed.followed)
        await b.until_fact(StreamDown(0, 1, "idle"))
        await session.wait_ended()
        assert session.socket.close_code == 1000
        b.feed.follow(markets(1))
        await b.serve(1)


async def test_sockets_carry_a_bounded_number_of_assets() -> None:
    async with bench(max_assets=4) as b:
        b.feed.follow(markets(0, 1, 2, 3, 4))
        sessions = [await b.venue.accept() for _ in range(3)]
        asked = [(await session.receive())["assets_ids"] for session in sessions]
        assert sorted(map(len, asked)) == [2, 4, 4]
        assert sorted(token for ids in asked for token in ids) == sorted(tokens(0, 1, 2, 3, 4))
        await b.until(lambda: len(b.facts) == 3)
        assert {fact.stream for fact in b.facts if isinstance(fact, StreamUp)} == {0, 1, 2}


async def test_handshakes_are_spaced() -> None:
    async with bench(max_assets=2, connect_spacing_ms=500) as b:
        b.feed.follow(markets(0, 1, 2))
        for handshakes in (1, 2, 3):
            await b.venue.accept()
            await b.clock.parked(min(handshakes + 1, 3))  # the open ones, and the next at the gate
            assert b.venue.handshakes == handshakes
            b.clock.advance(500 * MS)


async def test_a_snapshot_request_resubscribes_the_whole_market_once() -> None:
    async with bench() as b:
        b.feed.follow(markets(0, 1))
        session = await b.serve(0, 1)
        for _ in range(5):
            b.feed.request_snapshot([tokens(1)[0], "unknown"], "suspect")
        assert (await session.receive())["operation"] == "unsubscribe"
        assert (await session.receive())["assets_ids"] == tokens(1)
        await b.until_fact(SubscriptionChanged(0, 1, tuple(tokens(1))))
        (status,) = b.feed.status()
        assert (status.snapshots_sent, status.snapshots_coalesced) == (1, 3)


async def test_stop_says_goodbye_and_announces_it() -> None:
    async with bench() as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        b.feed.stop()
        await b.until_fact(StreamDown(0, 1, "stopped"))
        await session.wait_ended()
        assert session.socket.close_code == 1000


async def test_stop_does_not_wait_for_a_full_inbox() -> None:
    inbox = Inbox(max_frames=1)
    async with bench(inbox, close_timeout_ms=50) as b:
        b.feed.follow(markets(0))
        session = await b.venue.accept()
        await session.receive()
        await session.send(delta(1), delta(2))
        await session.wait_ended()
        await b.settle()
        b.clock.advance(S)
        await asyncio.sleep(0.02)
    assert len(inbox) == 3  # StreamUp, one frame, StreamDown: all still there


async def test_each_resync_is_logged_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    async with bench() as b:
        b.feed.follow(markets(0))
        session = await b.serve(0)
        await session.close(1012, "restart")
        await b.until_fact(StreamDown(0, 1, "closed_1012"))
    out = capsys.readouterr().out
    assert "stream_down" in out
    assert "closed_1012" in out


def test_status_is_plain_data() -> None:
    feed = MarketFeed(FeedConfig(), Inbox(), ManualClock(), Random(1))
    feed.follow(markets(0))
    assert msgspec.json.decode(msgspec.json.encode(feed.status()))[0]["phase"] == "waiting"
