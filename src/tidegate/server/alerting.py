"""The part of `Control` for alerts: rules, the channels they tell, and the history of what fired."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from tidegate.errors import (
    AlertChannelInvalid,
    AlertUndelivered,
    Invalid,
    ReferenceUnknown,
    SecretNeeded,
    TooManyAlertRules,
)
from tidegate.model.alert import ALARMS, BY_NAME, UNITS, RuleSpec, parse_rule
from tidegate.model.problem import problem
from tidegate.model.task import checked_name
from tidegate.server.alertviews import AlarmView, AlertChannelView, AlertMessageView, AlertRuleView, AlertView, Trial
from tidegate.server.catalog import MASK
from tidegate.server.desk import Desk
from tidegate.store import alerts, catalog, moves
from tidegate.store.alerts import AlertRow, ChannelRow, MessageRow, RuleRow
from tidegate.store.opening import DEFAULT
from tidegate.watch import messenger, notify
from tidegate.watch.outbound import checked_url

KEY_MIN, KEY_MAX = 16, 500
DESCRIPTION_MAX = 500
TRIAL_DEADLINE_S = 20.0


class Alerting(Desk):
    # --- rules ---

    def alert_metrics(self) -> list[AlarmView]:
        """The table of what can be alerted on."""
        return [
            AlarmView(
                metric=alarm.name,
                says=alarm.says,
                form=alarm.form.value,
                units=list(dict.fromkeys((alarm.unit, *UNITS[alarm.unit]))) if alarm.unit else [],
                window_s=alarm.window_s,
                fixed_window=alarm.fixed,
            )
            for alarm in ALARMS
        ]

    def alert_rules(self, project: str = DEFAULT, *, task: int | None = None) -> list[AlertRuleView]:
        """By name; with `task` those that are for that task. Raises `NotFound`."""
        with self.db.read() as tx:
            project_id = catalog.get_project(tx, project).id
            rows = alerts.list_rules(tx, project_id)
            if task is not None:
                of = moves.get(tx, task).task
                who = {"task": of.name, "owner": of.owner, "resource_group": of.group_name}
                rows = [row for row in rows if parse_rule(row.definition).applies_to.covers(**who)]
            return [_rule_view(project, row) for row in rows]

    def alert_rule(self, name: str, *, project: str = DEFAULT) -> AlertRuleView:
        """Raises `NotFound`."""
        with self.db.read() as tx:
            return _rule_view(project, alerts.get_rule(tx, catalog.get_project(tx, project).id, name))

    def alert_rule_name_free(self, name: str, *, project: str = DEFAULT) -> bool:
        """Whether a rule could be made under this name. Raises `Invalid` (the name), `NotFound` (the project)."""
        _check_name(name)
        with self.db.read() as tx:
            return alerts.find_rule(tx, catalog.get_project(tx, project).id, name) is None

    def create_alert_rule(self, spec: RuleSpec, *, actor: str) -> AlertRuleView:
        """Raises `NameTaken`, `NotFound` (the project), `ReferenceUnknown` (a channel), `TooManyAlertRules`."""
        with self.db.write() as tx:
            project_id = catalog.get_project(tx, spec.project, lock=True).id
            self.demand_room(tx, project_id, spec.project)
            demand_channels(tx, project_id, spec)
            alerts.add_rule(tx, now=self.clock.now(), project_id=project_id, name=spec.alert_rule, **columns_of(spec))
        return self.alert_rule(spec.alert_rule, project=spec.project)

    def demand_room(self, tx: Connection, project_id: int, project: str) -> None:
        """For one more rule, in a transaction that holds the project's lock. Raises `TooManyAlertRules`."""
        if alerts.count_rules(tx, project_id) >= self.limits.alert_rules:
            raise TooManyAlertRules(f"project {project} has {self.limits.alert_rules} alert rules")

    def edit_alert_rule(
        self, name: str, spec: RuleSpec, *, project: str = DEFAULT, version: int | None = None, actor: str
    ) -> AlertRuleView:
        """Replace the rule whole. Raises `NotFound`, `StaleVersion`, `ReferenceUnknown`, `Invalid` for another name or
        project."""
        if (spec.alert_rule, spec.project) != (name, project):
            raise Invalid(f"alert_rule, project: must stay {name}, {project}")
        with self.db.write() as tx:
            # The project is locked by whoever has a rule name channels and by whoever deletes one.
            row = alerts.get_rule(tx, catalog.get_project(tx, project, lock=True).id, name, lock=True)
            alerts.demand_version(row, version)
            demand_channels(tx, row.project_id, spec)
            alerts.change_rule(tx, row, now=self.clock.now(), **columns_of(spec))
        return self.alert_rule(name, project=project)

    def enable_alert_rule(self, name: str, enabled: bool, *, project: str = DEFAULT, actor: str) -> AlertRuleView:
        """A disabled rule is not looked at; what it had fired ends. Raises `NotFound`."""
        with self.db.write() as tx:
            row = alerts.get_rule(tx, catalog.get_project(tx, project).id, name, lock=True)
            if row.enabled != enabled:
                spec = parse_rule({**row.definition, "enabled": enabled})
                alerts.change_rule(tx, row, now=self.clock.now(), **columns_of(spec))
        return self.alert_rule(name, project=project)

    def delete_alert_rule(self, name: str, *, project: str = DEFAULT, version: int | None = None, actor: str) -> None:
        """Its history stays. Raises `NotFound`, `StaleVersion`."""
        with self.db.write() as tx:
            row = alerts.get_rule(tx, catalog.get_project(tx, project).id, name, lock=True)
            alerts.demand_version(row, version)
            alerts.delete_rule(tx, row)

    # --- channels ---

    def alert_channels(self, project: str = DEFAULT) -> list[AlertChannelView]:
        """By name. Raises `NotFound` (the project)."""
        with self.db.read() as tx:
            project_id = catalog.get_project(tx, project).id
            return [self._channel_view(project, row) for row in alerts.list_channels(tx, project_id)]

    def alert_channel(self, name: str, *, project: str = DEFAULT) -> AlertChannelView:
        """Raises `NotFound`."""
        with self.db.read() as tx:
            return self._channel_view(project, alerts.get_channel(tx, catalog.get_project(tx, project).id, name))

    def create_alert_channel(
        self,
        name: str,
        kind: str,
        url: str,
        *,
        key: str | None = None,
        description: str = "",
        enabled: bool = True,
        project: str = DEFAULT,
        actor: str,
    ) -> AlertChannelView:
        """`url` and `key` in the clear; they are encrypted here. Raises `NameTaken`, `Invalid`, `NotFound` (the
        project), `AlertChannelInvalid`, `AlertAddressRefused`, `EnvironmentLacking`."""
        _check_name(name)
        _check_description(description)
        shown, hidden = self._checked(kind, url, key)
        with self.db.write() as tx:
            project_id = catalog.get_project(tx, project, lock=True).id
            alerts.add_channel(
                tx,
                now=self.clock.now(),
                project_id=project_id,
                name=name,
                kind=kind,
                description=description,
                enabled=enabled,
                shown=shown,
                secrets=self.store.vault.seal(hidden, notify.sealed_for(project_id, name)),
            )
        return self.alert_channel(name, project=project)

    def edit_alert_channel(
        self,
        name: str,
        *,
        project: str = DEFAULT,
        url: str | None = None,
        key: str | None = None,
        description: str | None = None,
        enabled: bool | None = None,
        version: int | None = None,
        actor: str,
    ) -> AlertChannelView:
        """What is not given, or a key that is `MASK`, stays. Raises `NotFound`, `StaleVersion`, `SecretNeeded` for
        another address without the key, and what creating raises."""
        with self.db.read() as tx:
            seen = alerts.get_channel(tx, catalog.get_project(tx, project).id, name)
        alerts.demand_version(seen, version)
        values: dict[str, Any] = {"enabled": seen.enabled if enabled is None else enabled}
        if description is not None:
            _check_description(description)
            values["description"] = description
        given_key = None if key == MASK else key
        if url in (None, seen.shown) and given_key is not None:
            url = notify.opened(self.store.vault, seen)["url"]
        if url is not None and url != seen.shown:
            values |= self._readdressed(seen, url, given_key)
        with self.db.write() as tx:
            row = alerts.get_channel(tx, seen.project_id, name, lock=True)
            alerts.demand_version(row, seen.version)
            alerts.change_channel(tx, row, now=self.clock.now(), **values)
        return self.alert_channel(name, project=project)

    def _readdressed(self, seen: ChannelRow, url: str, key: str | None) -> dict[str, Any]:
        stored = notify.opened(self.store.vault, seen)
        if stored.get("key") and key is None:
            if url != stored["url"]:
                raise SecretNeeded(
                    f"alert channel {seen.name}: with another address the key must be given again",
                    errors=[{"field": "key", "problem": "must be given again"}],
                )
            key = stored["key"]
        shown, hidden = self._checked(seen.kind, url, key)
        sealed = self.store.vault.seal(hidden, notify.sealed_for(seen.project_id, seen.name))
        return {"shown": shown, "secrets": sealed}

    def delete_alert_channel(
        self, name: str, *, project: str = DEFAULT, version: int | None = None, actor: str
    ) -> None:
        """Raises `NotFound`, `StaleVersion`, `InUse` while a rule names it."""
        with self.db.write() as tx:
            row = alerts.get_channel(tx, catalog.get_project(tx, project, lock=True).id, name, lock=True)
            alerts.demand_version(row, version)
            alerts.delete_channel(tx, row)

    def try_alert_channel(self, name: str, *, project: str = DEFAULT) -> Trial:
        """Send a test message, now and once. Raises `NotFound`."""
        with self.db.read() as tx:
            row = alerts.get_channel(tx, catalog.get_project(tx, project).id, name)
        now = self.clock.now()
        given = [(notify.opened(self.store.vault, row), notify.trial(name, now))]
        error = notify.attempt(row.kind, given, self.outbound, now, deadline_s=TRIAL_DEADLINE_S)[0]
        return Trial(error is None, None if error is None else problem(error))

    def _checked(self, kind: str, url: str, key: str | None) -> tuple[str, dict[str, str]]:
        """What may be shown of a channel's address, and what is stored. Looks the address up."""
        if kind == notify.WEBHOOK:
            if key is None or not KEY_MIN <= len(key) <= KEY_MAX or not key.isprintable():
                raise AlertChannelInvalid(
                    f"key: a webhook needs one of {KEY_MIN} to {KEY_MAX} characters, known to the receiver",
                    errors=[{"field": "key", "problem": "is required"}],
                )
            parsed = checked_url(url)
            # A name that is not known yet may be known when there is something to tell.
            with contextlib.suppress(AlertUndelivered):
                self.outbound.place(parsed.host, parsed.port or 443)
            return f"{parsed.scheme}://{parsed.netloc.decode('ascii')}/…"[:200], {"url": url, "key": key}
        if kind == notify.APPRISE:
            if key is not None:
                raise AlertChannelInvalid("key: only a webhook has one", errors=[{"field": "key", "problem": "none"}])
            service = messenger.checked_address(url)
            error = messenger.send([{"url": url, "check": True}], self.outbound, deadline_s=TRIAL_DEADLINE_S)[0]
            if error is not None:
                raise error
            return f"{service}://…", {"url": url}
        raise AlertChannelInvalid(f"kind: is one of {', '.join(notify.KINDS)}")

    def _channel_view(self, project: str, row: ChannelRow) -> AlertChannelView:
        return AlertChannelView(
            project=project,
            name=row.name,
            kind=row.kind,
            description=row.description,
            enabled=row.enabled,
            url=row.shown,
            key=MASK if row.kind == notify.WEBHOOK else None,
            version=row.version,
            created_at=row.created_at,
            changed_at=row.changed_at,
        )

    # --- what fired ---

    def alerts(self, *, project: str | None = None, task: int | None = None, **wanted: Any) -> list[AlertView]:
        """Newest first, as `store.alerts.list_alerts` takes its filters. Raises `NotFound` (the project)."""
        with self.db.read() as tx:
            project_id = None if project is None else catalog.get_project(tx, project).id
            found = alerts.list_alerts(tx, project_id=project_id, task_id=task, **wanted)
            messages = alerts.messages_of(tx, [row.id for row, _ in found])
        return [_alert_view(row, name, messages.get(row.id, [])) for row, name in found]


def columns_of(spec: RuleSpec) -> dict[str, Any]:
    return {"enabled": spec.enabled, "severity": spec.severity.value, "definition": spec.definition()}


def demand_channels(tx: Connection, project_id: int, spec: RuleSpec) -> None:
    """Raises `ReferenceUnknown` for one that is not there."""
    known = {row.name for row in alerts.list_channels(tx, project_id)}
    missing = [] if spec.channels == "all" else [name for name in spec.channels if name not in known]
    if missing:
        raise ReferenceUnknown(f"alert rule {spec.alert_rule}: there is no alert channel {', '.join(missing)}")


def _rule_view(project: str, row: RuleRow) -> AlertRuleView:
    return AlertRuleView(
        id=row.id,
        project=project,
        name=row.name,
        enabled=row.enabled,
        severity=row.severity,
        definition=row.definition,
        last_fired_at=row.last_fired_at,
        version=row.version,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _alert_view(row: AlertRow, project: str, messages: Sequence[MessageRow]) -> AlertView:
    return AlertView(
        id=row.id,
        project=project,
        rule=row.rule_name,
        task=row.task_id,
        task_name=row.task_name,
        run=row.run_number,
        severity=row.severity,
        metric=row.metric,
        condition=row.condition,
        value=row.value,
        unit=BY_NAME[row.metric].unit if row.metric in BY_NAME else "",
        fired_at=row.fired_at,
        told_at=row.told_at,
        held=row.held,
        resolved_at=row.resolved_at,
        sent=_sent(messages),
        messages=[
            AlertMessageView(
                channel=one.channel_name,
                about=one.about,
                state=one.state,
                tries=one.tries,
                due_at=one.due_at,
                ended_at=one.ended_at,
                error=one.error,
            )
            for one in messages
        ],
    )


def _sent(messages: Sequence[MessageRow]) -> str:
    states = {one.state for one in messages}
    if not states:
        return ""
    if alerts.WAITING in states:
        return "waiting"
    return "partly" if len(states) > 1 else "all" if states == {alerts.SENT} else "none"


def _check_name(name: str) -> None:
    try:
        checked_name(name)
    except ValueError as error:
        raise Invalid(f"name: {error}") from None


def _check_description(text: str) -> None:
    if len(text) > DESCRIPTION_MAX:
        raise Invalid(f"description: must be at most {DESCRIPTION_MAX} characters")
