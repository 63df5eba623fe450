"""Reading one chunk of a PostgreSQL table: lock, snapshot, COPY."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pyarrow as pa

from tidegate.connect import pgtypes
from tidegate.connect.pgposition import PgPosition, PgSnapshot, parse_lsn
from tidegate.connect.pgrows import copied, texts
from tidegate.connect.postgres import PostgresConfig, connect, literal, place, quote, quoted, translated
from tidegate.connect.source import Blocks, ChunkMark, ChunkReader
from tidegate.connect.target import KeyRange
from tidegate.decode.copying import BINARY
from tidegate.errors import SourceStandby, SourceTableUnknown, SourceUnreachable
from tidegate.model.schema import Kind, TableName, TableSchema

LOG_END = "pg_catalog.pg_current_wal_insert_lsn()::text"
# The name of a log file begins with it, in hexadecimal digits.
TIMELINE = (
    "('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::pg_catalog.bit(32)::int"
)
LOCK_TIMEOUT_S = 5


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
        try:
            yield from texts(self._open(), self._select(schema), schema.names)
        except psycopg.Error as error:
            raise translated(error, "source", self._config) from error
        self._make_durable()

    def _select(self, schema: TableSchema) -> str:
        columns = ", ".join(quote(name) for name in schema.names)
        return f"select {columns} from {self._relation()} t where {self._condition}"

    def blocks(self, form: str, expected: TableSchema) -> Blocks | None:
        facts = self._facts
        if form != BINARY or facts is None:
            return None
        try:
            schema = pgtypes.read_schema(self._open(), self._table, facts.oid)
        except psycopg.Error as error:
            raise translated(error, "source", self._config) from error
        return _Blocks(self._copied(schema)) if schema == expected else None

    def _copied(self, schema: TableSchema) -> Generator[bytes, None, int]:
        try:
            rows = yield from copied(self._open(), f"copy ({self._select(schema)}) to stdout (format binary)")
        except psycopg.Error as error:
            raise translated(error, "source", self._config) from error
        self._make_durable()
        return rows

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
    def __init__(self, pieces: Generator[bytes, None, int]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        self.rows = yield from self._pieces


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
