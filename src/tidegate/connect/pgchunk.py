"""Reading one chunk of a PostgreSQL table: lock, snapshot, COPY."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.generators import fetch_many
from psycopg.waiting import Wait
from pyarrow import csv

from tidegate.connect import pgtypes
from tidegate.connect.pgdrain import Drain, Gulp, State, open_drain
from tidegate.connect.pgposition import PgPosition, PgSnapshot, parse_lsn
from tidegate.connect.postgres import PostgresConfig, connect, literal, place, quote, quoted, translated
from tidegate.connect.source import Blocks, ChunkMark, ChunkReader
from tidegate.connect.target import KeyRange
from tidegate.errors import SourceLogBroken, SourceStandby, SourceTableUnknown, SourceUnreachable
from tidegate.model.schema import Kind, TableName, TableSchema

LOG_END = "pg_catalog.pg_current_wal_insert_lsn()::text"
# The name of a log file begins with it, in hexadecimal digits.
TIMELINE = (
    "('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::pg_catalog.bit(32)::int"
)
BLOCK_BYTES = 4 << 20
LOCK_TIMEOUT_S = 5
BINARY = "postgres binary"
"""COPY's binary form, of types whose values have the same bytes in every database."""


class PgChunk(ChunkReader):
    """See `ChunkReader`. The transaction is read only and ends with `close`."""

    def __init__(
        self, config: PostgresConfig, table: TableName, condition: str, *, timeline: int | None = None
    ) -> None:
        """`timeline` is the one the server must be on: the log's."""
        self._config = config
        self._table = table
        self._condition = condition
        self._timeline = timeline
        self._connection: psycopg.Connection[Any] | None = None
        self._facts: pgtypes.TableFacts | None = None
        self._log_end = "0/0"
        self._closed = False

    def lock(self) -> None:
        self._connection = connection = connect(self._config, "source")
        if self._closed:  # given up while connecting
            connection.close()
        try:
            self._facts = pgtypes.read_facts(connection, self._table)
            if self._facts is None:
                raise SourceTableUnknown(f"{self._table} no longer exists")
            connection.execute("begin isolation level repeatable read read only")
            connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
            # Before the snapshot: TRUNCATE and rewrites are not versioned; with the lock they wait for the chunk.
            connection.execute(f"lock table {self._relation()} in access share mode")
        except psycopg.Error as error:
            raise translated(error, "source", self._config) from error

    def mark(self) -> ChunkMark:
        try:
            row = (
                self._open()
                .execute(
                    "select pg_catalog.pg_current_snapshot()::text,"
                    f" case when not pg_catalog.pg_is_in_recovery() then {LOG_END} end,"
                    f" case when not pg_catalog.pg_is_in_recovery() then {TIMELINE} end"
                )
                .fetchone()
            )
        except psycopg.Error as error:
            raise translated(error, "source", self._config) from error
        seen, end, timeline = row or ("", None, 0)
        if end is None:
            raise SourceStandby(f"{place(self._config)} is a standby")
        if self._timeline not in (None, timeline):
            raise SourceUnreachable(f"another server answers: it is on timeline {timeline}, not {self._timeline}")
        self._log_end = end
        return ChunkMark(PgSnapshot(seen), PgPosition(parse_lsn(self._log_end)))

    def rows(self) -> tuple[TableSchema, Iterator[pa.RecordBatch]]:
        facts = self._facts
        if facts is None:
            raise SourceTableUnknown(f"{self._table} was not locked")
        try:
            schema = pgtypes.read_schema(self._open(), self._table, facts.oid)
        except psycopg.Error as error:
            raise translated(error, "source", self._config) from error
        return schema, self._read(schema)

    def _read(self, schema: TableSchema) -> Iterator[pa.RecordBatch]:
        query = self._query(schema)
        held, size = [], 0
        try:
            with self._open().cursor() as cursor, cursor.copy(f"{query} to stdout (format csv, force_quote *)") as copy:
                for block in copy:
                    held.append(block)
                    size += len(block)
                    if size >= BLOCK_BYTES:  # blocks are whole rows, so cutting between them cuts between rows
                        yield from batches(b"".join(held), schema.names)
                        held, size = [], 0
        except psycopg.Error as error:
            raise translated(error, "source", self._config) from error
        if held:
            yield from batches(b"".join(held), schema.names)
        self._make_durable()

    def _query(self, schema: TableSchema) -> str:
        columns = ", ".join(quote(name) for name in schema.names)
        return f"copy (select {columns} from {self._relation()} t where {self._condition})"

    def blocks(self, form: str, expected: TableSchema) -> Blocks | None:
        facts = self._facts
        if form != BINARY or facts is None:
            return None
        try:
            schema = pgtypes.read_schema(self._open(), self._table, facts.oid)
        except psycopg.Error as error:
            raise translated(error, "source", self._config) from error
        return _Blocks(self, self._query(schema)) if schema == expected else None

    def _copied(self, query: str, told: Callable[[int], None]) -> Iterator[bytes]:
        """COPY's output in large pieces, by libpq itself; `told` hears how many rows it was."""
        connection = self._open()
        try:
            with connection.cursor() as cursor, cursor.copy(f"{query} to stdout (format binary)"):
                drain = open_drain(connection.pgconn, framed=False)
                state = State.FULL
                while state is State.FULL:
                    gulp = connection.wait(_gulp(drain))
                    state = gulp.state
                    if gulp.frames:
                        yield bytes(gulp.frames)
                results = connection.wait(fetch_many(connection.pgconn)) if state is State.ENDED else []
                if len(results) != 1:
                    raise psycopg.OperationalError("the connection was lost while rows were read")
                if results[0].status != pq.ExecStatus.COMMAND_OK:
                    raise psycopg.errors.error_from_result(results[0])
                told(results[0].command_tuples or 0)
        except psycopg.Error as error:
            raise translated(error, "source", self._config) from error
        self._make_durable()

    def _make_durable(self) -> None:
        """I3: everything the snapshot saw must outlive a crash of the server. Else the crash would undo what was seen
        to end, and give its number to another transaction, which would count as contained in the chunk."""
        connection = self._open()
        try:
            connection.execute("commit")
            row = connection.execute(
                "select pg_catalog.pg_current_wal_flush_lsn() >= %s::pg_catalog.pg_lsn", (self._log_end,)
            ).fetchone()
            if row != (True,):  # a commit of its own takes along what was logged before it
                connection.execute("set synchronous_commit = local")
                connection.execute("select pg_catalog.pg_logical_emit_message(true, 'tidegate', '')")
        except psycopg.Error as error:
            raise translated(error, "source", self._config) from error

    def close(self) -> None:
        self._closed = True
        connection = self._connection
        if connection is None or connection.closed:
            return
        with suppress(psycopg.Error):  # thrown away anyway: the server ends the query when the socket closes
            connection.cancel_safe(timeout=2)
        connection.close()

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            raise SourceTableUnknown(f"{self._table} was not locked")
        return self._connection

    def _relation(self) -> str:
        only = "" if self._facts is not None and self._facts.partitioned else "only "
        return only + quoted(self._table.schema, self._table.name)


class _Blocks(Blocks):
    def __init__(self, chunk: PgChunk, query: str) -> None:
        self._chunk, self._query = chunk, query

    def __iter__(self) -> Iterator[bytes]:
        def told(rows: int) -> None:
            self.rows = rows

        return self._chunk._copied(self._query, told)


def _gulp(drain: Drain) -> PQGen[Gulp]:
    """What has come, once something has. A generator of the kind that psycopg's connections wait for."""
    while True:
        gulp = drain.take(BLOCK_BYTES)
        if gulp.frames or gulp.state is not State.NOTHING_MORE:
            return gulp._replace(state=State.FULL) if gulp.state is State.NOTHING_MORE else gulp
        yield Wait.R


def batches(data: bytes, names: tuple[str, ...]) -> list[pa.RecordBatch]:
    """COPY's CSV (everything but NULL quoted) as text columns. Raises `SourceLogBroken`."""
    try:
        table = csv.read_csv(
            io.BytesIO(data),
            read_options=csv.ReadOptions(use_threads=False, column_names=list(names), block_size=len(data) + 1),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceLogBroken("the rows of a chunk are not the text they should be") from error
    return list(table.to_batches())


def range_condition(table: TableSchema, keys: KeyRange | None, exactly: tuple[str, ...] | None = None) -> str:
    """The SQL condition for a range of keys, or for one key."""
    if exactly is not None:
        return " and ".join(
            f"t.{quote(name)} = {literal(text).strip()}" for name, text in zip(table.key, exactly, strict=True)
        )
    conditions = []
    if keys is not None and keys.after is not None:
        conditions.append(_compared(table, ">", keys.after))
    if keys is not None and keys.upto is not None:
        conditions.append(_compared(table, "<=", keys.upto))
    return " and ".join(conditions) or "true"


def _compared(table: TableSchema, sign: str, bound: tuple[str, ...]) -> str:
    names = table.key[: len(bound)]
    left = ", ".join(_column(table, name) for name in names)
    right = ", ".join(_value(table, name, text) for name, text in zip(names, bound, strict=True))
    return f"({left}) {sign} ({right})"


def _column(table: TableSchema, name: str) -> str:
    return f"t.{quote(name)}" + (' collate "C"' if table.column(name).type.kind is Kind.TEXT else "")


def _value(table: TableSchema, name: str, text: str) -> str:
    return f"{literal(text).strip()}::{table.column(name).type.native}"
