"""Reading the configuration: file, profile and secrets laid over the defaults.

Order, later wins: defaults, the file, its ``[profile.NAME]``, ``secrets.local.toml`` beside the file. Then
``[[event]]`` and ``[[market]]`` override single parameters. Invariants: nothing else is read, the
environment least of all; a file that holds secrets must be closed to group and others.
"""

import os
import stat
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from overround.ops.config import Config
from overround.ops.config_errors import ConfigError, shown
from overround.ops.config_read import Checked, build, check_table, holds_secret, merge

SECRETS_NAME = "secrets.local.toml"
MAX_FILE_BYTES = 4_000_000


def load(path: Path, profile: str | None = None) -> Config:
    """Return the configuration in ``path``, with ``profile`` (else its own service.profile) laid over.

    Raises:
        ConfigError: for anything that cannot be used, with the key, the value and what is allowed.
    """
    table = read_toml(path)
    profiles = table.pop("profile", {})
    checked = _checked(table, path)
    if not isinstance(profiles, dict):
        raise ConfigError(path, "profile must be a table", shown(profiles), "write [profile.NAME.service]")
    layers = {name: check_table(Config, layer, path, f"profile.{name}") for name, layer in profiles.items()}
    name = profile if profile is not None else checked.get("service", {}).get("profile", "")
    if name:
        if name not in layers:
            known = ", ".join(sorted(layers)) or "none"
            raise ConfigError(path, "unknown profile", shown(name), f"profiles in this file: {known}")
        checked = merge(merge(checked, layers[name]), {"service": {"profile": name}})
    if any(holds_secret(layer) for layer in (checked, *layers.values())):
        _require_private(path)
    secrets = path.parent / SECRETS_NAME
    if secrets.exists():
        _require_private(secrets)
        checked = merge(checked, _checked(read_toml(secrets), secrets))
    config: Config = build(Config, checked, path)
    _check_overrides(config, path)
    return msgspec.structs.replace(config, base_dir=path.parent)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the parsed file, floats as exact ``Decimal``. Raises :class:`ConfigError`."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(path, "file is too large", f"{path.stat().st_size} bytes", "name a TOML file")
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(
            path, "cannot be read", error.strerror or "?", "name a readable TOML file"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, "is not UTF-8 text", f"byte {error.start}", "save it as UTF-8") from error
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError) as error:
        raise ConfigError(path, "is not valid TOML", str(error)[:120], "correct this line") from error
    except RecursionError as error:
        raise ConfigError(path, "is nested too deeply", "brackets", "write plain sections") from error


def _checked(table: dict[str, Any], path: Path) -> Checked:
    return check_table(Config, table, path)


def _require_private(path: Path) -> None:
    """Refuse a file with secrets that others may use. Windows has no such bits: nothing is checked there."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(
            path, "holds secrets, but others may use it", f"mode {mode:04o}", f"run chmod 600 {path}"
        )


def _check_overrides(config: Config, path: Path) -> None:
    """Refuse overrides that contradict each other in any combination that may meet on one market."""
    spreads = [("service.spread", {}), *((f"event[{i}]", e.spread) for i, e in enumerate(config.event))]
    markets = [("", {}), *((f"market[{i}]", m.spread) for i, m in enumerate(config.market))]
    for event_path, lower in spreads:
        for market_path, upper in markets:
            _try(config.service.spread, {**lower, **upper}, path, f"{market_path or event_path}.spread")
    for i, event in enumerate(config.event):
        _try(config.service.dutch, event.dutch, path, f"event[{i}].dutch")


def _try(params: msgspec.Struct, changes: Any, path: Path, where: str) -> None:
    try:
        msgspec.structs.replace(params, **changes)
    except ValueError as error:
        raise ConfigError(path, f"{where}: {error}", where, "change one of them") from error
