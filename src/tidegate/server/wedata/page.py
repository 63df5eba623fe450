"""The reference page of the WeData-compatible API, from its own tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tidegate.errors import every_error
from tidegate.model.lifecycle import STATES
from tidegate.server.wedata.actions import ACTIONS, VERSION, Standing
from tidegate.server.wedata.alarmrules import INDICATORS
from tidegate.server.wedata.codes import CODES
from tidegate.server.wedata.definition import SETTINGS
from tidegate.server.wedata.taskinfo import STATUS


def lines() -> list[str]:
    """The page without its frame."""
    provided = [action for action in ACTIONS if action.standing is not Standing.NOT]
    said = [
        "# The WeData-compatible API",
        "",
        f"`POST /` takes the actions of Tencent Cloud WeData, version {VERSION}, signed with TC3-HMAC-SHA256. The",
        "published SDKs and `tccli` work as they are; how to point them at a server:",
        "[the WeData API](../guide/wedata.md). What is asked for is done by the same services as the REST API.",
        "",
        f"{len(provided)} of the {len(ACTIONS)} actions on real-time tasks and around them are provided. *Partly*: as",
        "far as is said. What is not provided is answered with `InvalidAction`. A field that is not published is",
        "refused with `UnknownParameter`, and what there is no place for with `InvalidParameterValue`.",
        "",
        "Ids are those of the REST API; tasks, projects and data sources may be named instead. Times are in UTC.",
        "Messages are in English. Only POST is taken.",
    ]
    for group, members in groupby(ACTIONS, key=lambda action: action.group):
        rows = [(f"`{action.name}`", action.standing.value, action.differs) for action in members]
        said += ["", f"## {group}", "", *_table(("action", "provided", "what differs"), rows)]
    return said + _definitions() + _numbers() + _codes()


def _definitions() -> list[str]:
    rows = [(one.place.value, f"`{one.name}`", f"`{'.'.join(one.path)}`", one.says) for one in SETTINGS]
    return [
        "",
        "## A task's definition",
        "",
        "`TaskName`, `Description`, `SyncType` (1 whole database, 2 single table) and `ExecutorId` (the resource",
        "group) are fields of `TaskInfo`, and `DatasourceId` is one of each node. All else stands in a `Config`; what",
        "is not given has the task document's default. `CheckpointingIntervalUnit` is `min` (the default), `s`, `ms`",
        "or `h`. What the server itself answers, such as `Status`, may be sent back and is not looked at.",
        "",
        *_table(("Config of", "name", "in the task document", "what it is"), rows),
    ]


def _numbers() -> list[str]:
    statuses = [
        (str(number), STATES[state].status, f"`{state}`")
        for state, number in sorted(STATUS.items(), key=lambda one: one[1])
    ]
    indicators = [(str(number), f"`{metric}`") for number, metric in INDICATORS.items()]
    return [
        "",
        "## Status",
        "",
        *_table(("`Status`", "status shown", "state"), statuses),
        "",
        "## Alarm indicators",
        "",
        *_table(("`AlarmIndicator`", "metric of an [alert rule](alerts.md)"), indicators),
    ]


def _codes() -> list[str]:
    rows = [(f"`{error.code}`", f"`{CODES[error.code]}`", f"{error.title}.") for error in every_error()]
    return [
        "",
        "## Error codes",
        "",
        "What the [errors](errors.md) of Tidegate are called here. The message ends with Tidegate's own code.",
        "",
        *_table(("error", "`Code`", "what happened"), rows),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    shown = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return shown + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
