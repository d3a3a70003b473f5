"""The system clock waits for whichever comes first."""

import asyncio

import pytest

from overround.polymarket.clock import SystemClock, pause


@pytest.mark.parametrize("timeout_ns", [-5, 0, 1_000_000])
async def test_time_ends_a_wait(timeout_ns: int) -> None:
    clock, event = SystemClock(), asyncio.Event()
    before_ns = clock.mono_ns()
    async with asyncio.timeout(5):
        await clock.wait(event, timeout_ns)
        await pause(clock, timeout_ns)
    assert (
        clock.mono_ns() - before_ns >= 2 * max(0, timeout_ns) * 9 // 10
    )  # timers of some systems are coarse


@pytest.mark.parametrize("timeout_ns", [None, 3_600 * 10**9])
async def test_an_event_ends_a_wait(timeout_ns: int | None) -> None:
    event = asyncio.Event()
    waiter = asyncio.create_task(SystemClock().wait(event, timeout_ns))
    await asyncio.sleep(0)
    event.set()
    await asyncio.wait_for(waiter, 5)


async def test_cancelling_a_wait_is_not_its_end() -> None:
    waiter = asyncio.create_task(SystemClock().wait(asyncio.Event(), 3_600 * 10**9))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
