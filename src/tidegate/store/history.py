"""What is old enough to be forgotten: key events, ended runs, and removed tasks of which nothing else is left."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, exists, select

from tidegate.model.lifecycle import State
from tidegate.store import lines, locks, points
from tidegate.store.rows import Cleanup
from tidegate.store.runs import discard_snapshots
from tidegate.store.tables import key_event, run, task, task_version


def list_tasks(tx: Connection, *, after: int, limit: int) -> list[tuple[int, bool]]:
    """The ids that follow `after`, in order, and whether each was removed."""
    found = tx.execute(select(task.c.id, task.c.state).where(task.c.id > after).order_by(task.c.id).limit(limit))
    return [(task_id, state == State.REMOVED.value) for task_id, state in found]


def old_events(tx: Connection, task_id: int, *, before: float, keep: int, limit: int) -> list[int]:
    """Ids of the task's key events from before then, without its newest `keep`, the oldest first."""
    of_task = key_event.c.task_id == task_id
    newest_old = select(key_event.c.id).where(of_task).order_by(key_event.c.id.desc()).offset(keep).limit(1)
    found = (
        select(key_event.c.id)
        .where(of_task, key_event.c.id <= newest_old.scalar_subquery(), key_event.c.at < before)
        .order_by(key_event.c.id)
        .limit(limit)
    )
    return list(tx.execute(found).scalars())


def old_runs(tx: Connection, task_id: int, *, before: float, keep: int, limit: int) -> list[int]:
    """Ids of the task's runs that ended before then, without its newest `keep`, the oldest first. A run of which
    something may still be at its source or target stays."""
    of_task = run.c.task_id == task_id
    newest_old = select(run.c.number).where(of_task).order_by(run.c.number.desc()).offset(keep).limit(1)
    found = (
        select(run.c.id)
        .where(of_task, run.c.number <= newest_old.scalar_subquery(), run.c.ended_at < before, _over())
        .order_by(run.c.number)
        .limit(limit)
    )
    return list(tx.execute(found).scalars())


def _over() -> ColumnElement[bool]:
    """Nothing will be done about the run any more."""
    given_up = (run.c.cleanup == Cleanup.LEFT.value) & run.c.cleanup_at.is_(None)
    return run.c.worker_pid.is_(None) & ((run.c.cleanup == Cleanup.DONE.value) | given_up)


def forget_events(tx: Connection, ids: Collection[int]) -> None:
    tx.execute(key_event.delete().where(key_event.c.id.in_(ids)))


def forget_runs(tx: Connection, ids: Collection[int]) -> None:
    """Those of which something is to be done again by now stay."""
    discard_snapshots(tx, list(ids))
    tx.execute(run.delete().where(run.c.id.in_(ids), _over()))
    points.forget_runs(tx, set(ids) - set(tx.execute(select(run.c.id).where(run.c.id.in_(ids))).scalars()))


def forget_task(tx: Connection, task_id: int) -> None:
    """A removed task, unless a run or a key event of it is left."""
    left = exists().where(run.c.task_id == task_id) | exists().where(key_event.c.task_id == task_id)
    gone = select(task.c.id).where(task.c.id == task_id, task.c.state == State.REMOVED.value, ~left)
    if tx.execute(gone).one_or_none() is not None:
        lines.forget_task(tx, task_id)
        locks.release(tx, task_id)
        tx.execute(task_version.delete().where(task_version.c.task_id == task_id))
        tx.execute(task.delete().where(task.c.id == task_id))
