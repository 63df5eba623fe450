"""What happened to a PostgreSQL table's columns, and to the types they are of, that gives rows other values.

`ALTER COLUMN … TYPE … USING` writes every row anew, a column that is dropped and added again has other values, and a
renamed label is what rows show from then on. The log tells none of it: the next rows only look alike. It leaves traces
in the catalogue: a column's number, the version of its row there, the file that rows are in, names of labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg

from tidegate.connect.source import Unlogged, UnloggedChange
from tidegate.model.schema import TableName

# The rows of a partitioned table are in the files of its partitions.
_COLUMNS = """
select n.nspname, c.relname,
       case c.relkind when 'r' then c.relfilenode::text else (
         with recursive below (oid) as (
           select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = c.oid
           union all select i.inhrelid from below join pg_catalog.pg_inherits i on i.inhparent = below.oid)
         select pg_catalog.md5(string_agg(leaf.oid || ':' || leaf.relfilenode, ' ' order by leaf.oid))
           from below join pg_catalog.pg_class leaf on leaf.oid = below.oid) end,
       (select pg_catalog.jsonb_object_agg(a.attname, array[a.attnum::text, a.xmin::text])
          from pg_catalog.pg_attribute a
         where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '')
  from unnest(%(schemas)s::text[], %(names)s::text[]) wanted (schema, name)
  join pg_catalog.pg_namespace n on n.nspname = wanted.schema
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
 where c.relkind in ('r', 'p')
"""

# Types that columns are made of, through arrays, domains, ranges and composites, as far as users make them.
_TYPES = """
with recursive made (schema, name, type) as (
  select n.nspname, c.relname, a.atttypid
    from unnest(%(schemas)s::text[], %(names)s::text[]) wanted (schema, name)
    join pg_catalog.pg_namespace n on n.nspname = wanted.schema
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
   where a.atttypid >= 16384
  union
  select made.schema, made.name, part.type
    from made
    join pg_catalog.pg_type t on t.oid = made.type
   cross join lateral (
     select t.typelem where t.typcategory = 'A'
     union all select t.typbasetype
     union all select r.rngsubtype from pg_catalog.pg_range r where t.oid in (r.rngtypid, r.rngmultitypid)
     union all select a.atttypid from pg_catalog.pg_attribute a
      where a.attrelid = t.typrelid and t.typtype = 'c' and a.attnum > 0 and not a.attisdropped) part (type)
   where part.type >= 16384)
select made.schema, made.name, t.oid::text, pg_catalog.format_type(t.oid, null),
       case t.typtype
         when 'e' then (select pg_catalog.jsonb_object_agg(e.oid, e.enumlabel)
                          from pg_catalog.pg_enum e where e.enumtypid = t.oid)
         else (select pg_catalog.jsonb_object_agg('attributes', held.numbers) from (
                 select string_agg(a.attnum::text, ' ' order by a.attnum) from pg_catalog.pg_attribute a
                  where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) held (numbers)) end
  from made join pg_catalog.pg_type t on t.oid = made.type
 where t.typtype in ('e', 'c')
"""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a table's values go by."""

    file: str
    """Which file or files its rows are in."""
    columns: Mapping[str, Sequence[str]]
    """Name → its number and the version of its row in the catalogue."""
    types: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """A type → the labels of an enumeration by their ids, or under `attributes` the numbers of a composite's."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def definitions(connection: psycopg.Connection[Any], tables: Sequence[TableName]) -> dict[TableName, Definition]:
    """Those of the tables that are there. Two queries for all of them."""
    wanted = {"schemas": [table.schema for table in tables], "names": [table.name for table in tables]}
    found = {
        TableName(schema, name): Definition(file or "", columns or {})
        for schema, name, file, columns in connection.execute(_COLUMNS, wanted)
    }
    for schema, name, oid, type_, facts in connection.execute(_TYPES, wanted):
        if TableName(schema, name) in found:
            found[TableName(schema, name)].types[f"{oid} {type_}"] = facts or {}
    return found


def redefined(table: TableName, was: Definition, now: Definition) -> Iterator[UnloggedChange]:
    """What between the two gave rows that were there other values.

    A column's row in the catalogue also changes with a default or a privilege, and the file by VACUUM FULL or
    TRUNCATE: only both together are a column that was converted. Between two looks they are taken for one."""
    for column, (number, version) in now.columns.items():
        if column not in was.columns:
            continue
        old_number, old_version = was.columns[column]
        if number != old_number:
            yield UnloggedChange(table, column, Unlogged.REPLACED)
        elif version != old_version and now.file != was.file:
            yield UnloggedChange(table, column, Unlogged.CONVERTED)
    before = {name.partition(" ")[0]: facts for name, facts in was.types.items()}
    for type_, facts in now.types.items():
        oid, _, name = type_.partition(" ")
        if any(facts.get(part, text) != text for part, text in before.get(oid, {}).items()):
            yield UnloggedChange(table, name, Unlogged.RELABELLED)
