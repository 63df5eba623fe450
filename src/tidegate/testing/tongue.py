"""What the ledger's writers say otherwise to PostgreSQL than to MariaDB; all else is the SQL that both share."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import pymysql


@dataclass(frozen=True, slots=True)
class Tongue:
    schema: tuple[str, ...]
    next_step: str
    """The next number of the sequence."""
    filled: str
    """Once the first rows are there."""
    waits: str
    """Makes a writer's commits wait for a synchronous standby."""
    hurries: str
    """Makes them wait for none."""
    empties: tuple[str, ...]
    """Empties `item` within a transaction; nothing where that would end it."""
    errors: tuple[type[Exception], ...]
    """What the server or the way to it answers with."""
    conflicts: tuple[type[Exception] | int, ...]
    """Those of them that say another writer was in the way: classes, or numbers."""
    away: tuple[type[Exception], ...]
    """Those of them that say it is gone, where they are no conflict."""

    def in_the_way(self, error: Exception) -> bool:
        """Whether another writer was, so that the transaction is to be given up."""
        said = error.args[0] if error.args else None
        return any(said == one if isinstance(one, int) else isinstance(error, one) for one in self.conflicts)


_TABLES = (
    "create table account (id int primary key, amount int not null, note text)",
    "create table ledger (writer int, n bigint, note text, primary key (writer, n))",
    "create table item (k int primary key, step bigint not null, note text, big text)",
    "create sequence steps",
)

POSTGRES = Tongue(
    schema=(*_TABLES, "alter table item alter big set storage external"),
    next_step="nextval('steps')",
    filled="analyze",
    waits="set synchronous_commit = on",
    hurries="set synchronous_commit = local",
    empties=("set local lock_timeout = '300ms'", "truncate item"),
    errors=(psycopg.Error,),
    conflicts=(psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable, psycopg.errors.UniqueViolation),
    away=(psycopg.OperationalError,),
)

# Rows alone are locked, as in PostgreSQL, and not the gaps between them.
_ROWS_ALONE = "set session transaction isolation level read committed"

MARIADB = Tongue(
    schema=_TABLES,
    next_step="nextval(steps)",
    filled="analyze table account, ledger, item",
    waits=_ROWS_ALONE,
    hurries=_ROWS_ALONE,
    empties=(),  # TRUNCATE would commit what the transaction has so far
    errors=(pymysql.Error,),
    conflicts=(1020, 1062, 1205, 1213),  # changed since read, a row of that key, a lock not granted, a deadlock
    away=(pymysql.OperationalError, pymysql.InterfaceError),
)
