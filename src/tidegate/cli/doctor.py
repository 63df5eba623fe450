"""`tidegate doctor`: whether this machine can run Tidegate well, and whether its server answers. Looks, and changes
nothing."""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

import tidegate
from tidegate.cli.command import Session, command
from tidegate.cli.figures import size
from tidegate.cli.picture import table
from tidegate.cli.terminal import Exit
from tidegate.client.address import LOCAL_HOSTS
from tidegate.errors import EnvironmentLacking, SettingInvalid, SignOnUnavailable, TidegateError
from tidegate.model.certificate import kept
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


def listening(settings: Settings) -> Finding:
    """Whether others can read along."""
    where = f"{settings.host}:{settings.port}"
    if settings.tls_certificate is not None or kept(settings.data_dir) is not None:
        return Finding("listening", Level.GOOD, f"on {where}, with TLS")
    if settings.host in LOCAL_HOSTS or settings.host.startswith("127."):
        return Finding("listening", Level.GOOD, f"on {where}, which only this machine reaches")
    advice = "Set TIDEGATE_TLS_CERTIFICATE and TIDEGATE_TLS_KEY, or TIDEGATE_HOST=127.0.0.1 with a proxy in front."
    return Finding("listening", Level.WRONG, f"on {where} without TLS: passwords and tokens can be read along", advice)


def certificate(settings: Settings) -> Finding:
    """Whether the certificate can be used, and for how long: that of the settings, else the server's own."""
    # Loads what no other command needs.
    from tidegate.server.tls import EXPIRES_SOON, first_certificate, tls_of

    given, served = tls_of(settings), kept(settings.data_dir)
    try:
        ends_at = given.ends_at if given else first_certificate((served or "").encode()).not_valid_after_utc
    except ValueError as error:
        raise SettingInvalid("the certificate in the data directory cannot be read; start the server again") from error
    left = ends_at - datetime.now(UTC)
    found = f"good until {ends_at:%Y-%m-%d %H:%M} UTC"
    if left >= EXPIRES_SOON:
        return Finding("certificate", Level.GOOD, found)
    advice = "Renew it, then send the server SIGHUP: it reads the files again, and tasks go on."
    if left.total_seconds() <= 0:
        return Finding("certificate", Level.WRONG, f"expired at {ends_at:%Y-%m-%d %H:%M} UTC", advice)
    return Finding("certificate", Level.COULD_BE_BETTER, f"{found}, {left.days} days", advice)


def key_file(path: Path) -> Finding:
    """Whether the certificate's key is a secret."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SettingInvalid(f"tls_key: {path} cannot be read: {error.strerror}") from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        advice = f"chmod 600 {path}, and have the certificate made anew if others were here."
        return Finding("key file", Level.WRONG, f"{path} can be read or changed by other users", advice)
    return Finding("key file", Level.GOOD, f"{path} is for its owner" + (" and group" if mode & stat.S_IRGRP else ""))


def secured(environment: Mapping[str, str]) -> Iterator[tuple[str, Callable[[], Finding]]]:
    """What `--security` looks at besides, by the settings in the environment."""
    settings = load(environment)
    yield "listening", lambda: listening(settings)
    if settings.tls_certificate or settings.tls_key or kept(settings.data_dir):
        yield "certificate", lambda: certificate(settings)
    if (key := settings.tls_key) is not None:
        yield "key file", lambda: key_file(key)


def examined(session: Session, environment: Mapping[str, str], *, security: bool = False) -> Iterator[Finding]:
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
    if security:
        looks |= dict(secured(environment))
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

    def doctor(
        session: Session,
        security: Annotated[
            bool, typer.Option("--security", help="Look at TLS too, by the settings in the environment.")
        ] = False,
    ) -> None:
        """Look at this machine and its server, and say what to do about what is wrong; exit code 3 if something is."""
        findings = list(examined(session, os.environ, security=security))
        told: dict[str, Any] = {
            "ok": all(one.level is not Level.WRONG for one in findings),
            "version": tidegate.__version__,
            "findings": [asdict(one) for one in findings],
        }
        session.terminal.show(told, picture(findings))
        if not told["ok"]:
            raise typer.Exit(Exit.ENVIRONMENT)

    command(app, rich_help_panel="Serve")(doctor)
