"""One instant of a PostgreSQL database, held by a connection's snapshot, and its tables as texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import errors as pg

from tidegate.connect.pgrows import texts
from tidegate.connect.postgres import quoted
from tidegate.errors import ComparisonEnded, NotComparable, TidegateError

LOCK_TIMEOUT_S = 5
CLOSE_DEADLINE_S = 2

# The files a table's rows are in: as the snapshot has them, and as they are. TRUNCATE and statements that rewrite a
# table give it new ones and keep no rows for older snapshots.
_FILES = """
with recursive tree (oid) as (
  select %(oid)s::oid union all
  select i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid where %(partitioned)s)
select (select array_agg((c.oid::int8, c.relfilenode::int8)::text order by c.oid)
          from tree join pg_catalog.pg_class c on c.oid = tree.oid where c.relkind <> 'p')
       is not distinct from
       (select array_agg((t.oid::int8, pg_catalog.pg_relation_filenode(t.oid)::int8)::text order by t.oid)
          from (select relid::oid as oid from pg_catalog.pg_partition_tree(%(oid)s::regclass)
                 where isleaf and %(partitioned)s
                union all select %(oid)s::oid where not %(partitioned)s) t)
"""


class PgInstant:
    """`connect` makes the connection; `told` turns psycopg's errors into the error table's."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], told: Callable[[psycopg.Error], TidegateError]
    ) -> None:
        self._connect = connect
        self._told = told
        self._connection: psycopg.Connection[Any] | None = None
        self._closed = False

    def open(self, deadline_s: float) -> None:
        with self.telling():
            connection = self._connection = self._connect()
            if self._closed:  # given up while connecting
                connection.close()
            connection.execute(f"set statement_timeout = {max(1, int(deadline_s * 1000))}")

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """Raises `ComparisonEnded` before `open` and after `close`."""
        if self._connection is None or self._connection.closed:
            raise ComparisonEnded("the connection that reads for the comparison is closed")
        return self._connection

    def take(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Begin anew: the snapshot is the one this query has, whose first row is returned."""
        with self.telling():
            self.connection.execute("rollback")
            self.connection.execute("begin isolation level repeatable read read only")
            return self.connection.execute(query, values).fetchone()

    @contextmanager
    def locked(self, schema: str, name: str, *, oid: int, partitioned: bool) -> Iterator[str]:
        """The relation to select from, held still meanwhile and let go of afterwards: a lock lasts as long as its
        savepoint. Raises `NotComparable` if its rows of this instant are gone already."""
        connection = self.connection
        relation = ("" if partitioned else "only ") + quoted(schema, name)
        with self.telling():
            connection.execute("savepoint tidegate_table")
        try:
            with self.telling():
                connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT_S}s'")
                try:
                    connection.execute(f"lock table {relation} in access share mode")
                except (pg.UndefinedTable, pg.InvalidSchemaName) as error:
                    raise NotComparable(f"{schema}.{name} was dropped or renamed meanwhile") from error
                row = connection.execute(_FILES, {"oid": oid, "partitioned": partitioned}).fetchone()
            if row != (True,):
                raise NotComparable(f"{schema}.{name} was truncated or rewritten meanwhile")
            yield relation
        finally:
            with suppress(psycopg.Error, ComparisonEnded):  # closed by another thread: nothing is held any more
                self.connection.execute("rollback to savepoint tidegate_table; release savepoint tidegate_table")

    def texts(self, query: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The query's rows as text columns of these names."""
        with self.telling():
            yield from texts(self.connection, query, names)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Raises psycopg's errors as the error table's."""
        try:
            yield
        except pg.UndefinedColumn as error:
            raise NotComparable("a table's columns were changed meanwhile") from error
        except (pg.QueryCanceled, pg.LockNotAvailable) as error:
            raise ComparisonEnded("a statement took longer than it may, or waited for another's lock") from error
        except psycopg.Error as error:
            raise self._told(error) from error

    def close(self) -> None:
        """Idempotent; also from another thread."""
        self._closed = True
        connection = self._connection
        if connection is None or connection.closed:
            return
        with suppress(psycopg.Error):  # thrown away anyway: the server ends the query when the socket closes
            connection.cancel_safe(timeout=CLOSE_DEADLINE_S)
        connection.close()
