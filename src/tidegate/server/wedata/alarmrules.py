"""Alarm rules in the WeData API's form, both ways onto Tidegate's alert rules; what has no place there is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from tidegate.model.alert import BY_NAME, WEEKDAYS, Form, Scope, Severity
from tidegate.model.task import duration_s
from tidegate.server.alertviews import AlertRuleView
from tidegate.server.wedata import codes
from tidegate.server.wedata.call import Call, demand_real_time, when
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.shapes import REAL_TIME, Ref, Shape, Text
from tidegate.server.wedata.structures import Int, Str, Structure

INDICATORS: Final[Mapping[int, str]] = {
    0: "task_failed",
    1: "run_timeout",
    2: "task_stopped",
    3: "task_paused",
    4: "read_speed",
    5: "write_speed",
    6: "read_throughput",
    7: "write_throughput",
    8: "dirty_bytes",
    9: "dirty_rows",
    10: "task_exception",
    11: "detection_exception",
    12: "restarts",
    13: "task_delay",
    14: "restarts_20min",
    15: "transmission_delay",
    16: "business_delay",
    1001: "log_left",
    1002: "snapshot_age",
    1003: "lag_bytes",
    1004: "not_reporting",
    1005: "not_moving",
}
"""Those from 1001 on are Tidegate's own. Complete: a test compares it with the table of alarms."""
LEVELS: Final[Mapping[int, str]] = {
    0: Severity.NORMAL.value,
    1: Severity.IMPORTANT.value,
    2: Severity.URGENT.value,
}
MONITORS: Final[Mapping[int, Scope]] = {1: Scope.ALL, 2: Scope.TASK, 3: Scope.OWNER, 4: Scope.RESOURCE_GROUP}
OPERATORS: Final[Mapping[int, str]] = {1: "above", 2: "below"}
BY_CHANNEL: Final = "6"
"""HTTP. Whom a rule tells, and how, are channels: their names are its recipients."""
LENGTHS_S: Final[Mapping[str, float]] = {
    "ms": 0.001,
    "s": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86_400.0,
}
OLD_FORM_MAX: Final = 3
"""Of the single indicator only those that every document numbers alike: 4 and 5 are exchanged in it."""


class AlarmIndicatorInfo(Shape):
    Id: Str = None
    AlarmIndicator: Int = None
    AlarmIndicatorDesc: Str = None
    TriggerType: Int = None
    EstimatedTime: Int = None
    Operator: Int = None
    AlarmIndicatorUnit: Str = None
    Duration: Int = None
    DurationUnit: Str = None
    MaxTimes: Int = None
    Threshold: float | None = None
    IndicatorTimeRangeUnit: Str = None
    IndicatorTimeRangeValue: Int = None


class QuietPeriod(Shape):
    DaysOfWeek: Annotated[list[int], Field(max_length=7)] | None = None
    StartTime: Str = None
    EndTime: Str = None


class TaskAlarmInfo(Shape):
    TaskId: Str = None
    RegularName: Ref
    RegularStatus: int
    AlarmLevel: int
    AlarmWay: Text
    TaskType: int
    Id: Str = None
    RegularId: Str = None
    AlarmIndicator: Int = None
    TriggerType: Int = None
    EstimatedTime: Int = None
    AlarmRecipientId: Str = None
    ProjectId: Str = None
    Creater: Str = None
    AlarmRecipientName: Str = None
    AlarmIndicatorDesc: Str = None
    Operator: Int = None
    NodeId: Str = None
    NodeName: Str = None
    AlarmIndicatorInfos: Annotated[list[AlarmIndicatorInfo], Field(max_length=100)] | None = None
    AlarmRecipientType: Int = None
    QuietPeriods: Annotated[list[QuietPeriod], Field(max_length=100)] | None = None
    WeComHook: Str = None
    UpdateTime: Str = None
    OperatorUin: Str = None
    TaskCount: Int = None
    MonitorType: Int = None
    MonitorObjectIds: list[Text] | None = None
    LatestAlarmInstanceId: Str = None
    LatestAlarmTime: Str = None
    Description: Str = None
    LarkWebHooks: Str = None
    DingDingWebHooks: Str = None
    BusinessType: Int = None
    AlarmMessageRule: Str = None
    ReportTarget: Int = None
    AlarmReceiverGroups: list[Structure] | None = None
    AlarmReceiverGroupFlag: Int = None


# There is no place for what these would say.
NO_PLACE: Final = (
    "TriggerType",
    "NodeId",
    "NodeName",
    "WeComHook",
    "LarkWebHooks",
    "DingDingWebHooks",
    "BusinessType",
    "AlarmMessageRule",
    "ReportTarget",
    "AlarmReceiverGroups",
    "AlarmReceiverGroupFlag",
    "AlarmRecipientType",
)


# --- rules as they are sent -------------------------------------------------------------------------------------


def rule_of(call: Call, info: TaskAlarmInfo, project: str, task_id: str | None = None) -> dict[str, Any]:
    """The rule as Tidegate writes it; `task_id` instead of the one it names. Raises `Declined`, `NotFound`."""
    demand_real_time(info.TaskType)
    for name in NO_PLACE:
        _demand(not getattr(info, name), f"{name}: there is no place for it; leave it out")
    _demand(info.AlarmWay == BY_CHANNEL, f"AlarmWay: must be {BY_CHANNEL}; how people are told is a channel's affair")
    _demand(info.AlarmLevel in LEVELS, "AlarmLevel: must be 0, 1 or 2")
    _demand(info.RegularStatus in (0, 1), "RegularStatus: must be 0 or 1")
    conditions = info.AlarmIndicatorInfos or [_single(info)]
    rule: dict[str, Any] = {
        "alert_rule": info.RegularName,
        "project": project,
        "description": info.Description or "",
        "enabled": info.RegularStatus == 1,
        "severity": LEVELS[info.AlarmLevel],
        "applies_to": _applies_to(call, info, project, task_id),
        "conditions": [_condition(one) for one in conditions],
        "quiet": [_quiet(one) for one in info.QuietPeriods or ()],
    }
    if info.AlarmRecipientId:
        rule["channels"] = [name.strip() for name in info.AlarmRecipientId.split(",")]
    if limit := _limit(conditions):
        rule["limit"] = limit
    return rule


def _single(info: TaskAlarmInfo) -> AlarmIndicatorInfo:
    if info.AlarmIndicator is None:
        raise Declined(codes.MISSING, "AlarmIndicatorInfos: is required")
    _demand(info.AlarmIndicator <= OLD_FORM_MAX, "AlarmIndicator: say it in AlarmIndicatorInfos, with its threshold")
    _demand(info.Operator is None, "Operator: belongs to an indicator with a threshold, in AlarmIndicatorInfos")
    return AlarmIndicatorInfo(AlarmIndicator=info.AlarmIndicator, EstimatedTime=info.EstimatedTime)


def _applies_to(call: Call, info: TaskAlarmInfo, project: str, task_id: str | None) -> dict[str, Any]:
    kind = info.MonitorType or 2
    _demand(kind in MONITORS, f"MonitorType: must be one of {', '.join(map(str, MONITORS))}")
    scope = MONITORS[kind]
    objects = [task_id] if task_id else info.MonitorObjectIds or ([info.TaskId] if info.TaskId else [])
    if scope is Scope.ALL:
        return {"all": True}
    _demand(len(objects) == 1, "MonitorObjectIds: a rule is for one; make one for each")
    if scope is Scope.TASK:
        return {"task": call.view(call.task_of(project, str(objects[0]))).name}
    return {scope.value: objects[0]}


def _condition(given: AlarmIndicatorInfo) -> dict[str, Any]:
    _demand(given.AlarmIndicator in INDICATORS, f"AlarmIndicator: must be one of {', '.join(map(str, INDICATORS))}")
    _demand(not given.TriggerType, "TriggerType: belongs to offline tasks; leave it out")
    alarm = BY_NAME[INDICATORS[given.AlarmIndicator or 0]]
    found: dict[str, Any] = {"metric": alarm.name}
    if given.EstimatedTime is not None:
        fits = alarm.name == "run_timeout" and given.Threshold is None
        _demand(fits, "EstimatedTime: is the threshold, in minutes, of indicator 1 alone")
        found |= {"threshold": given.EstimatedTime, "unit": "min"}
    if given.Threshold is not None:
        found["threshold"] = given.Threshold
    if given.AlarmIndicatorUnit:
        found["unit"] = given.AlarmIndicatorUnit
    if given.Operator is not None:
        _demand(given.Operator in OPERATORS, "Operator: must be 1 or 2")
        found["operator"] = OPERATORS[given.Operator]
    if given.IndicatorTimeRangeValue is not None:
        found["window"] = f"{given.IndicatorTimeRangeValue * _length_s(given.IndicatorTimeRangeUnit or 'min'):.10g}s"
    return found


def _limit(conditions: Sequence[AlarmIndicatorInfo]) -> dict[str, Any]:
    """A rule has one limit, so its indicators must agree on it."""
    found = {(one.MaxTimes, one.Duration, one.DurationUnit) for one in conditions}
    _demand(len(found) == 1, "MaxTimes, Duration, DurationUnit: must be the same of all indicators of a rule")
    most, length, unit = next(iter(found))
    limit: dict[str, Any] = {} if most is None else {"most": most}
    if length is not None:
        limit["per"] = f"{length * _length_s(unit or 'minute'):.10g}s"
    return limit


def _length_s(unit: str) -> float:
    _demand(unit in LENGTHS_S, f"a unit of time is one of {', '.join(LENGTHS_S)}")
    return LENGTHS_S[unit]


def _quiet(period: QuietPeriod) -> dict[str, Any]:
    days = period.DaysOfWeek or list(range(1, 8))
    _demand(all(1 <= day <= 7 for day in days), "DaysOfWeek: from 1, Monday, to 7, Sunday")
    return {
        "weekdays": [WEEKDAYS[day - 1] for day in days],
        "from": _of_day(period.StartTime),
        "to": _of_day(period.EndTime),
    }


def _of_day(text: str | None) -> str:
    hours, _, seconds = (text or "").rpartition(":")
    _demand(bool(hours) and seconds == "00", "StartTime, EndTime: of a quiet period are written as hh:mm:00")
    return hours


def _demand(fits: bool, otherwise: str) -> None:
    if not fits:
        raise Declined(codes.VALUE, f"TaskAlarmInfo: {otherwise}")


# --- rules as they are answered ---------------------------------------------------------------------------------


def told(rule: AlertRuleView, project_id: int, tasks: Mapping[str, int]) -> dict[str, Any]:
    written = rule.definition
    scope, subject = next(iter(written["applies_to"].items()))
    kind = next(number for number, one in MONITORS.items() if one.value == scope)
    of_task = scope == Scope.TASK.value
    objects = [] if scope == Scope.ALL.value else [str(tasks.get(subject, subject)) if of_task else subject]
    channels = written["channels"]
    recipients = None if channels == "all" else ",".join(channels)
    indicators = [indicator(one, written["limit"]) for one in written["conditions"]]
    return {
        "Id": str(rule.id),
        "RegularId": str(rule.id),
        "RegularName": rule.name,
        "RegularStatus": 1 if rule.enabled else 0,
        "AlarmLevel": number_of(LEVELS, rule.severity),
        "AlarmWay": BY_CHANNEL,
        "AlarmRecipientId": recipients,
        "AlarmRecipientName": recipients,
        "TaskType": REAL_TIME,
        "TaskId": objects[0] if of_task else "",
        "ProjectId": str(project_id),
        "MonitorType": kind,
        "MonitorObjectIds": objects,
        "AlarmIndicator": indicators[0]["AlarmIndicator"],
        "AlarmIndicatorDesc": indicators[0]["AlarmIndicatorDesc"],
        "AlarmIndicatorInfos": indicators,
        "QuietPeriods": [
            {
                "DaysOfWeek": [WEEKDAYS.index(day) + 1 for day in one["weekdays"]],
                "StartTime": f"{one['from']}:00",
                "EndTime": f"{one['to']}:00",
            }
            for one in written["quiet"]
        ],
        "Description": written["description"],
        "UpdateTime": when(rule.changed_at),
        "LatestAlarmTime": when(rule.last_fired_at),
    }


def indicator(condition: Mapping[str, Any], limit: Mapping[str, Any]) -> dict[str, Any]:
    alarm = BY_NAME[condition["metric"]]
    found: dict[str, Any] = {
        "AlarmIndicator": number_of(INDICATORS, alarm.name),
        "AlarmIndicatorDesc": alarm.says,
        "MaxTimes": limit["most"],
        "Duration": round(duration_s(limit["per"]) / 60),
        "DurationUnit": "minute",
    }
    if alarm.form is not Form.IS_SO:
        found |= {
            "Threshold": float(condition["threshold"]),
            "Operator": number_of(OPERATORS, condition.get("operator") or alarm.form.value),
            "AlarmIndicatorUnit": condition.get("unit") or alarm.unit,
        }
    if "window" in condition:
        found |= {
            "IndicatorTimeRangeValue": round(duration_s(condition["window"])),
            "IndicatorTimeRangeUnit": "s",
        }
    return found


def number_of(table: Mapping[int, str], value: str) -> int:
    return next(number for number, said in table.items() if said == value)
