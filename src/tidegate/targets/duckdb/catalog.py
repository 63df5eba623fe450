"""What a DuckDB file's catalogue says about an existing table, and why it cannot take a task's rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from tidegate.connect.capability import WriteMode
from tidegate.connect.target import Misfit, TargetColumn, TargetTable
from tidegate.targets.duckdb.types import column_type, holds


def quote(name: str) -> str:
    """An identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def folded(name: str) -> str:
    """What DuckDB compares names by: it does not tell ASCII upper from lower case, quoted or not."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


def first(result: duckdb.DuckDBPyConnection) -> tuple[Any, ...] | None:
    """The first row; reads to the end, since a result not finished blocks the connection."""
    rows = result.fetchall()
    return rows[0] if rows else None


@dataclass(frozen=True, slots=True)
class ExistingColumn:
    name: str
    type: str
    nullable: bool
    has_default: bool
    generated: bool


@dataclass(frozen=True, slots=True)
class ExistingTable:
    view: bool
    columns: tuple[ExistingColumn, ...]
    unique: tuple[tuple[str, ...], ...]
    foreign: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> ExistingColumn | None:
        return next((column for column in self.columns if folded(column.name) == folded(name)), None)


_COLUMNS = """
SELECT column_name, data_type, is_nullable, column_default IS NOT NULL FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ? ORDER BY column_index
"""
_CONSTRAINTS = """
SELECT constraint_type, constraint_column_names FROM duckdb_constraints()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ?
  AND constraint_type IN ('PRIMARY KEY', 'UNIQUE', 'FOREIGN KEY')
"""
_INDEXES = """
SELECT expressions FROM duckdb_indexes()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ? AND is_unique
"""
_NAMES = """
SELECT schema_name, table_name, false FROM duckdb_tables() WHERE database_name = current_database()
UNION ALL
SELECT schema_name, view_name, true FROM duckdb_views() WHERE database_name = current_database()
"""


def existing(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> ExistingTable | None:
    """The table as the catalogue has it; None if there is none of that name."""
    wanted = (folded(schema), folded(name))
    names = connection.execute(_NAMES).fetchall()
    place = next(((s, n, view) for s, n, view in names if (folded(s), folded(n)) == wanted), None)
    if place is None:
        return None
    at = list(place[:2])
    columns = connection.execute(_COLUMNS, at).fetchall()
    constraints = connection.execute(_CONSTRAINTS, at).fetchall()
    indexes = connection.execute(_INDEXES, at).fetchall()
    generated = set() if place[2] else _generated(connection, at, [column[0] for column in columns])
    unique = [tuple(names) for kind, names in constraints if kind != "FOREIGN KEY"] + [(text,) for (text,) in indexes]
    return ExistingTable(
        place[2],
        tuple(ExistingColumn(n, type, null, default, n in generated) for n, type, null, default in columns),
        tuple(unique),
        tuple(tuple(names) for kind, names in constraints if kind == "FOREIGN KEY"),
    )


def column_types(connection: duckdb.DuckDBPyConnection, place: str) -> dict[str, str]:
    """Folded column name → type of the table at the place, which must be there; much quicker than `existing`."""
    described = connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {place})").fetchall()
    return {folded(name): type for name, type in described}


def _generated(connection: duckdb.DuckDBPyConnection, at: list[str], names: list[str]) -> set[str]:
    """The generated columns. The catalogue does not tell them from those with a default; the binder does."""
    aside = connection.cursor()  # an error would end the caller's transaction
    # A schema may be called like the file: only the whole name says which is meant.
    whole = ".".join(quote(part) for part in (*(first(aside.execute("SELECT current_database()")) or ()), *at))

    def refused(some: list[str]) -> bool:
        into = f"{whole} ({', '.join(quote(name) for name in some)})"
        try:
            aside.execute(f"EXPLAIN INSERT INTO {into} SELECT {', '.join(['NULL'] * len(some))}").fetchall()
        except duckdb.BinderException as error:
            if "generated column" in str(error):
                return True
            raise
        return False

    try:
        return {name for name in names if refused([name])} if refused(names) else set()
    finally:
        aside.close()


def as_columns(table: ExistingTable) -> list[TargetColumn]:
    """The columns as every target reports them."""
    keys = {name for names in table.unique for name in names}
    return [TargetColumn(c.name, c.type, c.nullable, c.has_default, c.name in keys) for c in table.columns]


def stamp_types(table: TargetTable) -> dict[str, str]:
    """The columns append adds to a row: name → type."""
    stamp = table.stamp
    named = {
        stamp.op: "VARCHAR",
        stamp.committed_at: "TIMESTAMP WITH TIME ZONE",
        stamp.position: "VARCHAR",
        stamp.detail: "JSON",
    }
    named.pop("", None)
    return named if table.mode is WriteMode.APPEND else {}


def misfits(wanted: TargetTable, found: ExistingTable) -> list[Misfit]:
    """Every reason why `found` cannot take `wanted`'s rows (I6)."""
    if found.view:
        return [Misfit("", "is a view; only tables can be fed")]
    return [*_of_columns(wanted, found), *_of_extras(wanted, found), *_of_keys(wanted, found)]


def refused_names(wanted: TargetTable) -> list[Misfit]:
    """Columns that DuckDB would take for one."""
    seen: dict[str, str] = {}
    wrong = []
    for name in (*wanted.source.names, *stamp_types(wanted)):
        first = seen.setdefault(folded(name), name)
        if first != name:
            wrong.append(Misfit(name, f"and {first} are one name to DuckDB, which does not tell upper from lower case"))
    return wrong


def _of_columns(wanted: TargetTable, found: ExistingTable) -> Iterator[Misfit]:
    source, append = wanted.source, wanted.mode is WriteMode.APPEND
    types = {column.name: column_type(column.type) for column in source.columns}
    nullable = {column.name: column.nullable for column in source.columns}
    for name, type in {**types, **stamp_types(wanted)}.items():
        key = name in source.key and not append
        have = found.column(name)
        if have is None:
            yield Misfit(name, f"is missing; {type} is needed")
            continue
        if have.generated:
            yield Misfit(name, "is generated at the target, so that no value can be written to it")
        if not holds(have.type, type, key=key):
            yield Misfit(name, f"is {have.type}, which cannot hold every {type} as it is")
        if not have.nullable and append:
            yield Misfit(name, "is NOT NULL; appended deletes and truncates leave columns empty")
        elif not have.nullable and nullable[name] and not key:
            yield Misfit(name, "is NOT NULL; the source's allows NULL")


def _of_extras(wanted: TargetTable, found: ExistingTable) -> Iterator[Misfit]:
    fed = {folded(name) for name in (*wanted.source.names, *stamp_types(wanted))}
    for have in found.columns:
        if folded(have.name) not in fed and not (have.nullable or have.has_default):
            yield Misfit(have.name, "is NOT NULL without a default, and the source has no such column")


def _of_keys(wanted: TargetTable, found: ExistingTable) -> Iterator[Misfit]:
    """Rows are replaced by key without an index, so a unique key is not needed; a wrong one is in the way."""
    key = {folded(name) for name in wanted.source.key} if wanted.mode is WriteMode.UPSERT else set()
    for names in found.unique:
        if not key:
            yield Misfit(", ".join(names), "has a unique key; append writes a row for every change of a row")
        elif not key <= {folded(name) for name in names}:
            yield Misfit(", ".join(names), "has a unique key; values that move between rows would violate it")
    for names in found.foreign:
        yield Misfit(", ".join(names), "has a foreign key; rows may arrive before those they refer to")
