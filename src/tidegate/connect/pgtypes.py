"""What PostgreSQL's catalogue says about tables, columns and types, as the model says it."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg

from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema

# Object ids below this are the same in every server.
FIRST_OWN_OID = 16384

_KINDS = {
    16: Kind.BOOL,
    17: Kind.BYTES,
    18: Kind.TEXT,
    19: Kind.TEXT,
    20: Kind.INT64,
    21: Kind.INT16,
    23: Kind.INT32,
    25: Kind.TEXT,
    26: Kind.INT64,
    114: Kind.JSON,
    700: Kind.FLOAT32,
    701: Kind.FLOAT64,
    1042: Kind.TEXT,
    1043: Kind.TEXT,
    1082: Kind.DATE,
    1083: Kind.TIME,
    1114: Kind.TIMESTAMP,
    1184: Kind.TIMESTAMPTZ,
    1186: Kind.INTERVAL,
    1266: Kind.TIMETZ,
    1700: Kind.DECIMAL,
    2950: Kind.UUID,
    3802: Kind.JSON,
}

# Built in, but their text names things only this database has: carried as text.
_LOCAL = frozenset({24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191, 1033})


class TypeRow(NamedTuple):
    oid: int
    shown: str
    sort: str
    """`typtype`: b base, c composite, d domain, e enum, m multirange, r range, p pseudo."""
    base_oid: int
    base_modifier: int
    element_oid: int


def read_type(connection: psycopg.Connection[Any], oid: int, modifier: int) -> DataType:
    """The type as the model says it. Raises `psycopg.Error`; an unknown oid (dropped meanwhile) is carried as text."""
    row = connection.execute(
        "select t.oid::int8, format_type(t.oid, %s), t.typtype::text, t.typbasetype::int8, t.typtypmod,"
        " case when t.typlen = -1 and t.oid not in (22, 30)"
        " and t.typsubscript::text like '%%array_subscript_handler' then t.typelem::int8 else 0"
        " end from pg_catalog.pg_type t where t.oid = %s",
        (modifier, oid),
    ).fetchone()
    if row is None:
        return DataType(Kind.OTHER, "text")
    found = TypeRow(*row)
    if found.sort == "d":  # a domain travels as what it is made of
        base_modifier = found.base_modifier if found.base_modifier >= 0 else modifier
        return read_type(connection, found.base_oid, base_modifier)
    if found.element_oid:
        element = read_type(connection, found.element_oid, modifier)
        return DataType(Kind.OTHER, f"{element.native}[]")
    if found.oid >= FIRST_OWN_OID or found.oid in _LOCAL:
        kind = Kind.TEXT if found.sort == "e" else Kind.OTHER
        return DataType(kind, "text")
    return _built_in(found, modifier)


class TypeReader:
    """`read_type` that asks once for each type: wide tables have many columns of few."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._read: dict[tuple[int, int], DataType] = {}

    def read(self, oid: int, modifier: int) -> DataType:
        held = self._read.get((oid, modifier))
        if held is None:
            held = self._read[oid, modifier] = read_type(self._connection, oid, modifier)
        return held


def _built_in(found: TypeRow, modifier: int) -> DataType:
    kind = _KINDS.get(found.oid, Kind.OTHER)
    if kind is Kind.DECIMAL and modifier >= 4:
        packed = modifier - 4
        scale = packed & 0x7FF
        return DataType(kind, found.shown, (packed >> 16) & 0xFFFF, scale - 0x800 if scale & 0x400 else scale)
    if kind in (Kind.TIME, Kind.TIMETZ, Kind.TIMESTAMP, Kind.TIMESTAMPTZ) and modifier >= 0:
        return DataType(kind, found.shown, scale=modifier)
    if found.oid in (1042, 1043) and modifier >= 4:
        return DataType(kind, found.shown, length=modifier - 4)
    return DataType(kind, found.shown)


# How a type is spelled, its id, and what a column of it has as its modifier.
_LISTED = (
    *(("boolean", 16, -1), ("smallint", 21, -1), ("integer", 23, -1), ("bigint", 20, -1), ("real", 700, -1)),
    *(("double precision", 701, -1), ("numeric(12,2)", 1700, (12 << 16 | 2) + 4), ("numeric", 1700, -1)),
    *(("text", 25, -1), ("character varying(100)", 1043, 104), ("character(10)", 1042, 14), ("bytea", 17, -1)),
    *(("date", 1082, -1), ("time without time zone", 1083, -1), ("time with time zone", 1266, -1)),
    *(("timestamp without time zone", 1114, -1), ("timestamp(3) without time zone", 1114, 3)),
    *(("timestamp with time zone", 1184, -1), ("interval", 1186, -1), ("uuid", 2950, -1), ("json", 114, -1)),
    *(("jsonb", 3802, -1), ("inet", 869, -1), ("bit(8)", 1560, 8), ("money", 790, -1), ("point", 600, -1)),
    ("int4range", 3904, -1),
)


def listed() -> list[tuple[str, DataType]]:
    """One of each built-in type, and what stands for others, by its spelling, with what it is here."""
    built_in = [(name, _built_in(TypeRow(oid, name, "b", 0, -1, 0), mod)) for name, oid, mod in _LISTED]
    others = (("integer[] (arrays)", Kind.OTHER), ("enumerations", Kind.TEXT), ("composites", Kind.OTHER))
    return built_in + [(name, DataType(kind, name.split(" ")[0] if "[" in name else "text")) for name, kind in others]


# A column whose default the catalogue does not keep as a value for older rows gave them one each when it was added: an
# identity, a volatile default, and what comes by way of a domain, which rewrites the table.
_COLUMNS = """
select a.attname, a.atttypid::int8, a.atttypmod, a.attnotnull,
       case when a.atthasmissing then (a.attmissingval::text::text[])[1] end,
       not a.atthasmissing and (
         a.attidentity <> ''
         or t.typtype = 'd' and (d.adrelid is not null or t.typdefault is not null)
         or exists (select from regexp_matches(d.adbin::text, ':(?:func|opfunc)id (\\d+)', 'g') used
                      join pg_catalog.pg_proc p on p.oid = used[1]::oid where p.provolatile = 'v'))
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_type t on t.oid = a.atttypid
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where a.attrelid = %s and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
 order by a.attnum
"""

_KEY = """
select array_agg(a.attname::text order by k.position)
  from pg_catalog.pg_index i
  join pg_catalog.pg_class c on c.oid = i.indrelid
 cross join lateral unnest(i.indkey::int2[]) with ordinality k (attnum, position)
  join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
 where i.indrelid = %s and k.position <= i.indnkeyatts and i.indimmediate and i.indisvalid
   and case c.relreplident when 'i' then i.indisreplident else i.indisprimary end
"""


class TableFacts(NamedTuple):
    """What is decided by the catalogue and not part of the schema."""

    oid: int
    partitioned: bool


def read_facts(connection: psycopg.Connection[Any], table: TableName) -> TableFacts | None:
    """None if there is no such table (a partition is not one: its root is)."""
    row = connection.execute(
        "select c.oid::int8, c.relkind = 'p'"
        " from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p') and not c.relispartition"
        " and c.relpersistence = 'p'",
        (table.schema, table.name),
    ).fetchone()
    return None if row is None else TableFacts(*row)


def read_name(connection: psycopg.Connection[Any], oid: int) -> TableName | None:
    """What the table is called now; None if it is gone."""
    row = connection.execute(
        "select n.nspname, c.relname from pg_catalog.pg_class c"
        " join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = %s",
        (oid,),
    ).fetchone()
    return None if row is None else TableName(*row)


def read_schema(connection: psycopg.Connection[Any], table: TableName, oid: int) -> TableSchema:
    """The table's columns (generated ones are left out: the log does not carry them) and its key."""
    types = TypeReader(connection)
    columns = tuple(
        Column(name, types.read(type_oid, modifier), not not_null, missing, varies)
        for name, type_oid, modifier, not_null, missing, varies in connection.execute(_COLUMNS, (oid,)).fetchall()
    )
    row = connection.execute(_KEY, (oid,)).fetchone()
    key = tuple(row[0]) if row and row[0] else ()
    return TableSchema(table, columns, key, "postgres")
