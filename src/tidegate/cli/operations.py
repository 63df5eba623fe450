"""The commands of the lifecycle, one per command of the table: asked for over HTTP and followed until the step ends."""

from __future__ import annotations

import time
from functools import partial
from inspect import Parameter, Signature
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from tidegate.cli import batches
from tidegate.cli.command import ProjectName, Session, command
from tidegate.cli.figures import duration, size
from tidegate.cli.picture import Json, preview, problem_text, status
from tidegate.cli.terminal import Exit, exit_code
from tidegate.errors import DeadlinePassed, Invalid, NotFound, StaleVersion
from tidegate.model.lifecycle import MOVES, OPERATING, STATES, Kind, Move, State, goal
from tidegate.model.problem import error_of

POLL_S = 0.2
# Beyond the step's own deadline, for the server to notice it.
GRACE_S = 15.0

# Command → its first move. `submit` is no operation: it is done when it is answered.
OPERATIONS: dict[str, Move] = {}
for _move in MOVES:
    if _move.kind is Kind.COMMAND and STATES[_move.target].status == OPERATING:
        OPERATIONS.setdefault(_move.name, _move)


def discards(name: str) -> bool:
    """Whether the command leaves nothing of a run."""
    return not STATES[goal(OPERATIONS[name].target)].pins_log


def _option(name: str, kind: Any, default: Any, *declarations: str, help: str) -> Parameter:
    said = typer.Option(*declarations, help=help, show_default=False)
    return _parameter(name, Annotated[kind, said], default)


def _parameter(name: str, annotation: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


_CHOOSING = (
    _parameter("everything", batches.Everything, default=False),
    _parameter("status", batches.Status, None),
    _parameter("part", batches.Part, None),
    _parameter("owner", batches.Owner, None),
    _parameter("group", batches.InGroup, None),
    _parameter("source_kind", batches.SourceKind, None),
    _parameter("target_kind", batches.TargetKind, None),
)
_ALL = (
    Parameter("session", Parameter.POSITIONAL_OR_KEYWORD, annotation=Session),
    _parameter("task", batches.TaskNames, None),
    _parameter("project", ProjectName, "default"),
    *_CHOOSING,
    _option("wait", bool, True, "--wait/--no-wait", help="Wait until the step has ended. It is waited for by default."),
    _option(
        "dry_run", bool, False, "--dry-run", help="Only say what it would do and cost; the exit code is the command's."
    ),
    _option("version", int | None, None, help="Of one task: only if nobody changed it since this version."),
    _parameter("yes", batches.Sure, default=False),
)
_ONLY_RUN = (
    _option("read", str | None, None, help="full+incremental or incremental, instead of what the task says."),
    _option("position", str | None, None, help="Where the source's log is read from."),
    _option("time", str | None, None, help="From when on changes are wanted, such as 2026-11-01T00:00:00Z."),
)


def add(app: typer.Typer) -> None:
    """Add a command to `app` for each operation of the table."""
    for name in OPERATIONS:
        _add(app, name)


def _add(app: typer.Typer, name: str) -> None:
    def operate(
        session: Session, *, task: list[str] | None, project: str, dry_run: bool, yes: bool, wait: bool, **given: Any
    ) -> None:
        choosing = {one.name: given.pop(one.name) for one in _CHOOSING}
        chosen = batches.which(task, choosing.pop("everything"), **choosing)
        if chosen.single is None:
            if any(value is not None for value in given.values()):
                raise Invalid(f"{', '.join(given)}: only for one task that is named")
            follow = partial(_followed, session, name) if wait else None
            batches.carry_out(session, name, chosen, project=project, dry_run=dry_run, yes=yes, follow=follow)
        elif dry_run:
            show_preview(session, chosen.single, name, project=project, **given)
        else:
            if discards(name) and not yes:
                _confirm(session, chosen.single, name, project)
            give(session, chosen.single, name, project=project, wait=wait, **given)

    own = _ONLY_RUN if name == "run" else ()
    operate.__signature__ = Signature([*_ALL, *own])  # type: ignore[attr-defined]
    says = OPERATIONS[name].says
    command(app, name, help=f"{says[0].upper()}{says[1:]}.", rich_help_panel="Operate")(operate)


def _confirm(session: Session, task: str, name: str, project: str) -> None:
    """At a terminal, say what the command costs and ask. Raises `typer.Abort`."""
    if not session.terminal.asks:
        return
    offers = {one["command"]: one for one in session.door.get("tasks", task, "offers", project=project)}
    if not offers[name]["allowed"]:
        return  # the server's refusal says it better
    cost = offers[name]["cost"] or offers[name]["note"]
    typer.confirm(f"{name} {task}: {cost}. Go on?", abort=True, err=True)


def show_preview(
    session: Session,
    task: str,
    name: str,
    *,
    project: str,
    version: int | None = None,
    read: str | None = None,
    position: str | None = None,
    time: str | None = None,
) -> None:
    """Say what the command would do. Ends with the exit code that the command would have if it would be refused."""
    found = session.door.get(
        "tasks", task, "operations", name, "preview", project=project, read=read, position=position, time=time
    )
    if version is not None and version != found["version"]:
        raise StaleVersion(f"task {found['task']} is at version {found['version']}, not {version}")
    session.terminal.show(found, preview(found))
    if not found["allowed"]:
        raise typer.Exit(exit_code(error_of(found["problem"])))


def give(
    session: Session,
    task: str,
    name: str,
    *,
    project: str,
    wait: bool = True,
    version: int | None = None,
    read: str | None = None,
    position: str | None = None,
    time: str | None = None,
) -> None:
    """Ask for the command and, with `wait`, follow its step. Ends with `Exit.FAILED` if the step did not lead where the
    command leads. Raises what the server refuses with, and `DeadlinePassed`."""
    given = (("read", read), ("position", position), ("time", time))
    start = {key: value for key, value in given if value is not None}
    body = {"version": version, "start": start or None}
    accepted = session.door.post("tasks", task, "commands", name, project=project, body=body)
    if wait and accepted["task"]["status"] == OPERATING:
        try:
            accepted["task"] = _follow(session, accepted["task"])
            if accepted["task"]["state"] == State.STOPPED:
                accepted["cleanup"] = session.door.get("tasks", accepted["task"]["id"])["run"]["cleanup"]
        except KeyboardInterrupt:
            session.terminal.tell(Text(f"{name} goes on by itself; `tidegate status {task}` shows it", "yellow"))
            raise
    reached = accepted["task"]["state"] == goal(OPERATIONS[name].target)
    known = {key: value for key, value in accepted.items() if value is not None}
    session.terminal.show({"command": name, "reached": reached} | known, _said(name, accepted, reached=reached))
    if wait and not reached:
        raise typer.Exit(Exit.FAILED)


def _followed(session: Session, name: str, one: Json) -> Json:
    """What became of a task of a batch, once its step has ended."""
    if one["status"] != OPERATING:
        return one
    try:
        task = session.door.get("tasks", one["task"])["task"]
        task = _follow(session, task) if task["status"] == OPERATING else task
    except NotFound:
        task = {"state": str(State.REMOVED), "status": "", "version": one["version"], "error": None}
    reached = task["state"] == goal(OPERATIONS[name].target)
    told = {key: task[key] for key in ("state", "status", "version")}
    return {**one, **told, "reached": reached, "problem": None if reached else task["error"]}


def _follow(session: Session, task: Json) -> Json:
    """The task once it is no more Operating, drawing progress. Raises `DeadlinePassed`."""
    left_s = (
        task["expires_in_s"] if task["expires_in_s"] is not None else STATES[State(task["state"])].deadline_s or 0.0
    )
    until = time.monotonic() + left_s + GRACE_S
    with session.terminal.err.status(_step(task)) as shown:
        while task["status"] == OPERATING:
            if time.monotonic() > until:
                raise DeadlinePassed(f"task {task['name']} is {task['state']} beyond its deadline")
            time.sleep(POLL_S)
            try:
                task = session.door.get("tasks", task["id"])["task"]
            except NotFound:
                if State(task["state"]) is not State.REMOVING:
                    raise
                return {**task, "state": str(State.REMOVED), "status": "", "expires_in_s": None, "commands": []}
            if task["status"] == OPERATING:
                shown.update(_step(task))
    return task


def _step(task: Json) -> RenderableType:
    says = STATES[State(task["state"])].says
    left = "" if task["expires_in_s"] is None else f"  at most {duration(task['expires_in_s'])} more"
    return Text.assemble((str(task["name"]), "bold"), f" is {says}", (left, "dim"))


def _said(name: str, accepted: Json, *, reached: bool) -> RenderableType:
    task = accepted["task"]
    if task["state"] == State.REMOVED:
        return Text.assemble(("✓ ", "green"), (str(task["name"]), "bold"), " is removed")
    mark = ("✓ ", "green") if reached else ("… ", "cyan") if task["status"] == OPERATING else ("✗ ", "bold red")
    lines = [Text.assemble(mark, (str(task["name"]), "bold"), "  ", status(task))]
    if accepted.get("reread_bytes") is not None:
        kept = accepted.get("safe_bytes")
        limit = "" if kept is None else f"; the source keeps the log for another {size(kept)}"
        lines.append(Text(f"  {size(accepted['reread_bytes'])} of log to read{limit}", "dim"))
    if accepted.get("cleanup") == "left":
        lines.append(
            Text(
                "  something of the run is left at the source or target, which keeps its log for it; the server tries"
                f" again to remove it; `tidegate events {task['name']}` says what",
                "yellow",
            )
        )
    if not reached and task["error"]:
        lines.append(problem_text(task["error"]))
    if not reached and not task["error"] and task["status"] != OPERATING:
        lines.append(Text(f"  {name} did not succeed; `tidegate events {task['name']}` says why", "red"))
    return Group(*lines)
