"""Files with market metadata, for recordings that carry none: told apart by content, read into a listing.

Known are the venue's own answers (Gamma events and markets, single, in arrays or as pages, plain or
compressed; pages of the CLOB's ``/markets``) and what recorders kept beside their recordings. Invariants:
an object that cannot be used is among the listing's refusals; a file without one usable market is an
error that says why. Knows no recordings.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from overround.core.market import Market
from overround.ops.mistakes import BadInput
from overround.ops.recorder_markets import sampled_market, session_market, window_market
from overround.polymarket.clob_listing import markets_from_clob
from overround.polymarket.listing import Listing, event_from_markets, events_from_gamma, markets_from_gamma
from overround.polymarket.metadata_wire import MetadataRefused, Refusal, name_of
from overround.storage.import_source import ImportLog, Source

WANTED: Final = "give a Gamma event or market object, an array or a page of them, or a CLOB /markets page"

_MAX_DEPTH: Final = 4
"""Envelopes inside envelopes that are opened."""

Fields = dict[str, msgspec.Raw]
Reader = Callable[[list[msgspec.Raw], int], Listing]


def load_listing(path: Path, as_of_ms: int) -> Listing:
    """Return the markets and events a file describes, as known at ``as_of_ms``.

    Raises ``BadInput`` when it holds no usable market, and ``ImportFormatError`` when it cannot be read.
    """
    listing = Listing()
    for raw in _documents(path):
        listing += _read(path, raw, as_of_ms, _MAX_DEPTH)
    if listing.markets:
        return listing
    if listing.refusals:
        first = listing.refusals[0]
        why = f"{first.subject:.70}: {first.reason}, {first.detail}"
        raise BadInput(path, "no market in it can be used", why, "correct it, or fetch the metadata again")
    raise BadInput(path, "holds no market", "empty list", WANTED)


def describes_markets(path: Path) -> bool:
    """Whether a file holds market metadata (and so is no recording)."""
    try:
        return bool(load_listing(path, 0).markets)
    except BadInput:
        return False


def _documents(path: Path) -> Iterator[msgspec.Raw]:
    """Yield the one JSON value of the file, or one per line."""
    source = Source(path)
    data = source.whole().strip()
    if not data:
        raise BadInput(path, "is empty", "0 bytes", WANTED)
    try:
        whole = msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError) as error:
        if b"\n" not in data:
            raise BadInput(path, "is not JSON", str(error)[:100], WANTED) from error
    else:
        yield whole
        return
    for number, line in source.lines(ImportLog()):
        try:
            yield msgspec.json.decode(line, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadInput(path, f"line {number} is not JSON", str(error)[:100], WANTED) from error


def _read(path: Path, raw: msgspec.Raw, as_of_ms: int, depth: int) -> Listing:
    """Return what one JSON value describes; envelopes are opened."""
    if _first(raw) == b"[":
        return _read_all(path, msgspec.json.decode(raw, type=list[msgspec.Raw]), as_of_ms, depth)
    if _first(raw) != b"{":
        raise BadInput(
            path, "is neither an object nor an array", bytes(raw)[:40].decode(errors="replace"), WANTED
        )
    fields = msgspec.json.decode(raw, type=Fields)
    reader = _reader_of(fields)
    if reader is not None:
        return reader([raw], as_of_ms)
    inside = _enveloped(fields)
    if inside is None or not depth:
        raise BadInput(path, "holds no market metadata", _keys(fields), _remedy(fields))
    if isinstance(inside, list):
        return _read_all(path, inside, as_of_ms, depth - 1)
    listing = Listing()
    for items in inside.values():
        listing += event_from_markets(items, as_of_ms)
    return listing


def _read_all(path: Path, items: list[msgspec.Raw], as_of_ms: int, depth: int) -> Listing:
    listing = Listing()
    for item in items:
        listing += _read(path, item, as_of_ms, depth)
    return listing


def _reader_of(fields: Fields) -> Reader | None:
    """Return how to read an object that describes a market or an event, most telling fields first."""
    names = fields.keys()
    if {"conditionId", "upTokenId", "downTokenId"} <= names:
        return _each(window_market)
    if {"condition_id", "outcomes", "tick_size", "min_order_size"} <= names:
        return _each(session_market)
    if {"slug", "outcome_up", "outcome_down", "payout_up"} <= names:
        return _each(sampled_market)
    if {"condition_id", "tokens", "minimum_tick_size"} <= names:
        return markets_from_clob
    if "conditionId" in names or {"clobTokenIds", "outcomes"} <= names:
        return markets_from_gamma
    if {"id", "slug", "markets"} <= names:
        return events_from_gamma
    return None


def _each(parse: Callable[[msgspec.Raw, int], Market]) -> Reader:
    def read(items: list[msgspec.Raw], as_of_ms: int) -> Listing:
        listing = Listing()
        for raw in items:
            try:
                listing += Listing((parse(raw, as_of_ms),))
            except MetadataRefused as refused:
                listing += Listing(refusals=(refused.refusal(name_of(raw)),))
            except msgspec.MsgspecError as error:
                listing += Listing(refusals=(Refusal(name_of(raw), "bad_object", str(error)[:200]),))
        return listing

    return read


def _enveloped(fields: Fields) -> list[msgspec.Raw] | dict[str, list[msgspec.Raw]] | None:
    """Return what an envelope holds: objects, or lists of markets by their event's slug."""
    for name in ("data", "markets", "events", "gamma_events"):
        if name in fields and _first(fields[name]) == b"[":
            return msgspec.json.decode(fields[name], type=list[msgspec.Raw])
    if "raw" in fields and _first(fields["raw"]) == b"{":
        return [fields["raw"]]
    kinds = {_first(value) for value in fields.values()}
    if kinds == {b"{"} and fields.keys() <= {"current", "next", "previous"}:
        return list(fields.values())
    if kinds == {b"["}:
        lists = {name: msgspec.json.decode(raw, type=list[msgspec.Raw]) for name, raw in fields.items()}
        if all(_first(item) == b"{" for items in lists.values() for item in items):
            return lists
    return None


def _first(raw: msgspec.Raw) -> bytes:
    return bytes(memoryview(raw)[:1])


def _keys(fields: Fields) -> str:
    return "keys " + (", ".join(list(fields)[:6]) or "none")


def _remedy(fields: Fields) -> str:
    if {"bids", "asks"} <= fields.keys():
        return f"this is a book, give it as the recording; {WANTED}"
    if {"c", "t", "mts"} <= fields.keys():
        return f"compact CLOB objects only complete other metadata; {WANTED}"
    return WANTED
