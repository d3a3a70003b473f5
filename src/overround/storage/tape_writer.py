"""Writes a tape from its own thread, so that the hot thread pays for one append to a queue only.

Invariants: records reach the disk in the order given, each whole or not at all; a full queue and every
failure of the thread are told to the caller, none is swallowed; existing segments are never changed,
a tape opened again (also after a crash) goes on in a new segment.
Must not know what a payload means.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from overround.storage.tape_errors import TapeOverflow, TapeWriteError
from overround.storage.tape_format import (
    MAX_PAYLOAD_BYTES,
    RECORD_OVERHEAD_BYTES,
    BlockError,
    BlockHeader,
    RecordTuple,
    SegmentHeader,
    encode_block,
    encode_index,
    encode_segment_header,
)
from overround.storage.tape_reader import TapeReader
from overround.storage.tape_segment import segment_path, segment_paths
from overround.storage.zstd import FrameCompressor

BLOCK_BYTES: Final = 256 * 1024
"""Measured (benches/bench_tape.py): larger blocks gain a few percent and make seeking slower."""

LEVEL: Final = 1
"""zstandard level. Measured: on blocks of real frames level 3 costs more time and gains nothing."""


class TapeWriterStats(NamedTuple):
    """How far the writer thread is; taken without stopping it."""

    records: int
    """Records written to blocks."""
    bytes_in: int
    """Payload bytes of those records."""
    bytes_out: int
    """Bytes of all segment files written."""
    blocks: int
    segments: int
    queued_bytes: int
    """Bytes taken from callers and not yet written."""
    undurable_bytes: int
    """Bytes taken from callers and not yet known to be on the disk."""


class TapeWriter:
    """Appends records to a tape. `append` and `append_many` belong to one thread, as does `close`."""

    def __init__(
        self,
        path: Path | str,
        *,
        run_id: str,
        block_bytes: int = BLOCK_BYTES,
        segment_bytes: int = 256 * 2**20,
        segment_seconds: float = 3600.0,
        fsync_interval_s: float = 2.0,
        queue_bytes: int = 256 * 2**20,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Open (or create) the tape's directory and begin a new segment in it.

        block_bytes: uncompressed size at which a block is sealed; a smaller one is sealed when
        `fsync_interval_s` has passed, the longest stretch a crash can lose.
        segment_bytes, segment_seconds: a new file is begun at the first block after either is reached.
        queue_bytes: bound of what may wait for the thread; beyond it `append` raises `TapeOverflow`.

        Raises `TapeWriteError` when the directory cannot be written, and what `TapeReader` raises
        when it holds a tape that cannot be continued.
        """
        if not 1 <= block_bytes <= MAX_PAYLOAD_BYTES // 4:
            raise ValueError(f"block_bytes={block_bytes}: must be in 1..{MAX_PAYLOAD_BYTES // 4}")
        if queue_bytes < 2 * block_bytes:
            # Records wait for a full block: a smaller queue would be full before its first block is.
            raise ValueError(f"queue_bytes={queue_bytes}: must be at least twice block_bytes={block_bytes}")
        self.path = Path(path)
        self._block_bytes = block_bytes
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._fsync_interval_s = fsync_interval_s
        self._queue_bytes = queue_bytes
        self._run_id = run_id
        self._wall_clock_ns = wall_clock_ns
        self._compressor = FrameCompressor(LEVEL)

        # Positions in the stream of bytes handed over (payload plus a fixed share for each record).
        # Each has one thread that writes it; the other only reads.
        self._put = 0  # caller's thread
        self._written = 0  # writer thread
        self._durable = 0  # writer thread
        self._queue: deque[RecordTuple] = deque()
        self._enqueue = self._queue.append
        # Position up to which `append` need not look at anything; -1 once stopped.
        self._look_at = 0
        self._wake = threading.Event()
        self._progress = threading.Condition()
        self._sync_wanted = 0
        self._stopped = False
        self._ended = False
        self._failure: Exception | None = None

        # Owned by the writer thread once it runs.
        self._pending: list[RecordTuple] = []
        self._pending_bytes = 0
        self._records = self._blocks = self._segments = 0
        self._bytes_in = self._bytes_out = 0
        try:
            self._number, self._last_seq = _continue_at(self.path)
            self.continues_seq = self._last_seq
            """The last number on the tape when it was opened, 0 for a new tape."""
            self._segment: _SegmentFile | None = self._begin_segment()
        except OSError as error:
            raise TapeWriteError(f"{self.path}: cannot write a tape here ({error.strerror})") from error
        self._thread = threading.Thread(target=self._run, name=f"tape {self.path.name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- caller's thread ------------------------------------------------------------------------

    def append(
        self,
        kind: int,
        seq: int,
        recv_wall_ns: int,
        recv_mono_ns: int,
        stream: int,
        generation: int,
        payload: bytes,
    ) -> None:
        """Hand one record to the writer thread.

        Raises `TapeOverflow` when the queue is full (the record was not taken) and `TapeWriteError`
        when the writer thread failed earlier, the writer is closed or the payload is too large.
        Values out of range and a falling seq are found by the thread and raised by the next call.
        """
        put = self._put + len(payload) + RECORD_OVERHEAD_BYTES
        if put > self._look_at:
            self._look(put, len(payload))
        self._enqueue((kind, seq, recv_wall_ns, recv_mono_ns, stream, generation, payload))
        self._put = put

    def append_many(self, records: Sequence[RecordTuple]) -> None:
        """Hand several records over, all or (when this raises) none of them; raises as `append`."""
        sizes = [len(record[6]) + RECORD_OVERHEAD_BYTES for record in records]
        largest = max(sizes, default=0)
        put = self._put + sum(sizes)
        if put > self._look_at:
            self._look(put, largest - RECORD_OVERHEAD_BYTES)
        self._queue.extend(records)
        self._put = put

    def _look(self, put: int, payload_bytes: int) -> None:
        """Wake the thread about once a block, or raise when records up to `put` cannot be taken.

        The bounds are looked at here only, because `append` is on the hot path: `_look_at` never lies
        beyond the queue's bound, nor more than a block ahead, so that a larger payload always ends here.
        """
        if self._stopped or payload_bytes > MAX_PAYLOAD_BYTES or put - self._written > self._queue_bytes:
            raise self._refusal(payload_bytes)
        self._wake.set()
        self._look_at = min(put + self._block_bytes, self._written + self._queue_bytes)
        if self._stopped:  # the thread failed meanwhile: it may have set the mark before the line above
            self._look_at = -1

    def sync(self) -> None:
        """Return when every record handed over so far is durable. Raises `TapeWriteError`."""
        wanted = self._put
        with self._progress:
            self._sync_wanted = wanted
            self._wake.set()
            self._progress.wait_for(lambda: self._durable >= wanted or self._ended)
        if self._durable < wanted:
            raise self._refusal(0)

    def close(self) -> None:
        """Write what is queued, the index and make all durable; raises `TapeWriteError` if that failed.

        Closing again does nothing more than raise the same failure.
        """
        self._stop()
        self._wake.set()
        self._thread.join()
        if self._failure is not None:
            raise self._refusal(0)

    def stats(self) -> TapeWriterStats:
        """Return counters; those of the writer thread may be one block old."""
        return TapeWriterStats(
            records=self._records,
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
            blocks=self._blocks,
            segments=self._segments,
            queued_bytes=self._put - self._written,
            undurable_bytes=self._put - self._durable,
        )

    def _stop(self) -> None:
        self._stopped = True
        self._look_at = -1

    def _refusal(self, size: int) -> TapeWriteError:
        if self._failure is not None:
            error = TapeWriteError(
                f"{self.path}: tape writing failed ({self._failure});"
                " what was written before is intact, free the cause and open the tape again"
            )
            error.__cause__ = self._failure
            return error
        if self._stopped:
            return TapeWriteError(f"{self.path}: the tape writer is closed")
        if size > MAX_PAYLOAD_BYTES:
            return TapeWriteError(f"{self.path}: payload of {size} bytes, at most {MAX_PAYLOAD_BYTES} fit")
        return TapeOverflow(
            f"{self.path}: the tape queue of {self._queue_bytes} bytes is full;"
            " the disk is slower than the feed: resync the stream, or raise queue_bytes"
        )

    # ---- writer thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_until_stopped()
        except Exception as error:  # noqa: BLE001 - border of the thread: the cause must reach the caller
            self._failure = error
            self._stop()
            if self._segment is not None:
                self._segment.abandon()
        finally:
            with self._progress:
                self._ended = True
                self._progress.notify_all()

    def _write_until_stopped(self) -> None:
        due = time.monotonic() + self._fsync_interval_s
        while True:
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            # Read before draining: a record handed over before these were set is then drained.
            stopped, wanted = self._stopped, self._sync_wanted
            self._drain()
            now = time.monotonic()
            if stopped or wanted > self._durable or now >= due:
                self._seal()
                self._make_durable()
                due = now + self._fsync_interval_s
            if stopped:
                self._finish_segment()
                return

    def _drain(self) -> None:
        """Move what is queued now into blocks; what comes in meanwhile is left for the next wake-up."""
        pop, pending = self._queue.popleft, self._pending
        for _ in range(len(self._queue)):
            record = pop()
            pending.append(record)
            self._pending_bytes += len(record[6]) + RECORD_OVERHEAD_BYTES
            if self._pending_bytes >= self._block_bytes:
                self._seal()

    def _seal(self) -> None:
        """Write the pending records as one block."""
        if not self._pending:
            return
        header, data = encode_block(self._pending, self._compressor)
        if header.first_seq < self._last_seq:
            raise BlockError(f"seq falls from {self._last_seq} to {header.first_seq}")
        if self._segment is None:
            self._segment = self._begin_segment()
        self._segment.write_block(header, data)
        self._last_seq = header.last_seq
        self._written += self._pending_bytes
        self._blocks += 1
        self._records += header.records
        self._bytes_in += header.raw_bytes - header.records * RECORD_OVERHEAD_BYTES
        self._bytes_out += len(data)
        self._pending.clear()
        self._pending_bytes = 0
        if self._segment.is_full(self._segment_bytes, self._segment_seconds):
            self._finish_segment()

    def _make_durable(self) -> None:
        if self._segment is not None and self._durable < self._written:
            self._segment.sync()
        with self._progress:
            self._durable = self._written
            self._progress.notify_all()

    def _begin_segment(self) -> _SegmentFile:
        segment = _SegmentFile(self.path, self._number, self._wall_clock_ns(), self._run_id)
        self._number += 1
        self._segments += 1
        self._bytes_out += segment.bytes
        return segment

    def _finish_segment(self) -> None:
        if self._segment is not None:
            self._bytes_out += self._segment.finish()
            self._segment = None


class _SegmentFile:
    """A segment being written."""

    def __init__(self, directory: Path, number: int, created_ns: int, run_id: str) -> None:
        head = encode_segment_header(SegmentHeader(number, created_ns, run_id))
        # Unbuffered: a killed process loses no block written, and each block is one system call.
        self._file = segment_path(directory, number).open("xb", buffering=0)
        self._headers: list[BlockHeader] = []
        self._began = time.monotonic()
        self.bytes = self._write(head)
        self.sync()
        _sync_directory(directory)

    def write_block(self, header: BlockHeader, data: bytes) -> None:
        self.bytes += self._write(data)
        self._headers.append(header)

    def is_full(self, limit_bytes: int, limit_seconds: float) -> bool:
        return self.bytes >= limit_bytes or time.monotonic() - self._began >= limit_seconds

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def finish(self) -> int:
        """Write the index, make all durable, close; return the index's length."""
        length = self._write(encode_index(self._headers))
        self.sync()
        self._file.close()
        return length

    def abandon(self) -> None:
        """Close after a failure; what the file holds is whole blocks and perhaps a torn end."""
        self._file.close()

    def _write(self, data: bytes) -> int:
        # A raw file may take a part only (a disk almost full, a signal): the next call then says why.
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        return len(data)


def _continue_at(path: Path) -> tuple[int, int]:
    """Return the next segment's number and the tape's last seq; make the directory if there is none."""
    path.mkdir(parents=True, exist_ok=True)
    existing = segment_paths(path)
    if not existing:
        return 1, 0
    last_seq = TapeReader(path).info().last_seq
    return int(existing[-1].stem) + 1, last_seq or 0


def _sync_directory(path: Path) -> None:
    """Make a new file's name durable, where the system has directory handles (not on Windows)."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
