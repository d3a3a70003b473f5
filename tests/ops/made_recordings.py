"""Recordings made for tests: `book` frames of both tokens at given best prices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from overround.core.market import Market
from overround.core.units import E6, format_e6, parse_e6
from overround.polymarket.encoder import encode_book
from overround.storage.import_source import Source

AT_MS = 1_767_225_600_000
Tops = Mapping[str, tuple[int, int]]
"""Best bid and ask of YES by condition id, in millionths; 0 and 1,000,000 stand for none."""


def write_books(path: Path, markets: Mapping[str, Market], tops: Tops, qty_e6: int = 1_000 * E6) -> Path:
    """Write both books of every market in `tops`, first and once more a second later."""
    lines = []
    for second in range(2):
        for condition_id, (bid, ask) in tops.items():
            market = markets[condition_id]
            bids = {bid: qty_e6} if bid else {}
            asks = {ask: qty_e6} if ask < E6 else {}
            mirrored = {E6 - ask: qty_e6 for ask in asks}, {E6 - bid: qty_e6 for bid in bids}
            at_ms = AT_MS + second * 1_000
            lines.append(encode_book(market, market.yes.token_id, bids, asks, at_ms, "", first=not second))
            lines.append(encode_book(market, market.no.token_id, *mirrored, at_ms, "", first=not second))
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def gamma_tops(raw_markets: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Return Gamma's own best prices of the markets that have any."""
    tops = {}
    for raw in raw_markets:
        bid, ask = parse_e6(_text(raw.get("bestBid") or 0)), parse_e6(_text(raw.get("bestAsk") or 1))
        if raw.get("conditionId") and (bid or ask < E6):
            tops[str(raw["conditionId"]).lower()] = bid, ask
    return tops


def read_json(path: Path) -> Any:
    """Return a JSON file, plain or compressed."""
    return msgspec.json.decode(Source(path).whole())


def _text(number: float) -> str:
    return format_e6(round(number * E6))
