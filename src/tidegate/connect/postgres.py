"""What the PostgreSQL source and target share: settings, connecting, quoting, and telling errors apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import psycopg
from psycopg import errors as pg
from pydantic import Field

from tidegate.connect.config import Config, SecretStr
from tidegate.connect.pgwatch import WatchedConnection
from tidegate.errors import (
    SourceAuthFailed,
    SourceError,
    SourceLogBroken,
    SourceNoFreeSlot,
    SourcePrivilegeMissing,
    SourceSlotBusy,
    SourceTableUnknown,
    SourceUnreachable,
    TargetAuthFailed,
    TargetConflict,
    TargetError,
    TargetExhausted,
    TargetMisfit,
    TargetPrivilegeMissing,
    TargetTableMissing,
    TargetUnreachable,
    TargetValueRefused,
    TidegateError,
)

# One grammar for values whatever the server's or role's defaults are, so that copy and log agree (I6).
SESSION = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "array_nulls": "on",
    "timezone": "UTC",
    "xmloption": "content",
    "search_path": "",
    "lc_monetary": "C",
    # A type's spelling is compared and written into statements.
    "quote_all_identifiers": "off",
    # I3: a policy may refuse a copy, but never thin it out.
    "row_security": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}


class PostgresConfig(Config):
    """How to reach one PostgreSQL database."""

    keeps_secrets: ClassVar[frozenset[str]] = frozenset({"database", "connect_timeout_s"})

    host: str = Field(min_length=1, description="Host name or address, or the folder of a Unix socket.")
    port: int = Field(5432, ge=1, le=65535, description="Port.")
    database: str = Field(min_length=1, description="Database; a data source is one database.")
    user: str = Field(min_length=1, description="User to connect as.")
    password: SecretStr = Field(SecretStr(""), description="The user's password.")
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="How the connection is encrypted, as libpq names it."
    )
    connect_timeout_s: int = Field(10, ge=1, le=300, description="How long to wait for a connection, in seconds.")
    chunk_rows: int = Field(
        0, ge=0, le=10_000_000, description="Rows a full copy reads at once from here; 0: as many as 16 MB hold."
    )
    read_pace_ms: int = Field(
        20,
        ge=0,
        le=1000,
        description="How long to rest between two reads of the log while much is coming, in milliseconds: the server"
        " sends more cheaply to a reader that comes seldom. When little comes there is no rest. 0: never.",
    )
    stream_transactions: bool = Field(
        True,
        description="Whether large transactions are read while they are still open, and kept by the worker until their"
        " commit (in its folder for temporary files, TMPDIR). No: the server keeps them until then, on its own disk.",
    )


def conninfo(config: PostgresConfig, **more: str) -> str:
    """A libpq connection string with the session settings every connection of Tidegate has. Holds the password."""
    options = " ".join(f"-c {name}={_escape(value)}" for name, value in SESSION.items())
    return psycopg.conninfo.make_conninfo(
        host=config.host,
        port=config.port,
        dbname=config.database,
        user=config.user,
        password=config.password.get_secret_value(),
        sslmode=config.sslmode,
        connect_timeout=config.connect_timeout_s,
        client_encoding="UTF8",
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=60_000,
        options=options,
        **({"application_name": "tidegate"} | more),
    )


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def connect(config: PostgresConfig, role: Literal["source", "target"], **more: Any) -> psycopg.Connection[Any]:
    """An autocommit connection whose waits end when its answer is lost. Raises the error table's classes for
    `role`."""
    text = conninfo(config)
    try:
        connection = WatchedConnection.connect(text, autocommit=True, **more)
        try:
            connection.introduce(text)
            if connection.info.server_version >= 170_000:  # earlier ones would not know its name
                connection.execute("set transaction_timeout = 0")
            if role == "source":
                # Users who are to read are often made so; a slot and a publication are written all the same.
                connection.execute("set default_transaction_read_only = off")
        except BaseException:
            connection.close()
            raise
    except psycopg.Error as error:
        raise translated(error, role, config) from error
    return connection


def quote(name: str) -> str:
    """An identifier, quoted; the only place that does it for PostgreSQL."""
    return '"' + name.replace('"', '""') + '"'


def quoted(schema: str, name: str) -> str:
    return f"{quote(schema)}.{quote(name)}"


def literal(text: str) -> str:
    """A string constant, quoted, for the few statements that take no parameters."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f" E'{escaped}'" if "\\" in text else f"'{escaped}'"


def place(config: PostgresConfig) -> str:
    """Which database an error is about."""
    return f"{config.host}:{config.port}/{config.database}"


_LOST = (
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.CannotConnectNow,
    pg.ConnectionException,
    pg.TooManyConnections,
    pg.DatabaseDropped,
    pg.IdleInTransactionSessionTimeout,
    pg.IdleSessionTimeout,
    pg.TransactionTimeout,
)
_ROLLED_BACK = (
    pg.DeadlockDetected,
    pg.SerializationFailure,
    pg.LockNotAvailable,
    pg.QueryCanceled,
    pg.ReadOnlySqlTransaction,
    pg.InsufficientResources,
)
_AUTH = (pg.InvalidAuthorizationSpecification, pg.InvalidPassword, pg.InvalidCatalogName)


def translated(
    error: psycopg.Error,
    role: Literal["source", "target"],
    config: PostgresConfig,
    *,
    table: str = "",
    columns: Sequence[str] = (),
) -> TidegateError:
    """The error table's class for what psycopg says. The server's message is kept as the cause only: it may quote
    cell values (I8); names of constraints, columns and tables are taken over. `table` and `columns` are those a COPY
    was filling, for the errors in which the server tells a column only beside its value."""
    at = place(config)
    # Without a code it comes from libpq, which knows no values: only such a text may be searched and shown.
    said = str(error) if error.sqlstate is None else ""
    if isinstance(error, _AUTH) or "authentication failed" in said or "no password supplied" in said:
        auth = SourceAuthFailed if role == "source" else TargetAuthFailed
        what = f'database "{config.database}" or user "{config.user}" is not accepted'
        return auth(f"{at}: {what}")
    if "does not exist" in said and ("database" in said or "role" in said):
        auth = SourceAuthFailed if role == "source" else TargetAuthFailed
        return auth(f'{at}: database "{config.database}" or role "{config.user}" does not exist')
    if isinstance(error, pg.InsufficientPrivilege):
        privilege = SourcePrivilegeMissing if role == "source" else TargetPrivilegeMissing
        return privilege(f"{at}: {error.diag.message_primary}")
    if isinstance(error, _LOST) or (error.sqlstate is None and isinstance(error, psycopg.OperationalError)):
        lost = SourceUnreachable if role == "source" else TargetUnreachable
        return lost(f"{at}: {_first_line(said or error.diag.message_primary or '')}")
    if role == "source":
        return _source_error(error, at)
    return _target_error(error, at, table, columns)


def _source_error(error: psycopg.Error, place: str) -> SourceError:
    if isinstance(error, pg.UndefinedTable):
        return SourceTableUnknown(f"{place}: {error.diag.message_primary}")
    if isinstance(error, pg.ConfigurationLimitExceeded):
        return SourceNoFreeSlot(f"{place}: {error.diag.message_primary}")
    if isinstance(error, pg.ObjectInUse):
        return SourceSlotBusy(f"{place}: {error.diag.message_primary}")
    if isinstance(error, (*_ROLLED_BACK, pg.LockNotAvailable)):
        return SourceUnreachable(f"{place}: {error.diag.message_primary}")
    return SourceLogBroken(f"{place}: the server answered {error.sqlstate} ({type(error).__name__})")


# What the most frequent refusals of a value mean, in words; others are told by the server's name for them.
_REFUSALS = {
    "22001": "a text is longer than the column allows",
    "22003": "a number is outside the column's range",
    "22007": "a date or time is not one of the column's type",
    "22008": "a date or time is outside the column's range",
    "22P02": "a value is not one of the column's type",
    "22P05": "a character does not exist in the database's encoding",
    "22021": "a text holds a character the database cannot store",
    "23502": "NULL is not allowed",
    "23503": "a foreign key refuses a row",
    "23505": "a unique key has the row already",
    "23514": "a check refuses a row",
    "23P01": "an exclusion constraint refuses a row",
}


def _target_error(error: psycopg.Error, at: str, table: str, columns: Sequence[str]) -> TargetError:
    diag = error.diag
    if isinstance(error, (pg.DiskFull, pg.OutOfMemory)):
        return TargetExhausted(f"{at}: {type(error).__name__}")
    if isinstance(error, _ROLLED_BACK):
        return TargetConflict(f"{at}: {type(error).__name__}")
    if isinstance(error, (pg.UndefinedTable, pg.InvalidSchemaName)):
        return TargetTableMissing(f"{at}: {table or diag.message_primary}")
    if isinstance(error, (pg.UndefinedColumn, pg.DuplicateColumn, pg.InvalidColumnReference, pg.DatatypeMismatch)):
        return TargetMisfit(f"{at}: {table + ': ' if table else ''}{diag.message_primary}")
    if not isinstance(error, (psycopg.DataError, psycopg.IntegrityError)):
        return TargetError(f"{at}: {table + ': ' if table else ''}the server answered {error.sqlstate}", table=table)
    # A temporary table's name says nothing to anybody; the caller knows which table it stands for.
    whole = table or ".".join(part for part in (diag.schema_name, diag.table_name) if part)
    column = diag.column_name or _copied_column(diag.context or "", columns)
    where = ".".join(part for part in (whole, column) if part) or "a table"
    what = _REFUSALS.get(error.sqlstate or "", f"{type(error).__name__} ({error.sqlstate})")
    constraint = f" (constraint {diag.constraint_name})" if diag.constraint_name else ""
    return TargetValueRefused(f"{at}: {where}: {what}{constraint}", table=whole, column=column)


def _copied_column(context: str, columns: Sequence[str]) -> str:
    """The column that COPY's context names in front of the value: `COPY t, line 1, column note: "…"`."""
    told = re.search(r"^COPY \S+, line \d+, column (.*)", context, re.DOTALL | re.MULTILINE)
    if told is None:
        return ""
    rest = told[1]
    named = [name for name in columns if rest == name or rest.startswith((f"{name}: ", f"{name}\n"))]
    return max(named, key=len, default="")


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "no answer"
