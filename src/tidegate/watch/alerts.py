"""Looks at all tasks again and again and has alerts fire, be told and end as their rules say.

A sweep is a few statements however many tasks there are. What it decides is written in one transaction with the key
events and the messages to be sent, so that a server killed at any instant neither forgets nor repeats it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from tidegate.errors import AlertUndelivered, StoreUnavailable, TidegateError
from tidegate.model.alert import WINDOW_MAX_S, Condition, Reads, RuleSpec, Scope, parse_rule
from tidegate.model.firing import Open, Steps, Verdict, judge, settle
from tidegate.model.lifecycle import State
from tidegate.model.problem import problem
from tidegate.store import alerts, moves
from tidegate.store.alerts import AlertRow, ChannelRow, RuleRow, Watched
from tidegate.store.database import Database
from tidegate.watch.notify import Clock
from tidegate.watch.seeing import Figures, Sight

log = structlog.get_logger()

CHANGES_MAX = 500
"""In one transaction; the next sweep does the rest."""
MESSAGES_MAX = 1_000
"""Waiting at once for one channel; what is beyond that is not told by it."""
FLAPS_MAX, FLAPS_S = 100, 3600.0
"""A rule fires no more often than this for one task in this time: a figure that wavers about its threshold must not
fill the store."""
EVENTS_AGAIN = 200
LATE_SWEEPS, LATE_LEAST_S = 3, 2.0
"""A sweep that comes so many intervals after the last was kept from looking."""
RULES_AT_ONCE = 1_000
FORGET_S = 3600.0
FORGET_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that is enabled, read."""

    row: RuleRow
    spec: RuleSpec


@dataclass(frozen=True, slots=True)
class Change:
    """What follows for one rule and task."""

    rule: Rule
    task: Watched
    steps: Steps
    verdicts: dict[str, Verdict]
    open: tuple[AlertRow, ...]


class Alerts:
    """`start` and `stop` its thread, or call `step` in a test. `leads` says whether this server is the one to look;
    `told` is called when there may be messages to send."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        leads: Callable[[], bool],
        *,
        told: Callable[[], None] = lambda: None,
        figures: Figures = lambda run: {},
        every_s: float = 2.0,
        keep_s: float = 30 * 86_400.0,
    ) -> None:
        self._db = database
        self._clock = clock
        self._leads = leads
        self._told = told
        self._every_s = every_s
        self._keep_s = keep_s
        self._sight = Sight(figures)
        self._reached = 0
        self._followed: set[int] = set()
        self._parsed: dict[tuple[int, int], Rule | None] = {}
        """By id and version; None: it cannot be read."""
        self._forgets_at = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # --- its thread ---

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="alerts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when nothing is being decided any more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(30)
            self._thread = None

    def _loop(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self.step()
            except StoreUnavailable as error:
                log.warning("alerts.store_unavailable", detail=error.detail)
            except Exception:
                log.exception("alerts.sweep_crashed")

    # --- one look ---

    def step(self) -> None:
        """Look at everything once. Raises `StoreUnavailable`."""
        if not self._leads():
            return
        now, ticks = self._clock.now(), self._clock.ticks()
        with self._db.read() as tx:
            rules = self._rules(tx)
            watched = alerts.watched(tx)
            opened = alerts.open_alerts(tx)
            self._follow(tx, now)
        self._sight.begin({task.task_id for task in watched}, ticks, LATE_SWEEPS * max(self._every_s, LATE_LEAST_S))
        changes = list(self._changes(rules, watched, opened, now, ticks))
        orphans = self._orphans(rules, watched, opened)
        if changes or orphans:
            with self._db.write() as tx:
                for row in orphans[:CHANGES_MAX]:
                    self._end(tx, row, now, told=True)
                for change in changes[:CHANGES_MAX]:
                    self._carry_out(tx, change, now)
            self._told()
        self._forget(now, ticks)

    def _rules(self, tx: Connection) -> list[Rule]:
        """Those that are enabled; each version is read once."""
        present = alerts.rule_versions(tx)
        fresh = [key for key, version in present if (key, version) not in self._parsed]
        parsed = {key: self._parsed[key] for key in present if key in self._parsed}
        for at in range(0, len(fresh), RULES_AT_ONCE):
            # Perhaps of a newer version than the one just seen: what counts is that the rule is not missing.
            for row in alerts.rules_by_id(tx, fresh[at : at + RULES_AT_ONCE]):
                parsed[row.id, row.version] = _read(row)
        self._parsed = parsed
        return [rule for rule in parsed.values() if rule is not None]

    def _follow(self, tx: Connection, now: float) -> None:
        """Take in the key events since the last look. On PostgreSQL one with a smaller id may be committed after one
        with a greater id: the last ones are looked at again."""
        newest = alerts.newest_event(tx)
        while True:
            found = alerts.events_after(tx, self._reached - EVENTS_AGAIN, since=now - WINDOW_MAX_S)
            fresh = [one for one in found if one[0] not in self._followed]
            for key, at, task, number, name in fresh:
                self._followed.add(key)
                self._sight.happened(at, task, number, name)
            self._reached = max(fresh[-1][0] if fresh else newest, self._reached)
            self._followed = {key for key in self._followed if key > self._reached - EVENTS_AGAIN}
            if not fresh:
                return

    def _changes(
        self, rules: Sequence[Rule], watched: Sequence[Watched], opened: Sequence[AlertRow], now: float, ticks: float
    ) -> Iterable[Change]:
        of_rule: dict[tuple[int, int], list[AlertRow]] = {}
        for row in opened:
            of_rule.setdefault((row.rule_id, row.task_id), []).append(row)
        bound = _bound(rules)
        kept, longest_s = _looked_back_on(rules)
        for task in watched:
            mine = [rule for subject in _subjects(task) for rule in bound.get(subject, ())]
            looks = self._sight.look(task, kept, longest_s, now, ticks)
            for rule in mine:
                verdicts = {condition.key: judge(condition, looks) for condition in rule.spec.conditions}
                held = tuple(of_rule.get((rule.row.id, task.task_id), ()))
                if not held and not any(verdict.holds for verdict in verdicts.values()):
                    continue
                steps = self._settled(rule, task, verdicts, held, now)
                if steps != Steps():
                    yield Change(rule, task, steps, verdicts, held)

    def _settled(
        self, rule: Rule, task: Watched, verdicts: dict[str, Verdict], held: Sequence[AlertRow], now: float
    ) -> Steps:
        known = [Open(row.key, row.told_at, row.resolved_at) for row in held]
        steps = settle(rule.spec, verdicts, known, (), now)
        if steps.fire and self._flaps(rule, task, now):
            verdicts = {key: verdict for key, verdict in verdicts.items() if key not in steps.fire}
            steps = settle(rule.spec, verdicts, known, (), now)
        if not steps.tell:
            return steps
        with self._db.read() as tx:
            told = alerts.told_since(tx, rule.row.id, task.task_id, now - rule.spec.limit.per)
        return settle(rule.spec, verdicts, known, told, now)

    def _flaps(self, rule: Rule, task: Watched, now: float) -> bool:
        """Whether it fired so often lately that the history shows it well enough."""
        with self._db.read() as tx:
            lately = alerts.fired_since(tx, rule.row.id, task.task_id, now - FLAPS_S, most=FLAPS_MAX)
        return lately >= FLAPS_MAX

    @staticmethod
    def _orphans(rules: Sequence[Rule], watched: Sequence[Watched], opened: Sequence[AlertRow]) -> list[AlertRow]:
        """Alerts that no rule is for any more: it was disabled, removed or given other tasks, or the task is gone."""
        specs = {rule.row.id: rule for rule in rules}
        tasks = {task.task_id: task for task in watched}

        def covered(row: AlertRow) -> bool:
            rule, task = specs.get(row.rule_id), tasks.get(row.task_id)
            if rule is None or task is None or rule.row.project_id != task.project_id:
                return False
            return rule.spec.applies_to.covers(task=task.name, owner=task.owner, resource_group=task.group_name)

        return [row for row in opened if not covered(row)]

    # --- what follows ---

    def _carry_out(self, tx: Connection, change: Change, now: float) -> None:
        rule, steps = change.rule, change.steps
        channels = self._channels(tx, rule) if steps.tell or steps.tell_resolved else []
        for row in change.open:
            if row.resolved_at is not None:
                if row.key in steps.tell_resolved:
                    self._tell(tx, row.id, channels, alerts.RESOLVED, now)
                    alerts.change_alert(tx, row.id, resolved_told=True)
            elif row.key in steps.resolve:
                if row.key in steps.tell_resolved:
                    self._tell(tx, row.id, channels, alerts.RESOLVED, now)
                self._end(tx, row, now, told=row.key in steps.tell_resolved or row.told_at is None)
            elif row.key in steps.tell:
                self._tell(tx, row.id, channels, alerts.FIRED, now)
                alerts.change_alert(tx, row.id, told_at=now)
        conditions = {condition.key: condition for condition in rule.spec.conditions}
        for key in steps.fire:
            self._fire(tx, change, conditions[key], channels, now)

    def _fire(
        self, tx: Connection, change: Change, condition: Condition, channels: Sequence[ChannelRow], now: float
    ) -> None:
        rule, task, told = change.rule, change.task, condition.key in change.steps.tell
        value = change.verdicts[condition.key].value
        held = "" if told else "quiet" if rule.spec.is_quiet(now) else "limit"
        alert_id = alerts.add_alert(
            tx,
            rule_id=rule.row.id,
            rule_name=rule.row.name,
            project_id=task.project_id,
            task_id=task.task_id,
            task_name=task.name,
            run_number=task.run_number,
            severity=rule.spec.severity.value,
            metric=condition.metric,
            key=condition.key,
            condition=str(condition),
            value=value,
            fired_at=now,
            told_at=now if told else None,
            held=held,
            resolved_told=False,
        )
        alerts.note_fired(tx, rule.row.id, now)
        facts = {
            "alert": alert_id,
            "rule": rule.row.name,
            "severity": rule.spec.severity.value,
            "condition": str(condition),
        }
        if value is not None:
            facts["value"] = round(value, 3)
        _record(tx, task.task_id, "alert_fired", now, facts)
        if told:
            self._tell(tx, alert_id, channels, alerts.FIRED, now)

    def _end(self, tx: Connection, row: AlertRow, now: float, *, told: bool) -> None:
        if row.resolved_at is None:
            alerts.change_alert(tx, row.id, resolved_at=now, resolved_told=told)
            facts = {"alert": row.id, "rule": row.rule_name, "severity": row.severity, "condition": row.condition}
            _record(tx, row.task_id, "alert_resolved", now, facts)
        else:
            alerts.change_alert(tx, row.id, resolved_told=told)

    @staticmethod
    def _channels(tx: Connection, rule: Rule) -> list[ChannelRow]:
        wanted = rule.spec.channels
        found = [channel for channel in alerts.list_channels(tx, rule.row.project_id) if channel.enabled]
        return found if wanted == "all" else [channel for channel in found if channel.name in wanted]

    @staticmethod
    def _tell(tx: Connection, alert_id: int, channels: Sequence[ChannelRow], about: str, now: float) -> None:
        waiting = alerts.waiting_messages(tx) if channels else {}
        for channel in channels:
            refused = None
            if waiting.get(channel.id, 0) >= MESSAGES_MAX:
                log.warning("alerts.too_many_messages", alert=alert_id, channel=channel.name)
                refused = problem(AlertUndelivered(f"{MESSAGES_MAX} messages wait for alert channel {channel.name}"))
            alerts.add_message(tx, alert_id, channel, about, now=now, refused=refused)

    def _forget(self, now: float, ticks: float) -> None:
        if ticks < self._forgets_at:
            return
        with self._db.write() as tx:
            gone = alerts.forget_alerts(tx, before=now - self._keep_s, limit=FORGET_AT_ONCE)
        self._forgets_at = ticks if gone == FORGET_AT_ONCE else ticks + FORGET_S


def _record(tx: Connection, task: int, name: str, now: float, facts: dict[str, object]) -> None:
    found = moves.find(tx, task)
    if found is not None and found.task.state is not State.REMOVED:
        moves.record(tx, found, name, now=now, facts=facts)


def _bound(rules: Iterable[Rule]) -> dict[tuple[int, Scope, str], list[Rule]]:
    """By project, scope and what the scope is of: there may be rules for each of a thousand tasks."""
    found: dict[tuple[int, Scope, str], list[Rule]] = {}
    for rule in rules:
        applies_to = rule.spec.applies_to
        found.setdefault((rule.row.project_id, applies_to.scope, applies_to.subject), []).append(rule)
    return found


def _subjects(task: Watched) -> Iterable[tuple[int, Scope, str]]:
    """What rules may be bound to, to be about the task."""
    of = {Scope.TASK: task.name, Scope.OWNER: task.owner, Scope.RESOURCE_GROUP: task.group_name, Scope.ALL: ""}
    return ((task.project_id, scope, subject) for scope, subject in of.items())


def _read(row: RuleRow) -> Rule | None:
    try:
        return Rule(row, parse_rule(row.definition))
    except TidegateError as error:
        # Written by another version; it is shown as it is and does nothing.
        log.error("alerts.rule_unreadable", rule=row.name, code=error.code)
        return None


def _looked_back_on(rules: Iterable[Rule]) -> tuple[tuple[str, ...], float]:
    """The figures whose past some rule asks for, and how far back."""
    asking = [
        condition
        for rule in rules
        for condition in rule.spec.conditions
        if condition.alarm.reads in (Reads.FIGURE, Reads.RATE) and condition.window_s > 0
    ]
    names = dict.fromkeys(name for condition in asking for name in condition.alarm.of)
    return tuple(names), max((condition.window_s for condition in asking), default=0.0)
