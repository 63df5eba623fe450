"""What connectors there are, and whether a data source can be reached and used: a result per check."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from threading import Thread
from typing import Any

from tidegate.connect.capability import Check
from tidegate.connect.config import Config, parse_config
from tidegate.connect.registry import source_class, sources, target_class, targets
from tidegate.connect.source import Source
from tidegate.connect.target import Target
from tidegate.errors import ConnectorUnknown, TidegateError
from tidegate.server.views import Side

TEST_DEADLINE_S = 30.0


class Role(StrEnum):
    """How a data source is used."""

    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class ConnectorView:
    """A connector. `config` is the JSON Schema of a data source's settings; the target's figures are empty for one that
    cannot be written."""

    kind: str
    title: str
    roles: list[Role]
    delivery: str | None
    write_modes: list[str]
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CheckView:
    """One check: what was looked at, whether it is in order, what was found, what to do about it."""

    role: Role
    name: str
    ok: bool
    found: str
    advice: str
    code: str


@dataclass(frozen=True, slots=True)
class Report:
    """A connectivity test. `usable_as` are the roles whose checks are all in order; `ok` when those asked for are."""

    kind: str
    ok: bool
    usable_as: list[Role]
    checks: list[CheckView]


def roles(kind: str) -> dict[Role, type[Source] | type[Target]]:
    """The classes that read and write this kind. Raises `ConnectorUnknown`, naming those there are."""
    found: dict[Role, type[Source] | type[Target]] = {}
    if kind in sources():
        found[Role.SOURCE] = source_class(kind)
    if kind in targets():
        found[Role.TARGET] = target_class(kind)
    if not found:
        raise ConnectorUnknown(f"there is no connector {kind}; there are {', '.join(sorted({*sources(), *targets()}))}")
    return found


def files_of(side: Side) -> list[str]:
    """The paths of files among the settings. Raises `ConnectorUnknown`."""
    kind, values = side
    fields = next(iter(roles(kind).values())).Config.files
    return [str(values[name]) for name in sorted(fields) if name in values]


def connectors() -> list[ConnectorView]:
    """Every connector, by kind."""
    views = []
    for kind in sorted({*sources(), *targets()}):
        classes = roles(kind)
        first = next(iter(classes.values()))
        target = targets().get(kind)
        views.append(
            ConnectorView(
                kind=kind,
                title=first.title,
                roles=list(classes),
                delivery=str(target.delivery) if target else None,
                write_modes=[str(mode) for mode in target.modes] if target else [],
                config=first.Config.model_json_schema(),
            )
        )
    return views


def tried(side: Side, role: Role | None = None) -> Report:
    """Connect and look, as `role` or in every role the connector has. Raises `ConnectorUnknown`, `ConfigInvalid`."""
    kind, values = side
    classes = roles(kind)
    if role is not None and role not in classes:
        raise ConnectorUnknown(f"{kind} cannot be used as a {role}")
    wanted = {one: cls for one, cls in classes.items() if role in (None, one)}
    configs = {one: parse_config(cls.Config, values, of=kind) for one, cls in wanted.items()}
    checks = [
        CheckView(one, check.name, check.ok, check.found, check.advice, check.code)
        for one, cls in wanted.items()
        for check in _checked(cls, configs[one])
    ]
    usable = [one for one in wanted if all(check.ok for check in checks if check.role is one)]
    return Report(kind, bool(usable), usable, checks)


def _checked(cls: type[Source] | type[Target], config: Config) -> list[Check]:
    """The connector's checks, at most `TEST_DEADLINE_S` long: a network that swallows packets is a result too."""
    outcome: Future[list[Check]] = Future()

    def look() -> None:
        try:
            connector = cls(config)
            try:
                outcome.set_result(connector.check())
            finally:
                connector.close()
        except TidegateError as error:
            outcome.set_result([Check(error.title, False, error.detail, error.advice, error.code)])
        except Exception as error:  # noqa: BLE001 - handed to the waiting thread
            outcome.set_exception(error)

    Thread(target=look, name=f"check {cls.kind}", daemon=True).start()
    try:
        return outcome.result(TEST_DEADLINE_S)
    except TimeoutError:
        return [Check("reachable", False, f"no answer within {TEST_DEADLINE_S:g} s", "Check host, port and network.")]
