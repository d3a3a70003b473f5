"""What the demo plays, and which directories it touches."""

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from overround.core.events import EventListed, MarketListed, StreamUp
from overround.ops.demo import (
    MARKER,
    RECORDINGS,
    START_NS,
    SYNTHETIC_STREAM,
    DemoDirectoryError,
    DemoFeed,
    prepare,
)
from overround.polymarket.inbox import FactIn, FrameIn
from overround.runtime.recorded import input_ts_ns
from overround.storage.importers import open_recording

SECONDS = 20


@pytest.fixture(scope="module")
def feed() -> DemoFeed:
    return DemoFeed(7, SECONDS)


def test_a_fresh_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    config = prepare(tmp_path / "a" / "b")
    assert config.data_dir() == tmp_path / "a" / "b" / "data"
    assert config.mode == "paper"


def test_an_earlier_demo_is_replaced_and_nothing_else_is_deleted(tmp_path: Path) -> None:
    config = prepare(tmp_path)
    config.data_dir().mkdir()
    (config.data_dir() / "overround.db").write_bytes(b"old")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    prepare(tmp_path)
    assert not config.data_dir().exists()
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_directory_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(DemoDirectoryError):
        prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(DemoDirectoryError):
        prepare(tmp_path / "thesis.tex")


def test_a_directory_named_like_the_marker_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / MARKER).mkdir()
    with pytest.raises(DemoDirectoryError):
        prepare(tmp_path)


def test_inputs_come_in_order_and_end_in_time(feed: DemoFeed) -> None:
    times = [input_ts_ns(item) for item in feed.inputs()]
    assert all(before <= after for before, after in pairwise(times))
    assert times[0] == START_NS
    assert times[-1] <= feed.until_ns == START_NS + SECONDS * 1_000_000_000


def test_recorded_frames_are_byte_for_byte_the_recordings(feed: DemoFeed) -> None:
    frames = [item for item in feed.inputs() if isinstance(item, FrameIn)]
    folder = Path(str(files("overround") / "recordings"))
    for name, stream in RECORDINGS:
        played = [frame.payload for frame in frames if frame.stream == stream]
        recorded = [record.payload for record in open_recording(folder / name)]
        assert len(played) > 0
        assert played == recorded[: len(played)]


def test_every_stream_names_listed_tokens_only(feed: DemoFeed) -> None:
    facts = feed.metadata()
    markets = [fact.market for fact in facts if isinstance(fact, MarketListed)]
    listed = {token for market in markets for token in market.token_ids()}
    subscribed: dict[int, set[str]] = {}
    for item in feed.inputs():
        if isinstance(item, FactIn) and isinstance(item.fact, StreamUp):
            subscribed[item.fact.stream] = set(item.fact.token_ids)
    assert set(subscribed) == {SYNTHETIC_STREAM, *(stream for _, stream in RECORDINGS)}
    assert set.union(*subscribed.values()) == listed
    assert sum(map(len, subscribed.values())) == len(listed)
    assert sum(isinstance(fact, EventListed) for fact in facts) == 1
