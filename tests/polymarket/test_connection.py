"""The connection's decisions, without a socket: heartbeat, silence, backoff, subscriptions, snapshots."""

import json
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from overround.core.events import StreamDown, StreamUp, SubscriptionChanged
from overround.polymarket.backoff import MAX_RETRY_AFTER_NS, Backoff, retry_after_ns
from overround.polymarket.connection import (
    LIVE,
    TRANSITIONS,
    Action,
    Announce,
    Connection,
    IllegalTransition,
    Phase,
    Send,
)
from overround.polymarket.feed_config import MS, FeedConfig

S = 1000 * MS
CONFIG = FeedConfig()
BOOK = b'[{"event_type":"book"}]'
DELTA = b'{"event_type":"price_change"}'
MARKETS = {"m1": ("1", "2"), "m2": ("3", "4")}


def facts(actions: list[Action]) -> list[StreamUp | StreamDown | SubscriptionChanged]:
    return [action.fact for action in actions if isinstance(action, Announce)]


def frames(actions: list[Action]) -> list[object]:
    texts = [action.text for action in actions if isinstance(action, Send)]
    return [text if text == "PING" else json.loads(text) for text in texts]


def waiting(config: FeedConfig = CONFIG) -> Connection:
    connection = Connection(3, config, Random(1))
    connection.assign(0, MARKETS)
    return connection


def opened(config: FeedConfig = CONFIG) -> Connection:
    connection = waiting(config)
    connection.on_time(0)
    connection.opened(0)
    return connection


def serving(config: FeedConfig = CONFIG) -> Connection:
    connection = opened(config)
    connection.data(0, BOOK)
    return connection


def run(connection: Connection, start_ns: int, seconds: int, every_s: int | None = None) -> list[Action]:
    """Let seconds pass, with PONGs, and with data every so many of them."""
    actions: list[Action] = []
    for second in range(1, seconds + 1):
        now_ns = start_ns + second * S
        if connection.live:
            connection.pong(now_ns)
        if every_s is not None and second % every_s == 0 and connection.live:
            connection.data(now_ns, DELTA)
        actions += connection.on_time(now_ns)
    return actions


# --- opening --------------------------------------------------------------------------------------


def test_without_markets_nothing_is_opened() -> None:
    connection = Connection(0, CONFIG, Random(1))
    assert connection.on_time(0) == []
    assert (connection.phase, connection.due_ns()) == (Phase.IDLE, None)


def test_opening_announces_then_subscribes_to_everything() -> None:
    connection = waiting()
    assert connection.on_time(0) == []
    assert connection.phase is Phase.CONNECTING
    actions = connection.opened(5)
    assert facts(actions) == [StreamUp(3, 1, ("1", "2", "3", "4"))]
    assert isinstance(actions[0], Announce)
    assert frames(actions) == [
        {
            "type": "market",
            "assets_ids": ["1", "2", "3", "4"],
            "custom_feature_enabled": True,
            "initial_dump": True,
        }
    ]


def test_markets_that_left_while_connecting_close_the_socket() -> None:
    connection = waiting()
    connection.on_time(0)
    connection.assign(0, {}, ["m1", "m2"])
    assert connection.opened(1) == []
    assert (connection.phase, connection.generation) == (Phase.IDLE, 0)


def test_ping_begins_after_the_subscription_and_repeats() -> None:
    connection = serving()
    assert "PING" not in frames(run(connection, 0, 9, every_s=1))
    assert frames(run(connection, 9 * S, 21, every_s=1)) == ["PING", "PING", "PING"]


# --- silence --------------------------------------------------------------------------------------


def test_a_busy_connection_that_falls_silent_is_replaced_although_it_answers_ping() -> None:
    connection = serving()
    run(connection, 0, 60, every_s=1)
    assert facts(run(connection, 60 * S, 29)) == []
    assert facts(run(connection, 89 * S, 1)) == [StreamDown(3, 1, "silent")]
    assert connection.ends == {"silent": 1}
    assert connection.probes == 0


def test_silence_is_measured_in_the_connections_own_gaps() -> None:
    connection = serving()
    run(connection, 0, 200, every_s=5)  # a mean gap of five seconds: 20 of them must pass
    assert facts(run(connection, 200 * S, 95)) == []
    assert facts(run(connection, 295 * S, 5)) == [StreamDown(3, 1, "silent")]


def test_a_quiet_connection_is_asked_for_one_book_and_kept_when_it_answers() -> None:
    connection = serving()
    actions = run(connection, 0, 120)
    assert facts(actions) == [SubscriptionChanged(3, 1, ("3", "4"))]
    assert [frame for frame in frames(actions) if frame != "PING"] == [
        {"operation": "unsubscribe", "assets_ids": ["3", "4"]},
        {"operation": "subscribe", "assets_ids": ["3", "4"], "custom_feature_enabled": True},
    ]
    connection.data(121 * S, BOOK)
    assert facts(run(connection, 121 * S, 119)) == []
    assert connection.live
    assert facts(run(connection, 240 * S, 1)) == [SubscriptionChanged(3, 1, ("1", "2"))]  # another market


def test_a_quiet_connection_that_does_not_answer_is_replaced() -> None:
    connection = serving()
    run(connection, 0, 120)
    assert facts(run(connection, 120 * S, 9)) == []
    assert facts(run(connection, 129 * S, 1)) == [StreamDown(3, 1, "silent")]


def test_a_socket_that_never_sends_a_book_is_replaced() -> None:
    connection = opened()
    run(connection, 0, 14, every_s=1)
    assert facts(run(connection, 14 * S, 1)) == [StreamDown(3, 1, "no_snapshot")]


def test_a_socket_that_answers_nothing_is_dead() -> None:
    connection = serving()
    for second in range(1, 30):
        assert facts(connection.on_time(second * S)) == []
    assert facts(connection.on_time(30 * S)) == [StreamDown(3, 1, "no_pong")]


def test_data_counts_as_life_without_pong() -> None:
    connection = serving()
    for second in range(1, 100):
        connection.data(second * S, DELTA)
        assert facts(connection.on_time(second * S)) == []


def test_scheduled_reconnect_is_immediate() -> None:
    connection = serving(FeedConfig(max_age_ms=60_000))
    assert facts(run(connection, 0, 60, every_s=1)) == [StreamDown(3, 1, "scheduled")]
    assert connection.due_ns() == 60 * S
    assert connection.failures == 0


# --- backoff --------------------------------------------------------------------------------------


def fail(connection: Connection, now_ns: int) -> int:
    """Let a connection open, deliver a book and break at once; return the wait before the next."""
    connection.on_time(now_ns)
    connection.opened(now_ns)
    connection.data(now_ns, BOOK)
    connection.lost(now_ns, "closed_1006")
    return connection.retry_ns - now_ns


def test_flapping_is_slowed_although_every_connection_brings_a_book() -> None:
    connection = waiting()
    now_ns = 0
    for attempt in range(12):
        wait_ns = fail(connection, now_ns)
        assert 0 <= wait_ns <= min(30_000, 250 << attempt) * MS
        now_ns += wait_ns
    assert connection.failures == 12


def test_only_a_healthy_connection_starts_the_backoff_anew() -> None:
    connection = waiting()
    for _ in range(5):
        fail(connection, connection.retry_ns)
    start_ns = connection.retry_ns
    connection.on_time(start_ns)
    connection.opened(start_ns)
    connection.data(start_ns, BOOK)
    run(connection, start_ns, 9, every_s=1)
    assert (connection.phase, connection.failures) == (Phase.SYNCING, 5)
    run(connection, start_ns + 9 * S, 1)
    assert (connection.phase, connection.failures) == (Phase.HEALTHY, 0)


def test_too_many_requests_wait_longer_and_as_long_as_asked() -> None:
    connection = waiting()
    connection.on_time(0)
    connection.refused(0, "limited")
    assert 2_500 * MS <= connection.retry_ns <= 5_000 * MS
    now_ns = connection.retry_ns
    connection.on_time(now_ns)
    connection.refused(now_ns, "limited", 60 * S)
    assert connection.retry_ns == now_ns + 60 * S
    assert connection.refusals == {"limited": 2}
    start_ns = connection.retry_ns
    connection.on_time(start_ns)
    connection.opened(start_ns)
    connection.data(start_ns, BOOK)
    run(connection, start_ns, 10, every_s=1)
    connection.lost(start_ns + 10 * S, "closed_1006")
    now_ns = connection.retry_ns
    connection.on_time(now_ns)
    connection.refused(now_ns, "limited")
    assert connection.retry_ns - now_ns <= 5_000 * MS  # a healthy connection in between: from the start


def test_streams_do_not_reconnect_in_step() -> None:
    waits = set()
    for seed in range(20):
        connection = Connection(seed, CONFIG, Random(seed))
        connection.assign(0, MARKETS)
        waits.add(fail(connection, 0))
    assert len(waits) > 15


def test_backoff_bounds() -> None:
    backoff = Backoff(10, 1000, Random(1), floor_ns=5)
    delays = [backoff.next_ns() for _ in range(200)]
    assert all(5 <= delay <= 1000 for delay in delays)
    assert max(delays[:3]) <= 40
    assert max(delays) > 900
    with pytest.raises(ValueError, match="need 0 <= floor 11 <= base 10"):
        Backoff(10, 1000, Random(1), floor_ns=11)


@pytest.mark.parametrize(
    ("text", "wait_ns"),
    [
        ("7", 7 * S),
        ("999999999999", MAX_RETRY_AFTER_NS),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40 * S),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("soon", None),
        ("-3", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(text: str | None, wait_ns: int | None) -> None:
    assert retry_after_ns(text, 60 * S) == wait_ns


# --- markets that come and go ---------------------------------------------------------------------


def test_markets_come_and_go_on_an_open_socket() -> None:
    connection = serving()
    actions = connection.assign(1, {"m3": ("5", "6")}, ["m1"])
    assert facts(actions) == [SubscriptionChanged(3, 1, ("5", "6"), ("1", "2"))]
    assert frames(actions) == [
        {"operation": "unsubscribe", "assets_ids": ["1", "2"]},
        {"operation": "subscribe", "assets_ids": ["5", "6"], "custom_feature_enabled": True},
    ]
    assert connection.token_ids == ("3", "4", "5", "6")


def test_the_last_market_takes_the_socket_with_it() -> None:
    connection = serving()
    assert facts(connection.assign(1, {}, ["m1", "m2"])) == [StreamDown(3, 1, "idle")]
    assert connection.phase is Phase.IDLE
    connection.assign(2, {"m3": ("5", "6")})
    assert (connection.phase, connection.due_ns()) == (Phase.WAITING, 2)


def test_stop_ends_the_generation_once() -> None:
    connection = serving()
    assert facts(connection.stop(1)) == [StreamDown(3, 1, "stopped")]
    assert connection.stop(2) == []
    assert connection.lost(3, "closed_1006") == []
    with pytest.raises(IllegalTransition, match="stream 3: stopped to syncing"):
        connection.opened(4)


# --- snapshots ------------------------------------------------------------------------------------


def test_snapshot_requests_are_coalesced_and_cooled_down() -> None:
    connection = serving()
    assert facts(connection.snapshot(0, ["m1", "unknown"])) == [SubscriptionChanged(3, 1, ("1", "2"))]
    assert connection.snapshot(1, ["m1"]) == []
    assert connection.snapshot(2, ["m1"]) == []
    assert (connection.snapshots_sent, connection.snapshots_coalesced) == (1, 1)
    assert facts(run(connection, 0, 1, every_s=1)) == []
    assert facts(run(connection, 1 * S, 1, every_s=1)) == [SubscriptionChanged(3, 1, ("1", "2"))]


def test_snapshots_have_a_budget_per_second() -> None:
    connection = opened(FeedConfig(snapshots_per_s=2))
    connection.data(0, BOOK)
    connection.assign(0, {f"n{n}": (f"a{n}", f"b{n}") for n in range(5)})
    asked = [len(facts(connection.snapshot(0, [f"n{n}" for n in range(5)])))]
    tokens = []
    for second in range(1, 4):
        for fact in facts(run(connection, (second - 1) * S, 1, every_s=1)):
            assert isinstance(fact, SubscriptionChanged)
            tokens.append(len(fact.added))
    assert asked == [1]
    assert tokens == [4, 2]  # two markets in the second after, the last one in the next


def ask(connection: Connection, at_s: int) -> list[object]:
    actions = connection.snapshot(at_s * S, ["m1"])
    connection.data(at_s * S, DELTA)  # the other markets are served
    return [type(fact).__name__ if isinstance(fact, SubscriptionChanged) else fact for fact in facts(actions)]


def test_a_dead_subscription_on_a_live_socket_costs_one_reconnect() -> None:
    connection = serving()
    for at_s in (0, 2, 4, 8, 16):
        assert ask(connection, at_s) == ["SubscriptionChanged"]
    assert ask(connection, 32) == [StreamDown(3, 1, "unanswered")]
    start_ns = connection.retry_ns
    connection.on_time(start_ns)
    connection.opened(start_ns)
    connection.data(start_ns, BOOK)
    for at_s in range(40, 120, 10):  # the same market again: the others are not made to pay twice
        assert ask(connection, at_s) == ["SubscriptionChanged"]


def test_requests_far_apart_are_no_dead_subscription() -> None:
    connection = serving()
    for at_s in range(0, 2000, 121):
        assert ask(connection, at_s) == ["SubscriptionChanged"]


def test_a_new_connection_answers_pending_requests_by_its_dump() -> None:
    connection = serving()
    connection.snapshot(0, ["m1"])
    connection.snapshot(1, ["m1"])
    connection.lost(2, "closed_1006")
    assert connection.snapshot(3, ["m2"]) == []
    start_ns = connection.retry_ns
    connection.on_time(start_ns)
    connection.opened(start_ns)
    connection.data(start_ns, BOOK)
    assert facts(run(connection, start_ns, 5, every_s=1)) == []


# --- any order of events --------------------------------------------------------------------------


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: facts tell one consistent story."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection(0, FeedConfig(max_age_ms=90_000), Random(7))
        self.now_ns = 0
        self.up: int | None = None
        self.tokens: set[str] = set()

    def follow(self, actions: list[Action]) -> None:
        for fact in facts(actions):
            match fact:
                case StreamUp(generation=generation, token_ids=token_ids):
                    assert self.up is None
                    self.up, self.tokens = generation, set(token_ids)
                case StreamDown(generation=generation):
                    assert self.up == generation
                    self.up, self.tokens = None, set()
                case SubscriptionChanged(generation=generation, added=added, removed=removed):
                    assert self.up == generation
                    self.tokens = (self.tokens - set(removed)) | set(added)

    @rule(seconds=st.sampled_from([0, 1, 10, 40, 130]))
    def time(self, seconds: int) -> None:
        self.now_ns += seconds * S
        self.follow(self.connection.on_time(self.now_ns))

    @rule(market=st.integers(0, 3), away=st.booleans())
    def assign(self, market: int, away: bool) -> None:
        key = f"m{market}"
        if away:
            self.follow(self.connection.assign(self.now_ns, {}, [key]))
        elif key not in self.connection.markets and self.connection.phase is not Phase.STOPPED:
            self.follow(self.connection.assign(self.now_ns, {key: (f"{key}y", f"{key}n")}))

    @precondition(lambda self: self.connection.phase is Phase.CONNECTING)
    @rule(works=st.booleans())
    def connect(self, works: bool) -> None:
        if works:
            self.follow(self.connection.opened(self.now_ns))
        else:
            self.connection.refused(self.now_ns, "network")

    @precondition(lambda self: self.connection.live)
    @rule(payload=st.sampled_from([BOOK, DELTA, b"PONG"]), times=st.integers(1, 30))
    def receive(self, payload: bytes, times: int) -> None:
        for _ in range(times):
            if payload == b"PONG":
                self.connection.pong(self.now_ns)
            else:
                self.connection.data(self.now_ns, payload)

    @rule()
    def lose(self) -> None:
        self.follow(self.connection.lost(self.now_ns, "closed_1006"))

    @rule(market=st.integers(0, 3))
    def snapshot(self, market: int) -> None:
        self.follow(self.connection.snapshot(self.now_ns, [f"m{market}"]))

    @invariant()
    def story_agrees_with_state(self) -> None:
        connection = self.connection
        assert connection.live == (connection.phase in LIVE) == (self.up is not None)
        if self.up is not None:
            assert self.up == connection.generation
            assert self.tokens == set(connection.token_ids)
            due_ns = connection.due_ns()
            assert due_ns is not None
            assert due_ns <= self.now_ns + S
        if connection.phase is Phase.IDLE:
            assert not connection.markets
        assert connection.failures <= sum(connection.ends.values()) + sum(connection.refusals.values())


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_table_is_closed_and_stop_is_final() -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert not TRANSITIONS[Phase.STOPPED]
    assert all(Phase.STOPPED in after for phase, after in TRANSITIONS.items() if phase is not Phase.STOPPED)
