"""The actions of the WeData API, version 2021-08-20: one table, from which dispatch, documentation and tests derive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tidegate.server.wedata import alarms, batches, figures, locks, loglines, statistics, surroundings, tasks
from tidegate.server.wedata.call import Answer, Call
from tidegate.server.wedata.shapes import Shape

VERSION: Final = "2021-08-20"
LATER_VERSION: Final = "2025-08-06"
"""It has no actions on real-time tasks."""


class Group(StrEnum):
    LIFE = "Life cycle"
    FIGURES = "Metrics and logs"
    UPKEEP = "Definitions, and many tasks at once"
    ALARMS = "Alarms"
    STATISTICS = "Dashboard"
    LOCK = "Edit lock"
    SURROUNDINGS = "Data sources, projects, resource groups"
    NODES = "Nodes"
    OFFLINE = "Offline tasks and data development"


class Standing(StrEnum):
    DONE = "done"
    PARTLY = "partly"
    NOT = "not"


Handler = Callable[[Call, Any], Answer]


@dataclass(frozen=True, slots=True)
class Action:
    """`request` is the form of what is sent and `handler` does it; without them it is answered with `InvalidAction`.
    `differs` says how it differs from the published action."""

    name: str
    group: Group
    standing: Standing
    request: type[Shape] | None = None
    handler: Handler | None = None
    differs: str = ""


def _done(group: Group, request: type[Shape], handler: Handler, differs: str = "") -> Action:
    return Action(request.__name__, group, Standing.DONE, request, handler, differs)


def _partly(group: Group, request: type[Shape], handler: Handler, differs: str) -> Action:
    return Action(request.__name__, group, Standing.PARTLY, request, handler, differs)


def _not(group: Group, *names: str, why: str) -> tuple[Action, ...]:
    return tuple(Action(name, group, Standing.NOT, differs=why) for name in names)


_LIFE, _FIGURES, _UPKEEP, _ALARMS = Group.LIFE, Group.FIGURES, Group.UPKEEP, Group.ALARMS
_SEEN, _AROUND = Group.STATISTICS, Group.SURROUNDINGS
_LIMITED = "An indicator's `MaxTimes` and `Duration` are of the whole rule."
_ONE_RULE = (
    "A rule is for one task, owner or resource group, or for all tasks. `AlarmWay` is `6`; `AlarmRecipientId` names "
    "alert channels, or is empty for all of them. Quiet periods are in UTC. " + _LIMITED
)
_COUNTS = "What is refused is counted, and its reason is not told: `DescribeIntegrationTask` shows the status."

ACTIONS: Final[tuple[Action, ...]] = (
    _partly(
        _LIFE,
        tasks.DescribeIntegrationTasks,
        tasks.describe_tasks,
        "A task and its development copy are one: both lists show the live status, and `ProductionState` only leaves "
        "out what was never committed. Filters are `ProductionState`, `TaskId`, `TaskName` (a part of it), `Status` (2 "
        "and 5 are the same), `Incharge`, `ExecutorId`, `InputDatasourceType`, `OutputDatasourceType`. `StartTime` and "
        "`EndTime` are empty. `Nodes`, `Config` and `ReaderDelay` are answered for one task only.",
    ),
    _done(
        _LIFE,
        tasks.DescribeIntegrationTask,
        tasks.describe_task,
        "Without `InstanceVersion` the definition as last saved. `ReaderDelay` and `BusinessLatency` are in "
        "milliseconds, `SavePointPath` is a position in the source's log.",
    ),
    _partly(
        _LIFE,
        tasks.StartIntegrationTask,
        tasks.start_task,
        "Not from a point in time (`TIMESTAMP`, `timestamp`): sources begin at positions. `ExtConfig` may say "
        "`StartupMode` and, with `LATEST`, `Position`.",
    ),
    _done(_LIFE, tasks.SuspendIntegrationTask, tasks.suspend_task),
    _partly(_LIFE, tasks.ResumeIntegrationTask, tasks.resume_task, "Only where the task stands: no `TIMESTAMP`."),
    _done(_LIFE, tasks.StopIntegrationTask, tasks.stop_task),
    _partly(
        _LIFE,
        tasks.CreateIntegrationTask,
        tasks.create_task,
        "One INPUT and one OUTPUT node, with the settings below; columns keep their names. The caller is the owner.",
    ),
    _partly(
        _LIFE,
        tasks.CommitIntegrationTask,
        tasks.commit_task,
        "`CommitType` 1 and 2 run the task afterwards, 3 and 4 continue it. A running task is not stopped or paused "
        "for it but refused: stop or suspend it first.",
    ),
    _partly(
        _FIGURES,
        figures.DescribeRealTimeTaskMetricOverview,
        figures.describe_overview,
        "A window's ends are rounded down to minutes.",
    ),
    _partly(
        _FIGURES,
        figures.DescribeRealTimeTaskSpeed,
        figures.describe_speed,
        "At most 33 hours, or 5 that began within the last 2; speeds of the log alone are not told.",
    ),
    _done(_FIGURES, figures.DescribeRealTimeTaskInstanceNodeInfo, figures.describe_nodes),
    _done(
        _FIGURES,
        loglines.TaskLog,
        loglines.describe_log,
        "Lines of the server and of workers, newest first unless `OrderType` is `asc`; at most 1,000.",
    ),
    _done(
        _FIGURES,
        loglines.DescribeStreamTaskLogList,
        loglines.describe_log_pages,
        "Likewise. `Container` is `server` or `worker`, `RunningOrderId` a run's number, `Keyword` a part of a line, "
        "of any case; `JobId` is not looked at. A page may have fewer lines than `Limit`, or none, until `ListOver`.",
    ),
    _partly(
        _UPKEEP,
        tasks.ModifyIntegrationTask,
        tasks.modify_task,
        "As `CreateIntegrationTask`. What runs takes it after the next commit. What was answered may be sent back; the "
        "owner stays.",
    ),
    _done(
        _UPKEEP,
        tasks.DeleteIntegrationTask,
        tasks.delete_task,
        "A refusal is the error `ResourceInUse`, not `DeleteFlag` 100.",
    ),
    _done(_UPKEEP, tasks.CheckIntegrationTaskNameExists, tasks.check_task_name),
    _partly(
        _UPKEEP,
        batches.BatchStartIntegrationTasks,
        batches.start_tasks,
        f"Events START and RESUME. {_COUNTS}",
    ),
    _done(_UPKEEP, batches.BatchSuspendIntegrationTasks, batches.suspend_tasks, _COUNTS),
    _done(_UPKEEP, batches.BatchResumeIntegrationTasks, batches.resume_tasks, _COUNTS),
    _done(_UPKEEP, batches.BatchStopIntegrationTasks, batches.stop_tasks, _COUNTS),
    _partly(
        _UPKEEP,
        batches.BatchDeleteIntegrationTasks,
        batches.delete_tasks,
        f"`DeleteKFFlag` must be 1: a task and its development copy are one. {_COUNTS}",
    ),
    *_not(_UPKEEP, "BatchUpdateIntegrationTasks", why="Owners are not handed over yet."),
    _partly(_ALARMS, alarms.CreateTaskAlarmRegular, alarms.create_rule, _ONE_RULE),
    _partly(_ALARMS, alarms.ModifyTaskAlarmRegular, alarms.modify_rule, "Likewise; the name stays."),
    _done(_ALARMS, alarms.DeleteTaskAlarmRegular, alarms.delete_rule),
    _partly(
        _ALARMS,
        alarms.DescribeTaskAlarmRegulations,
        alarms.describe_rules,
        "Indicators from 1001 on are Tidegate's own. With `TaskId` the rules that name this task.",
    ),
    _done(_ALARMS, alarms.CheckAlarmRegularNameExist, alarms.check_rule_name),
    _partly(
        _ALARMS,
        alarms.BatchCreateIntegrationTaskAlarms,
        alarms.create_rules,
        "Each task gets a rule of its own; behind the name of each but the first is the task's id.",
    ),
    _partly(_ALARMS, alarms.DescribeAlarmEvents, alarms.describe_events, "Of the newest 1,000 that fit."),
    _partly(
        _ALARMS,
        alarms.DescribeAlarmReceiver,
        alarms.describe_receivers,
        "Receivers are alert channels, each told as `Http` says, whatever it sends by.",
    ),
    _partly(
        _SEEN,
        statistics.DescribeIntegrationStatistics,
        statistics.describe_statistics,
        "Totals are of present runs and of the newest 1,000 alarms. Increases are of the day's hours that are over.",
    ),
    _partly(
        _SEEN,
        statistics.DescribeIntegrationStatisticsTaskStatus,
        statistics.describe_statuses,
        "Of now.",
    ),
    _partly(
        _SEEN,
        statistics.DescribeIntegrationStatisticsRecordsTrend,
        statistics.describe_records,
        "The hours of a day that are over, named by their beginning; the series are READ, WRITE and ERROR.",
    ),
    _partly(
        _SEEN,
        figures.DescribeTaskTableMetricOverview,
        figures.describe_tables,
        "The filter is `TableName`, a part of schema.table.",
    ),
    *_not(
        _SEEN,
        "DescribeIntegrationStatisticsTaskStatusTrend",
        "DescribeIntegrationStatisticsInstanceTrend",
        why="There is no history of statuses yet.",
    ),
    _done(
        Group.LOCK,
        locks.LockIntegrationTask,
        locks.lock_task,
        "Held until it is released or taken over. Nobody needs it to edit; whoever has not got it is refused while "
        "somebody else has.",
    ),
    _done(Group.LOCK, locks.UnlockIntegrationTask, locks.unlock_task),
    _done(Group.LOCK, locks.RobAndLockIntegrationTask, locks.seize_task),
    _done(Group.LOCK, locks.DescribeTaskLockStatus, locks.describe_lock, "Nobody is an empty `Locker`."),
    _partly(
        _AROUND,
        surroundings.CreateDataSource,
        surroundings.create_data_source,
        "`Params` is the connector's settings as JSON, or `url` (JDBC), `username` and `password`. `Category` is `DB`. "
        "`OwnerProjectId` says the project; its name is not looked at.",
    ),
    _partly(_AROUND, surroundings.ModifyDataSource, surroundings.modify_data_source, "Likewise; the name stays."),
    _done(_AROUND, surroundings.DeleteDataSources, surroundings.delete_data_sources),
    _done(_AROUND, surroundings.DescribeDatasource, surroundings.describe_data_source, "Secrets are masked."),
    _partly(
        _AROUND,
        surroundings.DescribeDataSourceList,
        surroundings.describe_data_sources,
        "Filters are `Name` (a part of it), `Type`, `ProjectId`, `OwnerProjectId`.",
    ),
    _partly(_AROUND, surroundings.DescribeProject, surroundings.describe_project, "Without users and clusters."),
    _partly(_AROUND, surroundings.DescribeTenantProjects, surroundings.describe_projects, "Likewise."),
    _partly(
        _AROUND,
        surroundings.CreateBaseProject,
        surroundings.create_project,
        "`DisplayName` is the name or left out.",
    ),
    _partly(
        _AROUND,
        surroundings.DescribeExecutorGroupMetric,
        surroundings.describe_group,
        "A group of n units is n packages. The trend is one point, of now: the share in use, in percent.",
    ),
    *_not(
        _AROUND,
        "DescribeDataSourceInfoList",
        "DescribeRealViewDatabasePage",
        "DescribeRealViewSchemaPage",
        "DescribeInstancesByExecutors",
        "BindProjectExecutorResource",
        "UnboundProjectExecutorResource",
        "ModifyProject",
        "EnableProject",
        "DisableProject",
        "DescribeProjectUsers",
        why="Not yet.",
    ),
    *_not(
        Group.NODES,
        "CreateIntegrationNode",
        "ModifyIntegrationNode",
        "DeleteIntegrationNode",
        "DescribeIntegrationNode",
        "CheckIntegrationNodeNameExists",
        "GetIntegrationNodeColumnSchema",
        "DescribeIntegrationVersionNodesInfo",
        why="Nodes are sent with their task.",
    ),
    *_not(
        Group.OFFLINE,
        "BatchKillIntegrationTaskInstances",
        "BatchRerunIntegrationTaskInstances",
        "BatchForceSuccessIntegrationTaskInstances",
        "BatchMakeUpIntegrationTasks",
        "ModifyMonitorStatus",
        "SetTaskAlarmNew",
        why="There are no offline tasks.",
    ),
)
BY_NAME: Final[Mapping[str, Action]] = {action.name: action for action in ACTIONS}
