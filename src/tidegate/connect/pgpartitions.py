"""What happened to the partitions of PostgreSQL tables without a word in the log of their root.

TRUNCATE of one partition, ATTACH, DETACH and DROP are in no log that a root is published by. They leave traces in the
catalogue: who is a partition, since which transaction, and in which file its rows are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import errors as pg

from tidegate.connect.postgres import quoted
from tidegate.connect.source import Unlogged, UnloggedChange
from tidegate.model.schema import TableName

# A partition that somebody has locked is looked at another time.
LOCK_TIMEOUT_S = 1
# Rows that were there before others lie in front of them, so that a search this long has found one if there is one.
SEARCH_DEADLINE_S = 10
# After this long the partitions that are left wait for another look.
LOOK_DEADLINE_S = 30

# Every root and what is below it. A partition belongs to its root since the youngest link between the two was made:
# (xmin, cmin) of the link's row, an age being the smaller the younger.
_TREE = """
with recursive tree (root, part, attached, command) as (
  select c.oid, c.oid, null::xid, null::int8
    from unnest(%s::text[], %s::text[]) wanted (schema, name)
    join pg_catalog.pg_namespace n on n.nspname = wanted.schema
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
   where c.relkind = 'p'
  union all
  select tree.root, i.inhrelid,
         case when link.younger then i.xmin else tree.attached end,
         case when link.younger then i.cmin::text::int8 else tree.command end
    from tree
    join pg_catalog.pg_inherits i on i.inhparent = tree.part and not i.inhdetachpending
   cross join lateral (select tree.attached is null
     or (age(i.xmin), - i.cmin::text::int8) < (age(tree.attached), - tree.command) as younger) link)
select rn.nspname, r.relname, c.oid::int8, n.nspname || '.' || c.relname,
       c.relkind = 'p', c.relkind = 'r' and c.relpersistence = 'p',
       c.relfilenode::int8, tree.attached::text, tree.command, c.xmin::text, c.cmin::text::int8, made.xmin::text,
       pg_catalog.pg_stat_get_tuples_inserted(c.oid)
  from tree
  join pg_catalog.pg_class r on r.oid = tree.root
  join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
  join pg_catalog.pg_class c on c.oid = tree.part
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  -- A system column's row is written with the table and never again.
  left join pg_catalog.pg_attribute made on made.attrelid = c.oid and made.attnum = -1
 order by c.oid
"""


@dataclass(slots=True)
class _Remembered:
    name: str
    file: int
    attached: str
    """The transaction that made it a partition."""
    inserted: int
    """How many rows it had ever been given when its file was first seen."""
    filled: bool
    """Whether its file had rows then."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A partition as it is."""

    root: TableName
    oid: int
    name: str
    logged: bool
    """Whether changes of it can be in any log: not those of a foreign or an unlogged table."""
    file: int
    attached: str
    command: int
    """Which command of that transaction did it."""
    touched: str
    """The transaction that last changed its place in the catalogue, as one that gives it a new file does."""
    touching: int
    made: str
    inserted: int

    def remembered(self, *, filled: bool) -> _Remembered:
        return _Remembered(self.name, self.file, self.attached, self.inserted, filled)


@dataclass(frozen=True, slots=True)
class Trees:
    now: dict[TableName, dict[str, list[Any]]]
    """What to remember of each table that is partitioned."""
    changes: list[UnloggedChange]


def look(connection: psycopg.Connection[Any], remembered: Mapping[TableName, Mapping[str, list[Any]]]) -> Trees:
    """What became of the partitions since what is remembered of each table (nothing: it is the first look). One query,
    and a few more for each partition that is new or has a new file."""
    names = list(remembered)
    rows = connection.execute(_TREE, ([name.schema for name in names], [name.name for name in names])).fetchall()
    trees: dict[TableName, list[_Part]] = {}
    for schema, table, oid, name, partitioned, *facts in rows:
        parts = trees.setdefault(TableName(schema, table), [])
        if not partitioned:
            parts.append(_Part(TableName(schema, table), oid, name, *facts))
    found = Trees({}, [])
    for root, parts in trees.items():
        if remembered[root]:
            was = {int(oid): _Remembered(*values) for oid, values in remembered[root].items()}
            held, changes = _compared(connection, parts, was)
        else:
            held, changes = _first(connection, parts), []
        found.changes.extend(UnloggedChange(root, *change) for change in changes)
        found.now[root] = {str(oid): list(asdict(one).values()) for oid, one in held.items()}
    return found


def _first(connection: psycopg.Connection[Any], parts: list[_Part]) -> dict[int, _Remembered]:
    try:
        with connection.transaction():
            connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
            sized = connection.execute(
                "select p, coalesce(pg_catalog.pg_relation_size(p::oid::regclass), 0) > 0 from unnest(%s::int8[]) p",
                ([part.oid for part in parts if part.logged],),
            )
            filled = dict(sized.fetchall())
    except pg.LockNotAvailable:
        filled = {}
    return {part.oid: part.remembered(filled=filled.get(part.oid, True)) for part in parts}


_Change = tuple[str, Unlogged, "str | None", bool]


def _compared(
    connection: psycopg.Connection[Any], parts: list[_Part], was: dict[int, _Remembered]
) -> tuple[dict[int, _Remembered], list[_Change]]:
    until = time.monotonic() + LOOK_DEADLINE_S
    now: dict[int, _Remembered] = {}
    changes: list[_Change] = []
    there = {part.oid for part in parts}
    changes += [(one.name, Unlogged.LEFT, None, False) for oid, one in was.items() if oid not in there]
    stayed = [part for part in parts if part.oid in was]
    at_once = len({part.touched for part in stayed}) == 1
    for part in parts:
        before = was.get(part.oid)
        if before is not None and before.attached == part.attached and before.file == part.file:
            now[part.oid] = before
            before.name = part.name
            continue
        joined = before is None or before.attached != part.attached
        held = _rows(connection, part, joined=joined) if time.monotonic() < until else None
        if held is None:
            if before is not None:
                now[part.oid] = before
            continue
        some, older = held
        now[part.oid] = part.remembered(filled=some)
        had = before is not None and (before.filled or before.inserted != part.inserted)
        if joined and older:
            changes.append((part.name, Unlogged.ATTACHED, None, False))
        elif had:
            what = Unlogged.REWRITTEN if older else Unlogged.EMPTIED
            changes.append((part.name, what, part.touched, at_once))
    return now, changes


def _rows(connection: psycopg.Connection[Any], part: _Part, *, joined: bool) -> tuple[bool, bool] | None:
    """Whether it has rows, and whether any of them is older than the moment it joined or got its file; None: it is
    locked, or gone. By way of the root, whose privileges are known to suffice.

    Rows of a savepoint of the attaching transaction look younger than they are, and so do those that another session
    wrote between that transaction's first statement and ATTACH."""
    if joined and not part.logged:
        return True, True
    moment, command = (part.attached, part.command) if joined else (part.touched, part.touching)
    if joined and part.made == part.attached:  # nobody else could see it before
        older = f"xmin = '{moment}'::xid and cmin::text::int8 <= {command}"
    else:
        # A frozen row may be so old that its transaction's number means the future.
        older = f"age(xmin) < 0 or (age(xmin), - cmin::text::int8) >= (age('{moment}'::xid), - {command}::int8)"
    try:
        with connection.transaction():
            connection.execute(
                f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'; set local statement_timeout = '{SEARCH_DEADLINE_S}s';"
                " set local synchronize_seqscans = off"
            )
            bounds = connection.execute(
                "select coalesce(pg_catalog.pg_get_partition_constraintdef(%s::oid), 'true')", (part.oid,)
            ).fetchone()
            within = (
                f"select from {quoted(part.root.schema, part.root.name)}"
                f" where tableoid = {part.oid}::oid and ({bounds[0] if bounds else 'true'})"
            )
            row = connection.execute(f"select exists ({within} and ({older})), exists ({within})".encode()).fetchone()
    except pg.QueryCanceled:
        return True, False
    except (pg.LockNotAvailable, pg.UndefinedTable):
        return None
    return (row[1], row[0]) if row else None
