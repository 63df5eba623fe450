"""Figures of a task: their history, its tables, how far it is; and all of them as Prometheus scrapes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from tidegate.model.measured import TableStatus
from tidegate.server.api.operations import PAGE_SIZE_MAX, RunFilter
from tidegate.server.api.shapes import Door, Instant, Project, TaskInPath
from tidegate.server.measurements import TABLE_SORTS, MetricsView, ProgressView, TableView
from tidegate.server.views import Page
from tidegate.store.points import STEPS_S
from tidegate.watch.exposition import CONTENT_TYPE
from tidegate.watch.metrics import BY_NAME, METRICS, Of
from tidegate.watch.monitoring import ROWS

router = APIRouter(tags=["metrics"])
scraped = APIRouter()


def _unix(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


@dataclass(frozen=True, slots=True)
class MetricView:
    """A line of the metric table. `kind` is `counter` or `gauge`."""

    name: str
    kind: str
    unit: str
    help: str


@dataclass(frozen=True, slots=True)
class PanelRowView:
    title: str
    panels: list[list[str]]
    """The names of the metrics that belong into one chart."""


@dataclass(frozen=True, slots=True)
class MetricTableView:
    """What is measured of a task, and how it is best laid out in charts."""

    metrics: list[MetricView]
    rows: list[PanelRowView]


@router.get("/metrics")
def list_metrics() -> MetricTableView:
    """The metric table, and the charts of a dashboard of a task."""
    table = [MetricView(one.name, one.kind.value, one.unit.value, one.help) for one in METRICS if one.of is Of.TASK]
    rows = [PanelRowView(title, [list(panel) for panel in panels]) for title, panels in ROWS]
    return MetricTableView(table, rows)


@router.get("/tasks/{task}/metrics")
def get_metrics(
    control: Door,
    task: TaskInPath,
    project: Project = "default",
    since: Annotated[Instant | None, Query(alias="from", description="By default an hour before `to`.")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="By default now.")] = None,
    step: Annotated[
        int | None,
        Query(description="In seconds; by default what suits the range.", json_schema_extra={"enum": list(STEPS_S)}),
    ] = None,
    names: Annotated[
        list[str],
        Query(
            description="Which metrics; by default all.",
            json_schema_extra={"items": {"type": "string", "enum": list(BY_NAME[Of.TASK])}},
        ),
    ] = [],  # noqa: B006 - FastAPI copies it
    run: RunFilter = None,
) -> MetricsView:
    """What was measured of a run, the newest values and their history; of the present run unless another is named."""
    return control.metrics(
        control.task_id(task, project=project),
        run=run,
        since=_unix(since),
        until=_unix(until),
        step_s=step,
        names=names,
    )


@router.get("/tasks/{task}/tables")
def list_tables(
    control: Door,
    task: TaskInPath,
    project: Project = "default",
    run: RunFilter = None,
    name: Annotated[str | None, Query(min_length=1, max_length=300, description="A part of the name.")] = None,
    status: Annotated[TableStatus | None, Query()] = None,
    sort: Annotated[
        str, Query(json_schema_extra={"enum": [sign + one for one in TABLE_SORTS for sign in ("", "-")]})
    ] = "name",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 50,
) -> Page[TableView]:
    """The tables of a run with their figures, state and status; of the present run unless another is named."""
    return control.tables(
        control.task_id(task, project=project),
        run=run,
        name=name,
        status=status.value if status else None,
        sort=sort,
        page=page,
        page_size=page_size,
    )


@router.get("/tasks/{task}/progress")
def get_progress(control: Door, task: TaskInPath, project: Project = "default", run: RunFilter = None) -> ProgressView:
    """How far a run is in preparation, full and incremental synchronization, and what holds it up."""
    return control.progress(control.task_id(task, project=project), run=run)


@scraped.get("/metrics", tags=["metrics"], response_class=Response, responses={200: {"content": {CONTENT_TYPE: {}}}})
def scrape(control: Door) -> Response:
    """Every metric of running tasks and of resource groups, in Prometheus' text format. It takes the same token."""
    return Response(control.exposition(), media_type=CONTENT_TYPE)
