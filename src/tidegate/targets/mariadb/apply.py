"""Puts steps into MariaDB tables, set by set: rows go in by LOAD DATA, straight into the table or into a temporary
table that a few statements then merge. Nothing here begins or ends a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TypeGuard

import pyarrow as pa
import pymysql
from pymysql.cursors import Cursor

from tidegate.connect.fitting import STATE_SCHEMA
from tidegate.connect.mariadb import quote, quoted
from tidegate.connect.moved import MovedRows, together
from tidegate.connect.target import Append, Clear, KeyRange, Net, Step, TargetTable
from tidegate.errors import TargetMisfit, TargetRowMissing, TargetTableMissing, TargetValueRefused
from tidegate.model.schema import Kind
from tidegate.targets.mariadb.catalog import ExistingTable, existing, kinds
from tidegate.targets.mariadb.load import HOW, LoadingConnection, joined, sliced
from tidegate.targets.mariadb.types import NotHeld, constant, encoded, escaped, needs_escapes

_MOST_STAGES = 200
# What LOAD DATA may warn of although every value went in as it is: how the statement is logged, and old syntax.
_HARMLESS = {1287, 1592, 1681}


class Refused(Exception):
    """Says which table was being filled when the server refused, and what the columns of its stage stand for."""

    def __init__(self, table: TargetTable, cause: Exception, staged: Mapping[str, str] | None = None) -> None:
        super().__init__(str(table))
        self.table = table
        self.cause = cause
        self.staged = staged or {}


@dataclass(frozen=True, slots=True)
class Stage:
    """A temporary table. Its columns have numbers for names, `c0` and so on: a name given in a SELECT loses the blanks
    in front of it."""

    place: str
    names: tuple[str, ...]
    """What its columns hold: the names they have at the target, or in the rows."""

    @property
    def columns(self) -> list[str]:
        return [f"c{number}" for number in range(len(self.names))]

    def __getitem__(self, name: str) -> str:
        """The column that holds `name`, of the stage called `s`."""
        return f"s.c{self.names.index(name)}"

    def same(self, key: Iterable[tuple[str, str]]) -> str:
        """That a row of the table called `t` has the key: pairs of the table's column and what holds it here."""
        return " AND ".join(f"t.{quote(mine)} = {self[theirs]}" for mine, theirs in key)

    def found(self, key: Sequence[str]) -> str:
        return self.same(zip(key, key, strict=True))


class Applier:
    """Applies steps over one connection. What it knows of tables is as of `refresh`. Stages are kept by Aria, which
    empties a table at once and writes no undo log for it; MySQL has it not, and uses what it prefers."""

    def __init__(self, connection: LoadingConnection, *, mysql: bool, folds: bool) -> None:
        self.connection = connection
        self._stored = "" if mysql else " ENGINE = Aria TRANSACTIONAL = 0"
        self._folds = folds
        self._stages: dict[tuple[str, ...], Stage] = {}
        """Made once per shape, emptied before each use. A rollback leaves them."""
        self._made = 0
        self._tables: dict[tuple[str, str], ExistingTable] = {}
        self._crossed: set[tuple[str, str]] = set()
        """Tables in which rows stood in each other's way when they came by several statements."""

    def cross(self, steps: Sequence[Step]) -> bool:
        """Rows of these steps stood in each other's way, or in that of rows that should not be there: from now on all
        whole rows of their tables are merged. Whether that makes a difference."""
        tables = {(step.table.schema, step.table.name) for step in steps if isinstance(step, Net) and step.whole}
        news = not tables <= self._crossed
        self._crossed |= tables
        return news

    @property
    def crowded(self) -> bool:
        """Whether there are so many stages that it is time to start anew."""
        return len(self._stages) > _MOST_STAGES

    def refresh(self, cursor: Cursor) -> None:
        """Forget what was learned of tables, and the stages made like them."""
        self._tables.clear()
        for stage in self._stages.values():
            cursor.execute(f"DROP TEMPORARY TABLE IF EXISTS {stage.place}")
        self._stages.clear()

    def rolled_back(self) -> None:
        self._tables.clear()

    def apply(self, cursor: Cursor, step: Step) -> None:
        """Raises `Refused`, `TargetValueRefused` and `TargetRowMissing`."""
        try:
            match step:
                case Append():
                    self._append(cursor, step)
                case Net():
                    self._net(cursor, step)
                case Clear():
                    self._clear(cursor, step)
        except pymysql.Error as error:
            raise Refused(step.table, error) from error

    def _existing(self, cursor: Cursor, table: TargetTable) -> ExistingTable:
        place = (table.schema, table.name)
        if place not in self._tables:
            found = existing(cursor, *place, folds=self._folds)
            if found is None:
                raise TargetTableMissing(f"{table} is not there")
            self._tables[place] = found
        return self._tables[place]

    def _type(self, cursor: Cursor, table: TargetTable, name: str) -> str:
        have = self._existing(cursor, table).column(name)
        if have is None:
            raise TargetMisfit(f"{table}: {name} is missing", table=str(table), columns=[name])
        return have.type

    # --- rows in ---

    def _append(self, cursor: Cursor, step: Append) -> None:
        into = quoted(step.table.schema, step.table.name)
        rows = (batch for batch in step.rows if batch.num_rows)
        for _, alike in groupby(rows, key=lambda batch: tuple(batch.schema.names)):
            self._load(cursor, step.table, into, alike)

    def _load(
        self,
        cursor: Cursor,
        table: TargetTable,
        into: str,
        batches: Iterable[pa.RecordBatch],
        *,
        columns: Sequence[str] = (),
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        """Load batches of the same columns into `into`, all of their rows. `columns` are its own names for them;
        `renamed` are those that hold what another column of the table does."""
        batches = iter(batches)
        first = next(batches)
        names = first.schema.names
        of = [(renamed or {}).get(name, name) for name in names]
        types = [self._type(cursor, table, name) for name in of]
        kind = kinds(table)
        sent = 0

        def pieces() -> Iterator[bytes]:
            nonlocal sent
            for batch in sliced(chain((first,), batches)):
                sent += batch.num_rows
                cells = zip(batch.columns, of, types, strict=True)
                yield from joined([_field(table, name, texts, kind[name], have) for texts, name, have in cells])

        statement = f"LOAD DATA LOCAL INFILE 'rows' INTO TABLE {into} {HOW} ({_list(columns or names)})"
        try:
            loaded = self.connection.load(statement, pieces())
            if loaded.warnings:
                self._must_be_harmless(cursor, loaded.warnings)
        except pymysql.Error as error:
            raise Refused(table, error, dict(zip(columns, of, strict=False))) from error
        _all_taken(table, loaded.rows, sent)

    def _must_be_harmless(self, cursor: Cursor, warnings: int) -> None:
        """I6: what LOAD DATA LOCAL cannot put in as it is it bends, or leaves out, and warns of."""
        cursor.execute("SHOW WARNINGS")
        told = cursor.fetchall()
        for _, code, said in told:
            if int(code) not in _HARMLESS:
                raise pymysql.DataError(int(code), said)
        if warnings > len(told):
            raise pymysql.DataError(1265, "")

    # --- the net change of upsert ---

    def _net(self, cursor: Cursor, step: Net) -> None:
        table = step.table
        into = quoted(table.schema, table.name)
        moved = [self._read_moved(cursor, table, rows) for rows in together(step.moved)]
        if _has_rows(step.deletes):
            stage = self._stage(cursor, table, [step.deletes], place="deletes")
            same = stage.found(table.source.key)
            cursor.execute(f"DELETE t FROM {stage.place} AS s STRAIGHT_JOIN {into} AS t ON {same}")
        for stage, count in moved:
            self._put(cursor, table, stage, count)
        direct = (table.schema, table.name) not in self._crossed
        whole = [step.puts] if direct and _has_rows(step.puts) else [] if direct else step.whole
        if whole:
            stage = self._stage(cursor, table, whole, place="puts")
            self._put(cursor, table, stage, sum(rows.num_rows for rows in whole))
        for patch in step.patches:
            if _has_rows(patch):
                self._patch(cursor, table, patch)
        if direct and _has_rows(step.inserts):
            self._load(cursor, table, into, [step.inserts])

    def _put(self, cursor: Cursor, table: TargetTable, stage: Stage, count: int) -> None:
        """Not by ON DUPLICATE KEY UPDATE: that goes by any unique key, so a row could replace one of another key."""
        there = self._update(cursor, table, stage)
        if there == count:
            return
        into = quoted(table.schema, table.name)
        new = f"INSERT INTO {into} ({_list(stage.names)}) SELECT {', '.join(stage.columns)} FROM {stage.place} AS s"
        if there != 0:
            new += f" WHERE NOT EXISTS (SELECT 1 FROM {into} AS t WHERE {stage.found(table.source.key)})"
        added = cursor.execute(new)
        if there is not None and there + added != count:
            raise TargetValueRefused(f"{table}: it took {there + added} of {count} rows; look at its triggers")

    def _update(self, cursor: Cursor, table: TargetTable, stage: Stage) -> int | None:
        """Replace the rows that are there; how many those were. None: the rows are nothing but their keys."""
        key = table.source.key
        change = ", ".join(f"t.{quote(name)} = {stage[name]}" for name in stage.names if name not in key)
        if not change:
            return None
        into = quoted(table.schema, table.name)
        return cursor.execute(f"UPDATE {stage.place} AS s STRAIGHT_JOIN {into} AS t ON {stage.found(key)} SET {change}")

    def _patch(self, cursor: Cursor, table: TargetTable, patch: pa.RecordBatch) -> None:
        stage = self._stage(cursor, table, [patch], place="patches")
        there = self._update(cursor, table, stage)
        if there is None:
            into = quoted(table.schema, table.name)
            same = stage.found(table.source.key)
            cursor.execute(f"SELECT COUNT(*) FROM {stage.place} AS s STRAIGHT_JOIN {into} AS t ON {same}")
            there = int((cursor.fetchone() or (0,))[0])
        _all_there(table, there, patch.num_rows)

    def _read_moved(self, cursor: Cursor, table: TargetTable, moved: MovedRows) -> tuple[Stage, int]:
        """Whole rows in a stage, put together from those given and the values the rows they came from still have."""
        key, names = table.source.key, [*moved.given, *moved.taken]
        renamed = dict(zip(moved.origin, key, strict=True))
        source = self._stage(cursor, table, [moved.rows], place="moved", renamed=renamed)
        whole = self._stage(cursor, table, [], place="whole", names=names)
        read = [*(source[name] for name in moved.given), *(f"t.{quote(name)}" for name in moved.taken)]
        same = source.same(zip(key, moved.origin, strict=True))
        there = cursor.execute(
            f"INSERT INTO {whole.place} SELECT {', '.join(read)} "
            f"FROM {source.place} AS s STRAIGHT_JOIN {quoted(table.schema, table.name)} AS t ON {same}"
        )
        _all_there(table, there, moved.rows.num_rows)
        return whole, moved.rows.num_rows

    # --- clearing ---

    def _clear(self, cursor: Cursor, step: Clear) -> None:
        """By DELETE, always: TRUNCATE would commit."""
        table = step.table
        where = []
        if step.ranges is not None:
            where.append(
                "(" + (" OR ".join(self._in_range(cursor, table, one) for one in step.ranges) or "false") + ")"
            )
        if _has_rows(step.keep):
            stage = self._stage(cursor, table, [step.keep], place="keep")
            where.append(f"NOT EXISTS (SELECT 1 FROM {stage.place} AS s WHERE {stage.found(table.source.key)})")
        into = quoted(table.schema, table.name)
        cursor.execute(f"DELETE t FROM {into} AS t WHERE {' AND '.join(where)}" if where else f"DELETE FROM {into}")

    def _in_range(self, cursor: Cursor, table: TargetTable, keys: KeyRange) -> str:
        parts = []
        if keys.after is not None:
            parts.append(self._beyond(cursor, table, keys.after))
        if keys.upto is not None:
            parts.append(f"NOT {self._beyond(cursor, table, keys.upto)}")
        return "(" + (" AND ".join(parts) or "true") + ")"

    def _beyond(self, cursor: Cursor, table: TargetTable, edge: Sequence[str]) -> str:
        """The key's first columns lie behind the edge; the first that differs decides."""
        told = "false"
        for name, text in reversed(list(zip(table.source.key, edge, strict=False))):
            have = self._type(cursor, table, name)
            value = constant(_encoded(table, name, pa.array([text]), kinds(table)[name], have)[0].as_py(), have)
            told = f"(t.{quote(name)} > {value} OR (t.{quote(name)} = {value} AND {told}))"
        return told

    # --- staging ---

    def _stage(
        self,
        cursor: Cursor,
        table: TargetTable,
        batches: Sequence[pa.RecordBatch],
        *,
        place: str,
        names: Sequence[str] = (),
        renamed: dict[str, str] | None = None,
    ) -> Stage:
        """A temporary table that holds the batches, in columns of the target's types; `renamed` are columns that take
        the type of another. `place` keeps apart what one step needs at the same time."""
        names = batches[0].schema.names if batches else list(names)
        shape = (table.schema, table.name, place, *names)
        stage = self._stages.get(shape)
        if stage is None:
            self._made += 1
            stage = Stage(quoted(STATE_SCHEMA, f"stage_{self._made}"), tuple(names))
            like = zip(((renamed or {}).get(name, name) for name in names), stage.columns, strict=True)
            columns = ", ".join(f"{quote(name)} AS {column}" for name, column in like)
            cursor.execute(
                f"CREATE TEMPORARY TABLE {stage.place}{self._stored} AS "
                f"SELECT {columns} FROM {quoted(table.schema, table.name)} LIMIT 0"
            )
            self._stages[shape] = stage
        else:
            cursor.execute(f"DELETE FROM {stage.place}")
        if batches:
            self._load(cursor, table, stage.place, batches, columns=stage.columns, renamed=renamed)
        return stage


def _encoded(table: TargetTable, name: str, texts: pa.Array, kind: Kind, have: str) -> pa.Array:
    try:
        return encoded(texts, kind, have)
    except NotHeld as reason:
        told = f"{table}.{name}: a value cannot be held by {have} as it is: {reason}"
        raise TargetValueRefused(told, table=str(table), column=name) from reason


def _field(table: TargetTable, name: str, texts: pa.Array, kind: Kind, have: str) -> pa.Array:
    values = _encoded(table, name, texts, kind, have)
    return escaped(values) if needs_escapes(have) else values


def _has_rows(batch: pa.RecordBatch | None) -> TypeGuard[pa.RecordBatch]:
    return batch is not None and batch.num_rows > 0


def _list(names: Iterable[str]) -> str:
    return ", ".join(quote(name) for name in names)


def _all_taken(table: TargetTable, taken: int, sent: int) -> None:
    """I3: what the server left out without a word."""
    if taken != sent:
        raise TargetValueRefused(f"{table}: it took {taken} of {sent} rows; look at its triggers")


def _all_there(table: TargetTable, there: int, wanted: int) -> None:
    if there != wanted:
        raise TargetRowMissing(f"{table}: {wanted - there} of {wanted} rows to be updated are not there")
