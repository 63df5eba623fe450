"""A PostgreSQL target as of one instant, for comparing it with its source."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import psycopg
import pyarrow as pa

from tidegate.connect.pginstant import PgInstant
from tidegate.connect.postgres import quote, quoted
from tidegate.connect.target import TargetTable, TargetView
from tidegate.errors import TargetMisfit, TargetTableMissing, TidegateError
from tidegate.targets.postgres.catalog import ExistingTable, existing
from tidegate.targets.postgres.types import column_type

_TEXT = pa.string()


class PgTargetView(TargetView):
    """A connection of its own."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], told: Callable[[psycopg.Error], TidegateError]
    ) -> None:
        self._instant = PgInstant(connect, told)

    def open(self, deadline_s: float) -> None:
        self._instant.open(deadline_s)

    def hold(self, run: str) -> str | None:
        row = self._instant.take("SELECT position FROM tidegate.position WHERE run = %s", (run,))
        return row[0] if row else None

    def rows(
        self, table: TargetTable, names: Sequence[str], order: Sequence[str] = ()
    ) -> Generator[pa.RecordBatch, None, None]:
        found = self._existing(table)
        for name in names:
            _column(table, found, name)
        with self._instant.telling():
            row = self._instant.connection.execute(
                "SELECT %s::regclass::oid::int8", (quoted(table.schema, table.name),)
            ).fetchone()
        partitioned = found.kind == "p"
        oid = row[0] if row else 0
        with self._instant.locked(table.schema, table.name, oid=oid, partitioned=partitioned) as relation:
            query = f"SELECT {', '.join(quote(name) for name in names)} FROM {relation}"
            if order:
                query += " ORDER BY " + ", ".join(f'{quote(name)}::text COLLATE "C" NULLS FIRST' for name in order)
            yield from self._instant.texts(query, names)

    def as_held(self, table: TargetTable, rows: pa.RecordBatch) -> pa.RecordBatch:
        found = self._existing(table)
        for place, name in enumerate(rows.schema.names):
            have = _column(table, found, name)
            if name in table.source.names:
                wanted = column_type(table.source.column(name).type, table.source.family)
                if have.type not in (wanted, "text", "character varying"):
                    rows = rows.set_column(place, name, self._cast(rows.column(name), have.spelled))
        return rows

    def _cast(self, texts: pa.Array, spelled: str) -> pa.Array:
        with self._instant.telling():
            cast = self._instant.connection.execute(
                f"SELECT (v::{spelled})::text FROM unnest(%s::text[]) WITH ORDINALITY t (v, n) ORDER BY n",
                (texts.to_pylist(),),
            ).fetchall()
        return pa.array([text for (text,) in cast], _TEXT)

    def _existing(self, table: TargetTable) -> ExistingTable:
        with self._instant.telling(), self._instant.connection.cursor() as cursor:
            found = existing(cursor, table.schema, table.name)
        if found is None:
            raise TargetTableMissing(f"{table} is not there")
        return found

    def close(self) -> None:
        self._instant.close()


def _column(table: TargetTable, found: ExistingTable, name: str) -> Any:
    have = found.column(name)
    if have is None:
        raise TargetMisfit(f"{table}.{name}: is missing", table=str(table))
    return have
