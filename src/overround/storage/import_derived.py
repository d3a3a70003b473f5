"""Recordings made by processing the venue's messages: each row becomes a synthetic `book` message.

Such a book carries no hash (there is nothing to check) and often only the top or the best levels. It
is good for tests of behaviour, for instance that skewed pairs of books produce no order, never as
proof of what the venue sent.

Invariants: prices and sizes are the row's own texts, never through a float; levels are ordered as the
venue orders them (bids ascending, asks descending: best last); where a recording names no token or
market, `derived_token_id` and `derived_market_id` make one from its name, always the same.
Must not know how files are read or tapes are written.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Any, Final

import msgspec

from overround.storage.import_frames import LineConverter
from overround.storage.import_source import ImportLog, parse_time_ns
from overround.storage.tape_format import FRAME, TapeRecord
from overround.storage.tape_notes import STREAM_DERIVED

CSV_L1: Final = b"local_ts_ms,recv_iso_utc,msg_ts_ms,event_type,bid_price,bid_qty,ask_price,ask_qty"
CSV_PAIR: Final = b"recorded_at_ts,market_slug,question,coin,up_token_id,down_token_id"
L1_MARKET: Final = "l1_events"
"""Name under which the one unnamed token of an l1_events file is known (outcome "UP")."""


class DerivedLevel(msgspec.Struct, frozen=True):
    """One price level, in the recording's own texts."""

    price: str
    size: str


class DerivedBook(msgspec.Struct, frozen=True, tag_field="event_type", tag="book"):
    """A synthetic `book` message: the venue's fields without `hash`."""

    market: str
    asset_id: str
    timestamp: str
    """Exchange time in milliseconds, as text."""
    bids: list[DerivedLevel]
    asks: list[DerivedLevel]


def derived_token_id(name: str, outcome: str) -> str:
    """Return the token id standing for an outcome of a market known by name only."""
    return str(int.from_bytes(sha256(f"{name}/{outcome}".encode()).digest()))


def derived_market_id(name: str) -> str:
    """Return the condition id standing for a market known by name only."""
    return "0x" + sha256(name.encode()).hexdigest()


def _levels(pairs: Iterable[tuple[str, str]], *, descending: bool) -> list[DerivedLevel]:
    rows = [(_number(price), price, size) for price, size in pairs if _number(size) > 0]
    rows.sort(key=lambda row: row[0], reverse=descending)
    return [DerivedLevel(price, size) for _value, price, size in rows]


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text!r:.40} is not a number") from error
    if not number.is_finite() or number < 0:
        raise ValueError(f"{text!r:.40} is not a price or size")
    return number


def _book(
    market: str,
    asset_id: str,
    exchange_ns: int,
    bids: Iterable[tuple[str, str]],
    asks: Iterable[tuple[str, str]],
) -> DerivedBook:
    return DerivedBook(
        market=market,
        asset_id=asset_id,
        timestamp=str(exchange_ns // 10**6),
        bids=_levels(bids, descending=False),
        asks=_levels(asks, descending=True),
    )


def _record(wall_ns: int, books: DerivedBook | list[DerivedBook]) -> TapeRecord:
    return TapeRecord(FRAME, 0, wall_ns, 0, STREAM_DERIVED, 1, msgspec.json.encode(books))


def _parse(line: bytes | str) -> Any:
    # Numbers stay the texts they are.
    return json.loads(line, parse_float=str, parse_int=str)


def sampled() -> LineConverter:
    """`{ts: ms, slug, side: UP or DOWN, bids: [[price, size], ...], asks}`, best level first."""

    def convert(line: bytes, _log: ImportLog) -> list[TapeRecord]:
        row = _parse(line)
        time_ns = parse_time_ns(row["ts"], "ms")
        market, token = derived_market_id(row["slug"]), derived_token_id(row["slug"], row["side"])
        return [_record(time_ns, _book(market, token, time_ns, row["bids"], row["asks"]))]

    return convert


def history() -> LineConverter:
    """`{timestamp: ISO, token_id, condition_id, bids: JSON text, asks: JSON text}`, newest first."""

    def pairs(text: str) -> list[tuple[str, str]]:
        return [(level["price"], level["size"]) for level in _parse(text)]

    def convert(line: bytes, _log: ImportLog) -> list[TapeRecord]:
        row = _parse(line)
        time_ns = parse_time_ns(row["timestamp"], "iso")
        book = _book(row["condition_id"], row["token_id"], time_ns, pairs(row["bids"]), pairs(row["asks"]))
        return [_record(time_ns, book)]

    return convert


def _csv_row(names: list[str], line: bytes) -> dict[str, str]:
    values = next(csv.reader([line.decode()], strict=True))
    return dict(zip(names, values, strict=True))


def _best(row: dict[str, str], price: str, size: str) -> list[tuple[str, str]]:
    return [(row[price], row[size])] if row[price] and row[size] else []


def top_events() -> LineConverter:
    """CSV of one token's best bid and ask after each event, with receive and exchange times."""
    names: list[str] = []

    def convert(line: bytes, log: ImportLog) -> list[TapeRecord]:
        if not names:
            names.extend(line.decode().split(","))
            return []
        row = _csv_row(names, line)
        bids, asks = _best(row, "bid_price", "bid_qty"), _best(row, "ask_price", "ask_qty")
        if not bids and not asks:
            log.skipped["row without prices"] += 1
            return []
        market, token = derived_market_id(L1_MARKET), derived_token_id(L1_MARKET, "UP")
        book = _book(market, token, parse_time_ns(row["msg_ts_ms"], "ms"), bids, asks)
        return [_record(parse_time_ns(row["local_ts_ms"], "ms"), book)]

    return convert


def top_pairs() -> LineConverter:
    """CSV of both tokens' best levels side by side; both books of a row stay in one message.

    Each book keeps its own exchange time: rows that pair books of different ages stay recognisable.
    """
    names: list[str] = []

    def book(row: dict[str, str], side: str) -> DerivedBook:
        return _book(
            derived_market_id(row["market_slug"]),
            row[f"{side}_token_id"],
            parse_time_ns(row[f"{side}_book_ts"], "ms"),
            _best(row, f"{side}_bid", f"{side}_bid_size"),
            _best(row, f"{side}_ask", f"{side}_ask_size"),
        )

    def convert(line: bytes, _log: ImportLog) -> list[TapeRecord]:
        if not names:
            names.extend(line.decode().split(","))
            return []
        row = _csv_row(names, line)
        return [_record(parse_time_ns(row["recorded_at_ts"], "s"), [book(row, "up"), book(row, "down")])]

    return convert
