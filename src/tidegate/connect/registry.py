"""Which connectors exist: every class with a `kind` in `tidegate.sources` and `tidegate.targets`, and those that other
packages offer under the entry points `tidegate.sources` and `tidegate.targets`. Adding a file is all it takes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from tidegate.connect.source import Source
from tidegate.connect.target import Target
from tidegate.errors import ConnectorUnknown


def _declared(modules: Iterable[ModuleType], base: type[Any]) -> dict[str, type[Any]]:
    found: dict[str, type[Any]] = {}
    for module in modules:
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, base) and not inspect.isabstract(cls) and cls.__module__ == module.__name__:
                found[vars(cls)["kind"]] = cls
    return found


def _discover(package: str, base: type[Any]) -> dict[str, type[Any]]:
    home = importlib.import_module(package)
    names = [info.name for info in pkgutil.iter_modules(home.__path__)]
    found = _declared((importlib.import_module(f"{package}.{name}") for name in names), base)
    for point in entry_points(group=package):
        cls = point.load()
        found[cls.kind] = cls
    return found


def _own(package: str, base: type[Any], kind: str) -> type[Any] | None:
    """The connector in the file named like its kind, without importing all the others: a worker needs two."""
    home = importlib.import_module(package)
    if kind not in {info.name for info in pkgutil.iter_modules(home.__path__)}:
        return None
    return _declared([importlib.import_module(f"{package}.{kind}")], base).get(kind)


@cache
def sources() -> dict[str, type[Source]]:
    """Kind → class."""
    return _discover("tidegate.sources", Source)


@cache
def targets() -> dict[str, type[Target]]:
    """Kind → class."""
    return _discover("tidegate.targets", Target)


def source_class(kind: str) -> type[Source]:
    """Raises `ConnectorUnknown`, naming those that can be read."""
    own: type[Source] | None = _own("tidegate.sources", Source, kind)
    if own is not None:
        return own
    try:
        return sources()[kind]
    except KeyError:
        raise ConnectorUnknown(f"{kind} cannot be read; sources are {', '.join(sorted(sources()))}") from None


def target_class(kind: str) -> type[Target]:
    """Raises `ConnectorUnknown`, naming those that can be written."""
    own: type[Target] | None = _own("tidegate.targets", Target, kind)
    if own is not None:
        return own
    try:
        return targets()[kind]
    except KeyError:
        raise ConnectorUnknown(f"{kind} cannot be written; targets are {', '.join(sorted(targets()))}") from None
