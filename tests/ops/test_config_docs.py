"""The example configuration says everything, says it truly, and is never out of date."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct, inspect

from overround.ops.config import Config, EventConfig, MarketConfig
from overround.ops.config_docs import example_toml
from overround.ops.config_fields import fields_of
from overround.ops.config_load import load

EXAMPLE = Path(__file__).parents[2] / "config" / "service.example.toml"


def keys(struct: type[Struct], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield section and key of every leaf."""
    for key, spec in fields_of(struct).items():
        if isinstance(spec.kind, inspect.StructType):
            yield from keys(spec.kind.cls, f"{path}.{key}".lstrip("."))
        elif not spec.internal and key not in {"market", "event"}:
            yield path, key


def test_the_example_is_written_from_the_structs() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == example_toml(), (
        "write it anew: python -m overround.ops.config_docs > config/service.example.toml"
    )


def test_the_example_loads_to_the_defaults() -> None:
    assert msgspec.structs.replace(load(EXAMPLE), base_dir=Path()) == Config()


def test_its_profiles_load() -> None:
    assert load(EXAMPLE, "paper").mode == "paper"
    assert load(EXAMPLE, "live").mode == "live"
    assert load(EXAMPLE, "live").relayer.dry_run
    assert load(EXAMPLE, "emulator").venue.ws_url.startswith("ws://127.0.0.1:")


def test_every_key_appears_in_its_section_with_a_text() -> None:
    sections = re.split(r"^\[([a-z.]+)\]$", example_toml(), flags=re.MULTILINE)
    bodies = dict(zip(sections[1::2], sections[2::2], strict=True))
    found = list(keys(Config))
    assert len(found) > 60
    for section, key in found:
        assert re.search(rf"^# .+\n(# )?{key} = ", bodies[section], re.MULTILINE), (section, key)


def test_every_field_has_a_description() -> None:
    for struct in (Config, MarketConfig, EventConfig):
        for spec in fields_of(struct).values():
            inner = spec.kind.cls if isinstance(spec.kind, inspect.StructType) else None
            for leaf in fields_of(inner).values() if inner else ():
                plain = not isinstance(leaf.kind, inspect.StructType)
                assert leaf.description.endswith(".") or not plain, leaf


def test_every_number_has_a_range_and_every_default_is_within_it() -> None:
    def check(struct: type[Struct]) -> None:
        for spec in fields_of(struct).values():
            match spec.kind:
                case inspect.StructType(cls=cls):
                    check(cls)
                case inspect.IntType(ge=low, le=high) if not spec.choices:
                    assert low is not None, spec
                    assert high is not None, spec
                    assert low <= spec.default <= high, spec

    check(Config)
