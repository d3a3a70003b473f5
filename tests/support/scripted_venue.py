"""A venue on loopback that does what the test says: HTTP answers, and sockets under full control.

The test scripts HTTP answers by path, and takes each accepted WebSocket as a :class:`Session` to read
what the client sent and to send, fall silent, close or break as it likes.
"""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

PATIENCE_S = 5
"""How long a test waits for something that must come; reached only when the test fails."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; ``body`` is text, bytes, or an object to be sent as JSON."""

    body: object = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        body = self.body if isinstance(self.body, bytes) else _text(self.body).encode()
        headers = Headers({"Content-Length": str(len(body)), "Connection": "close", **self.headers})
        return Response(self.status, HTTPStatus(self.status).phrase, headers, body)


def _text(body: object) -> str:
    return body if isinstance(body, str) else json.dumps(body)


class Session:
    """The venue's end of one WebSocket."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.pings = 0
        self.answers_pings = True
        self.ended = asyncio.Event()
        self._received: asyncio.Queue[Any] = asyncio.Queue()

    async def receive(self) -> Any:
        """Return the next thing the client sent that is not PING, as JSON."""
        return await asyncio.wait_for(self._received.get(), PATIENCE_S)

    async def send(self, *items: object) -> None:
        """Send objects as JSON text, and text and bytes as they are."""
        for item in items:
            await self.socket.send(item if isinstance(item, bytes) else _text(item))

    async def sync(self) -> None:
        """Return when the client has read everything sent so far, and its answers have arrived."""
        for _ in range(2):
            await asyncio.wait_for(await self.socket.ping(), PATIENCE_S)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.socket.close(code, reason)

    def drop(self) -> None:
        """Break the connection without a closing handshake."""
        self.socket.transport.abort()

    async def wait_ended(self) -> None:
        await asyncio.wait_for(self.ended.wait(), PATIENCE_S)

    async def pump(self) -> None:
        try:
            async for message in self.socket:
                if message == "PING":
                    self.pings += 1
                    if self.answers_pings:
                        await self.socket.send("PONG")
                else:
                    self._received.put_nowait(json.loads(message))
        except ConnectionClosed:
            pass
        finally:
            self.ended.set()


class ScriptedVenue:
    """Use as an async context manager."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        """Paths with queries of all HTTP requests, in order."""
        self.handshakes = 0
        self._answers: dict[str, deque[Answer]] = {}
        self._refusals: deque[Answer] = deque()
        self._sessions: asyncio.Queue[Session] = asyncio.Queue()
        self._server: Server | None = None

    async def __aenter__(self) -> "ScriptedVenue":
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._process, ping_interval=None, close_timeout=1
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        assert self._server is not None
        host, port = next(iter(self._server.sockets)).getsockname()[:2]
        return f"{host}:{port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.address}/ws/market"

    @property
    def http_url(self) -> str:
        return f"http://{self.address}"

    def answer(self, path: str, *answers: Answer) -> None:
        """Answer requests for ``path`` (query included where it matters) in turn; the last one repeats."""
        self._answers[path] = deque(answers)

    def refuse_handshakes(self, *answers: Answer) -> None:
        """Answer the next handshakes with these instead of a socket."""
        self._refusals.extend(answers)

    async def accept(self) -> Session:
        """Return the next socket a client opened."""
        return await asyncio.wait_for(self._sessions.get(), PATIENCE_S)

    def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            self.handshakes += 1
            return self._refusals.popleft().response() if self._refusals else None
        self.requests.append(request.path)
        for path in (request.path, request.path.partition("?")[0]):
            answers = self._answers.get(path)
            if answers:
                return (answers.popleft() if len(answers) > 1 else answers[0]).response()
        return Answer({"error": "not found"}, 404).response()

    async def _serve(self, socket: ServerConnection) -> None:
        session = Session(socket)
        self._sessions.put_nowait(session)
        await session.pump()
