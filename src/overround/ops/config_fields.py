"""What the configuration structs say about their fields, in the form that reading and writing need.

Invariant: the structs' annotations are the only source. This module knows no file.
"""

from typing import Any

import msgspec
from msgspec import Struct, inspect


class FieldSpec(Struct, frozen=True, kw_only=True):
    """One field: its key in the file, its Python name, its type and the limits of its values."""

    key: str
    name: str
    kind: inspect.Type
    """Without metadata and without ``None``."""
    default: Any
    unit: str = ""
    decimals: int = 0
    """The file's value times ten to this power is the field's value."""
    choices: tuple[Any, ...] = ()
    description: str = ""
    internal: bool = False
    partial: type[Struct] | None = None
    """The field holds overrides of this struct's fields."""


def fields_of(struct: type[Struct]) -> dict[str, FieldSpec]:
    """Return the specs of ``struct``'s fields by their keys in the file, in order."""
    info = inspect.type_info(struct)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{struct} is not a struct")
    return {found.encode_name: _spec(found) for found in info.fields}


def _spec(found: inspect.Field) -> FieldSpec:
    inner, description = found.type, ""
    extra: dict[str, Any] = {}
    while True:
        if isinstance(inner, inspect.Metadata):
            extra |= inner.extra or {}
            description = description or (inner.extra_json_schema or {}).get("description", "")
            inner = inner.type
        elif isinstance(inner, inspect.UnionType):
            inner = next(member for member in inner.types if not isinstance(member, inspect.NoneType))
        else:
            break
    choices = extra.get("choices", ())
    if isinstance(inner, inspect.LiteralType):
        choices = inner.values
    default = found.default if found.default is not msgspec.NODEFAULT else found.default_factory()
    return FieldSpec(
        key=found.encode_name,
        name=found.name,
        kind=inner,
        default=default,
        unit=extra.get("unit", ""),
        decimals=int(extra.get("scale", "e0").removeprefix("e")),
        choices=tuple(choices),
        description=description,
        internal=extra.get("internal", False),
        partial=extra.get("partial"),
    )
