"""Looking: the ops list, a task's status (also live), runs, snapshots, positions and key events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from tidegate.cli import picture
from tidegate.cli.command import ProjectName, Session, TaskName, command
from tidegate.cli.picture import Json
from tidegate.errors import DeadlinePassed, ServerUnreachable

WATCH_S = 1.0
SNAPSHOT_DEADLINE_S = 60.0
FOLLOWED_MAX = 500
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it until Ctrl-C.")]
RunNumber = Annotated[int | None, typer.Option("--run", help="Of this run only.", show_default=False)]


class Speed:
    """Rows per second between two looks at a task."""

    def __init__(self) -> None:
        self._last: tuple[float, int, float] | None = None

    def between(self, detail: Json) -> float | None:
        """None until there are two looks at the same run."""
        run = detail["run"]
        if not run or not run["counters"]:
            return None
        rows = run["counters"].get("rows_full", 0) + run["counters"].get("changes_written", 0)
        before, now = self._last, (time.monotonic(), run["epoch"], float(rows))
        self._last = now
        if before is None or before[1] != now[1] or now[2] < before[2]:
            return None
        return (now[2] - before[2]) / max(now[0] - before[0], 1e-3)


def follow(session: Session, look: Callable[[], Any], draw: Callable[[Any], RenderableType]) -> None:
    """Show what `look` finds again and again until Ctrl-C; as JSON one line each. A server that is away is waited
    for."""
    terminal = session.terminal
    if not terminal.out.is_terminal:
        for found in looks(look):
            if isinstance(found, ServerUnreachable):
                terminal.tell(Text(f"… {found.detail}", "yellow"))
            else:
                terminal.show(found, draw(found))
        return
    shown: RenderableType = Text("")
    with Live(shown, console=terminal.out, auto_refresh=False, screen=False) as live:
        for found in looks(look):
            if isinstance(found, ServerUnreachable):
                live.update(Group(shown, Text(f"… {found.detail}; trying again", "yellow")), refresh=True)
            elif terminal.as_json:
                terminal.show(found)
            else:
                shown = draw(found)
                live.update(shown, refresh=True)


def looks(look: Callable[[], Any], pause_s: float = WATCH_S) -> Iterator[Any]:
    """What `look` finds, again and again until Ctrl-C; `ServerUnreachable` in place of it, but not at first."""
    seen = False
    try:
        while True:
            wait_s = pause_s
            try:
                yield look()
                seen = True
            except ServerUnreachable as error:
                if not seen:
                    raise
                yield error
                wait_s = WATCH_S
            time.sleep(wait_s)
    except KeyboardInterrupt:
        return


def add(app: typer.Typer) -> None:
    """Add this module's commands."""

    @command(app, rich_help_panel="Look")
    def ops(
        session: Session,
        project: Annotated[str | None, typer.Option("--project", "-p", help="Of this project only.")] = None,
        status: Annotated[list[str] | None, typer.Option(help="Of this status; may be repeated.")] = None,
        name: Annotated[str | None, typer.Option(help="Whose name contains this.")] = None,
        owner: Annotated[str | None, typer.Option(help="Of this owner.")] = None,
        source_kind: Annotated[str | None, typer.Option(help="Reading this kind of system.")] = None,
        target_kind: Annotated[str | None, typer.Option(help="Writing this kind of system.")] = None,
        group: Annotated[str | None, typer.Option(help="In this resource group.")] = None,
        sort: Annotated[str, typer.Option(help="name, status, lag_s, …; - in front turns it round.")] = "name",
        page: Annotated[int, typer.Option(min=1)] = 1,
        page_size: Annotated[int, typer.Option(min=1, max=200)] = 50,
        watch: Watch = False,
    ) -> None:
        """List submitted tasks with status, progress and lag."""

        def look() -> Any:
            return session.door.get(
                "ops",
                project=project,
                status=status or None,
                name=name,
                owner=owner,
                source_kind=source_kind,
                target_kind=target_kind,
                resource_group=group,
                sort=sort,
                page=page,
                page_size=page_size,
            )

        def draw(found: Any) -> RenderableType:
            listed = picture.task_list(found["items"])
            if found["total"] <= len(found["items"]):
                return listed
            pages = -(-found["total"] // found["page_size"])
            return Group(listed, Text(f"page {found['page']} of {pages}, {found['total']} tasks", "dim"))

        if watch:
            follow(session, look, draw)
        else:
            found = look()
            session.terminal.show(found, draw(found))

    @command(app, rich_help_panel="Look")
    def status(session: Session, task: TaskName, project: ProjectName = "default", watch: Watch = False) -> None:
        """Show a task: status, progress, lag, position, newest snapshot, what can be done."""
        speed = Speed()

        def look() -> Any:
            return session.door.get("tasks", task, project=project)

        if watch:
            follow(session, look, lambda found: picture.task_panel(found, rate=speed.between(found)))
        else:
            found = look()
            session.terminal.show(found, picture.task_panel(found))

    @command(app, rich_help_panel="Look")
    def runs(session: Session, task: TaskName, project: ProjectName = "default") -> None:
        """List a task's runs, newest first."""
        found = session.door.get("tasks", task, "runs", project=project)
        session.terminal.show(found, picture.runs(found))

    @command(app, rich_help_panel="Look")
    def snapshots(
        session: Session,
        task: TaskName,
        project: ProjectName = "default",
        run: RunNumber = None,
        take: Annotated[bool, typer.Option("--take", help="Take one now and wait until it is stored.")] = False,
    ) -> None:
        """List saved states, newest first, or take one."""
        if take:
            taken = _take(session, task, project)
            session.terminal.show(taken, picture.snapshots([taken]))
            return
        found = session.door.get("tasks", task, "snapshots", project=project, run=run)
        session.terminal.show(found, picture.snapshots(found))

    @command(app, rich_help_panel="Look")
    def positions(
        session: Session,
        task: TaskName,
        project: ProjectName = "default",
        ask_source: Annotated[
            bool, typer.Option("--ask-source", help="Also ask where the source's log ends and how long it is kept.")
        ] = False,
    ) -> None:
        """Show where the present run stands in the source's log."""
        found = session.door.get("tasks", task, "positions", project=project, ask_source=ask_source)
        session.terminal.show(found, picture.positions(found))

    @command(app, rich_help_panel="Look")
    def events(
        session: Session,
        task: Annotated[str | None, typer.Argument(help="Of this task only.", show_default=False)] = None,
        project: ProjectName = "default",
        run: RunNumber = None,
        name: Annotated[list[str] | None, typer.Option(help="Of this name; may be repeated.")] = None,
        level: Annotated[
            list[str] | None, typer.Option(help="Of this level: info, warning, error; may be repeated.")
        ] = None,
        since: Annotated[str | None, typer.Option(help="From this time on, such as 2026-03-01T12:00:00Z.")] = None,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, the newest.")] = 50,
        go_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    ) -> None:
        """List key events, the newest last."""

        def ask(**more: Any) -> Any:
            wanted = {"name": name or None, "level": level or None, "since": since, **more}
            if task is None:
                return session.door.get("events", **wanted)
            return session.door.get("tasks", task, "events", project=project, run=run, **wanted)

        def names() -> dict[int, str] | None:
            return None if task is not None else {one["id"]: one["name"] for one in session.door.get("tasks")}

        found = ask(limit=limit)
        session.terminal.show(found, picture.events(found, names()))
        if not go_on:
            return
        seen = {"upto": max((one["id"] for one in found), default=0)}
        for fresh in looks(lambda: ask(limit=FOLLOWED_MAX, after=seen["upto"], order="oldest")):
            if isinstance(fresh, ServerUnreachable):
                session.terminal.tell(Text(f"… {fresh.detail}", "yellow"))
            elif fresh:
                seen["upto"] = fresh[-1]["id"]
                session.terminal.show(fresh, picture.events(fresh[::-1], names()))


def _take(session: Session, task: str, project: str) -> Any:
    """Ask for a snapshot and wait for it. Raises `CommandRefused`, `DeadlinePassed`."""
    asked = session.door.post("tasks", task, "snapshots", project=project)
    until = time.monotonic() + SNAPSHOT_DEADLINE_S
    with session.terminal.err.status(Text("waiting for the worker to store it")):
        while asked["snapshot"] is None:
            if time.monotonic() > until:
                raise DeadlinePassed(f"the snapshot of {task} was not stored within {SNAPSHOT_DEADLINE_S:g} s")
            time.sleep(0.2)
            asked = session.door.get("tasks", task, "snapshots", "requests", asked["id"], project=project)
    return asked["snapshot"]
