"""What `Control` answers about alerts: plain frozen records, of channels only what is no secret (I8)."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.server.views import Json, Moment


@dataclass(frozen=True, slots=True)
class AlarmView:
    """What an alert rule may have a condition on. `form` says how it is compared: `is so`, `above`, `below`, or `above
    or below`; `units` are what a threshold may be given in, the first by default."""

    metric: str
    says: str
    form: str
    units: list[str]
    window_s: float
    fixed_window: bool


@dataclass(frozen=True, slots=True)
class AlertRuleView:
    id: int
    project: str
    name: str
    enabled: bool
    severity: str
    definition: Json
    """The whole rule, as it can be applied again."""
    last_fired_at: Moment | None
    version: int
    created_at: Moment
    changed_at: Moment


@dataclass(frozen=True, slots=True)
class AlertChannelView:
    """Where alerts are sent to. Of the address only what is no secret is shown."""

    project: str
    name: str
    kind: str
    description: str
    enabled: bool
    url: str
    key: str | None
    """`MASK` where one is stored."""
    version: int
    created_at: Moment
    changed_at: Moment


@dataclass(frozen=True, slots=True)
class AlertMessageView:
    """What one receiver was told: `about` is `fired` or `resolved`, `state` is `waiting`, `sent` or `failed`."""

    channel: str
    about: str
    state: str
    tries: int
    due_at: Moment
    ended_at: Moment | None
    error: Json | None


@dataclass(frozen=True, slots=True)
class AlertView:
    """One firing of a rule's condition. `value` is as it fired, in the metric's own unit. `held` says why it was not
    told at once: `quiet`, `limit`, or nothing. `sent` is `all`, `partly`, `none`, `waiting`, or empty: nobody was told
    anything."""

    id: int
    project: str
    rule: str
    task: int
    task_name: str
    run: int | None
    severity: str
    metric: str
    condition: str
    value: float | None
    unit: str
    fired_at: Moment
    told_at: Moment | None
    held: str
    resolved_at: Moment | None
    sent: str
    messages: list[AlertMessageView]


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a test message."""

    ok: bool
    problem: Json | None
