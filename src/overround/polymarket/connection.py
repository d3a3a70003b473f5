"""One market-channel connection as a state machine: every decision, no socket, no clock.

    IDLE ──assign──► WAITING ──time──► CONNECTING ──opened──► SYNCING ──healthy──► HEALTHY
      ▲                 ▲                   │ refused             │ end                │ end
      └── no markets ───┴───────────────────┴─────────────────────┴────────────────────┘
    any ──stop──► STOPPED

Invariants: ``generation`` grows by one with every connection that opens; StreamUp comes before the
first subscription, StreamDown ends the generation exactly once; the backoff starts anew only after a
connection delivered a book and lasted ``healthy_ms``; PING is sent only after a subscription (the
venue closes a socket that pings before). Silence is judged for the connection as a whole: a busy one
that falls silent is replaced, a quiet one is first asked for a book. Methods return the actions to
carry out, in order; time is the caller's monotonic clock in nanoseconds.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from random import Random
from typing import Final, TypeAlias

import msgspec

from overround.core.events import StreamDown, StreamUp, SubscriptionChanged
from overround.polymarket.backoff import Backoff
from overround.polymarket.feed_config import MS, FeedConfig

SECOND_NS: Final = 1_000_000_000


class Phase(StrEnum):
    """States; the drawing above is the whole table."""

    IDLE = "idle"
    WAITING = "waiting"
    CONNECTING = "connecting"
    SYNCING = "syncing"
    HEALTHY = "healthy"
    STOPPED = "stopped"


LIVE: Final = frozenset({Phase.SYNCING, Phase.HEALTHY})

TRANSITIONS: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.IDLE: frozenset({Phase.WAITING, Phase.STOPPED}),
    Phase.WAITING: frozenset({Phase.CONNECTING, Phase.IDLE, Phase.STOPPED}),
    Phase.CONNECTING: frozenset({Phase.SYNCING, Phase.WAITING, Phase.IDLE, Phase.STOPPED}),
    Phase.SYNCING: frozenset({Phase.HEALTHY, Phase.WAITING, Phase.IDLE, Phase.STOPPED}),
    Phase.HEALTHY: frozenset({Phase.WAITING, Phase.IDLE, Phase.STOPPED}),
    Phase.STOPPED: frozenset(),
}


class IllegalTransition(RuntimeError):
    """The machine was asked for a step its table does not have: a bug in the caller."""


class Send(msgspec.Struct, frozen=True):
    """Send this text frame."""

    text: str


class Announce(msgspec.Struct, frozen=True):
    """Put this fact into the inbox."""

    fact: StreamUp | StreamDown | SubscriptionChanged


Action: TypeAlias = Send | Announce


class _Asked(msgspec.Struct, frozen=True):
    """When, and how often in a row, a market's book was asked for."""

    last_ns: int
    times: int


class Connection:
    """The connection of one stream (one shard of the markets)."""

    def __init__(self, stream: int, config: FeedConfig, rng: Random) -> None:
        self.stream = stream
        self.phase = Phase.IDLE
        self.generation = 0
        self.markets: dict[str, tuple[str, ...]] = {}
        """Tokens of each market this connection carries."""
        self.ends: Counter[str] = Counter()
        """Ended connections by reason: each is a resync."""
        self.refusals: Counter[str] = Counter()
        """Failed attempts to connect by reason."""
        self.snapshots_sent = 0
        self.snapshots_coalesced = 0
        self.probes = 0
        self.pings = 0
        self.pongs = 0
        self._config = config
        self._backoff = Backoff(config.backoff_base_ms * MS, config.backoff_cap_ms * MS, rng)
        self._limited = Backoff(
            config.limited_base_ms * MS, config.limited_cap_ms * MS, rng, config.limited_base_ms * MS // 2
        )
        self._retry_ns = 0
        self._opened_ns = 0
        self._received_ns = 0
        self._data_ns = 0
        self._frames = 0
        self._has_snapshot = False
        self._probe_ns: int | None = None
        self._probe_turn = 0
        self._ping_ns = 0
        self._check_ns = 0
        self._wanted: dict[str, None] = {}
        self._asked: dict[str, _Asked] = {}
        self._escalated_ns: int | None = None
        self._window_ns = 0
        self._window_used = 0

    # --- what the runner asks ---------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Whether a socket is open."""
        return self.phase in LIVE

    @property
    def token_ids(self) -> tuple[str, ...]:
        """All tokens this connection carries."""
        return tuple(token for tokens in self.markets.values() for token in tokens)

    @property
    def failures(self) -> int:
        """Failures since the last healthy connection."""
        return self._backoff.failures

    def data_age_ns(self, now_ns: int) -> int | None:
        """Return how long the open socket has been without data, ``None`` when it is not open."""
        return now_ns - self._data_ns if self.live else None

    def due_ns(self) -> int | None:
        """Return when :meth:`on_time` must run next, ``None`` when only an event can change anything."""
        if self.phase is Phase.WAITING:
            return self._retry_ns
        if not self.live:
            return None
        return min(self._ping_ns, self._check_ns)

    # --- what happens -----------------------------------------------------------------------------

    def on_time(self, now_ns: int) -> list[Action]:
        """Do what is due: connect (phase becomes CONNECTING), ping, judge silence, ask for snapshots."""
        if self.phase is Phase.WAITING:
            if now_ns >= self._retry_ns:
                self._go(Phase.CONNECTING)
            return []
        if not self.live:
            return []
        self._check_ns = now_ns + SECOND_NS
        reason = self._reason_to_end(now_ns)
        if reason is not None:
            return self._end(now_ns, reason)
        self._judge_health(now_ns)
        actions: list[Action] = []
        if now_ns >= self._ping_ns:
            self._ping_ns = now_ns + self._config.ping_ms * MS
            self.pings += 1
            actions.append(Send("PING"))
        return actions + self._flush_snapshots(now_ns)

    def opened(self, now_ns: int) -> list[Action]:
        """Take note that the socket is open: a new generation begins."""
        if not self.markets:
            self._go(Phase.IDLE)
            return []
        self._go(Phase.SYNCING)
        self.generation += 1
        self._opened_ns = self._received_ns = self._data_ns = now_ns
        self._frames = 0
        self._has_snapshot = False
        self._probe_ns = None
        self._wanted.clear()  # the initial dump answers them
        self._asked.clear()
        self._ping_ns = now_ns + self._config.ping_ms * MS
        self._check_ns = now_ns + SECOND_NS
        return [
            Announce(StreamUp(self.stream, self.generation, self.token_ids)),
            Send(_first_frame(self.token_ids)),
        ]

    def refused(self, now_ns: int, reason: str, retry_after_ns: int | None = None) -> None:
        """Take note that connecting failed. ``limited`` (HTTP 429) waits longer, and as long as asked."""
        self.refusals[reason] += 1
        delay_ns = self._limited.next_ns() if reason == "limited" else self._backoff.next_ns()
        self._retry_ns = now_ns + max(delay_ns, retry_after_ns or 0)
        self._go(Phase.WAITING if self.markets else Phase.IDLE)

    def data(self, now_ns: int, payload: bytes) -> None:
        """Take note of a data frame of the open socket."""
        self._received_ns = self._data_ns = now_ns
        self._frames += 1
        self._probe_ns = None
        if not self._has_snapshot and b'"book"' in payload:
            self._has_snapshot = True

    def pong(self, now_ns: int) -> None:
        """Take note of a PONG: the socket lives, which says nothing about its data."""
        self.pongs += 1
        self._received_ns = now_ns

    def lost(self, now_ns: int, reason: str) -> list[Action]:
        """Take note that the socket ended, or must end: closed, overload, frame_too_large, …"""
        return self._end(now_ns, reason) if self.live else []

    def assign(
        self, now_ns: int, added: Mapping[str, tuple[str, ...]], removed: Iterable[str] = ()
    ) -> list[Action]:
        """Carry more, or fewer, markets; an open socket is told at once."""
        gone = [token for market in removed for token in self._forget(market)]
        self.markets.update(added)
        if self.phase is Phase.IDLE and self.markets:
            self._retry_ns = now_ns
            self._go(Phase.WAITING)
        elif self.phase is Phase.WAITING and not self.markets:
            self._go(Phase.IDLE)
        if not self.live:
            return []
        if not self.markets:
            return self._end(now_ns, "idle")
        new = tuple(token for tokens in added.values() for token in tokens)
        actions: list[Action] = [
            Announce(SubscriptionChanged(self.stream, self.generation, new, tuple(gone))),
        ]
        if gone:
            actions.append(Send(_operation("unsubscribe", gone)))
        if new:
            actions.append(Send(_operation("subscribe", new)))
        return actions

    def snapshot(self, now_ns: int, markets: Iterable[str]) -> list[Action]:
        """Ask for fresh books of these markets; requests are coalesced and throttled."""
        if not self.live:
            return []  # the dump of the next connection answers
        for market in markets:
            if market in self._wanted:
                self.snapshots_coalesced += 1
            elif market in self.markets:
                self._wanted[market] = None
        return self._flush_snapshots(now_ns)

    def stop(self, now_ns: int) -> list[Action]:
        """End for good."""
        actions: list[Action] = []
        if self.live:
            self.ends["stopped"] += 1
            actions.append(Announce(StreamDown(self.stream, self.generation, "stopped")))
        if self.phase is not Phase.STOPPED:
            self._go(Phase.STOPPED)
        self._retry_ns = now_ns
        return actions

    # --- decisions --------------------------------------------------------------------------------

    def _go(self, phase: Phase) -> None:
        if phase not in TRANSITIONS[self.phase]:
            raise IllegalTransition(f"stream {self.stream}: {self.phase} to {phase}")
        self.phase = phase

    def _reason_to_end(self, now_ns: int) -> str | None:
        config = self._config
        age_ns = now_ns - self._opened_ns
        if now_ns - self._received_ns >= config.dead_ms * MS:
            return "no_pong"
        if not self._has_snapshot:
            return "no_snapshot" if age_ns >= config.snapshot_timeout_ms * MS else None
        if self._probe_ns is not None:
            return "silent" if now_ns >= self._probe_ns else None
        silence_ns = now_ns - self._data_ns
        if self._frames >= config.busy_frames:
            mean_gap_ns = (self._data_ns - self._opened_ns) // self._frames
            if silence_ns >= max(config.data_age_ms * MS, config.silence_factor * mean_gap_ns):
                return "silent"
        if silence_ns >= config.quiet_probe_ms * MS:
            self._probe(now_ns)
        if config.max_age_ms is not None and age_ns >= config.max_age_ms * MS:
            return "scheduled"
        return None

    def _probe(self, now_ns: int) -> None:
        """Ask for one market's book, another one each time: an answer proves that data still flows."""
        markets = list(self.markets)
        self._probe_turn = (self._probe_turn + 1) % len(markets)
        market = markets[self._probe_turn]
        self._wanted[market] = None
        self._asked.pop(market, None)
        self._probe_ns = now_ns + self._config.probe_timeout_ms * MS
        self.probes += 1

    def _judge_health(self, now_ns: int) -> None:
        lasted = now_ns - self._opened_ns >= self._config.healthy_ms * MS
        if self.phase is Phase.SYNCING and self._has_snapshot and lasted:
            self._go(Phase.HEALTHY)
            self._backoff.reset()
            self._limited.reset()

    def _flush_snapshots(self, now_ns: int) -> list[Action]:
        due = self._due_snapshots(now_ns)
        if not due:
            return []
        if self._unanswered(now_ns, due):
            self._escalated_ns = now_ns
            return self._end(now_ns, "unanswered")
        self.snapshots_sent += len(due)
        # The venue sends a book to a new subscription only, so the tokens leave and come back. Changes
        # in between are lost: the books wait for the snapshot, which the announcement tells them.
        tokens = [token for market in due for token in self.markets[market]]
        return [
            Announce(SubscriptionChanged(self.stream, self.generation, tuple(tokens))),
            Send(_operation("unsubscribe", tokens)),
            Send(_operation("subscribe", tokens)),
        ]

    def _due_snapshots(self, now_ns: int) -> list[str]:
        if now_ns - self._window_ns >= SECOND_NS:
            self._window_ns, self._window_used = now_ns, 0
        cooldown_ns = self._config.snapshot_cooldown_ms * MS
        due: list[str] = []
        for market in self._wanted:
            if self._window_used == self._config.snapshots_per_s:
                break
            asked = self._asked.get(market)
            if asked is None or now_ns - asked.last_ns >= cooldown_ns:
                self._window_used += 1
                due.append(market)
        for market in due:
            del self._wanted[market]
        return due

    def _unanswered(self, now_ns: int, due: Iterable[str]) -> bool:
        """Count what is asked; whether one market was asked for so often that only a new socket may help.

        A dead subscription on a live socket is often not revived by subscribing again. One bad market
        may cost the others a reconnect only once per ``escalation_pause_ms``.
        """
        config = self._config
        hopeless = False
        for market in due:
            asked = self._asked.get(market)
            in_a_row = asked is not None and now_ns - asked.last_ns <= config.snapshot_memory_ms * MS
            times = asked.times + 1 if asked is not None and in_a_row else 1
            self._asked[market] = _Asked(now_ns, times)
            hopeless |= times > config.snapshot_tries
        pause_ns = config.escalation_pause_ms * MS
        return hopeless and (self._escalated_ns is None or now_ns - self._escalated_ns >= pause_ns)

    def _forget(self, market: str) -> tuple[str, ...]:
        self._wanted.pop(market, None)
        self._asked.pop(market, None)
        return self.markets.pop(market, ())

    def _end(self, now_ns: int, reason: str) -> list[Action]:
        self.ends[reason] += 1
        planned = reason in ("idle", "scheduled")
        self._retry_ns = now_ns if planned else now_ns + self._backoff.next_ns()
        self._go(Phase.WAITING if self.markets else Phase.IDLE)
        return [Announce(StreamDown(self.stream, self.generation, reason))]

    @property
    def retry_ns(self) -> int:
        """When the next attempt to connect is due, if one is."""
        return self._retry_ns


def _first_frame(token_ids: Iterable[str]) -> str:
    """Return the frame that opens a subscription; a misspelt key would silently yield nothing."""
    return msgspec.json.encode(
        {
            "type": "market",
            "assets_ids": list(token_ids),
            "custom_feature_enabled": True,
            "initial_dump": True,
        }
    ).decode()


def _operation(operation: str, token_ids: Iterable[str]) -> str:
    frame: dict[str, object] = {"operation": operation, "assets_ids": list(token_ids)}
    if operation == "subscribe":
        frame["custom_feature_enabled"] = True
    return msgspec.json.encode(frame).decode()
