"""The only place where a task's state changes (I7): a legal move, its compare-and-set and its key event, in the
transaction of whatever else belongs to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, exists, func, select

from tidegate.errors import NotFound, StaleVersion
from tidegate.faultpoint import crossing
from tidegate.model.keyevent import BY_NAME as KEY_EVENTS_BY_NAME
from tidegate.model.keyevent import Level, names_at
from tidegate.model.lifecycle import COMMANDS, Held, State, next_state
from tidegate.store.rows import EventRow, RunRow, TaskRow, columns, read, width
from tidegate.store.tables import key_event, project, run, snapshot, task

SYSTEM = "tidegate"
"""The actor of what nobody asked for."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A task, its newest run, and what it holds of that run."""

    task: TaskRow
    run: RunRow | None
    held: Held


def has_snapshot() -> Any:
    """Whether the run in the same query has one."""
    return exists().where(snapshot.c.run_id == run.c.id)


def held_of(run: RunRow | None, snapshot: bool) -> Held:
    """An ended run holds nothing."""
    if run is None or run.ended_at is not None:
        return Held.NOTHING
    return Held.SNAPSHOT if snapshot else Held.RUN


def find(tx: Connection, task_id: int, *, lock: bool = False) -> Situation | None:
    """With `lock` nobody else changes the task until the transaction ends."""
    if lock:
        tx.execute(_LOCK, {"the_task": task_id})
    row = tx.execute(_FIND, {"the_task": task_id}).one_or_none()
    return situation(row) if row is not None else None


# Made once: to build a statement takes longer than to execute it.
_LOCK = select(task.c.id).where(task.c.id == bindparam("the_task")).with_for_update()
_FIND = (
    select(*columns(task, TaskRow), has_snapshot(), *columns(run, RunRow))
    .outerjoin(run, run.c.id == task.c.run_id)
    .where(task.c.id == bindparam("the_task"))
)


def situation(row: Any) -> Situation:
    """From a row of task, `has_snapshot()` and run columns."""
    upto = width(TaskRow)
    found = read(RunRow, row[upto + 1 :]) if row[upto + 1] is not None else None
    return Situation(read(TaskRow, row[:upto]), found, held_of(found, row[upto]))


def get(tx: Connection, task_id: int, *, lock: bool = False) -> Situation:
    """Raises `NotFound`, also for a removed task."""
    found = find(tx, task_id, lock=lock)
    if found is None or found.task.state is State.REMOVED:
        raise NotFound(f"there is no task {task_id}")
    return found


def still(tx: Connection, seen: Situation) -> Situation | None:
    """The situation as it is now, locked, if nobody changed the task and no epoch began or ended since it was seen.
    Otherwise None: what was decided by looking must not be done any more."""
    now_in = find(tx, seen.task.id, lock=True)
    if now_in is None or now_in.task.version != seen.task.version:
        return None
    before, after = seen.run, now_in.run
    if before is None or after is None:
        return now_in if before is after else None
    same = (before.id, before.epoch, before.token_hash) == (after.id, after.epoch, after.token_hash)
    return now_in if same else None


def move(
    tx: Connection,
    now_in: Situation,
    name: str,
    *,
    now: float,
    actor: str = SYSTEM,
    error: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    keep_error: bool = False,
    **changes: Any,
) -> Situation:
    """Carry out a move and write its key event. `changes` are further columns of the task; `error` goes to the key
    event, and with `keep_error` into the task until its next move. Returns the new situation.

    Raises `IllegalMove`, and `StaleVersion` if the task is not as `now_in` says any more.
    """
    before = now_in.task
    target = next_state(before.state, name, now_in.held)
    crossing("move.deciding")
    changed = tx.execute(
        task.update()
        .where(task.c.id == before.id, task.c.version == before.version, task.c.state == before.state.value)
        .values(
            **changes,
            state=target.value,
            version=before.version + 1,
            state_since=now,
            error=error if keep_error else None,
        )
    )
    if changed.rowcount != 1:
        raise StaleVersion(f"task {before.name} was changed meanwhile")
    after = get_any(tx, before.id)
    record(tx, after, name, now=now, actor=actor, error=error, facts=facts, states=(before.state, target))
    crossing("move.recorded")
    return after


def get_any(tx: Connection, task_id: int) -> Situation:
    """Also a removed task. It must exist."""
    found = find(tx, task_id)
    if found is None:
        raise NotFound(f"there is no task {task_id}")
    return found


def record(
    tx: Connection,
    now_in: Situation,
    name: str,
    *,
    now: float,
    actor: str = SYSTEM,
    error: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    states: tuple[State, State] | None = None,
) -> None:
    """Write a key event; one without `states` is no change of state."""
    tx.execute(
        key_event.insert().values(
            at=now,
            task_id=now_in.task.id,
            run_number=now_in.run.number if now_in.run else None,
            name=name,
            state_from=states[0].value if states else None,
            state_to=states[1].value if states else None,
            task_version=now_in.task.version,
            actor=actor,
            error=error,
            facts=dict(facts or {}),
        )
    )


def newest_event(tx: Connection, now_in: Situation, name: str) -> EventRow | None:
    """The newest key event of this name of the task's present run."""
    found = tx.execute(
        select(*columns(key_event, EventRow))
        .where(
            key_event.c.task_id == now_in.task.id,
            key_event.c.run_number == (now_in.run.number if now_in.run else None),
            key_event.c.name == name,
        )
        .order_by(key_event.c.id.desc())
        .limit(1)
    ).one_or_none()
    return read(EventRow, found) if found is not None else None


def newest_commands(tx: Connection, task_ids: Collection[int]) -> dict[int, tuple[str, float, str]]:
    """By task: the newest command that was accepted, when, and who gave it."""
    newest = (
        select(func.max(key_event.c.id))
        .where(key_event.c.task_id.in_(task_ids), key_event.c.name.in_(COMMANDS))
        .group_by(key_event.c.task_id)
    )
    query = select(key_event.c.task_id, key_event.c.name, key_event.c.at, key_event.c.actor)
    return {row[0]: (row[1], row[2], row[3]) for row in tx.execute(query.where(key_event.c.id.in_(newest)))}


def list_events(
    tx: Connection,
    *,
    limit: int,
    task_id: int | None = None,
    run_number: int | None = None,
    seen: Collection[str] | None = None,
    names: Collection[str] = (),
    levels: Collection[Level] = (),
    since: float | None = None,
    until: float | None = None,
    after: int = 0,
    before: int | None = None,
    oldest_first: bool = False,
) -> list[EventRow]:
    """Newest first unless asked otherwise; those with an id between `after` and `before`, from `since` until `until`.
    No `names` or no `levels`: all. `seen` are the projects that are there for whoever asks; None: all."""
    query = select(*columns(key_event, EventRow)).where(key_event.c.id > after)
    for column, wanted in ((key_event.c.task_id, task_id), (key_event.c.run_number, run_number)):
        if wanted is not None:
            query = query.where(column == wanted)
    if seen is not None:
        theirs = select(task.c.id).join(project, project.c.id == task.c.project_id).where(project.c.name.in_(seen))
        query = query.where(key_event.c.task_id.in_(theirs))
    if before is not None:
        query = query.where(key_event.c.id < before)
    if since is not None:
        query = query.where(key_event.c.at >= since)
    if until is not None:
        query = query.where(key_event.c.at < until)
    if names:
        query = query.where(key_event.c.name.in_(names))
    if levels:
        listed, unknown = names_at(levels)
        others = [name for name in KEY_EVENTS_BY_NAME if name not in listed]
        query = query.where(key_event.c.name.not_in(others) if unknown else key_event.c.name.in_(listed))
    query = query.order_by(key_event.c.id if oldest_first else key_event.c.id.desc())
    return [read(EventRow, row) for row in tx.execute(query.limit(limit))]
