"""Writes into a PostgreSQL database: rows, position and epoch in one transaction, so that nothing is lost and nothing
is there twice, append included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import errors as pg

from tidegate.connect import postgres as server
from tidegate.connect.capability import BatchShape, Check, Delivery, WriteMode
from tidegate.connect.fitting import misfit_error, shared_error, unfit_error, written_before
from tidegate.connect.postgres import PostgresConfig, quote, quoted
from tidegate.connect.target import Misfit, Progress, Step, Stored, Target, TargetColumn, TargetTable, TargetView
from tidegate.decode.copying import BINARY
from tidegate.errors import (
    TargetConflict,
    TargetNotEmpty,
    TargetTableMissing,
    TargetUnreachable,
    TidegateError,
)
from tidegate.faultpoint import crossing
from tidegate.model.schema import Column, DataType, Kind
from tidegate.targets.postgres import catalog, state
from tidegate.targets.postgres.apply import Applier, CopyFailed
from tidegate.targets.postgres.types import FAMILY, column_type
from tidegate.targets.postgres.view import PgTargetView

_OLDEST = 140000

# Beside what every connection of Tidegate has. A wait for another session's lock ends in an error that is tried again;
# the joins of small stages with large tables go by the key's index, and a stage is sorted in memory.
_SESSION = {
    "default_transaction_isolation": "read committed",
    "lock_timeout": "30s",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "work_mem": "32MB",
}
# How long a run's row may stay locked before what holds it is taken for a worker that hangs.
_PATIENCE = "2s"
_UNACKNOWLEDGED_MS = 60_000


class PostgresTarget(Target):
    """One connection per run; everything before a run opens and closes its own."""

    kind = "postgres"
    title = "PostgreSQL"
    Config = PostgresConfig
    delivery = Delivery.EXACTLY_ONCE
    modes = (WriteMode.APPEND, WriteMode.UPSERT)
    batch = BatchShape(rows=40_000, interval_s=0.2)

    config: PostgresConfig

    def __init__(self, config: PostgresConfig) -> None:
        super().__init__(config)
        self._connection: psycopg.Connection[Any] | None = None
        self._applier: Applier | None = None
        self._run = ""
        self._epoch = 0

    # --- before a run ---

    def check(self) -> list[Check]:
        try:
            with self._session() as connection, connection.cursor() as cursor:
                return [Check("reachable", True, "connected and authenticated"), *_checks(cursor, connection)]
        except TidegateError as error:
            return [Check("reachable", False, error.detail, error.advice, error.code)]

    def identity(self) -> tuple[str, ...]:
        with self._session() as connection:
            (system,) = _one(connection.execute("SELECT system_identifier::text FROM pg_control_system()"))
        return (FAMILY, system, self.config.database)

    @classmethod
    def type_of(cls, type: DataType, family: str) -> str:
        return column_type(type, family)

    def can_order(self, type: DataType) -> bool:
        return type.kind not in (Kind.JSON, Kind.OTHER)

    def columns(self, table: TargetTable) -> list[TargetColumn] | None:
        with self._session() as connection, connection.cursor() as cursor:
            found = catalog.existing(cursor, table.schema, table.name)
        return None if found is None else catalog.as_columns(found)

    def remade(self, run: str, table: TargetTable) -> bool:
        with self._session() as connection, connection.cursor() as cursor:
            found = catalog.existing(cursor, table.schema, table.name)
            return found is not None and state.remade(cursor, run, table.schema, table.name)

    def holds_others(self, run: str, table: TargetTable) -> bool:
        with self._session() as connection, connection.cursor() as cursor:
            if catalog.existing(cursor, table.schema, table.name) is None:
                return False
            return not (_is_empty(cursor, table) or state.owns(cursor, run, table.schema, table.name))

    def sharer(self, run: str, table: TargetTable) -> str | None:
        with self._session() as connection, connection.cursor() as cursor:
            return state.sharer(cursor, run, table.schema, table.name)

    def lost(self, run: str, tables: Sequence[TargetTable]) -> list[str]:
        with self._session() as connection, connection.cursor() as cursor:
            found = state.lost(cursor, run, [(table.schema, table.name) for table in tables])
        return [f"{tables[i]} {'is gone' if gone else 'was dropped and made again'}" for i, gone in found]

    def refusals(self, tables: Sequence[TargetTable]) -> list[TidegateError]:
        return [error for table in tables for error in unfit_error(table, catalog.refused_names(table))]

    def misfits(self, table: TargetTable) -> list[Misfit]:
        with self._session() as connection, connection.cursor() as cursor:
            found = catalog.existing(cursor, table.schema, table.name)
        if found is None:
            raise TargetTableMissing(f"{table} is not there")
        return catalog.misfits(table, found)

    def block_form(self, table: TargetTable) -> str:
        if table.mode is WriteMode.APPEND or table.source.family != FAMILY:
            return ""
        with self._session() as connection, connection.cursor() as cursor:
            found = catalog.existing(cursor, table.schema, table.name)
        return BINARY if found is not None and catalog.same_bytes(table, found) else ""

    # --- a run ---

    def open(self, run: str, epoch: int) -> Stored | None:
        self.close()
        connection = self._connect(f"tidegate {run} {epoch}")
        self._connection, self._applier = connection, Applier(connection)
        self._run, self._epoch = run, epoch
        try:
            with self._transaction() as cursor:
                state.create(cursor)
            try:
                return self._take(_PATIENCE)
            except TargetConflict:
                with self._session() as connection:
                    _end_older(connection, run, epoch)
                return self._take(_SESSION["lock_timeout"])
        except BaseException:
            self.close()
            raise

    def _take(self, lock_timeout: str) -> Stored | None:
        with self._transaction() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{lock_timeout}'")
            state.take(cursor, self._run, self._epoch)
            return state.stored(cursor, self._run)

    def prepare(self, table: TargetTable, *, create: bool, replace: bool) -> bool:
        applier = self._opened()
        with self._fenced() as cursor:
            applier.refresh(cursor)
            cursor.execute(state.DDL_LOCK)
            found = catalog.existing(cursor, table.schema, table.name)
            for refused in self.refusals([table]):
                raise refused
            wrong = [] if found is None else catalog.misfits(table, found)
            if wrong:
                raise misfit_error(table, wrong)
            if found is None and not create:
                raise TargetTableMissing(f"{table} is not there, and create_tables is false")
            if found is None:
                _create(cursor, table)
            empty = _is_empty(cursor, table)
            for refused in shared_error(table, state.sharer(cursor, self._run, table.schema, table.name)):
                raise refused
            own = state.feeds(cursor, self._run, table.schema, table.name)
            if not (empty or own or replace or table.mode is WriteMode.APPEND):
                raise TargetNotEmpty(f"{table} holds rows that no run of this task wrote")
            state.feed(cursor, self._run, table.schema, table.name)
            return empty

    def add_columns(self, table: TargetTable, columns: Sequence[Column]) -> None:
        applier = self._opened()
        with written_before(), self._fenced() as cursor:
            applier.refresh(cursor)
            cursor.execute(state.DDL_LOCK)
            for column in columns:
                cursor.execute(
                    f"ALTER TABLE {quoted(table.schema, table.name)} ADD COLUMN IF NOT EXISTS "
                    f"{_definition(column, table.source.family)}"
                )

    def write(self, steps: Sequence[Step], progress: Progress) -> None:
        try:
            self._write(steps, progress)
        except TidegateError as error:
            if not (_is_crossed(error) and self._opened().cross(steps)):
                raise
            self._write(steps, progress)

    def _write(self, steps: Sequence[Step], progress: Progress) -> None:
        applier = self._opened()
        with written_before(), self._fenced() as cursor:
            if applier.crowded:
                applier.refresh(cursor)
            for step in steps:
                applier.apply(cursor, step)
            crossing("batch.staged")
            state.advance(cursor, self._run, progress)
            crossing("batch.positioned")

    def release(self) -> None:
        """Nobody is kept out."""

    def view(self) -> TargetView:
        # By its name it is nobody's that a newer epoch would have to end (see `_end_older`).
        return PgTargetView(lambda: self._connect("tidegate verify"), self._told)

    def forget(self, run: str) -> None:
        with self._session() as connection:
            try:
                _forget(connection, run, _PATIENCE)
            except pg.LockNotAvailable:
                _end_older(connection, run, None)
                _forget(connection, run, _SESSION["lock_timeout"])

    def stored(self, run: str) -> Stored | None:
        with self._session() as connection, connection.cursor() as cursor:
            return state.stored(cursor, run)

    def close(self) -> None:
        connection, self._connection, self._applier = self._connection, None, None
        if connection is not None:
            with suppress(psycopg.Error):  # the server ends what a lost connection leaves
                connection.close()

    # --- connections and transactions ---

    def _connect(self, name: str) -> psycopg.Connection[Any]:
        connection = server.connect(
            self.config, "target", application_name=name[:63], tcp_user_timeout=_UNACKNOWLEDGED_MS
        )
        try:
            connection.prepare_threshold = None  # a plan made while a table was small would be kept
            connection.execute("SELECT " + ", ".join(f"set_config('{k}', '{v}', false)" for k, v in _SESSION.items()))
            # I1: what is reported as written must survive a crash of the server.
            connection.execute(
                """SELECT set_config('synchronous_commit', 'local', false)
                   WHERE current_setting('synchronous_commit') = 'off'"""
            )
        except psycopg.Error as error:
            connection.close()
            raise self._told(error) from error
        return connection

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Any]]:
        """The run's connection, or one for this use."""
        own = self._connection is None
        connection = self._connection or self._connect("tidegate")
        try:
            yield connection
        except psycopg.Error as error:
            raise self._told(error) from error
        finally:
            if own:
                connection.close()

    def _opened(self) -> Applier:
        if self._applier is None:
            raise TargetUnreachable(f"{server.place(self.config)}: the connection was lost and must be opened again")
        return self._applier

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        """All or nothing. A commit whose outcome is unknown is `TargetUnreachable` like every lost connection: whoever
        opens again reads what is stored."""
        applier = self._opened()
        connection = applier.connection
        try:
            with connection.transaction(), connection.cursor() as cursor:
                yield cursor
        except BaseException as error:
            if connection.closed:
                self.close()
            applier.rolled_back()
            if isinstance(error, (psycopg.Error, CopyFailed)):
                raise self._told(error) from error
            raise
        applier.committed()

    @contextmanager
    def _fenced(self) -> Iterator[psycopg.Cursor[Any]]:
        with self._transaction() as cursor:
            state.fence(cursor, self._run, self._epoch)
            yield cursor

    def _told(self, error: psycopg.Error | CopyFailed) -> TidegateError:
        if isinstance(error, CopyFailed):
            return server.translated(error.cause, "target", self.config, table=str(error.table), columns=error.columns)
        return server.translated(error, "target", self.config)


def _is_crossed(error: TidegateError) -> bool:
    """Whether rows stood in the way of others, which they may not if they come in another order."""
    cause = error.__cause__.cause if isinstance(error.__cause__, CopyFailed) else error.__cause__
    return isinstance(cause, (pg.UniqueViolation, pg.ForeignKeyViolation, pg.ExclusionViolation))


def _forget(connection: psycopg.Connection[Any], run: str, lock_timeout: str) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{lock_timeout}'")
        state.forget(cursor, run)


def _end_older(connection: psycopg.Connection[Any], run: str, epoch: int | None) -> None:
    """End sessions of the run that older epochs left: a worker that hangs inside a write holds the run's row (I5). Only
    those of the same user can be seen and ended; others are waited for."""
    connection.execute(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE usename = session_user AND datname = current_database() AND pid <> pg_backend_pid()
             AND application_name ~ ('^tidegate ' || %(run)s || ' [0-9]+$')
             AND (%(epoch)s::bigint IS NULL OR split_part(application_name, ' ', 3)::bigint < %(epoch)s)""",
        {"run": run, "epoch": epoch},
    )


def _is_empty(cursor: psycopg.Cursor[Any], table: TargetTable) -> bool:
    return cursor.execute(f"SELECT FROM {quoted(table.schema, table.name)} LIMIT 1").fetchone() is None


def _one(cursor: psycopg.Cursor[Any]) -> tuple[Any, ...]:
    """The row of a statement that always has one."""
    row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise TargetUnreachable("the server answered a query without its row")
    return row


def _definition(column: Column, family: str, *, required: bool = False) -> str:
    type = column_type(column.type, family)
    default = "" if column.default is None else f" DEFAULT {server.literal(column.default).strip()}::{type}"
    return f"{quote(column.name)} {type}{default}{' NOT NULL' if required else ''}"


def _create(cursor: psycopg.Cursor[Any], table: TargetTable) -> None:
    there = cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s::text", (table.schema,)).fetchone()
    if there is None:
        cursor.execute(f"CREATE SCHEMA {quote(table.schema)}")
    key = table.source.key if table.mode is WriteMode.UPSERT else ()
    parts = [_definition(c, table.source.family, required=c.name in key) for c in table.source.columns]
    parts += [f"{quote(name)} {type}" for name, type in catalog.stamp_types(table).items()]
    made = quoted(table.schema, table.name)
    cursor.execute(f"CREATE TABLE {made} ({', '.join(parts)})")
    if key:
        cursor.execute(f"COMMENT ON TABLE {made} IS {server.literal(catalog.KEY_TO_COME)}")


def _checks(cursor: psycopg.Cursor[Any], connection: psycopg.Connection[Any]) -> Iterator[Check]:
    version = connection.info.server_version
    yield Check(
        "version",
        version >= _OLDEST,
        str(connection.info.parameter_status("server_version")),
        "" if version >= _OLDEST else f"Use PostgreSQL {_OLDEST // 10000} or newer.",
        "" if version >= _OLDEST else "target.version_unsupported",
    )
    writable, temporary, create, state_schema = _one(
        cursor.execute(
            """SELECT current_setting('transaction_read_only') = 'off',
                  has_database_privilege(current_database(), 'TEMPORARY'),
                  has_database_privilege(current_database(), 'CREATE'),
                  coalesce(has_schema_privilege(to_regnamespace('tidegate')::oid, 'USAGE')
                           AND has_schema_privilege(to_regnamespace('tidegate')::oid, 'CREATE'), false)"""
        )
    )
    missing = "target.privilege_missing"
    yield Check(
        "writable",
        writable,
        "takes writes" if writable else "a standby, or read only by default for this user",
        "" if writable else "Connect to the primary, as a user who may write.",
        "" if writable else "target.conflict",
    )
    yield Check(
        "temporary tables",
        temporary,
        "allowed" if temporary else "not allowed",
        "" if temporary else "GRANT TEMPORARY ON DATABASE … TO the user.",
        "" if temporary else missing,
    )
    ready = create or state_schema
    yield Check(
        "state",
        ready,
        "the schema tidegate can be used or made" if ready else "no place for the run's state",
        "" if ready else "GRANT CREATE ON DATABASE … TO the user, or create a schema tidegate it owns.",
        "" if ready else missing,
    )
