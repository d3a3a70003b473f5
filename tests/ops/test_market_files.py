"""Metadata files: every shape that lies beside recordings, and those that are none."""

from pathlib import Path

import msgspec
import pytest

from overround.core.market import EventKind
from overround.ops.market_files import describes_markets, load_listing
from overround.ops.mistakes import BadInput
from overround.storage.import_source import ImportFormatError

AS_OF_MS = 1_767_225_600_000
UP, DOWN = "11" * 38, "12" * 38
WINDOW = msgspec.json.encode(
    {
        "slug": "btc-1",
        "conditionId": "0x" + "1" * 64,
        "startTs": 1_776_808_200,
        "endTs": 1_776_808_500,
        "tickSize": 0.01,
        "minOrderSize": 5,
        "upTokenId": UP,
        "downTokenId": DOWN,
    }
).decode()
SESSION = msgspec.json.encode(
    {
        "slug": "btc-2",
        "title": "Bitcoin",
        "condition_id": "0x" + "2" * 64,
        "outcomes": [{"token_id": UP, "outcome": "Up"}, {"token_id": DOWN, "outcome": "Down"}],
        "start_ts": 1,
        "end_ts": 1_777_515_300_000,
        "tick_size": 0.01,
        "min_order_size": 5.0,
        "fee_parameters": {
            "fees_enabled": True,
            "raw_fee_config": {"exponent": 1, "rate": 0.072, "rebateRate": 0.2, "takerOnly": True},
        },
    }
).decode()
SAMPLED = (
    '{"market_id": "0xfb", "slug": "btc-3", "question": "Bitcoin?", "start_ts": 1, "end_ts": 1790586900000,'
    ' "outcome_up": "Up", "outcome_down": "Down", "payout_up": 0.0, "payout_down": 1.0}'
)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "markets.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("name", "markets", "kinds"),
    [
        ("markets.gamma.json", 4, []),
        ("fed_june2026.gamma-event.json", 5, [EventKind.NEG_RISK]),
        ("event_nobel_2026_negrisk_other_20260216.json.zst", 71, [EventKind.AUGMENTED]),
        ("gamma_binary_market_20260628.json", 1, []),
    ],
)
def test_gamma_objects(recordings: Path, name: str, markets: int, kinds: list[EventKind]) -> None:
    listing = load_listing(recordings / name, AS_OF_MS)
    assert len(listing.markets) == markets
    assert [event.kind for event in listing.events] == kinds
    assert all(market.as_of_ms == AS_OF_MS for market in listing.markets)


def test_pages_arrays_and_lines_of_them(recordings: Path, tmp_path: Path) -> None:
    event = (recordings / "fed_june2026.gamma-event.json").read_bytes()
    market = (recordings / "gamma_binary_market_20260628.json").read_bytes()
    for text in (
        b"[%b,%b]" % (event, market),
        b'{"data":[%b,%b],"next_cursor":"LTE="}' % (event, market),
        msgspec.json.format(event, indent=0) + b"\n" + msgspec.json.format(market, indent=0),
        b'{"events":[%b]}\n{"raw":%b}'
        % (msgspec.json.format(event, indent=0), msgspec.json.format(market, indent=0)),
    ):
        listing = load_listing(written(tmp_path, text), AS_OF_MS)
        assert (len(listing.markets), len(listing.events)) == (6, 1)


def test_markets_by_the_slug_of_their_event(recordings: Path, tmp_path: Path) -> None:
    event = msgspec.json.decode((recordings / "fed_june2026.gamma-event.json").read_bytes())
    markets = event.pop("markets")
    for market in markets:
        market["events"] = [event]
    listing = load_listing(written(tmp_path, msgspec.json.encode({event["slug"]: markets})), AS_OF_MS)
    assert listing.events[0].slug == event["slug"]
    assert len(listing.events[0].condition_ids) == len(markets) == 5


def test_what_recorders_keep(tmp_path: Path) -> None:
    (window,) = load_listing(written(tmp_path, f'{{"current": {WINDOW}}}'), AS_OF_MS).markets
    assert window.token_ids() == (UP, DOWN)
    assert (window.tick_e6, window.min_size_e6, window.fee) == (10_000, 5_000_000, None)
    assert window.end_ts_ms == 1_776_808_500_000

    (session,) = load_listing(written(tmp_path, SESSION), AS_OF_MS).markets
    assert session.token_ids() == (UP, DOWN)
    assert session.fee is not None
    assert (session.fee.rate_e6, session.fee.rebate_e6) == (72_000, 200_000)

    (sampled,) = load_listing(written(tmp_path, f"[{SAMPLED}]"), AS_OF_MS).markets
    assert (sampled.slug, sampled.winner, sampled.fee) == ("btc-3", None, None)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("[]", "holds no market"),
        ("hello", "is not JSON"),
        ("[\nx", "line 2|line 1|is not JSON"),
        ("7", "neither an object nor an array"),
        ('{"a": 1}', "keys a"),
        ('{"market": "0x1", "asset_id": "1", "bids": [], "asks": []}', "this is a book"),
        ('[{"c": "0x1", "t": [], "mts": 0.01}]', "compact CLOB objects"),
        ('{"conditionId": "0x1", "slug": "x", "id": "1"}', "no market in it can be used"),
        (WINDOW.replace("0.01", "0.03"), "tickSize"),
        (SESSION.replace('"btc-2"', "2"), "bad_object"),
        ("[" * 50_000, "is not JSON"),
    ],
)
def test_what_is_none(tmp_path: Path, text: str, what: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadInput, match=what) as refused:
        load_listing(path, AS_OF_MS)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
    assert not describes_markets(path)


def test_one_broken_market_does_not_spoil_the_others(tmp_path: Path) -> None:
    listing = load_listing(written(tmp_path, f"{WINDOW}\n{SESSION.replace('0.01', '0.03')}"), AS_OF_MS)
    assert len(listing.markets) == len(listing.refusals) == 1


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ImportFormatError, match="cannot be read"):
        load_listing(tmp_path, AS_OF_MS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "markets", "events"),
    [
        ("ws/btc5m_full_20260421.markets.json", 2, 0),
        ("ws/updown15m_mixed_20260429.markets.jsonl", 3, 0),
        ("books/btc15m_1s_top20_20260928.markets.json", 12, 0),
        ("gamma/clob_markets_first_page_1000.json.zst", 945, 0),
        ("gamma/negrisk_events_markets_20260311.json.zst", 106, 10),
        ("gamma/markets_pages_60x25_20260311.jsonl.zst", 1_500, 0),
        ("gamma/btc5m_markets_outcomes_20260724.jsonl.zst", 292, 0),
    ],
)
def test_files_of_real_recorders(shared_data: Path, name: str, markets: int, events: int) -> None:
    listing = load_listing(shared_data / name, AS_OF_MS)
    assert (len(listing.markets), len(listing.events)) == (markets, events)
