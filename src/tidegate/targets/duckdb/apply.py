"""Puts steps into DuckDB tables, set by set, straight from Arrow: rows that change are deleted by key and inserted
anew, which is many times faster here than MERGE or a primary key. Nothing here begins or ends a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from tidegate.connect.moved import MovedRows, together
from tidegate.connect.target import Append, Clear, KeyRange, Net, Step, TargetTable
from tidegate.errors import SourceLogBroken, TargetMisfit, TargetRowMissing
from tidegate.targets.duckdb import blocks
from tidegate.targets.duckdb.catalog import column_types, first, folded, quote
from tidegate.targets.duckdb.types import typed

# More than a row group of DuckDB's has (122,880): a whole one is written where it stays, less goes into the log first.
_GATHERED_ROWS = 250_000
_GATHERED_BYTES = 32 << 20

Rows: TypeAlias = pa.RecordBatch | pa.Table

_ROWS = "tidegate_rows"


class Refused(Exception):
    """Says which column of a table DuckDB could not fill."""

    def __init__(self, table: TargetTable, column: str, cause: duckdb.Error) -> None:
        super().__init__(f"{table}.{column}")
        self.table = table
        self.column = column
        self.cause = cause


class Applier:
    """Applies steps over one connection. It lives for one transaction: what it has learned of tables holds."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._types: dict[str, dict[str, str]] = {}
        row = first(connection.execute("SELECT current_database()"))
        self._database = row[0] if row else ""

    def place(self, table: TargetTable) -> str:
        """The table's whole name: a schema may be called like the file."""
        return f"{self.place_of_schema(table)}.{quote(table.name)}"

    def place_of_schema(self, table: TargetTable) -> str:
        return f"{quote(self._database)}.{quote(table.schema)}"

    def apply(self, step: Step) -> None:
        """Raises DuckDB's errors, `Refused` and `TargetRowMissing`."""
        try:
            match step:
                case Append():
                    self._append(step)
                case Net():
                    self._net(step)
                case Clear():
                    self._clear(step)
        except duckdb.CatalogException as error:
            raise Refused(step.table, "", error) from error

    # --- rows in ---

    def _append(self, step: Append) -> None:
        given, passed = step.rows, 0
        if step.blocks is not None:
            given = blocks.rows(step.table, self._columns(step.table), step.blocks)
        for rows in gathered(given):
            self._insert(step.table, rows)
            passed += rows.num_rows
        if step.blocks is not None and passed != step.blocks_rows:  # I3
            raise SourceLogBroken(f"{step.table.source.name}: {passed} rows came of {step.blocks_rows}")

    def _insert(self, table: TargetTable, rows: Rows) -> None:
        names = rows.schema.names
        read = ", ".join(self._value(table, name, rows) for name in names)
        self._run(table, f"INSERT INTO {self.place(table)} ({_list(names)}) SELECT {read} FROM {_ROWS} AS s", rows)

    def _value(self, table: TargetTable, name: str, rows: Rows | None = None) -> str:
        """The expression over `s` that reads a text as a value of the target's column; what `rows` hold as a value
        already is taken as it is."""
        value = f"s.{quote(name)}"
        own = rows is not None and not pa.types.is_string(rows.schema.field(name).type)
        return value if own else typed(value, self._type(table, name))

    def _values(self, table: TargetTable, names: Sequence[str]) -> list[str]:
        return [self._value(table, name) for name in names]

    def _typed_rows(self, table: TargetTable, names: Sequence[str]) -> str:
        """The rows given, as a relation of typed columns."""
        read = zip(self._values(table, names), names, strict=True)
        return f"(SELECT {', '.join(f'{value} AS {quote(name)}' for value, name in read)} FROM {_ROWS} AS s)"

    def _run(self, table: TargetTable, statement: str, rows: Rows) -> tuple[Any, ...] | None:
        """A statement over the rows; an error about a value is told with its column."""
        try:
            return _over(self._connection, statement, rows)
        except (duckdb.DataError, duckdb.InvalidInputException, duckdb.ConstraintException) as error:
            raise Refused(table, self._culprit(table, rows, error), error) from error

    def _culprit(self, table: TargetTable, rows: Rows, error: duckdb.Error) -> str:
        """The first column whose values cannot be read; the one DuckDB names for a NULL."""
        named = str(error).partition("NOT NULL constraint failed: ")[2].strip()
        if named:
            return named.removeprefix(f"{table.name}.")
        aside = self._connection.cursor()  # the transaction itself takes no more statements
        try:
            for name in rows.schema.names:
                if folded(name) not in self._columns(table):
                    continue
                try:
                    _over(aside, f"SELECT count({self._value(table, name, rows)}) FROM {_ROWS} AS s", rows)
                except duckdb.Error:
                    return str(name)
        finally:
            aside.close()
        return ""

    # --- the net change of upsert ---

    def _net(self, step: Net) -> None:
        table, key = step.table, step.table.source.key
        moved = [self._read_moved(table, rows, place) for place, rows in enumerate(together(step.moved))]
        # Nothing here would notice a row that is there twice: what comes anew is deleted too.
        puts = pa.Table.from_batches(step.whole) if step.whole else None
        replaced = [step.deletes] if step.deletes is not None and step.deletes.num_rows else []
        if puts is not None and not self._extras(table, puts.schema.names):
            replaced += step.whole
        if replaced:
            keys = pa.Table.from_batches([batch.select(list(key)) for batch in replaced])
            using = f"{self._typed_rows(table, key)} AS s WHERE {_same(key)}"
            self._run(table, f"DELETE FROM {self.place(table)} AS t USING {using}", keys)
        for relation, names in moved:
            for statement in self._merging(table, relation, names):
                self._connection.execute(statement)
            self._connection.execute(f"DROP TABLE {relation}")
        if puts is not None:
            self._put(table, puts)
        for patch in step.patches:
            if patch.num_rows:
                self._patch(table, patch)

    def _extras(self, table: TargetTable, names: Sequence[str]) -> set[str]:
        """Columns of the target that the rows do not have and that a row replaced keeps."""
        return set(self._columns(table)) - {folded(name) for name in names}

    def _put(self, table: TargetTable, puts: pa.Table) -> None:
        names = puts.schema.names
        if not self._extras(table, names):  # rows of these keys were deleted before
            self._insert(table, puts)
            return
        for statement in self._merging(table, self._typed_rows(table, names), names):
            self._run(table, statement, puts)

    def _merging(self, table: TargetTable, relation: str, names: Sequence[str]) -> Iterator[str]:
        """Statements that put a relation's rows and leave the target's other columns as they are."""
        key = table.source.key
        change = ", ".join(f"{quote(name)} = s.{quote(name)}" for name in names if name not in key)
        if change:
            yield f"UPDATE {self.place(table)} AS t SET {change} FROM {relation} AS s WHERE {_same(key)}"
        yield (
            f"INSERT INTO {self.place(table)} ({_list(names)}) SELECT {_list(names)} FROM {relation} AS s "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self.place(table)} AS t WHERE {_same(key)})"
        )

    def _patch(self, table: TargetTable, patch: pa.RecordBatch) -> None:
        key, names = table.source.key, patch.schema.names
        read = f"{self._typed_rows(table, names)} AS s"
        change = ", ".join(f"{quote(name)} = s.{quote(name)}" for name in names if name not in key)
        statement = f"UPDATE {self.place(table)} AS t SET {change} FROM {read} WHERE {_same(key)}"
        if not change:
            statement = f"SELECT count(*) FROM {self.place(table)} AS t JOIN {read} ON {_same(key)}"
        _all_there(table, self._run(table, statement, patch), patch.num_rows)

    def _read_moved(self, table: TargetTable, moved: MovedRows, place: int) -> tuple[str, list[str]]:
        """Whole rows in a temporary table, put together from those given and the values the rows they came from still
        have."""
        key = table.source.key
        read = [f"{v} AS {quote(n)}" for v, n in zip(self._values(table, moved.given), moved.given, strict=True)]
        read += [f"t.{quote(name)} AS {quote(name)}" for name in moved.taken]
        pairs = zip(key, moved.origin, strict=True)
        same = " AND ".join(f"t.{quote(k)} = {typed(f's.{quote(o)}', self._type(table, k))}" for k, o in pairs)
        whole = f"SELECT {', '.join(read)} FROM {_ROWS} AS s JOIN {self.place(table)} AS t ON {same}"
        name = f"tidegate_moved_{place}"
        self._run(table, f"CREATE OR REPLACE TEMPORARY TABLE {name} AS {whole}", moved.rows)
        relation = f"temp.main.{name}"
        there = first(self._connection.execute(f"SELECT count(*) FROM {relation}"))
        _all_there(table, there, moved.rows.num_rows)
        return relation, [*moved.given, *moved.taken]

    # --- clearing ---

    def _clear(self, step: Clear) -> None:
        table = step.table
        where = "true"
        if step.ranges is not None:
            one_of = [self._in_range(table, one) for one in step.ranges] or ["false"]
            where = "(" + " OR ".join(one_of) + ")"
        delete = f"DELETE FROM {self.place(table)} AS t WHERE {where}"
        if step.keep is None or not step.keep.num_rows:
            self._connection.execute(delete)
            return
        key = table.source.key
        kept = f"{self._typed_rows(table, key)} AS s"
        self._run(table, f"{delete} AND NOT EXISTS (SELECT 1 FROM {kept} WHERE {_same(key)})", step.keep)

    def _in_range(self, table: TargetTable, keys: KeyRange) -> str:
        parts = []
        if keys.after is not None:
            parts.append(self._compare(table, keys.after, ">"))
        if keys.upto is not None:
            parts.append(f"NOT {self._compare(table, keys.upto, '>')}")
        return "(" + (" AND ".join(parts) or "true") + ")"

    def _compare(self, table: TargetTable, edge: Sequence[str], sign: str) -> str:
        """The key's first columns against the edge, the first that differs decides."""
        told = "false"
        for name, text in reversed(list(zip(table.source.key, edge, strict=False))):
            quoted = "'" + text.replace("'", "''") + "'"
            value = typed(quoted, self._type(table, name))
            mine = f"t.{quote(name)}"
            told = f"({mine} {sign} {value} OR ({mine} = {value} AND {told}))"
        return told

    # --- the target's columns ---

    def _columns(self, table: TargetTable) -> dict[str, str]:
        place = self.place(table)
        if place not in self._types:
            self._types[place] = column_types(self._connection, place)
        return self._types[place]

    def _type(self, table: TargetTable, name: str) -> str:
        try:
            return self._columns(table)[folded(name)]
        except KeyError:
            raise TargetMisfit(f"{table}: {name} is missing", table=str(table), columns=[name]) from None


def gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches of the same columns joined into few large ones: each costs a statement."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if not batch.num_rows:
            continue
        full = sum(b.num_rows for b in held) >= _GATHERED_ROWS or sum(b.nbytes for b in held) >= _GATHERED_BYTES
        if held and (full or held[0].schema.names != batch.schema.names):
            yield pa.Table.from_batches(held)
            held = []
        held.append(batch)
    if held:
        yield pa.Table.from_batches(held)


def _over(connection: duckdb.DuckDBPyConnection, statement: str, tidegate_rows: Rows) -> tuple[Any, ...] | None:
    """Run a statement that reads `_ROWS`, which DuckDB finds by this parameter's name; the first row of its result.
    (What is registered instead is kept in memory until the end of the transaction.)"""
    return first(connection.execute(statement))


def _list(names: Iterable[str]) -> str:
    return ", ".join(quote(name) for name in names)


def _same(key: Sequence[str]) -> str:
    return " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in key)


def _all_there(table: TargetTable, there: tuple[Any, ...] | None, wanted: int) -> None:
    missing = wanted - (there[0] if there else 0)
    if missing:
        raise TargetRowMissing(f"{table}: {missing} of {wanted} rows to be updated are not there")
