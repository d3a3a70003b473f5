"""Runs one market-channel connection: carries out what connection.py decides, on a real socket.

Invariants: every received data frame goes into the inbox with its receive times, or ends the
connection (overload); facts go in before the frames they concern; a socket is closed before the next
one is opened; the library's own pings are off, because the venue's heartbeat is a text frame. Must
not know what is in a frame beyond PONG.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from overround.core.events import FrameRejected, StreamDown, StreamUp, SubscriptionChanged
from overround.polymarket.backoff import retry_after_ns
from overround.polymarket.clock import Clock, pause
from overround.polymarket.connection import Action, Announce, Connection, Phase, Send
from overround.polymarket.feed_config import MS, FeedConfig
from overround.polymarket.inbox import FrameIn, Inbox

OpenSocket: TypeAlias = Callable[[], Awaitable[ClientConnection]]

POLITE = frozenset({"idle", "scheduled", "stopped"})
"""Reasons after which the venue is still listening: these sockets end with a closing handshake."""
TOO_LARGE = 1009
"""Close code the library sends when a frame exceeds the bound (RFC 6455, section 7.4.1)."""

_log = structlog.get_logger("overround.feed")


def socket_opener(config: FeedConfig) -> OpenSocket:
    """Return the function that opens a socket to the venue."""

    async def open_socket() -> ClientConnection:
        return await connect(
            config.url,
            proxy=True if config.use_proxy else None,
            compression=None,
            open_timeout=config.open_timeout_ms / 1000,
            close_timeout=config.close_timeout_ms / 1000,
            ping_interval=None,
            max_size=config.max_frame_bytes,
        )

    return open_socket


class ConnectGate:
    """Lets handshakes through one by one: many at once are answered with 429."""

    def __init__(self, clock: Clock, spacing_ns: int) -> None:
        self._clock = clock
        self._spacing_ns = spacing_ns
        self._lock = asyncio.Lock()
        self._next_ns = 0

    async def turn(self) -> None:
        """Return when the next handshake may begin."""
        async with self._lock:
            wait_ns = self._next_ns - self._clock.mono_ns()
            if wait_ns > 0:
                await pause(self._clock, wait_ns)
            self._next_ns = self._clock.mono_ns() + self._spacing_ns


class MarketSocket:
    """One stream of the market feed."""

    def __init__(
        self,
        connection: Connection,
        config: FeedConfig,
        inbox: Inbox,
        clock: Clock,
        gate: ConnectGate,
        open_socket: OpenSocket,
    ) -> None:
        self.connection = connection
        self.frames = 0
        self.frame_bytes = 0
        self._config = config
        self._inbox = inbox
        self._clock = clock
        self._gate = gate
        self._open_socket = open_socket
        self._wake = asyncio.Event()
        self._outbox: list[str] = []
        self._end_reason = ""
        self._detail = ""
        self._log = _log.bind(stream=connection.stream)

    # --- called by the manager --------------------------------------------------------------------

    def assign(self, added: Mapping[str, tuple[str, ...]], removed: Iterable[str] = ()) -> None:
        """Carry more, or fewer, markets."""
        self._perform(self.connection.assign(self._clock.mono_ns(), added, removed))
        self._wake.set()

    def snapshot(self, markets: Iterable[str]) -> None:
        """Ask for fresh books of these markets."""
        self._perform(self.connection.snapshot(self._clock.mono_ns(), markets))
        self._wake.set()

    def stop(self) -> None:
        """End for good; :meth:`run` returns soon after."""
        self._perform(self.connection.stop(self._clock.mono_ns()))
        self._wake.set()

    async def run(self) -> None:
        """Keep the connection up until :meth:`stop`."""
        while self.connection.phase is not Phase.STOPPED:
            self._perform(self.connection.on_time(self._clock.mono_ns()))
            if self.connection.phase is Phase.CONNECTING:
                await self._connect()
            else:
                await self._sleep()

    # --- one connection ---------------------------------------------------------------------------

    async def _connect(self) -> None:
        await self._inbox.wait_room()
        await self._gate.turn()
        if self.connection.phase is not Phase.CONNECTING:
            return  # stopped meanwhile
        try:
            socket = await self._open_socket()
        except (OSError, EOFError, WebSocketException) as error:
            self._refused(error)
            return
        try:
            await self._session(socket)
        finally:
            await self._close(socket)

    def _refused(self, error: Exception) -> None:
        if self.connection.phase is not Phase.CONNECTING:
            return
        reason, retry_after_ns = _why_refused(error, self._clock.wall_ns())
        now_ns = self._clock.mono_ns()
        self.connection.refused(now_ns, reason, retry_after_ns)
        self._log.warning(
            "connect_failed",
            reason=reason,
            detail=str(error)[:200],
            retry_in_ms=(self.connection.retry_ns - now_ns) // MS,
        )

    async def _session(self, socket: ClientConnection) -> None:
        if self.connection.phase is not Phase.CONNECTING:
            return
        self._outbox.clear()
        self._end_reason = ""
        self._perform(self.connection.opened(self._clock.mono_ns()))
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(socket))
            while True:
                await self._flush(socket)
                self._perform(self.connection.on_time(self._clock.mono_ns()))
                if not self.connection.live:
                    break
                if not self._outbox:
                    await self._sleep()
            reader.cancel()

    async def _read(self, socket: ClientConnection) -> None:
        connection, inbox, clock = self.connection, self._inbox, self._clock
        try:
            while connection.live:
                payload = await socket.recv(decode=False)
                mono_ns = clock.mono_ns()
                if payload == b"PONG":
                    connection.pong(mono_ns)
                    continue
                frame = FrameIn(clock.wall_ns(), mono_ns, connection.stream, connection.generation, payload)
                if not inbox.put_frame(frame):
                    self._lost("overload", f"{inbox.frames} frames, {inbox.frame_bytes} bytes wait")
                    return
                connection.data(mono_ns, payload)
                self.frames += 1
                self.frame_bytes += len(payload)
        except ConnectionClosed as closed:
            self._closed(closed)

    def _closed(self, closed: ConnectionClosed) -> None:
        if closed.sent is not None and closed.sent.code == TOO_LARGE and not closed.rcvd_then_sent:
            detail = f"a frame exceeds {self._config.max_frame_bytes} bytes"
            if self.connection.live:
                rejected = FrameRejected(self.connection.stream, "too_large", detail)
                self._inbox.put_fact(self._clock.wall_ns(), rejected)
            self._lost("frame_too_large", detail)
            return
        code = closed.rcvd.code if closed.rcvd is not None else 1006
        self._lost(f"closed_{code}", str(closed)[:200])

    def _lost(self, reason: str, detail: str) -> None:
        self._detail = detail
        self._perform(self.connection.lost(self._clock.mono_ns(), reason))
        self._wake.set()

    async def _flush(self, socket: ClientConnection) -> None:
        while self._outbox and self.connection.live:
            text = self._outbox.pop(0)
            try:
                async with asyncio.timeout(self._config.send_timeout_ms / 1000):
                    await socket.send(text)
            except ConnectionClosed as closed:
                self._closed(closed)
            except TimeoutError:
                self._lost("send_stalled", f"sending {text[:40]} did not finish")

    async def _close(self, socket: ClientConnection) -> None:
        if self._end_reason not in POLITE:
            # A closing handshake would first read everything a silent or overwhelming peer still sends.
            socket.transport.abort()
        await socket.close()

    # --- actions ----------------------------------------------------------------------------------

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(text=text):
                    self._outbox.append(text)
                case Announce(fact=fact):
                    self._inbox.put_fact(self._clock.wall_ns(), fact)
                    self._report(fact)

    def _report(self, fact: StreamUp | StreamDown | SubscriptionChanged) -> None:
        match fact:
            case StreamUp(generation=generation, token_ids=token_ids):
                self._log.info("stream_up", generation=generation, tokens=len(token_ids))
            case StreamDown(generation=generation, reason=reason):
                self._end_reason = reason
                self._log.warning("stream_down", generation=generation, reason=reason, detail=self._detail)
                self._detail = ""
            case SubscriptionChanged(generation=generation, added=added, removed=removed):
                self._log.info("resubscribed", generation=generation, added=len(added), removed=len(removed))

    async def _sleep(self) -> None:
        due_ns = self.connection.due_ns()
        timeout_ns = None if due_ns is None else due_ns - self._clock.mono_ns()
        await self._clock.wait(self._wake, timeout_ns)
        self._wake.clear()


def _why_refused(error: Exception, now_wall_ns: int) -> tuple[str, int | None]:
    """Return a bounded reason, and how long the venue asks to stay away."""
    if isinstance(error, InvalidStatus):
        response = error.response
        reason = "limited" if response.status_code == 429 else f"http_{response.status_code}"
        return reason, retry_after_ns(response.headers.get("Retry-After"), now_wall_ns)
    if isinstance(error, TimeoutError):
        return "timeout", None
    return ("network" if isinstance(error, OSError | EOFError) else "handshake"), None
