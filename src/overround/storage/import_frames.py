"""Recordings that hold the venue's messages themselves: each payload is kept byte for byte.

A converter turns one line into records. Sequence numbers are given later (0 here), except for our own
export, which carries them.

Invariants: payload bytes are sliced out of the line, never serialised again; a line gives all its
records or none. Source of the formats: the public recorders named in the recordings' README.
Must not know how files are read or tapes are written.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

import msgspec

from overround.storage.import_source import ImportLog, TimeUnit, parse_time_ns, raw_payload, raw_time_ns
from overround.storage.tape_format import FRAME, TapeRecord
from overround.storage.tape_notes import STREAM_MARKET, STREAM_REST, STREAM_USER, StreamNote

LineConverter = Callable[[bytes, ImportLog], list[TapeRecord]]

MARKET_EVENTS: Final = frozenset(
    {
        "book",
        "price_change",
        "last_trade_price",
        "tick_size_change",
        "best_bid_ask",
        "new_market",
        "market_resolved",
    }
)
USER_EVENTS: Final = frozenset({"order", "trade"})
USER_TYPES: Final = frozenset({"PLACEMENT", "UPDATE", "CANCELLATION", "TRADE"})
"""`type` of user messages; some recorders dropped their `event_type`."""

KNOWN_STREAMS: Final = {
    STREAM_MARKET: StreamNote(STREAM_MARKET, "market", "market"),
    STREAM_USER: StreamNote(STREAM_USER, "user", "user"),
    STREAM_REST: StreamNote(STREAM_REST, "rest", "rest"),
}
FIRST_NAMED_STREAM: Final = 16


class _Probe(msgspec.Struct):
    event_type: str | None = None
    type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    timestamp: str | int | None = None
    bids: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_probe: Final[msgspec.json.Decoder[_Probe | list[_Probe]]] = msgspec.json.Decoder(_Probe | list[_Probe])


def _probes(payload: bytes) -> list[_Probe]:
    """Return what can be told of each message in a frame; nothing when it is none of the venue's."""
    try:
        probed = _probe.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return []
    return probed if isinstance(probed, list) else [probed]


def _stream_of(probes: list[_Probe]) -> int:
    if any(probe.event_type in USER_EVENTS or _is_user_type(probe) for probe in probes):
        return STREAM_USER
    # Only answers fetched over HTTP are books that do not call themselves so.
    if probes and all(probe.event_type is None and probe.bids is not msgspec.UNSET for probe in probes):
        return STREAM_REST
    return STREAM_MARKET


def _is_user_type(probe: _Probe) -> bool:
    return isinstance(probe.type, msgspec.Raw) and bytes(probe.type).strip(b'"').decode() in USER_TYPES


def _exchange_time_ns(probes: list[_Probe]) -> int:
    for probe in probes:
        if probe.timestamp is not None:
            text = str(probe.timestamp)
            # Messages carry milliseconds, except some user trades: seconds. Eleven digits of
            # milliseconds would be a time before 1974.
            return parse_time_ns(text, "s" if len(text) < 12 else "ms")
    raise ValueError("frame has no timestamp, and the recording has no receive time")


def _frame(wall_ns: int, stream: int, payload: bytes, *, mono_ns: int = 0, generation: int = 1) -> TapeRecord:
    return TapeRecord(FRAME, 0, wall_ns, mono_ns, stream, generation, payload)


def _own_frame(payload: bytes) -> TapeRecord:
    probes = _probes(payload)
    return _frame(_exchange_time_ns(probes), _stream_of(probes), payload)


class _Generations:
    """Counts a recorder's connections by their initial dumps (an array of books).

    After each subscription the venue first sends all books in one array; a recorder that shows
    another such array has connected again.
    """

    def __init__(self) -> None:
        self._generation = 1
        self._fresh = True

    def of(self, probes: list[_Probe], payload: bytes) -> int:
        dump = payload.lstrip().startswith(b"[") and all(probe.event_type == "book" for probe in probes)
        if dump and probes and not self._fresh:
            self._generation += 1
        self._fresh = False
        return self._generation


class _Captured(msgspec.Struct):
    capturedAt: msgspec.Raw  # noqa: N815 - the recorder's own name
    payload: msgspec.Raw


def captured() -> LineConverter:
    """`{capturedAt: seconds, payload: frame}`."""
    decode = msgspec.json.Decoder(_Captured).decode

    def convert(line: bytes, _log: ImportLog) -> list[TapeRecord]:
        row = decode(line)
        return [_frame(raw_time_ns(row.capturedAt, "s"), STREAM_MARKET, raw_payload(row.payload))]

    return convert


class _Received(msgspec.Struct):
    recv_ts: msgspec.Raw
    payload: msgspec.Raw


def received() -> LineConverter:
    """`{recv_ts: seconds with decimals, payload: frame}`."""
    decode = msgspec.json.Decoder(_Received).decode

    def convert(line: bytes, _log: ImportLog) -> list[TapeRecord]:
        row = decode(line)
        return [_frame(raw_time_ns(row.recv_ts, "s"), STREAM_MARKET, raw_payload(row.payload))]

    return convert


class _Journaled(msgspec.Struct):
    ts: msgspec.Raw
    kind: str
    data: msgspec.Raw


def journaled() -> LineConverter:
    """`{ts: exchange seconds, kind: event type, data: frame}`; other kinds are the recorder's own."""
    decode = msgspec.json.Decoder(_Journaled).decode

    def convert(line: bytes, log: ImportLog) -> list[TapeRecord]:
        row = decode(line)
        if row.kind not in MARKET_EVENTS:
            log.skipped[f"kind {row.kind:.40}"] += 1
            return []
        return [_frame(raw_time_ns(row.ts, "s"), STREAM_MARKET, raw_payload(row.data))]

    return convert


class _Ingested(msgspec.Struct):
    source: str
    recv_wall_ts: msgspec.Raw
    recv_mono_ns: int
    payload: str


def ingested() -> LineConverter:
    """`{source, recv_wall_ts: ms, recv_mono_ns, payload: frame as text}`, many sources in one log."""
    decode = msgspec.json.Decoder(_Ingested).decode
    generations = _Generations()

    def convert(line: bytes, log: ImportLog) -> list[TapeRecord]:
        row = decode(line)
        if row.source != "polymarket_clob":
            log.skipped[f"source {row.source:.40}"] += 1
            return []
        payload = row.payload.encode()
        probes = _probes(payload)
        stream = _stream_of(probes)
        generation = generations.of(probes, payload) if stream == STREAM_MARKET else 1
        wall_ns = raw_time_ns(row.recv_wall_ts, "ms")
        return [_frame(wall_ns, stream, payload, mono_ns=row.recv_mono_ns, generation=generation)]

    return convert


class _Batched(msgspec.Struct):
    collector_ts: str
    books: list[msgspec.Raw]


def batched() -> LineConverter:
    """`{collector_ts: ISO time, books: [REST book, ...]}`, one answer of POST /books a line."""
    decode = msgspec.json.Decoder(_Batched).decode

    def convert(line: bytes, _log: ImportLog) -> list[TapeRecord]:
        row = decode(line)
        wall_ns = parse_time_ns(row.collector_ts, "iso")
        return [_frame(wall_ns, STREAM_REST, raw_payload(book)) for book in row.books]

    return convert


class _Framed(msgspec.Struct):
    frame: msgspec.Raw


def framed() -> LineConverter:
    """`{source, schema, frame}`: examples collected by hand; the frame's own time is taken."""
    decode = msgspec.json.Decoder(_Framed).decode

    def convert(line: bytes, _log: ImportLog) -> list[TapeRecord]:
        return [_own_frame(raw_payload(decode(line).frame))]

    return convert


def bare() -> LineConverter:
    """One frame a line and nothing else; the frame's own time is taken."""
    decode = msgspec.json.Decoder(msgspec.Raw).decode

    def convert(line: bytes, _log: ImportLog) -> list[TapeRecord]:
        return [_own_frame(raw_payload(decode(line)))]

    return convert


def whole_value(data: bytes) -> list[TapeRecord]:
    """One JSON value: a frame, or an array of frames; the frames' own times are taken.

    Raises `ValueError` (and `msgspec.DecodeError`) when it is not.
    """
    if not data.startswith(b"["):
        return [_own_frame(raw_payload(msgspec.json.decode(data, type=msgspec.Raw)))]
    generations = _Generations()
    records = []
    for raw in msgspec.json.decode(data, type=list[msgspec.Raw]):
        payload = raw_payload(raw)
        generation = generations.of(_probes(payload), payload)
        record = _own_frame(payload)
        market = record.stream == STREAM_MARKET
        records.append(record._replace(generation=generation if market else 1))
    return records


class _Exported(msgspec.Struct):
    kind: int
    seq: int
    recv_wall_ns: int
    recv_mono_ns: int
    stream: int
    generation: int
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payload_base64: str | msgspec.UnsetType = msgspec.UNSET


def exported() -> LineConverter:
    """Our own `export`: gives back the very records, numbers and kinds included."""
    decode = msgspec.json.Decoder(_Exported).decode

    def convert(line: bytes, _log: ImportLog) -> list[TapeRecord]:
        row = decode(line)
        if isinstance(row.payload, msgspec.Raw):
            payload = bytes(row.payload)
        elif isinstance(row.payload_base64, str):
            payload = base64.b64decode(row.payload_base64, validate=True)
        else:
            raise ValueError("neither payload nor payload_base64")  # noqa: TRY004 - the value is missing
        return [
            TapeRecord(
                row.kind,
                row.seq,
                row.recv_wall_ns,
                row.recv_mono_ns,
                row.stream,
                row.generation,
                payload,
            )
        ]

    return convert


class GenericFields(msgspec.Struct, frozen=True):
    """Names the fields of a JSONL recording that no other format fits."""

    time_field: str
    payload_field: str
    time_unit: TimeUnit = "s"
    stream_field: str | None = None


def generic(fields: GenericFields, streams: dict[int, StreamNote]) -> LineConverter:
    """JSONL with named fields for time and payload; `streams` learns the names met."""
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    numbers = {note.name: number for number, note in KNOWN_STREAMS.items()}

    def stream_number(raw: msgspec.Raw) -> int:
        data = bytes(raw)
        name = msgspec.json.decode(data, type=str) if data.startswith(b'"') else data.decode()
        if name not in numbers:
            number = FIRST_NAMED_STREAM + len(numbers) - len(KNOWN_STREAMS)
            if number >= 2**16:
                raise ValueError(f"more than {2**16 - FIRST_NAMED_STREAM} streams")
            numbers[name] = number
            streams[number] = StreamNote(number, name[:100], "market")
        return numbers[name]

    def field(row: dict[str, msgspec.Raw], name: str) -> msgspec.Raw:
        if name not in row:
            raise ValueError(f"no field {name!r}")
        return row[name]

    def convert(line: bytes, _log: ImportLog) -> list[TapeRecord]:
        row = decode(line)
        payload = raw_payload(field(row, fields.payload_field))
        wall_ns = raw_time_ns(field(row, fields.time_field), fields.time_unit)
        if fields.stream_field is None:
            stream = _stream_of(_probes(payload))
        else:
            stream = stream_number(field(row, fields.stream_field))
        return [_frame(wall_ns, stream, payload)]

    return convert
