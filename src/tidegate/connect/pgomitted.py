"""What a PostgreSQL database has and its log does not carry: generated columns, and tables that are not logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from tidegate.model.schema import TableName

_GENERATED = """
select n.nspname, c.relname, array_agg(a.attname::text order by a.attnum)
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> ''
  join unnest(%s::text[], %s::text[]) asked (schema, name) on asked.schema = n.nspname and asked.name = c.relname
 where c.relkind in ('r', 'p') group by 1, 2 order by 1, 2
"""
_UNLOGGED = """
select n.nspname, c.relname from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'u' order by 1, 2
"""


def generated_columns(
    connection: psycopg.Connection[Any], tables: Sequence[TableName]
) -> dict[TableName, tuple[str, ...]]:
    """The generated columns, stored and virtual, of those of the tables that have some."""
    asked = ([table.schema for table in tables], [table.name for table in tables])
    found = connection.execute(_GENERATED, asked).fetchall()
    return {TableName(schema, name): tuple(columns) for schema, name, columns in found}


def unlogged_tables(connection: psycopg.Connection[Any]) -> list[TableName]:
    """Tables whose rows no log has."""
    return [TableName(*row) for row in connection.execute(_UNLOGGED).fetchall()]
