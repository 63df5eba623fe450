"""The worker protocol: what a run's process says, and is told, over HTTP with a token valid for that run and epoch
only. Answers to `register` hold the secrets the worker connects with."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from tidegate.server.api.shapes import Body, Door
from tidegate.server.auth import bearer
from tidegate.server.views import Assignment, Beat, Orders, Session

router = APIRouter(prefix="/worker/v1", include_in_schema=False)

Figures = Annotated[dict[str, int | float], Field(max_length=1000)]
Problem = dict[str, Any] | None
Position = Annotated[str, Field(max_length=100_000)]


def _session(request: Request, control: Door) -> Session:
    return control.authenticate(bearer(request.scope))


Speaker = Annotated[Session, Depends(_session)]


class Registration(Body):
    pid: int = Field(ge=1, le=2**31 - 1)
    started: str = Field(max_length=100)


class Heartbeat(Body):
    phase: Literal["preparing", "full", "incremental"]
    health: Literal["steady", "recovering"]
    position: Position | None = None
    counters: Figures = Field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = Field(default_factory=dict)
    lag_s: float | None = Field(default=None, allow_inf_nan=False)
    lag_bytes: int | None = None
    error: Problem = None


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


class Verification(Body):
    id: str = Field(min_length=1, max_length=100)
    report: dict[str, Any]


@router.post("/register")
def register(control: Door, session: Speaker, body: Registration) -> dict[str, Any]:
    """A worker begins: everything it needs for its run."""
    return _assignment(control.register(session, pid=body.pid, started=body.started))


@router.post("/heartbeat")
def heartbeat(control: Door, session: Speaker, body: Heartbeat) -> Orders:
    """How the run is doing; the answer is what it shall do."""
    return control.heartbeat(session, Beat(**body.model_dump()))


@router.post("/snapshot")
def store_snapshot(control: Door, session: Speaker, body: Snapshot) -> dict[str, int]:
    """Durable once it is answered (I1)."""
    return {"id": control.store_snapshot(session, **body.model_dump())}


@router.post("/event")
def event(control: Door, session: Speaker, body: Event) -> dict[str, Any]:
    """Something happened to the run."""
    control.event(session, body.name, error=body.error, facts=body.facts)
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
        "snapshot": {"id": saved.id, "position": saved.position, "state": saved.state} if saved else None,
        "start": given.start,
        "restarts": given.restarts,
        "heartbeat_s": given.heartbeat_s,
        "lease_s": given.lease_s,
    }
