"""A MariaDB or MySQL source as of one instant, for comparing it with a target."""

from __future__ import annotations

from collections.abc import Generator

import pyarrow as pa
import pymysql

from tidegate.connect.mariadb import TABLE_CHANGED, MariadbConfig, number, quoted
from tidegate.connect.mychunk import MyInstant
from tidegate.connect.myposition import MyPosition, MySnapshot
from tidegate.connect.source import ChunkMark, SourceView
from tidegate.errors import NotComparable, SourceTableUnknown, SourceUnreachable
from tidegate.model.schema import TableName, TableSchema


class MySourceView(SourceView):
    """A consistent snapshot in a transaction of its own. A table stays as it is from when it is read until the end of
    the comparison."""

    def __init__(self, config: MariadbConfig) -> None:
        self._instant = MyInstant(config)

    def open(self, deadline_s: float) -> None:
        self._instant.open()
        self._instant.query(f"set session {self._instant.flavour.statement_limit(deadline_s)}")

    def mark(self) -> ChunkMark:
        at = self._instant.take()
        if at is None:
            raise NotComparable(
                "no moment was found at which nothing was written to the log, and without one MySQL does not tell which"
                " place of its log a snapshot belongs to; compare at a quieter time"
            )
        return ChunkMark(MySnapshot(at), MyPosition(at))

    def rows(self, table: TableName) -> tuple[TableSchema, Generator[pa.RecordBatch, None, None]]:
        try:
            self._instant.query(f"select 1 from {quoted(table.schema, table.name)} limit 1")
            schema, columns = self._instant.describe(table)
        except SourceTableUnknown as error:
            raise NotComparable(f"{table} does not exist at the source") from error
        except SourceUnreachable as error:
            if not isinstance(error.__cause__, pymysql.Error) or number(error.__cause__) != TABLE_CHANGED:
                raise
            raise NotComparable(f"{table} was truncated or rewritten meanwhile") from error

        def read() -> Generator[pa.RecordBatch, None, None]:
            yield from self._instant.texts(table, columns, "true", ())

        return schema, read()

    def close(self) -> None:
        self._instant.close()
