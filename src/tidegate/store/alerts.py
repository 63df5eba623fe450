"""Alert rules and channels, what the evaluation looks at, the alerts that fired, and the messages about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, func, select
from sqlalchemy.exc import IntegrityError

from tidegate.errors import InUse, NameTaken, NotFound, StaleVersion
from tidegate.model.lifecycle import State
from tidegate.store.rows import columns, read
from tidegate.store.tables import (
    alert,
    alert_channel,
    alert_message,
    alert_rule,
    key_event,
    project,
    run,
    snapshot,
    task,
)

WAITING, SENT, FAILED = "waiting", "sent", "failed"
FIRED, RESOLVED = "fired", "resolved"


@dataclass(frozen=True, slots=True)
class RuleRow:
    id: int
    project_id: int
    name: str
    enabled: bool
    severity: str
    definition: Mapping[str, Any]
    last_fired_at: float | None
    version: int
    created_at: float
    changed_at: float


@dataclass(frozen=True, slots=True)
class ChannelRow:
    id: int
    project_id: int
    name: str
    kind: str
    description: str
    enabled: bool
    shown: str
    secrets: bytes
    version: int
    created_at: float
    changed_at: float


@dataclass(frozen=True, slots=True)
class AlertRow:
    """`resolved_told` is true once nobody is to be told of it any more; it is false while the alert is open."""

    id: int
    rule_id: int
    rule_name: str
    project_id: int
    task_id: int
    task_name: str
    run_number: int | None
    severity: str
    metric: str
    key: str
    condition: str
    value: float | None
    fired_at: float
    told_at: float | None
    held: str
    resolved_at: float | None
    resolved_told: bool


@dataclass(frozen=True, slots=True)
class MessageRow:
    id: int
    alert_id: int
    channel_id: int
    channel_name: str
    about: str
    state: str
    tries: int
    due_at: float
    ended_at: float | None
    error: Mapping[str, Any] | None


# --- rules ------------------------------------------------------------------------------------------------------


def list_rules(tx: Connection, project_id: int | None = None) -> list[RuleRow]:
    """By name; of every project without one."""
    query = select(*columns(alert_rule, RuleRow)).order_by(alert_rule.c.name, alert_rule.c.id)
    if project_id is not None:
        query = query.where(alert_rule.c.project_id == project_id)
    return [read(RuleRow, row) for row in tx.execute(query)]


def rule_versions(tx: Connection) -> list[tuple[int, int]]:
    """Id and version of every rule that is enabled, by name."""
    return [(key, version) for key, version in tx.execute(_RULE_VERSIONS)]


_RULE_VERSIONS = (
    select(alert_rule.c.id, alert_rule.c.version)
    .where(alert_rule.c.enabled.is_(True))
    .order_by(alert_rule.c.name, alert_rule.c.id)
)


def rules_by_id(tx: Connection, ids: Collection[int]) -> list[RuleRow]:
    query = select(*columns(alert_rule, RuleRow))
    return [read(RuleRow, row) for row in tx.execute(query.where(alert_rule.c.id.in_(ids)))]


def find_rule(tx: Connection, project_id: int, name: str, *, lock: bool = False) -> RuleRow | None:
    query = select(*columns(alert_rule, RuleRow)).where(
        alert_rule.c.project_id == project_id, alert_rule.c.name == name
    )
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return read(RuleRow, row) if row is not None else None


def get_rule(tx: Connection, project_id: int, name: str, *, lock: bool = False) -> RuleRow:
    """Raises `NotFound`."""
    found = find_rule(tx, project_id, name, lock=lock)
    if found is None:
        raise NotFound(f"there is no alert rule {name}")
    return found


def count_rules(tx: Connection, project_id: int) -> int:
    query = select(func.count()).select_from(alert_rule).where(alert_rule.c.project_id == project_id)
    return int(tx.execute(query).scalar_one())


def add_rule(tx: Connection, *, now: float, **values: Any) -> None:
    """Raises `NameTaken`."""
    try:
        tx.execute(alert_rule.insert().values(**values, version=1, created_at=now, changed_at=now))
    except IntegrityError:
        raise NameTaken(f"there is an alert rule {values['name']} already") from None


def change_rule(tx: Connection, held: RuleRow, *, now: float, **values: Any) -> None:
    changed = alert_rule.update().where(alert_rule.c.id == held.id)
    tx.execute(changed.values(**values, version=held.version + 1, changed_at=now))


def follow_rename(tx: Connection, project_id: int, before: str, after: str, *, now: float) -> None:
    """Rules of a task are about it under its new name too."""
    for rule in list_rules(tx, project_id):
        if rule.definition.get("applies_to") == {"task": before}:
            change_rule(tx, rule, now=now, definition={**rule.definition, "applies_to": {"task": after}})


def delete_rule(tx: Connection, held: RuleRow) -> None:
    tx.execute(alert_rule.delete().where(alert_rule.c.id == held.id))


# --- channels ---------------------------------------------------------------------------------------------------


def list_channels(tx: Connection, project_id: int | None = None) -> list[ChannelRow]:
    query = select(*columns(alert_channel, ChannelRow)).order_by(alert_channel.c.name, alert_channel.c.id)
    if project_id is not None:
        query = query.where(alert_channel.c.project_id == project_id)
    return [read(ChannelRow, row) for row in tx.execute(query)]


def get_channel(tx: Connection, project_id: int, name: str, *, lock: bool = False) -> ChannelRow:
    """Raises `NotFound`."""
    query = select(*columns(alert_channel, ChannelRow)).where(
        alert_channel.c.project_id == project_id, alert_channel.c.name == name
    )
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no alert channel {name}")
    return read(ChannelRow, row)


def add_channel(tx: Connection, *, now: float, **values: Any) -> None:
    """Raises `NameTaken`."""
    try:
        tx.execute(alert_channel.insert().values(**values, version=1, created_at=now, changed_at=now))
    except IntegrityError:
        raise NameTaken(f"there is an alert channel {values['name']} already") from None


def change_channel(tx: Connection, held: ChannelRow, *, now: float, **values: Any) -> None:
    changed = alert_channel.update().where(alert_channel.c.id == held.id)
    tx.execute(changed.values(**values, version=held.version + 1, changed_at=now))


def delete_channel(tx: Connection, held: ChannelRow) -> None:
    """Raises `InUse` while a rule names it."""
    users = [
        rule.name for rule in list_rules(tx, held.project_id) if held.name in _named(rule.definition.get("channels"))
    ]
    if users:
        raise InUse(f"alert channel {held.name} is named by {', '.join(users)}")
    tx.execute(alert_channel.delete().where(alert_channel.c.id == held.id))


def _named(channels: object) -> list[str]:
    return [] if not isinstance(channels, list) else [str(name) for name in channels]


def demand_version(held: RuleRow | ChannelRow, version: int | None) -> None:
    """Raises `StaleVersion` unless it is None or the present one."""
    if version is not None and version != held.version:
        raise StaleVersion(f"{held.name} is at version {held.version}, not {version}", version=held.version)


# --- what is looked at ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watched:
    """A submitted task and its present run."""

    task_id: int
    project_id: int
    name: str
    owner: str
    group_name: str
    state: State
    state_since: float
    run_id: int | None
    run_number: int | None
    started_at: float | None
    phase: str | None
    heard_at: float | None
    position: str | None
    lag_s: float | None
    lag_bytes: int | None
    counters: Mapping[str, Any]
    snapshot_at: float | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", State(self.state))
        object.__setattr__(self, "counters", self.counters or {})


# Made once: to build a statement takes longer than to execute it.
_WATCHED = (
    select(
        task.c.id,
        task.c.project_id,
        task.c.name,
        task.c.owner,
        task.c.group_name,
        task.c.state,
        task.c.state_since,
        run.c.id,
        run.c.number,
        run.c.started_at,
        run.c.phase,
        run.c.heard_at,
        run.c.position,
        run.c.lag_s,
        run.c.lag_bytes,
        run.c.counters,
        select(snapshot.c.at)
        .where(snapshot.c.run_id == run.c.id)
        .order_by(snapshot.c.id.desc())
        .limit(1)
        .scalar_subquery(),
    )
    .outerjoin(run, (run.c.id == task.c.run_id) & run.c.ended_at.is_(None))
    .where(task.c.state.not_in((State.DRAFT.value, State.REMOVED.value)))
    .order_by(task.c.id)
)


def watched(tx: Connection) -> list[Watched]:
    """Every task that alerts may be about, in one statement."""
    return [read(Watched, row) for row in tx.execute(_WATCHED)]


_EVENTS = (
    select(key_event.c.id, key_event.c.at, key_event.c.task_id, key_event.c.run_number, key_event.c.name)
    .where(key_event.c.id > bindparam("reached"), key_event.c.at >= bindparam("since"))
    .order_by(key_event.c.id)
    .limit(10_000)
)


def events_after(tx: Connection, reached: int, *, since: float) -> list[tuple[int, float, int, int | None, str]]:
    """Key events of all tasks as (id, time, task, number of the run, name), at most so many at once."""
    found = tx.execute(_EVENTS, {"reached": reached, "since": since})
    return [(key, at, task_id, number, name) for key, at, task_id, number, name in found]


def newest_event(tx: Connection) -> int:
    """The greatest id of a key event; 0: there is none."""
    return tx.execute(select(func.max(key_event.c.id))).scalar_one() or 0


# --- alerts -----------------------------------------------------------------------------------------------------

_OPEN = select(*columns(alert, AlertRow)).where(alert.c.resolved_told.is_(False)).order_by(alert.c.id)


def open_alerts(tx: Connection) -> list[AlertRow]:
    """Those that go on, and those whose end is still to be told."""
    return [read(AlertRow, row) for row in tx.execute(_OPEN)]


def told_since(tx: Connection, rule_id: int, task_id: int, since: float) -> list[float]:
    """When alerts of the rule and task were told."""
    told = select(alert.c.told_at).where(alert.c.rule_id == rule_id, alert.c.task_id == task_id)
    return [float(at) for at in tx.execute(told.where(alert.c.told_at > since)).scalars()]


def fired_since(tx: Connection, rule_id: int, task_id: int, since: float, *, most: int) -> int:
    """How many alerts of the rule and task fired; it is not counted beyond `most`."""
    found = select(alert.c.id).where(alert.c.task_id == task_id, alert.c.rule_id == rule_id, alert.c.fired_at > since)
    newest = found.order_by(alert.c.id.desc()).limit(most).subquery()
    count: int = tx.execute(select(func.count()).select_from(newest)).scalar_one()
    return count


def add_alert(tx: Connection, **values: Any) -> int:
    added = tx.execute(alert.insert().values(**values))
    key: int = added.inserted_primary_key[0]  # type: ignore[index]  # an insert of one row always has it
    return key


def change_alert(tx: Connection, alert_id: int, **values: Any) -> None:
    tx.execute(alert.update().where(alert.c.id == alert_id).values(**values))


def note_fired(tx: Connection, rule_id: int, now: float) -> None:
    tx.execute(alert_rule.update().where(alert_rule.c.id == rule_id).values(last_fired_at=now))


def get_alert(tx: Connection, alert_id: int) -> AlertRow | None:
    row = tx.execute(select(*columns(alert, AlertRow)).where(alert.c.id == alert_id)).one_or_none()
    return read(AlertRow, row) if row is not None else None


def list_alerts(
    tx: Connection,
    *,
    project_id: int | None = None,
    task_id: int | None = None,
    seen: Collection[str] | None = None,
    rule: str | None = None,
    severity: str | None = None,
    metric: str | None = None,
    open_only: bool = False,
    keyword: str | None = None,
    since: float | None = None,
    until: float | None = None,
    before: int | None = None,
    limit: int,
) -> list[tuple[AlertRow, str]]:
    """Newest first, each with its project's name; of those that fired from `since` until `until`, with an id below
    `before`. `seen` are the projects that are there for whoever asks; None: all."""
    query = select(*columns(alert, AlertRow), project.c.name).outerjoin(project, project.c.id == alert.c.project_id)
    for column, wanted in (
        (alert.c.project_id, project_id),
        (alert.c.task_id, task_id),
        (alert.c.rule_name, rule),
        (alert.c.severity, severity),
        (alert.c.metric, metric),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if seen is not None:
        query = query.where(project.c.name.in_(seen))
    if open_only:
        query = query.where(alert.c.resolved_at.is_(None))
    if keyword is not None:
        spots = (alert.c.task_name, alert.c.rule_name, alert.c.condition)
        query = query.where(
            spots[0].icontains(keyword, autoescape=True)
            | spots[1].icontains(keyword, autoescape=True)
            | spots[2].icontains(keyword, autoescape=True)
        )
    if since is not None:
        query = query.where(alert.c.fired_at >= since)
    if until is not None:
        query = query.where(alert.c.fired_at < until)
    if before is not None:
        query = query.where(alert.c.id < before)
    found = tx.execute(query.order_by(alert.c.id.desc()).limit(limit))
    return [(read(AlertRow, row[:-1]), row[-1] or "") for row in found]


def count_open(tx: Connection, *, seen: Collection[str] | None = None) -> dict[str, int]:
    """How many alerts of these projects (None: of all) go on, by severity."""
    query = select(alert.c.severity, func.count()).where(alert.c.resolved_at.is_(None)).group_by(alert.c.severity)
    query = query if seen is None else query.where(_of_projects(seen))
    return {str(severity): int(count) for severity, count in tx.execute(query)}


def fired(tx: Connection, *, since: float, limit: int, seen: Collection[str] | None = None) -> list[tuple[float, str]]:
    """When the newest of those fired that fired from `since` on, and how severe each is."""
    query = select(alert.c.fired_at, alert.c.severity).where(alert.c.fired_at >= since)
    query = query if seen is None else query.where(_of_projects(seen))
    return [(float(at), str(severity)) for at, severity in tx.execute(query.order_by(alert.c.id.desc()).limit(limit))]


def _of_projects(names: Collection[str]) -> ColumnElement[bool]:
    return alert.c.project_id.in_(select(project.c.id).where(project.c.name.in_(names)))


def forget_alerts(tx: Connection, *, before: float, limit: int) -> int:
    """Remove those that ended before then, with their messages; how many."""
    old = select(alert.c.id).where(alert.c.resolved_at < before, alert.c.resolved_told.is_(True))
    ids = list(tx.execute(old.order_by(alert.c.id).limit(limit)).scalars())
    tx.execute(delete(alert_message).where(alert_message.c.alert_id.in_(ids)))
    tx.execute(delete(alert).where(alert.c.id.in_(ids)))
    return len(ids)


# --- messages ---------------------------------------------------------------------------------------------------


def add_message(
    tx: Connection,
    alert_id: int,
    channel: ChannelRow,
    about: str,
    *,
    now: float,
    refused: Mapping[str, Any] | None = None,
) -> None:
    """One to be sent; with `refused` one that is not, and why."""
    tx.execute(
        alert_message.insert().values(
            alert_id=alert_id,
            channel_id=channel.id,
            channel_name=channel.name,
            about=about,
            state=WAITING if refused is None else FAILED,
            tries=0,
            due_at=now,
            ended_at=None if refused is None else now,
            error=refused,
        )
    )


_earlier = alert_message.alias("earlier")
_DUE = (
    select(*columns(alert_message, MessageRow))
    .where(alert_message.c.state == WAITING, alert_message.c.due_at <= bindparam("by_now"))
    .where(alert_message.c.channel_id.not_in(bindparam("but", expanding=True)))
    # Nobody hears of an end before the beginning.
    .where(
        (alert_message.c.about == FIRED)
        | ~exists().where(
            _earlier.c.alert_id == alert_message.c.alert_id,
            _earlier.c.channel_id == alert_message.c.channel_id,
            _earlier.c.about == FIRED,
            _earlier.c.state == WAITING,
        )
    )
    .order_by(alert_message.c.due_at, alert_message.c.id)
    .limit(bindparam("at_most"))
)


def due_messages(tx: Connection, *, now: float, limit: int, but: Collection[int] = ()) -> list[MessageRow]:
    """Those to be sent by now, the longest due first; none of the channels in `but`."""
    found = tx.execute(_DUE, {"by_now": now, "at_most": limit, "but": list(but)})
    return [read(MessageRow, row) for row in found]


def waiting_messages(tx: Connection) -> dict[int, int]:
    """Channel → how many messages wait to be sent by it."""
    query = select(alert_message.c.channel_id, func.count()).where(alert_message.c.state == WAITING)
    return {row[0]: row[1] for row in tx.execute(query.group_by(alert_message.c.channel_id))}


def change_message(tx: Connection, message_id: int, **values: Any) -> None:
    tx.execute(alert_message.update().where(alert_message.c.id == message_id).values(**values))


def messages_of(tx: Connection, alert_ids: Collection[int]) -> dict[int, list[MessageRow]]:
    """Alert → its messages, oldest first."""
    query = select(*columns(alert_message, MessageRow)).where(alert_message.c.alert_id.in_(alert_ids))
    found: dict[int, list[MessageRow]] = {}
    for row in tx.execute(query.order_by(alert_message.c.id)):
        message = read(MessageRow, row)
        found.setdefault(message.alert_id, []).append(message)
    return found


def channel_by_id(tx: Connection, channel_id: int) -> ChannelRow | None:
    row = tx.execute(select(*columns(alert_channel, ChannelRow)).where(alert_channel.c.id == channel_id)).one_or_none()
    return read(ChannelRow, row) if row is not None else None


def project_names(tx: Connection) -> dict[int, str]:
    return {row[0]: row[1] for row in tx.execute(select(project.c.id, project.c.name))}
