"""`tidegate project`: what tasks, data sources and members belong to."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from tidegate.cli import picture
from tidegate.cli.command import Session, command
from tidegate.cli.figures import moment

ProjectArgument = Annotated[str, typer.Argument(help="The project's name.", show_default=False)]

app = typer.Typer(help="Projects: tasks, data sources and members belong to one.", no_args_is_help=True)


@command(app, "list")
def list_all(session: Session) -> None:
    """List the projects that you may see."""
    found = session.door.get("projects")
    shown = picture.table("project", "tasks", "made", "description", right=("tasks",))
    for one in found:
        shown.add_row(Text(one["name"], "bold"), str(one["tasks"]), moment(one["created_at"]), one["description"])
    session.terminal.show(found, shown if found else Text("No projects that you may see.", "dim"))


@command(app)
def add(
    session: Session,
    name: ProjectArgument,
    description: Annotated[str, typer.Option(help="For people.", show_default=False)] = "",
) -> None:
    """Make a project; let members in with `tidegate member set`."""
    made = session.door.post("projects", body={"name": name, "description": description})
    session.terminal.show(made, Text.assemble(("✓ ", "green"), "project ", (name, "bold"), " is there"))


@command(app)
def remove(session: Session, name: ProjectArgument) -> None:
    """Delete a project; refused while it has tasks or data sources."""
    session.door.delete("projects", name)
    session.terminal.show({"deleted": name}, Text.assemble(("✓ ", "green"), (name, "bold"), " is deleted"))
