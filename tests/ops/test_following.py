"""What a service follows, says and waits for: its small parts alone."""

import asyncio
from collections.abc import Iterable

from structlog.testing import capture_logs

from overround.core.commands import Notify
from overround.core.events import BookSuspect, EventListed, FrameRejected, MarketListed, MarketResolved
from overround.core.market import Market
from overround.ops.config import VenueConfig
from overround.ops.following import Follower, Wanted
from overround.ops.halting import Halt
from overround.ops.step_log import QUIET_NS, StepLog
from overround.ops.venue_access import feed_config
from overround.polymarket.listing import events_from_gamma
from overround.runtime.sequencer import Step
from tests.polymarket import gamma_samples as gs

LISTING = events_from_gamma([gs.raw(gs.event([gs.market(0), gs.market(1)], slug="who-wins"))], 1)
ZERO, ONE = LISTING.markets


class FakeFeed:
    def __init__(self) -> None:
        self.markets: dict[str, Market] = {}

    def follow(self, markets: Iterable[Market]) -> None:
        self.markets |= {market.condition_id: market for market in markets}

    def unfollow(self, condition_ids: Iterable[str]) -> None:
        for condition_id in condition_ids:
            del self.markets[condition_id]

    @property
    def followed(self) -> frozenset[str]:
        return frozenset(self.markets)


def follower(wanted: Wanted) -> tuple[FakeFeed, Follower]:
    feed = FakeFeed()
    return feed, Follower(wanted, feed)


def test_markets_of_an_event_are_followed_once_the_event_is_known() -> None:
    feed, follow = follower(Wanted.named((), ("who-wins",)))
    follow.saw([MarketListed(ZERO), MarketListed(ONE)])
    assert not feed.followed
    follow.saw([EventListed(LISTING.events[0])])
    assert feed.followed == {ZERO.condition_id, ONE.condition_id}


def test_a_named_market_alone_is_followed_until_the_stream_says_it_paid_out() -> None:
    feed, follow = follower(Wanted.named((ONE.condition_id,), ()))
    follow.saw([MarketListed(ZERO), MarketListed(ONE)])
    assert feed.followed == {ONE.condition_id}
    follow.saw([MarketResolved(ONE.condition_id, ONE.yes.token_id)])
    assert not feed.followed
    follow.saw([MarketListed(ONE)])  # metadata lag behind the stream
    assert not feed.followed


async def test_the_first_reason_to_end_counts() -> None:
    halt = Halt()
    assert not halt.asked
    assert await halt.wait(0.001) == "duration is over"
    halt.ask("too late")
    assert await halt.wait() == "duration is over"
    asked = Halt()
    waiting = asyncio.create_task(asked.wait())
    asked.ask("SIGTERM")
    assert await waiting == "SIGTERM"


def test_floods_are_said_once_with_their_number() -> None:
    log = StepLog()

    def rejected(ts_ns: int, reason: str = "bad_json") -> Step:
        return Step(1, ts_ns, 1, [], [], [FrameRejected(0, reason, "x")])

    with capture_logs() as said:
        for at_ns in range(5):
            log.saw(rejected(QUIET_NS + at_ns))
        log.saw(rejected(QUIET_NS + 5, "bad_number"))
        log.saw(rejected(2 * QUIET_NS))
        log.saw(Step(1, 0, 0, [(1, 0, BookSuspect("t", "mirror", ""))], []))
        log.saw(Step(1, 0, 0, [], [Notify("error", "settlement_failed", "x")]))
    assert [(entry["event"], entry.get("reason"), entry.get("times")) for entry in said] == [
        ("frame_rejected", "bad_json", 1),
        ("frame_rejected", "bad_number", 1),
        ("frame_rejected", "bad_json", 5),
        ("book_suspect", "mirror", 1),
        ("settlement_failed", None, None),
    ]
    assert log.counts["frame_rejected"] == 7


def test_addresses_on_this_machine_are_reached_without_a_proxy() -> None:
    assert feed_config(VenueConfig()).use_proxy
    for host in ("127.0.0.1:8780", "localhost", "[::1]:9"):
        assert not feed_config(VenueConfig(ws_url=f"ws://{host}/ws/market")).use_proxy
