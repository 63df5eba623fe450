"""What sources and targets of MariaDB and MySQL share: settings, connecting, quoting, and telling errors apart. Where
the two differ, `Flavour` says so."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import pymysql
from pydantic import Field
from pymysql.constants import CR, ER
from pymysql.converters import encoders
from pymysql.cursors import Cursor

from tidegate.connect.config import Config, SecretStr
from tidegate.connect.myflavour import Flavour
from tidegate.errors import (
    SourceAuthFailed,
    SourceError,
    SourceLogBroken,
    SourcePrivilegeMissing,
    SourceTableUnknown,
    SourceUnreachable,
    TargetAuthFailed,
    TargetConflict,
    TargetError,
    TargetExhausted,
    TargetMisfit,
    TargetPrivilegeMissing,
    TargetSettingWrong,
    TargetTableMissing,
    TargetUnreachable,
    TargetValueRefused,
    TidegateError,
)

Connection: TypeAlias = "pymysql.Connection[Cursor]"
Role: TypeAlias = Literal["source", "target"]
C = TypeVar("C", bound="pymysql.Connection[Cursor]")

FAMILY = "mariadb"
FAMILIES = frozenset({FAMILY, "mysql"})
"""Whose types are spelled alike."""

ANSWER_DEADLINE_S = 3600
"""How long one answer may take that brings nothing on its way: the longest statement."""
WRITE_DEADLINE_S = 60
_KEEPALIVE = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
_UNACKNOWLEDGED_MS = 60_000


class MariadbConfig(Config):
    """How to reach one MariaDB or MySQL server."""

    keeps_secrets: ClassVar[frozenset[str]] = frozenset(
        {"database", "connect_timeout_s", "chunk_rows", "server_ids_from"}
    )

    host: str = Field(min_length=1, description="Host name or address, or the path of a Unix socket.")
    port: int = Field(3306, ge=1, le=65535, description="Port.")
    database: str = Field("", description="The database a source's tables are in; empty: in any the user may see.")
    user: str = Field(min_length=1, description="User to connect as.")
    password: SecretStr = Field(SecretStr(""), description="The user's password.")
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer",
        description="How the connection is encrypted, named as for PostgreSQL: verify-ca checks who signed the server's"
        " certificate, verify-full also its name.",
    )
    ca_file: str = Field("", description="The certificates trusted by verify-ca and verify-full; empty: the system's.")
    connect_timeout_s: int = Field(10, ge=1, le=300, description="How long to wait for a connection, in seconds.")
    chunk_rows: int = Field(
        0, ge=0, le=10_000_000, description="Rows a full copy reads at once from here; 0: as many as 16 MB hold."
    )
    server_ids_from: int = Field(
        1_000_000_000,
        ge=1,
        le=3_000_000_000,
        description="Each task reads the log as a replica with a server id of its own, out of the billion that begins"
        " here. No server that replicates with this one may have one of them.",
    )


# What every connection of Tidegate has, whatever the server's or the user's defaults are: one spelling of values, so
# that copy and log agree (I6), and no limit of the server's own on how long it may take or how much it may be.
SESSION: dict[str, str | int] = {
    "time_zone": "+00:00",
    "sql_mode": "",
    "net_read_timeout": 600,
    "net_write_timeout": 31_536_000,
    "wait_timeout": 86_400,
    "lock_wait_timeout": 30,
    "group_concat_max_len": 1_048_576,
    "sql_select_limit": 18_446_744_073_709_551_615,
    "max_join_size": 18_446_744_073_709_551_615,
}


def connect(config: MariadbConfig, role: Role, **more: Any) -> Connection:
    """An autocommit connection in utf8mb4 whose results are texts, or bytes where they are none. `more` goes to the
    client library. Raises the error table's classes for `role`."""
    return connect_as(pymysql.Connection, config, role, **more)


def connect_as(kind: type[C], config: MariadbConfig, role: Role, **more: Any) -> C:
    """The same, as a subclass of the library's connection."""
    arguments: dict[str, Any] = {
        "host": config.host,
        "port": config.port,
        "user": config.user,
        # The library would encode a text as Latin-1, which not every password is.
        "password": config.password.get_secret_value().encode(),
        "database": config.database or None,
        "charset": "utf8mb4",
        "connect_timeout": config.connect_timeout_s,
        "read_timeout": ANSWER_DEADLINE_S,
        "write_timeout": WRITE_DEADLINE_S,
        "autocommit": True,
        "conv": dict(encoders),
        "program_name": "tidegate",
        "defer_connect": True,
    }
    connection: C | None = None
    try:
        connection = kind(**(arguments | _encryption(config) | more))
        connection.connect(_dialled(config))
        set_session(connection, SESSION | dict(Flavour.of(connection).session))
    except (pymysql.Error, OSError, RuntimeError) as error:
        if connection is not None and connection.open:
            connection.close()
        raise translated(error, role, config, connecting=True) from error
    return connection


def set_session(connection: Connection, values: Mapping[str, str | int]) -> None:
    """Set variables of the session. Raises `pymysql.Error`."""
    listed = (f"SESSION {name} = {repr(v) if isinstance(v, str) else v}" for name, v in values.items())
    with connection.cursor() as cursor:
        cursor.execute(f"SET {', '.join(listed)}")


def _dialled(config: MariadbConfig) -> socket.socket:
    """A connected socket that notices within about a minute when the other machine is gone."""
    if config.host.startswith("/"):
        local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        local.settimeout(config.connect_timeout_s)
        local.connect(config.host)
        return local
    dialled = socket.create_connection((config.host, config.port), config.connect_timeout_s)
    dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    dialled.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        dialled.setsockopt(socket.IPPROTO_TCP, option, value)
    dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
    return dialled


def _encryption(config: MariadbConfig) -> dict[str, Any]:
    if config.sslmode == "disable" or config.host.startswith("/"):
        return {"ssl_disabled": True}
    if config.sslmode == "prefer":
        return {}  # the library's own way: encrypted where the server can
    context = ssl.create_default_context(cafile=config.ca_file or None)
    context.check_hostname = config.sslmode == "verify-full"
    if config.sslmode == "require":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def quote(name: str) -> str:
    """An identifier, quoted; the only place that does it for MariaDB."""
    return "`" + name.replace("`", "``") + "`"


def quoted(schema: str, name: str) -> str:
    return f"{quote(schema)}.{quote(name)}"


def literal(text: str) -> str:
    """A string constant; only where the session's sql_mode has NO_BACKSLASH_ESCAPES."""
    return "'" + text.replace("'", "''") + "'"


def place(config: MariadbConfig) -> str:
    """Which server an error is about."""
    return config.host if config.host.startswith("/") else f"{config.host}:{config.port}"


def server_identity(connection: Connection) -> tuple[str, str, str]:
    """What tells this server from others: how it is known among those that replicate, and where it is. Raises
    `pymysql.Error`."""
    own = Flavour.of(connection).server
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT CAST({own} AS CHAR), CONCAT(@@hostname, ':', @@port)")
        found = cursor.fetchone()
    name, at = found or ("", "")
    return (FAMILY, str(name), str(at))


# --- errors -----------------------------------------------------------------------------------------------------

# The numbers are the server's error numbers (MariaDB: "MariaDB Error Code Reference", MySQL: "Server Error Message
# Reference"); those from 2000 to 2999 are the client library's.
_LOST = {1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1927, 4031}
_AUTH = {ER.ACCESS_DENIED_ERROR, 1130, 1251, 1524, 1698, 1820, 1862, 2059, 4151}
_PRIVILEGE = {ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR, 1227, 1370}
_ROLLED_BACK = {1020, 1047, 1205, 1213, 1290, 1317, 1402, 1614, 1637, 1792, 1836, 1969, 3024, 3101}
_EXHAUSTED = {3, 1021, 1026, 1037, 1038, 1041, 1114, 1153, 1197, 1206, 1534}
_MISSING = {ER.NO_SUCH_TABLE, ER.BAD_DB_ERROR, ER.BAD_TABLE_ERROR}
_MISFIT = {ER.BAD_FIELD_ERROR, 1060, 1072, 1118, 1136, 1166, 1170, 1471}
TABLE_CHANGED = 1412
"""A table was changed or emptied since the snapshot that is to be read."""
_LOCAL_INFILE_OFF = {1148, 3948, 4166}

# What the most frequent refusals of a value mean, in words; others are told by their number.
_REFUSALS = {
    1048: "NULL is not allowed",
    1062: "a unique key has the row already",
    1169: "a unique key has the row already",
    1263: "NULL is not allowed",
    1264: "a number is outside the column's range",
    1265: "a value is not one of the column's type, or does not fit it",
    1292: "a value is not one of the column's type",
    1300: "a text holds a character the column cannot store",
    1364: "a column without a default was left out",
    1366: "a value is not one of the column's type",
    1406: "a value is longer than the column allows",
    1451: "a foreign key refuses a row",
    1452: "a foreign key refuses a row",
    1586: "a unique key has the row already",
    1701: "a foreign key refuses a row",
    1906: "a generated column takes no values",
    3819: "a check refuses a row",
    4025: "a check refuses a row",
    4040: "a document is deeper than the server can follow (32 levels)",
}


def number(error: BaseException) -> int:
    """The server's or the client library's number of an error; 0 if it has none."""
    first = error.args[0] if error.args and isinstance(error, pymysql.Error) else 0
    return first if isinstance(first, int) else 0


def translated(
    error: Exception,
    role: Role,
    config: MariadbConfig,
    *,
    table: str = "",
    staged: Mapping[str, str] | None = None,
    connecting: bool = False,
) -> TidegateError:
    """The error table's class for what the client library says. The server's message is kept as the cause only: it may
    quote cell values (I8); names of constraints, columns and tables are taken over. `table` is the one being filled,
    `staged` says which of its columns those of a temporary table stand for.
    """
    at = place(config)
    code = number(error)
    if code in _AUTH or (connecting and code in (ER.DBACCESS_DENIED_ERROR, ER.BAD_DB_ERROR)):
        auth = SourceAuthFailed if role == "source" else TargetAuthFailed
        return auth(f'{at}: database "{config.database}" or user "{config.user}" is not accepted (error {code})')
    if _is_lost(error, code):
        lost = SourceUnreachable if role == "source" else TargetUnreachable
        return lost(f"{at}: {_lost_how(error, code)}")
    if code in _PRIVILEGE:
        privilege = SourcePrivilegeMissing if role == "source" else TargetPrivilegeMissing
        return privilege(f"{at}: {_said(error)}")
    return _source_error(error, code, at) if role == "source" else _target_error(error, code, at, table, staged or {})


def _is_lost(error: Exception, code: int) -> bool:
    """Without a server's number it comes from the library, which finds the connection closed or its answers garbled."""
    return code in _LOST or 2000 <= code < 3000 or code == 0


def _lost_how(error: Exception, code: int) -> str:
    if code == CR.CR_CONN_HOST_ERROR or isinstance(error, OSError):
        cause = getattr(error, "original_exception", error)
        return f"no connection: {getattr(cause, 'strerror', None) or type(cause).__name__}"
    if code in _LOST or code == CR.CR_SSL_CONNECTION_ERROR:
        return _said(error)  # none of these quotes a value
    return f"the connection was lost ({code or type(error).__name__})"


def _said(error: Exception) -> str:
    """The server's sentence; only for errors whose sentence cannot hold a value."""
    return str(error.args[1]) if len(error.args) > 1 else type(error).__name__


def _source_error(error: Exception, code: int, at: str) -> SourceError:
    if code in _MISSING:
        return SourceTableUnknown(f"{at}: {_said(error)}")
    if (
        code in _ROLLED_BACK
        or code in _EXHAUSTED
        or code == TABLE_CHANGED
        or isinstance(error, pymysql.OperationalError)
    ):
        return SourceUnreachable(f"{at}: the server answered {code}")
    return SourceLogBroken(f"{at}: the server answered {code} ({type(error).__name__})")


def _target_error(error: Exception, code: int, at: str, table: str, staged: Mapping[str, str]) -> TargetError:
    named = f"{table}: " if table else ""
    if code in _EXHAUSTED or (code in (1030, 1180) and re.search(r"error:? 28\b", _said(error))):
        return TargetExhausted(f"{at}: the server answered {code}")
    if code in _ROLLED_BACK:
        return TargetConflict(f"{at}: the server answered {code}")
    if code in _MISSING:
        return TargetTableMissing(f"{at}: {table or _said(error)}")
    if code in _MISFIT:
        return TargetMisfit(f"{at}: {named}{_said(error)}")
    if code in _LOCAL_INFILE_OFF:
        return TargetSettingWrong(f"{at}: local_infile is OFF, so that rows cannot be loaded")
    if code not in _REFUSALS and not isinstance(error, (pymysql.DataError, pymysql.IntegrityError)):
        return TargetError(f"{at}: {named}the server answered {code}", table=table)
    column, constraint = _refused_where(code, _said(error))
    column = staged.get(column, column)
    where = ".".join(part for part in (table, column) if part) or "a table"
    what = _REFUSALS.get(code, f"error {code}")
    told = f" (constraint {constraint})" if constraint else ""
    return TargetValueRefused(f"{at}: {where}: {what}{told}", table=table, column=column)


def _refused_where(code: int, said: str) -> tuple[str, str]:
    """The column and the constraint that a refusal names. Both stand at the end of the sentence, after the value, or in
    sentences without one."""
    if column := re.search(r"for column (?:.*\.)?[`'](.*?)[`'] at row \d+$", said, re.DOTALL):
        return column[1], ""
    if code == 1263 and (column := re.search(r"NOT NULL column '(.*)' at row \d+$", said)):
        return column[1], ""
    if code in (1062, 1586, 1169) and (key := re.search(r"for key '([^']*)'$", said)):
        return "", key[1]
    if code in (1048, 1364) and (column := re.match(r"(?:Column|Field) '(.*)' (?:cannot be null|doesn't)", said)):
        return column[1], ""
    if code == 4025 and (column := re.match(r"CONSTRAINT `[^`]*?\.([^`]*)` failed", said)):
        return column[1], ""  # of a column the check is named like it
    if code in (4025, 3819) and (check := re.search(r"(?i)constraint [`'](.*?)[`'] ", said)):
        return "", check[1]
    if code in (1451, 1452) and (foreign := re.search(r"CONSTRAINT `([^`]*)` FOREIGN KEY", said)):
        return "", foreign[1]
    return "", ""
