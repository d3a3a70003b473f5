"""Tape against gzip JSON lines, the usual recorder: write, size, read, seek, and the hot thread's share.

Frames are real recordings (all of ../shared/data/ws where it exists, else those shipped), with receive
times drawn from a seeded generator, because most recordings have coarse ones that compress too well.
Rounds of tape and peer alternate in one process; medians are printed. Run: python benches/bench_tape.py
"""

import argparse
import gzip
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

import overround
from overround.storage import zstd
from overround.storage.importers import ImportFormatError, open_recording
from overround.storage.tape import FRAME, TapeReader, TapeRecord, TapeWriter
from overround.storage.tape_writer import BLOCK_BYTES, LEVEL

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "ws"
SHIPPED = Path(overround.__file__).parent / "recordings"
CHANGES = ("btc5m_full", "negrisk_pair")


def real_frames(folder: Path) -> dict[str, list[bytes]]:
    """Return all market frames, and those of the recordings made of small price changes."""
    sets: dict[str, list[bytes]] = {"all recordings": [], "price changes": []}
    for path in sorted(folder.iterdir()):
        try:
            recording = open_recording(path)
        except ImportFormatError:
            continue
        if recording.derived:
            continue
        try:
            payloads = [record.payload for record in recording]
        except ImportFormatError:
            continue
        sets["all recordings"] += payloads
        if path.name.startswith(CHANGES):
            sets["price changes"] += payloads
    return sets


def timed(payloads: list[bytes], target_bytes: int, rng: random.Random) -> list[TapeRecord]:
    """Return records of at least `target_bytes`, times a few hundred microseconds apart."""
    size = sum(map(len, payloads))
    wall_ns, mono_ns, records = 1_795_000_000_000_000_000, 10**13, []
    for seq, payload in enumerate(payloads * -(-target_bytes // size), 1):
        step = int(rng.expovariate(1 / 500_000))
        wall_ns += step
        mono_ns += step
        records.append(TapeRecord(FRAME, seq, wall_ns, mono_ns + rng.randrange(400), 1, 1, payload))
    return records


def stopwatch(action: Callable[..., None], *arguments: object) -> float:
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


def write_tape(path: Path, records: list[TapeRecord]) -> tuple[float, float]:
    """Return seconds until all is durable, and seconds the producer spent in `append`."""
    start = time.perf_counter()
    with TapeWriter(path, run_id="bench") as tape:
        append = tape.append
        for record in records:
            append(*record)
        produced = time.perf_counter()
    return time.perf_counter() - start, produced - start


def write_gzip(path: Path, records: list[TapeRecord], level: int) -> None:
    with gzip.open(path, "wb", compresslevel=level) as file:
        for record in records:
            file.write(
                b'{"seq":%d,"recv_wall_ns":%d,"recv_mono_ns":%d,"payload":%b}\n'
                % (record.seq, record.recv_wall_ns, record.recv_mono_ns, record.payload)
            )


class Row(msgspec.Struct):
    seq: int
    recv_wall_ns: int
    recv_mono_ns: int
    payload: msgspec.Raw


def read_tape(path: Path) -> None:
    with TapeReader(path) as tape:
        for _record in tape:
            pass


def read_gzip(path: Path) -> None:
    decode = msgspec.json.Decoder(Row).decode
    with gzip.open(path, "rb") as file:
        for line in file:
            decode(line)


def codec_alone(records: list[TapeRecord]) -> None:
    """Compress the payloads in blocks and do nothing else: what no tape can beat on one thread."""
    compressor = zstd.FrameCompressor(LEVEL)
    block: list[bytes] = []
    size = 0
    for record in records:
        block.append(record.payload)
        size += len(record.payload)
        if size >= BLOCK_BYTES:
            compressor.compress(b"".join(block))
            block, size = [], 0


def folder_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir())


def percentiles(samples: list[int]) -> str:
    samples.sort()
    at = {name: samples[int(len(samples) * share)] / 1000 for name, share in (("p50", 0.5), ("p99", 0.99))}
    return f"p50 {at['p50']:.1f} µs  p99 {at['p99']:.1f} µs  max {samples[-1] / 1000:.1f} µs"


def bench_write_and_read(folder: Path, name: str, records: list[TapeRecord], rounds: int) -> None:
    peer_records = records[: len(records) // 8]
    size, peer_size = (sum(len(r.payload) for r in rows) for rows in (records, peer_records))
    times: dict[str, list[float]] = {}
    for turn in range(rounds):
        path = folder / f"{name} {turn}"
        total, produced = write_tape(path, records)
        times.setdefault("tape", []).append(size / total)
        times.setdefault("append", []).append(produced / len(records))
        times.setdefault("codec", []).append(size / stopwatch(codec_alone, records))
        times.setdefault("read", []).append(len(records) / stopwatch(read_tape, path))
        for level in (1, 6):
            peer = folder / f"{name} {turn} {level}.gz"
            seconds = stopwatch(write_gzip, peer, peer_records, level)
            times.setdefault(f"gzip {level}", []).append(peer_size / seconds)
            if level == 6:
                seconds = stopwatch(read_gzip, peer)
                times.setdefault("read gzip", []).append(len(peer_records) / seconds)
    middle = {key: statistics.median(values) for key, values in times.items()}
    ratio = size / folder_bytes(folder / f"{name} 0")
    print(f"\n{name}: {len(records):,} frames, {size / 1e6:.0f} MB, mean {size / len(records):.0f} B")
    print(
        f"  tape         {middle['tape'] / 1e6:6.0f} MB/s to disk, ratio {ratio:5.2f},"
        f" producer {middle['append'] * 1e9:.0f} ns a frame, read {middle['read'] / 1e3:.0f} k records/s"
    )
    share = middle["tape"] / middle["codec"]
    print(
        f"  codec alone  {middle['codec'] / 1e6:6.0f} MB/s on one thread, no file"
        f" (the bound; tape: {share:.2f} of it)"
    )
    for level in (1, 6):
        peer_ratio = peer_size / (folder / f"{name} 0 {level}.gz").stat().st_size
        line = f"  gzip -{level} JSONL {middle[f'gzip {level}'] / 1e6:5.0f} MB/s, ratio {peer_ratio:5.2f}"
        if level == 6:
            line += f", read {middle['read gzip'] / 1e3:.0f} k records/s"
        print(f"{line}   (tape: {middle['tape'] / middle[f'gzip {level}']:.1f}x as fast)")


def bench_seek(folder: Path, records: list[TapeRecord], rng: random.Random) -> None:
    print("\nseek to a random record, first record read (page cache warm)")
    for block_kib in (64, 256, 1024):
        path = folder / f"seek {block_kib}"
        with TapeWriter(path, run_id="bench", block_bytes=block_kib * 1024) as tape:
            tape.append_many(records)
        with TapeReader(path) as reader:
            for what in ("seq", "time"):
                samples = []
                for _ in range(2000):
                    wanted = rng.choice(records)
                    start = time.perf_counter_ns()
                    if what == "seq":
                        found = next(reader.seek(seq=wanted.seq))
                    else:
                        found = next(reader.seek(ts_wall_ns=wanted.recv_wall_ns))
                    samples.append(time.perf_counter_ns() - start)
                    assert found.recv_wall_ns == wanted.recv_wall_ns
                ratio = reader.info().ratio
                print(f"  {block_kib:5} KiB blocks, by {what:4}: {percentiles(samples)}  (ratio {ratio:.2f})")


def bench_hot_thread(folder: Path, records: list[TapeRecord]) -> None:
    """Append at 20,000 frames/s while the writer works: what the feed's thread feels."""
    samples = []
    with TapeWriter(folder / "hot", run_id="bench") as tape:
        due = time.perf_counter_ns()
        for record in records[:60_000]:
            due += 50_000
            while time.perf_counter_ns() < due:
                pass
            start = time.perf_counter_ns()
            tape.append(*record)
            samples.append(time.perf_counter_ns() - start)
    print(f"\nappend at 20,000 frames/s, timer included: {percentiles(samples)}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mb", type=int, default=100, help="size of each set of frames")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    source = SHARED if SHARED.is_dir() else SHIPPED
    print(f"frames from {source.parent.name}/{source.name}")
    rng = random.Random(20261122)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records: list[TapeRecord] = []
        for title, payloads in real_frames(source).items():
            records = timed(payloads, options.mb * 10**6, rng)
            bench_write_and_read(folder, title, records, options.rounds)
        bench_seek(folder, records, rng)
        bench_hot_thread(folder, records)


if __name__ == "__main__":
    main()
