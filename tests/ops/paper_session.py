"""A durable paper session on a seeded synthetic event, as the service would leave it behind."""

from collections.abc import Iterator
from pathlib import Path

from overround.exchange.flow import FlowConfig
from overround.ops.app import open_run
from overround.ops.config import Config
from overround.ops.config_load import load
from overround.polymarket.inbox import Incoming
from overround.runtime.recorded import RecordedLoop, batches
from overround.runtime.synthetic import SyntheticEvent

START_NS = 1_767_225_600_000_000_000
STREAM = 16
CONFIG = """
[service]
data_dir = "data"

[service.spread]
size = 40
edge = "0.01"
min_quote_lifetime_ms = 500
min_requote_interval_ms = 100

[service.dutch]
min_profit_usdc = "0.01"
safety_margin_usdc = "0"

[relayer.simulation]
seed = 5
queue_model = "probabilistic"
"""


def write_config(folder: Path) -> Path:
    """Write the session's configuration; its data directory is `folder`/data."""
    path = folder / "config.toml"
    path.write_text(CONFIG, encoding="utf-8", newline="\n")
    path.chmod(0o600)
    return path


def run_session(folder: Path, *, seconds: int = 20, seed: int = 3, part: int = 0) -> Config:
    """Trade `seconds` of a synthetic event on paper; `part` > 0 continues in the same directory later."""
    config = load(write_config(folder))
    start_ns = START_NS + part * 3_600_000_000_000
    event = SyntheticEvent(seed + part, start_ns, STREAM, FlowConfig())
    with open_run(config, event.metadata(), start_ns) as run:
        loop = RecordedLoop(run.sequencer, run.on_step)
        loop.run(_grouped(event, start_ns + seconds * 1_000_000_000))
    return config


def _grouped(event: SyntheticEvent, until_ns: int) -> Iterator[list[Incoming]]:
    return batches(event.inputs(until_ns))
