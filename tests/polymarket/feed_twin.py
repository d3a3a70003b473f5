"""A slow, obvious twin of decoder and books: the standard json module, Decimal, and every write kept."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from overround.core.books import Books
from overround.core.market import Market, Token
from overround.polymarket.decoder import MarketDecoder
from overround.storage.zstd import open_read

STREAM, GENERATION = 1, 1
MAX_LATE_MS = 10_000


def make_market(condition_id: str, yes: str, no: str, tick_e6: int, *, neg_risk: bool = False) -> Market:
    return Market(
        condition_id=condition_id,
        yes=Token(yes, "Yes"),
        no=Token(no, "No"),
        slug="m",
        question="m?",
        tick_e6=tick_e6,
        min_size_e6=5_000_000,
        neg_risk=neg_risk,
        active=True,
        closed=False,
        accepting_orders=True,
        as_of_ms=0,
    )


def payloads(path: Path) -> Iterator[bytes]:
    """Yield the raw frames of a JSONL recording, compact as the venue sends them."""
    with open_read(path) as file:
        for line in file:
            row = json.loads(line)
            payload = row.get("payload", row.get("data"))
            text = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
            yield text.encode()


def objects(frame: bytes) -> list[dict[str, Any]]:
    message = json.loads(frame)
    return message if isinstance(message, list) else [message]


def markets_of(frames: list[bytes], tick_e6: int, *, neg_risk: bool = False) -> list[Market]:
    """Return the markets a recording speaks of; a token that never shows gets a made-up partner."""
    tokens: dict[str, set[str]] = {}
    for frame in frames:
        for each in objects(frame):
            seen = tokens.setdefault(each.get("market", ""), set())
            seen.update(change["asset_id"] for change in each.get("price_changes", ()))
            if "bids" in each or "price" in each:
                seen.add(each["asset_id"])
    markets = []
    for condition_id, seen in tokens.items():
        if seen:
            yes, no = [*sorted(seen), f"{condition_id}-other"][:2]
            markets.append(make_market(condition_id, yes, no, tick_e6, neg_risk=neg_risk))
    return markets


def running(markets: list[Market], **options: Any) -> tuple[Books, MarketDecoder]:
    """Return books whose stream is up, and their decoder."""
    books = Books()
    for market in markets:
        books.track(market, 0)
    books.stream_up(STREAM, GENERATION, [book.token_id for book in books], 0)
    books.clear_touched()
    return books, MarketDecoder(books, **options)


def levels_of(books: Books) -> dict[str, tuple[dict[int, int], dict[int, int]]]:
    return {book.token_id: (book.bids, book.asks) for book in books}


class Twin:
    """Keeps every write of each token and re-reads them all in exchange-time order."""

    def __init__(self, markets: list[Market]) -> None:
        self.ticks = {token: market.tick_e6 for market in markets for token in market.token_ids()}
        self.mirror = {token: market.mirror(token) for market in markets for token in market.token_ids()}
        self.epoch_ms = dict.fromkeys(self.ticks, 0)
        self.writes: dict[str, list[tuple[int, str, Any]]] = {token: [] for token in self.ticks}

    def feed(self, frame: bytes) -> None:
        text = frame.decode("utf-8", "replace").strip()
        if text in {"", "PONG", "PING"}:
            return
        message = json.loads(text)
        for each in message if isinstance(message, list) else [message]:
            self._object(each)

    def levels(self) -> dict[str, tuple[dict[int, int], dict[int, int]]]:
        return {token: self._read(writes) for token, writes in self.writes.items()}

    def _object(self, each: dict[str, Any]) -> None:
        kind = each.get("event_type")
        if kind == "book" or (kind is None and "bids" in each):
            self._book(each)
        elif kind == "price_change":
            for change in each.get("price_changes", [each]):
                if change["asset_id"] in self.writes:
                    write = (change["side"].upper(), _e6(change["price"]), _e6(change["size"]))
                    self.writes[change["asset_id"]].append((_ms(each), "change", write))
        elif kind == "tick_size_change" and each["asset_id"] in self.ticks:
            self._tick(each["asset_id"], _e6(each["new_tick_size"]), _ms(each))

    def _book(self, each: dict[str, Any]) -> None:
        token = each["asset_id"]
        if token not in self.writes:
            return
        if each.get("tick_size") is not None:
            self._tick(token, _e6(each["tick_size"]), _ms(each))
        writes = self.writes[token]
        synced = any(kind == "book" for _, kind, _ in writes)
        if synced and max(ts for ts, _, _ in writes) - _ms(each) > MAX_LATE_MS:
            writes.clear()
        sides = tuple({_e6(x["price"]): _e6(x["size"]) for x in each[name]} for name in ("bids", "asks"))
        writes.append((_ms(each), "book", sides))

    def _tick(self, token: str, tick_e6: int, ts_ms: int) -> None:
        if self.ticks[token] == tick_e6 or ts_ms < self.epoch_ms[token]:
            return
        for each in (token, self.mirror[token]):
            self.ticks[each] = tick_e6
            self.epoch_ms[each] = ts_ms
            self.writes[each].clear()

    @staticmethod
    def _read(writes: list[tuple[int, str, Any]]) -> tuple[dict[int, int], dict[int, int]]:
        if not any(kind == "book" for _, kind, _ in writes):
            return {}, {}
        bids: dict[int, int] = {}
        asks: dict[int, int] = {}
        for _, kind, write in sorted(writes, key=lambda each: each[0]):
            if kind == "book":
                bids, asks = dict(write[0]), dict(write[1])
            else:
                side, px_e6, qty_e6 = write
                (bids if side == "BUY" else asks)[px_e6] = qty_e6
        return {p: q for p, q in bids.items() if q}, {p: q for p, q in asks.items() if q}


def _e6(text: str) -> int:
    value = Decimal(text) * 1_000_000
    assert value == int(value)
    return int(value)


def _ms(each: dict[str, Any]) -> int:
    value = Decimal(each["timestamp"])
    assert value == int(value)
    return int(value)
