"""The example configuration, written from the structs: every key with meaning, unit, range and default.

``python -m overround.ops.config_docs`` writes it to standard output. A test demands that
config/service.example.toml is exactly this text and that it loads to the defaults.
"""

import sys
from collections.abc import Iterator
from textwrap import wrap

from msgspec import Struct, inspect

from overround.ops.config import Config, EventConfig, MarketConfig
from overround.ops.config_fields import FieldSpec, fields_of
from overround.ops.config_read import range_text
from overround.ops.config_text import public_value, scaled_text, toml_value

WIDTH = 100

HEAD = """\
# Overround: every key of the configuration with its default.
# Copy this file to service.toml and keep only what you change; what is absent has its default.
#
# Money, prices and sizes are exact decimals: "0.48", 0.48 and 12 are all right.
# Later wins: defaults, this file, [profile.NAME], secrets.local.toml beside this file (which only you
# may read: chmod 600), then [[event]] and [[market]] for single parameters.
"""

TAIL = """
# --- single events and markets ---------------------------------------------------------------------
# Each entry is followed, and may override parameters of the strategies.
#
# [[event]]
{event}#
# [event.dutch]
# min_profit_usdc = "1"
#
# [[market]]
{market}#
# [market.spread]
# size = "50"
# edge = "0.02"

# --- profiles --------------------------------------------------------------------------------------
# Chosen by service.profile or --profile.

[profile.paper.relayer]
type = "fake"

[profile.live.relayer]
type = "real"
dry_run = true # set to false, and give wallet keys in secrets.local.toml, to trade

[profile.emulator.venue]
clob_url = "http://127.0.0.1:8780"
gamma_url = "http://127.0.0.1:8780/gamma"
ws_url = "ws://127.0.0.1:8780/ws/market"

[profile.emulator.relayer]
type = "real"
base_url = "http://127.0.0.1:8780"
dry_run = false
"""


def example_toml() -> str:
    """Return the text of config/service.example.toml."""
    body = "\n".join(_section(Config, ""))
    tail = TAIL.format(event=_entry(EventConfig), market=_entry(MarketConfig))
    return f"{HEAD}{body}\n{tail}"


def _section(struct: type[Struct], path: str) -> Iterator[str]:
    specs = [spec for spec in fields_of(struct).values() if not spec.internal]
    for spec in specs:
        if not isinstance(spec.kind, inspect.StructType | inspect.VarTupleType) or _plain_list(spec):
            yield from _key(spec)
    for spec in specs:
        if isinstance(spec.kind, inspect.StructType):
            inner = f"{path}.{spec.key}" if path else spec.key
            about = (spec.kind.cls.__doc__ or "").split("\n")[0]
            yield from ("", f"# {about}", f"[{inner}]")
            yield from _section(spec.kind.cls, inner)


def _plain_list(spec: FieldSpec) -> bool:
    return isinstance(spec.kind, inspect.VarTupleType) and isinstance(spec.kind.item_type, inspect.StrType)


def _key(spec: FieldSpec) -> Iterator[str]:
    yield ""
    yield from (f"# {line}" for line in wrap(f"{spec.description} {_limits(spec)}".rstrip(), WIDTH))
    if spec.default is None:
        yield f"# {spec.key} = {_sample(spec)}"
    else:
        yield f"{spec.key} = {toml_value(public_value(spec, spec.default))}"


def _limits(spec: FieldSpec) -> str:
    if spec.choices:
        texts = (scaled_text(c, spec.decimals) if spec.decimals else toml_value(c) for c in spec.choices)
        return f"[{' | '.join(texts)}]"
    limits = range_text(spec)
    return f"[{limits}]" if limits else ""


def _sample(spec: FieldSpec) -> str:
    return toml_value(scaled_text(spec.choices[-1], spec.decimals)) if spec.choices else '""'


def _entry(struct: type[Struct]) -> str:
    lines = []
    for spec in fields_of(struct).values():
        if spec.partial is None:
            lines.append(f'# {spec.key} = "…" # {spec.description}\n')
        else:
            lines.append(f"# {spec.key}: a table. {spec.description}\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]  # a real stdout
    sys.stdout.write(example_toml())
