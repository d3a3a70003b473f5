"""The inbox: order, bounds, and the overload rule."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import StreamDown
from overround.polymarket.inbox import FactIn, FrameIn, Inbox, Incoming

DOWN = StreamDown(0, 1, "closed_1006")


def frame(n: int, size: int = 1) -> FrameIn:
    return FrameIn(n, n, 0, 1, b"x" * size)


@given(
    st.lists(st.one_of(st.integers(0, 9), st.none(), st.just("drain")), max_size=40),
    st.integers(1, 5),
    st.integers(1, 20),
    st.integers(1, 4),
)
def test_what_was_taken_comes_out_in_order(
    steps: list[int | str | None], max_frames: int, max_bytes: int, batch: int
) -> None:
    inbox = Inbox(max_frames, max_bytes)
    put: list[Incoming] = []
    got: list[Incoming] = []
    for n, step in enumerate(steps):
        if step == "drain":
            got += inbox.drain(batch)
        elif isinstance(step, int):
            waiting = [item for item in put[len(got) :] if isinstance(item, FrameIn)]
            fits = len(waiting) < max_frames and (
                not waiting or sum(len(f.payload) for f in waiting) + step <= max_bytes
            )
            assert inbox.put_frame(frame(n, step)) is fits
            if fits:
                put.append(frame(n, step))
        else:
            inbox.put_fact(n, DOWN)
            put.append(FactIn(n, DOWN))
        assert len(inbox) == len(put) - len(got)
    while rest := inbox.drain(batch):
        got += rest
    assert got == put
    assert (len(inbox), inbox.frames, inbox.frame_bytes) == (0, 0, 0)


async def test_waiting_ends_when_something_arrives() -> None:
    inbox = Inbox()
    waiter = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    assert not waiter.done()
    inbox.put_fact(1, DOWN)
    await waiter
    inbox.drain(10)
    again = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    assert not again.done()
    assert inbox.put_frame(frame(1))
    await again


async def test_after_a_refusal_there_is_room_again_at_half() -> None:
    inbox = Inbox(max_frames=4)
    await inbox.wait_room()
    assert [inbox.put_frame(frame(n)) for n in range(5)] == [True] * 4 + [False]
    assert inbox.refused_frames == 1
    waiter = asyncio.create_task(inbox.wait_room())
    inbox.drain(1)
    await asyncio.sleep(0)
    assert not waiter.done()
    inbox.drain(1)
    await waiter
