"""The same for many tasks at once."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field

from tidegate.errors import Invalid
from tidegate.model.task import NAME_PATTERN
from tidegate.server.access import Caller, about, task_for
from tidegate.server.api.operations import STATUSES
from tidegate.server.api.shapes import Body, Door, Project, TaskInPath, VersionField
from tidegate.server.audit import DONE, REFUSED
from tidegate.server.batches import BATCH_OPERATIONS, RULES_MAX, TASKS_MAX
from tidegate.server.batchviews import BatchItemView, BatchView, Filtered, Named, Wish
from tidegate.server.views import TaskView

router = APIRouter(tags=["operations"])

Text = Annotated[str, Field(min_length=1, max_length=200)]


class OneOfMany(Body):
    task: Annotated[str, Field(pattern=NAME_PATTERN, description="Its id, or its name.")]
    version: VersionField = None


class OpsFilter(Body):
    project: Annotated[str | None, Field(pattern=NAME_PATTERN)] = None
    status: list[str] = Field(
        default=[], max_length=20, json_schema_extra={"items": {"type": "string", "enum": list(STATUSES)}}
    )
    name: Annotated[str | None, Field(min_length=1, max_length=100, description="A part of the name.")] = None
    owner: Text | None = None
    source_kind: Text | None = None
    target_kind: Text | None = None
    resource_group: Text | None = None


class Batch(Body):
    operation: str = Field(json_schema_extra={"enum": list(BATCH_OPERATIONS)})
    tasks: list[OneOfMany] | None = Field(default=None, min_length=1, max_length=TASKS_MAX, description="These.")
    filter: OpsFilter | None = Field(default=None, description="Submitted tasks as the list of operations shows them.")
    all: bool = Field(default=False, description="Every submitted task of the project.")
    owner: str | None = Field(default=None, max_length=100, description="The new one, for `change-owner`.")
    rules: list[dict[str, Any]] = Field(
        default=[],
        max_length=RULES_MAX,
        description="For `add-alert-rules`: rules without `applies_to` and `project`. Each task gets its own, named "
        "after the rule and the task.",
    )
    dry_run: bool = Field(default=False, description="Only say what would become of each.")


class NewOwner(Body):
    owner: str = Field(min_length=1, max_length=100)
    version: VersionField = None


@router.post("/batches")
def run_batch(request: Request, control: Door, who: Caller, body: Batch, project: Project = "default") -> BatchView:
    """Do the same to many tasks: those named, those a filter matches (one that says nothing is refused; say `all`), or
    all of the project. Each is done for itself; its outcome says whether it succeeded, was so already, or failed and
    why. A task that somebody changed after the filter chose it is left alone. It is answered within minutes: a task
    whose turn did not come by then failed with `request.batch_over`. Sent again, it does what is left to do."""
    wish = Wish(body.operation, body.owner, body.rules, body.dry_run)
    given = body.filter.model_dump(exclude_defaults=True) if body.filter is not None else None
    if [body.tasks is not None, given is not None, body.all].count(True) != 1:
        raise Invalid("tasks, filter, all: exactly one of them says which tasks")
    if given == {}:
        raise Invalid("filter: names nothing; say all for every task")
    if body.tasks is not None:
        chosen: list[Named] | Filtered = [Named(one.task, one.version) for one in body.tasks]
    else:
        chosen = Filtered(**(given or {"project": project}))
    done = control.batch(wish, chosen, project=project, who=who)
    if not wish.dry_run:
        about(request.scope)["each"] = [_told(done.operation, item) for item in done.items]
    return done


def _told(operation: str, item: BatchItemView) -> tuple[str, str, str, str, str]:
    """What the audit log has of one task of the batch."""
    code = str((item.problem or {}).get("code", ""))
    return operation, item.name, item.project or "", REFUSED if item.outcome == "failed" else DONE, code


@router.put("/tasks/{task}/owner")
def change_owner(
    control: Door, who: Caller, task: TaskInPath, body: NewOwner, project: Project = "default"
) -> TaskView:
    """Hand a task to another owner; nothing else of it changes."""
    number = control.task_id(task, project=project)
    return task_for(who, control.change_owner(number, body.owner, version=body.version, actor=who.actor))
