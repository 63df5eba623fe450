"""Tasks' definitions, their submitted versions, and the lists of tasks. States change only in `moves`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, case, func, select
from sqlalchemy.exc import IntegrityError

from tidegate.errors import NameTaken, NotFound, StaleVersion
from tidegate.model.lifecycle import STATES, State
from tidegate.model.task import TaskSpec
from tidegate.store.moves import Situation, has_snapshot, situation
from tidegate.store.rows import RunRow, TaskRow, VersionRow, columns, read
from tidegate.store.tables import project, run, task, task_version

ID_MAX = 2**63 - 1


def shown(spec: TaskSpec) -> dict[str, Any]:
    """What lists show of a definition."""
    return {
        "kind": spec.kind.value,
        "source_name": spec.source.data_source,
        "target_name": spec.target.data_source,
        "read": spec.source.read.value,
        "write": spec.target.write.value,
        "group_name": spec.resource_group,
        "units": spec.units,
    }


def add_task(tx: Connection, project_id: int, spec: TaskSpec, *, owner: str, now: float) -> int:
    """A draft; its id. Raises `NameTaken`."""
    values = shown(spec) | {
        "project_id": project_id,
        "name": spec.task,
        "description": spec.description,
        "owner": owner,
        "state": State.DRAFT.value,
        "intent": "",
        "version": 1,
        "state_since": now,
        "created_at": now,
        "definition": spec.definition(),
        "changed": True,
    }
    try:
        added = tx.execute(task.insert().values(values))
    except IntegrityError:
        raise NameTaken(f"there is a task {spec.task} already") from None
    key: int = added.inserted_primary_key[0]  # type: ignore[index]  # an insert of one row always has it
    return key


def edit_task(tx: Connection, held: TaskRow, spec: TaskSpec) -> None:
    """Replace the definition; of a draft also what lists show. Raises `NameTaken`, `StaleVersion`."""
    values: dict[str, Any] = {"name": spec.task, "description": spec.description, "definition": spec.definition()}
    if held.submitted is None:
        values |= shown(spec)
    try:
        change_task(tx, held, **values, changed=True)
    except IntegrityError:
        raise NameTaken(f"there is a task {spec.task} already") from None


def change_task(tx: Connection, held: TaskRow, **values: Any) -> None:
    """Set columns other than the state. Raises `StaleVersion` if it is not as `held` says any more."""
    changed = tx.execute(
        task.update()
        .where(task.c.id == held.id, task.c.version == held.version)
        .values(**values, version=held.version + 1)
    )
    if changed.rowcount != 1:
        raise StaleVersion(f"task {held.name} was changed meanwhile")


def find_task(tx: Connection, ref: int | str, project_name: str) -> int:
    """The id of a task given by id or name. Raises `NotFound`."""
    query = select(task.c.id).where(task.c.state != State.REMOVED.value)
    if isinstance(ref, int) or (ref.isascii() and ref.isdigit()):
        query = query.where(task.c.id == min(int(ref), ID_MAX))
    else:
        query = query.join(project, project.c.id == task.c.project_id)
        query = query.where(task.c.name == ref, project.c.name == project_name)
    found: int | None = tx.execute(query).scalar_one_or_none()
    if found is None:
        raise NotFound(f"there is no task {ref}")
    return found


def project_of(tx: Connection, task_id: int) -> str:
    """The name of the project that the task is in."""
    found: str = tx.execute(
        select(project.c.name).join(task, task.c.project_id == project.c.id).where(task.c.id == task_id)
    ).scalar_one()
    return found


def owned(tx: Connection, owner: str, project_name: str | None = None) -> list[str]:
    """The names of this owner's tasks that have a run which has not ended, by name."""
    query = (
        select(task.c.name)
        .join(project, project.c.id == task.c.project_id)
        .join(run, run.c.id == task.c.run_id)
        .where(task.c.owner == owner, task.c.state != State.REMOVED.value, run.c.ended_at.is_(None))
        .order_by(task.c.name)
    )
    if project_name is not None:
        query = query.where(project.c.name == project_name)
    return list(tx.execute(query).scalars())


# --- versions -------------------------------------------------------------------------------------------------


def add_version(
    tx: Connection, task_id: int, number: int, definition: Mapping[str, Any], *, now: float, actor: str, note: str
) -> None:
    tx.execute(
        task_version.insert().values(
            task_id=task_id, number=number, definition=definition, submitted_at=now, submitted_by=actor, note=note
        )
    )


def get_version(tx: Connection, task_id: int, number: int) -> VersionRow:
    query = select(*columns(task_version, VersionRow)).where(
        task_version.c.task_id == task_id, task_version.c.number == number
    )
    return read(VersionRow, tx.execute(query).one())


def list_versions(tx: Connection, task_id: int) -> list[VersionRow]:
    """Newest first."""
    query = select(*columns(task_version, VersionRow)).where(task_version.c.task_id == task_id)
    return [read(VersionRow, row) for row in tx.execute(query.order_by(task_version.c.number.desc()))]


# --- lists ----------------------------------------------------------------------------------------------------

_STATUS = case({state.value: facts.status for state, facts in STATES.items()}, value=task.c.state)
SORTS: Mapping[str, Any] = {
    "name": task.c.name,
    "status": _STATUS,
    "owner": task.c.owner,
    "source": task.c.source_name,
    "target": task.c.target_name,
    "resource_group": task.c.group_name,
    "created_at": task.c.created_at,
    "state_since": task.c.state_since,
    "lag_s": run.c.lag_s,
    "lag_bytes": run.c.lag_bytes,
}


def list_tasks(
    tx: Connection,
    *,
    task_ids: Sequence[int] | None = None,
    submitted: bool = False,
    project_name: str | None = None,
    seen: Collection[str] | None = None,
    statuses: Sequence[str] = (),
    name_part: str | None = None,
    equal: Mapping[str, str | None] | None = None,
    sort: str = "name",
    descending: bool = False,
    offset: int = 0,
    limit: int | None = None,
) -> tuple[list[tuple[str, Situation]], int]:
    """Tasks that are not removed, with their project's name, and how many match in all. `seen` are the projects that
    are there for whoever asks (None: all); `equal` compares columns."""
    query: Select[Any] = (
        select(project.c.name, *columns(task, TaskRow), has_snapshot(), *columns(run, RunRow))
        .join(project, project.c.id == task.c.project_id)
        .outerjoin(run, run.c.id == task.c.run_id)
        .where(task.c.state != State.REMOVED.value)
    )
    if task_ids is not None:
        query = query.where(task.c.id.in_(task_ids))
    query = _matching(query, submitted, project_name, seen, name_part, equal)
    if statuses:
        query = query.where(task.c.state.in_([s.value for s, facts in STATES.items() if facts.status in statuses]))
    total = 0
    if limit is not None:
        total = tx.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    order = SORTS[sort].desc() if descending else SORTS[sort].asc()
    rows = tx.execute(query.order_by(order.nulls_last(), task.c.id).offset(offset).limit(limit)).all()
    found = [(row[0], situation(row[1:])) for row in rows]
    return found, total if limit is not None else len(found)


def _matching(
    query: Select[Any],
    submitted: bool,
    project_name: str | None,
    seen: Collection[str] | None,
    name_part: str | None,
    equal: Mapping[str, str | None] | None,
) -> Select[Any]:
    if submitted:
        query = query.where(task.c.submitted.is_not(None))
    if project_name is not None:
        query = query.where(project.c.name == project_name)
    if seen is not None:
        query = query.where(project.c.name.in_(seen))
    if name_part:
        query = query.where(task.c.name.icontains(name_part, autoescape=True))
    for column, value in (equal or {}).items():
        if value is not None:
            query = query.where(task.c[column] == value)
    return query


FACETS = ("owner", "source_kind", "target_kind", "group_name")


def count_tasks(
    tx: Connection,
    *,
    project_name: str | None = None,
    seen: Collection[str] | None = None,
    name_part: str | None = None,
    equal: Mapping[str, str | None] | None = None,
) -> list[tuple[State, str | None, tuple[str | None, ...], int]]:
    """Of submitted tasks: state, health of the run, the columns of `FACETS`, and how many there are of those."""
    told_apart = (task.c.state, run.c.health, *(task.c[name] for name in FACETS))
    query: Select[Any] = (
        select(*told_apart, func.count())
        .join(project, project.c.id == task.c.project_id)
        .outerjoin(run, run.c.id == task.c.run_id)
        .where(task.c.state != State.REMOVED.value)
        .group_by(*told_apart)
    )
    query = _matching(query, True, project_name, seen, name_part, equal)
    return [(State(row[0]), row[1], tuple(row[2:-1]), row[-1]) for row in tx.execute(query)]


def run_ids(tx: Connection, seen: Collection[str]) -> set[int]:
    """The runs that tasks of these projects are in."""
    query = select(task.c.run_id).join(project, project.c.id == task.c.project_id)
    return set(tx.execute(query.where(project.c.name.in_(seen), task.c.run_id.is_not(None))).scalars())


def marks(tx: Connection) -> dict[str, tuple[int, int]]:
    """By the project's name: another than an earlier one if a task of it was added, removed, changed or moved since."""
    counted = select(project.c.name, func.count(), func.sum(task.c.version))
    found = tx.execute(counted.join(task, task.c.project_id == project.c.id).group_by(project.c.name))
    return {name: (int(count), int(versions)) for name, count, versions in found}


def in_states(tx: Connection, states: Sequence[State]) -> list[tuple[int, State, int]]:
    """Id, state and version of the tasks in these states."""
    query = select(task.c.id, task.c.state, task.c.version).where(task.c.state.in_([state.value for state in states]))
    return [(key, State(state), version) for key, state, version in tx.execute(query.order_by(task.c.id))]
