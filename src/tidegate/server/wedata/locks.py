"""Actions on the edit lock of a task."""

from __future__ import annotations

from tidegate.server.wedata.call import Answer, Call, demand_real_time
from tidegate.server.wedata.shapes import OnTask
from tidegate.server.wedata.structures import Int

YES, NO = 1, 0


class LockIntegrationTask(OnTask):
    pass


class UnlockIntegrationTask(OnTask):
    pass


class RobAndLockIntegrationTask(OnTask):
    TaskType: Int = None


class DescribeTaskLockStatus(RobAndLockIntegrationTask):
    pass


def lock_task(call: Call, asked: LockIntegrationTask) -> Answer:
    call.control.hold_lock(call.task(asked), actor=call.actor)
    return {"Data": True}


def unlock_task(call: Call, asked: UnlockIntegrationTask) -> Answer:
    call.control.release_lock(call.task(asked), actor=call.actor)
    return {"Data": True}


def seize_task(call: Call, asked: RobAndLockIntegrationTask) -> Answer:
    demand_real_time(asked.TaskType)
    held = call.control.hold_lock(call.task(asked), seize=True, actor=call.actor)
    return {"RobLockState": {"IsRob": True, "Locker": held.holder}}


def describe_lock(call: Call, asked: DescribeTaskLockStatus) -> Answer:
    """Nobody's is told with an empty holder, and may be taken as well."""
    demand_real_time(asked.TaskType)
    task = call.task(asked)
    held = call.control.edit_lock(task, actor=call.actor)
    seizable = held.holder is not None and not held.yours
    return {
        "TaskLockStatus": {
            "TaskId": str(task),
            "Locker": held.holder or "",
            "IsLocker": YES if held.yours else NO,
            "IsRob": YES if seizable else NO,
        }
    }
