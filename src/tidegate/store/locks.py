"""Edit locks: who holds a task's definition so that nobody else changes it meanwhile."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select

from tidegate.store.rows import columns, read
from tidegate.store.tables import edit_lock


@dataclass(frozen=True, slots=True)
class LockRow:
    task_id: int
    holder: str
    since: float


def find(tx: Connection, task_id: int) -> LockRow | None:
    query = select(*columns(edit_lock, LockRow)).where(edit_lock.c.task_id == task_id)
    row = tx.execute(query).one_or_none()
    return read(LockRow, row) if row is not None else None


def holders(tx: Connection, task_ids: Collection[int]) -> dict[int, str]:
    """Task → who holds it, of those that somebody does."""
    query = select(edit_lock.c.task_id, edit_lock.c.holder).where(edit_lock.c.task_id.in_(task_ids))
    return {row[0]: row[1] for row in tx.execute(query)}


def put(tx: Connection, task_id: int, holder: str, since: float) -> None:
    """In a transaction that has locked the task."""
    release(tx, task_id)
    tx.execute(edit_lock.insert().values(task_id=task_id, holder=holder, since=since))


def release(tx: Connection, task_id: int) -> None:
    tx.execute(edit_lock.delete().where(edit_lock.c.task_id == task_id))
