"""The part of `Control` for what a task is: its definition as it is edited, and the versions that were submitted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from tidegate.errors import CommandRefused, Invalid, ReferenceUnknown, TaskInvalid, TidegateError
from tidegate.model.lifecycle import STATES, Held, State
from tidegate.model.problem import problem
from tidegate.model.task import TaskSpec, parse_task
from tidegate.server.costs import offer_views
from tidegate.server.desk import Desk
from tidegate.server.listing import enriched
from tidegate.server.local_engine import LOGS_KEPT
from tidegate.server.present import refusal_facts, run_view, snapshot_view, task_view, version_view
from tidegate.server.views import RunView, Side, TaskDetail, TaskView, VersionView
from tidegate.store import alerts, catalog, moves, runs, tasks
from tidegate.store.moves import Situation
from tidegate.store.rows import RunRow

NOTE_MAX = 500
OWNER_MAX = 100
# How many names a refusal lists.
KNOWN_TOLD_MAX = 20

# What a run that is kept for Continue was begun with; another value needs a run from scratch. Tables join and leave.
KEPT_BY_RUN = (
    ("source", "data_source"),
    ("source", "read"),
    ("target", "data_source"),
    ("target", "schema"),
    ("target", "table"),
    ("target", "write"),
    ("target", "stamp"),
)


class Definitions(Desk):
    def task_id(self, ref: int | str, *, project: str = "default") -> int:
        """The id of a task given by id (also as digits) or by name. Removed tasks are not found. Raises `NotFound`."""
        with self.db.read() as tx:
            return tasks.find_task(tx, ref, project)

    def project_of_task(self, ref: int | str, project: str) -> str:
        """The project of a task, given as `task_id` takes it. Raises `NotFound`."""
        with self.db.read() as tx:
            return tasks.project_of(tx, tasks.find_task(tx, ref, project))

    def tasks(
        self, project: str | None = None, *, drafts_only: bool = False, seen: Collection[str] | None = None
    ) -> list[TaskView]:
        """All tasks, drafts too, by name, or those alone that were never submitted; of the `seen` projects only (None:
        of all)."""
        with self.db.read() as tx:
            found, _ = tasks.list_tasks(tx, project_name=project, seen=seen)
            wanted = [one for one in found if not drafts_only or one[1].task.submitted is None]
            return [self._view(name, now_in) for name, now_in in wanted]

    def task_view(self, task: int) -> TaskView:
        """Raises `NotFound`."""
        with self.db.read() as tx:
            return self._task_view(tx, task)

    def detail(self, task: int) -> TaskDetail:
        """Raises `NotFound`."""
        with self.db.read() as tx:
            return self._detail(tx, task)

    def create_task(self, definition: Mapping[str, Any], *, actor: str) -> TaskDetail:
        """A draft, owned by `actor`. Raises `TaskInvalid`, `NameTaken`, `NotFound` (the project)."""
        spec = parse_task(definition)
        with self.db.write() as tx:
            project_id = catalog.get_project(tx, spec.project, lock=True).id
            task = tasks.add_task(tx, project_id, spec, owner=actor, now=self.clock.now())
            moves.record(tx, moves.get(tx, task), "created", now=self.clock.now(), actor=actor)
            return self._detail(tx, task)

    def edit_task(
        self, task: int, definition: Mapping[str, Any], *, version: int | None = None, actor: str
    ) -> TaskDetail:
        """Replace the definition; nothing that runs changes before it is submitted and next started. The project cannot
        change. Raises `NotFound`, `StaleVersion`, `TaskInvalid`, `NameTaken`, `TaskLocked`, `CommandRefused` while it
        is being removed."""
        spec = parse_task(definition)
        with self.db.write() as tx:
            now_in = moves.get(tx, task, lock=True)
            self.demand_unlocked(tx, now_in, actor)
            self.demand_version(now_in, version)
            if now_in.task.state is State.REMOVING:
                raise CommandRefused(f"task {now_in.task.name} is being removed", **refusal_facts(now_in))
            if spec.project != now_in.task.definition["project"]:
                raise TaskInvalid("project: cannot be changed; create the task anew in the other project")
            if spec.definition() != now_in.task.definition:
                tasks.edit_task(tx, now_in.task, spec)
                if spec.task != now_in.task.name:
                    now = self.clock.now()
                    alerts.follow_rename(tx, now_in.task.project_id, now_in.task.name, spec.task, now=now)
                moves.record(tx, moves.get(tx, task), "edited", now=self.clock.now(), actor=actor)
            return self._detail(tx, task)

    def change_owner(self, task: int, owner: str, *, version: int | None = None, actor: str) -> TaskView:
        """Hand the task to somebody; nothing else of it changes. Raises `NotFound`, `StaleVersion`, `Invalid` (the
        name), `TaskLocked`, `CommandRefused` while it is being removed."""
        checked_owner(owner)
        with self.db.write() as tx:
            now_in = moves.get(tx, task, lock=True)
            self.demand_unlocked(tx, now_in, actor)
            self.demand_version(now_in, version)
            if now_in.task.state is State.REMOVING:
                raise CommandRefused(f"task {now_in.task.name} is being removed", **refusal_facts(now_in))
            if owner != now_in.task.owner:
                tasks.change_task(tx, now_in.task, owner=owner)
                facts = {"before": now_in.task.owner, "owner": owner}
                after = moves.get(tx, task)
                moves.record(tx, after, "owner_changed", now=self.clock.now(), actor=actor, facts=facts)
            return self._task_view(tx, task)

    def submit(self, task: int, *, version: int | None = None, note: str = "", actor: str) -> TaskDetail:
        """Check the definition against its source and target and make it the newest version. A draft becomes
        Initialize; a task that is paused, failed or stopped keeps its status and opens with the new version next time.
        What was not edited since it was last submitted makes no new version.

        Raises `NotFound`, `StaleVersion`, `TaskLocked`, `CommandRefused` (while it runs or operates), what
        `DataPlane.check_task` found (the first one, with all of them as the fact `errors`), `ReferenceUnknown` (data
        source, resource group), `TaskInvalid` when it changes what a kept run cannot take over (`KEPT_BY_RUN`): stop
        first.
        """
        with self.db.read() as tx:
            self.demand_unlocked(tx, moves.get(tx, task), actor)
        found = self.submittable(task, version)
        if found is None:
            return self.detail(task)
        seen, spec, kinds = found
        with self.db.write() as tx:
            now_in = moves.get(tx, task, lock=True)
            self.demand_unlocked(tx, now_in, actor)
            self.demand_version(now_in, seen.task.version)
            self._resolved(tx, now_in, spec)
            self._submit(tx, now_in, spec, kinds, note=note[:NOTE_MAX], actor=actor)
            detail = self._detail(tx, task)
        self.wake(task)
        return detail

    def submittable(self, task: int, version: int | None) -> tuple[Situation, TaskSpec, tuple[str, str]] | None:
        """The definition that `submit` would make the newest version, with the kinds of its source and target; None:
        nothing was edited. Raises what `submit` does."""
        with self.db.read() as tx:
            seen = moves.get(tx, task)
            self.demand_version(seen, version)
            self._demand_submittable(tx, seen)
            if not seen.task.changed:
                return None
            spec = parse_task(seen.task.definition)
            source, target = self._resolved(tx, seen, spec)
        demand_none(self.data_plane.check_task(spec, source, target, self.task_key(task)))
        return seen, spec, (source[0], target[0])

    def versions(self, task: int) -> list[VersionView]:
        """Submitted definitions, newest first. Raises `NotFound`."""
        with self.db.read() as tx:
            moves.get(tx, task)
            return [version_view(row) for row in tasks.list_versions(tx, task)]

    # --- inside ---

    def _submit(
        self, tx: Connection, now_in: Situation, spec: TaskSpec, kinds: tuple[str, str], *, note: str, actor: str
    ) -> None:
        now, before = self.clock.now(), now_in.task
        number = (before.submitted or 0) + 1
        tasks.add_version(tx, before.id, number, spec.definition(), now=now, actor=actor, note=note)
        values = tasks.shown(spec) | {
            "submitted": number,
            "changed": False,
            "source_kind": kinds[0],
            "target_kind": kinds[1],
        }
        facts = {"version": number}
        if before.state is State.DRAFT:
            moves.move(tx, now_in, "submit", now=now, actor=actor, facts=facts, intent="submit", **values)
            return
        tasks.change_task(tx, before, **values)
        moves.record(tx, moves.get(tx, before.id), "submitted", now=now, actor=actor, facts=facts)

    def _demand_submittable(self, tx: Connection, now_in: Situation) -> None:
        task = now_in.task
        if not STATES[task.state].editable:
            raise CommandRefused(
                f"a new version of task {task.name} cannot be submitted while it is {STATES[task.state].status}; "
                f"pause or stop it first",
                **refusal_facts(now_in),
            )
        if now_in.run is None or now_in.held is Held.NOTHING or not task.changed:
            return
        kept = tasks.get_version(tx, task.id, now_in.run.version).definition
        changed = [".".join(path) for path in KEPT_BY_RUN if _at(kept, path) != _at(task.definition, path)]
        if changed:
            raise TaskInvalid(
                f"{', '.join(changed)}: cannot be changed while run {now_in.run.number} is kept; stop the task first",
                errors=[{"field": field, "problem": "is what the kept run was begun with"} for field in changed],
            )

    def _resolved(self, tx: Connection, now_in: Situation, spec: TaskSpec) -> tuple[Side, Side]:
        """The two data sources, locked in the order of their names while it is written. Raises `ReferenceUnknown`."""
        for name in sorted({spec.source.data_source, spec.target.data_source}):
            if catalog.find_data_source(tx, now_in.task.project_id, name, lock=True) is None:
                there = [row.name for row in catalog.list_data_sources(tx, now_in.task.project_id)]
                raise _unknown(spec, f'data source "{name}"', there)
        if catalog.find_group(tx, spec.resource_group) is None:
            there = [row.name for row in catalog.list_groups(tx)]
            raise _unknown(spec, f'resource group "{spec.resource_group}"', there)
        return self.sides(tx, now_in.task.project_id, spec)

    def _view(self, project: str, now_in: Situation) -> TaskView:
        run, ticks = now_in.run, self.clock.ticks()
        return task_view(
            project,
            now_in,
            now=self.clock.now(),
            limits=self.limits,
            log=self.logbook.of(run.id) if run else None,
            ticks=ticks,
            stale=self.motions.reason(run.id, run.epoch, ticks) if run else "",
            figures=self.meter.values(run.id, ticks) if run and STATES[now_in.task.state].worker else None,
        )

    def _task_view(self, tx: Connection, task: int) -> TaskView:
        found, _ = tasks.list_tasks(tx, task_ids=[task])
        if not found:
            moves.get(tx, task)
        return self._view(*found[0])

    def _detail(self, tx: Connection, task: int) -> TaskDetail:
        now_in = moves.get(tx, task)
        newest = runs.newest_snapshot(tx, now_in.run.id) if now_in.run else None
        return TaskDetail(
            task=enriched(tx, [self._task_view(tx, task)], [now_in])[0],
            definition=now_in.task.definition,
            offers=offer_views(now_in, newest, self.clock.now()),
            editable=STATES[now_in.task.state].editable,
            run=self._run_view(now_in.run) if now_in.run else None,
            snapshot=snapshot_view(newest, now_in.run.number) if newest and now_in.run else None,
        )

    def _run_view(self, run: RunRow) -> RunView:
        epochs = range(max(1, run.epoch - LOGS_KEPT + 1), run.epoch + 1)
        return run_view(run, [f"logs/{run.key}-{epoch}.log" for epoch in epochs])


def checked_owner(owner: str) -> None:
    """Raises `Invalid`."""
    if not 1 <= len(owner) <= OWNER_MAX or not owner.isprintable() or owner != owner.strip():
        raise Invalid(f"owner: must be 1 to {OWNER_MAX} characters that can be seen")


def _at(definition: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = definition
    for name in path:
        value = value[name]
    return value


def demand_none(found: Sequence[TidegateError]) -> None:
    """Raises the first, with all of them as the fact `errors`."""
    if not found:
        return
    if len(found) > 1 and "errors" not in found[0].facts:
        found[0].facts["errors"] = [problem(error) for error in found]
    raise found[0]


def _unknown(spec: TaskSpec, what: str, there: Sequence[str]) -> ReferenceUnknown:
    """Names what there is instead: most often it is a slip of the pen."""
    listed = ", ".join(sorted(there)[:KNOWN_TOLD_MAX]) + (", …" if len(there) > KNOWN_TOLD_MAX else "")
    return ReferenceUnknown(f"task {spec.task}: there is no {what} (there are: {listed or 'none'})")
