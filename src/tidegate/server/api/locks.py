"""Edit locks: one at a time changes a task's definition, and the others see who."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from tidegate.server.access import Caller
from tidegate.server.api.shapes import Body, Door, Project, TaskInPath
from tidegate.server.locks import LockView

router = APIRouter(prefix="/tasks/{task}/lock", tags=["tasks"])


class Holding(Body):
    seize: bool = Field(default=False, description="Also if somebody else holds it.")


@router.get("")
def get_lock(control: Door, who: Caller, task: TaskInPath, project: Project = "default") -> LockView:
    """Who holds the task's definition."""
    return control.edit_lock(control.task_id(task, project=project), actor=who.actor)


@router.put("")
def hold_lock(
    control: Door, who: Caller, task: TaskInPath, body: Holding | None = None, project: Project = "default"
) -> LockView:
    """Hold it: nobody else changes, submits or hands over the task until you release it, or somebody seizes it."""
    number = control.task_id(task, project=project)
    return control.hold_lock(number, seize=(body or Holding()).seize, actor=who.actor)


@router.delete("", status_code=204)
def release_lock(control: Door, who: Caller, task: TaskInPath, project: Project = "default") -> None:
    """Let others change it again."""
    control.release_lock(control.task_id(task, project=project), actor=who.actor)
