"""A task as the WeData API answers it: its status, its figures and what was last done to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.errors import NotFound
from tidegate.model.lifecycle import STATES, State
from tidegate.server.views import EventView, TaskDetail, TaskView
from tidegate.server.wedata.call import Call, type_of, when
from tidegate.server.wedata.shapes import REAL_TIME

STATUS: Final[Mapping[State, int]] = {
    State.DRAFT: 0,
    State.INITIALIZE: 1,
    State.STARTING: 2,
    State.RUNNING: 3,
    State.PAUSING: 2,
    State.FORCE_PAUSING: 2,
    State.PAUSED: 4,
    State.CONTINUING: 2,
    State.STOPPING: 5,
    State.STOPPED: 6,
    State.FAILURE: 7,
    State.DETECTION_EXCEPTION: 20,
    State.REMOVING: 2,
}
SHOWN: Final[Mapping[int, str]] = {number: STATES[state].status for state, number in STATUS.items()}
"""Status numbers as the services' lists are filtered; 2 and 5 are both Operating there."""

UNKNOWN: Final = -1
READ_PHASES: Final[Mapping[str | None, int]] = {"full": 0, "incremental": 2}
EVENTS: Final[Mapping[str, str]] = {  # by key event: commands, and that another version was submitted
    "submit": "COMMIT",
    "submitted": "COMMIT",
    "run": "START",
    "pause": "SUSPEND",
    "force-pause": "SUSPEND_WITHOUT_SP",
    "continue": "RESUME",
    "stop": "STOP",
    "remove": "DELETE",
}


def listed(view: TaskView, project_id: int, holder: str | None) -> dict[str, Any]:
    """What lists show of a task; `holder` has its edit lock."""
    counters = view.counters or {}
    running = STATES[State(view.state)].units
    return {
        "TaskId": str(view.id),
        "TaskName": view.name,
        "ProjectId": str(project_id),
        "Description": view.description,
        "TaskType": REAL_TIME,
        "SyncType": 1 if view.kind == "whole_database" else 2,
        "Status": STATUS[State(view.state)],
        "Incharge": view.owner,
        "OwnerUin": view.owner,
        "ExecutorId": view.resource_group,
        "ExecutorGroupName": view.resource_group,
        "InputDatasourceType": type_of(view.source_kind),
        "OutputDatasourceType": type_of(view.target_kind),
        "Submit": view.submitted is not None and not view.changed,
        "HasVersion": view.submitted is not None,
        "InstanceVersion": view.submitted,
        "CreateTime": when(view.created_at),
        "UpdateTime": when(view.state_since),
        "LastRunTime": when(view.run_started_at),
        "StopTime": when(view.state_since) if view.state == State.STOPPED else None,
        "NumRecordsIn": int(counters.get("rows_read", UNKNOWN)),
        "NumRecordsOut": int(counters.get("rows_written", UNKNOWN)),
        "NumRestarts": UNKNOWN if view.restarts is None else view.restarts,
        "ReaderDelay": float(UNKNOWN),
        "RunningCu": float(view.units) if running else 0.0,
        "ReadPhase": READ_PHASES.get(view.phase),
        "ErrorMessage": str((view.error or {}).get("detail") or "") or None,
        "Locked": holder is not None,
        "Locker": holder,
        "WorkflowId": "-1",
        "TaskGroupId": "-1",
        "ScheduleTaskId": str(view.id) if view.run is not None else "",
    }


def detailed(call: Call, detail: TaskDetail) -> dict[str, Any]:
    """What there is beyond that of one task: delays, its snapshot, and its last operation."""
    figures = _newest(call, detail.task.id) if detail.run is not None else {}
    read_s, business_s = figures.get("read_delay_s"), figures.get("business_delay_s")
    snapshot = detail.snapshot
    exists = None if detail.run is None else 0 if snapshot else 1
    return {
        "ReaderDelay": float(UNKNOWN) if read_s is None else round(read_s * 1000, 3),
        "BusinessLatency": None if business_s is None else round(business_s * 1000),
        "NotExistsCheckPoint": exists,
        "SavePointId": f"sv-{snapshot.id}" if snapshot else None,
        "SavePointPath": snapshot.position if snapshot else None,
        "LastOperateInfo": last_operation(call, detail.task.id),
    }


def _newest(call: Call, task: int) -> Mapping[str, float | None]:
    try:
        return call.control.metrics(task, names=("read_delay_s", "business_delay_s")).now
    except NotFound:  # its runs are forgotten
        return {}


def last_operation(call: Call, task: int) -> dict[str, Any] | None:
    """The newest command carried out, and how it ended: what came of it is the next change of state."""
    asked = call.control.events(task, names=list(EVENTS), limit=1)
    if not asked:
        return None
    command = asked[0]
    ended = _ended(call, task, command)
    return {
        "TaskEvent": EVENTS[command.name],
        "OperateId": str(command.id),
        "ErrorMsg": ended.cause or None if ended and ended.level != "info" else None,
        "CreatedTime": when(command.at),
        "UpdatedTime": when(ended.at if ended else command.at),
    }


def _ended(call: Call, task: int, command: EventView) -> EventView | None:
    if command.state_to is None:
        return None
    later = call.control.events(task, after=command.id, oldest_first=True, limit=50)
    return next((event for event in later if event.state_from == command.state_to), None)
