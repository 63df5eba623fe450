"""What every part of `Control` works with: the store, the data plane, the clock, and how the reconciler is woken."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from tidegate.errors import NoUnits, ObjectMissing, StaleVersion, TaskLocked
from tidegate.model.folders import Folders
from tidegate.model.principal import Principal
from tidegate.model.task import TaskSpec, parse_task
from tidegate.server.attendance import Attendance
from tidegate.server.clock import Clock, SystemClock
from tidegate.server.connectivity import files_of
from tidegate.server.dataplane import DataPlane
from tidegate.server.journal import Journal
from tidegate.server.limits import Limits
from tidegate.server.logbook import LogBook
from tidegate.server.motion import Motions
from tidegate.server.present import refusal_facts
from tidegate.server.signonconfig import SignOnConfig
from tidegate.server.views import Side, rfc3339
from tidegate.store import catalog, locks, runs, tasks
from tidegate.store.locks import LockRow
from tidegate.store.moves import Situation
from tidegate.store.opening import Store
from tidegate.store.rows import DataSourceRow, RunRow
from tidegate.watch.meter import Meter
from tidegate.watch.outbound import Outbound


class Desk:
    """`wake(task id)` has the reconciler look at a task at once."""

    def __init__(
        self,
        store: Store,
        data_plane: DataPlane,
        *,
        clock: Clock | None = None,
        limits: Limits | None = None,
        attendance: Attendance | None = None,
        meter: Meter | None = None,
        wake: Callable[[int], None] = lambda task: None,
        outbound: Outbound | None = None,
        folders: Folders | None = None,
        sign_on: SignOnConfig | None = None,
    ) -> None:
        self.store = store
        self.db = store.database
        self.data_plane = data_plane
        self.clock = clock or SystemClock()
        self.limits = limits or Limits()
        self.attendance = attendance or Attendance()
        self.meter = meter or Meter()
        self.wake = wake
        self.journal = Journal(
            self.db, self.clock, keep_s=self.limits.keep_lines_s, keep_bytes=self.limits.keep_lines_bytes
        )
        self.logbook = LogBook()
        self.motions = Motions()
        self.outbound = outbound or Outbound()
        self.folders = folders or Folders(str(store.data_dir))
        self.sign_on = sign_on

    # --- what a task refers to ---

    def side_of(self, row: DataSourceRow) -> Side:
        """Raises `SecretKeyWrong`."""
        return row.kind, {**row.config, **self.store.vault.open(row.secrets, sealed_for(row.project_id, row.name))}

    def sides(self, tx: Connection, project_id: int, spec: TaskSpec) -> tuple[Side, Side]:
        """Raises `ObjectMissing` if a data source is not there, `FileNotAllowed`."""
        sides = self.unchecked_sides(tx, project_id, spec)
        for side in sides:
            self.demand_files(side, spec.project)
        return sides

    def unchecked_sides(self, tx: Connection, project_id: int, spec: TaskSpec) -> tuple[Side, Side]:
        """For a worker, which looks itself where files are before it opens them: links are followed where it runs."""
        found = []
        for name in (spec.source.data_source, spec.target.data_source):
            row = catalog.find_data_source(tx, project_id, name)
            if row is None:
                raise ObjectMissing(f"data source {name} of task {spec.task} does not exist", data_source=name)
            found.append(self.side_of(row))
        return found[0], found[1]

    def demand_files(self, side: Side, project: str, by: Principal | None = None) -> None:
        """Before a data source's files are touched; `by` is who names them, None: they were saved before. Where the
        setting says nothing, whoever may do everything names any, and what they saved is good for all. Raises
        `FileNotAllowed`."""
        trusted = by is None or (by.administrator and by.limit.whole)
        for path in files_of(side):
            if self.folders.listed is not None or not trusted:
                self.folders.demand(path, project, of=f"{side[0]} data source")
            if by is not None:
                self.folders.make(path, project)

    def run_spec(self, tx: Connection, run: RunRow) -> TaskSpec:
        """The definition the run was last opened with."""
        return parse_task(tasks.get_version(tx, run.task_id, run.version).definition)

    def task_key(self, task: int) -> str:
        """What the keys of all the task's runs begin with."""
        return runs.task_key(self.store.server_id, task)

    # --- rules shared by commands ---

    def demand_version(self, now_in: Situation, version: int | None) -> None:
        """Raises `StaleVersion` unless it is None or the task's present one."""
        task = now_in.task
        if version is not None and version != task.version:
            raise StaleVersion(
                f"task {task.name} is at version {task.version} ({task.state}), not {version}", **refusal_facts(now_in)
            )

    def demand_unlocked(self, tx: Connection, now_in: Situation, actor: str) -> None:
        """Raises `TaskLocked` while somebody else holds the task's edit lock."""
        held = locks.find(tx, now_in.task.id)
        if held is not None and held.holder != actor:
            raise lock_refusal(now_in.task.name, held)

    def demand_units(self, tx: Connection, spec: TaskSpec) -> None:
        """Counted in the transaction of the move that takes them, so that two cannot take the same. Raises `NoUnits`
        naming who holds them, `ObjectMissing` if the group is not there."""
        group = catalog.find_group(tx, spec.resource_group, lock=True)
        if group is None:
            raise ObjectMissing(f"resource group {spec.resource_group} of task {spec.task} does not exist")
        holders = catalog.unit_holders(tx, group.name)
        used = sum(units for _, _, units in holders)
        if used + spec.units > group.units:
            # Other projects' tasks are not named: whoever asks may not see them.
            own = [f"{name} {units}" for of, name, units in holders if of == spec.project]
            others = sum(units for of, _, units in holders if of != spec.project)
            listed = ", ".join(own[:10] + ([f"other projects {others}"] if others else [])) or "nobody"
            raise NoUnits(
                f"task {spec.task} needs {spec.units} of the {group.units} units of {group.name}; {used} are taken "
                f"({listed})",
                group=group.name,
                units=group.units,
                used=used,
                needed=spec.units,
            )


def lock_refusal(name: str, held: LockRow) -> TaskLocked:
    return TaskLocked(f"{held.holder} holds task {name} since {rfc3339(held.since)}", holder=held.holder)


def sealed_for(project_id: int, name: str) -> str:
    """What a data source's secrets are bound to: copied into another row they do not open."""
    return f"data source {project_id}/{name}"
