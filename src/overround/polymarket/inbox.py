"""The one way in: raw frames and facts in the order of their arrival, bounded.

Invariants: a frame that does not fit is refused, so its stream must disconnect and resync (a frame is
never dropped silently); a fact is never refused; what comes out is exactly what went in, in order.
For one event loop; not thread-safe. Must not know what frames mean.
"""

import asyncio
from collections import deque
from typing import TypeAlias

import msgspec

from overround.core.events import Fact


class FrameIn(msgspec.Struct, frozen=True, gc=False):
    """A raw frame as received. ``recv_wall_ns`` is UTC, ``recv_mono_ns`` the monotonic clock."""

    recv_wall_ns: int
    recv_mono_ns: int
    stream: int
    generation: int
    payload: bytes


class FactIn(msgspec.Struct, frozen=True):
    """A fact with its receive time (UTC nanoseconds)."""

    ts_ns: int
    fact: Fact


Incoming: TypeAlias = FrameIn | FactIn


class Inbox:
    """A queue bounded by frames and by their bytes."""

    def __init__(self, max_frames: int = 100_000, max_bytes: int = 256 * 1024 * 1024) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._items: deque[Incoming] = deque()
        self._frames = 0
        self._bytes = 0
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.refused_frames = 0
        """Frames that did not fit; each made a stream resync."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def frames(self) -> int:
        """Frames waiting."""
        return self._frames

    @property
    def frame_bytes(self) -> int:
        """Bytes of the frames waiting."""
        return self._bytes

    def put_frame(self, frame: FrameIn) -> bool:
        """Append a frame. ``False`` means that it did not fit: the caller must stop its stream."""
        size = len(frame.payload)
        # A single frame is always taken: one larger than the bound would otherwise never get through.
        if self._frames >= self._max_frames or (self._frames and self._bytes + size > self._max_bytes):
            self.refused_frames += 1
            self._room.clear()
            return False
        self._items.append(frame)
        self._frames += 1
        self._bytes += size
        if not self._ready.is_set():
            self._ready.set()
        return True

    def put_fact(self, ts_ns: int, fact: Fact) -> None:
        """Append a fact; it always fits."""
        self._items.append(FactIn(ts_ns, fact))
        self._ready.set()

    def drain(self, max_items: int) -> list[Incoming]:
        """Remove and return up to ``max_items`` items, oldest first; empty when nothing waits."""
        items = self._items
        if len(items) <= max_items:
            taken = list(items)
            items.clear()
            self._frames = self._bytes = 0
            self._ready.clear()
        else:
            taken = [items.popleft() for _ in range(max_items)]
            for item in taken:
                if isinstance(item, FrameIn):
                    self._frames -= 1
                    self._bytes -= len(item.payload)
        if self._frames * 2 <= self._max_frames and self._bytes * 2 <= self._max_bytes:
            self._room.set()
        return taken

    async def wait(self) -> None:
        """Return when something waits."""
        await self._ready.wait()

    async def wait_room(self) -> None:
        """Return at once, or, after a frame was refused, when the inbox is at most half full."""
        await self._room.wait()
