"""A DuckDB file as of one instant, for comparing it with its source. The file is held until it is closed: other tasks
and people wait for it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from tidegate.connect.target import TargetTable, TargetView
from tidegate.errors import ComparisonEnded, TargetMisfit, TargetTableMissing, TidegateError
from tidegate.targets.duckdb import state
from tidegate.targets.duckdb.apply import Applier
from tidegate.targets.duckdb.catalog import existing, folded, quote
from tidegate.targets.duckdb.file import DuckdbFile
from tidegate.targets.duckdb.types import column_type, text, typed

_ROWS_AT_ONCE = 10_000


class DuckdbView(TargetView):
    """Two cursors of the file's connection: one whose transaction is the instant, one for casting."""

    def __init__(self, file: DuckdbFile, told: Callable[[duckdb.Error], TidegateError]) -> None:
        self._file = file
        self._told = told
        self._instant: duckdb.DuckDBPyConnection | None = None
        self._aside: duckdb.DuckDBPyConnection | None = None

    def open(self, deadline_s: float) -> None:
        """Nothing to connect to: the file is the run's own. What is read takes no locks, and `close` ends it."""

    def hold(self, run: str) -> str | None:
        with self._telling():
            self._instant, self._aside = self._file.share(), self._file.share()
            self._instant.execute("BEGIN TRANSACTION")
            held = state.stored(self._instant, run)  # the transaction's instant is that of its first statement
        return held.position if held else None

    def rows(
        self, table: TargetTable, names: Sequence[str], order: Sequence[str] = ()
    ) -> Generator[pa.RecordBatch, None, None]:
        types = self._types(table)
        texts = [f"{text(quote(name), _type(table, types, name))} AS {quote(name)}" for name in names]
        query = f"SELECT {', '.join(texts)} FROM {Applier(self._at()).place(table)}"
        if order:
            listed = ", ".join(f"{quote(name)} NULLS FIRST" for name in order)
            query = f"SELECT * FROM ({query}) ORDER BY {listed}"
        with self._telling():
            yield from _read(self._at(), query)

    def as_held(self, table: TargetTable, rows: pa.RecordBatch) -> pa.RecordBatch:
        types = self._types(table)
        other = {
            name: have
            for name in rows.schema.names
            if name in table.source.names
            and (have := _type(table, types, name)) not in (column_type(table.source.column(name).type), "VARCHAR")
        }
        if not other:
            return rows
        texts = [
            f"{text(typed(f's.{quote(name)}', other[name]), other[name])} AS {quote(name)}"
            if name in other
            else quote(name)
            for name in rows.schema.names
        ]
        with self._telling():
            if self._aside is None:
                raise ComparisonEnded("the file was let go of")
            return _cast(self._aside, f"SELECT {', '.join(texts)} FROM tidegate_rows AS s", rows)

    def _types(self, table: TargetTable) -> dict[str, str]:
        with self._telling():
            found = existing(self._at(), table.schema, table.name)
        if found is None:
            raise TargetTableMissing(f"{table} is not there")
        return {folded(column.name): column.type for column in found.columns}

    def _at(self) -> duckdb.DuckDBPyConnection:
        if self._instant is None:
            raise ComparisonEnded("the file was let go of")
        return self._instant

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.InterruptException, duckdb.ConnectionException) as error:
            raise ComparisonEnded("the file was let go of") from error
        except duckdb.Error as error:
            raise self._told(error) from error
        except (pa.ArrowException, OSError) as error:  # what a stream that is being read says of the same
            raise ComparisonEnded("reading the file came to an end before its rows did") from error

    def close(self) -> None:
        shared, self._instant, self._aside = (self._instant, self._aside), None, None
        for cursor in shared:
            if cursor is not None:
                self._file.unshare(cursor)


def _type(table: TargetTable, types: dict[str, str], name: str) -> str:
    try:
        return types[folded(name)]
    except KeyError:
        raise TargetMisfit(f"{table}.{name}: is missing", table=str(table)) from None


def _read(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """Row by row as they come: a result fetched by `execute` would be held whole."""
    with connection.sql(query).to_arrow_reader(_ROWS_AT_ONCE) as reader:
        yield from reader


def _cast(connection: duckdb.DuckDBPyConnection, query: str, tidegate_rows: pa.RecordBatch) -> pa.RecordBatch:
    """DuckDB finds the rows by this parameter's name."""
    whole = connection.sql(query).to_arrow_reader(max(1, tidegate_rows.num_rows)).read_all()
    batches = whole.combine_chunks().to_batches()
    return batches[0] if batches else tidegate_rows.slice(0, 0)
