"""Actions on tasks: list, detail, the life cycle, and definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.errors import CommandRefused, NotFound
from tidegate.model.lifecycle import State
from tidegate.model.permission import TASK_OPERATE
from tidegate.server.views import TaskView, VersionView
from tidegate.server.wedata import codes, definition, taskinfo
from tidegate.server.wedata.call import Answer, Call, demand_real_time, kind_of, when
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.definition import startup_read
from tidegate.server.wedata.shapes import (
    Fields,
    FilterList,
    InProject,
    OnTask,
    Orders,
    Page,
    Ref,
    Size,
    coded,
    filtered,
    only,
    ordered,
    texts,
)
from tidegate.server.wedata.structures import Int, IntegrationTaskInfo, Str
from tidegate.server.wedata.taskinfo import SHOWN, STATUS

RUN, PAUSE, FORCE_PAUSE, CONTINUE, STOP, REMOVE = "run", "pause", "force-pause", "continue", "stop", "remove"
START_EVENTS: Final = {"START": RUN}
SUSPEND_EVENTS: Final = {"SUSPEND": PAUSE, "SUSPEND_WITHOUT_SP": FORCE_PAUSE}
RESUME_EVENTS: Final = {"RESUME": CONTINUE}
AFTER_COMMIT: Final[Mapping[int, str | None]] = {0: None, 1: RUN, 2: RUN, 3: CONTINUE, 4: CONTINUE}
"""What follows the submission, by `CommitType`."""
DELETED: Final = 0


# --- list and detail --------------------------------------------------------------------------------------------

TASK_FILTERS: Final = (
    "ProductionState",
    "TaskId",
    "TaskName",
    "Status",
    "Incharge",
    "ExecutorId",
    "InputDatasourceType",
    "OutputDatasourceType",
)
TASK_ORDERS: Final = {
    "CreateTime": "created_at",
    "UpdateTime": "state_since",
    "TaskName": "name",
    "Status": "status",
    "Incharge": "owner",
}


class DescribeIntegrationTasks(InProject):
    PageNumber: Page
    PageSize: Size
    Filters: FilterList | None = None
    OrderFields: Orders | None = None
    StartTime: Str = None
    EndTime: Str = None
    TaskType: Int = None


def describe_tasks(call: Call, asked: DescribeIntegrationTasks) -> Answer:
    demand_real_time(asked.TaskType)
    if asked.StartTime or asked.EndTime:
        raise Declined(codes.VALUE, "StartTime, EndTime: tasks are not listed by time; leave them empty")
    project = call.project(asked.ProjectId)
    wanted = filtered(asked.Filters, TASK_FILTERS)
    production = only(wanted, "ProductionState") or "false"
    if production not in ("true", "false"):
        raise Declined(codes.FILTER, "Filters: ProductionState is true or false")
    ids = [int(ref) if ref.isascii() and ref.isdigit() else 0 for ref in wanted.get("TaskId", ())]
    kinds = {name: only(wanted, name) for name in ("InputDatasourceType", "OutputDatasourceType")}
    source, target = (None if said is None else kind_of(said) for said in kinds.values())
    page = call.control.ops(
        project=project.name,
        status=[coded(number, SHOWN, "Status") for number in wanted.get("Status", ())],
        name=only(wanted, "TaskName"),
        owner=only(wanted, "Incharge"),
        source_kind=source,
        target_kind=target,
        resource_group=only(wanted, "ExecutorId"),
        ids=ids or None,
        drafts=production == "false",
        sort=ordered(asked.OrderFields, TASK_ORDERS, "name"),
        page=asked.PageNumber,
        page_size=asked.PageSize,
    )
    holders = call.control.lock_holders([view.id for view in page.items])
    shown = [taskinfo.listed(view, project.id, holders.get(view.id)) for view in page.items]
    return {"TaskInfoSet": shown, "TotalCount": page.total}


class DescribeIntegrationTask(OnTask):
    TaskType: Int = None
    InstanceVersion: Int = None
    ExtConfig: Fields | None = None


def describe_task(call: Call, asked: DescribeIntegrationTask) -> Answer:
    project = call.project(asked.ProjectId)
    task = call.task_of(project.name, asked.TaskId, asked.TaskType)
    if asked.ExtConfig:
        raise Declined(codes.VALUE, "ExtConfig: there are no settings to ask with; leave it out")
    detail = call.control.detail(task)
    versions = call.control.versions(task)
    number = asked.InstanceVersion
    version = next((one for one in versions if number in (None, one.number)), None)
    if number is not None and version is None:
        raise NotFound(f"task {detail.task.name} has no version {number}")
    written = detail.definition if number is None or version is None else version.definition
    sources = call.sources(project.name)
    holder = call.control.edit_lock(task, actor=call.actor).holder
    info = taskinfo.listed(detail.task, project.id, holder) | taskinfo.detailed(call, detail)
    info |= definition.told(written, str(project.id), str(task), sources)
    in_force = None if detail.run is None else detail.run.version
    return {
        "TaskInfo": info,
        "TaskVersion": None if version is None else _version(version, in_force),
        "TaskVersionList": [
            {"InstanceDate": when(run.started_at), "RunningOrderId": run.number} for run in call.control.runs(task)
        ],
    }


def _version(version: VersionView, in_force: int | None) -> dict[str, Any]:
    return {
        "InstanceVersion": version.number,
        "VersionDesc": version.note,
        "ChangeType": 0 if version.number == 1 else 1,
        "SubmitterUin": version.submitted_by,
        "InstanceDate": when(version.submitted_at),
        "InstanceStatus": 1 if version.number == in_force else 0,
    }


# --- the life cycle ---------------------------------------------------------------------------------------------


class StartIntegrationTask(OnTask):
    Event: Str = None
    ExtConfig: Fields | None = None
    EventDesc: Str = None


class SuspendIntegrationTask(OnTask):
    Event: Str = None


class ResumeIntegrationTask(StartIntegrationTask):
    pass


class StopIntegrationTask(OnTask):
    pass


def start_task(call: Call, asked: StartIntegrationTask) -> Answer:
    command = command_of(asked.Event, START_EVENTS)
    task = call.task(asked)
    call.control.command(task, command, start=start_of(asked.ExtConfig), actor=call.actor)
    return {"Data": True}


def suspend_task(call: Call, asked: SuspendIntegrationTask) -> Answer:
    command = command_of(asked.Event, SUSPEND_EVENTS)
    call.control.command(call.task(asked), command, actor=call.actor)
    return {"Data": True}


def resume_task(call: Call, asked: ResumeIntegrationTask) -> Answer:
    command = command_of(asked.Event, RESUME_EVENTS)
    task = call.task(asked)
    if asked.ExtConfig:
        raise Declined(codes.VALUE, "ExtConfig: a task goes on where it stands; leave it out")
    call.control.command(task, command, actor=call.actor)
    return {"Data": True}


def stop_task(call: Call, asked: StopIntegrationTask) -> Answer:
    call.control.command(call.task(asked), STOP, actor=call.actor)
    return {"Data": True}


def command_of(event: str | None, known: Mapping[str, str]) -> str:
    """A published example has a blank behind an event. None is the action's own."""
    said = (event or "").strip() or next(iter(known))
    if said not in known:
        raise Declined(codes.VALUE, f"Event: must be one of {', '.join(known)}")
    return known[said]


_STARTS = {"StartPosition": "position", "Position": "position", "StartTime": "time"}


def start_of(settings: Fields | None) -> dict[str, str] | None:
    """`StartupMode`, and `StartPosition` (also `Position`) or `StartTime`, in place of what the definition says."""
    found = texts(settings, "ExtConfig")
    start: dict[str, str] = {}
    for name, value in found.items():
        if name == "StartupMode":
            try:
                start["read"] = startup_read(value)
            except ValueError as error:
                raise Declined(codes.VALUE, f"ExtConfig: StartupMode {error}") from None
        elif name in _STARTS:
            start[_STARTS[name]] = value
        else:
            raise Declined(codes.VALUE, f"ExtConfig: there is no {name}; there are StartupMode, {', '.join(_STARTS)}")
    return start or None


class CommitIntegrationTask(OnTask):
    CommitType: Int = None
    TaskType: Int = None
    ExtConfig: Fields | None = None
    VersionDesc: Str = None
    InstanceVersion: Int = None
    EventDesc: Str = None
    CurrentStatus: Int = None


def commit_task(call: Call, asked: CommitIntegrationTask) -> Answer:
    project = call.project(asked.ProjectId).name
    task = call.task_of(project, asked.TaskId, asked.TaskType)
    kind = asked.CommitType or 0
    if kind not in AFTER_COMMIT:
        raise Declined(codes.VALUE, f"CommitType: must be one of {', '.join(map(str, AFTER_COMMIT))}")
    if asked.ExtConfig or asked.InstanceVersion is not None:
        raise Declined(codes.VALUE, "ExtConfig, InstanceVersion: versions are numbered here; leave them out")
    view, then = call.view(task), AFTER_COMMIT[kind]
    if asked.CurrentStatus not in (None, STATUS[State(view.state)]):
        raise Declined(codes.NOT_NOW, f"CurrentStatus: task {view.name} is {view.status}")
    if then is not None:
        call.who.demand(TASK_OPERATE, project)
        _demand_offered(call, view, then)
    call.control.submit(task, note=asked.VersionDesc or "", actor=call.actor)
    if then is not None:
        call.control.command(task, then, actor=call.actor)
    return {"Data": True}


def _demand_offered(call: Call, view: TaskView, command: str) -> None:
    """Before anything is submitted. What is submitted first is offered `run` afterwards."""
    if view.state == State.DRAFT and command == RUN:
        return
    refusal = next((o.reason for o in call.control.offers(view.id) if o.command == command and not o.allowed), None)
    if refusal is not None:
        raise Declined(codes.NOT_NOW, f"task {view.name} was not committed, for {command} must follow: {refusal}")


# --- definitions ------------------------------------------------------------------------------------------------


class CreateIntegrationTask(InProject):
    TaskInfo: IntegrationTaskInfo


class ModifyIntegrationTask(CreateIntegrationTask):
    RollbackFlag: bool | None = None


def create_task(call: Call, asked: CreateIntegrationTask) -> Answer:
    project = call.project(asked.ProjectId)
    if asked.TaskInfo.TaskId:
        raise Declined(codes.VALUE, "TaskInfo.TaskId: is given by the server; leave it out")
    written = definition.document(asked.TaskInfo, project, call.actor, call.sources(project.name))
    return {"TaskId": str(call.control.create_task(written, actor=call.actor).task.id)}


def modify_task(call: Call, asked: ModifyIntegrationTask) -> Answer:
    if asked.RollbackFlag:
        raise Declined(codes.VALUE, "RollbackFlag: a definition is replaced whole; leave it out")
    project = call.project(asked.ProjectId)
    if not asked.TaskInfo.TaskId:
        raise Declined(codes.MISSING, "TaskInfo.TaskId: is required")
    view = call.view(call.task_of(project.name, asked.TaskInfo.TaskId))
    written = definition.document(asked.TaskInfo, project, view.owner, call.sources(project.name))
    call.control.edit_task(view.id, written, version=view.version, actor=call.actor)
    return {"TaskId": str(view.id)}


class DeleteIntegrationTask(OnTask):
    pass


def delete_task(call: Call, asked: DeleteIntegrationTask) -> Answer:
    delete(call, call.task(asked))
    return {"Data": True, "DeleteFlag": DELETED}


def delete(call: Call, task: int) -> None:
    try:
        call.control.delete_task(task, actor=call.actor)
    except CommandRefused as error:
        raise Declined(codes.IN_USE, f"{error.detail}. {error.advice}") from None


class CheckIntegrationTaskNameExists(InProject):
    TaskName: Ref
    TaskId: Str = None
    SyncType: Int = None


def check_task_name(call: Call, asked: CheckIntegrationTaskNameExists) -> Answer:
    project = call.project(asked.ProjectId)
    found = next((one for one in call.control.tasks(project.name) if one.name == asked.TaskName), None)
    if found is None or str(found.id) == asked.TaskId:
        return {"Data": False, "ExistsType": 0}
    return {"Data": True, "ExistsType": 1 if found.submitted is None else 2}
