"""What can be alerted on, and the rules by which it is: one table of alarms, and `RuleSpec`, a rule as people write it.

Plain data. What fires when is `model.firing`.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic import model_validator as checked

from tidegate.errors import AlertRuleInvalid
from tidegate.model.lifecycle import STATES, State
from tidegate.model.task import Duration, Name, Text, field_errors

WINDOW_MAX_S = 3600.0
CONDITIONS_MAX = 20
CHANNELS_MAX = 20
QUIET_MAX = 20


class Severity(StrEnum):
    NORMAL = "normal"
    IMPORTANT = "important"
    URGENT = "urgent"


class Form(StrEnum):
    """How an alarm is compared."""

    IS_SO = "is so"
    """It is so or it is not; there is no threshold."""
    ABOVE = "above"
    BELOW = "below"
    EITHER = "above or below"


class Reads(StrEnum):
    """What an alarm's value is made from."""

    STATE = "state"
    """Whether the task is in the state named."""
    FIGURE = "figure"
    """The newest value of the figure named. With a look-back window it must have been so all through it."""
    RATE = "rate"
    """How much the counter named grew per second, on the average of the look-back window."""
    EVENTS = "events"
    """How many key events of the names named there were within the look-back window."""


UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    "": {"": 1.0},
    "count": {"count": 1.0},
    "rows": {"rows": 1.0},
    "s": {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0},
    "bytes": {"bytes": 1.0, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3},
    "rows/s": {"rows/s": 1.0},
    "bytes/s": {"bytes/s": 1.0, "KiB/s": 1024.0, "MiB/s": 1024.0**2},
}
"""Base unit → the units a threshold may be written in, each as so many of the base unit."""

AT_WORK: Final = (State.RUNNING,)
OPENED: Final = tuple(state for state, facts in STATES.items() if facts.pins_log)
RESTARTS: Final = ("worker_lost", "restarted")
EXCEPTIONS: Final = (*RESTARTS, "table_refused", "table_gone", "snapshot_failed", "pause_failed")


@dataclass(frozen=True, slots=True)
class Alarm:
    """One line of the table. `of` names states, figures (of the metric table) or key events, as `reads` says. Outside
    of the states of `within` an alarm never holds. `window_s` is the look-back window unless the rule says otherwise;
    `fixed` ones cannot be given another."""

    name: str
    says: str
    reads: Reads
    of: tuple[str, ...]
    form: Form
    unit: str = ""
    window_s: float = 0.0
    within: tuple[State, ...] = AT_WORK
    fixed: bool = False


def _state(name: str, state: State) -> Alarm:
    return Alarm(
        name, f"The status is {STATES[state].status}.", Reads.STATE, (state.value,), Form.IS_SO, within=(state,)
    )


def _rate(name: str, unit: str, of: str, says: str) -> Alarm:
    return Alarm(name, says, Reads.RATE, (of,), Form.EITHER, unit, 60.0)


ALARMS: Final[tuple[Alarm, ...]] = (
    _state("task_failed", State.FAILURE),
    Alarm(
        "run_timeout",
        "An operation, or the full synchronization since the run began, takes longer than this.",
        Reads.FIGURE,
        ("step_s",),
        Form.ABOVE,
        "s",
        within=tuple(state for state, facts in STATES.items() if facts.deadline_s is not None or facts.worker),
    ),
    _state("task_stopped", State.STOPPED),
    _state("task_paused", State.PAUSED),
    _rate("read_speed", "rows/s", "rows_read", "Rows read per second, those of the full copy and changes of the log."),
    _rate("write_speed", "rows/s", "rows_written", "Rows per second that came to be in the target."),
    _rate("read_throughput", "bytes/s", "bytes_read", "Bytes read from the source per second."),
    _rate("write_throughput", "bytes/s", "bytes_written", "Bytes handed to the target per second."),
    Alarm(
        "dirty_bytes",
        "How large the rows are that the target did not take in this run.",
        Reads.FIGURE,
        ("dirty_bytes",),
        Form.ABOVE,
        "bytes",
    ),
    Alarm(
        "dirty_rows",
        "How many rows the target did not take in this run.",
        Reads.FIGURE,
        ("dirty_rows",),
        Form.ABOVE,
        "rows",
    ),
    Alarm(
        "task_exception",
        "The run met an error within the window: its worker was lost or began anew, a snapshot or a pause failed, a "
        "table was refused or is gone.",
        Reads.EVENTS,
        EXCEPTIONS,
        Form.IS_SO,
        window_s=600.0,
        within=OPENED,
    ),
    _state("detection_exception", State.DETECTION_EXCEPTION),
    Alarm(
        "restarts",
        "How often the worker was replaced or began anew within the window.",
        Reads.EVENTS,
        RESTARTS,
        Form.ABOVE,
        "count",
        600.0,
        OPENED,
    ),
    Alarm(
        "task_delay",
        "How far the target is behind: the age of the oldest change that was read and is not in the target. A source "
        "at rest has no delay.",
        Reads.FIGURE,
        ("lag_s",),
        Form.ABOVE,
        "s",
    ),
    Alarm(
        "restarts_20min",
        "How often the worker was replaced or began anew within the last 20 minutes.",
        Reads.EVENTS,
        RESTARTS,
        Form.ABOVE,
        "count",
        1200.0,
        OPENED,
        fixed=True,
    ),
    Alarm(
        "transmission_delay",
        "From reading a change until the target held it.",
        Reads.FIGURE,
        ("transmission_delay_s",),
        Form.ABOVE,
        "s",
    ),
    Alarm(
        "business_delay",
        "From the commit at the source until the target held the change.",
        Reads.FIGURE,
        ("business_delay_s",),
        Form.ABOVE,
        "s",
    ),
    # --- what the product this follows does not have ---
    Alarm(
        "log_left",
        "How long the source will still keep the log that the task needs.",
        Reads.FIGURE,
        ("log_left_s",),
        Form.BELOW,
        "s",
        within=OPENED,
    ),
    Alarm(
        "snapshot_age",
        "How old the newest snapshot is: what a crash would have to read again.",
        Reads.FIGURE,
        ("snapshot_age_s",),
        Form.ABOVE,
        "s",
    ),
    Alarm(
        "lag_bytes",
        "How much log of the source is behind the position that the target holds.",
        Reads.FIGURE,
        ("lag_bytes",),
        Form.ABOVE,
        "bytes",
    ),
    Alarm(
        "not_reporting",
        "The status is Running, and the worker has not reported for this long.",
        Reads.FIGURE,
        ("silent_s",),
        Form.ABOVE,
        "s",
    ),
    Alarm(
        "not_moving",
        "The status is Running and there is something to do (or nobody knows, for an end does not answer), and nothing "
        "has moved for this long: no row, and not the position.",
        Reads.FIGURE,
        ("stuck_s",),
        Form.ABOVE,
        "s",
    ),
)
BY_NAME: Final[Mapping[str, Alarm]] = {alarm.name: alarm for alarm in ALARMS}
FIGURES: Final = tuple(
    dict.fromkeys(figure for alarm in ALARMS if alarm.reads in (Reads.FIGURE, Reads.RATE) for figure in alarm.of)
)


# --- rules ------------------------------------------------------------------------------------------------------


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _checked_metric(name: str) -> str:
    if name not in BY_NAME:
        raise ValueError(f"is none of {', '.join(BY_NAME)}")
    return name


_LENGTH = WithJsonSchema({"type": "string", "pattern": r"^\d{1,9}(\.\d{1,3})?(ms|s|m|h)$"})
Window = Annotated[Duration, Field(ge=0, le=WINDOW_MAX_S), _LENGTH]
Period = Annotated[Duration, Field(ge=60, le=30 * 86_400), _LENGTH]


class Condition(_Part):
    """A line of the alarm table with its threshold. What is not given is the table's."""

    metric: Annotated[str, AfterValidator(_checked_metric), Field(json_schema_extra={"enum": list(BY_NAME)})]
    operator: Literal["above", "below"] | None = Field(default=None, description="Where the metric takes both.")
    threshold: float | None = Field(default=None, ge=0, le=1e15, allow_inf_nan=False)
    unit: str | None = Field(default=None, description="Of the threshold; by default the metric's own.")
    window: Window | None = Field(default=None, description="How far to look back, such as 5m.")

    @checked(mode="after")
    def _fits(self) -> Condition:
        alarm = self.alarm
        if alarm.form is Form.IS_SO:
            for field in ("operator", "threshold", "unit"):
                if getattr(self, field) is not None:
                    raise ValueError(f"{field}: {alarm.name} is so or is not; it takes none")
            if self.window is not None and alarm.reads is Reads.STATE:
                raise ValueError(f"window: {alarm.name} takes none")
        else:
            self._compares(alarm)
        if self.window is not None and alarm.fixed and self.window != alarm.window_s:
            raise ValueError(f"window: that of {alarm.name} is {alarm.window_s:g}s")
        if self.window is not None and self.window < 1 and alarm.reads in (Reads.RATE, Reads.EVENTS):
            raise ValueError("window: must be at least 1s")
        return self

    def _compares(self, alarm: Alarm) -> None:
        if self.threshold is None:
            raise ValueError(f"threshold: {alarm.name} needs one")
        if self.unit is not None and self.unit not in UNITS[alarm.unit]:
            raise ValueError(f"unit: of {alarm.name} it is one of {', '.join(UNITS[alarm.unit])}")
        if alarm.form is Form.EITHER and self.operator is None:
            raise ValueError(f"operator: {alarm.name} needs one: above or below")
        if alarm.form is not Form.EITHER and self.operator not in (None, alarm.form.value):
            raise ValueError(f"operator: that of {alarm.name} is {alarm.form}")

    @property
    def alarm(self) -> Alarm:
        return BY_NAME[self.metric]

    @property
    def above(self) -> bool:
        return (self.operator or self.alarm.form.value) != Form.BELOW.value

    @property
    def limit(self) -> float:
        """The threshold in the metric's own unit."""
        return (self.threshold or 0.0) * UNITS[self.alarm.unit][self.unit or self.alarm.unit]

    @property
    def window_s(self) -> float:
        return self.alarm.window_s if self.window is None else self.window

    @property
    def key(self) -> str:
        """Which alert of a rule and task it is: a rule has at most one condition of each."""
        if self.alarm.form is Form.IS_SO:
            return self.metric
        return f"{self.metric} {'above' if self.above else 'below'}"

    def __str__(self) -> str:
        said = self.metric
        if self.alarm.form is not Form.IS_SO:
            said = f"{self.key} {self.threshold:g} {self.unit or self.alarm.unit}"
        return f"{said} over {self.window_s:g} s" if self.window_s else said


class Scope(StrEnum):
    """Which tasks of its project a rule is for."""

    TASK = "task"
    ALL = "all"
    OWNER = "owner"
    RESOURCE_GROUP = "resource_group"


class AppliesTo(_Part):
    """Exactly one of these."""

    task: Name | None = Field(default=None, description="This task only.")
    owner: Text | None = Field(default=None, min_length=1, max_length=100, description="Tasks of this owner.")
    resource_group: Name | None = Field(default=None, description="Tasks that run in this resource group.")
    all: Literal[True] | None = Field(default=None, description="All tasks of the project.")

    @checked(mode="after")
    def _one(self) -> AppliesTo:
        if sum(getattr(self, scope.value) is not None for scope in Scope) != 1:
            raise ValueError(f"names exactly one of {', '.join(Scope)}")
        return self

    @property
    def scope(self) -> Scope:
        return next(scope for scope in Scope if getattr(self, scope.value) is not None)

    @property
    def subject(self) -> str:
        """What the scope is of; empty for all tasks."""
        return "" if self.all else str(getattr(self, self.scope.value))

    def covers(self, *, task: str, owner: str, resource_group: str) -> bool:
        match self.scope:
            case Scope.TASK:
                return self.task == task
            case Scope.OWNER:
                return self.owner == owner
            case Scope.RESOURCE_GROUP:
                return self.resource_group == resource_group
            case _:
                return True


class LimitSpec(_Part):
    """At most so many alerts of one task are told within a time. What is not told is in the history all the same, and
    is told later if it still is so."""

    most: int = Field(default=10, ge=1, le=1000, strict=True)
    per: Period = 3600.0


WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _time_of_day(text: object) -> int:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)|24:00", text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("must be a time of day such as 22:30; write it in quotes")
    return int(text[:2]) * 60 + int(text[3:])  # type: ignore[index]  # it is a text by now


TimeOfDay = Annotated[
    int,
    BeforeValidator(_time_of_day),
    PlainSerializer(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}"),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"}),
]


def _zone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone known here; write one like Europe/Berlin or UTC") from None
    return text


class QuietSpec(_Part):
    """When nothing is told. An end before the start is on the next day; the weekdays are those of the start."""

    weekdays: tuple[Weekday, ...] = Field(default=WEEKDAYS, min_length=1, description="mon to sun; by default all.")
    start: TimeOfDay = Field(alias="from", description="Time of day, such as 22:00.")
    end: TimeOfDay = Field(alias="to", description="Time of day; not in it any more.")
    time_zone: Annotated[str, AfterValidator(_zone), Field(max_length=100)] = "UTC"

    @checked(mode="after")
    def _lasts(self) -> QuietSpec:
        if self.start == self.end:
            raise ValueError('to: is the same as from; a whole day is "00:00" to "24:00"')
        return self

    @cached_property
    def _here(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)

    def covers(self, at: float) -> bool:
        """Whether the moment (Unix time in seconds) is in it, by the clock on the wall of its time zone."""
        local = datetime.fromtimestamp(at, UTC).astimezone(self._here)
        minute = local.hour * 60 + local.minute
        today = WEEKDAYS[local.weekday()]
        if self.start < self.end:
            return today in self.weekdays and self.start <= minute < self.end
        yesterday = WEEKDAYS[(local - timedelta(days=1)).weekday()]
        return (today in self.weekdays and minute >= self.start) or (yesterday in self.weekdays and minute < self.end)


def _counted(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    if not 1 <= len(conditions) <= CONDITIONS_MAX:
        raise ValueError(f"must be 1 to {CONDITIONS_MAX}")
    return conditions


class RuleSpec(_Part):
    """An alert rule as written in a file, sent to the API, and stored."""

    alert_rule: Name = Field(description="The rule's name, unique in its project.")
    project: Name = "default"
    description: Text = Field(default="", max_length=500, description="For people.")
    enabled: bool = Field(default=True, strict=True)
    applies_to: AppliesTo
    severity: Severity = Severity.IMPORTANT
    conditions: Annotated[tuple[Condition, ...], AfterValidator(_counted)] = Field(description="Each fires on its own.")
    limit: LimitSpec = Field(default_factory=LimitSpec)
    quiet: tuple[QuietSpec, ...] = Field(default=(), max_length=QUIET_MAX)
    channels: Literal["all"] | Annotated[tuple[Name, ...], Field(max_length=CHANNELS_MAX)] = Field(
        default="all", description="Names of alert channels of the project, or all of them."
    )

    @checked(mode="after")
    def _distinct(self) -> RuleSpec:
        keys = [condition.key for condition in self.conditions]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"conditions: {twice} is there twice")
        return self

    def definition(self) -> dict[str, Any]:
        """The JSON form; `parse_rule` reads it back to an equal spec."""
        given = self.model_dump(mode="json", by_alias=True)
        for part in (given["applies_to"], *given["conditions"]):
            for field in [field for field, value in part.items() if value is None]:
                del part[field]
        return given

    def is_quiet(self, at: float) -> bool:
        return any(one.covers(at) for one in self.quiet)


def parse_rule(values: object) -> RuleSpec:
    """`values` (parsed JSON or YAML) as a rule. Raises `AlertRuleInvalid` naming each wrong field."""
    if not isinstance(values, Mapping):
        raise AlertRuleInvalid("the rule is not a mapping of fields to values")
    try:
        return RuleSpec.model_validate(dict(values))
    except ValidationError as error:
        wrong = field_errors(error.errors(include_url=False, include_input=False))
        said = "; ".join(f"{one['field']}: {one['problem']}" if one["field"] else one["problem"] for one in wrong)
        raise AlertRuleInvalid(said, errors=wrong) from None


def _standing(name: str, severity: Severity, description: str, *conditions: Mapping[str, Any]) -> RuleSpec:
    return parse_rule(
        {
            "alert_rule": name,
            "description": description,
            "applies_to": {"all": True},
            "severity": severity.value,
            "conditions": list(conditions),
        }
    )


DEFAULT_RULES: Final[tuple[RuleSpec, ...]] = (
    _standing(
        "task_down",
        Severity.URGENT,
        "A task does not run any more although nobody asked for that.",
        {"metric": "task_failed"},
        {"metric": "detection_exception"},
    ),
    _standing(
        "task_dead",
        Severity.URGENT,
        "A task says Running and is not.",
        {"metric": "not_reporting", "threshold": 30},
        {"metric": "not_moving", "threshold": 5, "unit": "min"},
    ),
    _standing(
        "log_running_out",
        Severity.URGENT,
        "The source will soon drop log that a task still needs.",
        {"metric": "log_left", "threshold": 12, "unit": "h"},
    ),
    _standing(
        "task_late",
        Severity.IMPORTANT,
        "A target is behind for more than a moment.",
        {"metric": "task_delay", "threshold": 5, "unit": "min", "window": "2m"},
    ),
    _standing(
        "task_unsteady",
        Severity.IMPORTANT,
        "A worker is replaced again and again.",
        {"metric": "restarts", "threshold": 3},
    ),
    _standing(
        "rows_left_out",
        Severity.IMPORTANT,
        "A target did not take rows.",
        {"metric": "dirty_rows", "threshold": 0},
    ),
    _standing(
        "snapshot_old",
        Severity.NORMAL,
        "A crash would have to read much again.",
        {"metric": "snapshot_age", "threshold": 1, "unit": "h"},
    ),
)
"""What the project `default` has from the start; people may change and delete them."""
