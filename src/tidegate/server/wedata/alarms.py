"""Actions on alarms: rules, what fired, and who was told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.errors import NotFound, TidegateError
from tidegate.model.alert import BY_NAME, parse_rule
from tidegate.server.alertviews import AlertMessageView, AlertRuleView, AlertView
from tidegate.server.wedata import codes
from tidegate.server.wedata.alarmrules import (
    BY_CHANNEL,
    INDICATORS,
    LEVELS,
    MONITORS,
    TaskAlarmInfo,
    indicator,
    number_of,
    rule_of,
    told,
)
from tidegate.server.wedata.call import Answer, Call, demand_real_time, moment, when
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.shapes import (
    LIST_MAX,
    REAL_TIME,
    FilterList,
    InProject,
    Orders,
    Page,
    Ref,
    Refs,
    Size,
    coded,
    filtered,
    only,
    ordered,
)
from tidegate.server.wedata.structures import Int, Str

# --- actions on rules -------------------------------------------------------------------------------------------


class CreateTaskAlarmRegular(InProject):
    TaskAlarmInfo: TaskAlarmInfo


class ModifyTaskAlarmRegular(CreateTaskAlarmRegular):
    Id: Ref


class DeleteTaskAlarmRegular(InProject):
    Id: Ref
    TaskId: Str = None
    TaskType: Int = None


def create_rule(call: Call, asked: CreateTaskAlarmRegular) -> Answer:
    project = call.project(asked.ProjectId)
    rule = parse_rule(rule_of(call, asked.TaskAlarmInfo, project.name))
    return {"AlarmId": call.control.create_alert_rule(rule, actor=call.actor).id}


def modify_rule(call: Call, asked: ModifyTaskAlarmRegular) -> Answer:
    project = call.project(asked.ProjectId)
    held = _rule(call, project.name, asked.Id)
    rule = parse_rule(rule_of(call, asked.TaskAlarmInfo, project.name))
    call.control.edit_alert_rule(held.name, rule, project=project.name, version=held.version, actor=call.actor)
    return {"Data": True}


def delete_rule(call: Call, asked: DeleteTaskAlarmRegular) -> Answer:
    demand_real_time(asked.TaskType)
    project = call.project(asked.ProjectId)
    held = _rule(call, project.name, asked.Id)
    call.control.delete_alert_rule(held.name, project=project.name, version=held.version, actor=call.actor)
    return {"Data": True}


def _rule(call: Call, project: str, ref: str) -> AlertRuleView:
    found = next((one for one in call.control.alert_rules(project) if str(one.id) == ref), None)
    if found is None:
        raise Declined(codes.NO_RULE, f"there is no alarm rule {ref}")
    return found


class CheckAlarmRegularNameExist(InProject):
    AlarmRegularName: Ref
    TaskId: Str = None
    Id: Str = None
    TaskType: Int = None
    MonitorType: Int = None


def check_rule_name(call: Call, asked: CheckAlarmRegularNameExist) -> Answer:
    demand_real_time(asked.TaskType)
    rules = call.control.alert_rules(call.project(asked.ProjectId).name)
    return {"Data": any(one.name == asked.AlarmRegularName and str(one.id) != asked.Id for one in rules)}


class BatchCreateIntegrationTaskAlarms(InProject):
    TaskIds: Refs
    TaskAlarmInfo: TaskAlarmInfo


def create_rules(call: Call, asked: BatchCreateIntegrationTaskAlarms) -> Answer:
    """A rule is for one task, so each but the first has the task's id behind its name."""
    project, info = call.project(asked.ProjectId), asked.TaskAlarmInfo
    done = 0
    for place, ref in enumerate(dict.fromkeys(asked.TaskIds)):
        named = info if place == 0 else info.model_copy(update={"RegularName": f"{info.RegularName}_{ref}"})
        try:
            rule = rule_of(call, named.model_copy(update={"MonitorType": 2}), project.name, ref)
            call.control.create_alert_rule(parse_rule(rule), actor=call.actor)
            done += 1
        except (TidegateError, Declined) as error:
            if codes.declined(error).code in (codes.INTERNAL, codes.UNAVAILABLE):
                raise
    total = len(set(asked.TaskIds))
    return {"SuccessCount": done, "FailedCount": total - done, "TotalCount": total}


RULE_FILTERS: Final = ("RegularStatus", "AlarmLevel", "AlarmIndicator", "RegularName")


class DescribeTaskAlarmRegulations(InProject):
    PageNumber: Page
    PageSize: Size
    Filters: FilterList | None = None
    OrderFields: Orders | None = None
    TaskId: Str = None
    TaskType: Int = None


def describe_rules(call: Call, asked: DescribeTaskAlarmRegulations) -> Answer:
    demand_real_time(asked.TaskType)
    project = call.project(asked.ProjectId)
    wanted = filtered(asked.Filters, RULE_FILTERS)
    enabled = {coded(one, {0: False, 1: True}, "RegularStatus") for one in wanted.get("RegularStatus", ())}
    levels = {coded(one, LEVELS, "AlarmLevel") for one in wanted.get("AlarmLevel", ())}
    metrics = {coded(one, INDICATORS, "AlarmIndicator") for one in wanted.get("AlarmIndicator", ())}
    name = (only(wanted, "RegularName") or "").lower()
    bound = call.view(call.task_of(project.name, asked.TaskId)).name if asked.TaskId else None
    found = [
        rule
        for rule in call.control.alert_rules(project.name)
        if name in rule.name.lower()
        and (not enabled or rule.enabled in enabled)
        and (not levels or rule.severity in levels)
        and (not metrics or metrics & {one["metric"] for one in rule.definition["conditions"]})
        and (bound is None or rule.definition["applies_to"].get("task") == bound)
    ]
    order = ordered(asked.OrderFields, {"RegularId": "id"}, "id")
    found.sort(key=lambda rule: rule.id, reverse=order.startswith("-"))
    first = (asked.PageNumber - 1) * asked.PageSize
    tasks = {one.name: one.id for one in call.control.tasks(project.name)}
    shown = [told(rule, project.id, tasks) for rule in found[first : first + asked.PageSize]]
    return {"TaskAlarmInfos": shown, "TotalCount": len(found)}


# --- what fired -------------------------------------------------------------------------------------------------

EVENT_FILTERS: Final = ("AlarmLevel", "AlarmIndicator", "KeyWord")
SENT: Final[Mapping[str, int]] = {"partly": 0, "all": 1, "none": 2}
DELIVERY: Final[Mapping[str, int]] = {"waiting": 0, "sent": 1, "failed": 2}


class DescribeAlarmEvents(InProject):
    PageNumber: Page
    PageSize: Size
    Filters: FilterList | None = None
    OrderFields: Orders | None = None
    TaskType: Int = None
    StartTime: Str = None
    EndTime: Str = None
    MonitorType: Int = None


def describe_events(call: Call, asked: DescribeAlarmEvents) -> Answer:
    demand_real_time(asked.TaskType)
    project = call.project(asked.ProjectId)
    wanted = filtered(asked.Filters, EVENT_FILTERS)
    level, number = only(wanted, "AlarmLevel"), only(wanted, "AlarmIndicator")
    found = call.control.alerts(
        project=project.name,
        severity=coded(level, LEVELS, "AlarmLevel") if level else None,
        metric=coded(number, INDICATORS, "AlarmIndicator") if number else None,
        keyword=only(wanted, "KeyWord"),
        since=moment(asked.StartTime, "StartTime"),
        until=moment(asked.EndTime, "EndTime"),
        limit=LIST_MAX,
    )
    rules = {rule.name: rule for rule in call.control.alert_rules(project.name)}
    if asked.MonitorType is not None:
        scope = MONITORS.get(asked.MonitorType)
        found = [one for one in found if one.rule in rules and scope in rules[one.rule].definition["applies_to"]]
    if ordered(asked.OrderFields, {"AlarmTime": "at"}, "-at") == "at":
        found.reverse()
    first = (asked.PageNumber - 1) * asked.PageSize
    shown = [_event(one, project.id, rules.get(one.rule)) for one in found[first : first + asked.PageSize]]
    return {"AlarmEventInfoList": shown, "TotalCount": len(found)}


def _event(one: AlertView, project_id: int, rule: AlertRuleView | None) -> dict[str, Any]:
    alarm = BY_NAME.get(one.metric)
    receivers = list(dict.fromkeys(message.channel for message in one.messages))
    conditions = [] if rule is None else rule.definition["conditions"]
    condition = next((given for given in conditions if given["metric"] == one.metric), None)
    measured = {} if condition is None or rule is None else indicator(condition, rule.definition["limit"])
    return {
        "AlarmId": str(one.id),
        "RecordId": one.id,
        "AlarmTime": when(one.fired_at),
        "TaskId": str(one.task),
        "TaskName": one.task_name,
        "TaskType": REAL_TIME,
        "ProjectId": str(project_id),
        "RegularName": one.rule,
        "RegularId": None if rule is None else str(rule.id),
        "AlarmLevel": number_of(LEVELS, one.severity),
        "AlarmWay": int(BY_CHANNEL),
        "AlarmRecipientId": ",".join(receivers),
        "AlarmRecipientName": ",".join(receivers),
        "AlarmIndicator": number_of(INDICATORS, one.metric) if alarm else None,
        "AlarmIndicatorDesc": alarm.says if alarm else None,
        "AlarmReason": one.condition if one.value is None else f"{one.condition}: {one.value:g} {one.unit}",
        "IsSendSuccess": SENT.get(one.sent),
        "InQuitePeriods": 1 if one.held == "quiet" else 0,
        "SendResult": ",".join(f"{message.channel}:{DELIVERY[message.state]}" for message in _fired(one)),
        "MonitorObjectId": str(one.task),
        "MonitorObjectName": one.task_name,
        "Threshold": measured.get("Threshold"),
        "Operator": measured.get("Operator"),
    }


class DescribeAlarmReceiver(InProject):
    AlarmId: Ref
    PageNumber: Page
    PageSize: Size
    TaskType: Int = None
    AlarmRecipient: Str = None
    AlarmRecipientName: Str = None
    AlarmTime: Str = None
    MessageId: Str = None
    RecordId: Int = None
    MonitorType: Int = None


def describe_receivers(call: Call, asked: DescribeAlarmReceiver) -> Answer:
    demand_real_time(asked.TaskType)
    project = call.project(asked.ProjectId)
    number = int(asked.AlarmId[:18]) if asked.AlarmId.isascii() and asked.AlarmId.isdigit() else 0
    found = call.control.alerts(project=project.name, before=number + 1, limit=1)
    if not found or found[0].id != number:
        raise NotFound(f"there is no alarm {asked.AlarmId}")
    named = {name for name in (asked.AlarmRecipient or asked.AlarmRecipientName or "").split(",") if name}
    receivers = [one for one in _fired(found[0]) if not named or one.channel in named]
    first = (asked.PageNumber - 1) * asked.PageSize
    none = dict.fromkeys(("Email", "Sms", "Wechat", "Voice", "Wecom"), 0)
    shown = [
        {"AlarmId": asked.AlarmId, "AlarmReceiver": one.channel, "Http": DELIVERY[one.state]} | none
        for one in receivers[first : first + asked.PageSize]
    ]
    return {"AlarmReceiverInfoList": shown, "TotalCount": len(receivers)}


def _fired(one: AlertView) -> list[AlertMessageView]:
    """Who was told that it fired; that it ended is told likewise, and not counted here."""
    return [message for message in one.messages if message.about == "fired"]
