"""The connectivity test of a PostgreSQL source: one line per requirement, each with what was found and what to do."""

from __future__ import annotations

from typing import Any

import psycopg

from tidegate.connect.capability import Check, WriteMode
from tidegate.connect.postgres import PostgresConfig, connect, place, quoted, translated
from tidegate.errors import (
    SourceAuthFailed,
    SourceIdentityMissing,
    SourceKeyDeferrable,
    SourceLogDisabled,
    SourceNoFreeSlot,
    SourceNoKey,
    SourcePrivilegeMissing,
    SourceStandby,
    SourceUnreachable,
    SourceVersionUnsupported,
    TidegateError,
)
from tidegate.model.schema import TableName, TableSchema

OLDEST_MAJOR, NEWEST_MAJOR = 14, 18


def connectivity(config: PostgresConfig) -> list[Check]:
    """Reachable, authenticated, version, log level, privileges, slots, senders. Stops where the rest cannot be seen."""
    try:
        connection = connect(config, "source")
    except SourceUnreachable as error:
        return [_failed("reachable", error)]
    except TidegateError as error:
        return [Check("reachable", True, f"{config.host}:{config.port}"), _failed("authenticated", error)]
    checks = [
        Check("reachable", True, f"{config.host}:{config.port}"),
        Check("authenticated", True, f"{config.user} on {config.database}"),
    ]
    with connection:
        try:
            checks += [_version(connection), _primary(connection, config)]
            if not checks[-1].ok:
                return checks
            checks += [_log_level(connection), _privileges(connection, config), *_slots(connection)]
        except psycopg.Error as error:
            checks.append(_failed("answers", translated(error, "source", config)))
    return checks


def _failed(name: str, error: TidegateError) -> Check:
    return Check(name, False, error.detail, error.advice, error.code)


def _judged(name: str, ok: bool, found: str, error: type[TidegateError]) -> Check:
    return Check(name, ok, found) if ok else Check(name, False, found, error.advice, error.code)


def _version(connection: psycopg.Connection[Any]) -> Check:
    number = connection.info.server_version
    ok = OLDEST_MAJOR <= number // 10_000 <= NEWEST_MAJOR
    return _judged("version", ok, f"PostgreSQL {number // 10_000}.{number % 10_000}", SourceVersionUnsupported)


def _primary(connection: psycopg.Connection[Any], config: PostgresConfig) -> Check:
    """Publications and the fence need a server that writes."""
    standby = bool(_value(connection, "select pg_catalog.pg_is_in_recovery()"))
    return _judged("primary", not standby, f"{place(config)} is a {'standby' if standby else 'primary'}", SourceStandby)


def _log_level(connection: psycopg.Connection[Any]) -> Check:
    level = _value(connection, "show wal_level")
    return _judged("log level", level == "logical", f"wal_level = {level}", SourceLogDisabled)


def _privileges(connection: psycopg.Connection[Any], config: PostgresConfig) -> Check:
    create = _value(connection, "select pg_catalog.has_database_privilege(current_database(), 'CREATE')")
    missing = [
        text
        for ok, text in (
            (may_replicate(connection), f'ALTER ROLE "{config.user}" REPLICATION'),
            (create, f'GRANT CREATE ON DATABASE "{config.database}" TO "{config.user}"'),
        )
        if not ok
    ]
    found = f"missing: {'; '.join(missing)}" if missing else "may replicate and create a publication"
    return _judged("privileges", not missing, found, SourcePrivilegeMissing)


def may_replicate(connection: psycopg.Connection[Any]) -> bool:
    """Managed services hand replication out as membership in a role of their own."""
    return bool(
        _value(
            connection,
            "select rolsuper or rolreplication from pg_catalog.pg_roles where rolname = current_user",
        )
        or _value(
            connection,
            "select exists(select from pg_catalog.pg_roles where rolname in ('rds_replication', 'rds_superuser')"
            " and pg_catalog.pg_has_role(current_user, oid, 'member'))",
        )
    )


def _slots(connection: psycopg.Connection[Any]) -> list[Check]:
    slots = int(_value(connection, "show max_replication_slots"))
    used = int(_value(connection, "select count(*) from pg_catalog.pg_replication_slots"))
    senders = int(_value(connection, "show max_wal_senders"))
    busy = int(_value(connection, "select count(*) from pg_catalog.pg_stat_replication"))
    return [
        _judged("slots free", used < slots, f"{slots - used} of {slots}", SourceNoFreeSlot),
        _judged("senders free", busy < senders, f"{senders - busy} of {senders}", SourceNoFreeSlot),
    ]


def _value(connection: psycopg.Connection[Any], statement: str) -> Any:
    row = connection.execute(statement).fetchone()
    return row[0] if row else None


def refused_by(checks: list[Check]) -> list[TidegateError]:
    """What a connectivity test found wrong, as errors to raise."""
    known: tuple[type[TidegateError], ...] = (
        SourceUnreachable,
        SourceAuthFailed,
        SourceVersionUnsupported,
        SourceStandby,
        SourceLogDisabled,
        SourcePrivilegeMissing,
        SourceNoFreeSlot,
    )
    by_code = {error.code: error for error in known}
    return [by_code.get(check.code, SourceUnreachable)(check.found) for check in checks if not check.ok]


def privilege_refusals(connection: psycopg.Connection[Any], table: TableName, oid: int) -> list[Exception]:
    """What following this table still needs granted."""
    row = connection.execute(
        "select pg_catalog.has_table_privilege(%s::oid, 'SELECT'), pg_catalog.has_schema_privilege(n.oid, 'USAGE'),"
        " pg_catalog.pg_has_role(c.relowner, 'USAGE'), pg_catalog.row_security_active(c.oid) from pg_catalog.pg_class c"
        " join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = %s::oid",
        (oid, oid),
    ).fetchone()
    select, usage, owner, hidden = row or (False, False, False, False)
    name = quoted(table.schema, table.name)
    refused: list[Exception] = []
    if not usage:
        refused.append(SourcePrivilegeMissing(f"{table}: GRANT USAGE ON SCHEMA to the user is missing"))
    if not select:
        refused.append(SourcePrivilegeMissing(f"{table}: GRANT SELECT ON {name} to the user is missing"))
    if not owner:
        refused.append(SourcePrivilegeMissing(f"{table}: only its owner (or a member of that role) may publish it"))
    if hidden:
        refused.append(SourcePrivilegeMissing(f"{table}: row level security binds the user, who needs BYPASSRLS"))
    return refused


# What an UPDATE or DELETE of a table or partition puts into the log to find the row by: names of columns, NULL for all.
# No function of the tree's: they wait for whoever has a partition locked.
_IDENTITY = """
with recursive tree (oid) as (
  select %(oid)s::oid
  union all select i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid
   where (select relkind from pg_catalog.pg_class where oid = %(oid)s) = 'p')
select n.nspname, c.relname, c.relreplident::text,
       case when c.relreplident = 'f' then null else coalesce((
         select array_agg(a.attname::text)
           from pg_catalog.pg_index i
           join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey::int2[])
          where i.indrelid = c.oid and i.indimmediate and i.indisvalid
            and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident end), '{}') end,
       exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary and not i.indimmediate)
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.oid = %(oid)s or (c.relkind <> 'p' and c.oid in (select oid from tree))
 order by c.oid <> %(oid)s, 1, 2
"""
_WHY = {"n": "REPLICA IDENTITY NOTHING", "d": "no primary key", "i": "the index of its replica identity is gone"}


def identity_refusals(
    connection: psycopg.Connection[Any], table: TableSchema, oid: int, mode: WriteMode
) -> list[Exception]:
    """Why rows of the table cannot be upserted, where that is asked for, and why updates and deletes of it or of a
    partition of it cannot be followed: the first reason."""
    found = connection.execute(_IDENTITY, {"oid": oid}).fetchall()
    if mode is WriteMode.UPSERT and not table.key:
        if found and found[0][-1]:
            return [_deferrable(f"{table.name}")]
        keyless = SourceNoKey(f"{table.name} has no primary key or replica identity index to upsert by")
        return [keyless, *_unfound(table, found)]
    return _unfound(table, found)


def stray_identities(connection: psycopg.Connection[Any], table: TableSchema, oid: int) -> list[Exception]:
    """Why the log does not name rows of the table, or of a partition, by its key, though it names them by something."""
    found = connection.execute(_IDENTITY, {"oid": oid}).fetchall()
    return _unfound(table, [row for row in found if row[3]])


def _deferrable(of: str) -> SourceKeyDeferrable:
    return SourceKeyDeferrable(f"{of} has a primary key that is deferrable, by which its log does not find rows")


def _unfound(table: TableSchema, found: list[tuple[Any, ...]]) -> list[Exception]:
    for schema, name, identity, columns, deferrable in found:
        place = TableName(schema, name)
        of = f"{table.name}" if place == table.name else f"{table.name}: its partition {place}"
        if columns is not None and not columns:
            if identity == "d" and deferrable:
                return [_deferrable(of)]
            why = f"{_WHY[identity]}: once followed, its own UPDATE and DELETE would be refused by the server"
            return [SourceIdentityMissing(f"{of} has {why}" if identity != "i" else f"{of}: {why}")]
        if columns is not None and not set(table.key) <= set(columns):
            key, logged = ", ".join(table.key), ", ".join(columns)
            return [SourceIdentityMissing(f"{of} has {logged} as its replica identity, not the key ({key})")]
    return []
