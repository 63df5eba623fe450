"""The connectivity test of a MariaDB source, a line per requirement, and why a table cannot be followed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from tidegate.connect import mytypes
from tidegate.connect.capability import Check, WriteMode
from tidegate.connect.mariadb import MariadbConfig, place, quoted
from tidegate.connect.mychunk import MyInstant
from tidegate.connect.mysession import global_setting, limits, log_end
from tidegate.connect.mytypes import Query
from tidegate.errors import (
    SourceCascade,
    SourceColumnUnreadable,
    SourceEngineUnsupported,
    SourceLogDisabled,
    SourceLogFormat,
    SourceNoKey,
    SourcePrivilegeMissing,
    SourceTableUnknown,
    SourceTableUnlogged,
    SourceUnreachable,
    SourceVersionUnsupported,
    TidegateError,
)
from tidegate.model.schema import TableName, TableSchema

OLDEST = (10, 5)
KEPT_MIN_S = 3600
SNAPSHOTTING = frozenset({"InnoDB"})
SYSTEM_SCHEMAS = ("information_schema", "mysql", "performance_schema", "sys")


def connectivity(config: MariadbConfig) -> list[Check]:
    """Stops where the rest cannot be seen."""
    instant = MyInstant(config)
    try:
        instant.open()
    except SourceUnreachable as error:
        return [_failed("reachable", error)]
    except TidegateError as error:
        return [Check("reachable", True, place(config)), _failed("authenticated", error)]
    query = instant.query
    checks = [
        Check("reachable", True, place(config)),
        Check("authenticated", True, f"{config.user}" + (f" on {config.database}" if config.database else "")),
    ]
    try:
        checks.append(_version(query))
        if checks[-1].ok:
            checks += [_log(query), _replica(query), *_form(query), _kept(query), _privileges(query, config)]
            checks += [_server_id(query), _zone(query)]
    except TidegateError as error:
        checks.append(_failed("answers", error))
    finally:
        instant.close()
    return checks


def _failed(name: str, error: TidegateError) -> Check:
    return Check(name, False, error.detail, error.advice, error.code)


def _judged(name: str, ok: bool, found: str, error: type[TidegateError]) -> Check:
    return Check(name, ok, found) if ok else Check(name, False, found, error.advice, error.code)


def _version(query: Query) -> Check:
    ((said,),) = query("select version()", ())
    numbers = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)", str(said))
    mariadb = "mariadb" in str(said).lower()
    ok = mariadb and numbers is not None and (int(numbers[1]), int(numbers[2])) >= OLDEST
    return _judged("version", ok, f"{'MariaDB' if mariadb else 'MySQL'} {said}", SourceVersionUnsupported)


def _log(query: Query) -> Check:
    on = global_setting(query, "log_bin")
    return _judged("binary log", on == "ON", f"log_bin = {on}", SourceLogDisabled)


def _replica(query: Query) -> Check:
    """What a replica applies is in its own log only if it is told to put it there."""
    replicates = False
    with suppress(SourcePrivilegeMissing):  # not everybody may look
        replicates = bool(query("show all slaves status", ()))
    logs = global_setting(query, "log_slave_updates")
    found = f"a {'replica' if replicates else 'primary'}, log_slave_updates = {logs}"
    return _judged("all changes logged", not replicates or logs == "ON", found, SourceLogDisabled)


def _form(query: Query) -> list[Check]:
    checks = []
    for name, variable, wanted in (
        ("log format", "binlog_format", ("ROW",)),
        ("row images", "binlog_row_image", ("FULL", "FULL_NODUP")),
        ("row metadata", "binlog_row_metadata", ("FULL", "MINIMAL")),
    ):
        found = global_setting(query, variable)
        ok = found in wanted and found != "FULL_NODUP"
        checks.append(_judged(name, ok, f"{variable} = {found}", SourceLogFormat))
    return checks


def _kept(query: Query) -> Check:
    """For how long the server keeps its log: nothing holds it for a task."""
    kept_s, limit = limits(query)
    found = f"for {kept_s / 3600:.1f} hours" if kept_s else "for as long as nobody purges it"
    found += f", {limit} bytes at most" if limit else ""
    if not kept_s or kept_s >= KEPT_MIN_S:
        return Check("log kept", True, found)
    advice = (
        "Raise binlog_expire_logs_seconds (or expire_logs_days): what a paused task has not read must still be there."
    )
    return Check("log kept", False, found, advice, SourceLogDisabled.code)


def _privileges(query: Query, config: MariadbConfig) -> Check:
    granted = "\n".join(str(row[0]) for row in query("show grants", ()))
    everywhere = " ".join(re.findall(r"GRANT (.*?) ON \*\.\* ", granted))
    everything = "ALL PRIVILEGES" in everywhere
    missing = [] if everything or "REPLICATION SLAVE" in everywhere else ["REPLICATION SLAVE"]
    try:
        log_end(query)
        query("show binary logs", ())
    except SourcePrivilegeMissing:
        missing.append("BINLOG MONITOR")
    except SourceLogDisabled:
        pass  # has a line of its own
    if not missing:
        return Check("privileges", True, "may read the log and ask where it ends")
    needed = f"missing: GRANT {', '.join(missing)} ON *.* TO {config.user}"
    return _judged("privileges", False, needed, SourcePrivilegeMissing)


def _server_id(query: Query) -> Check:
    found = global_setting(query, "server_id")
    return _judged("server id", found not in ("", "0"), f"server_id = {found}", SourceLogDisabled)


def _zone(query: Query) -> Check:
    ((shown, system),) = query("select @@global.time_zone, @@global.system_time_zone", ())
    return Check("time zone", True, f"{shown} ({system}); instants are read in UTC whatever it is")


# --- tables ---


def refusals(query: Query, table: TableSchema, mode: WriteMode) -> list[Exception]:
    """See `Source.refusals`."""
    name = table.name
    found = query(
        "select engine, table_type from information_schema.tables where table_schema = %s and table_name = %s",
        (name.schema, name.name),
    )
    if not found:
        return [SourceTableUnknown(f"{name} does not exist, or its user may not see it")]
    try:
        query(f"select 1 from {quoted(name.schema, name.name)} limit 0", ())
    except SourcePrivilegeMissing as error:
        return [error]
    refused: list[Exception] = []
    if found[0][0] not in SNAPSHOTTING:
        refused.append(SourceEngineUnsupported(f"{name} is of engine {found[0][0]}"))
    refused += _cascades(query, name)
    for column in mytypes.described(query, name):
        why = mytypes.unreadable(column)
        if why:
            refused.append(SourceColumnUnreadable(f"{name}: column {column.name} {why}"))
    if not logged(query, [name]):
        refused.append(SourceTableUnlogged(f"{name}: the server does not log the database {name.schema}"))
    if mode is WriteMode.UPSERT and not table.key:
        refused.append(SourceNoKey(f"{name} has no primary key to upsert by"))
    return refused


def _cascades(query: Query, name: TableName) -> list[Exception]:
    """I3: what a foreign key does to the rows that refer to others is done below the log. Asked so that who may only
    read the table sees it: `information_schema` hides it from such a user."""
    ((_, made, *_),) = query(f"show create table {quoted(name.schema, name.name)}", ())
    return [
        SourceCascade(f"{name}: foreign key {found[1]} is {found[2]}")
        for line in str(made).splitlines()
        if (found := _FOREIGN.match(line))
    ]


_FOREIGN = re.compile(r"  CONSTRAINT (`(?:[^`]|``)*`) FOREIGN KEY .*? (ON (?:DELETE|UPDATE) (?:CASCADE|SET \w+).*?),?$")


def logged(query: Query, tables: Sequence[TableName]) -> list[TableName]:
    """Those of the tables whose databases the server logs."""
    end = log_end(query)
    return [name for name in tables if (not end.only or name.schema in end.only) and name.schema not in end.but]
