"""`tidegate`: everything a person at a terminal, or a program, asks of a Tidegate server.

Exit codes: 0 done · 1 attempted and failed · 2 refused, nothing changed · 3 this machine lacks something: no server
answers, no valid token, a port that is taken.
"""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

import tidegate
from tidegate.cli import (
    accesskeys,
    alerts,
    audit,
    batches,
    datasources,
    definitions,
    doctor,
    logs,
    metrics,
    operations,
    people,
    projects,
    serving,
    verify,
    views,
)
from tidegate.cli.command import AsJson, Ca, Session, Token, Url, Wishes, command
from tidegate.errors import EnvironmentLacking

EPILOG = "Exit codes: 0 done, 1 failed, 2 refused (nothing was changed), 3 the environment lacks something."

app = typer.Typer(
    name="tidegate",
    help="Keep a target in step with a database, and operate that.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tidegate {tidegate.__version__}")
        raise typer.Exit


@app.callback()
def before(
    ctx: typer.Context,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    ctx.obj = Wishes(as_json, url, token, ca)


views.add(app)
metrics.add(app)
logs.add(app)
verify.add(app)
operations.add(app)
batches.add(app, alerts.rules)
definitions.add(app)
alerts.add(app)
app.add_typer(datasources.app, name="datasource", rich_help_panel="Define")
app.add_typer(alerts.rules, name="alert-rules", rich_help_panel="Define")
app.add_typer(alerts.channels, name="alert-channels", rich_help_panel="Define")
app.add_typer(projects.app, name="project", rich_help_panel="Let in")
app.add_typer(people.users, name="user", rich_help_panel="Let in")
app.add_typer(people.members, name="member", rich_help_panel="Let in")
app.add_typer(people.tokens, name="token", rich_help_panel="Let in")
app.add_typer(accesskeys.app, name="keys", rich_help_panel="Let in")
app.add_typer(audit.app, name="audit", rich_help_panel="Let in")
serving.add(app)
doctor.add(app)


@command(app, rich_help_panel="Serve")
def demo(
    session: Session,
    seconds: Annotated[float, typer.Option(help="How long the workload goes on.", min=10)] = 60,
    seed: Annotated[int | None, typer.Option(help="Repeat the workload of this seed.", show_default=False)] = None,
) -> None:
    """Watch a real PostgreSQL being synchronized, operated and proven equal, without preparing anything."""
    try:
        play = importlib.import_module("tidegate.demo.play")
    except ModuleNotFoundError as error:
        raise EnvironmentLacking(f"the demo needs {error.name}: pip install 'tidegate[demo]'") from error
    raise typer.Exit(play.run(seconds, as_json=session.terminal.as_json, seed=seed))


def main() -> None:
    """The console script."""
    app()
