"""The life cycle of many tasks at once: each by itself, with what worked and what was refused counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import Field

from tidegate.errors import TidegateError
from tidegate.server.wedata import codes
from tidegate.server.wedata.call import Answer, Call, demand_real_time
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.shapes import InProject, Refs, Text
from tidegate.server.wedata.structures import Int, StartTaskInfo, Str
from tidegate.server.wedata.tasks import (
    CONTINUE,
    RESUME_EVENTS,
    START_EVENTS,
    STOP,
    SUSPEND_EVENTS,
    command_of,
    delete,
    start_of,
)

BATCH_START_EVENTS: Final = START_EVENTS | RESUME_EVENTS
WITH_DEVELOPMENT_COPY: Final = 1


class Batch(InProject):
    TaskIds: Refs
    TaskType: int


class BatchStartIntegrationTasks(InProject):
    TaskType: int
    TaskIds: Refs | None = None
    StartTaskInfoSet: list[StartTaskInfo] | None = Field(default=None, min_length=1, max_length=100)


class BatchSuspendIntegrationTasks(Batch):
    Event: Str = None
    TaskNames: list[Text] | None = None


class BatchResumeIntegrationTasks(Batch):
    pass


class BatchStopIntegrationTasks(Batch):
    pass


class BatchDeleteIntegrationTasks(Batch):
    DeleteKFFlag: Int = None
    Name: Str = None
    TaskNames: list[Text] | None = None


def start_tasks(call: Call, asked: BatchStartIntegrationTasks) -> Answer:
    if (asked.TaskIds is None) == (asked.StartTaskInfoSet is None):
        raise Declined(codes.MISSING, "either TaskIds or StartTaskInfoSet is required")
    groups = asked.StartTaskInfoSet or [StartTaskInfo(TaskIds=asked.TaskIds)]
    todo: dict[str, Callable[[int], object]] = {}
    for group in groups:
        command, start = command_of(group.Event, BATCH_START_EVENTS), start_of(group.Config)
        if command == CONTINUE and start is not None:
            raise Declined(codes.VALUE, "Config: a task goes on where it stands; leave it out")
        for ref in group.TaskIds or ():

            def give(task: int, command: str = command, start: dict[str, str] | None = start) -> object:
                return call.control.command(task, command, start=start, actor=call.actor)

            todo[ref] = give
    return _each(call, asked.ProjectId, asked.TaskType, todo)


def suspend_tasks(call: Call, asked: BatchSuspendIntegrationTasks) -> Answer:
    return _command_each(call, asked, command_of(asked.Event, SUSPEND_EVENTS), names=False)


def resume_tasks(call: Call, asked: BatchResumeIntegrationTasks) -> Answer:
    return _command_each(call, asked, CONTINUE)


def stop_tasks(call: Call, asked: BatchStopIntegrationTasks) -> Answer:
    return _command_each(call, asked, STOP)


def delete_tasks(call: Call, asked: BatchDeleteIntegrationTasks) -> Answer:
    if asked.DeleteKFFlag != WITH_DEVELOPMENT_COPY:
        raise Declined(codes.VALUE, "DeleteKFFlag: must be 1; a task and its development copy are one thing here")
    todo: dict[str, Callable[[int], object]] = {ref: lambda task: delete(call, task) for ref in asked.TaskIds}
    return _each(call, asked.ProjectId, asked.TaskType, todo, names=False)


def _command_each(call: Call, asked: Batch, command: str, *, names: bool = True) -> Answer:
    todo: dict[str, Callable[[int], object]] = {
        ref: lambda task: call.control.command(task, command, actor=call.actor) for ref in asked.TaskIds
    }
    return _each(call, asked.ProjectId, asked.TaskType, todo, names=names)


def _each(
    call: Call, project: str, task_type: int, todo: Mapping[str, Callable[[int], object]], *, names: bool = True
) -> Answer:
    """Each by itself; what failed is counted, and its task's key events say nothing of it, for nothing changed."""
    demand_real_time(task_type)
    found = call.project(project).name
    done: list[str] = []
    for ref, give in todo.items():
        try:
            give(call.task_of(found, ref))
        except (TidegateError, Declined) as error:
            code = codes.declined(error).code
            call.each.append((ref, code))
            if code in (codes.INTERNAL, codes.UNAVAILABLE):
                raise
        else:
            call.each.append((ref, ""))
            done.append(ref)
    counts: dict[str, Any] = {
        "SuccessCount": len(done),
        "FailedCount": len(todo) - len(done),
        "TotalCount": len(todo),
    }
    return counts | ({"TaskNames": done} if names else {})
