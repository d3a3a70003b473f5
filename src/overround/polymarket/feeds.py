"""The market feed: as many connections as the followed markets need, behind four verbs.

``follow`` and ``unfollow`` markets, ``request_snapshot`` of tokens, ``run`` until ``stop``. Everything
received goes into the inbox given: frames as they came, and StreamUp, StreamDown, SubscriptionChanged.

Invariants: a market is on exactly one stream; the tasks of all streams belong to ``run``, and a bug in
one ends them all. Must not know what a book is.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from random import Random

import msgspec
import structlog

from overround.core.market import Market
from overround.polymarket.clock import Clock
from overround.polymarket.connection import Connection
from overround.polymarket.feed_config import MS, FeedConfig
from overround.polymarket.inbox import Inbox
from overround.polymarket.market_socket import ConnectGate, MarketSocket, OpenSocket, socket_opener
from overround.polymarket.subscriptions import ShardChange, Shards

_log = structlog.get_logger("overround.feed")


class StreamStatus(msgspec.Struct, frozen=True):
    """One stream as seen from outside."""

    stream: int
    phase: str
    generation: int
    tokens: int
    frames: int
    frame_bytes: int
    data_age_ms: int | None
    """Since the last data frame; ``None`` while not connected."""
    failures: int
    """Failed connections since the last healthy one."""
    ends: dict[str, int]
    """Resyncs: ended connections by reason."""
    refusals: dict[str, int]
    """Failed attempts to connect by reason."""
    snapshots_sent: int
    snapshots_coalesced: int
    probes: int
    pings: int
    pongs: int


class MarketFeed:
    """The market channel for a changing set of markets."""

    def __init__(
        self,
        config: FeedConfig,
        inbox: Inbox,
        clock: Clock,
        rng: Random,
        open_socket: OpenSocket | None = None,
    ) -> None:
        self._config = config
        self._inbox = inbox
        self._clock = clock
        self._rng = rng
        self._open_socket = open_socket or socket_opener(config)
        self._gate = ConnectGate(clock, config.connect_spacing_ms * MS)
        self._shards = Shards(config.max_assets)
        self._sockets: list[MarketSocket] = []
        self._stopping = asyncio.Event()
        self._grown = asyncio.Event()

    def follow(self, markets: Iterable[Market]) -> None:
        """Begin to receive these markets; those already followed are left alone."""
        self._apply(self._shards.change({market.condition_id: market.token_ids() for market in markets}))

    def unfollow(self, condition_ids: Iterable[str]) -> None:
        """Stop receiving these markets."""
        self._apply(self._shards.change({}, condition_ids))

    @property
    def followed(self) -> frozenset[str]:
        """Condition ids of the markets received."""
        return frozenset(self._shards.markets)

    def request_snapshot(self, token_ids: Iterable[str], reason: str) -> None:
        """Ask for fresh books of the markets of these tokens; throttled, coalesced, unknown ones ignored."""
        wanted: dict[int, dict[str, None]] = {}
        for token_id in token_ids:
            place = self._shards.locate(token_id)
            if place is not None:
                wanted.setdefault(place[0], {})[place[1]] = None
        for shard, markets in wanted.items():
            _log.info("snapshot_requested", stream=shard, markets=len(markets), reason=reason)
            self._sockets[shard].snapshot(markets)

    async def run(self) -> None:
        """Receive until :meth:`stop`."""
        started = 0
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            while not self._stopping.is_set():
                self._grown.clear()
                tasks.extend(group.create_task(socket.run()) for socket in self._sockets[started:])
                started = len(self._sockets)
                await self._grown.wait()
            for socket in self._sockets:
                socket.stop()
            if tasks:
                # One that is still shaking hands, or waits for room, is not worth waiting for.
                _, late = await asyncio.wait(tasks, timeout=self._config.close_timeout_ms / 500)
                for task in late:
                    task.cancel()

    def stop(self) -> None:
        """Make :meth:`run` close all sockets and return."""
        self._stopping.set()
        self._grown.set()

    def status(self) -> tuple[StreamStatus, ...]:
        """Return the state and the counters of every stream."""
        now_ns = self._clock.mono_ns()
        return tuple(_status(socket, now_ns) for socket in self._sockets)

    def resyncs(self) -> Counter[str]:
        """Return ended connections of all streams by reason."""
        total: Counter[str] = Counter()
        for socket in self._sockets:
            total.update(socket.connection.ends)
        return total

    def _apply(self, changes: Iterable[ShardChange]) -> None:
        for change in changes:
            while len(self._sockets) <= change.shard:
                self._sockets.append(self._new_socket(len(self._sockets)))
                self._grown.set()
            self._sockets[change.shard].assign(change.added, change.removed)

    def _new_socket(self, stream: int) -> MarketSocket:
        connection = Connection(stream, self._config, self._rng)
        return MarketSocket(connection, self._config, self._inbox, self._clock, self._gate, self._open_socket)


def _status(socket: MarketSocket, now_ns: int) -> StreamStatus:
    connection = socket.connection
    age_ns = connection.data_age_ns(now_ns)
    return StreamStatus(
        stream=connection.stream,
        phase=connection.phase.value,
        generation=connection.generation,
        tokens=len(connection.token_ids),
        frames=socket.frames,
        frame_bytes=socket.frame_bytes,
        data_age_ms=None if age_ns is None else age_ns // MS,
        failures=connection.failures,
        ends=dict(connection.ends),
        refusals=dict(connection.refusals),
        snapshots_sent=connection.snapshots_sent,
        snapshots_coalesced=connection.snapshots_coalesced,
        probes=connection.probes,
        pings=connection.pings,
        pongs=connection.pongs,
    )
