"""Comparing a running task's source and target."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from tidegate.model.task import NAME_PATTERN, TABLES_MAX, TableEntry
from tidegate.server.access import Caller
from tidegate.server.api.shapes import Body, Door, Project, TaskInPath
from tidegate.server.views import VerificationView

router = APIRouter(prefix="/tasks/{task}/verifications", tags=["verifications"])

LISTED_MAX = 1000
DEADLINE_MAX_S = 86_400

Id = Annotated[str, Path(pattern=NAME_PATTERN, description="As the request was answered.")]


class Verify(Body):
    tables: list[TableEntry] = Field(
        default=[], max_length=TABLES_MAX, description="Source tables, by name or pattern; none: all of the task."
    )
    wait: bool = Field(default=False, description="Wait for tables that are still being copied.")
    keys: bool = Field(
        default=False, description="List rows that differ by their keys, which are data, in this answer only."
    )
    limit: int = Field(default=20, ge=0, le=LISTED_MAX, description="How many of each table to list.")
    deadline_s: float = Field(
        default=3600.0,
        gt=0,
        le=DEADLINE_MAX_S,
        allow_inf_nan=False,
        strict=False,
        description="How long it may take; the source keeps dead rows as long.",
    )


@router.post("", status_code=202)
def verify_task(
    control: Door, who: Caller, task: TaskInPath, body: Verify | None = None, project: Project = "default"
) -> VerificationView:
    """Compare all rows of source and target as of one instant, while the task goes on. One at a time per task."""
    number = control.task_id(task, project=project)
    return control.verify(number, actor=who.actor, **(body or Verify()).model_dump())


@router.get("")
def list_verifications(control: Door, task: TaskInPath, project: Project = "default") -> list[VerificationView]:
    """The last ones since the server was started, newest first."""
    return control.verifications(control.task_id(task, project=project))


@router.get("/{id}")
def get_verification(control: Door, task: TaskInPath, id: Id, project: Project = "default") -> VerificationView:
    """How far it is, and what was found."""
    return control.verification(control.task_id(task, project=project), id)


@router.delete("/{id}")
def cancel_verification(control: Door, task: TaskInPath, id: Id, project: Project = "default") -> VerificationView:
    """End it; what was found so far stays."""
    return control.cancel_verification(control.task_id(task, project=project), id)
