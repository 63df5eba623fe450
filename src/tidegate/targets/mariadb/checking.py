"""What a MariaDB server must be and allow for a run to write into it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pymysql.cursors import Cursor

from tidegate.connect.capability import Check
from tidegate.connect.myflavour import Flavour

OLDEST = (10, 5)
OLDEST_MYSQL = (8, 0)

_NEEDED = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "CREATE TEMPORARY TABLES")

_SETTING = "target.setting_wrong"
_PRIVILEGE = "target.privilege_missing"


def setting_wrong(cursor: Cursor) -> str:
    """Why no run may be opened with the server's settings as they are; empty: they are fine."""
    cursor.execute("SELECT @@local_infile, @@innodb_flush_log_at_trx_commit")
    local, flush = (int(value) for value in cursor.fetchone() or (0, 0))
    if not local:
        return "local_infile is OFF, so that rows cannot be loaded"
    if not flush:  # I1: what is reported as written must survive a crash of the server
        return "innodb_flush_log_at_trx_commit is 0: a crash of the server would lose what was committed"
    if _splits(cursor):  # I4: rows would be committed before their position
        return "wsrep_load_data_splitting is ON: Galera would commit rows that are loaded in pieces"
    return ""


def _splits(cursor: Cursor) -> bool:
    cursor.execute("SHOW GLOBAL VARIABLES LIKE 'wsrep\\_load\\_data\\_splitting'")
    found = cursor.fetchone()
    return found is not None and found[1] == "ON"


def checks(cursor: Cursor, flavour: Flavour) -> Iterator[Check]:
    """The connectivity test behind a connection."""
    oldest = OLDEST_MYSQL if flavour.mysql else OLDEST
    new = flavour.version >= oldest
    named = ".".join(map(str, oldest))
    yield Check(
        "version",
        new,
        str(flavour),
        "" if new else f"Use {'MySQL' if flavour.mysql else 'MariaDB'} {named} or newer.",
        "" if new else "target.version_unsupported",
    )
    cursor.execute("SELECT @@local_infile, @@innodb_flush_log_at_trx_commit, @@read_only")
    local, flush, read_only = (int(value) for value in cursor.fetchone() or (0, 0, 0))
    yield Check(
        "local_infile",
        bool(local),
        "rows can be loaded" if local else "is OFF",
        "" if local else "Set local_infile = ON at the server. Nothing is read from files.",
        "" if local else _SETTING,
    )
    found = {0: "not before a crash of the server could lose them", 1: "at once", 2: "but for a crash of the machine"}
    yield Check(
        "durable commits",
        bool(flush),
        f"commits are durable {found.get(flush, 'in a way of their own')} (innodb_flush_log_at_trx_commit = {flush})",
        "" if flush else "Set innodb_flush_log_at_trx_commit to 1.",
        "" if flush else _SETTING,
    )
    if _splits(cursor):
        found_so = "Galera commits rows that are loaded in pieces (wsrep_load_data_splitting = ON)"
        yield Check("whole transactions", False, found_so, "Set wsrep_load_data_splitting = OFF.", _SETTING)
    granted = _granted(cursor)
    may = not read_only or bool(granted.get("*.*", set()) & {"ALL PRIVILEGES", "SUPER", "READ_ONLY ADMIN"})
    yield Check(
        "writable",
        may,
        "takes writes" if may else "the server is read only (read_only = ON)",
        "" if may else "Connect to the primary.",
        "" if may else "target.conflict",
    )
    missing = [name for name in _NEEDED if not _has(granted, name)]
    yield Check(
        "state",
        not missing,
        f"lacks {', '.join(missing)} on it" if missing else "the database tidegate can be used or made",
        f"GRANT {', '.join(missing)} ON tidegate.* TO the user." if missing else "",
        _PRIVILEGE if missing else "",
    )


def _has(granted: dict[str, set[str]], name: str) -> bool:
    """Whether a privilege is there for the database of the state; a pattern that matches it is good enough."""
    places = [place for place in granted if place == "*.*" or _matches(place)]
    return any({"ALL PRIVILEGES", name} & granted[place] for place in places)


def _matches(place: str) -> bool:
    database, _, table = place.rpartition(".")
    pattern = re.escape(database.strip("`").replace("\\_", "_")).replace("%", ".*").replace("_", ".")
    return table == "*" and re.fullmatch(pattern, "tidegate", re.IGNORECASE) is not None


def _granted(cursor: Cursor) -> dict[str, set[str]]:
    """Where → which privileges, of the user and the roles that are active."""
    cursor.execute("SHOW GRANTS")
    found: dict[str, set[str]] = {}
    for (line,) in cursor.fetchall():
        said = re.match(r"GRANT (.+?) ON (?:TABLE )?(\S+|`[^`]+`\.\S+) TO ", line)
        if said is not None:
            found.setdefault(said[2], set()).update(name.strip().upper() for name in said[1].split(","))
    return found
