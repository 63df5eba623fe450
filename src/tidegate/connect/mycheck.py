"""The connectivity test of a MariaDB or MySQL source, a line per requirement, and why a table cannot be followed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from tidegate.connect import mytypes
from tidegate.connect.capability import Check, WriteMode
from tidegate.connect.mariadb import MariadbConfig, place, quoted
from tidegate.connect.mychunk import MyInstant
from tidegate.connect.myflavour import Flavour
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

KEPT_MIN_S = 3600
SNAPSHOTTING = frozenset({"InnoDB"})
SYSTEM_SCHEMAS = ("information_schema", "mysql", "performance_schema", "sys")


def connectivity(config: MariadbConfig, kind: str) -> list[Check]:
    """Stops where the rest cannot be seen. `kind` is the connector's, which its own servers alone are for."""
    instant = MyInstant(config)
    try:
        instant.open()
    except SourceUnreachable as error:
        return [_failed("reachable", error)]
    except TidegateError as error:
        return [Check("reachable", True, place(config)), _failed("authenticated", error)]
    query, flavour = instant.query, instant.flavour
    checks = [
        Check("reachable", True, place(config)),
        Check("authenticated", True, f"{config.user}" + (f" on {config.database}" if config.database else "")),
    ]
    try:
        checks.append(_version(query, flavour, kind))
        if checks[-1].ok:
            checks += [_log(query), _replica(query, flavour), *_form(query), _kept(query)]
            checks += [_privileges(query, flavour, config), _server_id(query), _zone(query)]
            checks += [_names(query), _prepared(query)] if flavour.mysql else []
    except TidegateError as error:
        checks.append(_failed("answers", error))
    finally:
        instant.close()
    return checks


def _failed(name: str, error: TidegateError) -> Check:
    return Check(name, False, error.detail, error.advice, error.code)


def _judged(name: str, ok: bool, found: str, error: type[TidegateError]) -> Check:
    return Check(name, ok, found) if ok else Check(name, False, found, error.advice, error.code)


def wrong_server(flavour: Flavour, kind: str) -> SourceVersionUnsupported | None:
    """Why the connector is none for the server; None: it is."""
    if flavour.kind != kind:
        return SourceVersionUnsupported(
            f"this is {flavour}, and the data source is of kind {kind}: make one of kind {flavour.kind} with the same"
            " settings"
        )
    if flavour.is_read:
        return None
    why = ": the log of those before 8.0.1 tells neither signs nor character sets" if flavour.mysql else ""
    return SourceVersionUnsupported(f"{flavour} is too old to be followed{why}")


def _version(query: Query, flavour: Flavour, kind: str) -> Check:
    ((said,),) = query("select version()", ())
    wrong = wrong_server(flavour, kind)
    return _failed("version", wrong) if wrong else Check("version", True, f"{flavour.name} {said}")


def _log(query: Query) -> Check:
    on = global_setting(query, "log_bin")
    return _judged("binary log", on == "ON", f"log_bin = {on}", SourceLogDisabled)


def _replica(query: Query, flavour: Flavour) -> Check:
    """What a replica applies is in its own log only if it is told to put it there."""
    replicates = False
    with suppress(SourcePrivilegeMissing):  # not everybody may look
        replicates = bool(query(flavour.replication, ()))
    logs = global_setting(query, flavour.logs_applied)
    found = f"a {'replica' if replicates else 'primary'}, {flavour.logs_applied} = {logs}"
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


def _privileges(query: Query, flavour: Flavour, config: MariadbConfig) -> Check:
    granted = "\n".join(str(row[0]) for row in query("show grants", ()))
    everywhere = " ".join(re.findall(r"GRANT (.*?) ON \*\.\* ", granted))
    everything = "ALL PRIVILEGES" in everywhere
    missing = [] if everything or "REPLICATION SLAVE" in everywhere else ["REPLICATION SLAVE"]
    try:
        log_end(query, flavour)
        query("show binary logs", ())
    except SourcePrivilegeMissing:
        missing.append(flavour.log_privilege)
    except SourceLogDisabled:
        pass  # has a line of its own
    if missing:
        needed = f"missing: GRANT {', '.join(missing)} ON *.* TO {config.user}"
        return _judged("privileges", False, needed, SourcePrivilegeMissing)
    locks = flavour.tells_snapshots or re.search(r"GRANT [^\n]*?\b(?:LOCK TABLES|ALL PRIVILEGES)\b[^\n]* ON ", granted)
    if not locks and not re.search(r"GRANT `", granted):  # what a role grants is not shown
        needed = f"missing: GRANT LOCK TABLES ON the databases that are copied TO {config.user}"
        return _judged("privileges", False, needed, SourcePrivilegeMissing)
    return Check("privileges", True, "may read the log and ask where it ends")


def _names(query: Query) -> Check:
    """Without names a log that was begun anew is told from the one that was read by its places alone."""
    mode = global_setting(query, "gtid_mode")
    also = "" if mode == "ON" else ": a log begun anew is told from the one that was read by its places alone"
    return Check("transaction names", True, f"gtid_mode = {mode}{also}")


def _prepared(query: Query) -> Check:
    """A run without it begins at once, and ends if what was prepared before is committed."""
    try:
        query("xa recover", ())
    except TidegateError:
        return Check("prepared transactions", True, "not shown to this user (XA_RECOVER_ADMIN)")
    return Check("prepared transactions", True, "are waited for where a run begins")


def _server_id(query: Query) -> Check:
    found = global_setting(query, "server_id")
    return _judged("server id", found not in ("", "0"), f"server_id = {found}", SourceLogDisabled)


def _zone(query: Query) -> Check:
    ((shown, system),) = query("select @@global.time_zone, @@global.system_time_zone", ())
    return Check("time zone", True, f"{shown} ({system}); instants are read in UTC whatever it is")


# --- tables ---


def refusals(query: Query, flavour: Flavour, table: TableSchema, mode: WriteMode) -> list[Exception]:
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
    for column in mytypes.described(query, name, flavour):
        why = mytypes.unreadable(column)
        if why:
            refused.append(SourceColumnUnreadable(f"{name}: column {column.name} {why}"))
    if not logged(query, flavour, [name]):
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


def logged(query: Query, flavour: Flavour, tables: Sequence[TableName]) -> list[TableName]:
    """Those of the tables whose databases the server logs."""
    end = log_end(query, flavour)
    return [name for name in tables if (not end.only or name.schema in end.only) and name.schema not in end.but]
