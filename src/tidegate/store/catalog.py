"""Settings, projects, data sources and resource groups: what tasks refer to by name.

Functions take a transaction of `Database`; a record that is not there is None or `NotFound` as each says.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from tidegate.errors import InUse, NameTaken, NotFound, StaleVersion
from tidegate.model.lifecycle import STATES, State
from tidegate.store.rows import DataSourceRow, GroupRow, ProjectRow, columns, read
from tidegate.store.tables import (
    alert_channel,
    alert_rule,
    data_source,
    member,
    project,
    resource_group,
    run,
    setting,
    task,
)

UNIT_STATES = tuple(state.value for state, facts in STATES.items() if facts.units)


# --- settings -------------------------------------------------------------------------------------------------


def get_setting(tx: Connection, name: str) -> str | None:
    return tx.execute(select(setting.c.value).where(setting.c.name == name)).scalar_one_or_none()


def add_setting(tx: Connection, name: str, value: str) -> None:
    tx.execute(setting.insert().values(name=name, value=value))


def set_setting(tx: Connection, name: str, value: str) -> None:
    """Also one that is not there."""
    if tx.execute(setting.update().where(setting.c.name == name).values(value=value)).rowcount != 1:
        add_setting(tx, name, value)


def replace_setting(tx: Connection, name: str, was: str, value: str) -> bool:
    """Whether it was that until now."""
    changed = setting.update().where(setting.c.name == name, setting.c.value == was).values(value=value)
    return tx.execute(changed).rowcount == 1


# --- projects -------------------------------------------------------------------------------------------------


def list_projects(tx: Connection) -> list[tuple[ProjectRow, int]]:
    """Each with the number of its tasks, by name."""
    tasks = (
        select(func.count())
        .select_from(task)
        .where(task.c.project_id == project.c.id, task.c.state != State.REMOVED.value)
        .scalar_subquery()
    )
    found = tx.execute(select(*columns(project, ProjectRow), tasks).order_by(project.c.name))
    return [(read(ProjectRow, row[:-1]), row[-1]) for row in found]


def get_project(tx: Connection, name: str, *, lock: bool = False) -> ProjectRow:
    """Raises `NotFound`."""
    query = select(*columns(project, ProjectRow)).where(project.c.name == name)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no project {name}")
    return read(ProjectRow, row)


def project_name(tx: Connection, key: int) -> str:
    found: str = tx.execute(select(project.c.name).where(project.c.id == key)).scalar_one()
    return found


def add_project(tx: Connection, *, name: str, description: str, now: float) -> None:
    """Raises `NameTaken`."""
    try:
        tx.execute(project.insert().values(name=name, description=description, created_at=now))
    except IntegrityError:
        raise NameTaken(f"there is a project {name} already") from None


def change_project(tx: Connection, project_id: int, *, description: str) -> None:
    tx.execute(project.update().where(project.c.id == project_id).values(description=description))


def networks_of_projects(tx: Connection) -> dict[str, list[str] | None]:
    """By the project's name, the networks it may be reached from; None: all."""
    found = tx.execute(select(project.c.name, project.c.allow_from))
    return {row.name: row.allow_from for row in found}


def set_networks(tx: Connection, project_id: int, networks: list[str] | None) -> None:
    tx.execute(project.update().where(project.c.id == project_id).values(allow_from=networks))


def delete_project(tx: Connection, held: ProjectRow) -> None:
    """Raises `InUse` while it has tasks (removed ones count: their key events are kept) or data sources."""
    for kind, table in (("tasks", task), ("data sources", data_source)):
        count = tx.execute(select(func.count()).select_from(table).where(table.c.project_id == held.id)).scalar_one()
        if count:
            raise InUse(f"project {held.name} has {count} {kind}, removed ones counted")
    for theirs in (alert_rule, alert_channel, member):
        tx.execute(theirs.delete().where(theirs.c.project_id == held.id))
    tx.execute(project.delete().where(project.c.id == held.id))


# --- data sources ---------------------------------------------------------------------------------------------


def list_data_sources(tx: Connection, project_id: int) -> list[DataSourceRow]:
    query = select(*columns(data_source, DataSourceRow)).where(data_source.c.project_id == project_id)
    return [read(DataSourceRow, row) for row in tx.execute(query.order_by(data_source.c.name))]


def find_data_source(tx: Connection, project_id: int, name: str, *, lock: bool = False) -> DataSourceRow | None:
    query = select(*columns(data_source, DataSourceRow)).where(
        data_source.c.project_id == project_id, data_source.c.name == name
    )
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return read(DataSourceRow, row) if row is not None else None


def data_source_by_id(tx: Connection, key: int) -> DataSourceRow | None:
    row = tx.execute(select(*columns(data_source, DataSourceRow)).where(data_source.c.id == key)).one_or_none()
    return read(DataSourceRow, row) if row is not None else None


def get_data_source(tx: Connection, project_id: int, name: str, *, lock: bool = False) -> DataSourceRow:
    """Raises `NotFound`."""
    found = find_data_source(tx, project_id, name, lock=lock)
    if found is None:
        raise NotFound(f"there is no data source {name}")
    return found


def add_data_source(tx: Connection, *, now: float, **values: Any) -> None:
    """Raises `NameTaken`."""
    try:
        tx.execute(data_source.insert().values(**values, version=1, created_at=now, changed_at=now))
    except IntegrityError:
        raise NameTaken(f"there is a data source {values['name']} already") from None


def change_data_source(tx: Connection, held: DataSourceRow, *, now: float, **values: Any) -> None:
    tx.execute(
        data_source.update()
        .where(data_source.c.id == held.id)
        .values(**values, version=held.version + 1, changed_at=now)
    )


def delete_data_source(tx: Connection, held: DataSourceRow) -> None:
    """Raises `InUse`."""
    if users := data_source_users(tx, held.project_id).get(held.name):
        raise InUse(f"data source {held.name} is used by {', '.join(users)}")
    tx.execute(data_source.delete().where(data_source.c.id == held.id))


def data_source_users(tx: Connection, project_id: int) -> dict[str, list[str]]:
    """Data source → the names of the tasks that read or write it, by name."""
    found = tx.execute(
        select(task.c.name, task.c.source_name, task.c.target_name)
        .where(task.c.project_id == project_id, task.c.state != State.REMOVED.value)
        .order_by(task.c.name)
    )
    users: dict[str, list[str]] = {}
    for name, *used in found:
        for one in dict.fromkeys(used):
            users.setdefault(one, []).append(name)
    return users


# --- resource groups ------------------------------------------------------------------------------------------


def list_groups(tx: Connection) -> list[GroupRow]:
    query = select(*columns(resource_group, GroupRow)).order_by(resource_group.c.name)
    return [read(GroupRow, row) for row in tx.execute(query)]


def find_group(tx: Connection, name: str, *, lock: bool = False) -> GroupRow | None:
    query = select(*columns(resource_group, GroupRow)).where(resource_group.c.name == name)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return read(GroupRow, row) if row is not None else None


def get_group(tx: Connection, name: str, *, lock: bool = False) -> GroupRow:
    """Raises `NotFound`."""
    found = find_group(tx, name, lock=lock)
    if found is None:
        raise NotFound(f"there is no resource group {name}")
    return found


def add_group(tx: Connection, **values: Any) -> None:
    """Raises `NameTaken`."""
    try:
        tx.execute(resource_group.insert().values(**values, version=1))
    except IntegrityError:
        raise NameTaken(f"there is a resource group {values['name']} already") from None


def change_group(tx: Connection, held: GroupRow, **values: Any) -> None:
    tx.execute(resource_group.update().where(resource_group.c.id == held.id).values(**values, version=held.version + 1))


def delete_group(tx: Connection, held: GroupRow) -> None:
    """Raises `InUse`."""
    if users := group_users(tx).get(held.name):
        raise InUse(f"resource group {held.name} is used by {', '.join(users)}")
    tx.execute(resource_group.delete().where(resource_group.c.id == held.id))


def group_users(tx: Connection) -> dict[str, list[str]]:
    """Resource group → the names of the tasks that name it, or whose run still is in it."""
    found = tx.execute(
        select(task.c.name, task.c.group_name, run.c.group_name)
        .outerjoin(run, (run.c.id == task.c.run_id) & run.c.ended_at.is_(None))
        .where(task.c.state != State.REMOVED.value)
        .order_by(task.c.name)
    )
    users: dict[str, list[str]] = {}
    for name, *used in found:
        for one in dict.fromkeys(group for group in used if group is not None):
            users.setdefault(one, []).append(name)
    return users


def units_used(tx: Connection) -> dict[str, list[tuple[str, int]]]:
    """Resource group → tasks that hold units now, and how many each."""
    found = tx.execute(
        select(run.c.group_name, task.c.name, run.c.units)
        .join(task, task.c.run_id == run.c.id)
        .where(task.c.state.in_(UNIT_STATES))
        .order_by(task.c.name)
    )
    used: dict[str, list[tuple[str, int]]] = {}
    for group, name, units in found:
        used.setdefault(group, []).append((name, units))
    return used


def unit_holders(tx: Connection, group: str) -> list[tuple[str, str, int]]:
    """Project, name and units of the tasks that hold units of the group now, by name."""
    query = (
        select(project.c.name, task.c.name, run.c.units)
        .join(task, task.c.run_id == run.c.id)
        .join(project, project.c.id == task.c.project_id)
        .where(task.c.state.in_(UNIT_STATES), run.c.group_name == group)
        .order_by(task.c.name)
    )
    return [(row[0], row[1], row[2]) for row in tx.execute(query)]


def demand_version(held: DataSourceRow | GroupRow, version: int | None) -> None:
    """Raises `StaleVersion` unless it is None or the present one."""
    if version is not None and version != held.version:
        raise StaleVersion(f"{held.name} is at version {held.version}, not {version}", version=held.version)
