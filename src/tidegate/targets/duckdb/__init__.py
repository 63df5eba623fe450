"""Writes into a DuckDB file: rows, position and epoch in one transaction, so that nothing is lost and nothing is there
twice, append included. The file is shared: tasks take turns, and people may open it while no rows come."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import duckdb
from pydantic import Field

from tidegate.connect.capability import BatchShape, Check, Delivery, WriteMode
from tidegate.connect.config import Config
from tidegate.connect.fitting import misfit_error, shared_error, unfit_error, written_before
from tidegate.connect.target import Misfit, Progress, Step, Stored, Target, TargetColumn, TargetTable, TargetView
from tidegate.decode.copying import BINARY
from tidegate.errors import (
    TargetNameClash,
    TargetNotEmpty,
    TargetTableMissing,
    TargetUnreachable,
    TidegateError,
)
from tidegate.faultpoint import crossing
from tidegate.model.schema import Column, DataType
from tidegate.targets.duckdb import blocks, catalog, state, types
from tidegate.targets.duckdb.apply import Applier, Refused
from tidegate.targets.duckdb.catalog import first, folded, quote
from tidegate.targets.duckdb.file import DuckdbFile
from tidegate.targets.duckdb.view import DuckdbView

_WAIT_S = 30.0
"""How long a write waits for others to let go of the file."""
_CHECK_WAIT_S = 5.0


class DuckdbConfig(Config):
    """Which DuckDB file to write."""

    files: ClassVar[frozenset[str]] = frozenset({"path"})

    path: str = Field(
        min_length=2,
        pattern="^/",
        description="The file, as an absolute path on the machine where tasks run; made when the first task runs. It "
        "is below lakes/PROJECT in the server's data directory, or where an administrator lets it be.",
    )
    memory_mb: int = Field(
        2048,
        ge=128,
        description="The most memory DuckDB may take for one write, in megabytes; only very wide rows need it.",
    )


class DuckdbTarget(Target):
    """The file is opened by the first call that needs it and kept open until `release`, `close`, or until another task
    waits for it."""

    kind = "duckdb"
    title = "DuckDB"
    Config = DuckdbConfig
    delivery = Delivery.EXACTLY_ONCE
    modes = (WriteMode.APPEND, WriteMode.UPSERT)
    batch = BatchShape(rows=50_000, interval_s=0.5)

    config: DuckdbConfig

    def __init__(self, config: DuckdbConfig) -> None:
        super().__init__(config)
        self._file = DuckdbFile(Path(config.path), config.memory_mb)
        self._run = ""
        self._epoch = 0

    # --- before a run ---

    def check(self) -> list[Check]:
        return list(self._checks())

    def _checks(self) -> Iterator[Check]:
        path = Path(self.config.path)
        if not path.parent.is_dir():
            yield Check("folder", False, f"{path.parent} is not a folder", "Make the folder.", TargetUnreachable.code)
            return
        yield Check("folder", True, f"{path.parent} is there")
        for what in (path.parent, *([path] if path.exists() else [])):
            if not os.access(what, os.W_OK):
                advice = (
                    "Give the user that Tidegate runs as the right to write it; DuckDB keeps its log beside the file."
                )
                yield Check("writable", False, f"{what} cannot be written", advice, "target.privilege_missing")
                return
        yield Check("writable", True, "folder and file can be written")
        if not path.exists():
            yield Check("file", True, f"{path.name} does not exist yet and will be made")
            return
        try:
            with self._visit(_CHECK_WAIT_S):
                yield Check("file", True, f"opened by DuckDB {duckdb.__version__}")
        except TidegateError as error:
            yield Check("file", False, error.detail, error.advice, error.code)

    def identity(self) -> tuple[str, ...]:
        return (self.kind, os.path.realpath(self.config.path))

    @classmethod
    def type_of(cls, type: DataType, family: str) -> str:
        return types.column_type(type)

    def can_order(self, type: DataType) -> bool:
        return types.can_order(type)

    def columns(self, table: TargetTable) -> list[TargetColumn] | None:
        with self._visit() as connection:
            found = None if connection is None else catalog.existing(connection, table.schema, table.name)
        return None if found is None else catalog.as_columns(found)

    def remade(self, run: str, table: TargetTable) -> bool:
        with self._visit() as connection:
            found = None if connection is None else catalog.existing(connection, table.schema, table.name)
            return (
                connection is not None and found is not None and state.remade(connection, run, table.schema, table.name)
            )

    def holds_others(self, run: str, table: TargetTable) -> bool:
        with self._visit() as connection:
            if connection is None or catalog.existing(connection, table.schema, table.name) is None:
                return False
            own = state.exists(connection) and (table.schema, table.name) in state.fed(connection, run)
            return not own and not _is_empty(connection, Applier(connection), table)

    def sharer(self, run: str, table: TargetTable) -> str | None:
        with self._visit() as connection:
            return None if connection is None else state.sharer(connection, run, table.schema, table.name)

    def refusals(self, tables: Sequence[TargetTable]) -> list[TidegateError]:
        refused = [error for table in tables for error in unfit_error(table, catalog.refused_names(table))]
        taken: set[tuple[str, str]] = set()
        for table in tables:
            try:
                _refuse_respelled(table, taken)
            except TargetNameClash as clash:
                refused.append(clash)
            taken.add((table.schema, table.name))
        return refused

    def misfits(self, table: TargetTable) -> list[Misfit]:
        with self._visit() as connection:
            found = None if connection is None else catalog.existing(connection, table.schema, table.name)
        if found is None:
            raise TargetTableMissing(f"{table} is not there")
        return catalog.misfits(table, found)

    def block_form(self, table: TargetTable) -> str:
        with self._visit() as connection:
            if connection is None or catalog.existing(connection, table.schema, table.name) is None:
                return ""
            types = catalog.column_types(connection, Applier(connection).place(table))
        return BINARY if blocks.takes(table, types) else ""

    # --- a run ---

    def open(self, run: str, epoch: int) -> Stored | None:
        self._run, self._epoch = run, epoch
        with self._transaction() as connection:
            state.create(connection)
            state.take(connection, run, epoch)
            return state.stored(connection, run)

    def prepare(self, table: TargetTable, *, create: bool, replace: bool) -> bool:
        with self._fenced() as (connection, applier):
            found = catalog.existing(connection, table.schema, table.name)
            for refused in self.refusals([table]):
                raise refused
            wrong = [] if found is None else catalog.misfits(table, found)
            if wrong:
                raise misfit_error(table, wrong)
            fed = state.fed(connection, self._run)
            _refuse_respelled(table, fed)
            if found is None and not create:
                raise TargetTableMissing(f"{table} is not there, and create_tables is false")
            if found is None:
                _create(connection, applier, table)
            empty = _is_empty(connection, applier, table)
            for refused in shared_error(table, state.sharer(connection, self._run, table.schema, table.name)):
                raise refused
            own = (table.schema, table.name) in fed
            if not (empty or own or replace or table.mode is WriteMode.APPEND):
                raise TargetNotEmpty(f"{table} holds rows that no run of this task wrote")
            state.feed(connection, self._run, table.schema, table.name, applier.place(table))
            return empty

    def add_columns(self, table: TargetTable, columns: Sequence[Column]) -> None:
        with written_before(), self._fenced() as (connection, applier):
            for column in columns:
                connection.execute(f"ALTER TABLE {applier.place(table)} ADD COLUMN IF NOT EXISTS {_definition(column)}")

    def write(self, steps: Sequence[Step], progress: Progress) -> None:
        with written_before(), self._fenced() as (connection, applier):
            for step in steps:
                applier.apply(step)
            crossing("batch.staged")
            state.advance(connection, self._run, progress)
            crossing("batch.positioned")
        self._file.shrink()
        self._file.yield_turn()

    def release(self) -> None:
        self._file.let_go()

    def view(self) -> TargetView:
        return DuckdbView(self._file, self._file.told)

    def forget(self, run: str) -> None:
        with self._visit() as connection:
            if connection is not None:
                with _transaction_of(connection):
                    state.forget(connection, run)

    def stored(self, run: str) -> Stored | None:
        with self._visit() as connection:
            return None if connection is None else state.stored(connection, run)

    def close(self) -> None:
        self._file.close()

    # --- the file and transactions ---

    @contextmanager
    def _visit(self, wait_s: float | None = None) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """The file as it is, left as open or closed as it was; None if there is none, for looking must not make one."""
        path = Path(self.config.path)
        if not path.exists() or path.stat().st_size == 0:
            yield None
            return
        was_open = self._file.is_open
        try:
            yield self._file.connection(_WAIT_S if wait_s is None else wait_s)
        except duckdb.Error as error:
            raise self._file.told(error) from error
        finally:
            if not was_open:
                self._file.close()

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """All or nothing. After an error that may mean a lost file it is opened anew by the next call."""
        connection = self._file.connection(_WAIT_S)
        try:
            with _transaction_of(connection):
                yield connection
        except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException) as error:
            self._file.close()
            raise self._file.told(error) from error
        except Refused as error:
            raise self._file.told(error.cause, table=str(error.table), column=error.column) from error
        except duckdb.Error as error:
            raise self._file.told(error) from error

    @contextmanager
    def _fenced(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Applier]]:
        with self._transaction() as connection:
            state.fence(connection, self._run, self._epoch)
            yield connection, Applier(connection)


@contextmanager
def _transaction_of(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN TRANSACTION")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):  # a failed commit has ended the transaction itself
            connection.execute("ROLLBACK")
        raise


def _is_empty(connection: duckdb.DuckDBPyConnection, applier: Applier, table: TargetTable) -> bool:
    return first(connection.execute(f"SELECT 1 FROM {applier.place(table)} LIMIT 1")) is None


def _refuse_respelled(table: TargetTable, fed: set[tuple[str, str]]) -> None:
    """Two tables of the task must not become one because DuckDB takes their names for the same."""
    mine = (folded(table.schema), folded(table.name))
    for schema, name in fed:
        if (schema, name) != (table.schema, table.name) and (folded(schema), folded(name)) == mine:
            raise TargetNameClash(f"{table} and {schema}.{name} are one table to DuckDB")


def _definition(column: Column, *, required: bool = False) -> str:
    type = types.column_type(column.type)
    default = ""
    if column.default is not None:
        text = "'" + column.default.replace("'", "''") + "'"
        default = f" DEFAULT {types.typed(text, type)}"
    return f"{quote(column.name)} {type}{default}{' NOT NULL' if required else ''}"


def _create(connection: duckdb.DuckDBPyConnection, applier: Applier, table: TargetTable) -> None:
    """Without a primary key: replacing rows by key is many times slower with one."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {applier.place_of_schema(table)}")
    key = table.source.key if table.mode is WriteMode.UPSERT else ()
    parts = [_definition(column, required=column.name in key) for column in table.source.columns]
    parts += [f"{quote(name)} {type}" for name, type in catalog.stamp_types(table).items()]
    connection.execute(f"CREATE TABLE {applier.place(table)} ({', '.join(parts)})")
