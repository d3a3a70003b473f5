"""The driver of sockets: batches when something is ready or due, and an orderly end."""

import asyncio

from overround.core.events import RunEnded, StreamDown, TimerFired
from overround.polymarket.inbox import FrameIn, Inbox
from overround.runtime.live import LiveLoop, LoopSettings
from overround.runtime.sequencer import Step
from tests.runtime.doubles import Bench, bench

MS = 1_000_000


class OpenOrders:
    """Says how many orders are open."""

    def __init__(self, count: int) -> None:
        self.count = count

    def open_count(self) -> int:
        return self.count


class Live:
    """A loop whose clock moves one millisecond at every look."""

    def __init__(self, open_orders: int = 0, settings: LoopSettings | None = None) -> None:
        self.it: Bench = bench()
        self.orders = OpenOrders(open_orders)
        # The loop asks the engine for its open orders only.
        self.it.engine.orders = self.orders  # type: ignore[attr-defined]
        self.inbox = Inbox()
        self.steps: list[Step] = []
        self.now_ns = 0
        self.stop_when = 1
        settings = settings or LoopSettings()
        self.loop = LiveLoop(self.it.sequencer, self.inbox, settings, self._stepped, self._clock)

    def _clock(self) -> int:
        self.now_ns += MS
        return self.now_ns

    def _stepped(self, step: Step) -> None:
        self.steps.append(step)
        if len(self.steps) == self.stop_when:
            self.loop.stop("test is over")

    def facts(self) -> list[object]:
        return [entry[1] for entry in self.it.diary.entries if entry[0] == "fact"]


async def test_what_is_ready_is_one_batch() -> None:
    live = Live()
    for n in range(3):
        live.inbox.put_frame(FrameIn(n, n, 1, 1, b"%d" % n))
    await live.loop.run()
    assert live.steps[0].frames == 3
    assert RunEnded("test is over") in live.facts()


async def test_a_batch_is_bounded() -> None:
    live = Live(settings=LoopSettings(max_batch=2))
    live.stop_when = 2
    for n in range(5):
        live.inbox.put_frame(FrameIn(n, n, 1, 1, b"%d" % n))
    await live.loop.run()
    assert [step.frames for step in live.steps[:2]] == [2, 2]


async def test_timers_fire_in_silence() -> None:
    live = Live(settings=LoopSettings(timer_ns=3 * MS))
    live.stop_when = 4
    async with asyncio.timeout(5):
        await live.loop.run()
    assert live.facts().count(TimerFired("tick")) >= 2


async def test_news_of_the_venue_wake_the_loop() -> None:
    live = Live(settings=LoopSettings(timer_ns=10**15))
    news = StreamDown(1, 1, "news")
    live.it.venue.news = [(5 * MS, news)]
    live.stop_when = 2
    async with asyncio.timeout(5):
        await live.loop.run()
    assert news in live.facts()


async def test_the_end_waits_for_the_answers_to_the_last_cancels() -> None:
    live = Live(1, LoopSettings(timer_ns=MS))
    answered = StreamDown(1, 1, "stands for the cancellation")
    live.it.venue.news = [(20 * MS, answered)]
    original = live.it.engine.on_fact

    def on_fact(fact: object, ts_ns: int) -> None:
        if fact == answered:
            live.orders.count = 0
        original(fact, ts_ns)  # type: ignore[arg-type]  # the double takes any fact

    live.it.engine.on_fact = on_fact  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        await live.loop.run()
    facts = live.facts()
    assert facts.index(RunEnded("test is over")) < facts.index(answered)


async def test_the_end_does_not_wait_for_ever() -> None:
    live = Live(1, LoopSettings(timer_ns=MS, drain_timeout_s=0.02))
    async with asyncio.timeout(5):
        await live.loop.run()
    assert live.orders.count == 1
