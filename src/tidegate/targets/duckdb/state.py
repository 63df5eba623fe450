"""A run's state inside the DuckDB file, in the schema `tidegate`: the position and epoch, the progress entries, and
which tables a task feeds. Every function works in the caller's transaction."""

from __future__ import annotations

import duckdb

from tidegate.connect.runkey import sharing, task_of
from tidegate.connect.target import Progress, Stored
from tidegate.errors import Fenced, TargetPositionMismatch
from tidegate.targets.duckdb.catalog import first

_TABLES = (
    "CREATE SCHEMA IF NOT EXISTS tidegate",
    """CREATE TABLE IF NOT EXISTS tidegate.position (
        run VARCHAR NOT NULL, epoch BIGINT NOT NULL, position VARCHAR, written_at TIMESTAMPTZ NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS tidegate.progress (run VARCHAR NOT NULL, key VARCHAR NOT NULL, value VARCHAR NOT NULL)",
    """CREATE TABLE IF NOT EXISTS tidegate.fed_table (
        "schema" VARCHAR NOT NULL, name VARCHAR NOT NULL, task VARCHAR NOT NULL)""",
)


def exists(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether all state tables are there."""
    found = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'tidegate'"
    ).fetchall()
    return {name for (name,) in found} >= {"position", "progress", "fed_table"}


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the state tables where they are missing."""
    if not exists(connection):
        for statement in _TABLES:
            connection.execute(statement)


def take(connection: duckdb.DuckDBPyConnection, run: str, epoch: int) -> None:
    """Make `epoch` the run's. Raises `Fenced` if a newer one was here."""
    row = first(connection.execute("SELECT epoch FROM tidegate.position WHERE run = ?", [run]))
    if row is None:
        connection.execute("INSERT INTO tidegate.position (run, epoch, written_at) VALUES (?, ?, now())", [run, epoch])
    elif row[0] > epoch:
        raise Fenced(f"run {run}: epoch {row[0]} has opened it at the target, {epoch} is older", epoch=row[0])
    else:
        connection.execute("UPDATE tidegate.position SET epoch = ? WHERE run = ?", [epoch, run])


def fence(connection: duckdb.DuckDBPyConnection, run: str, epoch: int) -> None:
    """Refuse an older epoch, and make any other connection that changes the row meanwhile lose (I5). Raises `Fenced`;
    `TargetPositionMismatch` if the row is gone."""
    touch = "UPDATE tidegate.position SET written_at = now() WHERE run = ? AND epoch = ?"
    try:
        touched = first(connection.execute(touch, [run, epoch]))
    except duckdb.CatalogException as error:
        raise TargetPositionMismatch(f"run {run}: the table tidegate.position is gone") from error
    if touched == (1,):
        return
    row = first(connection.execute("SELECT epoch FROM tidegate.position WHERE run = ?", [run]))
    if row is None:
        raise TargetPositionMismatch(f"run {run}: its row in tidegate.position is gone")
    raise Fenced(f"run {run}: epoch {row[0]} has taken over from epoch {epoch}", epoch=row[0])


def advance(connection: duckdb.DuckDBPyConnection, run: str, progress: Progress) -> None:
    """Store the position and the entries, in the transaction that holds the rows (I1)."""
    connection.execute("UPDATE tidegate.position SET position = ? WHERE run = ?", [progress.position, run])
    if not progress.entries:
        return
    connection.execute(
        "DELETE FROM tidegate.progress WHERE run = ? AND list_contains(?, key)", [run, list(progress.entries)]
    )
    held = {key: value for key, value in progress.entries.items() if value is not None}
    if held:
        connection.execute(
            "INSERT INTO tidegate.progress (run, key, value) SELECT ?, unnest(?), unnest(?)",
            [run, list(held), list(held.values())],
        )


def stored(connection: duckdb.DuckDBPyConnection, run: str) -> Stored | None:
    """What the run stored last; None if it has stored nothing."""
    if not exists(connection):
        return None
    row = first(connection.execute("SELECT position FROM tidegate.position WHERE run = ?", [run]))
    if row is None or row[0] is None:
        return None
    entries = connection.execute("SELECT key, value FROM tidegate.progress WHERE run = ?", [run]).fetchall()
    return Stored(row[0], dict(entries))


def forget(connection: duckdb.DuckDBPyConnection, run: str) -> None:
    if exists(connection):
        connection.execute("DELETE FROM tidegate.position WHERE run = ?", [run])
        connection.execute("DELETE FROM tidegate.progress WHERE run = ?", [run])


def fed(connection: duckdb.DuckDBPyConnection, run: str) -> set[tuple[str, str]]:
    """The tables that runs of the same task made their own, as they were spelled."""
    query = 'SELECT "schema", name FROM tidegate.fed_table WHERE task = ?'
    return {(schema, name) for schema, name in connection.execute(query, [task_of(run)]).fetchall()}


def sharer(connection: duckdb.DuckDBPyConnection, run: str, schema: str, name: str) -> str | None:
    """See `Target.sharer`. Where a run has no position any more it was stopped."""
    if not exists(connection):
        return None
    query = 'SELECT task FROM tidegate.fed_table WHERE lower("schema") = lower(?) AND lower(name) = lower(?)'
    tasks = {task for (task,) in connection.execute(query, [schema, name]).fetchall()}
    runs = connection.execute("SELECT run FROM tidegate.position ORDER BY run").fetchall()
    return sharing(run, tasks, (other for (other,) in runs))


def feed(connection: duckdb.DuckDBPyConnection, run: str, schema: str, name: str, place: str) -> None:
    """Note that the table's rows are this task's from now on. A comment marks the table itself, so that another one
    made under its name is known for what it is; somebody's own comment stays and marks it as well. `place` is
    the table's whole quoted name."""
    if (schema, name) not in fed(connection, run):
        connection.execute("INSERT INTO tidegate.fed_table VALUES (?, ?, ?)", [schema, name, task_of(run)])
    if _comment(connection, schema, name) is None:
        connection.execute(f"COMMENT ON TABLE {place} IS 'fed by Tidegate'")


def remade(connection: duckdb.DuckDBPyConnection, run: str, schema: str, name: str) -> bool:
    """Whether the table, which exists, is another one than the task fed under this name."""
    if not exists(connection) or (schema, name) not in fed(connection, run):
        return False
    return _comment(connection, schema, name) is None


def _comment(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> str | None:
    query = """SELECT comment FROM duckdb_tables()
                WHERE database_name = current_database()
                AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)"""
    row = first(connection.execute(query, [schema, name]))
    return None if row is None else row[0]
