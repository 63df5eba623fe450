"""Reading one chunk of a table of MariaDB or MySQL: a consistent snapshot with its own place in the log, then SELECT.

Nothing is locked before the snapshot (but with MySQL, for a moment: see `mysnapshot.py`): TRUNCATE and ALTER give a
table another version, and a snapshot that is older than it is answered with error 1412, upon which the chunk is read
again. From the first row on until the transaction ends the server's own metadata lock makes them wait. A column that
was added at an instant is seen at once, by old snapshots too, with its default; so names come from the table as it is
when its rows are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pymysql
from pymysql.cursors import SSCursor

from tidegate.connect import mysnapshot, mytypes
from tidegate.connect.mariadb import (
    Connection,
    MariadbConfig,
    connect,
    place,
    quote,
    quoted,
    server_identity,
    translated,
)
from tidegate.connect.myflavour import MARIADB, Flavour
from tidegate.connect.myposition import MyPosition, MySnapshot, Place
from tidegate.connect.mysession import drop, key_of, rows
from tidegate.connect.myshapes import new_column
from tidegate.connect.mystatements import Added
from tidegate.connect.source import ChunkMark, ChunkReader
from tidegate.errors import SourceTableUnknown, SourceUnreachable
from tidegate.model.schema import Column, TableName, TableSchema

LOCK_TIMEOUT_S = 5
BATCH_ROWS = 2_000
BATCH_BYTES = 4 << 20
NOTHING_ADDED: Mapping[str, Added] = MappingProxyType({})


class MyInstant:
    """A connection that reads as of one instant. Its methods raise the error table's classes."""

    def __init__(self, config: MariadbConfig) -> None:
        self._config = config
        self._connection: Connection | None = None
        self._closed = False
        self.flavour: Flavour = MARIADB
        """The server's, once it is connected to."""

    def open(self) -> None:
        self._connection = connect(self._config, "source")
        self.flavour = Flavour.of(self._connection)
        if self._closed:  # given up while connecting
            self._drop()
        self.query(f"set session lock_wait_timeout = {LOCK_TIMEOUT_S}, innodb_lock_wait_timeout = {LOCK_TIMEOUT_S}")
        self.query("set session sql_quote_show_create = 1")
        # Anything weaker takes no snapshot, and says nothing.
        self.query("set session transaction isolation level repeatable read")

    @property
    def alive(self) -> bool:
        return self._connection is not None and self._connection.open

    def take(self) -> Place | None:
        """Begin anew, which ends what was read before: the snapshot's place in the log; None: no moment was found at
        which that is known."""
        if self.flavour.tells_snapshots:
            return mysnapshot.said_with(self.query)
        return mysnapshot.in_quiet(self.query, self.flavour)

    def take_of(self, table: TableName, other: MyInstant) -> Place:
        """The same for one table, which `other` may lock for it."""
        if self.flavour.tells_snapshots:
            return mysnapshot.said_with(self.query)
        found = mysnapshot.in_quiet(self.query, self.flavour, tries=1)
        return found or mysnapshot.under_lock(self.query, other.query, self.flavour, table)

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        connection = self.connection
        with self._telling():
            return rows(connection, statement, values)

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            raise SourceUnreachable(f"{place(self._config)}: the connection that reads rows is not open")
        return self._connection

    def identity(self) -> tuple[str, ...]:
        with self._telling():
            return server_identity(self.connection)

    def describe(
        self, name: TableName, expected: TableSchema | None = None, added: Mapping[str, Added] = NOTHING_ADDED
    ) -> tuple[TableSchema, list[mytypes.Described]]:
        """The table as it is now. What it was said to be before tells which values older rows have in its columns;
        of one that is new `added` does, once the log was read up to the statement that added it."""
        found = mytypes.described(self.query, name, self.flavour)
        if not found:
            raise SourceTableUnknown(f"{name} no longer exists")
        known = {column.name: column for column in expected.columns} if expected else {}
        columns = []
        for one in found:
            before = known.get(one.name)
            if before is not None:
                columns.append(Column(one.name, one.type, one.nullable, before.default, before.varies))
            else:
                columns.append(new_column(one.column, added.get(one.name)) if expected else one.column)
        return TableSchema(name, tuple(columns), key_of(self.query, name), self.flavour.kind), found

    def texts(
        self, table: TableName, columns: Sequence[mytypes.Described], condition: str, values: Sequence[Any]
    ) -> Iterator[pa.RecordBatch]:
        """The rows as text columns."""
        chosen = ", ".join(mytypes.expression(column, quote(column.name)) for column in columns)
        statement = f"select {chosen} from {quoted(table.schema, table.name)} where {condition}"
        readings = [mytypes.reading(column) for column in columns]
        names = [column.name for column in columns]
        with self._telling(), SSCursor(self.connection) as cursor:
            cursor.execute(statement, tuple(values) or None)
            while found := _some(cursor):
                yield _batch(names, readings, found)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Raises the driver's errors as the error table's. What a connection that was closed by another thread breaks
        with is one of them."""
        try:
            yield
        except (pymysql.Error, OSError, AttributeError, ValueError) as error:
            if isinstance(error, (AttributeError, ValueError)) and not self._closed:
                raise
            raise translated(error, "source", self._config) from error

    def close(self) -> None:
        """Idempotent; also from another thread: ends a read under way."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        connection = self._connection
        if connection is not None:
            with suppress(Exception):  # thrown away anyway: the server ends the query when the socket closes
                drop(connection)


def _some(cursor: SSCursor) -> list[tuple[Any, ...]]:
    """The next rows: so many, or so many as have so many bytes."""
    found: list[tuple[Any, ...]] = []
    size = 0
    while len(found) < BATCH_ROWS and size < BATCH_BYTES:
        row = cursor.fetchone()
        if row is None:
            break
        found.append(row)
        size += sum(len(cell) for cell in row if cell is not None)
    return found


def _batch(
    names: Sequence[str], readings: Sequence[Callable[[Any], str] | None], found: list[tuple[Any, ...]]
) -> pa.RecordBatch:
    arrays = []
    for cells, reading in zip(zip(*found, strict=True), readings, strict=True):
        texts = cells if reading is None else [None if cell is None else reading(cell) for cell in cells]
        arrays.append(pa.array(texts, pa.string()))
    return pa.RecordBatch.from_arrays(arrays, names=list(names))


class MyChunk(ChunkReader):
    """See `ChunkReader`."""

    def __init__(
        self,
        config: MariadbConfig,
        table: TableSchema,
        condition: str,
        values: Sequence[Any],
        added: Callable[[TableName], Mapping[str, Added]],
    ) -> None:
        self._table = table
        self._added = added
        self._condition, self._values = condition, values
        self._instant, self._locker = MyInstant(config), MyInstant(config)

    def lock(self) -> None:
        self._instant.open()
        if not mytypes.described(self._instant.query, self._table.name, self._instant.flavour):
            raise SourceTableUnknown(f"{self._table.name} no longer exists")
        if not self._instant.flavour.tells_snapshots:
            self._locker.open()
            self._locker.query(f"set session lock_wait_timeout = {mysnapshot.LOCK_WAIT_S}")

    def mark(self) -> ChunkMark:
        at = self._instant.take_of(self._table.name, self._locker)
        self._locker.close()
        return ChunkMark(MySnapshot(at), MyPosition(at))

    def rows(self) -> tuple[TableSchema, Iterator[pa.RecordBatch]]:
        name = self._table.name
        # From here on the table is held still, or was changed since the snapshot and says so.
        self._instant.query(f"select 1 from {quoted(name.schema, name.name)} limit 0")
        schema, columns = self._instant.describe(name, self._table, self._added(name))
        return schema, self._instant.texts(name, columns, self._condition, self._values)

    def close(self) -> None:
        self._instant.close()
        self._locker.close()
