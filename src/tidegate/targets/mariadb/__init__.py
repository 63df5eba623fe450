"""Writes into a MariaDB server: rows, position and epoch in one transaction of InnoDB, so that nothing is lost and
nothing is there twice, append included. A schema of the source is a database here."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pymysql
from pymysql.cursors import Cursor

from tidegate.connect import mariadb as server
from tidegate.connect.capability import BatchShape, Check, Delivery, WriteMode
from tidegate.connect.fitting import STATE_SCHEMA, misfit_error, shared_error, unfit_error, written_before
from tidegate.connect.mariadb import FAMILY, MariadbConfig, number, quoted
from tidegate.connect.myflavour import Flavour
from tidegate.connect.target import Misfit, Progress, Step, Stored, Target, TargetColumn, TargetTable, TargetView
from tidegate.errors import (
    TargetConflict,
    TargetNameClash,
    TargetNotEmpty,
    TargetSettingWrong,
    TargetTableMissing,
    TargetUnreachable,
    TidegateError,
)
from tidegate.faultpoint import crossing
from tidegate.model.schema import Column, DataType
from tidegate.targets.mariadb import catalog, locks, state, types
from tidegate.targets.mariadb.apply import Applier, Refused
from tidegate.targets.mariadb.catalog import ExistingTable, folded
from tidegate.targets.mariadb.checking import checks, setting_wrong
from tidegate.targets.mariadb.load import LoadingConnection
from tidegate.targets.mariadb.making import create_table, definition
from tidegate.targets.mariadb.view import MariadbView

# Beside what every connection of Tidegate has. I6: what a column cannot hold is an error and never bent, zero is a key
# like others, and a text's backslash is a backslash. Of warnings all are counted.
_SESSION: dict[str, str | int] = {
    "sql_mode": "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,"
    "NO_AUTO_VALUE_ON_ZERO,NO_BACKSLASH_ESCAPES",
    "sql_notes": 1,
    "sql_warnings": 0,
    "max_error_count": 64,
    "sql_safe_updates": 0,
    "foreign_key_checks": 1,
    "unique_checks": 1,
}
_SESSION_OF_MARIADB: dict[str, str | int] = {"check_constraint_checks": 1, "innodb_strict_mode": 1}
_PATIENCE_S = 2
"""How long a run's row may stay locked before what holds it is taken for a worker that hangs."""
_LOCK_WAIT_S = 30


class MariadbTarget(Target):
    """One connection per run; everything before a run opens and closes its own."""

    kind = FAMILY
    title = "MariaDB"
    Config = MariadbConfig
    delivery = Delivery.EXACTLY_ONCE
    modes = (WriteMode.APPEND, WriteMode.UPSERT)
    batch = BatchShape(rows=50_000, interval_s=0.2)

    config: MariadbConfig

    def __init__(self, config: MariadbConfig) -> None:
        super().__init__(config)
        self._connection: LoadingConnection | None = None
        self._applier: Applier | None = None
        self._run = ""
        self._epoch = 0
        self._folds: bool | None = None

    # --- before a run ---

    def check(self) -> list[Check]:
        try:
            with self._session() as cursor:
                flavour = Flavour.of(cursor.connection)
                return [Check("reachable", True, "connected and authenticated"), *checks(cursor, flavour)]
        except TidegateError as error:
            return [Check("reachable", False, error.detail, error.advice, error.code)]

    def identity(self) -> tuple[str, ...]:
        with self._session() as cursor:
            return server.server_identity(cursor.connection)

    @classmethod
    def type_of(cls, type: DataType, family: str) -> str:
        return types.column_type(type, family)

    def can_order(self, type: DataType) -> bool:
        return types.can_order(type)

    def columns(self, table: TargetTable) -> list[TargetColumn] | None:
        with self._session() as cursor:
            found = self._existing(cursor, table)
        return None if found is None else catalog.as_columns(found)

    def remade(self, run: str, table: TargetTable) -> bool:
        with self._session() as cursor:
            found = self._existing(cursor, table)
            mark = state.fed(cursor, run).get((table.schema, table.name))
        return found is not None and mark is not None and _is_another(found.comment, mark)

    def holds_others(self, run: str, table: TargetTable) -> bool:
        with self._session() as cursor:
            if self._existing(cursor, table) is None:
                return False
            own = (table.schema, table.name) in state.fed(cursor, run)
            return not (own or _is_empty(cursor, table))

    def sharer(self, run: str, table: TargetTable) -> str | None:
        with self._session() as cursor:
            return state.sharer(cursor, run, table.schema, table.name)

    def refusals(self, tables: Sequence[TargetTable]) -> list[TidegateError]:
        return [error for table in tables for error in unfit_error(table, catalog.refused_names(table))]

    def misfits(self, table: TargetTable) -> list[Misfit]:
        with self._session() as cursor:
            found = self._existing(cursor, table)
        if found is None:
            raise TargetTableMissing(f"{table} is not there")
        return catalog.misfits(table, found)

    # --- a run ---

    def open(self, run: str, epoch: int) -> Stored | None:
        self.close()
        connection = self._connect()
        flavour = Flavour.of(connection)
        self._connection = connection
        self._run, self._epoch = run, epoch
        try:
            with self._session() as cursor:
                if wrong := setting_wrong(cursor):
                    raise TargetSettingWrong(wrong)
                self._applier = Applier(connection, mysql=flavour.mysql, folds=self._folding(cursor))
                state.create(cursor, catalog.collation(mysql=flavour.mysql))
                cursor.execute(f"USE {STATE_SCHEMA}")  # some statements want one, whatever tables they name
                self._be_found(cursor)
            try:
                return self._take(_PATIENCE_S)
            except TargetConflict:
                with self._session() as cursor:
                    locks.end_holders(cursor, run, epoch)
                return self._take(_LOCK_WAIT_S)
        except BaseException:
            self.close()
            raise

    def _be_found(self, cursor: Cursor) -> None:
        """Hold the lock by which who takes over finds this connection; one that this worker has lost may hold it."""
        name = state.alive(self._run, self._epoch)
        if not locks.lock(cursor, name, 0):
            locks.end_holder(cursor, name)
            if not locks.lock(cursor, name, _LOCK_WAIT_S):
                raise TargetConflict(f"{server.place(self.config)}: an older connection of run {self._run} lives on")

    def _take(self, wait_s: int) -> Stored | None:
        with self._shaping(wait_s) as cursor:
            locks.wait_for_rows(cursor, wait_s)
            with self._transaction(cursor):
                state.take(cursor, self._run, self._epoch)
                found = state.stored(cursor, self._run)
            locks.wait_for_rows(cursor, _LOCK_WAIT_S)
            return found

    def prepare(self, table: TargetTable, *, create: bool, replace: bool) -> bool:
        applier = self._opened()
        with self._fenced_shaping() as cursor:
            applier.refresh(cursor)
            found = self._existing(cursor, table)
            for refused in self.refusals([table]):
                raise refused
            wrong = [] if found is None else catalog.misfits(table, found)
            if wrong:
                raise misfit_error(table, wrong)
            fed = state.fed(cursor, self._run)
            self._refuse_respelled(cursor, table, fed)
            if found is None and not create:
                raise TargetTableMissing(f"{table} is not there, and create_tables is false")
            if found is None:
                create_table(cursor, table, Flavour.of(cursor.connection))
            empty = _is_empty(cursor, table)
            for refused in shared_error(table, state.sharer(cursor, self._run, table.schema, table.name)):
                raise refused
            own = (table.schema, table.name) in fed
            if not (empty or own or replace or table.mode is WriteMode.APPEND):
                raise TargetNotEmpty(f"{table} holds rows that no run of this task wrote")
            mark = self._marked(cursor, table)
            with self._transaction(cursor):
                state.fence(cursor, self._run, self._epoch)
                state.feed(cursor, self._run, table.schema, table.name, mark)
            return empty

    def _marked(self, cursor: Cursor, table: TargetTable) -> str:
        """The table's mark. It is in its comment, so that another table made under its name is known for what it is;
        somebody's own comment stays and marks it as well."""
        with locks.locked(cursor, state.MARKING, _LOCK_WAIT_S):
            found = self._existing(cursor, table)
            comment = "" if found is None else found.comment
            if not comment:
                comment = f"{_MARK}{secrets.token_hex(8)}"
                place = quoted(table.schema, table.name)
                cursor.execute(f"ALTER TABLE {place} COMMENT = {server.literal(comment)}")
        return comment[:64]

    def _refuse_respelled(self, cursor: Cursor, table: TargetTable, fed: dict[tuple[str, str], str]) -> None:
        """Two tables of the task must not become one because the server takes their names for the same."""
        mine = (folded(table.schema), folded(table.name))
        for schema, name in fed:
            same = (folded(schema), folded(name)) == mine and (schema, name) != (table.schema, table.name)
            if same and self._folding(cursor):
                raise TargetNameClash(f"{table} and {schema}.{name} are one table to this server")

    def add_columns(self, table: TargetTable, columns: Sequence[Column]) -> None:
        applier = self._opened()
        with written_before(), self._fenced_shaping() as cursor:
            applier.refresh(cursor)
            found = self._existing(cursor, table)
            if found is None:
                raise TargetTableMissing(f"{table} is not there")
            new = [column for column in columns if found.column(column.name) is None]
            if new:
                flavour = Flavour.of(cursor.connection)
                parts = [f"ADD COLUMN {definition(table, column, flavour)}" for column in new]
                cursor.execute(f"ALTER TABLE {quoted(table.schema, table.name)} {', '.join(parts)}")

    def write(self, steps: Sequence[Step], progress: Progress) -> None:
        try:
            self._write(steps, progress)
        except TidegateError as error:
            if not (_is_crossed(error) and self._opened().cross(steps)):
                raise
            self._write(steps, progress)

    def _write(self, steps: Sequence[Step], progress: Progress) -> None:
        applier = self._opened()
        with written_before(), self._session() as cursor, self._transaction(cursor):
            state.fence(cursor, self._run, self._epoch)
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
        with self._session() as cursor:
            folds = self._folding(cursor)
        return MariadbView(self._connect, self._told, folds=folds)

    def forget(self, run: str) -> None:
        with self._session() as cursor:
            try:
                self._forget(cursor, run, _PATIENCE_S)
            except TargetConflict:
                locks.end_holders(cursor, run, None)
                self._forget(cursor, run, _LOCK_WAIT_S)

    def _forget(self, cursor: Cursor, run: str, wait_s: int) -> None:
        locks.wait_for_rows(cursor, wait_s)
        with self._transaction(cursor):
            state.forget(cursor, run)
        locks.wait_for_rows(cursor, _LOCK_WAIT_S)

    def stored(self, run: str) -> Stored | None:
        with self._session() as cursor:
            return state.stored(cursor, run)

    def close(self) -> None:
        connection, self._connection, self._applier = self._connection, None, None
        if connection is not None and connection.open:
            with suppress(pymysql.Error, OSError):  # the server ends what a lost connection leaves
                connection.close()

    # --- connections and transactions ---

    def _connect(self, **more: Any) -> LoadingConnection:
        connection = server.connect_as(LoadingConnection, self.config, "target", **more)
        try:
            own = {} if Flavour.of(connection).mysql else _SESSION_OF_MARIADB
            server.set_session(connection, _SESSION | own | {"innodb_lock_wait_timeout": _LOCK_WAIT_S})
            with connection.cursor() as cursor:
                _be_strict(cursor)
        except (pymysql.Error, OSError) as error:
            connection.close()
            raise self._told(error) from error
        return connection

    @contextmanager
    def _session(self) -> Iterator[Cursor]:
        """A cursor of the run's connection, or of one for this use."""
        own = self._connection is None
        connection = self._connection or self._connect()
        try:
            with connection.cursor() as cursor:
                yield cursor
        except (pymysql.Error, OSError, Refused) as error:
            told = self._told(error)
            if not own and isinstance(told, TargetUnreachable):
                self.close()
            raise told from error
        finally:
            if own and connection.open:
                connection.close()

    def _opened(self) -> Applier:
        if self._applier is None:
            raise TargetUnreachable(f"{server.place(self.config)}: the connection was lost and must be opened again")
        return self._applier

    @contextmanager
    def _transaction(self, cursor: Cursor) -> Iterator[None]:
        """All or nothing. A commit whose outcome is unknown is `TargetUnreachable` like every lost connection: whoever
        opens again reads what is stored."""
        try:
            cursor.execute("START TRANSACTION")
            yield
            cursor.execute("COMMIT")
        except BaseException as error:
            if self._applier is not None:
                self._applier.rolled_back()
            self._roll_back(cursor)
            if isinstance(error, (pymysql.Error, OSError, Refused)):
                raise self._told(error) from error
            raise

    def _roll_back(self, cursor: Cursor) -> None:
        connection = cursor.connection
        try:
            if connection.open:
                connection.rollback()
        except (pymysql.Error, OSError):
            connection.close()
        if not connection.open and connection is self._connection:
            self.close()

    @contextmanager
    def _shaping(self, wait_s: int = _LOCK_WAIT_S) -> Iterator[Cursor]:
        """Nobody takes the run over meanwhile (I5): statements that make and change tables commit by themselves."""
        self._opened()
        with self._session() as cursor, locks.locked(cursor, state.shaping(self._run), wait_s):
            yield cursor

    @contextmanager
    def _fenced_shaping(self) -> Iterator[Cursor]:
        with self._shaping() as cursor:
            with self._transaction(cursor):
                state.fence(cursor, self._run, self._epoch)
            yield cursor

    def _folding(self, cursor: Cursor) -> bool:
        """Whether the server takes upper and lower case of a table's name for the same."""
        if self._folds is None:
            cursor.execute("SELECT @@lower_case_table_names")
            self._folds = int((cursor.fetchone() or (0,))[0]) != 0
        return self._folds

    def _existing(self, cursor: Cursor, table: TargetTable) -> ExistingTable | None:
        return catalog.existing(cursor, table.schema, table.name, folds=self._folding(cursor))

    def _told(self, error: Exception) -> TidegateError:
        if isinstance(error, Refused):
            return server.translated(error.cause, "target", self.config, table=str(error.table), staged=error.staged)
        return server.translated(error, "target", self.config)


_MARK = "fed by Tidegate "


def _is_another(comment: str, mark: str) -> bool:
    """Whether a table with this comment is not the one that had the mark. Somebody may have written a comment since."""
    return comment[:64] != mark and (not comment or comment.startswith(_MARK))


def _is_crossed(error: TidegateError) -> bool:
    """Whether rows stood in the way of others, which they may not if they come in another order."""
    cause = error.__cause__
    while cause is not None and not isinstance(cause, (Refused, pymysql.Error)):
        cause = cause.__cause__
    return number(cause.cause if isinstance(cause, Refused) else cause or error) in (1062, 1586, 1451, 1452)


def _be_strict(cursor: Cursor) -> None:
    """Rows are locked, never the gaps between them; but a log of statements does not allow that. I6: what the session
    was asked to be, it must be."""
    cursor.execute("SELECT @@log_bin, @@binlog_format, @@sql_mode, @@time_zone")
    logged, form, mode, zone = cursor.fetchone() or ("", "", "", "")
    level = "REPEATABLE READ" if int(logged or 0) and form == "STATEMENT" else "READ COMMITTED"
    cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    if "STRICT_ALL_TABLES" not in mode or "NO_BACKSLASH_ESCAPES" not in mode or zone != "+00:00":
        raise TargetSettingWrong(f"the session's sql_mode is {mode} and its time_zone {zone}, whatever is asked for")


def _is_empty(cursor: Cursor, table: TargetTable) -> bool:
    cursor.execute(f"SELECT 1 FROM {quoted(table.schema, table.name)} LIMIT 1")
    return cursor.fetchone() is None
