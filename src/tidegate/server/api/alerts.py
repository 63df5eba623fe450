"""Alerts: what can be alerted on, rules, the channels that are told, and what fired."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, Field

from tidegate.model.alert import BY_NAME, RuleSpec, Severity, parse_rule
from tidegate.model.permission import ALERT_EDIT, VIEW
from tidegate.model.task import NAME_PATTERN
from tidegate.server.access import Caller, seen_task
from tidegate.server.alertviews import AlarmView, AlertChannelView, AlertRuleView, AlertView, Trial
from tidegate.server.api.shapes import Body, Door, Instant, NameInPath, NewName, Project, Version, VersionField, one_of

router = APIRouter(tags=["alerts"])

ALERTS_MAX = 200
URL_MAX = 2000
# An error of the table passes through Pydantic as it is, so a wrong rule is refused as `alert.rule_invalid`.
Rule = Annotated[RuleSpec, BeforeValidator(parse_rule)]
Address = Annotated[
    str,
    Field(
        min_length=1,
        max_length=URL_MAX,
        description="Of a webhook its https:// address; else an address as Apprise has it, such as mailtos://… or "
        "slack://…. Stored encrypted; answers show no more than where it leads.",
        examples=["https://hooks.example/alerts/7f"],
    ),
]
Key = Annotated[
    str,
    Field(min_length=1, max_length=500, description="Of a webhook: what its messages are signed with, 16 or more."),
]
Filter = Annotated[str | None, Query(min_length=1, max_length=100)]


class NewChannel(Body):
    name: NewName
    kind: Literal["webhook", "apprise"]
    url: Address
    key: Key | None = None
    description: str = Field(default="", max_length=500)
    enabled: bool = True


class ChangedChannel(Body):
    url: Address | None = Field(default=None, description="As shown, or left out: the address stays.")
    key: Key | None = Field(default=None, description="Masked, or left out: the key stays.")
    description: str | None = Field(default=None, max_length=500)
    enabled: bool | None = None
    version: VersionField = None


class NameCheck(BaseModel):
    free: bool


@router.get("/alert-metrics")
def list_alert_metrics(control: Door) -> list[AlarmView]:
    """What a rule may have a condition on."""
    return control.alert_metrics()


@router.get("/alert-rules")
def list_alert_rules(
    control: Door,
    who: Caller,
    project: Project = "default",
    task: Annotated[
        str | None, Query(pattern=NAME_PATTERN, description="Only those that are for this task (its id, or its name).")
    ] = None,
) -> list[AlertRuleView]:
    """All rules of a project."""
    return control.alert_rules(project, task=None if task is None else seen_task(control, who, task, project))


@router.post("/alert-rules", status_code=201)
def create_alert_rule(control: Door, who: Caller, body: Rule) -> AlertRuleView:
    """Make a rule."""
    who.demand(ALERT_EDIT, body.project)
    return control.create_alert_rule(body, actor=who.actor)


@router.get("/alert-rule-names/{name}")
def check_alert_rule_name(control: Door, name: NameInPath, project: Project = "default") -> NameCheck:
    """Whether a rule could be made under this name."""
    return NameCheck(free=control.alert_rule_name_free(name, project=project))


@router.get("/alert-rules/{name}")
def get_alert_rule(control: Door, name: NameInPath, project: Project = "default") -> AlertRuleView:
    """One rule."""
    return control.alert_rule(name, project=project)


@router.put("/alert-rules/{name}")
def edit_alert_rule(
    control: Door, who: Caller, name: NameInPath, body: Rule, project: Project = "default", version: Version = None
) -> AlertRuleView:
    """Replace a rule. What it had fired under conditions that are gone ends."""
    return control.edit_alert_rule(name, body, project=project, version=version, actor=who.actor)


@router.delete("/alert-rules/{name}", status_code=204)
def delete_alert_rule(
    control: Door, who: Caller, name: NameInPath, project: Project = "default", version: Version = None
) -> None:
    """Delete a rule; its history stays."""
    control.delete_alert_rule(name, project=project, version=version, actor=who.actor)


@router.post("/alert-rules/{name}/enable")
def enable_alert_rule(control: Door, who: Caller, name: NameInPath, project: Project = "default") -> AlertRuleView:
    """Look at it from now on."""
    return control.enable_alert_rule(name, True, project=project, actor=who.actor)


@router.post("/alert-rules/{name}/disable")
def disable_alert_rule(control: Door, who: Caller, name: NameInPath, project: Project = "default") -> AlertRuleView:
    """Look at it no more; what it had fired ends, and nobody is told."""
    return control.enable_alert_rule(name, False, project=project, actor=who.actor)


@router.get("/alert-channels")
def list_alert_channels(control: Door, project: Project = "default") -> list[AlertChannelView]:
    """All channels of a project."""
    return control.alert_channels(project)


@router.post("/alert-channels", status_code=201)
def create_alert_channel(
    control: Door, who: Caller, body: NewChannel, project: Project = "default"
) -> AlertChannelView:
    """Make a channel."""
    return control.create_alert_channel(
        body.name,
        body.kind,
        body.url,
        key=body.key,
        description=body.description,
        enabled=body.enabled,
        project=project,
        actor=who.actor,
    )


@router.get("/alert-channels/{name}")
def get_alert_channel(control: Door, name: NameInPath, project: Project = "default") -> AlertChannelView:
    """One channel."""
    return control.alert_channel(name, project=project)


@router.put("/alert-channels/{name}")
def edit_alert_channel(
    control: Door, who: Caller, name: NameInPath, body: ChangedChannel, project: Project = "default"
) -> AlertChannelView:
    """Change a channel. With another address a stored key must be given again."""
    return control.edit_alert_channel(name, project=project, actor=who.actor, **body.model_dump())


@router.delete("/alert-channels/{name}", status_code=204)
def delete_alert_channel(
    control: Door, who: Caller, name: NameInPath, project: Project = "default", version: Version = None
) -> None:
    """Delete a channel; refused while a rule names it."""
    control.delete_alert_channel(name, project=project, version=version, actor=who.actor)


@router.post("/alert-channels/{name}/test")
def check_alert_channel(control: Door, name: NameInPath, project: Project = "default") -> Trial:
    """Send a test message now."""
    return control.try_alert_channel(name, project=project)


@router.get("/alerts")
def list_alerts(
    control: Door,
    who: Caller,
    project: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
    task: Annotated[str | None, Query(pattern=NAME_PATTERN, description="Its id, or its name in the project.")] = None,
    rule: Filter = None,
    severity: Severity | None = None,
    metric: Annotated[Annotated[str, one_of(*BY_NAME)] | None, Query(json_schema_extra={"enum": list(BY_NAME)})] = None,
    open_only: Annotated[bool, Query(description="Only those that go on.")] = False,
    keyword: Filter = None,
    since: Annotated[Instant | None, Query(description="Fired at this time or later.")] = None,
    until: Annotated[Instant | None, Query(description="Fired before this time.")] = None,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="Only with a smaller id: the next page.")] = None,
    limit: Annotated[int, Query(ge=1, le=ALERTS_MAX)] = 50,
) -> list[AlertView]:
    """What fired, newest first, each with what every receiver was told."""
    if project is not None:
        who.demand(VIEW, project)
    number = None if task is None else seen_task(control, who, task, project or "default")
    return control.alerts(
        project=project,
        seen=who.seen,
        task=number,
        rule=rule,
        severity=severity.value if severity else None,
        metric=metric,
        open_only=open_only,
        keyword=keyword,
        since=_seconds(since),
        until=_seconds(until),
        before=before,
        limit=limit,
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
