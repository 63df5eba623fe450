"""A MariaDB and a PostgreSQL server, either as source, each reached through a proxy; writers that outlive their server,
and what is exact between the two. Both are spoken to in the SQL that they share."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

import psycopg
import pymysql

from pipeline.rig import Rig, spec
from tidegate.connect.config import parse_config
from tidegate.connect.mariadb import MariadbConfig
from tidegate.connect.source import Source
from tidegate.connect.target import Target
from tidegate.sources.mariadb import MariadbSource
from tidegate.sources.postgres import PostgresSource
from tidegate.targets.mariadb import MariadbTarget
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.proxy import Proxy
from tidegate.testing.servers import PostgresServer

LOST = (psycopg.OperationalError, psycopg.InterfaceError, pymysql.OperationalError, pymysql.InterfaceError)
TABLES = ("ledger", "account")
SCHEMA = (
    "create table ledger (seq bigint primary key, note varchar(400))",
    "create table account (id int primary key, amount bigint not null, version bigint not null)",
)
ACCOUNTS = 100


class Server(Protocol):
    host: str
    port: int

    def start(self) -> Any: ...
    def kill(self) -> None: ...


class End:
    """One of the two: a database of a server, and the way to it."""

    def __init__(self, server: Server, connect: Callable[[], Any], seed: int) -> None:
        self.server, self.connect = server, connect
        self.wire = Proxy((server.host, server.port), seed=seed)

    def rows(self, query: str) -> list[tuple[str, ...]]:
        """As texts; none while its tables or its server are not there."""
        try:
            with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
                cursor.execute(query)
                return [tuple(map(str, row)) for row in cursor.fetchall()]
        except (psycopg.Error, pymysql.Error):
            return []

    def crash(self) -> None:
        self.server.kill()
        self.server.start()


class Crossed:
    """`to_mariadb` says which way."""

    def __init__(
        self, mariadb: MariadbServer, maria: str, postgres: PostgresServer, pg: str, *, to_mariadb: bool, seed: int
    ) -> None:
        of_maria = End(mariadb, lambda: mariadb.connect(maria), seed)
        of_pg = End(postgres, lambda: postgres.connect(pg), seed + 1)
        self.source, self.target = (of_pg, of_maria) if to_mariadb else (of_maria, of_pg)
        short = {"connect_timeout_s": 2}
        maria_config = mariadb.config("" if to_mariadb else maria) | short | {"port": of_maria.wire.port}
        pg_config = postgres.config(pg) | short | {"port": of_pg.wire.port}
        self._maria_config = parse_config(MariadbConfig, maria_config, of="one")
        self._pg_config = parse_config(PostgresSource.Config, pg_config, of="other")
        self._pg_target_config = parse_config(PostgresTarget.Config, pg_config, of="other")
        self._to_mariadb = to_mariadb
        self.of_schema = "public" if to_mariadb else maria
        self.to_schema = maria if to_mariadb else "public"
        self.run = f"abcdef_t{maria.rpartition('_')[2]}r1"  # a MariaDB server keeps the runs of all its databases
        self.rigs: list[Rig] = []

    def make_source(self) -> Source:
        return PostgresSource(self._pg_config) if self._to_mariadb else MariadbSource(self._maria_config)

    def make_target(self) -> Target:
        return MariadbTarget(self._maria_config) if self._to_mariadb else PostgresTarget(self._pg_target_config)

    def rig(self, write: str) -> Rig:
        tables = [rf"{self.of_schema}\.{table}" for table in TABLES]
        task = spec(tables, target_schema=self.to_schema, write=write)
        rig = Rig(self.make_source, self.make_target, task, self.run)
        self.rigs.append(rig)
        return rig

    def newest(self) -> int:
        """The newest number of the ledger that arrived."""
        rows = self.target.rows("select coalesce(max(seq), 0) from ledger")
        return int(rows[0][0]) if rows else 0

    def wrong(self, write: str) -> list[str]:
        """What differs at the target now that the source rests."""
        found = []
        if write == "upsert":
            for table, columns in (("ledger", "seq, note"), ("account", "id, amount, version")):
                query = f"select {columns} from {table} order by 1"
                if self.source.rows(query) != self.target.rows(query) or not self.source.rows(query):
                    found.append(table)
            return found
        counted = "select count(*), count(distinct seq), coalesce(max(seq), 0) from ledger"
        if self.source.rows(counted) != self.target.rows(counted):
            found.append(f"ledger has rows, distinct, newest: {self.target.rows(counted)}")
        for table in TABLES:
            twice = f"select count(*) - count(distinct _tidegate_position) from {table} where _tidegate_op <> 'read'"
            if self.target.rows(twice) != [("0",)]:
                found.append(f"{table}: a change is there twice")
        newest = "select a.*, row_number() over (partition by id order by _tidegate_position desc) as place"
        last = f"select id, amount, version from ({newest} from account a) x"
        last += " where place = 1 and _tidegate_op <> 'delete' order by id"
        if self.target.rows(last) != self.source.rows("select id, amount, version from account order by id"):
            found.append("the newest changes are not the source's accounts")
        return found

    def close(self) -> None:
        for end in (self.source, self.target):
            end.wire.heal()
        for rig in self.rigs:
            rig.close()
        for end in (self.source, self.target):
            end.wire.close()


class Writer:
    """Transactions that each add the next number to `ledger`, move money between two accounts and, at times, remove
    an account and bring it back. One whose answer was lost may have been committed: the source says."""

    def __init__(self, source: End, seed: int, rows: int = 600) -> None:
        self._source, self._random = source, random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._error: Exception | None = None
        with closing(source.connect()) as connection, closing(connection.cursor()) as cursor:
            for statement in SCHEMA:
                cursor.execute(statement)
            cursor.executemany("insert into account values (%s, 1000, 0)", [(n,) for n in range(1, ACCOUNTS + 1)])
            cursor.executemany("insert into ledger values (%s, %s)", [(n, "x" * (n % 200)) for n in range(1, rows + 1)])
            connection.commit()
        self.written = rows

    def start(self) -> Writer:
        self._thread.start()
        return self

    def end(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    with closing(self._source.connect()) as connection, closing(connection.cursor()) as cursor:
                        cursor.execute("select max(seq) from ledger")
                        self.written = int(cursor.fetchone()[0])
                        while not self._stop.wait(0.01):
                            self._transact(cursor)
                except LOST:
                    time.sleep(0.05)
        except Exception as error:  # noqa: BLE001  raised by end()
            self._error = error

    def _transact(self, cursor: Any) -> None:
        r = self._random
        one, two = r.sample(range(1, ACCOUNTS + 1), 2)
        amount, seq = r.randrange(1, 10), self.written + 1
        cursor.execute("begin")
        cursor.execute("insert into ledger values (%s, %s)", (seq, "y" * r.randrange(300)))
        for account, change in ((one, -amount), (two, amount)):
            changed = "update account set amount = amount + %s, version = %s where id = %s"
            cursor.execute(changed, (change, seq, account))
        if r.random() < 0.1:
            cursor.execute("delete from account where id = %s", (one,))
            cursor.execute("insert into account values (%s, 0, %s)", (one, -seq))
        cursor.execute("commit")
        self.written = seq
