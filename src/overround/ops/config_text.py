"""Configuration as text: plain trees for JSON and TOML, decimals exact, secrets masked.

Invariant: what is written here reads back to the same configuration, masked secrets excepted.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from overround.ops.config_fields import FieldSpec, fields_of
from overround.ops.secrets import MASK, Secret


def public_tree(struct: Struct) -> dict[str, Any]:
    """Return ``struct`` by the keys of the file; fields that are ``None`` are left out."""
    tree = {}
    for key, spec in fields_of(type(struct)).items():
        value = getattr(struct, spec.name)
        if not spec.internal and value is not None:
            tree[key] = public_value(spec, value)
    return tree


def public_value(spec: FieldSpec, value: Any) -> Any:
    """Return a field's value as the file writes it."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Struct):
        return public_tree(value)
    if spec.partial is not None:
        by_name = {inner.name: inner for inner in fields_of(spec.partial).values()}
        return {by_name[name].key: public_value(by_name[name], changed) for name, changed in value.items()}
    if isinstance(value, tuple):
        return [public_value(spec, item) for item in value]
    return scaled_text(value, spec.decimals) if spec.decimals else value


def scaled_text(value: int, decimals: int) -> str:
    """Return ``value`` divided by ten to ``decimals`` as the shortest exact decimal."""
    whole, part = divmod(value, 10**decimals)
    return f"{whole}.{part:0{decimals}d}".rstrip("0").rstrip(".") if decimals else str(whole)


def toml_value(value: Any) -> str:
    """Return a value as TOML. Raises ``TypeError`` for what a configuration never holds."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return "[" + ", ".join(toml_value(item) for item in value) + "]"
        case _:
            raise TypeError(f"no TOML for {type(value).__name__}")


def to_toml(tree: Mapping[str, Any]) -> str:
    """Return ``tree`` (as of :func:`public_tree`) as a TOML document."""
    return "\n".join(_table(tree, "")) + "\n"


def _table(tree: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield plain values first, then the sub-tables: TOML's order."""
    for key, value in tree.items():
        if not _is_table(value):
            yield f"{key} = {toml_value(value)}"
    for key, value in tree.items():
        inner = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from ("", f"[{inner}]", *_table(value, inner))
        elif _is_table(value):
            for item in value:
                yield from ("", f"[[{inner}]]", *_table(item, inner))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value))
