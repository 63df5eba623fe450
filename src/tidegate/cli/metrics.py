"""Figures of a task: what is measured now, its tables, how far it is and what holds it up."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from tidegate.cli import picture
from tidegate.cli.command import ProjectName, Session, TaskName, command
from tidegate.cli.figures import NONE, count, duration, moment, size
from tidegate.cli.picture import Json
from tidegate.cli.views import RunNumber, Watch, follow
from tidegate.model.measured import TableStatus

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 30
_SEEN = {"normal": "green", "abnormal": "red", "unknown": "dim"}


def add(app: typer.Typer) -> None:
    """Add this module's commands."""

    @command(app, rich_help_panel="Look")
    def metrics(
        session: Session,
        task: TaskName,
        project: ProjectName = "default",
        run: RunNumber = None,
        name: Annotated[list[str] | None, typer.Option(help="Only this metric; may be repeated.")] = None,
        since: Annotated[str | None, typer.Option("--from", help="A time, like 2026-03-01T12:00:00Z.")] = None,
        until: Annotated[str | None, typer.Option("--to", help="A time; by default now.")] = None,
        step: Annotated[int | None, typer.Option(help="Seconds: 10, 60 or 3600.", show_default=False)] = None,
        watch: Watch = False,
    ) -> None:
        """Show what is measured of a task, now and within the last hour."""

        def look() -> Any:
            more = {"names": name or None, "from": since, "to": until, "step": step}
            return session.door.get("tasks", task, "metrics", project=project, run=run, **more)

        if watch:
            follow(session, look, metric_list)
        else:
            found = look()
            session.terminal.show(found, metric_list(found))

    @command(app, rich_help_panel="Look")
    def tables(
        session: Session,
        task: TaskName,
        project: ProjectName = "default",
        run: RunNumber = None,
        name: Annotated[str | None, typer.Option(help="Whose name contains this.")] = None,
        status: Annotated[TableStatus | None, typer.Option(help="Of this status.")] = None,
        sort: Annotated[str, typer.Option(help="name, rows_written, status, …; - in front turns it round.")] = "name",
        page: Annotated[int, typer.Option(min=1)] = 1,
        page_size: Annotated[int, typer.Option(min=1, max=200)] = 50,
        watch: Watch = False,
    ) -> None:
        """List the tables of a task with what was read and written of each."""

        def look() -> Any:
            return session.door.get(
                "tasks",
                task,
                "tables",
                project=project,
                run=run,
                name=name,
                status=status.value if status else None,
                sort=sort,
                page=page,
                page_size=page_size,
            )

        if watch:
            follow(session, look, table_list)
        else:
            found = look()
            session.terminal.show(found, table_list(found))

    @command(app, rich_help_panel="Look")
    def progress(
        session: Session,
        task: TaskName,
        project: ProjectName = "default",
        run: RunNumber = None,
        watch: Watch = False,
    ) -> None:
        """Show how far a run is, and what holds it up."""

        def look() -> Any:
            return session.door.get("tasks", task, "progress", project=project, run=run)

        if watch:
            follow(session, look, stages)
        else:
            found = look()
            session.terminal.show(found, stages(found))


def metric_list(found: Json) -> RenderableType:
    """Each metric: its newest value, and its course."""
    last = found["points"][-1]["values"] if found["points"] else {}
    names = list(dict.fromkeys([*found["now"], *last]))
    if not names:
        return Text("Nothing has been measured.", "dim")
    shown = picture.table("metric", "now", "largest", "course", right=("now", "largest"))
    for name in names:
        course = [point["values"].get(name) for point in found["points"]]
        known = [value for value in course if value is not None]
        now = found["now"].get(name, last.get(name) if not found["now"] else None)
        largest = max(known) if known else None
        shown.add_row(name, amount(name, now), amount(name, largest), Text(bars(course), "cyan"))
    about = f"run {found['run']}, {moment(found['since'])} to {moment(found['until'])} in steps of {found['step_s']} s"
    return Group(shown, Text(about, "dim"))


def amount(name: str, value: float | None) -> str:
    """A value in the unit that the end of the metric's name says."""
    if value is None:
        return NONE
    if name.endswith("_per_s"):
        return f"{size(value) if 'bytes' in name else count(value)}/s"
    if name.endswith("_s"):
        return duration(value)
    if "bytes" in name:
        return size(value)
    if name.endswith("_share"):
        return f"{value:.0%}"
    return f"{value:.2f}" if name.endswith("_cores") else count(value)


def bars(values: list[float | None]) -> str:
    """The newest values as a line of bars, from 0 to the largest; a blank where nothing is known."""
    newest = values[-WIDTH:]
    largest = max((value for value in newest if value is not None), default=0.0)
    if largest <= 0:
        return "".join(" " if value is None else BARS[0] for value in newest)
    top = len(BARS) - 1
    return "".join(" " if value is None else BARS[round(top * max(0.0, value) / largest)] for value in newest)


def table_list(found: Json) -> RenderableType:
    if not found["items"]:
        return Text("No tables.", "dim")
    numbers = ("copied", "read", "written", "rows/s", "bytes", "delay")
    shown = picture.table("table", "state", "status", *numbers, right=numbers)
    for one in found["items"]:
        shown.add_row(
            one["name"],
            one["state"].replace("_", " "),
            Text.assemble((one["status"], _SEEN[one["status"]]), (f"  {one['reason']}" if one["reason"] else "")),
            f"{one['percent']:.0f} %",
            count(one["rows_read"]),
            count(one["rows_written"]),
            count(one["rows_written_per_s"]),
            size(one["bytes_written"]),
            duration(one["business_delay_s"]),
        )
    if found["total"] <= len(found["items"]):
        return shown
    pages = -(-found["total"] // found["page_size"])
    return Group(shown, Text(f"page {found['page']} of {pages}, {found['total']} tables", "dim"))


def stages(found: Json) -> RenderableType:
    shown = picture.table("stage", "state", "%", "started", "ended", "what", right=("%",))
    for stage in found["stages"]:
        shown.add_row(
            stage["stage"],
            stage["state"],
            NONE if stage["percent"] is None else f"{stage['percent']:g}",
            moment(stage["started_at"]),
            moment(stage["ended_at"]),
            _about(stage),
        )
    held = found["bottleneck"]
    verdict = Text.assemble("held up by ", (held["holds"], "bold"), (f": {held['because']}", "dim"))
    return Group(shown, verdict, Text(f"run {found['run']}", "dim"))


def _about(stage: Json) -> str:
    said = []
    if stage["tables_total"] is not None:
        said.append(f"tables {stage['tables_done']} of {stage['tables_total']}")
        said.append(f"rows {count(stage['rows_done'])} of about {count(stage['rows_estimated'])}")
        if stage["rows_per_s"]:
            said.append(f"{count(stage['rows_per_s'])} rows/s")
        if stage["left_s"]:
            said.append(f"{duration(stage['left_s'])} left")
    if stage["position"] is not None and stage["stage"] == "incremental":
        said.append(f"at {stage['position']}")
        said.append(f"lag {picture.lag(stage)}")
        if stage["catch_up_s"]:
            said.append(f"caught up in {duration(stage['catch_up_s'])}")
    return ", ".join(said)
