"""The demo: real recordings and one seeded synthetic event through the same run as paper trading.

Two recordings of real markets are shifted in receive time, nothing else, so that they and a synthetic
five-outcome event begin together; their frames are byte for byte what the venue sent. Everything after
that is the ordinary path: decoder, books, both strategies, risk, execution, simulated venue, journal, tape,
store, verification.

Invariants: offline; the same seed and length give the same decisions; nothing is deleted but the data of an
earlier demo.
"""

import heapq
import shutil
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from overround.core.events import Fact, MarketListed, StreamUp
from overround.core.market import Market
from overround.exchange.flow import FlowConfig
from overround.ops.app import new_engine, store_path, tape_path
from overround.ops.config import Config
from overround.ops.config_load import load
from overround.polymarket.inbox import FactIn, FrameIn, Incoming
from overround.polymarket.listing import markets_from_gamma
from overround.runtime.recorded import input_ts_ns
from overround.runtime.replay import ReplayReport, verify
from overround.runtime.synthetic import SyntheticEvent
from overround.storage.importers import open_recording
from overround.storage.journal import JournalReader
from overround.storage.tape import TapeReader

START_NS: Final = 1_785_163_378_339_000_000
"""Feed time at which the demo begins: the first frame of the older recording's slice."""

RECORDINGS: Final = (
    ("negrisk_pair_20260727.jsonl.zst", 17),
    ("books_btc-updown-5m-1776326100.jsonl.zst", 18),
)
"""Shipped recordings and the stream numbers they get."""

SYNTHETIC_STREAM: Final = 16
MARKER: Final = ".overround-demo"

FLOW: Final = FlowConfig(gap_ms=100, mispricing_chance_e6=1_600, news_chance_e6=5_000)
"""A calm event with enough mistakes to show both kinds of baskets within five minutes."""

CONFIG: Final = """\
# Written by `overround demo`: an ordinary configuration, paper trading on recorded and synthetic data.
[service]
name = "demo"
data_dir = "data"

[service.store]
snapshot_interval_s = 1

[service.spread]
size = "50"
max_position = "300"
inventory_skew = "0.04"
min_quote_lifetime_ms = 2000

[service.dutch]
min_profit_usdc = "0.25"
safety_margin_usdc = "0.05"
slippage_ticks = 0
max_size = "60"
cooldown_ms = 250
max_legging_ratio = "8"

[relayer]
type = "fake"

[relayer.simulation]
starting_cash_usdc = "10000"
queue_model = "probabilistic"

[risk]
max_market_usdc = "400"

# Five minutes of bitcoin move far and fast: smaller, wider, and back sooner after a jump.
[[market]]
slug = "btc-updown-5m-1776326100"
spread = { size = "20", max_position = "100", edge = "0.02", max_mid_jump = "0.1", cooloff_ms = 5000 }

# A tick of a tenth of a cent allows a tighter quote.
[[market]]
slug = "jd-vance-2028-republican-nominee"
spread = { edge = "0.002" }
"""


class DemoDirectoryError(Exception):
    """The directory holds something that no demo made."""


def prepare(directory: Path) -> Config:
    """Make ``directory`` a fresh demo directory and return the configuration written there.

    Raises :class:`DemoDirectoryError` if no demo made what it holds, ``OSError`` if it cannot be written.
    """
    if directory.exists():
        if not directory.is_dir() or (any(directory.iterdir()) and not (directory / MARKER).is_file()):
            raise DemoDirectoryError(str(directory))
        if (directory / "data").exists():
            shutil.rmtree(directory / "data")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARKER).touch()
    path = directory / "config.toml"
    path.write_text(CONFIG, encoding="utf-8", newline="\n")
    return load(path)


class DemoFeed:
    """The demo's markets and frames."""

    def __init__(self, seed: int, seconds: int) -> None:
        self._until_ns = START_NS + seconds * 1_000_000_000
        self._folder = Path(str(files("overround") / "recordings"))
        self._synthetic = SyntheticEvent(seed, START_NS, SYNTHETIC_STREAM, FLOW)
        raw = msgspec.json.decode((self._folder / "markets.gamma.json").read_bytes(), type=list[msgspec.Raw])
        listed = markets_from_gamma(raw, START_NS // 1_000_000).markets
        self._recorded = [m for m in listed if any(_speaks(Path(name), m) for name, _ in RECORDINGS)]

    @property
    def until_ns(self) -> int:
        """Feed time at which the demo ends."""
        return self._until_ns

    def metadata(self) -> list[Fact]:
        """Return all markets and events as facts."""
        recorded: list[Fact] = [MarketListed(market) for market in self._recorded]
        return recorded + self._synthetic.metadata()

    def inputs(self) -> Iterator[Incoming]:
        """Yield everything received, in order of receive time."""
        sources = [_shifted(self._folder / name, stream, self._recorded) for name, stream in RECORDINGS]
        sources.append(self._synthetic.inputs(self._until_ns))
        for item in heapq.merge(*sources, key=input_ts_ns):
            if input_ts_ns(item) > self._until_ns:
                return
            yield item


def _shifted(path: Path, stream: int, markets: Sequence[Market]) -> Iterator[Incoming]:
    """Yield a recording as one connection that begins with the demo."""
    shift_ns: int | None = None
    last_ns = START_NS
    for record in open_recording(path):
        if shift_ns is None:
            shift_ns = START_NS - record.recv_wall_ns
            tokens = tuple(
                token for market in markets for token in market.token_ids() if _speaks(path, market)
            )
            yield FactIn(START_NS, StreamUp(stream, 1, tokens))
        last_ns = max(last_ns, record.recv_wall_ns + shift_ns)
        yield FrameIn(last_ns, last_ns, stream, 1, record.payload)


def _speaks(path: Path, market: Market) -> bool:
    """Whether a recording is about a market: the bitcoin recordings carry the market's slug in their name."""
    if path.name.startswith("books_"):
        return market.slug in path.name
    return not market.slug.startswith("btc-")


def verify_demo(config: Config) -> ReplayReport:
    """Replay the demo's journal and tape and compare every command."""
    with JournalReader.open(store_path(config)) as journal, TapeReader(tape_path(config)) as tape:
        return verify(journal, tape, lambda: new_engine(config))
