"""The strategies, and how the system finds them.

A strategy is one folder here whose package names three things: ``NAME`` (short identifier),
``PARAMS`` (its frozen parameter struct) and ``STRATEGY`` (its class). A third strategy is one more such
folder: nothing else has to be edited, and the generic test suite runs on it.

Invariants: strategies do not know each other, nor this registry; the order of the registry is that of
the names.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

import msgspec

from overround.core.strategy import Strategy


class Registered(msgspec.Struct, frozen=True):
    """One strategy as the composition root and the configuration see it."""

    name: str
    params: type[msgspec.Struct]
    strategy: Callable[..., Strategy]
    """Called with one function that gives a scope's parameters, or ``None`` to leave the scope alone."""


@cache
def registry() -> Mapping[str, Registered]:
    """Return every strategy by name, in the order of the names.

    Raises ``AttributeError`` when a folder here does not name NAME, PARAMS and STRATEGY.
    """
    packages = sorted(found.name for found in iter_modules(__path__) if found.ispkg)
    modules = [import_module(f"{__name__}.{package}") for package in packages]
    entries = [Registered(module.NAME, module.PARAMS, module.STRATEGY) for module in modules]
    return MappingProxyType({entry.name: entry for entry in sorted(entries, key=lambda entry: entry.name)})
