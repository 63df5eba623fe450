"""The worker protocol: what a run's process says, and is told, over HTTP with a token valid for that run and epoch
only. Answers to `register` hold the secrets the worker connects with. Heartbeats have a door of their own."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Depends, Request
from pydantic import Field, model_validator
from starlette.concurrency import run_in_threadpool

from tidegate.errors import StoreUnavailable
from tidegate.model.logline import (
    EXCEPTION_MAX,
    FIELDS_BYTES_MAX,
    FIELDS_MAX,
    LOGGER_MAX,
    MESSAGE_MAX,
    Container,
    LogLevel,
    LogLine,
)
from tidegate.server.api.shapes import Body, Door
from tidegate.server.auth import bearer
from tidegate.server.views import Assignment, Session

router = APIRouter(prefix="/worker/v1", include_in_schema=False)

LINES_MAX = 1_000
STORED_DEADLINE_S = 8.0
Problem = dict[str, Any] | None
Position = Annotated[str, Field(max_length=100_000)]


def _session(request: Request, control: Door) -> Session:
    return control.authenticate(bearer(request.scope))


Speaker = Annotated[Session, Depends(_session)]


class Registration(Body):
    pid: int = Field(ge=1, le=2**31 - 1)
    started: str = Field(max_length=100)


class Snapshot(Body):
    kind: Literal["periodic", "pause", "manual"]
    position: Position
    state: dict[str, Any]
    request: str | None = Field(default=None, max_length=100)
    sortable: str | None = Field(default=None, max_length=100_000)


class Event(Body):
    name: str = Field(min_length=1, max_length=100)
    error: Problem = None
    facts: dict[str, Any] = Field(default_factory=dict)


class Line(Body):
    seq: int = Field(ge=1, le=2**62)
    at: float = Field(ge=0, le=1e11, allow_inf_nan=False)
    level: LogLevel = Field(strict=False)
    logger: str = Field(max_length=LOGGER_MAX)
    message: str = Field(max_length=MESSAGE_MAX)
    exception: str | None = Field(default=None, max_length=EXCEPTION_MAX)
    fields: dict[str, Any] = Field(default_factory=dict, max_length=FIELDS_MAX)

    @model_validator(mode="after")
    def _small(self) -> Self:
        said = json.dumps([self.logger, self.message, self.exception, self.fields], ensure_ascii=False)
        if len(said) > FIELDS_BYTES_MAX + EXCEPTION_MAX:
            raise ValueError(f"a line has more than {FIELDS_BYTES_MAX} bytes of fields")
        return self


class Lines(Body):
    lines: list[Line] = Field(max_length=LINES_MAX)


class Verification(Body):
    id: str = Field(min_length=1, max_length=100)
    report: dict[str, Any]


@router.post("/register")
def register(control: Door, session: Speaker, body: Registration) -> dict[str, Any]:
    """A worker begins: everything it needs for its run."""
    return _assignment(control.register(session, pid=body.pid, started=body.started))


@router.post("/snapshot")
def store_snapshot(control: Door, session: Speaker, body: Snapshot) -> dict[str, int]:
    """Durable once it is answered (I1)."""
    return {"id": control.store_snapshot(session, **body.model_dump())}


@router.post("/event")
def event(control: Door, session: Speaker, body: Event) -> dict[str, Any]:
    """Something happened to the run."""
    control.event(session, body.name, error=body.error, facts=body.facts)
    return {}


@router.post("/log")
async def log_lines(control: Door, session: Speaker, body: Lines) -> dict[str, Any]:
    """What the worker logged, in order; stored once it is answered. Repeated lines are stored once."""
    lines = [LogLine(container=Container.WORKER, **dict(line)) for line in body.lines]
    stored = await run_in_threadpool(control.take_lines, session, lines)
    try:
        # Not on a thread: a thousand workers may wait at once.
        await asyncio.wait_for(asyncio.wrap_future(stored), STORED_DEADLINE_S)
    except TimeoutError:
        raise StoreUnavailable("the lines could not be stored in time") from None
    return {}


@router.post("/verification")
def report_verification(control: Door, session: Speaker, body: Verification) -> dict[str, bool]:
    """What a comparison found so far; the answer is whether anybody still wants to know."""
    return {"wanted": control.report_verification(session, body.id, body.report)}


def _assignment(given: Assignment) -> dict[str, Any]:
    saved = given.snapshot
    return {
        "run": {"key": given.run_key, "number": given.run_number, "epoch": given.epoch},
        "state": given.state,
        "task": {
            "id": given.task_id,
            "name": given.task_name,
            "version": given.version,
            "definition": given.definition,
        },
        "source": {"kind": given.source[0], "config": given.source[1]},
        "target": {"kind": given.target[0], "config": given.target[1]},
        "files": None if given.folders is None else {"folders": list(given.folders), "data_dir": given.data_dir},
        "snapshot": {"id": saved.id, "position": saved.position, "state": saved.state} if saved else None,
        "start": given.start,
        "restarts": given.restarts,
        "counted": given.counted,
        "tables": given.tables,
        "heartbeat_s": given.heartbeat_s,
        "lease_s": given.lease_s,
    }
