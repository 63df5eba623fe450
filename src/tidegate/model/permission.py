"""Who may do what: every permission, what each role is allowed, and what each route of the REST API and each action of
the WeData API asks for. One table: enforcement, answers, documentation and tests read it.

What asks for a permission in a project that somebody may not even see is answered as if the thing were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tidegate.model.lifecycle import COMMANDS


class Scope(StrEnum):
    """What a permission is held for."""

    PROJECT = "project"
    """One project: held by a member of it, by role or by a list of their own."""
    SERVER = "server"
    """All of the server: held by global administrators."""
    ACCOUNT = "account"
    """Oneself: held by everybody."""


class Where(StrEnum):
    """How a request says which project it is about."""

    OPEN = "open"
    """Nobody is asked who they are."""
    SERVER = "server"
    """About none."""
    QUERY = "query"
    """The parameter `project`; `ProjectId` in an action."""
    TASK = "task"
    """The project of the task in the path."""
    BODY = "body"
    """The field `project` of what is sent."""
    PATH = "path"
    """The project in the path."""
    SOURCE = "source"
    """The project of the data source that an action names by id."""
    EACH = "each"
    """Any: it shows, or does, what is allowed in each."""


@dataclass(frozen=True, slots=True)
class Permission:
    name: str
    scope: Scope
    allows: str


@dataclass(frozen=True, slots=True)
class Need:
    """What a route or an action asks for. `BY_COMMAND` stands for what the command in it needs."""

    permission: str
    where: Where
    anywhere: bool = False
    """Whether global administrators are answered wherever they come from: who shut everybody out can mend it."""


# --- permissions --------------------------------------------------------------------------------------------------

VIEW: Final = "project.view"
PROJECT_EDIT: Final = "project.edit"
MEMBER_EDIT: Final = "member.edit"
AUDIT_VIEW: Final = "audit.view"
SOURCE_EDIT: Final = "data_source.edit"
SOURCE_TEST: Final = "data_source.test"
TASK_EDIT: Final = "task.edit"
TASK_OPERATE: Final = "task.operate"
TASK_VERIFY: Final = "task.verify"
ALERT_EDIT: Final = "alert.edit"
CHANNEL_EDIT: Final = "channel.edit"
CHANNEL_TEST: Final = "channel.test"
SERVER_LOG: Final = "server.log"
SERVER_METRICS: Final = "server.metrics"
SERVER_AUDIT: Final = "server.audit"
GROUP_EDIT: Final = "group.edit"
PROJECT_MAKE: Final = "project.make"
USER_EDIT: Final = "user.edit"
ACCOUNT_VIEW: Final = "account.view"
ACCOUNT_OWN: Final = "account.own"
BY_COMMAND: Final = "by command"

_P, _S, _A = Scope.PROJECT, Scope.SERVER, Scope.ACCOUNT
PERMISSIONS: Final[tuple[Permission, ...]] = (
    Permission(
        VIEW,
        _P,
        "See the project: tasks, runs, figures, logs, key events, alerts, members, and data sources without secrets.",
    ),
    Permission(PROJECT_EDIT, _P, "Change what the project says of itself."),
    Permission(MEMBER_EDIT, _P, "Let members in, give them roles, remove them, and say from where it is reached."),
    Permission(AUDIT_VIEW, _P, "Read the audit log of the project."),
    Permission(SOURCE_EDIT, _P, "Make, change and delete data sources, and test settings before they are saved."),
    Permission(SOURCE_TEST, _P, "Connect to a saved data source to see whether it works."),
    Permission(TASK_EDIT, _P, "Make, lock and change definitions, submit them, hand tasks over, and remove them."),
    Permission(TASK_OPERATE, _P, "Run, pause, continue and stop tasks, and have them take snapshots."),
    Permission(TASK_VERIFY, _P, "Compare rows of source and target, and see the keys of those that differ."),
    Permission(ALERT_EDIT, _P, "Make, change, switch and delete alert rules."),
    Permission(CHANNEL_EDIT, _P, "Make, change and delete alert channels."),
    Permission(CHANNEL_TEST, _P, "Send a test message through an alert channel."),
    Permission(SERVER_LOG, _S, "Read what the server logged about no task."),
    Permission(SERVER_METRICS, _S, "Scrape the figures of all projects."),
    Permission(SERVER_AUDIT, _S, "Read and check the whole audit log."),
    Permission(GROUP_EDIT, _S, "Make, change and delete resource groups."),
    Permission(PROJECT_MAKE, _S, "Make and delete projects."),
    Permission(USER_EDIT, _S, "Make, change, disable and delete accounts; tokens and access keys of others."),
    Permission(ACCOUNT_VIEW, _A, "See oneself, and what is the same for all: connectors, resource groups, metrics."),
    Permission(ACCOUNT_OWN, _A, "Change one's own password; make and revoke one's own tokens and access keys."),
)
BY_NAME: Final[Mapping[str, Permission]] = {one.name: one for one in PERMISSIONS}


def _of(scope: Scope) -> frozenset[str]:
    return frozenset(one.name for one in PERMISSIONS if one.scope is scope)


OF_PROJECT: Final = _of(Scope.PROJECT)
OF_SERVER: Final = _of(Scope.SERVER)
OF_ACCOUNT: Final = _of(Scope.ACCOUNT)

# --- roles --------------------------------------------------------------------------------------------------------


class Role(StrEnum):
    """What somebody is in a project."""

    PROJECT_ADMINISTRATOR = "project_administrator"
    DATA_ENGINEER = "data_engineer"
    OPS_ENGINEER = "ops_engineer"
    MEMBER = "member"
    CUSTOM = "custom"


ROLES: Final[Mapping[Role, frozenset[str]]] = {
    Role.PROJECT_ADMINISTRATOR: OF_PROJECT,
    Role.DATA_ENGINEER: frozenset(
        (VIEW, SOURCE_EDIT, SOURCE_TEST, TASK_EDIT, TASK_OPERATE, TASK_VERIFY, ALERT_EDIT, CHANNEL_EDIT, CHANNEL_TEST)
    ),
    Role.OPS_ENGINEER: frozenset((VIEW, SOURCE_TEST, TASK_OPERATE, TASK_VERIFY, ALERT_EDIT, CHANNEL_TEST)),
    Role.MEMBER: frozenset((VIEW,)),
    Role.CUSTOM: frozenset((VIEW,)),
}
"""Of `CUSTOM` what is there without a list; each member has their own."""

# --- commands -----------------------------------------------------------------------------------------------------

CHANGE_OWNER, ADD_RULES = "change-owner", "add-alert-rules"
COMMAND_NEEDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(COMMANDS, TASK_OPERATE),
    "submit": TASK_EDIT,
    "remove": TASK_EDIT,
    CHANGE_OWNER: TASK_EDIT,
    ADD_RULES: ALERT_EDIT,
}
"""What each command of the lifecycle, and each other operation of a batch, needs."""

# --- routes -------------------------------------------------------------------------------------------------------


def _needs(permission: str, where: Where, *names: str) -> dict[str, Need]:
    return dict.fromkeys(names, Need(permission, where))


ROUTES: Final[Mapping[str, Need]] = {
    **_needs("", Where.OPEN, "health", "log_in", "set_up"),
    **_needs("", Where.OPEN, "list_log_in_ways", "begin_sign_on", "finish_sign_on"),
    **_needs(ACCOUNT_VIEW, Where.SERVER, "get_session", "log_out", "list_permissions", "list_metrics"),
    **_needs(ACCOUNT_VIEW, Where.SERVER, "list_log_diagnoses", "list_alert_metrics", "list_connectors"),
    **_needs(ACCOUNT_VIEW, Where.SERVER, "read_definition"),
    **_needs(ACCOUNT_VIEW, Where.SERVER, "list_groups", "get_group"),
    **_needs(GROUP_EDIT, Where.SERVER, "create_group", "edit_group", "delete_group"),
    **_needs(SERVER_LOG, Where.SERVER, "list_server_log", "download_server_log"),
    **_needs(SERVER_METRICS, Where.SERVER, "scrape"),
    # lists over projects
    **_needs(VIEW, Where.EACH, "list_ops", "get_ops_totals", "get_ops_trends", "list_tasks", "list_projects"),
    **_needs(VIEW, Where.EACH, "list_events", "list_alerts", "get_outlook"),
    **_needs(BY_COMMAND, Where.EACH, "run_batch"),
    # projects
    **_needs(PROJECT_MAKE, Where.SERVER, "create_project"),
    **_needs(PROJECT_MAKE, Where.PATH, "delete_project"),
    **_needs(PROJECT_EDIT, Where.PATH, "edit_project"),
    # tasks
    **_needs(VIEW, Where.TASK, "get_task", "list_versions", "list_offers", "list_runs", "get_run", "list_snapshots"),
    **_needs(VIEW, Where.TASK, "get_snapshot_request", "get_positions", "list_task_events", "get_metrics"),
    **_needs(VIEW, Where.TASK, "list_tables", "get_progress", "list_task_log", "download_task_log"),
    **_needs(TASK_EDIT, Where.BODY, "create_task"),
    **_needs(TASK_EDIT, Where.QUERY, "match_tables", "check_definition"),
    **_needs(TASK_EDIT, Where.TASK, "edit_task", "delete_task", "submit_task", "change_owner"),
    **_needs(TASK_EDIT, Where.TASK, "hold_lock", "release_lock"),
    **_needs(VIEW, Where.TASK, "get_lock"),
    **_needs(BY_COMMAND, Where.TASK, "give_command", "preview_command"),
    **_needs(TASK_OPERATE, Where.TASK, "take_snapshot"),
    **_needs(TASK_VERIFY, Where.TASK, "verify_task", "list_verifications", "get_verification", "cancel_verification"),
    # data sources
    **_needs(VIEW, Where.QUERY, "list_data_sources", "get_data_source"),
    **_needs(SOURCE_EDIT, Where.QUERY, "create_data_source", "edit_data_source", "delete_data_source", "try_settings"),
    **_needs(SOURCE_TEST, Where.QUERY, "check_data_source"),
    # alerts
    **_needs(VIEW, Where.QUERY, "list_alert_rules", "get_alert_rule", "check_alert_rule_name"),
    **_needs(VIEW, Where.QUERY, "list_alert_channels", "get_alert_channel"),
    **_needs(ALERT_EDIT, Where.BODY, "create_alert_rule"),
    **_needs(ALERT_EDIT, Where.QUERY, "edit_alert_rule", "delete_alert_rule", "enable_alert_rule"),
    **_needs(ALERT_EDIT, Where.QUERY, "disable_alert_rule"),
    **_needs(CHANNEL_EDIT, Where.QUERY, "create_alert_channel", "edit_alert_channel", "delete_alert_channel"),
    **_needs(CHANNEL_TEST, Where.QUERY, "check_alert_channel"),
    # people and programs
    **_needs(USER_EDIT, Where.SERVER, "list_users", "create_user", "get_user", "edit_user", "delete_user"),
    **_needs(ACCOUNT_OWN, Where.SERVER, "set_password", "list_tokens", "create_token", "revoke_token"),
    **_needs(ACCOUNT_OWN, Where.SERVER, "list_access_keys", "create_access_key", "revoke_access_key"),
    **_needs(VIEW, Where.PATH, "list_members"),
    **_needs(MEMBER_EDIT, Where.PATH, "put_member", "remove_member"),
    "set_allow_list": Need(MEMBER_EDIT, Where.PATH, anywhere=True),
    **_needs(AUDIT_VIEW, Where.EACH, "list_audit", "export_audit"),
    **_needs(SERVER_AUDIT, Where.SERVER, "verify_audit"),
}
"""By the route's name. A route that is not here is answered to nobody."""
LOOKS: Final = frozenset(("read_definition", "match_tables", "check_definition"))
"""Routes that change nothing, though more is sent to them than an address holds."""
ENTRIES: Final = frozenset(("finish_sign_on",))
"""Routes that do something, though they are asked for as a look is: a browser is sent to them."""

# --- actions of the WeData API ------------------------------------------------------------------------------------

ACTIONS: Final[Mapping[str, Need]] = {
    **_needs(VIEW, Where.QUERY, "DescribeIntegrationTasks", "DescribeIntegrationTask"),
    **_needs(VIEW, Where.QUERY, "CheckIntegrationTaskNameExists", "DescribeRealTimeTaskMetricOverview"),
    **_needs(VIEW, Where.QUERY, "DescribeRealTimeTaskSpeed", "DescribeRealTimeTaskInstanceNodeInfo"),
    **_needs(VIEW, Where.QUERY, "TaskLog", "DescribeStreamTaskLogList"),
    **_needs(VIEW, Where.QUERY, "DescribeTaskTableMetricOverview", "DescribeIntegrationStatistics"),
    **_needs(VIEW, Where.QUERY, "DescribeIntegrationStatisticsTaskStatus", "DescribeIntegrationStatisticsRecordsTrend"),
    **_needs(TASK_OPERATE, Where.QUERY, "StartIntegrationTask", "SuspendIntegrationTask", "ResumeIntegrationTask"),
    **_needs(TASK_OPERATE, Where.QUERY, "StopIntegrationTask", "BatchStartIntegrationTasks"),
    **_needs(TASK_OPERATE, Where.QUERY, "BatchSuspendIntegrationTasks", "BatchResumeIntegrationTasks"),
    **_needs(TASK_OPERATE, Where.QUERY, "BatchStopIntegrationTasks"),
    # What follows the commit of some types needs `task.operate` as well.
    **_needs(TASK_EDIT, Where.QUERY, "CreateIntegrationTask", "CommitIntegrationTask", "ModifyIntegrationTask"),
    **_needs(TASK_EDIT, Where.QUERY, "DeleteIntegrationTask", "BatchDeleteIntegrationTasks"),
    **_needs(TASK_EDIT, Where.QUERY, "LockIntegrationTask", "UnlockIntegrationTask", "RobAndLockIntegrationTask"),
    **_needs(VIEW, Where.QUERY, "DescribeTaskLockStatus"),
    **_needs(VIEW, Where.QUERY, "DescribeTaskAlarmRegulations", "CheckAlarmRegularNameExist", "DescribeAlarmEvents"),
    **_needs(VIEW, Where.QUERY, "DescribeAlarmReceiver"),
    **_needs(ALERT_EDIT, Where.QUERY, "CreateTaskAlarmRegular", "ModifyTaskAlarmRegular", "DeleteTaskAlarmRegular"),
    **_needs(ALERT_EDIT, Where.QUERY, "BatchCreateIntegrationTaskAlarms"),
    **_needs(SOURCE_EDIT, Where.SOURCE, "CreateDataSource", "ModifyDataSource", "DeleteDataSources"),
    **_needs(VIEW, Where.SOURCE, "DescribeDatasource"),
    **_needs(VIEW, Where.EACH, "DescribeDataSourceList", "DescribeTenantProjects"),
    **_needs(VIEW, Where.QUERY, "DescribeProject"),
    **_needs(PROJECT_MAKE, Where.SERVER, "CreateBaseProject"),
    **_needs(ACCOUNT_VIEW, Where.SERVER, "DescribeExecutorGroupMetric"),
}
"""By the action's name."""
