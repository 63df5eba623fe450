"""`tidegate verify`: source and target compared, and an exit code that can be trusted."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from tidegate.cli.command import ProjectName, Session, TaskName, command
from tidegate.cli.figures import count
from tidegate.cli.picture import Json, problem_text
from tidegate.cli.terminal import Exit, exit_code
from tidegate.errors import DeadlinePassed, NotFound, ServerUnreachable, TidegateError

POLL_S = 0.25
# Beyond its own deadline, for the server to notice.
GRACE_S = 120.0
# A server that is restarted meanwhile takes up what the worker tells next.
SERVER_AWAY_S = 60.0

EXITS = {"equal": Exit.OK, "different": Exit.FAILED}
MARKS = {"equal": ("✓ ", "green"), "different": ("✗ ", "bold red"), "undecided": ("? ", "yellow")}

Tables = Annotated[
    list[str] | None,
    typer.Option("--table", "-t", help="Only this source table, or those a pattern matches.", show_default=False),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for tables that are still being copied.")]
Keys = Annotated[bool, typer.Option("--keys", help="List rows that differ by their keys. Keys are data.")]
Limit = Annotated[int, typer.Option(help="How many rows of each table to list with --keys.", min=0, max=1000)]
Deadline = Annotated[float, typer.Option(help="How long it may take, in seconds.", min=1, max=86400)]


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @command(
        app,
        rich_help_panel="Look",
        epilog="Exit codes: 0 equal, 1 different, 2 refused or could not be told, 3 the environment lacks something.",
    )
    def verify(
        session: Session,
        task: TaskName,
        table: Tables = None,
        wait: Wait = False,
        keys: Keys = False,
        limit: Limit = 20,
        deadline: Deadline = 3600,
        project: ProjectName = "default",
    ) -> None:
        """Compare all rows of a running task's source and target, as of one instant, while it goes on."""
        asked = {"tables": table or [], "wait": wait, "keys": keys, "limit": limit, "deadline_s": deadline}
        try:
            found = _ask(session, task, project, asked)
        except TidegateError as error:
            # 1 means different, and nothing else.
            session.terminal.refuse(error)
            known = exit_code(error) is Exit.ENVIRONMENT
            raise typer.Exit(Exit.ENVIRONMENT if known else Exit.BAD_REQUEST) from error
        session.terminal.show(found, _shown(found))
        raise typer.Exit(EXITS.get(str(found["verdict"]), Exit.BAD_REQUEST))


def _ask(session: Session, task: str, project: str, asked: Json) -> Json:
    """The verification once it is over. Raises what the server refuses with, and `DeadlinePassed`."""
    found: Json = session.door.post("tasks", task, "verifications", project=project, body=asked)
    place = ("tasks", task, "verifications", found["id"])
    until = time.monotonic() + float(asked["deadline_s"]) + GRACE_S
    away_since: float | None = None
    try:
        with session.terminal.err.status(_progress(found)) as shown:
            while found["verdict"] is None:
                if time.monotonic() > until:
                    raise DeadlinePassed(f"the verification of {task} is {found['state']} beyond its deadline")
                time.sleep(POLL_S)
                try:
                    found = session.door.get(*place, project=project)
                except (ServerUnreachable, NotFound):
                    away_since = away_since or time.monotonic()
                    if time.monotonic() - away_since > SERVER_AWAY_S:
                        raise
                    continue
                away_since = None
                shown.update(_progress(found))
    except KeyboardInterrupt:
        session.door.delete(*place, project=project)
        raise
    return found


def _progress(found: Json) -> RenderableType:
    words = {
        "asked": "waiting for the task's worker",
        "opening": "connecting to both ends",
        "aligning": "looking for an instant at which both ends can be compared",
    }
    said = words.get(str(found["state"]))
    if said is not None:
        return Text(said)
    done = len(found["findings"])
    return Text.assemble(
        (str(found["table"] or ""), "bold"),
        f"  {done} of {found['tables_total']} tables, {count(found['rows'])} rows read at both ends",
    )


def _shown(found: Json) -> RenderableType:
    lines: list[RenderableType] = []
    for one in found["findings"]:
        lines += _table(one)
    mark, style = MARKS[str(found["verdict"])]
    said = {"equal": "source and target are equal", "different": "source and target are different"}
    at = f" at {found['position']}" if found["position"] else ""
    lines.append(Text.assemble((mark, style), (said.get(str(found["verdict"]), "it could not be told"), "bold"), at))
    if found["problem"]:
        lines.append(problem_text(found["problem"]))
    return Group(*lines)


def _table(one: Json) -> list[RenderableType]:
    mark, style = MARKS[str(one["verdict"])]
    head = Text.assemble((mark, style), (str(one["table"]), "bold"), (f" → {one['target']}", "dim"))
    if one["problem"]:
        return [head, Text(f"  {one['problem']['detail']}", "yellow")]
    head.append(f"  {count(one['rows_source'])} rows, {count(one['rows_target'])} at the target")
    lines: list[RenderableType] = [head]
    if one["differences"]:
        more = "" if one["whole"] else "; there are more"
        listed = ", ".join(f"{count(number)} {sort}" for sort, number in one["differences"].items())
        lines.append(Text(f"  {listed}{more}", "red"))
    if one["columns"]:
        listed = ", ".join(f"{name} ({count(number)})" for name, number in one["columns"].items())
        lines.append(Text(f"  columns that differ: {listed}"))
    for row in one["rows"]:
        key = ", ".join("NULL" if text is None else str(text) for text in row["key"])
        columns = f"  {', '.join(row['columns'])}" if row["columns"] else ""
        lines.append(Text.assemble(f"    {row['sort']:<9}  ", (key, "bold"), (columns, "dim")))
    lines += [Text(f"  {note}", "dim") for note in one["notes"]]
    return lines
