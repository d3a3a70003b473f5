"""The book hash: the published vector, real REST and WebSocket books, and our own rendering."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overround.core.units import parse_e6
from overround.polymarket.book_hash import (
    book_hash,
    finish,
    hash_prefix,
    last_trade_candidates,
    levels_text,
    side_text,
)
from overround.storage.zstd import open_read
from tests.polymarket.feed_twin import payloads


def _texts(levels: list[dict[str, str]]) -> bytes:
    return levels_text((level["price"], level["size"]) for level in levels)


def _hash(book: dict[str, Any], **changes: Any) -> str:
    fields = {**book, **changes}
    return book_hash(
        fields["market"],
        fields["asset_id"],
        fields["timestamp"],
        _texts(fields["bids"]),
        _texts(fields["asks"]),
        fields["min_order_size"],
        fields["tick_size"],
        fields["neg_risk"],
        fields["last_trade_price"],
    )


VECTOR = {
    "market": "0x74b7c1bd61a67a300dd7c2a14858f96ea89d2bf0d762a9a4e3a767ac03b01ebd",
    "asset_id": "90676246897386896285941156106134206506932024840453696751790099333810180041509",
    "timestamp": "1700000000123",
    "bids": [{"price": "0.47", "size": "100"}, {"price": "0.48", "size": "30.5"}],
    "asks": [{"price": "0.53", "size": "20"}, {"price": "0.52", "size": "15"}],
    "min_order_size": "5",
    "tick_size": "0.01",
    "neg_risk": False,
    "last_trade_price": "0.5",
}


def test_the_published_vector() -> None:
    assert _hash(VECTOR) == "6d9a06908e7acb4dc790a1f78efd9f5546a306d1"


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": "1700000000124"},
        {"neg_risk": True},
        {"last_trade_price": "0.500"},
        {"tick_size": "0.010"},
    ],
)
def test_every_field_and_its_spelling_count(change: dict[str, Any]) -> None:
    assert _hash(VECTOR, **change) != _hash(VECTOR)


def test_real_rest_books_verify(recordings: Path) -> None:
    with open_read(recordings / "fed_june2026.clob-books.json.zst") as file:
        answer = json.loads(file.read())
    books = answer if isinstance(answer, list) else list(answer.values())
    for name in ("clob_book_binary_20260628.json", "hugompt_clob_book_20260627.json"):
        books.append(json.loads((recordings / name).read_text(encoding="utf-8")))
    assert len(books) >= 12
    for book in books:
        assert _hash(book) == book["hash"]


def test_our_rendering_of_integers_is_the_venues_text(recordings: Path) -> None:
    levels = 0
    for frame in list(payloads(recordings / "books_btc-updown-5m-1776326100.jsonl.zst"))[:300]:
        book = json.loads(frame)
        for name, descending in (("bids", False), ("asks", True)):
            side = {parse_e6(level["price"]): parse_e6(level["size"]) for level in book[name]}
            assert side_text(side, descending=descending) == _texts(book[name])
            levels += len(side)
    assert levels > 10_000


def test_a_prefix_is_finished_with_many_candidates() -> None:
    prefix = hash_prefix(
        VECTOR["market"], VECTOR["asset_id"], VECTOR["timestamp"], _texts(VECTOR["bids"]),  # type: ignore[arg-type]
        _texts(VECTOR["asks"]), "5", "0.01", neg_risk=False,  # type: ignore[arg-type]
    )  # fmt: skip
    assert finish(prefix, "0.7") != finish(prefix, "0.5")
    assert finish(prefix, "0.5") == _hash(VECTOR)


@given(st.integers(0, 1000))
def test_candidates_are_a_price_and_its_complement(mills: int) -> None:
    first, second = last_trade_candidates(mills * 1000)
    assert parse_e6(first) + parse_e6(second) == 1_000_000
    assert (len(first), len(second)) == (5, 5)
    with pytest.raises(ValueError, match="three-decimal"):
        last_trade_candidates(mills * 1000 + 1)
