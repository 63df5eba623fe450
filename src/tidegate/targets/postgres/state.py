"""A run's state inside the target database, in the schema `tidegate`: the position and epoch, the progress entries, and
which tables a task feeds. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors as pg

from tidegate.connect.postgres import quoted
from tidegate.connect.runkey import sharing, task_of
from tidegate.connect.target import Progress, Stored
from tidegate.errors import Fenced, TargetPositionMismatch

_TABLES = (
    """CREATE TABLE IF NOT EXISTS tidegate.position (
        run text PRIMARY KEY, epoch bigint NOT NULL, position text, written_at timestamptz NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS tidegate.progress (
        run text, key text, value text NOT NULL, PRIMARY KEY (run, key))""",
    """CREATE TABLE IF NOT EXISTS tidegate.fed_table (
        schema text, name text, task text, table_oid bigint NOT NULL, PRIMARY KEY (schema, name, task))""",
)

# Two sessions that create the same thing at once would both fail; any fixed number does.
DDL_LOCK = "SELECT pg_advisory_xact_lock(7303014)"


def exists(cursor: psycopg.Cursor[Any]) -> bool:
    """Whether all state tables are there."""
    names = ["tidegate.position", "tidegate.progress", "tidegate.fed_table"]
    row = cursor.execute("SELECT bool_and(to_regclass(n) IS NOT NULL) FROM unnest(%s::text[]) n", (names,)).fetchone()
    return bool(row and row[0])


def create(cursor: psycopg.Cursor[Any]) -> None:
    """Make the state tables where they are missing; needs no privilege when they are there."""
    if exists(cursor):
        return
    cursor.execute(DDL_LOCK)
    if cursor.execute("SELECT to_regnamespace('tidegate') IS NULL").fetchone() == (True,):
        cursor.execute("CREATE SCHEMA tidegate")
    for statement in _TABLES:
        cursor.execute(statement)


def take(cursor: psycopg.Cursor[Any], run: str, epoch: int) -> None:
    """Make `epoch` the run's. Raises `Fenced` if a newer one was here; waits for a write of an older one to end."""
    taken = cursor.execute(
        """INSERT INTO tidegate.position AS held (run, epoch, written_at) VALUES (%s, %s, now())
           ON CONFLICT (run) DO UPDATE SET epoch = excluded.epoch WHERE held.epoch <= excluded.epoch""",
        (run, epoch),
    )
    if taken.rowcount == 0:
        row = cursor.execute("SELECT epoch FROM tidegate.position WHERE run = %s", (run,)).fetchone()
        newer = row[0] if row else None
        raise Fenced(f"run {run}: epoch {newer} has opened it at the target, {epoch} is older", epoch=newer)


def fence(cursor: psycopg.Cursor[Any], run: str, epoch: int) -> None:
    """Lock the run's row for this transaction (I5). Raises `Fenced`; `TargetPositionMismatch` if the row is gone."""
    try:
        row = cursor.execute("SELECT epoch FROM tidegate.position WHERE run = %s FOR UPDATE", (run,)).fetchone()
    except (pg.UndefinedTable, pg.InvalidSchemaName):
        row = None
    if row is None:
        raise TargetPositionMismatch(f"run {run}: its row in tidegate.position is gone")
    if row[0] != epoch:
        raise Fenced(f"run {run}: epoch {row[0]} has taken over from epoch {epoch}", epoch=row[0])


def advance(cursor: psycopg.Cursor[Any], run: str, progress: Progress) -> None:
    """Store the position and the entries, in the transaction that holds the rows (I1)."""
    cursor.execute(
        "UPDATE tidegate.position SET position = %s, written_at = now() WHERE run = %s", (progress.position, run)
    )
    gone = [key for key, value in progress.entries.items() if value is None]
    held = {key: value for key, value in progress.entries.items() if value is not None}
    if gone:
        cursor.execute("DELETE FROM tidegate.progress WHERE run = %s AND key = ANY(%s)", (run, gone))
    if held:
        cursor.execute(
            """INSERT INTO tidegate.progress (run, key, value)
               SELECT %s, key, value FROM unnest(%s::text[], %s::text[]) AS entry (key, value)
               ON CONFLICT (run, key) DO UPDATE SET value = excluded.value""",
            (run, list(held), list(held.values())),
        )


def stored(cursor: psycopg.Cursor[Any], run: str) -> Stored | None:
    """What the run stored last; None if it has stored nothing."""
    if not exists(cursor):
        return None
    # One statement: position and entries are of one moment.
    row = cursor.execute(
        """SELECT position, (SELECT coalesce(json_object_agg(key, value), '{}')
                             FROM tidegate.progress WHERE progress.run = position.run)
           FROM tidegate.position WHERE run = %s""",
        (run,),
    ).fetchone()
    return None if row is None or row[0] is None else Stored(row[0], row[1])


def forget(cursor: psycopg.Cursor[Any], run: str) -> None:
    if exists(cursor):
        cursor.execute("DELETE FROM tidegate.position WHERE run = %s", (run,))
        cursor.execute("DELETE FROM tidegate.progress WHERE run = %s", (run,))


def feeds(cursor: psycopg.Cursor[Any], run: str, schema: str, name: str) -> bool:
    """Whether a run of the same task made the table its own."""
    query = "SELECT FROM tidegate.fed_table WHERE schema = %s AND name = %s AND task = %s"
    return cursor.execute(query, (schema, name, task_of(run))).fetchone() is not None


def owns(cursor: psycopg.Cursor[Any], run: str, schema: str, name: str) -> bool:
    """The same where no run may have been here yet."""
    return exists(cursor) and feeds(cursor, run, schema, name)


def feed(cursor: psycopg.Cursor[Any], run: str, schema: str, name: str) -> None:
    """Note that the table's rows are this task's from now on, and which table it is."""
    cursor.execute(
        """INSERT INTO tidegate.fed_table (schema, name, task, table_oid) VALUES (%s, %s, %s, %s::regclass::oid::int8)
           ON CONFLICT (schema, name, task) DO UPDATE SET table_oid = excluded.table_oid""",
        (schema, name, task_of(run), quoted(schema, name)),
    )


def sharer(cursor: psycopg.Cursor[Any], run: str, schema: str, name: str) -> str | None:
    """See `Target.sharer`. Where a run has no position any more it was stopped."""
    if not exists(cursor):
        return None
    query = "SELECT task FROM tidegate.fed_table WHERE schema = %s AND name = %s"
    tasks = {task for (task,) in cursor.execute(query, (schema, name)).fetchall()}
    runs = cursor.execute("SELECT run FROM tidegate.position ORDER BY run").fetchall()
    return sharing(run, tasks, (other for (other,) in runs))


def lost(cursor: psycopg.Cursor[Any], run: str, tables: Sequence[tuple[str, str]]) -> list[tuple[int, bool]]:
    """Which of the tables are gone (true) or others than the task fed under their names, by their place in the list."""
    fed = "tidegate.fed_table" if exists(cursor) else "(SELECT '' schema, '' name, '' task, 0::bigint table_oid)"
    return cursor.execute(
        f"""SELECT place::int - 1, there IS NULL
            FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS asked (schema, name, place)
            CROSS JOIN LATERAL to_regclass(format('%%I.%%I', asked.schema, asked.name)) AS there
            LEFT JOIN {fed} AS fed ON fed.schema = asked.schema AND fed.name = asked.name AND fed.task = %s
            WHERE there IS NULL OR fed.table_oid <> there::oid::int8 ORDER BY place""",
        ([schema for schema, _ in tables], [name for _, name in tables], task_of(run)),
    ).fetchall()


def remade(cursor: psycopg.Cursor[Any], run: str, schema: str, name: str) -> bool:
    """Whether the table, which exists, is another one than the task fed under this name."""
    return exists(cursor) and (
        cursor.execute(
            "SELECT FROM tidegate.fed_table WHERE schema = %s AND name = %s AND task = %s"
            " AND table_oid <> %s::regclass::oid::int8",
            (schema, name, task_of(run), quoted(schema, name)),
        ).fetchone()
        is not None
    )
