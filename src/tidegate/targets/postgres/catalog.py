"""What a PostgreSQL target's catalogue says about an existing table, and why it cannot take a task's rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from tidegate.connect.capability import WriteMode
from tidegate.connect.target import Misfit, TargetColumn, TargetTable
from tidegate.model.schema import Kind
from tidegate.targets.postgres.types import column_type, holds

NAME_BYTES = 63
"""What the server keeps of a name; longer ones it would cut off."""
KEY_TO_COME = "Tidegate adds the primary key when all rows are in"
"""The comment of a table that was made without it."""


@dataclass(frozen=True, slots=True)
class ExistingColumn:
    """A column as it is. `type` has its numbers, `bare` not; both are of the type below a domain."""

    name: str
    type: str
    bare: str
    spelled: str
    own_type: bool
    """Whether the type is none of the server's own (an enumeration, a composite, an extension's)."""
    enumeration: bool
    collatable: bool
    deterministic: bool
    nullable: bool
    has_default: bool
    generated: bool
    identity_always: bool


@dataclass(frozen=True, slots=True)
class Constraint:
    """A unique index (of plain columns, usable by ON CONFLICT when `arbiter`) or a foreign key."""

    name: str
    columns: tuple[str, ...]
    arbiter: bool = False


@dataclass(frozen=True, slots=True)
class ExistingTable:
    kind: str
    """`r` table, `p` partitioned; anything else cannot be fed."""
    permanent: bool
    """Neither unlogged nor temporary."""
    columns: tuple[ExistingColumn, ...]
    unique: tuple[Constraint, ...]
    foreign: tuple[Constraint, ...]
    truncatable: bool
    """No other table's foreign key points here, and the user may TRUNCATE."""
    key_to_come: bool = False
    """See `KEY_TO_COME`."""
    meddlers: tuple[str, ...] = ()
    """What may change or hold back rows on their way in: row triggers that fire before, rules, row security."""

    def column(self, name: str) -> ExistingColumn | None:
        return next((column for column in self.columns if column.name == name), None)


_TABLE = """
SELECT c.oid, c.relkind::text, c.relpersistence = 'p',
       coalesce(obj_description(c.oid, 'pg_class') = %s, false)
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
       has_table_privilege(c.oid, 'TRUNCATE') AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_constraint f
           WHERE f.contype = 'f' AND f.confrelid = c.oid AND f.conrelid <> c.oid),
       ARRAY(SELECT DISTINCT 'trigger ' || quote_ident(t.tgname) FROM pg_catalog.pg_trigger t
             WHERE (t.tgrelid = c.oid OR t.tgrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid)))
               AND t.tgenabled = 'O' AND t.tgtype & 3 = 3 ORDER BY 1)
       || ARRAY(SELECT 'rule ' || quote_ident(r.rulename) FROM pg_catalog.pg_rewrite r
                WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3', '4') AND r.ev_enabled = 'O' ORDER BY 1)
       || CASE WHEN row_security_active(c.oid) THEN ARRAY['row security'] ELSE '{}' END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s::text AND c.relname = %s::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

_COLUMNS = """
SELECT a.attname,
       format_type(b.oid, CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END),
       format_type(b.oid, -1),
       format_type(a.atttypid, a.atttypmod),
       b.typnamespace <> 'pg_catalog'::regnamespace AND coalesce(e.typnamespace <> 'pg_catalog'::regnamespace, true),
       b.typtype = 'e',
       a.attcollation <> 0,
       coalesce(l.collisdeterministic, true),
       NOT (a.attnotnull OR t.typnotnull),
       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
       a.attgenerated <> '',
       a.attidentity = 'a'
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
LEFT JOIN pg_catalog.pg_type e ON e.oid = b.typelem AND b.typcategory = 'A'
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

_UNIQUE = """
SELECT i.indexrelid::regclass::text,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k (num, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num ORDER BY k.place),
       i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
FROM pg_catalog.pg_index i WHERE i.indrelid = %s AND i.indisunique ORDER BY 1
"""

_FOREIGN = """
SELECT f.conname::text,
       ARRAY(SELECT a.attname::text FROM unnest(f.conkey) k JOIN pg_catalog.pg_attribute a
             ON a.attrelid = f.conrelid AND a.attnum = k)
FROM pg_catalog.pg_constraint f WHERE f.conrelid = %s AND f.contype = 'f' ORDER BY 1
"""


def same_bytes(table: TargetTable, found: ExistingTable) -> bool:
    """Whether every column is of the very type it has at the source, and one of those whose values have the same bytes
    in every database."""
    columns = {column.name: column for column in found.columns}
    return all(
        column.type.kind is not Kind.OTHER
        and column.name in columns
        and columns[column.name].type == column.type.native
        and not columns[column.name].own_type
        for column in table.source.columns
    )


def existing(cursor: psycopg.Cursor[Any], schema: str, name: str) -> ExistingTable | None:
    """The table as the catalogue has it; None if there is none of that name."""
    found = cursor.execute(_TABLE, (KEY_TO_COME, schema, name)).fetchone()
    if found is None:
        return None
    oid, kind, permanent, key_to_come, truncatable, meddlers = found
    columns = tuple(ExistingColumn(*row) for row in cursor.execute(_COLUMNS, (oid,)).fetchall())
    unique = tuple(Constraint(n, tuple(c), arbiter) for n, c, arbiter in cursor.execute(_UNIQUE, (oid,)).fetchall())
    foreign = tuple(Constraint(n, tuple(c)) for n, c in cursor.execute(_FOREIGN, (oid,)).fetchall())
    return ExistingTable(kind, permanent, columns, unique, foreign, truncatable, key_to_come, tuple(meddlers))


def as_columns(table: ExistingTable) -> list[TargetColumn]:
    """The columns as every target reports them; `key` are those of a unique index that can find a row."""
    keys = {name for index in table.unique if index.arbiter for name in index.columns}
    return [
        TargetColumn(c.name, c.spelled, c.nullable, c.has_default or c.generated, c.name in keys) for c in table.columns
    ]


def misfits(wanted: TargetTable, found: ExistingTable) -> list[Misfit]:
    """Every reason why `found` cannot take `wanted`'s rows (I6)."""
    if found.kind not in ("r", "p"):
        return [Misfit("", "is a view or a foreign table; only tables can be fed")]
    if not found.permanent:  # I1
        return [Misfit("", "is unlogged: a crash of the server would empty it")]
    return [
        *_of_columns(wanted, found),
        *_of_stamp(wanted, found),
        *_of_extras(wanted, found),
        *_of_keys(wanted, found),
        *_of_meddlers(found),
    ]


def _of_columns(wanted: TargetTable, found: ExistingTable) -> Iterator[Misfit]:
    source = wanted.source
    append = wanted.mode is WriteMode.APPEND
    for column in source.columns:
        key = column.name in source.key and not append
        type = column_type(column.type, source.family)
        have = found.column(column.name)
        if have is None:
            yield Misfit(column.name, f"is missing; the source's is {type}")
            continue
        if have.generated:
            yield Misfit(column.name, "is generated at the target, so that no value can be written to it")
        elif have.identity_always and not (key or append):
            yield Misfit(column.name, "is GENERATED ALWAYS AS IDENTITY, so that it cannot be updated")
        own = have.own_type and (column.type.kind is Kind.OTHER or (have.enumeration and not key))
        if not (own or holds(have.type, type, key=key)):
            yield Misfit(column.name, f"is {have.spelled}, which cannot hold every {type} as it is")
        if not have.nullable and append:
            yield Misfit(column.name, "is NOT NULL; appended deletes and truncates leave columns empty")
        elif not have.nullable and column.nullable and not key:
            yield Misfit(column.name, "is NOT NULL; the source's allows NULL")
        if key and not have.deterministic:
            yield Misfit(column.name, "compares different keys as equal (a nondeterministic collation)")


def stamp_types(table: TargetTable) -> dict[str, str]:
    """The columns append adds to a row: name → type. The position sorts by its bytes whatever the database's
    collation."""
    stamp = table.stamp
    named = {
        stamp.op: "text",
        stamp.committed_at: "timestamp with time zone",
        stamp.position: 'text COLLATE "C"',
        stamp.detail: "jsonb",
    }
    named.pop("", None)
    return named if table.mode is WriteMode.APPEND else {}


def _of_stamp(wanted: TargetTable, found: ExistingTable) -> Iterator[Misfit]:
    for name, type in stamp_types(wanted).items():
        have = found.column(name)
        bare = type.partition(" COLLATE")[0]
        if have is None:
            yield Misfit(name, f"is missing; append writes it, as {bare}")
        elif not (holds(have.type, bare, key=False) or have.type == "json") or have.generated:
            yield Misfit(name, f"is {have.spelled}, but append writes {bare}")


def _of_extras(wanted: TargetTable, found: ExistingTable) -> Iterator[Misfit]:
    fed = {*wanted.source.names, *stamp_types(wanted)}
    for have in found.columns:
        if have.name not in fed and not (have.nullable or have.has_default or have.generated):
            yield Misfit(have.name, "is NOT NULL without a default, and the source has no such column")


def _of_keys(wanted: TargetTable, found: ExistingTable) -> Iterator[Misfit]:
    key = set(wanted.source.key) if wanted.mode is WriteMode.UPSERT else set()
    keyed = any(index.arbiter and set(index.columns) == key for index in found.unique)
    if key and not (keyed or found.key_to_come):
        names = ", ".join(wanted.source.key)
        yield Misfit(names, "has no unique key on exactly these columns (not deferrable, not partial) to upsert by")
    for index in found.unique:
        named = ", ".join(index.columns)
        if not key and wanted.stamp.position not in index.columns:
            yield Misfit(named, f"has the unique index {index.name}; append writes a row for every change of a row")
        elif key and not (key <= set(index.columns)):
            yield Misfit(named, f"has the unique index {index.name}; values that move between rows would violate it")
    for constraint in found.foreign:
        named = ", ".join(constraint.columns)
        yield Misfit(named, f"has the foreign key {constraint.name}; rows may arrive before those they refer to")


def _of_meddlers(found: ExistingTable) -> Iterator[Misfit]:
    """Rows are to arrive as they are (I6), all of them (I3). ENABLE ALWAYS is the owner's word that it shall be so."""
    for what in found.meddlers:
        enable = "ENABLE ALWAYS to keep it all the same"
        mend = "exempt the user from it" if what == "row security" else f"DISABLE it for this table, or {enable}"
        yield Misfit("", f"has the {what}, which may change rows or keep them out; {mend}")


def refused_names(wanted: TargetTable) -> list[Misfit]:
    """Names the server would cut off without a word."""
    names = (wanted.schema, wanted.name, *wanted.source.names, *stamp_types(wanted))
    return [Misfit(name, f"is longer than {NAME_BYTES} bytes") for name in names if len(name.encode()) > NAME_BYTES]
