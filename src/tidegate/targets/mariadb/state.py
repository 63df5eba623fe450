"""A run's state inside the target server, in the database `tidegate`: the position and epoch, the progress entries, and
which tables a task feeds. Functions work in the caller's transaction, but `create`, which has none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from pymysql.cursors import Cursor

from tidegate.connect.fitting import STATE_SCHEMA
from tidegate.connect.mariadb import literal
from tidegate.connect.runkey import sharing, task_of
from tidegate.connect.target import Progress, Stored
from tidegate.errors import Fenced, TargetPositionMismatch

# Names compare by their characters whatever collation the server prefers; the longest key takes 2816 bytes of an index.
_NAME = "VARCHAR({}) CHARACTER SET utf8mb4 COLLATE {}"
_LONG = "LONGTEXT CHARACTER SET utf8mb4 COLLATE {}"
TABLES = ("position", "progress", "fed_table")

_ENTRIES_BYTES = 1 << 20


def _definitions(collation: str) -> tuple[str, ...]:
    run, key, schema = (_NAME.format(length, collation) for length in (192, 512, 64))
    long = _LONG.format(collation)
    return (
        f"`position` (run {run} PRIMARY KEY, epoch BIGINT NOT NULL, `position` {long},"
        " written_at DATETIME(6) NOT NULL)",
        f"progress (run {run}, `key` {key}, `value` {long} NOT NULL, PRIMARY KEY (run, `key`))",
        f"fed_table (`schema` {schema}, name {schema}, task {run}, mark {_NAME.format(64, collation)} NOT NULL,"
        " PRIMARY KEY (`schema`, name, task))",
    )


def exists(cursor: Cursor) -> bool:
    """Whether all state tables are there."""
    cursor.execute(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'tidegate'"
        " AND table_name IN ('position', 'progress', 'fed_table')"
    )
    found = cursor.fetchone()
    return found is not None and int(found[0]) == len(TABLES)


def create(cursor: Cursor, collation: str) -> None:
    """Make the state tables where they are missing; needs no privilege when they are there. Commits by itself."""
    if exists(cursor):
        return
    cursor.execute("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'tidegate'")
    found = cursor.fetchone()
    if found is None or not int(found[0]):
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS {STATE_SCHEMA} CHARACTER SET utf8mb4")
    for definition in _definitions(collation):
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {STATE_SCHEMA}.{definition} ENGINE = InnoDB")


def alive(run: str, epoch: int) -> str:
    """The name of the lock a worker's connection holds as long as it lives, by which it can be found."""
    return _lock(f"tidegate {run} {epoch}")


def shaping(run: str) -> str:
    """The name of the lock under which a run's tables are made and changed, and under which it is taken over: a change
    of a table commits by itself, so that a transaction cannot guard it (I5)."""
    return _lock(f"tidegate {run} ddl")


MARKING = "tidegate mark"
"""The lock under which a table gets its mark."""


def _lock(name: str) -> str:
    """Servers take at most 64 characters."""
    return name if len(name) <= 64 else hashlib.sha256(name.encode()).hexdigest()


def take(cursor: Cursor, run: str, epoch: int) -> None:
    """Make `epoch` the run's. Raises `Fenced` if a newer one was here; waits for a write of an older one to end."""
    cursor.execute(
        "INSERT INTO tidegate.`position` (run, epoch, written_at) VALUES (%s, %s, UTC_TIMESTAMP(6))"
        " ON DUPLICATE KEY UPDATE epoch = GREATEST(epoch, VALUES(epoch))",
        (run, epoch),
    )
    newest = epoch_of(cursor, run)
    if newest is not None and newest > epoch:
        raise Fenced(f"run {run}: epoch {newest} has opened it at the target, {epoch} is older", epoch=newest)


def epoch_of(cursor: Cursor, run: str) -> int | None:
    """The newest epoch that took the run over."""
    if not exists(cursor):
        return None
    cursor.execute("SELECT epoch FROM tidegate.`position` WHERE run = %s", (run,))
    found = cursor.fetchone()
    return int(found[0]) if found else None


def fence(cursor: Cursor, run: str, epoch: int) -> None:
    """Lock the run's row for this transaction (I5). Raises `Fenced`; `TargetPositionMismatch` if the row is gone."""
    cursor.execute("SELECT epoch FROM tidegate.`position` WHERE run = %s FOR UPDATE", (run,))
    found = cursor.fetchone()
    if found is None:
        raise TargetPositionMismatch(f"run {run}: its row in tidegate.position is gone")
    if int(found[0]) != epoch:
        raise Fenced(f"run {run}: epoch {found[0]} has taken over from epoch {epoch}", epoch=int(found[0]))


def advance(cursor: Cursor, run: str, progress: Progress) -> None:
    """Store the position and the entries, in the transaction that holds the rows (I1)."""
    cursor.execute(
        "UPDATE tidegate.`position` SET `position` = %s, written_at = UTC_TIMESTAMP(6) WHERE run = %s",
        (progress.position, run),
    )
    gone = [literal(key) for key, value in progress.entries.items() if value is None]
    held = [
        f"({literal(run)}, {literal(key)}, {literal(value)})"
        for key, value in progress.entries.items()
        if value is not None
    ]
    for some in _some(gone):
        cursor.execute(f"DELETE FROM tidegate.progress WHERE run = {literal(run)} AND `key` IN ({', '.join(some)})")
    for some in _some(held):
        cursor.execute(
            f"INSERT INTO tidegate.progress (run, `key`, `value`) VALUES {', '.join(some)}"
            " ON DUPLICATE KEY UPDATE `value` = VALUES(`value`)"
        )


def _some(parts: Sequence[str]) -> Iterable[list[str]]:
    """The parts in groups that a statement can hold, whatever the server's max_allowed_packet."""
    group: list[str] = []
    size = 0
    for part in parts:
        if group and size + len(part) > _ENTRIES_BYTES:
            yield group
            group, size = [], 0
        group.append(part)
        size += len(part)
    if group:
        yield group


def stored(cursor: Cursor, run: str) -> Stored | None:
    """What the run stored last; None if it has stored nothing."""
    if not exists(cursor):
        return None
    # One statement: position and entries are of one moment.
    cursor.execute(
        "SELECT p.`position`, e.`key`, e.`value` FROM tidegate.`position` AS p"
        " LEFT JOIN tidegate.progress AS e ON e.run = p.run WHERE p.run = %s",
        (run,),
    )
    rows = cursor.fetchall()
    if not rows or rows[0][0] is None:
        return None
    return Stored(rows[0][0], {key: value for _, key, value in rows if key is not None})


def forget(cursor: Cursor, run: str) -> None:
    if exists(cursor):
        cursor.execute("DELETE FROM tidegate.`position` WHERE run = %s", (run,))
        cursor.execute("DELETE FROM tidegate.progress WHERE run = %s", (run,))


def fed(cursor: Cursor, run: str) -> dict[tuple[str, str], str]:
    """The tables that runs of the same task made their own, as they were spelled, with the mark each had."""
    if not exists(cursor):
        return {}
    cursor.execute("SELECT `schema`, name, mark FROM tidegate.fed_table WHERE task = %s", (task_of(run),))
    return {(schema, name): mark for schema, name, mark in cursor.fetchall()}


def sharer(cursor: Cursor, run: str, schema: str, name: str) -> str | None:
    """See `Target.sharer`. Where a run has no position any more it was stopped."""
    if not exists(cursor):
        return None
    cursor.execute("SELECT task FROM tidegate.fed_table WHERE `schema` = %s AND name = %s", (schema, name))
    tasks = {task for (task,) in cursor.fetchall()}
    cursor.execute("SELECT run FROM tidegate.`position` ORDER BY run")
    return sharing(run, tasks, (other for (other,) in cursor.fetchall()))


def feed(cursor: Cursor, run: str, schema: str, name: str, mark: str) -> None:
    """Note that the table's rows are this task's from now on, and which table it is."""
    cursor.execute(
        "INSERT INTO tidegate.fed_table (`schema`, name, task, mark) VALUES (%s, %s, %s, %s)"
        " ON DUPLICATE KEY UPDATE mark = VALUES(mark)",
        (schema, name, task_of(run), mark),
    )
