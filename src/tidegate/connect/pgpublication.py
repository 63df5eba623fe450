"""A run's publication: made, changed, and asked whether it told every row and change ever since.

A table that somebody takes out and puts back leaves a hole that nothing in the log shows. So the run's own changes are
written down in the same transaction, as the publication's comment: the publication's row version, and the ids of its
members with the names they had. What was altered by anybody else has other ids, and tables that changed names have
other names for their ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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

_PUBLICATION = """
select xmin::text, pg_catalog.obj_description(oid, 'pg_publication'),
       pubinsert and pubupdate and pubdelete and pubtruncate and pubviaroot
  from pg_catalog.pg_publication where pubname = %s
"""

# prqual and prattrs are columns of version 15 and later. One that became a partition of another member is told of as
# that one.
_MEMBERS = """
select n.nspname, c.relname, r.oid::text,
       to_jsonb(r) ->> 'prqual' is null and to_jsonb(r) ->> 'prattrs' is null
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
    id: str
    whole: bool


@dataclass(frozen=True, slots=True)
class _Noted:
    """What the run wrote down."""

    version: str = ""
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Member's id → schema and name of the table."""

    def knows(self, member: _Member) -> bool:
        return self.names.get(member.id) == [*member.table]


def create(connection: psycopg.Connection[Any], name: str, tables: Sequence[TableName]) -> None:
    with connection.transaction():
        connection.execute(
            f"create publication {quote(name)} for table {_listed(connection, tables)}"
            " with (publish_via_partition_root = true)"
        )
        version, _, _ = _publication(connection, name)
        _note(connection, name, version, _members(connection, name))


def add(connection: psycopg.Connection[Any], name: str, tables: Sequence[TableName]) -> None:
    """From here on these are told of whole: their rows must be copied after this. Idempotent."""
    with connection.transaction():
        _, noted, _ = _publication(connection, name)
        before = _members(connection, name)
        there = {member.table for member in before}
        new = [table for table in tables if table not in there]
        if new:
            connection.execute(f"alter publication {quote(name)} add table {_listed(connection, new)}")
        members = _members(connection, name)
        known = [member for member in members if member.table in tables or noted.knows(member)]
        # The version stays the one that was noted: what somebody else altered must not be forgotten by this.
        _note(connection, name, noted.version, known)


def drop(connection: psycopg.Connection[Any], name: str, tables: Sequence[TableName]) -> None:
    there = {member.table for member in _members(connection, name)}
    gone = [table for table in tables if table in there]
    if gone:
        connection.execute(f"alter publication {quote(name)} drop table {_listed(connection, gone)}")


def told_whole(connection: psycopg.Connection[Any], name: str) -> set[TableName]:
    """The tables of which it tells every row and change, and did so since the run put them there (I3)."""
    version, noted, everything = _publication(connection, name)
    if not everything or version != noted.version:
        return set()
    return {member.table for member in _members(connection, name) if member.whole and noted.knows(member)}


def _publication(connection: psycopg.Connection[Any], name: str) -> tuple[str, _Noted, bool]:
    """Its row's version, what is noted, and whether it tells of all operations; one that is not there tells nothing."""
    found = connection.execute(_PUBLICATION, [name]).fetchone()
    version, comment, everything = found or ("", None, False)
    title, noted, text = (comment or "").partition(_TITLE)
    if title or not noted:
        return version, _Noted(), everything
    try:
        read = json.loads(text)
        return version, _Noted(str(read["version"]), dict(read["members"])), everything
    except (ValueError, TypeError, LookupError):  # somebody else's comment
        return version, _Noted(), everything


def _note(connection: psycopg.Connection[Any], name: str, version: str, members: Iterable[_Member]) -> None:
    noted = _TITLE + json.dumps({"version": version, "members": {member.id: [*member.table] for member in members}})
    connection.execute(sql.SQL("comment on publication {} is {}").format(sql.Identifier(name), sql.Literal(noted)))


def _members(connection: psycopg.Connection[Any], name: str) -> list[_Member]:
    rows = connection.execute(_MEMBERS, [name]).fetchall()
    return [_Member(TableName(schema, table), *rest) for schema, table, *rest in rows]


def _listed(connection: psycopg.Connection[Any], tables: Sequence[TableName]) -> str:
    partitioned = {TableName(*row) for row in connection.execute(_PARTITIONED)}
    # ONLY keeps tables that inherit from it out; they are tables of their own here.
    return ", ".join(("" if table in partitioned else "only ") + quoted(table.schema, table.name) for table in tables)
