"""Puts steps into PostgreSQL tables, set by set: rows go in by COPY, straight into the table or into a temporary table
that a few statements then merge. Nothing here begins or ends a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, TypeGuard

import psycopg
import pyarrow as pa
from psycopg import sql

from tidegate.connect.moved import MovedRows, together
from tidegate.connect.postgres import quote, quoted
from tidegate.connect.target import Append, Clear, KeyRange, Net, Step, TargetTable
from tidegate.errors import TargetMisfit, TargetRowMissing, TargetTableMissing, TargetValueRefused
from tidegate.targets.postgres.catalog import ExistingTable, existing, same_bytes
from tidegate.targets.postgres.order import in_order
from tidegate.targets.postgres.sending import BINARY_ROWS_MIN, Piece, Sending, forms_of
from tidegate.targets.postgres.stages import Stages


class CopyFailed(Exception):
    """Says which table's columns were being sent when the server refused."""

    def __init__(self, table: TargetTable, columns: Sequence[str], cause: psycopg.Error) -> None:
        super().__init__(str(table))
        self.table = table
        self.cause = cause
        self.columns = tuple(columns)


@dataclass(frozen=True, slots=True)
class Flow:
    """Rows on their way into a table or a stage."""

    table: TargetTable
    into: str
    names: Sequence[str]
    pieces: Iterator[Piece]


class Applier:
    """Applies steps over one connection. What it knows of tables is as of `refresh`."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._sending = Sending()
        self._stages = Stages(typed=self._sending.binary)
        self._tables: dict[tuple[str, str], ExistingTable] = {}
        self._crossed: set[tuple[str, str]] = set()
        """Tables in which rows stood in each other's way when they came by several statements."""

    def cross(self, steps: Sequence[Step]) -> bool:
        """Rows of these steps stood in each other's way, or in that of rows that should not be there: from now on all
        whole rows of their tables go in by one statement. Whether that makes a difference."""
        tables = {(step.table.schema, step.table.name) for step in steps if isinstance(step, Net) and step.whole}
        news = not tables <= self._crossed
        self._crossed |= tables
        return news

    @property
    def crowded(self) -> bool:
        """Whether it is time to start anew."""
        return self._stages.crowded

    def refresh(self, cursor: psycopg.Cursor[Any]) -> None:
        """Forget what was learned of tables, and the stages made like them."""
        self._tables.clear()
        self._stages.discard(cursor)

    def committed(self) -> None:
        self._stages.committed()

    def rolled_back(self) -> None:
        self._sending.stop()
        self._stages.rolled_back()
        self._tables.clear()

    def apply(self, cursor: psycopg.Cursor[Any], step: Step) -> None:
        """Raises psycopg's errors, `CopyFailed` and `TargetRowMissing`."""
        match step:
            case Append():
                self._append(cursor, step)
            case Net():
                self._net(cursor, step)
            case Clear():
                self._clear(cursor, step)

    def _existing(self, cursor: psycopg.Cursor[Any], table: TargetTable) -> ExistingTable:
        place = (table.schema, table.name)
        if place not in self._tables:
            found = existing(cursor, *place)
            if found is None:
                raise TargetTableMissing(f"{table} is not there")
            self._tables[place] = found
        return self._tables[place]

    def _add_key(self, cursor: psycopg.Cursor[Any], table: TargetTable) -> None:
        """Give the table the key that was put off when it was made, if it was."""
        if not self._existing(cursor, table).key_to_come:
            return
        into = quoted(table.schema, table.name)
        cursor.execute(f"LOCK TABLE {into} IN ACCESS EXCLUSIVE MODE")
        del self._tables[table.schema, table.name]
        if not self._existing(cursor, table).key_to_come:  # somebody made one meanwhile
            return
        cursor.execute(f"ALTER TABLE {into} ADD PRIMARY KEY ({_list(table.source.key)})")
        cursor.execute(f"COMMENT ON TABLE {into} IS NULL")
        del self._tables[table.schema, table.name]

    # --- append ---

    def _append(self, cursor: psycopg.Cursor[Any], step: Append) -> None:
        if step.blocks is not None:
            self._pass(cursor, step.table, step.blocks, step.blocks_rows)
        rows = (batch for batch in step.rows if batch.num_rows)
        for _, alike in groupby(rows, key=lambda batch: tuple(batch.schema.names)):
            self._send(cursor, self._straight(cursor, step.table, alike))
        if step.last:
            self._add_key(cursor, step.table)

    def _pass(self, cursor: psycopg.Cursor[Any], table: TargetTable, blocks: Iterable[bytes], rows: int) -> None:
        """Blocks of COPY's binary form as they are."""
        into, names = quoted(table.schema, table.name), table.source.names
        _hold(cursor, into)
        found = existing(cursor, table.schema, table.name)
        if found is None or not same_bytes(table, found):  # I6: other types would read these bytes as other values
            raise TargetMisfit(f"{table}: its columns were changed while rows were on their way", table=str(table))
        try:
            with cursor.copy(f"COPY {into} ({_list(names)}) FROM STDIN (FORMAT binary)") as copy:
                for block in blocks:
                    copy.write(block)
        except psycopg.Error as error:
            raise CopyFailed(table, names, error) from error
        _all_taken(table, cursor.rowcount, rows)

    def _straight(self, cursor: psycopg.Cursor[Any], table: TargetTable, batches: Iterable[pa.RecordBatch]) -> Flow:
        """Into the table itself, whose columns may have been changed since anybody looked."""
        into = quoted(table.schema, table.name)
        batches = iter(batches)
        first = next(batches)
        forms = None
        if self._sending.binary and first.num_rows >= BINARY_ROWS_MIN:
            _hold(cursor, into)  # I6: other types would read the bytes as other values
            forms = forms_of(cursor, into)
        names = first.schema.names
        return Flow(table, into, names, self._sending.begin(names, chain((first,), batches), forms))

    def _send(self, cursor: psycopg.Cursor[Any], flow: Flow) -> str:
        """COPY all of its rows into its table, or raise; the table."""
        try:
            sent, taken = self._sending.send(cursor, flow.into, flow.names, flow.pieces)
        except psycopg.Error as error:
            raise CopyFailed(flow.table, flow.names, error) from error
        _all_taken(flow.table, taken, sent)
        return flow.into

    # --- the net change of upsert ---

    def _net(self, cursor: psycopg.Cursor[Any], step: Net) -> None:
        table, key = step.table, step.table.source.key
        self._add_key(cursor, table)  # rows are found by it from now on
        moved = [self._read_moved(cursor, table, rows) for rows in together(step.moved)]
        direct = (table.schema, table.name) not in self._crossed
        whole = [step.puts] if direct and _has_rows(step.puts) else [] if direct else step.whole
        patches = [patch for patch in step.patches if _has_rows(patch)]
        # Begun before the first is sent: rows are put into their form while the server works on those before.
        deletes = self._ordered(cursor, table, [step.deletes], place="deletes") if _has_rows(step.deletes) else None
        puts = self._ordered(cursor, table, whole, place="puts") if whole else None
        inserts = self._inserts(cursor, step) if direct and not patches else None
        if deletes is not None:
            stage, into = self._send(cursor, deletes), quoted(table.schema, table.name)
            cursor.execute(f"DELETE FROM {into} AS t USING {stage} AS s WHERE {_same(key)}")
        for stage, names, count in moved:
            self._put(cursor, table, stage, names, count)
        if puts is not None:
            stage, count = self._send(cursor, puts), sum(rows.num_rows for rows in whole)
            if not (direct and self._update(cursor, table, stage, puts.names) == count):
                self._put(cursor, table, stage, puts.names, count)
        for patch in patches:
            self._patch(cursor, table, patch)
        if direct and patches:
            inserts = self._inserts(cursor, step)
        if inserts is not None:
            self._send(cursor, inserts)

    def _inserts(self, cursor: psycopg.Cursor[Any], step: Net) -> Flow | None:
        return self._straight(cursor, step.table, [step.inserts]) if _has_rows(step.inserts) else None

    def _update(self, cursor: psycopg.Cursor[Any], table: TargetTable, stage: str, names: Sequence[str]) -> int:
        """Replace the rows that are there; how many those were."""
        key = table.source.key
        change = ", ".join(f"{quote(name)} = s.{quote(name)}" for name in names if name not in key)
        if not change:
            return 0
        into = quoted(table.schema, table.name)
        return cursor.execute(f"UPDATE {into} AS t SET {change} FROM {stage} AS s WHERE {_same(key)}").rowcount

    def _put(
        self, cursor: psycopg.Cursor[Any], table: TargetTable, stage: str, names: Sequence[str], count: int
    ) -> None:
        key = table.source.key
        rest = [name for name in names if name not in key]
        listed = _list(names)
        change = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in rest)
        cursor.execute(
            f"INSERT INTO {quoted(table.schema, table.name)} ({listed}) OVERRIDING SYSTEM VALUE SELECT {listed} "
            f"FROM {stage} ON CONFLICT ({_list(key)}) DO " + (f"UPDATE SET {change}" if rest else "NOTHING")
        )
        if rest and cursor.rowcount != count:
            raise TargetValueRefused(f"{table}: it took {cursor.rowcount} of {count} rows; look at its triggers")

    def _patch(self, cursor: psycopg.Cursor[Any], table: TargetTable, patch: pa.RecordBatch) -> None:
        key = table.source.key
        into = quoted(table.schema, table.name)
        stage = self._send(cursor, self._ordered(cursor, table, [patch], place="patches"))
        if set(patch.schema.names) - set(key):
            there = self._update(cursor, table, stage, patch.schema.names)
        else:
            there = cursor.execute(f"SELECT FROM {into} AS t JOIN {stage} AS s ON {_same(key)}").rowcount
        _all_there(table, there, patch.num_rows)

    def _read_moved(
        self, cursor: psycopg.Cursor[Any], table: TargetTable, moved: MovedRows
    ) -> tuple[str, list[str], int]:
        """Whole rows in a stage, put together from those given and the values the rows they came from still have."""
        key, names = table.source.key, [*moved.given, *moved.taken]
        renamed = dict(zip(moved.origin, key, strict=True))
        given = self._staged(cursor, table, [moved.rows], moved.rows.schema.names, place="moved", renamed=renamed)
        source = self._send(cursor, given)
        whole = self._stages.empty(cursor, table, names, place="whole").name
        read = [*(f"s.{quote(name)}" for name in moved.given), *(f"t.{quote(name)}" for name in moved.taken)]
        same = " AND ".join(f"t.{quote(k)} = s.{quote(o)}" for o, k in renamed.items())
        cursor.execute(
            f"INSERT INTO {whole} ({_list(names)}) SELECT {', '.join(read)} "
            f"FROM {source} AS s JOIN {quoted(table.schema, table.name)} AS t ON {same}"
        )
        _all_there(table, cursor.rowcount, moved.rows.num_rows)
        return whole, names, moved.rows.num_rows

    # --- clearing ---

    def _clear(self, cursor: psycopg.Cursor[Any], step: Clear) -> None:
        table = step.table
        into = quoted(table.schema, table.name)
        found = self._existing(cursor, table)
        ranges = None if step.ranges is None else joined(step.ranges)
        if ranges == [KeyRange(None, None)]:
            ranges = None
        if ranges is None and not _has_rows(step.keep) and found.truncatable:
            cursor.execute(f"TRUNCATE {into}")
            return
        if ranges == []:
            return
        self._add_key(cursor, table)
        where = [] if ranges is None else [_in_ranges(table, found, ranges)]
        if _has_rows(step.keep):
            stage = self._send(cursor, self._staged(cursor, table, [step.keep], step.keep.schema.names, place="keep"))
            where.append(sql.SQL(f"NOT EXISTS (SELECT FROM {stage} AS s WHERE {_same(table.source.key)})"))
        condition = sql.SQL(" AND ").join(where) if where else sql.SQL("true")
        cursor.execute(sql.SQL(f"DELETE FROM {into} AS t WHERE ") + condition)

    # --- staging ---

    def _ordered(
        self, cursor: psycopg.Cursor[Any], table: TargetTable, batches: Sequence[pa.RecordBatch], *, place: str
    ) -> Flow:
        """As `_staged`, the rows of each batch by the table's key."""
        key = [table.source.column(name) for name in table.source.key]
        pieces = (piece for batch in batches for piece in in_order(batch, key))
        return self._staged(cursor, table, pieces, batches[0].schema.names, place=place)

    def _staged(
        self,
        cursor: psycopg.Cursor[Any],
        table: TargetTable,
        batches: Iterable[pa.RecordBatch],
        names: Sequence[str],
        *,
        place: str,
        renamed: dict[str, str] | None = None,
    ) -> Flow:
        """Into a stage."""
        stage = self._stages.empty(cursor, table, names, place=place, renamed=renamed)
        return Flow(table, stage.name, names, self._sending.begin(names, batches, stage.forms))


def _hold(cursor: psycopg.Cursor[Any], into: str) -> None:
    """Until the transaction ends nobody changes the table's columns."""
    cursor.execute(f"LOCK TABLE ONLY {into} IN ROW EXCLUSIVE MODE")


def _has_rows(batch: pa.RecordBatch | None) -> TypeGuard[pa.RecordBatch]:
    return batch is not None and batch.num_rows > 0


def _list(names: Iterable[str]) -> str:
    return ", ".join(quote(name) for name in names)


def _same(key: Sequence[str]) -> str:
    return " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in key)


def _all_taken(table: TargetTable, taken: int, sent: int) -> None:
    """I3: a trigger of the table may have swallowed rows."""
    if taken != sent:
        raise TargetValueRefused(f"{table}: it took {taken} of {sent} rows; look at its triggers")


def _all_there(table: TargetTable, there: int, wanted: int) -> None:
    if there != wanted:
        raise TargetRowMissing(f"{table}: {wanted - there} of {wanted} rows to be updated are not there")


def joined(ranges: Sequence[KeyRange]) -> list[KeyRange]:
    """The same keys in fewer ranges: those that touch become one."""
    held: list[KeyRange] = []
    for one in ranges:
        if held and held[-1].upto is not None and held[-1].upto == one.after:
            held[-1] = KeyRange(held[-1].after, one.upto)
        else:
            held.append(one)
    return held


def _in_ranges(table: TargetTable, found: ExistingTable, ranges: Sequence[KeyRange]) -> sql.Composable:
    """The condition that a row's key lies in one of the ranges."""
    one_of = [
        sql.SQL(" AND ").join(
            [
                *_bound(table, found, sql.SQL(" > "), one.after),
                *_bound(table, found, sql.SQL(" <= "), one.upto),
                sql.SQL("true"),
            ]
        )
        for one in ranges
    ]
    return sql.SQL("(") + sql.SQL(" OR ").join(one_of) + sql.SQL(")")


def _bound(
    table: TargetTable, found: ExistingTable, compare: sql.SQL, edge: tuple[str, ...] | None
) -> list[sql.Composable]:
    if edge is None:
        return []
    mine, edges = [], []
    for name, text in zip(table.source.key, edge, strict=False):
        column = found.column(name)
        if column is None:
            raise TargetMisfit(f"{table}.{name}: is missing", table=str(table))
        bytewise = sql.SQL(' COLLATE "C"' if column.collatable else "")
        mine.append(sql.SQL("t.") + sql.SQL(quote(name)) + bytewise)
        edges.append(sql.SQL("CAST(") + sql.Literal(text) + sql.SQL(f" AS {column.bare})"))
    return [
        sql.SQL("(")
        + sql.SQL(", ").join(mine)
        + sql.SQL(")")
        + compare
        + sql.SQL("(")
        + sql.SQL(", ").join(edges)
        + sql.SQL(")")
    ]
