"""Real and hand-made Gamma objects for the catalog's tests."""

import copy
import json
from pathlib import Path
from typing import Any

import msgspec

from overround.storage import zstd

Json = dict[str, Any]


def load(path: Path) -> Any:
    return json.loads(read(path))


def read(path: Path) -> bytes:
    if path.suffix != ".zst":
        return path.read_bytes()
    with zstd.open_read(path) as file:
        return file.read()


def raw(item: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(item).encode())


def raws(items: list[Json]) -> list[msgspec.Raw]:
    return [raw(item) for item in items]


GROUP = "0x" + "ab" * 31 + "00"


def token_id(n: int) -> str:
    return str((0x5EED << 240) + (n << 104) + (1 << 60))


def market(n: int = 0, **changes: Any) -> Json:
    """Return a Gamma market of a neg-risk event; ``None`` among the changes removes the field."""
    item: Json = {
        "id": str(900 + n),
        "conditionId": "0x" + f"{0xC0DE00 + n:064x}",
        "questionID": f"{GROUP[:-2]}{n:02x}",
        "slug": f"outcome-{n}",
        "question": f"Will outcome {n} happen?",
        "description": "Resolves by the official result.",
        "resolutionSource": "",
        "endDate": "2026-06-17T00:00:00Z",
        "outcomes": '["Yes", "No"]',
        "clobTokenIds": json.dumps([token_id(2 * n + 1), token_id(2 * n + 2)]),
        "active": True,
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "negRisk": True,
        "negRiskMarketID": GROUP,
        "negRiskOther": False,
        "groupItemTitle": f"Outcome {n}",
        "orderPriceMinTickSize": 0.001,
        "orderMinSize": 5,
        "feesEnabled": False,
    }
    item.update(changes)
    return {key: value for key, value in item.items() if value is not None}


def event(markets: list[Json], **changes: Any) -> Json:
    item: Json = {
        "id": "77",
        "slug": "who-wins",
        "title": "Who wins?",
        "description": "One outcome wins.",
        "endDate": "2026-06-17T00:00:00Z",
        "negRisk": True,
        "negRiskAugmented": False,
        "negRiskMarketID": GROUP,
        "markets": copy.deepcopy(markets),
    }
    item.update(changes)
    return {key: value for key, value in item.items() if value is not None}
