"""The part of `Control` for doing the same to many tasks: each for itself, as if it had been asked for alone.

One task's refusal keeps no other from its turn. What was chosen by a filter is done only to tasks that nobody changed
since they were chosen; what is so already counts as done, so a batch whose answer was lost can be sent again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import Connection

from tidegate.errors import (
    AlertRuleInvalid,
    BatchOver,
    CommandRefused,
    Invalid,
    NameTaken,
    NotFound,
    NoUnits,
    StaleVersion,
    TidegateError,
)
from tidegate.model.alert import RuleSpec, parse_rule
from tidegate.model.lifecycle import COMMANDS, done_by
from tidegate.model.permission import ADD_RULES, CHANGE_OWNER, COMMAND_NEEDS
from tidegate.model.principal import Principal
from tidegate.model.problem import problem
from tidegate.server.alerting import Alerting, columns_of, demand_channels
from tidegate.server.batchviews import BatchItemView, BatchView, Filtered, Named, Wish
from tidegate.server.definitions import checked_owner
from tidegate.server.gate import LOOKED_INTO
from tidegate.server.operations import Operations, demand_statuses
from tidegate.server.turns import Turns
from tidegate.store import alerts, catalog, moves, tasks

log = structlog.get_logger()

OWNER, RULES = CHANGE_OWNER, ADD_RULES
BATCH_OPERATIONS = (*(name for name in COMMANDS if name != "submit"), OWNER, RULES)
TASKS_MAX = 1_000
RULES_MAX = 20
DEADLINE_S = 120.0
"""No task's turn begins later."""
AT_ONCE = 8
"""Tasks of one batch that sources and targets are asked about at the same time."""
WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A task of the batch, as it was when it was chosen; without an id it was not found."""

    name: str
    project: str | None = None
    task: int | None = None
    version: int | None = None


class Batches(Operations, Alerting):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._turns = Turns()

    def batch(
        self, wish: Wish, chosen: Sequence[Named] | Filtered, *, project: str = "default", who: Principal
    ) -> BatchView:
        """Do it to each of the tasks that are there for whoever asks. Raises `Invalid`, `AlertRuleInvalid`, and
        `TooManyBatches` while others of its projects are under way: nothing was changed then. What one task is refused
        is in its outcome."""
        do = self._doing(wish, who)
        found = self._filtered(chosen, who) if isinstance(chosen, Filtered) else self._named(chosen, project, who)
        with self._turns.taken({one.project for one in found if one.project is not None}, WAIT_S):
            until = time.monotonic() + DEADLINE_S
            waits = wish.operation in LOOKED_INTO or wish.dry_run
            with ThreadPoolExecutor(AT_ONCE if waits else 1, "batch") as hands:
                items = list(hands.map(lambda one: _one(do, one, until), found))
        if wish.dry_run and wish.operation in LOOKED_INTO:
            items = self._within_units(items)
        failed = sum(1 for item in items if item.outcome == "failed")
        unchanged = sum(1 for item in items if item.outcome == "unchanged")
        return BatchView(wish.operation, wish.dry_run, len(items), len(items) - failed, unchanged, failed, items)

    # --- which ---

    def _named(self, chosen: Sequence[Named], project: str, who: Principal) -> list[_Chosen]:
        if not 1 <= len(chosen) <= TASKS_MAX:
            raise Invalid(f"tasks: must be 1 to {TASKS_MAX}")
        found: dict[object, _Chosen] = {}
        with self.db.read() as tx:
            for one in chosen:
                try:
                    seen = moves.get(tx, tasks.find_task(tx, one.task, project)).task
                    if not who.sees(str(seen.definition["project"])):
                        raise NotFound(f"there is no task {one.task}")
                except NotFound:
                    found[one.task] = _Chosen(str(one.task))
                else:
                    told_of = str(seen.definition["project"])
                    found.setdefault(("id", seen.id), _Chosen(seen.name, told_of, seen.id, one.version))
        return list(found.values())

    def _filtered(self, chosen: Filtered, who: Principal) -> list[_Chosen]:
        demand_statuses(chosen.status)
        with self.db.read() as tx:
            found, total = tasks.list_tasks(
                tx,
                submitted=True,
                project_name=chosen.project,
                seen=who.seen,
                statuses=chosen.status,
                name_part=chosen.name,
                equal={
                    "owner": chosen.owner,
                    "source_kind": chosen.source_kind,
                    "target_kind": chosen.target_kind,
                    "group_name": chosen.resource_group,
                },
                limit=TASKS_MAX,
            )
        if total > TASKS_MAX:
            raise Invalid(f"filter: {total} tasks match, at most {TASKS_MAX} are done at once; narrow it")
        return [_Chosen(now_in.task.name, name, now_in.task.id, now_in.task.version) for name, now_in in found]

    # --- what ---

    def _doing(self, wish: Wish, who: Principal) -> Callable[[_Chosen], BatchItemView]:
        """What is done to one task that was found, if they may. Raises `Invalid`, `AlertRuleInvalid`."""
        if wish.operation not in BATCH_OPERATIONS:
            raise Invalid(f"operation: must be one of {', '.join(BATCH_OPERATIONS)}")
        do = self._what(wish, who.actor)

        def permitted(one: _Chosen) -> BatchItemView:
            if one.project is not None:
                who.demand(COMMAND_NEEDS[wish.operation], one.project)
            return do(one)

        return permitted

    def _what(self, wish: Wish, actor: str) -> Callable[[_Chosen], BatchItemView]:
        name = wish.operation
        if (wish.owner is not None) != (name == OWNER) or bool(wish.rules) != (name == RULES):
            raise Invalid(f"owner, rules: {OWNER} takes an owner, {RULES} takes rules, others take neither")
        if name == OWNER:
            owner = wish.owner or ""
            checked_owner(owner)
            return lambda one: self._owner_of(one, owner, actor, dry_run=wish.dry_run)
        if name == RULES:
            if len(wish.rules) > RULES_MAX:
                raise Invalid(f"rules: must be 1 to {RULES_MAX}")
            for rule in wish.rules:
                _rule_for(rule, "task", "default")
            return lambda one: self._rules_of(one, wish.rules, dry_run=wish.dry_run)
        if wish.dry_run:
            return lambda one: self._previewed(one, name)
        return lambda one: self._commanded(one, name, actor)

    def _commanded(self, one: _Chosen, name: str, actor: str) -> BatchItemView:
        task = _id(one)
        try:
            accepted = self.command(task, name, version=one.version, actor=actor)
        except (CommandRefused, StaleVersion):
            # Somebody was faster, or this is asked for a second time.
            if not self._is_so(one, name):
                raise
            return self._seen(one, "unchanged")
        except NotFound:
            if name != "remove":
                raise
            return _item(one, "unchanged")  # it was there when it was chosen
        return replace(
            _item(one, "accepted"),
            version=accepted.task.version,
            state=accepted.task.state,
            status=accepted.task.status,
        )

    def _is_so(self, one: _Chosen, name: str) -> bool:
        """Whether the last command that the task took is this one, and holds."""
        with self.db.read() as tx:
            now_in = moves.get(tx, _id(one))
        return now_in.task.intent == name and now_in.task.state in done_by(name)

    def _previewed(self, one: _Chosen, name: str) -> BatchItemView:
        preview = self.preview(_id(one), name)
        if not preview.allowed and self._is_so(one, name):
            return self._seen(one, "unchanged")
        if one.version not in (None, preview.version):
            raise StaleVersion(f"task {one.name} is at version {preview.version}, not {one.version}")
        outcome = "allowed" if preview.allowed else "failed"
        return replace(self._seen(one, outcome), version=preview.version, preview=preview, problem=preview.problem)

    def _within_units(self, items: Sequence[BatchItemView]) -> list[BatchItemView]:
        """Each preview knows of its own task only: together they may need more units than are free."""
        with self.db.read() as tx:
            used = catalog.units_used(tx)
            free = {
                group.name: group.units - sum(units for _, units in used.get(group.name, ()))
                for group in catalog.list_groups(tx)
            }
            needed = {item.task: moves.get_any(tx, item.task).task for item in items if item.task is not None}
        found = []
        for item in items:
            if item.outcome == "allowed" and item.task is not None:
                task = needed[item.task]
                free[task.group_name] = free.get(task.group_name, 0) - task.units
                if free[task.group_name] < 0:
                    free[task.group_name] += task.units
                    said = (
                        f"task {task.name} needs {task.units} units of {task.group_name}; the tasks before it take them"
                    )
                    item = replace(item, outcome="failed", problem=problem(NoUnits(said, group=task.group_name)))
            found.append(item)
        return found

    def _owner_of(self, one: _Chosen, owner: str, actor: str, *, dry_run: bool) -> BatchItemView:
        with self.db.read() as tx:
            now_in = moves.get(tx, _id(one))
        if now_in.task.owner == owner:
            return self._seen(one, "unchanged")
        if dry_run:
            self.demand_version(now_in, one.version)
            return self._seen(one, "allowed")
        self.change_owner(_id(one), owner, version=one.version, actor=actor)
        return self._seen(one, "accepted")

    def _rules_of(self, one: _Chosen, rules: Sequence[Any], *, dry_run: bool) -> BatchItemView:
        """All of a task's, or none."""
        specs = [_rule_for(rule, one.name, one.project or "default") for rule in rules]
        with self.db.read() if dry_run else self.db.write() as tx:
            now_in = moves.get(tx, _id(one), lock=not dry_run)
            self.demand_version(now_in, one.version)
            if not dry_run:
                catalog.get_project(tx, one.project or "default", lock=True)  # no channel goes away meanwhile
            made = sum(self._rule_of(tx, now_in.task.project_id, spec, dry_run=dry_run) for spec in specs)
        return self._seen(one, "unchanged" if not made else "allowed" if dry_run else "accepted")

    def _rule_of(self, tx: Connection, project_id: int, spec: RuleSpec, *, dry_run: bool) -> bool:
        """Whether it was not there. Raises `NameTaken`, `ReferenceUnknown`."""
        demand_channels(tx, project_id, spec)
        known = alerts.find_rule(tx, project_id, spec.alert_rule)
        if known is not None and known.definition != spec.definition():
            raise NameTaken(f"there is an alert rule {spec.alert_rule} already, and it is another one")
        if known is None:
            self.demand_room(tx, project_id, spec.project)
        if known is None and not dry_run:
            values = columns_of(spec)
            alerts.add_rule(tx, now=self.clock.now(), project_id=project_id, name=spec.alert_rule, **values)
        return known is None

    def _seen(self, one: _Chosen, outcome: str) -> BatchItemView:
        with self.db.read() as tx:
            view = self._task_view(tx, _id(one))
        return replace(_item(one, outcome), version=view.version, state=view.state, status=view.status)


def _id(one: _Chosen) -> int:
    """Raises `NotFound`."""
    if one.task is None:
        raise NotFound(f"there is no task {one.name}")
    return one.task


def _item(one: _Chosen, outcome: str) -> BatchItemView:
    return BatchItemView(one.name, outcome, one.project, one.task)


def _one(do: Callable[[_Chosen], BatchItemView], one: _Chosen, until: float) -> BatchItemView:
    try:
        if time.monotonic() > until:
            raise BatchOver(f"task {one.name}: the {DEADLINE_S:g} s of the batch were over")
        return do(one)
    except TidegateError as error:
        return replace(_item(one, "failed"), problem=problem(error))
    except Exception as error:
        # The others' outcomes must be told.
        log.exception("batch.crashed", task=one.task)
        return replace(_item(one, "failed"), problem=problem(error))


def _rule_for(rule: Any, task: str, project: str) -> RuleSpec:
    """The rule for one task, under a name of its own. Raises `AlertRuleInvalid`."""
    given = dict(rule)
    if given.keys() & {"applies_to", "project"}:
        raise AlertRuleInvalid("applies_to, project: are those of each task that was chosen")
    return parse_rule(
        given | {"alert_rule": f"{given.get('alert_rule')}_{task}", "applies_to": {"task": task}, "project": project}
    )
