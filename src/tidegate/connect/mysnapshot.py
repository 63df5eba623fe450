"""Consistent snapshots, and which place of the log each belongs to.

MariaDB says it. MySQL does not, so it is made sure of. A transaction is in the log before it is committed, and named
before it is in the log, so a snapshot has the place P if

- nothing was logged from before it until after it (the log ends at P both times), and no transaction was on its way
  from the log to its commit when that was first seen: all that is in front of P is committed. Nobody waits for this,
  but it wants a moment of quiet.
- else, for one table: nobody could change the table while the snapshot was taken and P was read. LOCK TABLES … READ
  waits until whoever has changed it has committed, and is let go at once.

For the gate (R1) the log's end does: what was read from the log before a snapshot is in front of that snapshot's place,
either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidegate.connect.mariadb import quoted
from tidegate.connect.myflavour import Flavour
from tidegate.connect.myposition import Place
from tidegate.connect.mysession import log_end
from tidegate.errors import SourceUnreachable
from tidegate.model.schema import TableName

Ask = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]

BEGIN = "start transaction with consistent snapshot, read only"
QUIET_TRIES = 20
LOCK_WAIT_S = 1
"""How long a table may be waited for: who wants to change it meanwhile waits as well."""


def said_with(query: Ask) -> Place:
    """MariaDB's own word of the snapshot that this session takes."""
    query(BEGIN, ())
    told: dict[str, Any] = dict(query("show session status like 'binlog_snapshot_%'", ()))
    try:
        return Place.of(str(told["Binlog_snapshot_file"]), int(told["Binlog_snapshot_position"]))
    except (KeyError, ValueError) as error:
        raise SourceUnreachable("the server tells no snapshot's place in its log") from error


def in_quiet(query: Ask, flavour: Flavour, tries: int = QUIET_TRIES) -> Place | None:
    """A snapshot that this session takes while nothing is logged; None: there was no such moment."""
    for _ in range(tries):
        before = log_end(query, flavour).place
        if _under_way(query):
            continue
        query(BEGIN, ())
        if log_end(query, flavour).place == before:
            return before
        query("rollback", ())
    return None


def _under_way(query: Ask) -> bool:
    """Whether transactions are being committed, or may be: a name is theirs from before the log has them until they can
    be seen, and those without one are counted."""
    ((named,),) = query("select @@global.gtid_owned", ())
    counted = query("show global status like 'ongoing\\_anonymous\\_transaction\\_count'", ())
    return bool(named) or not counted or int(counted[0][1]) > 0


def under_lock(query: Ask, other: Ask, flavour: Flavour, table: TableName) -> Place:
    """A snapshot that this session takes while `other` keeps everybody from changing the table. Raises
    `SourceUnreachable` where somebody is at it for long."""
    other(f"lock tables {quoted(table.schema, table.name)} read", ())
    try:
        query(BEGIN, ())
        return log_end(other, flavour).place
    finally:
        other("unlock tables", ())
