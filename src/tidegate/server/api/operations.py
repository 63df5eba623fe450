"""Operating tasks: the list of submitted ones, the commands of the lifecycle, runs, snapshots, positions, events."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from tidegate.errors import NotFound
from tidegate.model.keyevent import Level
from tidegate.model.lifecycle import COMMANDS, STATES
from tidegate.model.mode import ReadMode
from tidegate.model.problem import problem
from tidegate.model.task import NAME_PATTERN
from tidegate.server.access import Caller, accepted_for, offers_for, task_for
from tidegate.server.api.shapes import (
    NUMBER_MAX,
    Body,
    Door,
    Instant,
    Project,
    TaskInPath,
    VersionField,
)
from tidegate.server.control import OPS_SORTS
from tidegate.server.outlook import OutlookView
from tidegate.server.views import (
    Accepted,
    EventView,
    OfferView,
    OpsTotals,
    OpsTrends,
    Page,
    PositionView,
    PreviewView,
    RunView,
    SnapshotRequest,
    SnapshotView,
    TaskView,
)
from tidegate.watch.metrics import BY_NAME, Of

router = APIRouter(tags=["operations"])

STATUSES = tuple(dict.fromkeys(facts.status for facts in STATES.values() if facts.status))
PAGE_SIZE_MAX = 200
EVENTS_MAX = 1000

Filter = Annotated[str | None, Query(min_length=1, max_length=200)]
RunInPath = Annotated[int, Path(ge=1, le=NUMBER_MAX, description="The run's number within the task.")]
RunFilter = Annotated[int | None, Query(ge=1, le=NUMBER_MAX, description="Of this run only.")]
After = Annotated[int, Query(ge=0, le=2**62, description="Only events with a greater id.")]
Limit = Annotated[int, Query(ge=1, le=EVENTS_MAX)]
EventName = Annotated[str, Field(min_length=1, max_length=50)]


class StartPoint(Body):
    read: ReadMode | None = Field(default=None, strict=False, description="Instead of what the definition says.")
    position: str | None = Field(default=None, max_length=1000, description="Where the source's log is read from.")
    time: Instant | None = Field(
        default=None,
        strict=False,
        description="The earliest instant whose changes are wanted, with its zone; instead of a position.",
    )


class Command(Body):
    version: VersionField = None
    start: StartPoint | None = Field(default=None, description="For `run` only.")


@router.get("/ops")
def list_ops(
    control: Door,
    who: Caller,
    project: Project | None = None,
    status: Annotated[list[str], Query(json_schema_extra={"items": {"type": "string", "enum": list(STATUSES)}})] = [],  # noqa: B006 - FastAPI copies it
    name: Annotated[str | None, Query(min_length=1, max_length=100, description="A part of the name.")] = None,
    owner: Filter = None,
    source_kind: Filter = None,
    target_kind: Filter = None,
    resource_group: Filter = None,
    sort: Annotated[
        str, Query(json_schema_extra={"enum": [sign + one for one in OPS_SORTS for sign in ("", "-")]})
    ] = "name",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 20,
) -> Page[TaskView]:
    """Submitted tasks with status, progress and lag."""
    found = control.ops(
        project=project,
        seen=who.seen,
        status=status,
        name=name,
        owner=owner,
        source_kind=source_kind,
        target_kind=target_kind,
        resource_group=resource_group,
        sort=sort,
        page=page,
        page_size=page_size,
    )
    return replace(found, items=[task_for(who, view) for view in found.items])


@router.get("/ops/totals")
def get_ops_totals(
    control: Door,
    who: Caller,
    project: Project | None = None,
    name: Annotated[str | None, Query(min_length=1, max_length=100, description="A part of the name.")] = None,
    owner: Filter = None,
    source_kind: Filter = None,
    target_kind: Filter = None,
    resource_group: Filter = None,
) -> OpsTotals:
    """How many submitted tasks there are in each status, and what they can be filtered by."""
    return control.ops_totals(
        project=project,
        seen=who.seen,
        name=name,
        owner=owner,
        source_kind=source_kind,
        target_kind=target_kind,
        resource_group=resource_group,
    )


@router.get("/outlook")
def get_outlook(control: Door, who: Caller) -> OutlookView:
    """How everything is at one look: tasks by status, rates, alerts that go on and fired lately, resource groups."""
    return control.outlook(seen=who.seen)


@router.get("/ops/trends")
def get_ops_trends(
    control: Door,
    who: Caller,
    task: Annotated[
        list[Annotated[int, Field(ge=1, le=NUMBER_MAX)]],
        Query(min_length=1, max_length=PAGE_SIZE_MAX, description="The tasks' ids."),
    ],
    metric: Annotated[str, Query(json_schema_extra={"enum": list(BY_NAME[Of.TASK])})] = "rows_written_per_s",
) -> OpsTrends:
    """The last ten minutes of one figure of many tasks."""
    return control.ops_trends(task, metric, seen=who.seen)


@router.post("/tasks/{task}/commands/{command}", status_code=202)
def give_command(
    control: Door,
    who: Caller,
    task: TaskInPath,
    command: Annotated[str, Path(json_schema_extra={"enum": list(COMMANDS)}, examples=["pause"])],
    body: Command | None = None,
    project: Project = "default",
) -> Accepted:
    """One of the commands of the lifecycle. It is accepted once the task is Operating, and goes on by itself; a refusal
    (`lifecycle.refused`) changes nothing and says what is offered instead."""
    if command not in COMMANDS:
        raise NotFound(f"there is no command {command}; commands are {', '.join(COMMANDS)}")
    given = body or Command()
    start = given.start.model_dump(mode="json", exclude_none=True) if given.start else None
    number = control.task_id(task, project=project)
    return accepted_for(who, control.command(number, command, version=given.version, start=start, actor=who.actor))


@router.get("/tasks/{task}/offers")
def list_offers(control: Door, who: Caller, task: TaskInPath, project: Project = "default") -> list[OfferView]:
    """Every command: allowed, or the reason why not, and what it would cost."""
    number = control.task_id(task, project=project)
    return offers_for(who, control.task_view(number).project, control.offers(number))


@router.get("/tasks/{task}/operations/{command}/preview")
def preview_command(
    control: Door,
    who: Caller,
    task: TaskInPath,
    command: Annotated[str, Path(json_schema_extra={"enum": list(COMMANDS)}, examples=["continue"])],
    project: Project = "default",
    read: Annotated[ReadMode | None, Query(description="For `run` only, as in the command's `start`.")] = None,
    position: Annotated[str | None, Query(max_length=1000, description="For `run` only, likewise.")] = None,
    time: Annotated[Instant | None, Query(description="For `run` only, likewise.")] = None,
) -> PreviewView:
    """What the command would do now: whether it is allowed, what is kept, discarded and read again. Nothing is changed.
    It makes the very checks of the command, which may take seconds."""
    if command not in COMMANDS:
        raise NotFound(f"there is no command {command}; commands are {', '.join(COMMANDS)}")
    began = time.isoformat() if time is not None else None
    given = (("read", read), ("position", position), ("time", began))
    start = {name: str(value) for name, value in given if value is not None}
    number = control.task_id(task, project=project)
    found = control.preview(number, command, start=start or None)
    locked = control.locked_for(number, actor=who.actor) if command == "submit" else None
    return found if locked is None else replace(found, allowed=False, reason=locked.detail, problem=problem(locked))


@router.get("/tasks/{task}/runs")
def list_runs(control: Door, task: TaskInPath, project: Project = "default") -> list[RunView]:
    """All runs, newest first; those that ended keep their figures and events."""
    return control.runs(control.task_id(task, project=project))


@router.get("/tasks/{task}/runs/{run}")
def get_run(control: Door, task: TaskInPath, run: RunInPath, project: Project = "default") -> RunView:
    """One run."""
    return control.run(control.task_id(task, project=project), run)


@router.get("/tasks/{task}/snapshots")
def list_snapshots(
    control: Door, task: TaskInPath, project: Project = "default", run: RunFilter = None
) -> list[SnapshotView]:
    """Saved states, newest first; of the present run unless another is named."""
    return control.snapshots(control.task_id(task, project=project), run=run)


@router.post("/tasks/{task}/snapshots", status_code=202)
def take_snapshot(control: Door, who: Caller, task: TaskInPath, project: Project = "default") -> SnapshotRequest:
    """Ask the worker of a Running task to save its state now."""
    return control.request_snapshot(control.task_id(task, project=project), actor=who.actor)


@router.get("/tasks/{task}/snapshots/requests/{request}")
def get_snapshot_request(
    control: Door,
    task: TaskInPath,
    request: Annotated[str, Path(pattern=NAME_PATTERN)],
    project: Project = "default",
) -> SnapshotRequest:
    """Whether a snapshot that was asked for is stored."""
    return control.snapshot_request(control.task_id(task, project=project), request)


@router.get("/tasks/{task}/positions")
def get_positions(
    control: Door,
    task: TaskInPath,
    project: Project = "default",
    ask_source: Annotated[
        bool, Query(description="Also ask the source where its log ends and how long it will keep what is needed.")
    ] = False,
) -> PositionView | None:
    """Where the present run stands, in the source's log and in its newest snapshot."""
    return control.positions(control.task_id(task, project=project), ask_source=ask_source)


def _event_filter(
    name: Annotated[list[EventName], Query(max_length=50, description="Of these names.")] = [],  # noqa: B006 - FastAPI copies it
    level: Annotated[list[Level], Query(max_length=3, description="Of these levels.")] = [],  # noqa: B006
    since: Annotated[Instant | None, Query(description="From this time on.")] = None,
    until: Annotated[Instant | None, Query(description="Before this time.")] = None,
    after: After = 0,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="Only events with a smaller id.")] = None,
    order: Annotated[Literal["newest", "oldest"], Query(description="Which come first.")] = "newest",
    limit: Limit = 200,
) -> dict[str, Any]:
    """As `Control.events` takes it."""
    return {
        "names": name,
        "levels": level,
        "since": None if since is None else since.timestamp(),
        "until": None if until is None else until.timestamp(),
        "after": after,
        "before": before,
        "oldest_first": order == "oldest",
        "limit": limit,
    }


Which = Annotated[dict[str, Any], Depends(_event_filter)]


@router.get("/tasks/{task}/events")
def list_task_events(
    control: Door,
    task: TaskInPath,
    which: Which,
    project: Project = "default",
    run: RunFilter = None,
) -> list[EventView]:
    """A task's key events. To follow them, ask again with `after` the greatest id seen and `order=oldest`; for the next
    page, with `before` the smallest."""
    return control.events(control.task_id(task, project=project), run=run, **which)


@router.get("/events")
def list_events(control: Door, who: Caller, which: Which) -> list[EventView]:
    """Key events of all tasks."""
    return control.events(seen=who.seen, **which)
