import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from overround.core.events import Side
from overround.core.market import Market, Token
from overround.polymarket.book_check import FileReport, check_frames
from overround.polymarket.encoder import (
    ChangeOut,
    encode_book,
    encode_last_trade_price,
    encode_price_change,
    state_hash,
)
from overround.storage.importers import open_recording

T0 = 1_785_000_000_000


class Received(NamedTuple):
    recv_wall_ns: int
    stream: int
    generation: int
    payload: bytes


def frames_of(path: Path, limit: int | None = None) -> list[Received]:
    frames = [
        Received(record.recv_wall_ns, record.stream, record.generation, record.payload)
        for record in open_recording(path)
    ]
    return frames[:limit]


def misses(report: FileReport) -> dict[str, int]:
    return {name: count for name, count in msgspec.structs.asdict(report.batches.misses).items() if count}


# --- real recordings ------------------------------------------------------------------------------


def test_neg_risk_recording(recordings: Path) -> None:
    report = check_frames(frames_of(recordings / "negrisk_pair_20260727.jsonl.zst"), path="x")
    assert (report.frames, report.rejected, report.tokens, report.late_frames) == (1264, 0, 4, 0)
    assert (report.books.checked, report.books.hash_ok) == (2, 2)
    assert (report.batches.checked, report.batches.hash_ok) == (1612, 1592)
    assert report.batches.hash_ok_arrival_order == 1592
    assert misses(report) == {"next_included": 20}
    assert report.batches.longest_untrue_ms == 50
    # Two of the four tokens never get a snapshot.
    assert report.batches.without_snapshot == 740
    assert (report.rebuilt.top.checked, report.rebuilt.top.mismatch) == (1612, 0)
    assert (report.rebuilt.mirror.checked, report.rebuilt.mirror.mismatch) == (807, 0)
    assert (report.top.mismatch, report.mirror.mismatch) == (0, 0)
    assert report.top.checked >= 1612
    assert report.states_ms["SUSPECT"] == 0
    assert report.states_ms["LIVE"] == 2 * 830_436
    assert report.ok


@pytest.mark.parametrize(
    ("name", "books", "batches"),
    [
        ("small_20260630.json", 3, 8),
        ("fed_june2026.clob-books.json.zst", 10, 0),
        ("clob_book_binary_20260628.json", 1, 0),
        ("clob_book_negrisk_outcome_20260628.json", 1, 0),
        ("hugompt_clob_book_20260627.json", 1, 0),
    ],
)
def test_small_recordings_verify_wholly(recordings: Path, name: str, books: int, batches: int) -> None:
    report = check_frames(frames_of(recordings / name))
    assert (report.books.checked, report.books.hash_ok) == (books, books)
    assert (report.batches.checked, report.batches.hash_ok) == (batches, batches)
    assert report.ok
    assert report.examples == []


def test_book_frames_without_terms_are_found_by_search(recordings: Path) -> None:
    report = check_frames(frames_of(recordings / "books_btc-updown-5m-1776326100.jsonl.zst", 700))
    assert (report.books.checked, report.books.hash_ok) == (700, 700)
    assert report.books.found_by["stated"] == 1
    assert report.books.found_by["search"] > 100


def test_recording_without_hashes_is_noted(recordings: Path) -> None:
    report = check_frames(frames_of(recordings / "btc15m_yesno_bbo_20260401.csv.zst", 500))
    assert (report.books.checked, report.batches.checked) == (0, 0)
    assert report.ok
    assert report.notes[0].startswith("no hash in this recording")


def test_arrival_order_within_the_horizon_does_not_matter(recordings: Path) -> None:
    frames = frames_of(recordings / "negrisk_pair_20260727.jsonl.zst")
    rng = random.Random(20260727)
    by_time: dict[int, list[Received]] = {}
    for frame in frames[2:]:
        by_time.setdefault(frame.recv_wall_ns // 1_000_000_000, []).append(frame)
    shuffled = frames[:2]
    for second in by_time.values():
        rng.shuffle(second)
        shuffled += second
    assert shuffled != frames
    report = check_frames(shuffled)
    assert (report.batches.checked, report.batches.hash_ok) == (1612, 1592)
    assert misses(report) == {"next_included": 20}
    assert report.batches.hash_ok_arrival_order < 1592
    assert report.late_frames > 50


# --- a damaged recording is found out -------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_one_changed_size_in_one_book_flags_exactly_that_book(recordings: Path, seed: int) -> None:
    frames = frames_of(recordings / "books_btc-updown-5m-1776326100.jsonl.zst", 300)
    rng = random.Random(seed)
    index = rng.randrange(len(frames))
    body = msgspec.json.decode(frames[index].payload)
    level = rng.choice(body["bids"] + body["asks"])
    level["size"] = str(float(level["size"]) + 1)
    frames[index] = frames[index]._replace(payload=msgspec.json.encode(body))
    report = check_frames(frames)
    assert (report.books.checked, report.books.hash_ok) == (300, 299)
    assert not report.ok
    assert [(e.what, e.token, e.at_ms) for e in report.examples] == [
        ("book", body["asset_id"], int(body["timestamp"]))
    ]


@pytest.mark.parametrize("seed", range(2))
def test_one_changed_size_in_one_change_flags_that_batch(recordings: Path, seed: int) -> None:
    frames = frames_of(recordings / "negrisk_pair_20260727.jsonl.zst", 500)
    clean = check_frames(frames)
    # The cut fell between two changes of one millisecond.
    assert misses(clean) == {"next_included": 12, "gap": 2}
    rng = random.Random(seed)
    market = msgspec.json.decode(frames[0].payload)["market"]
    choices = [
        index
        for index in range(2, 400)
        if (body := msgspec.json.decode(frames[index].payload))["market"] == market
        and body["price_changes"][0]["size"] != "0"
    ]
    index = rng.choice(choices)
    body = msgspec.json.decode(frames[index].payload)
    change = body["price_changes"][0]
    change["size"] = str(float(change["size"]) + 1)
    frames[index] = frames[index]._replace(payload=msgspec.json.encode(body))
    report = check_frames(frames)
    assert report.batches.checked == clean.batches.checked
    assert report.batches.misses.unexplained > 0
    assert not report.ok
    unexplained = [example for example in report.examples if example.what == "unexplained"]
    # The other token's mirrored entry was left alone, and nothing before the damage is accused.
    assert {example.token for example in unexplained} == {change["asset_id"]}
    # A batch whose hash includes the damaged change already is accused with it, and no other before.
    explained_by_it = {example.at_ms for example in clean.examples if example.token == change["asset_id"]}
    assert unexplained[0].at_ms in {int(body["timestamp"])} | explained_by_it
    assert unexplained[-1].at_ms >= int(body["timestamp"]) > unexplained[0].at_ms - 1
    assert report.rebuilt.mirror.mismatch > 0


def test_terms_that_a_frame_states_are_never_searched(recordings: Path) -> None:
    path = recordings / "hugompt_clob_book_20260627.json"
    body = msgspec.json.decode(path.read_bytes())
    for field, value in (("last_trade_price", "0.111"), ("tick_size", "0.1"), ("neg_risk", True)):
        damaged = msgspec.json.encode(body | {field: value})
        report = check_frames([Received(0, 1, 1, damaged)])
        assert (report.books.checked, report.books.hash_ok) == (1, 0), field
        assert report.ok is False


def test_unreadable_frames_are_counted_and_change_nothing(recordings: Path) -> None:
    frames = frames_of(recordings / "small_20260630.json")
    clean = check_frames(frames)
    junk = [Received(frames[0].recv_wall_ns, 1, 1, payload) for payload in (b"{", b"[1,2]", b'{"market":5}')]
    report = check_frames([*frames[:2], *junk, *frames[2:]])
    assert report.rejected == 3
    assert report.frames == clean.frames + 3
    assert (report.books, report.batches) == (clean.books, clean.batches)


@pytest.mark.parametrize("seed", range(2))
def test_damaged_bytes_give_a_report_and_never_an_error(recordings: Path, seed: int) -> None:
    frames = frames_of(recordings / "negrisk_pair_20260727.jsonl.zst", 200)
    rng = random.Random(seed)
    for index in rng.sample(range(len(frames)), 60):
        payload = bytearray(frames[index].payload)
        for _ in range(rng.randrange(1, 4)):
            payload[rng.randrange(len(payload))] = rng.choice(b'0159.-eE"{}[],:xN')
        frames[index] = frames[index]._replace(payload=bytes(payload[: rng.choice([len(payload), 90])]))
    report = check_frames(frames)
    batches = report.batches
    assert report.frames == 200
    assert report.rejected > 0
    assert batches.checked == batches.hash_ok + sum(misses(report).values())


def test_an_iterator_gives_the_same_report_as_a_list(recordings: Path) -> None:
    frames = frames_of(recordings / "small_20260630.json")

    def once() -> Iterator[Received]:
        yield from frames

    assert check_frames(once()) == check_frames(frames)


def test_nothing_gives_an_empty_report() -> None:
    report = check_frames([])
    assert (report.frames, report.tokens, report.batches.checked) == (0, 0, 0)


def test_json_has_the_agreed_shape(recordings: Path) -> None:
    frames = frames_of(recordings / "small_20260630.json")
    body = msgspec.json.decode(msgspec.json.encode(check_frames(frames, path="x.json")))
    assert {"path", "frames", "rejected", "tokens", "late_frames", "resyncs", "states_ms"} <= body.keys()
    assert {"checked", "hash_ok"} <= body["books"].keys()
    assert {"checked", "hash_ok", "hash_ok_arrival_order", "longest_untrue_ms"} <= body["batches"].keys()
    assert body["batches"]["misses"].keys() == {
        "late",
        "next_included",
        "unknown_last_trade",
        "gap",
        "unexplained",
    }
    assert body["top"].keys() == body["mirror"].keys() == {"checked", "mismatch"}
    assert body["states_ms"].keys() == {"LIVE", "SUSPECT", "STALE", "SYNCING"}


# --- every class of misses, from a feed made to have it -------------------------------------------

YES, NO = "11", "12"
MARKET = Market(
    condition_id="0x" + "ab" * 32,
    yes=Token(YES, "Yes"),
    no=Token(NO, "No"),
    slug="m",
    question="q",
    tick_e6=10_000,
    min_size_e6=5_000_000,
    neg_risk=True,
    active=True,
    closed=False,
    accepting_orders=True,
    as_of_ms=0,
)


class Venue:
    """One token's book as the venue holds it, and the frames it sends."""

    def __init__(self) -> None:
        self.bids = {400_000: 10_000_000, 390_000: 20_000_000}
        self.asks = {420_000: 15_000_000, 430_000: 25_000_000}
        self.last_trade = "0.410"
        self.frames: list[Received] = []
        self.generation = 1

    def send(self, payload: bytes, at_ms: int) -> None:
        self.frames.append(Received((T0 + at_ms) * 1_000_000, 1, self.generation, payload))

    def snapshot(self, at_ms: int) -> None:
        book = encode_book(MARKET, YES, self.bids, self.asks, T0 + at_ms, self.last_trade, first=at_ms == 0)
        self.send(book, at_ms)

    def set(self, px_e6: int, qty_e6: int) -> None:
        self.bids[px_e6] = qty_e6

    def change(self, px_e6: int, qty_e6: int, at_ms: int) -> bytes:
        """Return the frame that says ``px_e6`` now has ``qty_e6``, with the hash of the book as it is."""
        digest = state_hash(MARKET, YES, self.bids, self.asks, T0 + at_ms, self.last_trade)
        out = ChangeOut(
            token_id=YES,
            side=Side.BUY,
            px_e6=px_e6,
            qty_e6=qty_e6,
            best_bid_px_e6=max(self.bids),
            best_ask_px_e6=min(self.asks),
            hash=digest,
        )
        return encode_price_change(MARKET.condition_id, [out], T0 + at_ms)

    def trade_to(self, px_e6: int, qty_e6: int, at_ms: int) -> None:
        """Change and say so at once."""
        self.set(px_e6, qty_e6)
        self.send(self.change(px_e6, qty_e6, at_ms), at_ms)

    def report(self) -> FileReport:
        return check_frames(self.frames)


def test_true_feed_has_no_miss() -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.trade_to(380_000, 7_000_000, 10)
    venue.trade_to(400_000, 9_000_000, 20)
    report = venue.report()
    assert (report.batches.checked, report.batches.hash_ok, misses(report)) == (2, 2, {})
    assert report.books.hash_ok == 1
    # The neg-risk flag is in no frame; the hash proved it to the running books too.
    assert report.states_ms["SUSPECT"] == 0


def test_hash_that_includes_the_next_change() -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.set(380_000, 7_000_000)
    venue.set(370_000, 8_000_000)
    venue.send(venue.change(380_000, 7_000_000, 10), 10)
    venue.send(venue.change(370_000, 8_000_000, 16), 16)
    report = venue.report()
    assert misses(report) == {"next_included": 1}
    assert (report.batches.hash_ok, report.batches.longest_untrue_ms) == (1, 6)
    assert report.examples[0].detail == "with the next 1, up to 6 ms later"


def test_hash_without_a_change_stamped_before() -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.set(370_000, 8_000_000)
    second = venue.change(370_000, 8_000_000, 16)
    venue.set(380_000, 7_000_000)
    venue.send(venue.change(380_000, 7_000_000, 10), 10)
    venue.send(second, 16)
    venue.trade_to(360_000, 1_000_000, 30)
    report = venue.report()
    assert misses(report) == {"next_included": 1, "late": 1}
    assert report.batches.longest_untrue_ms == 20


def test_last_trade_price_that_was_never_printed() -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.last_trade = "0.430"
    venue.trade_to(380_000, 7_000_000, 10)
    venue.trade_to(370_000, 8_000_000, 20)
    report = venue.report()
    # Found once, it is known: the second batch is right.
    assert misses(report) == {"unknown_last_trade": 1}
    assert report.batches.hash_ok == 1
    assert report.examples[0].detail == "last trade 0.430 tick 0.01"


def test_change_lost_over_a_reconnection_is_a_gap_until_the_snapshot() -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.set(300_000, 1_000_000)
    venue.generation = 2
    venue.trade_to(380_000, 7_000_000, 400)
    venue.snapshot(410)
    venue.trade_to(370_000, 8_000_000, 420)
    report = venue.report()
    assert misses(report) == {"gap": 1}
    assert (report.batches.hash_ok, report.batches.longest_untrue_ms) == (1, 10)
    assert [(resync.reason, resync.at_ms) for resync in report.resyncs] == [("reconnect", T0 + 400)]
    assert report.ok


def test_change_lost_within_a_connection_is_unexplained() -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.set(300_000, 1_000_000)
    venue.trade_to(380_000, 7_000_000, 400)
    venue.snapshot(700)
    report = venue.report()
    assert misses(report) == {"unexplained": 1}
    assert report.batches.longest_unexplained_ms == 300
    assert not report.ok


def test_miss_whose_reason_would_follow_the_end_is_a_gap() -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.set(380_000, 7_000_000)
    venue.set(370_000, 8_000_000)
    venue.send(venue.change(380_000, 7_000_000, 10), 10)
    assert misses(venue.report()) == {"gap": 1}


def test_reconnection_without_loss_is_right() -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.generation = 2
    venue.trade_to(380_000, 7_000_000, 400)
    report = venue.report()
    assert (report.batches.hash_ok, misses(report)) == (1, {})


@pytest.mark.parametrize("swapped", [False, True])
def test_order_within_one_millisecond_follows_the_hashes(*, swapped: bool) -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.set(380_000, 7_000_000)
    first = venue.change(380_000, 7_000_000, 10)
    venue.set(370_000, 8_000_000)
    second = venue.change(370_000, 8_000_000, 10)
    for frame in (second, first) if swapped else (first, second):
        venue.send(frame, 10)
    report = venue.report()
    # One (market, timestamp) is one batch, however many frames share it.
    assert (report.batches.checked, report.batches.hash_ok) == (1, 1)
    assert report.batches.ties_reordered == swapped


@pytest.mark.parametrize("swapped", [False, True])
def test_two_values_of_one_level_in_one_millisecond_are_decided_by_the_next_hash(*, swapped: bool) -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.set(380_000, 7_000_000)
    first = venue.change(380_000, 7_000_000, 10)
    venue.set(380_000, 8_000_000)
    second = venue.change(380_000, 8_000_000, 10)
    for frame in (second, first) if swapped else (first, second):
        venue.send(frame, 10)
    venue.trade_to(360_000, 1_000_000, 300)
    report = venue.report()
    assert (report.batches.checked, report.batches.hash_ok) == (2, 2)
    assert report.batches.hash_ok_arrival_order == 2 - swapped
    assert report.batches.ties_reordered == swapped


def test_trade_printed_after_its_book_is_found_at_once_and_before_it_by_its_price() -> None:
    venue = Venue()
    venue.snapshot(0)
    venue.last_trade = "0.430"
    venue.snapshot(10)
    trade = encode_last_trade_price(MARKET.condition_id, YES, Side.BUY, 550_000, 1_000_000, T0 + 20)
    venue.send(trade, 20)
    venue.last_trade = "0.450"
    venue.snapshot(30)
    report = venue.report()
    assert report.books.hash_ok == 3
    assert report.books.found_by == {"stated": 1, "known": 0, "trade": 1, "search": 1}


def test_changes_before_the_first_snapshot_are_not_counted_as_checked() -> None:
    venue = Venue()
    venue.trade_to(380_000, 7_000_000, 1)
    venue.snapshot(10)
    report = venue.report()
    assert (report.batches.checked, report.batches.without_snapshot) == (0, 1)


def test_books_of_the_old_recipe_are_not_judged() -> None:
    body = {
        "event_type": "book",
        "market": MARKET.condition_id,
        "asset_id": YES,
        "timestamp": "1727000000000",
        "hash": "ab" * 20,
        "bids": [{"price": "0.4", "size": "10"}],
        "asks": [],
    }
    report = check_frames([Received(1_727_000_000_000_000_000, 1, 1, msgspec.json.encode(body))])
    assert report.books.checked == 0
    assert report.ok
    assert "precede the hash recipe" in report.notes[0]


# --- the whole collection -------------------------------------------------------------------------


class Expected(NamedTuple):
    books: int
    batches: int = 0
    hash_ok: int = 0
    misses: tuple[tuple[str, int], ...] = ()
    longest_untrue_ms: int = 0


WHOLE = {
    "ws/btc5m_full_20260421.jsonl.zst": Expected(144, 9138, 9128, (("next_included", 10),), 9),
    "ws/negrisk_pair_20260727.jsonl.zst": Expected(2, 1612, 1592, (("next_included", 20),), 50),
    "ws/updown15m_mixed_20260429.jsonl.zst": Expected(540, 80, 80),
    "ws/small_20260630.json": Expected(3, 8, 8),
    "ws/books_btc-updown-5m-1776323700.jsonl.zst": Expected(4550),
    "ws/books_btc-updown-5m-1776325800.jsonl.zst": Expected(4676),
    "ws/books_btc-updown-5m-1776326100.jsonl.zst": Expected(5369),
    "ws/books_btc-updown-5m-1776326400.jsonl.zst": Expected(5144),
    "ws/books_btc-updown-5m-1776326700.jsonl.zst": Expected(4487),
    "ws/books_btc-updown-5m-1776327000.jsonl.zst": Expected(6114),
    "ws/books_btc-updown-5m-1776329100.jsonl.zst": Expected(1974),
    "books/clob_books_60tokens_20260311.jsonl.zst": Expected(60),
    "books/fed_june2026.clob-books.json.zst": Expected(10),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_every_recording_with_hashes(shared_data: Path, name: str) -> None:
    expected = WHOLE[name]
    report = check_frames(open_recording(shared_data / name), path=name)
    assert report.rejected == 0
    assert (report.books.checked, report.books.hash_ok) == (expected.books, expected.books)
    assert (report.batches.checked, report.batches.hash_ok) == (expected.batches, expected.hash_ok)
    assert misses(report) == dict(expected.misses)
    assert report.batches.longest_untrue_ms == expected.longest_untrue_ms
    assert report.batches.longest_unexplained_ms == 0
    assert (report.rebuilt.top.mismatch, report.rebuilt.mirror.mismatch) == (0, 0)
    assert report.ok


@pytest.mark.slow
def test_busy_recording_in_arrival_order(shared_data: Path) -> None:
    report = check_frames(open_recording(shared_data / "ws/btc5m_full_20260421.jsonl.zst"))
    # More than four batches in ten are wrong when frames are applied as they come.
    assert report.batches.hash_ok_arrival_order == 5182
    assert report.late_frames == 1087
    assert report.top.mismatch * 1000 < report.top.checked
    assert report.resyncs == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_one_changed_size_in_the_busy_recording_is_not_explained_away(shared_data: Path, seed: int) -> None:
    frames = frames_of(shared_data / "ws/btc5m_full_20260421.jsonl.zst")
    rng = random.Random(seed)
    index = rng.choice([place for place in range(50, 5000) if b'"price_changes"' in frames[place].payload])
    body = msgspec.json.decode(frames[index].payload)
    change = rng.choice(body["price_changes"])
    change["size"] = str(float(change["size"]) + 1)
    frames[index] = frames[index]._replace(payload=msgspec.json.encode(body))
    report = check_frames(frames)
    unexplained = [example for example in report.examples if example.what == "unexplained"]
    assert {example.token for example in unexplained} == {change["asset_id"]}
    # The very batch is accused, or the first one after it where the damaged value decides a tie.
    assert 0 <= unexplained[0].at_ms - int(body["timestamp"]) <= 5
    assert set(misses(report)) == {"next_included", "unexplained"}
    assert not report.ok


def _without(frames: Iterable[Received], index: int) -> list[Received]:
    return [frame for place, frame in enumerate(frames) if place != index]


@pytest.mark.slow
def test_one_frame_lost_from_the_busy_recording_is_found(shared_data: Path) -> None:
    frames = frames_of(shared_data / "ws/btc5m_full_20260421.jsonl.zst", 2500)
    clean = check_frames(frames)
    report = check_frames(_without(frames, 1200))
    assert clean.batches.misses.unexplained == 0
    assert report.batches.misses.unexplained > 0
    assert not report.ok
