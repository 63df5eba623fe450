"""`tidegate datasource`: saved addresses and credentials, and whether they work."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from tidegate.cli import picture
from tidegate.cli.command import ProjectName, Session, command
from tidegate.cli.definitions import fill
from tidegate.cli.terminal import Exit
from tidegate.errors import ConfigInvalid

SourceName = Annotated[str, typer.Argument(help="The data source's name.", show_default=False)]

app = typer.Typer(help="Data sources: saved addresses and credentials.", no_args_is_help=True)


@command(app, "list")
def list_all(session: Session, project: ProjectName = "default") -> None:
    """List data sources; stored secrets are masked."""
    found = session.door.get("data-sources", project=project)
    session.terminal.show(found, picture.data_sources(found))


@command(app)
def create(
    session: Session,
    name: SourceName,
    kind: Annotated[str, typer.Option(help="The connector, such as postgres or duckdb.", show_default=False)],
    set: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting as name=value; ${ENV:NAME} in the value is that variable, for secrets.", show_default=False
        ),
    ] = None,
    description: Annotated[str, typer.Option(help="For people.", show_default=False)] = "",
    project: ProjectName = "default",
) -> None:
    """Save a data source."""
    body = {"name": name, "kind": kind, "config": settings(set or []), "description": description}
    made = session.door.post("data-sources", project=project, body=body)
    session.terminal.show(made, Text.assemble(("✓ ", "green"), "data source ", (name, "bold"), " created"))


@command(app, "test")
def check(
    session: Session,
    name: SourceName,
    role: Annotated[
        Literal["source", "target"] | None, typer.Option("--as", help="Only in this role.", show_default=False)
    ] = None,
    project: ProjectName = "default",
) -> None:
    """Connect and report a result per check; exit code 1 if it is not usable."""
    with session.terminal.err.status(Text(f"connecting to {name}")):
        report = session.door.post("data-sources", name, "test", project=project, role=role)
    session.terminal.show(report, picture.report(report))
    if not report["ok"]:
        raise typer.Exit(Exit.FAILED)


@command(app)
def delete(session: Session, name: SourceName, project: ProjectName = "default") -> None:
    """Delete a data source that no task uses."""
    session.door.delete("data-sources", name, project=project)
    session.terminal.show({"deleted": name}, Text.assemble(("✓ ", "green"), (name, "bold"), " is deleted"))


def settings(given: list[str]) -> dict[str, Any]:
    """`name=value` texts as a config, variables filled in. Raises `ConfigInvalid`, `EnvironmentLacking`."""
    config: dict[str, Any] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name or name in config:
            raise ConfigInvalid(f"--set {name or '…'}: write name=value, each name once")
        config[name] = value
    return fill(config, "--set", os.environ)
