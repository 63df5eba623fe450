"""A MariaDB target as of one instant, for comparing it with its source."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pymysql
from pymysql.cursors import SSCursor

from tidegate.connect.mariadb import TABLE_CHANGED, Connection, number, quote, quoted
from tidegate.connect.target import TargetTable, TargetView
from tidegate.errors import ComparisonEnded, NotComparable, TargetMisfit, TargetTableMissing, TidegateError
from tidegate.model.schema import Kind
from tidegate.targets.mariadb.catalog import ExistingTable, created_types, existing, kinds
from tidegate.targets.mariadb.types import Spelling, text

_ROWS_AT_ONCE = 10_000
_TEXT = pa.string()


class MariadbView(TargetView):
    """A connection of its own, whose transaction is the instant."""

    def __init__(
        self, connect: Callable[..., Connection], told: Callable[[Exception], TidegateError], *, folds: bool
    ) -> None:
        self._connect = connect
        self._told = told
        self._folds = folds
        self._connection: Connection | None = None
        self._closing = threading.Lock()

    def open(self, deadline_s: float) -> None:
        self._connection = self._connect(read_timeout=deadline_s)
        with self._telling(), self._at().cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # What is sorted by is compared to its end: no index of a source takes as much of a key.
            cursor.execute("SET SESSION max_sort_length = 65536, SESSION sort_buffer_size = 67108864")

    def hold(self, run: str) -> str | None:
        with self._telling(), self._at().cursor() as cursor:
            cursor.execute("ROLLBACK")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            cursor.execute("SELECT `position` FROM tidegate.`position` WHERE run = %s", (run,))
            found = cursor.fetchone()
        return found[0] if found else None

    def rows(
        self, table: TargetTable, names: Sequence[str], order: Sequence[str] = ()
    ) -> Generator[pa.RecordBatch, None, None]:
        found = self._existing(table)
        have = {name: _type(table, found, name) for name in (*names, *order)}
        kind = kinds(table)
        texts = {name: text(quote(name), kind[name], type) for name, type in have.items()}
        query = f"SELECT {', '.join(texts[name] for name in names)} FROM {quoted(table.schema, found.name)}"
        if order:
            query += " ORDER BY " + ", ".join(f"CAST({texts[name]} AS BINARY)" for name in order)
        in_hex = [name for name in names if kind[name] is Kind.BYTES and not _is_text(found, name)]
        with self._telling():
            yield from self._read(query, names, in_hex)

    def _read(self, query: str, names: Sequence[str], in_hex: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows as they come; those left unread are not waited for."""
        connection = self._at()
        with connection.cursor(SSCursor) as cursor:
            cursor.execute(query)
            try:
                while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                    columns = zip(names, zip(*rows, strict=True), strict=True)
                    yield pa.RecordBatch.from_arrays(
                        [_texts(cells, hexadecimal=name in in_hex) for name, cells in columns], list(names)
                    )
            except GeneratorExit:
                self._end(connection)
                raise

    def _end(self, connection: Connection) -> None:
        """End the query under way; the transaction and its instant stay."""
        with self._connect() as aside, aside.cursor() as cursor:
            cursor.execute(f"KILL QUERY {connection.thread_id()}")  # type: ignore[no-untyped-call]

    def as_held(self, table: TargetTable, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Only a number with more digits behind its point is spelled in another way."""
        found = self._existing(table)
        made = created_types(table)
        for place, name in enumerate(rows.schema.names):
            have = _type(table, found, name)
            mine = Spelling.of(have)
            if have != made.get(name) and mine.base == "decimal":
                scale = (*mine.numbers, 0, 0)[1]
                padded = [None if one is None else _with_scale(one, scale) for one in rows.column(name).to_pylist()]
                rows = rows.set_column(place, name, pa.array(padded, _TEXT))
        return rows

    def _existing(self, table: TargetTable) -> ExistingTable:
        with self._telling(), self._at().cursor() as cursor:
            found = existing(cursor, table.schema, table.name, folds=self._folds)
        if found is None:
            raise TargetTableMissing(f"{table} is not there")
        return found

    def _at(self) -> Connection:
        if self._connection is None:
            raise ComparisonEnded("the connection was closed")
        return self._connection

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (pymysql.Error, OSError, AttributeError) as error:
            if self._connection is None:
                raise ComparisonEnded("the connection was closed") from error
            if number(error) == TABLE_CHANGED:
                raise NotComparable("a table was changed or emptied since the instant") from error
            if isinstance(error, AttributeError):
                raise
            raise self._told(error) from error

    def close(self) -> None:
        with self._closing:
            connection, self._connection = self._connection, None
        if connection is not None:
            # Without waiting for what is being read: whoever reads it finds the connection's end.
            with suppress(OSError, AttributeError):
                connection._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
            connection._force_close()  # type: ignore[attr-defined]


def _type(table: TargetTable, found: ExistingTable, name: str) -> str:
    have = found.column(name)
    if have is None:
        raise TargetMisfit(f"{table}.{name}: is missing", table=str(table))
    return have.type


def _is_text(found: ExistingTable, name: str) -> bool:
    have = found.column(name)
    return have is not None and Spelling.of(have.type).is_text


def _texts(cells: Sequence[Any], *, hexadecimal: bool) -> pa.Array:
    if hexadecimal:
        return pa.array([None if cell is None else "\\x" + cell.hex() for cell in cells], _TEXT)
    return pa.array([cell.decode() if isinstance(cell, bytes) else cell for cell in cells], _TEXT)


def _with_scale(number: str, scale: int) -> str:
    whole, _, fraction = number.partition(".")
    return f"{whole}.{fraction.ljust(scale, '0')}" if scale else whole
