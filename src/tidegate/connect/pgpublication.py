"""A run's publication: made, changed, and asked whether it told every row and change ever since.

A table that somebody takes out and puts back leaves a hole that nothing in the log shows. So the run's own changes are
written down in the same transaction, as the publication's comment: the publication's row version and the ids of its
members. What was altered by anybody else has other ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tidegate.connect.postgres import quote, quoted
from tidegate.model.schema import TableName

_TITLE = "Tidegate follows by this; keep it as it is: "

_PARTITIONED = """
select n.nspname, c.relname from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind = 'p'
"""

# prqual and prattrs are columns of version 15 and later. One that became a partition of another member is told of as
# that one.
_MEMBERS = """
select n.nspname, c.relname, r.oid::bigint, p.xmin::text, pg_catalog.obj_description(p.oid, 'pg_publication'),
       p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate and p.pubviaroot
       and to_jsonb(r) ->> 'prqual' is null and to_jsonb(r) ->> 'prattrs' is null
       and not exists (select from pg_catalog.pg_partition_ancestors(c.oid) above
           join pg_catalog.pg_publication_rel o on o.prrelid = above.relid
           where o.prpubid = p.oid and above.relid <> c.oid)
  from pg_catalog.pg_publication p
  join pg_catalog.pg_publication_rel r on r.prpubid = p.oid
  join pg_catalog.pg_class c on c.oid = r.prrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where p.pubname = %s
"""


@dataclass(frozen=True, slots=True)
class _Member:
    table: TableName
    id: int
    version: str
    comment: str | None
    whole: bool


def create(connection: psycopg.Connection[Any], name: str, tables: Sequence[TableName]) -> None:
    with connection.transaction():
        connection.execute(
            f"create publication {quote(name)} for table {_listed(connection, tables)}"
            " with (publish_via_partition_root = true)"
        )
        _note(connection, name, [member.id for member in _members(connection, name)])


def add(connection: psycopg.Connection[Any], name: str, tables: Sequence[TableName]) -> None:
    """From here on these are told of whole: their rows must be copied after this. Idempotent."""
    with connection.transaction():
        before = _members(connection, name)
        there = {member.table for member in before}
        new = [table for table in tables if table not in there]
        if new:
            connection.execute(f"alter publication {quote(name)} add table {_listed(connection, new)}")
        known = {member.id for member in before if _untouched(member)}
        known |= {member.id for member in _members(connection, name) if member.table in tables}
        _note(connection, name, sorted(known), version=_noted(before[0])[0] if before else None)


def drop(connection: psycopg.Connection[Any], name: str, tables: Sequence[TableName]) -> None:
    there = {member.table for member in _members(connection, name)}
    gone = [table for table in tables if table in there]
    if gone:
        connection.execute(f"alter publication {quote(name)} drop table {_listed(connection, gone)}")


def told_whole(connection: psycopg.Connection[Any], name: str) -> set[TableName]:
    """The tables of which it tells every row and change, and did so since the run put them there (I3)."""
    return {member.table for member in _members(connection, name) if member.whole and _untouched(member)}


def _untouched(member: _Member) -> bool:
    version, ids = _noted(member)
    return member.version == version and member.id in ids


def _noted(member: _Member) -> tuple[str, frozenset[int]]:
    title, found, text = (member.comment or "").partition(_TITLE)
    if title or not found:
        return "", frozenset()
    try:
        noted = json.loads(text)
        return str(noted["version"]), frozenset(noted["members"])
    except (ValueError, TypeError, LookupError):  # somebody else's comment
        return "", frozenset()


def _note(connection: psycopg.Connection[Any], name: str, ids: Sequence[int], *, version: str | None = None) -> None:
    """`version`: the one noted before, which a change that is not the run's own must not be forgotten by."""
    if version is None:
        found = connection.execute("select xmin::text from pg_catalog.pg_publication where pubname = %s", [name])
        (version,) = found.fetchone() or ("",)
    noted = _TITLE + json.dumps({"version": version, "members": ids})
    connection.execute(sql.SQL("comment on publication {} is {}").format(sql.Identifier(name), sql.Literal(noted)))


def _members(connection: psycopg.Connection[Any], name: str) -> list[_Member]:
    rows = connection.execute(_MEMBERS, [name]).fetchall()
    return [_Member(TableName(schema, table), *rest) for schema, table, *rest in rows]


def _listed(connection: psycopg.Connection[Any], tables: Sequence[TableName]) -> str:
    partitioned = {TableName(*row) for row in connection.execute(_PARTITIONED)}
    # ONLY keeps tables that inherit from it out; they are tables of their own here.
    return ", ".join(("" if table in partitioned else "only ") + quoted(table.schema, table.name) for table in tables)
