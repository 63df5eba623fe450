"""The log: lines of a task's runs, from their workers and from the server; and the server's own, about no task."""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from tidegate.model.diagnosis import DIAGNOSES
from tidegate.model.logline import Container, LogLevel
from tidegate.model.logquery import QUERY_MAX
from tidegate.server.api.operations import RunFilter
from tidegate.server.api.shapes import Door, Project, TaskInPath
from tidegate.server.control import Control
from tidegate.server.logsearch import LINES_MAX, DiagnosisView, LogPage, Search, as_json, as_text, place_of
from tidegate.store.lines import Stored

router = APIRouter(tags=["logs"])

WAIT_MAX_S = 25.0
LOOK_S = 2.0
"""Lines that another server stored are found after this long."""
PIECE_LINES = 200

Ago = "how long ago, such as 15m, 1h, 24h or 7d, or a time as RFC 3339 has it"


class Format(StrEnum):
    TEXT = "text"
    JSONL = "jsonl"


_MEDIA = {Format.TEXT: "text/plain; charset=utf-8", Format.JSONL: "application/jsonl"}
_SUFFIX = {Format.TEXT: "log", Format.JSONL: "jsonl"}


FILES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}, "application/jsonl": {}}}}


def _search(
    run: RunFilter = None,
    container: Annotated[Container | None, Query(description="Who said it.")] = None,
    level: Annotated[list[LogLevel], Query(max_length=4, description="Of these levels.")] = [],  # noqa: B006 - FastAPI copies it
    since: Annotated[str | None, Query(min_length=1, max_length=40, description=f"Said since then: {Ago}.")] = None,
    until: Annotated[str | None, Query(min_length=1, max_length=40, description=f"Said before then: {Ago}.")] = None,
    search: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=QUERY_MAX,
            description="Keywords, of any case, joined by AND, OR, NOT and parentheses; a phrase in double quotes.",
            examples=["unreachable AND (refused OR reset)"],
        ),
    ] = None,
    diagnosis: Annotated[
        str | None,
        Query(
            max_length=50,
            description="Also with the ready-made keywords of this name.",
            json_schema_extra={"enum": [one.name for one in DIAGNOSES]},
        ),
    ] = None,
    order: Annotated[Literal["newest", "oldest"], Query(description="Which come first.")] = "newest",
) -> Search:
    return Search(run, container, tuple(level), since, until, search, diagnosis, order == "oldest")


What = Annotated[Search, Depends(_search)]
Cursor = Annotated[
    str | None,
    Query(max_length=500, description="As the answer before gave it, `cursor` or `follow`, with the same parameters."),
]
Limit = Annotated[int, Query(ge=1, le=LINES_MAX)]
Wait = Annotated[
    float,
    Query(ge=0, le=WAIT_MAX_S, description="With a `follow` cursor: wait so many seconds for lines if there are none."),
]
As = Annotated[Format, Query(alias="format", description="Lines of text, or of JSON.")]


@router.get("/tasks/{task}/logs")
async def list_task_log(
    control: Door,
    task: TaskInPath,
    what: What,
    project: Project = "default",
    cursor: Cursor = None,
    limit: Limit = 100,
    wait_s: Wait = 0.0,
) -> LogPage:
    """What the workers of a task and the server about it logged. For the next page, ask with `cursor`, until there is
    none. To follow, ask with `follow` and `wait_s` again and again: what arrives after the first answer comes there,
    each line once."""
    task_id = await run_in_threadpool(control.task_id, task, project=project)
    return await _page(control, task_id, what, cursor, limit, wait_s)


@router.get("/tasks/{task}/logs/download", response_class=StreamingResponse, responses=FILES)
def download_task_log(
    control: Door, task: TaskInPath, what: What, project: Project = "default", format: As = Format.TEXT
) -> StreamingResponse:
    """The same as a file: everything there is, the oldest first."""
    return _file(control, control.task_id(task, project=project), what, format, f"{task}")


@router.get("/logs")
async def list_server_log(
    control: Door, what: What, cursor: Cursor = None, limit: Limit = 100, wait_s: Wait = 0.0
) -> LogPage:
    """What the server logged that is about no task."""
    return await _page(control, None, what, cursor, limit, wait_s)


@router.get("/logs/download", response_class=StreamingResponse, responses=FILES)
def download_server_log(control: Door, what: What, format: As = Format.TEXT) -> StreamingResponse:
    """The same as a file."""
    return _file(control, None, what, format, "server")


@router.get("/log-diagnoses")
def list_log_diagnoses(control: Door) -> list[DiagnosisView]:
    """Ready-made keywords for what usually goes wrong."""
    return control.diagnoses()


async def _page(
    control: Control, task_id: int | None, what: Search, cursor: str | None, limit: int, wait_s: float
) -> LogPage:
    until = time.monotonic() + wait_s
    followed = cursor is not None and place_of(cursor, what.mark(task_id)).follows
    while True:
        left_s = until - time.monotonic()
        page = await run_in_threadpool(control.log, task_id, what, cursor=cursor, limit=limit)
        if page.items or not followed or left_s <= 0 or not control.journal.patient:
            return page
        cursor = page.follow
        await control.journal.arrival(task_id, min(left_s, LOOK_S))


def _file(control: Control, task_id: int | None, what: Search, format: Format, name: str) -> StreamingResponse:
    lines = control.log_whole(task_id, what)
    shown = as_text if format is Format.TEXT else as_json

    def pieces() -> Iterator[str]:
        rest: Iterator[Stored] = lines
        while piece := "".join(map(shown, islice(rest, PIECE_LINES))):
            yield piece

    disposition = f"attachment; filename*=UTF-8''{quote(name)}.{_SUFFIX[format]}"  # a task's name may be of any letters
    return StreamingResponse(pieces(), media_type=_MEDIA[format], headers={"Content-Disposition": disposition})
