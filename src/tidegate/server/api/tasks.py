"""Tasks as they are written: definitions and their submitted versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tidegate.model.permission import TASK_EDIT
from tidegate.server.access import Caller, accepted_for, detail_for, task_for
from tidegate.server.api.shapes import Body, Definition, Door, Project, TaskInPath, Version, VersionField
from tidegate.server.views import Accepted, TaskDetail, TaskView, VersionView

router = APIRouter(prefix="/tasks", tags=["tasks"])


class Submission(Body):
    version: VersionField = None
    note: str = Field(default="", max_length=500, description="Kept with the version.")


@router.get("")
def list_tasks(
    control: Door,
    who: Caller,
    project: Project | None = None,
    drafts_only: Annotated[bool, Query(description="Only those that were never submitted.")] = False,
) -> list[TaskView]:
    """All tasks, drafts too; `ops` lists the submitted ones."""
    return [task_for(who, view) for view in control.tasks(project, drafts_only=drafts_only, seen=who.seen)]


@router.post("", status_code=201)
def create_task(control: Door, who: Caller, body: Definition) -> TaskDetail:
    """Save a definition as a draft."""
    who.demand(TASK_EDIT, body.project)
    return detail_for(who, control.create_task(body.definition(), actor=who.actor))


@router.get("/{task}")
def get_task(control: Door, who: Caller, task: TaskInPath, project: Project = "default") -> TaskDetail:
    """A task: definition, status, the commands it offers, its present run and newest snapshot."""
    return detail_for(who, control.detail(control.task_id(task, project=project)))


@router.put("/{task}")
def edit_task(
    control: Door,
    who: Caller,
    task: TaskInPath,
    body: Definition,
    project: Project = "default",
    version: Version = None,
) -> TaskDetail:
    """Replace the definition. Nothing that runs changes before it is submitted and next opened."""
    number = control.task_id(task, project=project)
    return detail_for(who, control.edit_task(number, body.definition(), version=version, actor=who.actor))


@router.delete("/{task}", status_code=202)
def delete_task(
    control: Door, who: Caller, task: TaskInPath, project: Project = "default", version: Version = None
) -> Accepted:
    """The command `remove`: clean up at source and target and forget the definition; rows at the target stay."""
    number = control.task_id(task, project=project)
    return accepted_for(who, control.delete_task(number, version=version, actor=who.actor))


@router.post("/{task}/submit")
def submit_task(
    control: Door, who: Caller, task: TaskInPath, body: Submission | None = None, project: Project = "default"
) -> TaskDetail:
    """Check the definition against source and target and make it the newest version."""
    given = body or Submission()
    number = control.task_id(task, project=project)
    return detail_for(who, control.submit(number, version=given.version, note=given.note, actor=who.actor))


@router.get("/{task}/versions")
def list_versions(control: Door, task: TaskInPath, project: Project = "default") -> list[VersionView]:
    """Submitted definitions, newest first."""
    return control.versions(control.task_id(task, project=project))
