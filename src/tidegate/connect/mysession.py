"""What a source asks a MariaDB or MySQL server about itself: keys, the log's end and its files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from tidegate.connect.mariadb import Connection
from tidegate.connect.myflavour import Flavour
from tidegate.connect.myposition import Place
from tidegate.connect.mytypes import Query
from tidegate.errors import PositionLost, SourceLogDisabled
from tidegate.model.schema import TableName


def rows(connection: Connection, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows. Raises `pymysql.Error`."""
    with connection.cursor() as cursor:
        cursor.execute(statement, tuple(values) or None)
        return list(cursor.fetchall()) if cursor.description else []


def socket_of(connection: Connection) -> Any:
    """The driver's own socket, plain or encrypted; nothing must be on its way from the server then."""
    driver: Any = connection
    return driver._sock


def drop(connection: Connection) -> None:
    """Cut the connection, whoever waits on it."""
    driver: Any = connection
    sock = driver._sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(2)
    driver._force_close()


def key_of(query: Query, table: TableName) -> tuple[str, ...]:
    """The primary key's columns in order; empty: it has none."""
    found = query(
        "select column_name from information_schema.statistics where table_schema = %s and table_name = %s"
        " and index_name = 'PRIMARY' order by seq_in_index",
        (table.schema, table.name),
    )
    return tuple(name for (name,) in found)


def global_setting(query: Query, variable: str) -> str:
    """Empty where the server does not have it."""
    found = query("show global variables like %s", (variable.replace("_", "\\_"),))
    return str(found[0][1]) if found else ""


class Limits(NamedTuple):
    """Which files of its log the server drops, the oldest first, whoever may need them."""

    age_s: float
    """Those last written longer ago, whenever another file is begun; 0: none."""
    size_bytes: int
    """Those without which all are as small as this; 0: none."""


def limits(query: Query) -> Limits:
    """As set now. MariaDB before 10.6 counts days, and sets no size before 11.4. MySQL takes days where it is given no
    seconds, and from 8.0.29 on may be told to drop nothing by itself."""
    seconds = float(global_setting(query, "binlog_expire_logs_seconds") or 0)
    age_s = seconds or float(global_setting(query, "expire_logs_days") or 0) * 86_400
    if global_setting(query, "binlog_expire_logs_auto_purge") == "OFF":
        age_s = 0.0
    return Limits(age_s, int(global_setting(query, "max_binlog_total_size") or 0))


class LogEnd(NamedTuple):
    place: Place
    only: frozenset[str]
    """The databases that are logged, where only some are."""
    but: frozenset[str]
    """The databases that are not."""


def log_end(query: Query, flavour: Flavour) -> LogEnd:
    """Where the server writes its log now. Raises `SourceLogDisabled`."""
    found = query(flavour.log_status, ())
    if not found:
        raise SourceLogDisabled("the server writes no binary log (log_bin is off)")
    file, offset, only, but = found[0][:4]
    return LogEnd(Place.of(file, int(offset)), _names(only), _names(but))


def _names(listed: str | None) -> frozenset[str]:
    return frozenset(name for name in (listed or "").split(",") if name)


def file_sizes(query: Query) -> dict[str, int]:
    """Every file of the log that is there, in the log's order, with its size in bytes."""
    return {str(name): int(size) for name, size, *_ in query("show binary logs", ())}


def bytes_behind(query: Query, at: Place) -> int:
    """How much log there is behind the place. Raises `PositionLost` when its file is there no more."""
    sizes = file_sizes(query)
    if at.file not in sizes:
        raise PositionLost(f"the server no longer has its log file {at.file}, which the task needs from {at.offset} on")
    behind = sum(size for name, size in sizes.items() if Place.of(name, 4).number > at.number)
    return behind + max(0, sizes[at.file] - at.offset)
