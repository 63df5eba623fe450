"""`tidegate doctor`: whether this machine can run Tidegate well, and whether its server answers. Looks, and changes
nothing."""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

import tidegate
from tidegate.cli.command import Session, command
from tidegate.cli.figures import size
from tidegate.cli.picture import table
from tidegate.cli.terminal import Exit
from tidegate.errors import EnvironmentLacking, SignOnUnavailable, TidegateError
from tidegate.settings import Settings, load

FREE_BYTES_MIN = 1 << 30
FILES_MIN = 4096


class Level(StrEnum):
    GOOD = "good"
    COULD_BE_BETTER = "could be better"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    level: Level
    found: str
    advice: str = ""


def decoder() -> Finding:
    """What workers started from here decode a source's log with."""
    # Loads what no other command needs.
    from tidegate.decode.choice import VARIABLE, which

    choice = which()
    mend = "unset TIDEGATE_DECODE" if os.environ.get(VARIABLE) else "build it"
    advice = "" if choice.native else f"Everything works, at a fraction of the speed; {mend}."
    return Finding("decoder", Level.GOOD if choice.native else Level.COULD_BE_BETTER, str(choice), advice)


def connectors() -> Finding:
    """Which connectors' libraries are here."""
    there: set[str] = set()
    lacking: list[str] = []
    for package in ("tidegate.sources", "tidegate.targets"):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            try:
                importlib.import_module(f"{package}.{module.name}")
                there.add(module.name)
            except ImportError as error:
                lacking.append(f"{module.name} needs {error.name}")
    found = "; ".join([", ".join(sorted(there)), *sorted(set(lacking))])
    advice = "pip install what is named here to use those connectors." if lacking else ""
    return Finding("connectors", Level.COULD_BE_BETTER if lacking else Level.GOOD, found, advice)


def data_dir(settings: Settings) -> Finding:
    """Whether the server can keep its store, keys and logs."""
    place = settings.data_dir
    standing = next(parent for parent in (place, *place.parents) if parent.exists())
    if not os.access(standing, os.W_OK | os.X_OK) or not standing.is_dir():
        advice = "Give this user the directory, or set TIDEGATE_DATA_DIR to one it may write to."
        return Finding("data directory", Level.WRONG, f"{standing} cannot be written to", advice)
    free_bytes = shutil.disk_usage(standing).free
    found = f"{place}, {size(free_bytes)} free" + ("" if standing == place else "; made at the first start")
    if free_bytes < FREE_BYTES_MIN:
        advice = "Make room: the store, logs and rows on their way are kept there."
        return Finding("data directory", Level.COULD_BE_BETTER, found, advice)
    if standing == place and place.stat().st_mode & 0o077:
        advice = f"chmod 700 {place}: it holds keys and tokens."
        return Finding("data directory", Level.WRONG, f"{place} can be entered by other users", advice)
    return Finding("data directory", Level.GOOD, found)


def files() -> Finding:
    """How many files and connections a process may have open."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed >= FILES_MIN:
        return Finding("open files", Level.GOOD, f"{allowed} at once")
    advice = f"ulimit -n {FILES_MIN} (at most {most}) before the server starts; one with hundreds of workers needs it."
    return Finding("open files", Level.COULD_BE_BETTER, f"{allowed} at once", advice)


def server(session: Session) -> Finding:
    """Whether the server answers to this token, and is of this version."""
    try:
        door = session.door
    except EnvironmentLacking as error:  # it may not have been started yet
        return Finding("server", Level.COULD_BE_BETTER, error.detail, error.advice)
    door.get("projects")
    version = door.get("health")["version"]
    found = f"{door.url} answers, version {version}"
    if version != tidegate.__version__:
        advice = "Start the server again with the version installed here."
        return Finding("server", Level.COULD_BE_BETTER, f"{found}; this is {tidegate.__version__}", advice)
    return Finding("server", Level.GOOD, found)


def sign_on(settings: Settings) -> Finding:
    """Whether the log-in provider answers as it should."""
    # Loads what no other command needs.
    from tidegate.server.oidc import Provider
    from tidegate.server.signonconfig import config_of

    config = config_of(settings)
    try:
        if config is not None:
            Provider(config).look()
    except SignOnUnavailable as error:
        advice = "Look at TIDEGATE_SSO_ISSUER, and whether this machine can reach it; passwords and tokens still work."
        return Finding("single sign-on", Level.COULD_BE_BETTER, f"{settings.sso_issuer}: {error.detail}", advice)
    return Finding("single sign-on", Level.GOOD, f"{settings.sso_issuer} answers")


def examined(session: Session, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Everything, one after another; what cannot be looked at is a finding."""
    looks: dict[str, Callable[[], Finding]] = {
        "data directory": lambda: data_dir(load(environment)),
        "decoder": decoder,
        "connectors": connectors,
        "open files": files,
        "server": lambda: server(session),
    }
    if environment.get("TIDEGATE_SSO_ISSUER"):
        looks["single sign-on"] = lambda: sign_on(load(environment))
    for name, look in looks.items():
        try:
            yield look()
        except TidegateError as error:
            yield Finding(name, Level.WRONG, error.detail, error.advice)


_MARKS = {Level.GOOD: ("✓", "green"), Level.COULD_BE_BETTER: ("!", "yellow"), Level.WRONG: ("✗", "bold red")}


def picture(findings: list[Finding]) -> RenderableType:
    shown = table("", "looked at", "found")
    for one in findings:
        said = Text(one.found)
        if one.advice:
            said.append(f"\n→ {one.advice}", "cyan")
        shown.add_row(Text(*_MARKS[one.level]), one.name, said)
    wrong = sum(one.level is Level.WRONG for one in findings)
    verdict = Text("nothing is wrong", "green") if not wrong else Text(f"{wrong} of {len(findings)} wrong", "bold red")
    return Group(shown, Text(), verdict)


def add(app: typer.Typer) -> None:
    """Add the command."""

    def doctor(session: Session) -> None:
        """Look at this machine and its server, and say what to do about what is wrong; exit code 3 if something is."""
        findings = list(examined(session, os.environ))
        told: dict[str, Any] = {
            "ok": all(one.level is not Level.WRONG for one in findings),
            "version": tidegate.__version__,
            "findings": [asdict(one) for one in findings],
        }
        session.terminal.show(told, picture(findings))
        if not told["ok"]:
            raise typer.Exit(Exit.ENVIRONMENT)

    command(app, rich_help_panel="Serve")(doctor)
