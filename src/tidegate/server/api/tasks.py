"""Tasks as they are written: definitions and their submitted versions."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from tidegate.server.api.shapes import ACTOR, Body, Definition, Door, Project, TaskInPath, Version, VersionField
from tidegate.server.views import Accepted, TaskDetail, TaskView, VersionView

router = APIRouter(prefix="/tasks", tags=["tasks"])


class Submission(Body):
    version: VersionField = None
    note: str = Field(default="", max_length=500, description="Kept with the version.")


@router.get("")
def list_tasks(control: Door, project: Project | None = None) -> list[TaskView]:
    """All tasks, drafts too; `ops` lists the submitted ones."""
    return control.tasks(project)


@router.post("", status_code=201)
def create_task(control: Door, body: Definition) -> TaskDetail:
    """Save a definition as a draft."""
    return control.create_task(body.definition(), actor=ACTOR)


@router.get("/{task}")
def get_task(control: Door, task: TaskInPath, project: Project = "default") -> TaskDetail:
    """A task: definition, status, the commands it offers, its present run and newest snapshot."""
    return control.detail(control.task_id(task, project=project))


@router.put("/{task}")
def edit_task(
    control: Door, task: TaskInPath, body: Definition, project: Project = "default", version: Version = None
) -> TaskDetail:
    """Replace the definition. Nothing that runs changes before it is submitted and next opened."""
    number = control.task_id(task, project=project)
    return control.edit_task(number, body.definition(), version=version, actor=ACTOR)


@router.delete("/{task}", status_code=202)
def delete_task(control: Door, task: TaskInPath, project: Project = "default", version: Version = None) -> Accepted:
    """The command `remove`: clean up at source and target and forget the definition; rows at the target stay."""
    return control.delete_task(control.task_id(task, project=project), version=version, actor=ACTOR)


@router.post("/{task}/submit")
def submit_task(
    control: Door, task: TaskInPath, body: Submission | None = None, project: Project = "default"
) -> TaskDetail:
    """Check the definition against source and target and make it the newest version."""
    given = body or Submission()
    number = control.task_id(task, project=project)
    return control.submit(number, version=given.version, note=given.note, actor=ACTOR)


@router.get("/{task}/versions")
def list_versions(control: Door, task: TaskInPath, project: Project = "default") -> list[VersionView]:
    """Submitted definitions, newest first."""
    return control.versions(control.task_id(task, project=project))
