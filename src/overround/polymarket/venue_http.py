"""Reads over HTTP, repeated where that is safe: the one place that knows the venue's HTTP manners.

Invariants: reads only (nothing here may place an order); an answer is complete and at most
``max_body_bytes`` long, or it is an error; 429 waits as long as the venue asks; what stays broken after
all attempts is ``ReadFailed``, what the venue refuses for good is ``ReadRefused``. Must not know what
an answer means.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import httpx
import msgspec
import stamina

from overround.polymarket.backoff import retry_after_ns

Params: TypeAlias = Mapping[str, str | int | bool | Sequence[str]]

RETRYABLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
"""Statuses that may pass: timeouts, the venue's restart (425), limits, server and Cloudflare errors."""


class ReadError(Exception):
    """A read did not succeed."""


class ReadRefused(ReadError):
    """The venue answered that it will not answer this: repeating is pointless."""

    def __init__(self, path: str, status: int, body: str) -> None:
        super().__init__(f"{path}: HTTP {status} {body}".rstrip())
        self.status = status


class ReadFailed(ReadError):
    """The answer did not come, or was not whole."""


class _Transient(ReadFailed):
    """One attempt failed; ``wait_s`` is what the venue asked for."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds. Start and cap follow the venue's advice for 425, 503 and timeouts."""

    attempts: int = 6
    total_s: float = 90.0
    first_wait_s: float = 1.0
    max_wait_s: float = 30.0
    jitter_s: float = 1.0
    timeout_s: float = 15.0
    """Of one attempt's connecting, sending, and each read."""


DEFAULT_POLICY: Final = RetryPolicy()


class VenueReads:
    """GET requests to one host of the venue."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str,
        policy: RetryPolicy = DEFAULT_POLICY,
        max_body_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.retries = 0
        """Attempts that failed and were followed by another or by ``ReadFailed``."""
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._policy = policy
        self._max_body_bytes = max_body_bytes

    async def get(self, path: str, params: Params | None = None) -> bytes:
        """Return the body of a 200 answer.

        Raises:
            ReadRefused: a status that repeating will not change.
            ReadFailed: all attempts failed, or the answer exceeds the bound.
        """
        policy = self._policy
        caller = stamina.AsyncRetryingCaller(
            attempts=policy.attempts,
            timeout=policy.total_s,
            wait_initial=policy.first_wait_s,
            wait_max=policy.max_wait_s,
            wait_jitter=policy.jitter_s,
        )
        return await caller(self._again, self._once, path, params or {})

    def _again(self, error: Exception) -> bool | float:
        if not isinstance(error, _Transient):
            return False
        self.retries += 1
        return True if error.wait_s is None else error.wait_s

    async def _once(self, path: str, params: Params) -> bytes:
        query = httpx.QueryParams({key: _plain(value) for key, value in params.items()})
        try:
            async with self._http.stream(
                "GET", self._base_url + path, params=query, timeout=self._policy.timeout_s
            ) as response:
                body = await self._body(path, response)
        except httpx.TransportError as error:
            raise _Transient(f"{path}: {type(error).__name__} {error}".rstrip()) from error
        except httpx.DecodingError as error:
            raise _Transient(f"{path}: {error}") from error
        if response.status_code == 200:
            return body
        text = body[:200].decode("utf-8", "replace")
        if response.status_code in RETRYABLE:
            wait_ns = retry_after_ns(response.headers.get("Retry-After"), time.time_ns())
            raise _Transient(
                f"{path}: HTTP {response.status_code} {text}", None if wait_ns is None else wait_ns / 1e9
            )
        raise ReadRefused(path, response.status_code, text)

    async def _body(self, path: str, response: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self._max_body_bytes:
                raise ReadFailed(f"{path}: the answer exceeds {self._max_body_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def _plain(value: str | int | bool | Sequence[str]) -> str | list[str]:
    """Return a query value as the venue spells it; a list becomes a repeated key."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else list(value)
