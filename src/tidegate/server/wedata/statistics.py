"""Actions for dashboards: how many tasks there are, in which status, and what they moved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from tidegate.model.lifecycle import State
from tidegate.server.measurements import HOUR_STEP_S
from tidegate.server.wedata import codes
from tidegate.server.wedata.alarmrules import LEVELS
from tidegate.server.wedata.call import Answer, Call, demand_real_time, moment
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.shapes import LIST_MAX, InProject
from tidegate.server.wedata.structures import Str
from tidegate.server.wedata.taskinfo import STATUS

STATUS_NAMES: Final[Mapping[int, str]] = {
    0: "new",
    1: "initialize",
    2: "operating",
    3: "running",
    4: "paused",
    5: "stopping",
    6: "stopped",
    7: "failed",
    20: "abnormal",
}
DAY_S: Final = 86_400.0
MOVED: Final[Mapping[str, str]] = {
    "TotalReadRecords": "rows_read",
    "TotalWriteRecords": "rows_written",
    "TotalErrorRecords": "dirty_rows",
}
LEVEL_NAMES: Final[Mapping[str, str]] = {"normal": "ordinary", "important": "important", "urgent": "urgent"}


class Statistics(InProject):
    TaskType: int
    QueryDate: Str = None


class DescribeIntegrationStatistics(Statistics):
    pass


class DescribeIntegrationStatisticsRecordsTrend(Statistics):
    pass


class DescribeIntegrationStatisticsTaskStatus(Statistics):
    ExecutorGroupId: Str = None


def describe_statistics(call: Call, asked: DescribeIntegrationStatistics) -> Answer:
    project = _project(call, asked)
    since, until = _day(call, asked)
    tasks = call.control.tasks(project)
    alerts = call.control.alerts(project=project, limit=LIST_MAX)
    moved = call.control.moved(project, since, until)
    production = sum(1 for task in tasks if task.submitted is not None)
    levels = Counter(alert.severity for alert in alerts)
    return {
        "TotalTask": len(tasks),
        "ProdTask": production,
        "DevTask": len(tasks) - production,
        "TotalAlarmEvent": len(alerts),
        "IncreaseReadRecords": sum(hour.rows_read for hour in moved),
        "IncreaseWriteRecords": sum(hour.rows_written for hour in moved),
        "IncreaseErrorRecords": sum(hour.dirty_rows for hour in moved),
        "IncreaseAlarmEvent": sum(1 for alert in alerts if since <= alert.fired_at < until),
        "AlarmEvent": json.dumps({LEVEL_NAMES[level]: levels[level] for level in LEVELS.values()}),
    } | {field: sum(int((task.counters or {}).get(name) or 0) for task in tasks) for field, name in MOVED.items()}


def describe_records(call: Call, asked: DescribeIntegrationStatisticsRecordsTrend) -> Answer:
    """Hours are named by their beginning."""
    project = _project(call, asked)
    hours = call.control.moved(project, *_day(call, asked))
    names = [datetime.fromtimestamp(hour.at - HOUR_STEP_S, UTC).strftime("%H:%M") for hour in hours]
    series = {
        "READ": [hour.rows_read for hour in hours],
        "WRITE": [hour.rows_written for hour in hours],
        "ERROR": [hour.dirty_rows for hour in hours],
    }
    trends = [{"StatisticName": names, "StatisticValue": of, "StatisticType": kind} for kind, of in series.items()]
    return {"TrendsData": trends}


def describe_statuses(call: Call, asked: DescribeIntegrationStatisticsTaskStatus) -> Answer:
    project = _project(call, asked)
    if asked.QueryDate:
        raise Declined(codes.VALUE, "QueryDate: what is answered is of now; leave it out")
    found = Counter(
        STATUS[State(task.state)]
        for task in call.control.tasks(project)
        if task.submitted is not None and asked.ExecutorGroupId in (None, "", task.resource_group)
    )
    return {"StatusData": json.dumps({STATUS_NAMES[number]: found[number] for number in STATUS_NAMES})}


def _project(call: Call, asked: Statistics) -> str:
    demand_real_time(asked.TaskType)
    return call.project(asked.ProjectId).name


def _day(call: Call, asked: Statistics) -> tuple[float, float]:
    """The day that is asked about, by default the present one; in UTC."""
    day = moment(asked.QueryDate, "QueryDate")
    since = call.control.clock.now() // DAY_S * DAY_S if day is None else day
    return since, since + DAY_S
