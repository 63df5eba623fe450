"""Operating tasks: the list of submitted ones, the commands of the lifecycle, runs, snapshots, positions, events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from tidegate.errors import NotFound
from tidegate.model.lifecycle import COMMANDS, STATES
from tidegate.model.mode import ReadMode
from tidegate.model.task import NAME_PATTERN
from tidegate.server.api.shapes import (
    ACTOR,
    NUMBER_MAX,
    Body,
    Door,
    Project,
    TaskInPath,
    VersionField,
)
from tidegate.server.control import OPS_SORTS
from tidegate.server.views import (
    Accepted,
    EventView,
    OfferView,
    Page,
    PositionView,
    RunView,
    SnapshotRequest,
    SnapshotView,
    TaskView,
)

router = APIRouter(tags=["operations"])

STATUSES = tuple(dict.fromkeys(facts.status for facts in STATES.values() if facts.status))
PAGE_SIZE_MAX = 200
EVENTS_MAX = 1000

Filter = Annotated[str | None, Query(min_length=1, max_length=200)]
RunInPath = Annotated[int, Path(ge=1, le=NUMBER_MAX, description="The run's number within the task.")]
RunFilter = Annotated[int | None, Query(ge=1, le=NUMBER_MAX, description="Of this run only.")]
After = Annotated[int, Query(ge=0, le=2**62, description="Only events with a greater id.")]
Limit = Annotated[int, Query(ge=1, le=EVENTS_MAX)]


class StartPoint(Body):
    read: ReadMode | None = Field(default=None, strict=False, description="Instead of what the definition says.")
    position: str | None = Field(default=None, max_length=1000, description="Where the source's log is read from.")


class Command(Body):
    version: VersionField = None
    start: StartPoint | None = Field(default=None, description="For `run` only.")


@router.get("/ops")
def list_ops(
    control: Door,
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
    return control.ops(
        project=project,
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


@router.post("/tasks/{task}/commands/{command}", status_code=202)
def give_command(
    control: Door,
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
    return control.command(number, command, version=given.version, start=start, actor=ACTOR)


@router.get("/tasks/{task}/offers")
def list_offers(control: Door, task: TaskInPath, project: Project = "default") -> list[OfferView]:
    """Every command: allowed, or the reason why not, and what it would cost."""
    return control.offers(control.task_id(task, project=project))


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
def take_snapshot(control: Door, task: TaskInPath, project: Project = "default") -> SnapshotRequest:
    """Ask the worker of a Running task to save its state now."""
    return control.request_snapshot(control.task_id(task, project=project), actor=ACTOR)


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


@router.get("/tasks/{task}/events")
def list_task_events(
    control: Door,
    task: TaskInPath,
    project: Project = "default",
    run: RunFilter = None,
    after: After = 0,
    limit: Limit = 200,
) -> list[EventView]:
    """A task's key events, newest first."""
    return control.events(control.task_id(task, project=project), run=run, after=after, limit=limit)


@router.get("/events")
def list_events(control: Door, after: After = 0, limit: Limit = 200) -> list[EventView]:
    """Key events of all tasks, newest first."""
    return control.events(after=after, limit=limit)
