"""A PostgreSQL source as of one instant, for comparing it with a target."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg
import pyarrow as pa

from tidegate.connect import pgtypes
from tidegate.connect.pgchunk import LOG_END, TIMELINE
from tidegate.connect.pginstant import PgInstant
from tidegate.connect.pgposition import PgPosition, PgSnapshot, parse_lsn
from tidegate.connect.postgres import PostgresConfig, connect, place, quote, translated
from tidegate.connect.source import ChunkMark, SourceView
from tidegate.errors import ComparisonEnded, NotComparable, TidegateError
from tidegate.model.schema import TableName, TableSchema


class PgSourceView(SourceView):
    """A plain snapshot, no slot: it takes none of the source's slots, waits for nobody's transaction, and keeps no log.
    Which transactions of the log it contains the snapshot says itself."""

    def __init__(self, config: PostgresConfig, *, timeline: int | None = None) -> None:
        """`timeline` is the one the server must be on: the log's."""
        self._config = config
        self._timeline = timeline
        self._instant = PgInstant(lambda: connect(config, "source", application_name="tidegate verify"), self._told)

    def open(self, deadline_s: float) -> None:
        self._instant.open(deadline_s)

    def mark(self) -> ChunkMark:
        row = self._instant.take(
            "select pg_catalog.pg_current_snapshot()::text,"
            f" case when not pg_catalog.pg_is_in_recovery() then {LOG_END} end,"
            f" case when not pg_catalog.pg_is_in_recovery() then {TIMELINE} end"
        )
        seen, end, timeline = row or ("", None, 0)
        if end is None or self._timeline not in (None, timeline):
            raise ComparisonEnded(f"{place(self._config)} is not the server whose log the run follows")
        return ChunkMark(PgSnapshot(seen), PgPosition(parse_lsn(end)))

    def rows(self, table: TableName) -> tuple[TableSchema, Generator[pa.RecordBatch, None, None]]:
        rows = self._read(table)
        return next(rows), rows

    def _read(self, table: TableName) -> Generator[Any, None, None]:
        """The schema first, as it is only sure while the table is locked; then the rows."""
        instant = self._instant
        with instant.telling():
            facts = pgtypes.read_facts(instant.connection, table)
        if facts is None:
            raise NotComparable(f"{table} does not exist at the source")
        with instant.locked(table.schema, table.name, oid=facts.oid, partitioned=facts.partitioned) as relation:
            with instant.telling():
                schema = pgtypes.read_schema(instant.connection, table, facts.oid)
            yield schema
            columns = ", ".join(quote(name) for name in schema.names)
            yield from instant.texts(f"select {columns} from {relation}", schema.names)

    def close(self) -> None:
        self._instant.close()

    def _told(self, error: psycopg.Error) -> TidegateError:
        return translated(error, "source", self._config)
