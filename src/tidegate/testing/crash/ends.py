"""The database servers of a campaign, each behind a proxy that tears: PostgreSQL and MariaDB, as source and as target,
and what is asked of them in words of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, Literal

import psycopg
import pymysql

from tidegate.connect.myposition import MyPosition
from tidegate.connect.pgposition import PgPosition
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.mariadb import Setting as MariadbSetting
from tidegate.testing.mariadb_session import MariadbSession
from tidegate.testing.proxy import COMMIT, MARIADB_COMMIT, Proxy, Watch
from tidegate.testing.servers import PostgresServer, Setting, newest
from tidegate.testing.standby import NAME, SlowStandby
from tidegate.testing.tongue import MARIADB, POSTGRES, Tongue

Role = Literal["src", "dst"]
Noted = tuple[str, int, str | None, str]
"""A write of a position: run, epoch, position, and by whom: words of which the last is the writer's epoch."""

_POSTGRES: dict[str, Setting] = {
    "wal_level": "logical",
    "max_wal_senders": 40,
    "max_replication_slots": 40,
    "max_connections": 150,
    "deadlock_timeout": "200ms",
    "wal_sender_timeout": "20s",
    "logical_decoding_work_mem": "64kB",  # the least there is: what changes more is sent while it is open
}
_MARIADB: dict[str, MariadbSetting] = {"max_connections": 150, "max_binlog_size": 1 << 20}


class End(ABC):
    """Databases are numbered by the rounds of a campaign."""

    kind: ClassVar[str]
    tongue: ClassVar[Tongue]
    missing: ClassVar[tuple[type[Exception], ...]]
    """What a query about tables that are not there is answered with."""
    never: ClassVar[frozenset[str]] = frozenset()
    """Fault points that no run from such a source crosses."""
    server: PostgresServer | MariadbServer
    wire: Proxy

    def __init__(self, role: Role) -> None:
        self.role = role

    def enter(self, stack: ExitStack, seed: int) -> None:
        """Start the server and its proxy, for as long as the stack is."""
        stack.enter_context(self.server)
        self.wire = stack.enter_context(Proxy((self.server.host, self.server.port), seed=seed))

    def name(self, number: int) -> str:
        """Of the database, and of the data source that is there."""
        return f"{self.kind}_{self.role}{number}"

    def crash(self) -> None:
        """It dies with all its processes, and starts again."""
        self.server.kill()
        self.server.start()

    def create(self, number: int) -> None:
        self.server.create_database(self.name(number))

    def drop(self, number: int) -> None:
        self.server.drop_database(self.name(number))

    def config(self, number: int) -> dict[str, Any]:
        """Of the data source."""
        return self.server.config(self.name(number))

    def config_through_wire(self, number: int) -> dict[str, Any]:
        """The same, through the proxy."""
        return self.config(number) | {"host": self.wire.host, "port": self.wire.port, "connect_timeout_s": 5}

    @abstractmethod
    def connect(self, number: int, *, autocommit: bool = True) -> Any:
        """A connection of the test's own, past the proxy, with psycopg's methods."""

    # --- as a source ---

    @abstractmethod
    def schema(self, number: int) -> str:
        """The one that its tables are in."""

    @abstractmethod
    def parse_position(self, text: str) -> PgPosition | MyPosition: ...

    @abstractmethod
    def kept_for(self, number: int, task: int) -> list[str]:
        """What the server still has for the task's runs."""

    def streamed(self) -> int:
        """Transactions that it sent while they were open, since its last crash."""
        return 0

    # --- as a target ---

    @abstractmethod
    def commit(self) -> Watch:
        """Finds a COMMIT on the wire."""

    @abstractmethod
    def drop_schema(self, number: int, schema: str) -> None: ...

    @abstractmethod
    def in_step(self, task: int) -> str:
        """A query whether all the task's tables are."""

    @abstractmethod
    def watch_positions(self, number: int) -> None:
        """Note each write of a position from now on; fails while there are no state tables."""

    @abstractmethod
    def positions(self, number: int) -> list[Noted]:
        """What was noted in this round, in order."""

    def state_of(self, number: int, task: int) -> list[str]:
        """The task's runs that have state here."""
        with self.connect(number) as connection:
            query = 'select run from tidegate."position" where run like %s'
            return [run for (run,) in connection.execute(query, [f"%\\_t{task}r%"]).fetchall()]


_PG_TRIGGER = """
create table if not exists public.position_history (
    id bigserial primary key, run text, epoch bigint, position text, worker text);
create or replace function public.note_position() returns trigger language plpgsql as $$ begin
    insert into public.position_history (run, epoch, position, worker)
    values (new.run, new.epoch, new.position, current_setting('application_name'));
    return new;
end $$;
create or replace trigger note_position after insert or update on tidegate.position
    for each row execute function public.note_position();
"""


class PostgresEnd(End):
    """As a source it has a synchronous standby that is slow on purpose."""

    kind = "postgres"
    tongue = POSTGRES
    missing = (psycopg.errors.UndefinedTable,)
    server: PostgresServer

    def __init__(self, role: Role) -> None:
        super().__init__(role)
        slow: dict[str, Setting] = {"synchronous_standby_names": NAME, "synchronous_commit": "local"}
        self.server = PostgresServer(newest(), settings=_POSTGRES | (slow if role == "src" else {}), fsync=True)

    def enter(self, stack: ExitStack, seed: int) -> None:
        super().enter(stack, seed)
        if self.role == "src":
            stack.enter_context(SlowStandby(self.server))

    def connect(self, number: int, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        return self.server.connect(self.name(number), autocommit=autocommit)

    def schema(self, number: int) -> str:
        return "public"

    def parse_position(self, text: str) -> PgPosition:
        return PgPosition.parse(text)

    def kept_for(self, number: int, task: int) -> list[str]:
        mine = [f"%\\_t{task}r%"]
        with self.connect(number) as source:
            slots = source.execute("select slot_name from pg_replication_slots where slot_name like %s", mine)
            left = [f"slot {name}" for (name,) in slots.fetchall()]
            publications = source.execute("select pubname from pg_publication where pubname like %s", mine)
            return left + [f"publication {name}" for (name,) in publications.fetchall()]

    def streamed(self) -> int:
        query = "select coalesce(sum(stream_txns), 0) from pg_catalog.pg_stat_replication_slots"
        return int(self.server.execute(query)[0][0])

    def commit(self) -> Watch:
        return COMMIT()

    def drop_schema(self, number: int, schema: str) -> None:
        with self.connect(number) as connection:
            connection.execute(f'drop schema if exists "{schema}" cascade'.encode())

    def in_step(self, task: int) -> str:
        return (
            "select bool_and((value::json ->> 'in_step')::bool) from tidegate.progress"
            f" where run like '%\\_t{task}r%' and key like 'table:%'"
        )

    def watch_positions(self, number: int) -> None:
        with self.connect(number) as connection:
            connection.execute(_PG_TRIGGER.encode())

    def positions(self, number: int) -> list[Noted]:
        with self.connect(number) as connection:
            if connection.execute("select to_regclass('public.position_history')").fetchone() == (None,):
                return []
            return connection.execute(
                "select run, epoch, position, worker from position_history order by id"
            ).fetchall()


# A worker's connection holds a lock by which it is known as long as it lives, named for its run and epoch.
_OWN = "is_used_lock(concat('tidegate ', new.run, ' ', new.epoch)) = connection_id()"
_NOTES = (
    "insert into tidegate.position_history (run, epoch, place, worker) values"
    f" (new.run, new.epoch, new.`position`, concat('tidegate ', new.run, ' ', if({_OWN}, new.epoch, 0)))"
)
_MY_TRIGGERS = (
    "create table if not exists tidegate.position_history (id bigint auto_increment primary key, run varchar(200),"
    " epoch bigint, place longtext, worker varchar(300)) engine = innodb",
    "delete from tidegate.position_history",  # of the rounds before
    f"create or replace trigger tidegate.note_first after insert on tidegate.`position` for each row {_NOTES}",
    f"create or replace trigger tidegate.note_next after update on tidegate.`position` for each row {_NOTES}",
)


class MariadbEnd(End):
    """A source logs to many small files. A target keeps the state of all rounds' runs in one place."""

    kind = "mariadb"
    tongue = MARIADB
    missing = (pymysql.ProgrammingError, pymysql.OperationalError)
    # Every row is logged whole, and nobody waits for a standby.
    never = frozenset({"handoff.gated", "handoff.patched"})
    server: MariadbServer

    def __init__(self, role: Role) -> None:
        super().__init__(role)
        plain: dict[str, MariadbSetting] = {} if role == "src" else {"log_bin": None}
        self.server = MariadbServer(settings=_MARIADB | plain, fsync=True)

    def connect(self, number: int, *, autocommit: bool = True) -> MariadbSession:
        return MariadbSession(self.server.connect(self.name(number), autocommit=autocommit))

    def config(self, number: int) -> dict[str, Any]:
        config = super().config(number)
        return config if self.role == "src" else config | {"database": ""}

    def drop(self, number: int) -> None:
        super().drop(number)
        found: Sequence[tuple[str, ...]] = self.server.execute("show databases")
        for (name,) in found:
            if name.endswith(f"_{number}"):
                self.server.drop_database(name)

    def schema(self, number: int) -> str:
        return self.name(number)

    def parse_position(self, text: str) -> MyPosition:
        return MyPosition.parse(text)

    def kept_for(self, number: int, task: int) -> list[str]:
        hosts = self.server.execute("show slave hosts")
        return [f"replica {host}" for _, host, *_ in hosts if f"_t{task}r" in host]

    def commit(self) -> Watch:
        return MARIADB_COMMIT()

    def drop_schema(self, number: int, schema: str) -> None:
        self.server.drop_database(schema)

    def in_step(self, task: int) -> str:
        return (
            "select min(json_value(`value`, '$.in_step')) from tidegate.progress"
            f" where run like '%\\_t{task}r%' and `key` like 'table:%'"
        )

    def watch_positions(self, number: int) -> None:
        for statement in _MY_TRIGGERS:
            self.server.execute(statement)

    def positions(self, number: int) -> list[Noted]:
        try:
            noted = self.server.execute("select run, epoch, place, worker from tidegate.position_history order by id")
        except self.missing:
            return []
        return [(run, epoch, place, worker) for run, epoch, place, worker in noted]


ENDS: dict[str, type[PostgresEnd] | type[MariadbEnd]] = {"postgres": PostgresEnd, "mariadb": MariadbEnd}
