"""From a parsed TOML table to checked values, and from those to structs.

Every layer (file, profile, secrets) is checked by itself, so an error names the file and the key that a
person wrote. Invariants: an unknown key, a wrong type or a value out of range is refused, never dropped
or rounded; a message never shows the value of a secret or of an unknown key (it may be a misspelt
secret).
"""

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import Struct, inspect

from overround.ops.config_errors import ConfigError, shown
from overround.ops.config_fields import FieldSpec, fields_of
from overround.ops.config_text import scaled_text, toml_value
from overround.ops.secrets import MASK, Secret

Checked = dict[str, Any]
"""Checked values by Python field name; sections are dictionaries again, absent keys are absent."""

DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+")
MAX_DIGITS = 24
"""Longer decimals are refused before any arithmetic: 1e999999999 must not become an integer."""


def check_table(struct: type[Struct], table: Any, file: Path, path: str = "") -> Checked:
    """Return the checked values of ``table``, which describes ``struct``. Raises :class:`ConfigError`."""
    if not isinstance(table, dict):
        raise ConfigError(file, f"{path} must be a table", shown(table), f"write a [{path}] section")
    specs = fields_of(struct)
    checked: Checked = {}
    for key, value in table.items():
        inner = f"{path}.{key}" if path else key
        spec = specs.get(key)
        if spec is None or spec.internal:
            raise _unknown(file, inner, key, [name for name, known in specs.items() if not known.internal])
        checked[spec.name] = _check(spec, value, file, inner)
    return checked


def build(struct: type[Struct], checked: Mapping[str, Any], file: Path, path: str = "") -> Any:
    """Return ``struct`` with ``checked`` values over its defaults.

    Raises:
        ConfigError: if the values contradict each other.
    """
    values: dict[str, Any] = {}
    for key, spec in fields_of(struct).items():
        if spec.name not in checked:
            continue
        value = checked[spec.name]
        inner = f"{path}.{key}" if path else key
        if isinstance(spec.kind, inspect.StructType):
            value = build(spec.kind.cls, value, file, inner)
        elif (item := _item_struct(spec)) is not None:
            value = tuple(build(item, entry, file, f"{inner}[{i}]") for i, entry in enumerate(value))
        values[spec.name] = value
    try:
        return struct(**values)
    except ValueError as error:
        raise ConfigError(file, f"{path or 'file'}: {error}", path or "file", "change one of them") from error


def merge(lower: Checked, upper: Checked) -> Checked:
    """Return ``lower`` with ``upper`` laid over it; sections merge, everything else is replaced."""
    merged = dict(lower)
    for name, value in upper.items():
        below = merged.get(name)
        merged[name] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def holds_secret(checked: Mapping[str, Any]) -> bool:
    """Whether any checked value is a secret."""
    return any(
        isinstance(value, Secret) or (isinstance(value, dict) and holds_secret(value))
        for value in checked.values()
    )


def _unknown(file: Path, path: str, key: str, known: list[str]) -> ConfigError:
    close = difflib.get_close_matches(key, known, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"allowed here: {', '.join(known)}"
    return ConfigError(file, f"unknown key {shown(path)[1:-1]}", shown(key), remedy)


def _check(spec: FieldSpec, value: Any, file: Path, path: str) -> Any:
    if spec.partial is not None:
        return check_table(spec.partial, value, file, path)
    match spec.kind:
        case inspect.StructType(cls=cls):
            return check_table(cls, value, file, path)
        case inspect.CustomType(cls=cls) if cls is Secret:
            if isinstance(value, str) and value:
                return Secret(value)
            raise ConfigError(file, f"{path} has the wrong type", MASK, "write a text that is not empty")
        case inspect.VarTupleType():
            return _check_list(spec, value, file, path)
        case _:
            checked = _scalar(spec, value)
    if checked is None:
        raise ConfigError(file, f"{path} has the wrong type", shown(value), f"write {_wanted(spec)}")
    if not _allowed(spec, checked):
        raise ConfigError(file, f"{path} is not allowed", shown(value), f"write {_wanted(spec)}")
    return checked


def _scalar(spec: FieldSpec, value: Any) -> bool | int | str | None:
    """Return a plain value in the field's own units, or ``None`` if it has the wrong type."""
    match spec.kind:
        case inspect.BoolType():
            return value if isinstance(value, bool) else None
        case inspect.IntType():
            return _scaled(value, spec.decimals) if spec.decimals else _integer(value)
        case _:
            return value if isinstance(value, str) else None


def _check_list(spec: FieldSpec, value: Any, file: Path, path: str) -> tuple[Any, ...]:
    item = _item_struct(spec)
    if not isinstance(value, list):
        wanted = f"[[{path}]] sections" if item else "a list of texts"
        raise ConfigError(file, f"{path} has the wrong type", shown(value), f"write {wanted}")
    if item is not None:
        return tuple(check_table(item, entry, file, f"{path}[{i}]") for i, entry in enumerate(value))
    for i, entry in enumerate(value):
        if not isinstance(entry, str) or not entry:
            raise ConfigError(file, f"{path}[{i}] has the wrong type", shown(entry), "write a text")
    return tuple(value)


def _item_struct(spec: FieldSpec) -> type[Struct] | None:
    if isinstance(spec.kind, inspect.VarTupleType) and isinstance(spec.kind.item_type, inspect.StructType):
        return spec.kind.item_type.cls
    return None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _scaled(value: Any, decimals: int) -> int | None:
    """Return an exact decimal (number or text) times ten to ``decimals``; ``None`` if it is none."""
    if (whole := _integer(value)) is not None:
        return whole * int(10**decimals)
    number: object = value
    if isinstance(value, str) and len(value) <= MAX_DIGITS and DECIMAL.fullmatch(value):
        number = Decimal(value)
    if not isinstance(number, Decimal) or not number.is_finite():
        return None
    if abs(number.adjusted()) > MAX_DIGITS or len(number.as_tuple().digits) > MAX_DIGITS:
        return None
    numerator, denominator = number.as_integer_ratio()
    scaled, rest = divmod(numerator * 10**decimals, denominator)
    return None if rest else scaled


def _allowed(spec: FieldSpec, value: Any) -> bool:
    if spec.choices:
        return value in spec.choices
    match spec.kind:
        case inspect.IntType(ge=low, le=high):
            return (low is None or value >= low) and (high is None or value <= high)
        case inspect.StrType(min_length=shortest, pattern=pattern):
            return len(value) >= (shortest or 0) and (
                pattern is None or re.search(pattern, value) is not None
            )
        case _:
            return True


def _wanted(spec: FieldSpec) -> str:
    """Return what may be written, for the end of a message."""
    if isinstance(spec.kind, inspect.BoolType):
        return " or ".join(toml_value(choice) for choice in spec.choices) or "true or false"
    if spec.choices:
        texts = [scaled_text(c, spec.decimals) if spec.decimals else toml_value(c) for c in spec.choices]
        return f"one of {', '.join(texts)}"
    if isinstance(spec.kind, inspect.IntType):
        kind = f"a decimal with at most {spec.decimals} places" if spec.decimals else "a whole number"
        return f"{kind}, {range_text(spec)}"
    pattern = spec.kind.pattern if isinstance(spec.kind, inspect.StrType) else None
    return f"a text like {shown(spec.default)}" if pattern and spec.default else "a text"


def range_text(spec: FieldSpec) -> str:
    """Return the range of an integer field with its unit, as the file would write it."""
    if not isinstance(spec.kind, inspect.IntType) or spec.kind.ge is None or spec.kind.le is None:
        return ""
    low, high = (scaled_text(limit, spec.decimals) for limit in (spec.kind.ge, spec.kind.le))
    return f"{low} to {high} {spec.unit}".rstrip()
