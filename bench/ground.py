"""Two servers, and for every workload a source with its changes made and a target as it was before them.

Who catches up gets a fresh copy of the target and of the replication slot, so that all do so with the same log; who
copies everything gets an empty target.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql
from workloads import Kind, Workload

from tidegate.connect.capability import ReadMode
from tidegate.connect.postgres import PostgresConfig
from tidegate.connect.target import Target
from tidegate.engine.gauges import Gauges
from tidegate.engine.pipeline import Pipeline
from tidegate.engine.plan import TablePlan
from tidegate.engine.snapshot import Desk, Snapshot
from tidegate.model.task import TaskSpec, parse_task
from tidegate.sources.postgres import PostgresSource
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import PostgresServer, children, until

SETTINGS: dict[str, Any] = {
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "30min",
    "maintenance_work_mem": "512MB",
    "work_mem": "64MB",
    "autovacuum": False,
    "max_worker_processes": 16,
}
RUN = "beefee_t1r1"
SLOT = f"tidegate_{RUN}"
TICKS_S = os.sysconf("SC_CLK_TCK")
DEADLINE_S = 1800.0
STEADY_S = 20.0
STEADY_TRANSACTIONS_S = 200
STEADY_CHANGES = int(STEADY_S * STEADY_TRANSACTIONS_S * 10)


def cpu_s(server: PostgresServer) -> float:
    """What the server and its processes, also those that ended, have used so far."""
    return sum(_cpu_s(pid) for pid in (server.pid, *children(server.pid)))


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS_S


def task(workload: Workload) -> TaskSpec:
    return parse_task(
        {
            "task": "bench",
            "kind": "whole_database",
            "source": {"data_source": "src", "tables": [f"public.{table}" for table in workload.tables]},
            "target": {"data_source": "dst", "write": "upsert", "schema": "{schema}"},
        }
    )


class Hooks:
    """Snapshots are taken at once, news are for nobody."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def opened(self) -> None:
        pass

    def snapshot(self, snapshot: Snapshot) -> None:
        self._desk.stored(snapshot.position)

    def event(self, name: str, facts: dict[str, Any]) -> None:
        pass


def pipeline(
    workload: Workload, source: dict[str, Any], target: dict[str, Any], desk: Desk, *, read: ReadMode, epoch: int = 1
) -> Pipeline:
    """One run of one task, as a worker has it. A target with a path is a DuckDB file."""
    end: Target
    if "path" in target:
        # A worker started by itself loads its own task's connectors only.
        from tidegate.targets.duckdb import DuckdbConfig, DuckdbTarget

        end = DuckdbTarget(DuckdbConfig(**target))
    else:
        end = PostgresTarget(PostgresConfig(**target))
    plan = TablePlan(RUN, epoch, task(workload), read, source["database"])
    return Pipeline(plan, PostgresSource(PostgresConfig(**source)), end, Hooks(desk), desk, Gauges())


@dataclass
class Ground:
    """Use it as a context manager."""

    source: PostgresServer
    target: PostgresServer
    _marks: dict[str, int] = field(default_factory=dict)
    """Workload → the key of the row written last."""
    _sums: dict[str, list[Any]] = field(default_factory=dict)
    """Workload → what its first table held at its first mark."""

    @classmethod
    def make(cls, **settings: Any) -> Self:
        return cls(*(PostgresServer(settings=SETTINGS | settings, fsync=True) for _ in range(2)))

    def __enter__(self) -> Self:
        self.source.start()
        self.target.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.source.close()
        self.target.close()

    # --- once per workload ---

    def prepare(self, workload: Workload) -> None:
        """The source with its changes in the log behind the slot `base`, and the target's template before them."""
        name = workload.name
        self.fill(workload, self.source, name)
        if workload.kind is Kind.COPY:
            return
        self.fill(workload, self.target, f"{name}_base")
        self._follow(workload)
        with self.source.connect(name) as connection:
            connection.execute("select pg_copy_logical_replication_slot(%s, %s)", (SLOT, f"base_{name}"))
            connection.execute(workload.procedure.encode())
            connection.execute("set synchronous_commit = off")
            connection.execute("select setseed(0.42)")
            for changes in (workload.part, workload.changes - workload.part) if workload.part else (workload.changes,):
                connection.execute(f"call change({changes}, {workload.base})".encode())
                self._mark(workload, connection)
                if workload.part and name not in self._sums:
                    self._sums[name] = _sum(connection, workload.tables[0])
            connection.execute("checkpoint")
        self.target.execute("checkpoint")

    def fill(self, workload: Workload, server: PostgresServer, database: str) -> None:
        """The tables with their rows in a new database."""
        server.create_database(database)
        with server.connect(database) as connection:
            for statements in (workload.schema(), workload.rows(), "vacuum (freeze, analyze)", "checkpoint"):
                for statement in _each(statements):
                    connection.execute(statement)

    def clear(self, workload: Workload) -> None:
        """Let go of what the workload had, its part of the log too."""
        self.source.drop_database(workload.name)
        self.target.drop_database(f"{workload.name}_base")

    def _follow(self, workload: Workload) -> None:
        """Begin a run, so that slot, publication and the target's state are there, and leave it."""
        desk = Desk()
        desk.drain()
        source, target = self.source.config(workload.name), self.target.config(f"{workload.name}_base")
        pipeline(workload, source, target, desk, read=ReadMode.INCREMENTAL).run()
        until(lambda: not self._holder(), "the slot to be free", 30)

    def _holder(self) -> bool:
        found = self.source.execute(f"select from pg_replication_slots where slot_name = '{SLOT}' and active")
        return bool(found)

    # --- before and after each contestant ---

    @contextmanager
    def fresh(self, workload: Workload, slot: str) -> Iterator[psycopg.Connection[Any]]:
        """A connection to the target `dst` as it was, and the slot as it was."""
        self._drop_slot(slot)
        with self.target.connect() as connection:
            connection.execute("drop database if exists dst with (force)")
            base = sql.Identifier(f"{workload.name}_base")
            connection.execute(sql.SQL("create database dst template {} strategy file_copy").format(base))
            connection.execute("checkpoint")
        with self.source.connect(workload.name) as connection:
            connection.execute("select pg_copy_logical_replication_slot(%s, %s)", (f"base_{workload.name}", slot))
        with self.target.connect("dst") as connection:
            yield connection
        self._drop_slot(slot)

    @contextmanager
    def empty(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection to the target `dst`, in which nothing is."""
        self.target.drop_database("dst")
        self.target.create_database("dst")
        self.target.execute("checkpoint")
        with self.target.connect("dst") as connection:
            yield connection

    def end_run(self, workload: Workload) -> None:
        """Remove what a full synchronization left at the source."""
        self._drop_slot(SLOT)
        PostgresSource(PostgresConfig(**self.source.config(workload.name))).end(RUN)

    def _drop_slot(self, slot: str) -> None:
        with self.source.connect() as connection:
            find = "select active_pid from pg_replication_slots where slot_name = %s"
            while found := connection.execute(find, (slot,)).fetchone():
                if found[0] is not None:
                    connection.execute("select pg_terminate_backend(%s)", found)
                    time.sleep(0.05)
                    continue
                connection.execute("select pg_drop_replication_slot(%s)", (slot,))

    def _mark(self, workload: Workload, connection: psycopg.Connection[Any]) -> None:
        self._marks[workload.name] = mark = self._marks.get(workload.name, 0) - 1
        connection.execute(workload.mark(mark).encode())

    def marked(self, workload: Workload, connection: psycopg.Connection[Any]) -> None:
        """Wait until the last change is at the target."""
        query = f"select from {workload.tables[0]} where id = {self._marks[workload.name]}".encode()
        until(lambda: connection.execute(query).fetchone() is not None, "the last change", DEADLINE_S, 0.01)

    def same(self, workload: Workload, connection: psycopg.Connection[Any]) -> None:
        """Raises `SystemExit` unless source and target hold the same rows."""
        with self.source.connect(workload.name) as source:
            for table in workload.tables:
                equal(f"{workload.name}.{table}", _sum(source, table), _sum(connection, table))

    def same_part(self, workload: Workload, connection: psycopg.Connection[Any]) -> None:
        """Raises `SystemExit` unless the target holds what the source held at the workload's first mark."""
        table = workload.tables[0]
        equal(f"{workload.name}.{table}", self._sums[workload.name], _sum(connection, table))

    # --- a thin stream ---

    def write_steadily(self, workload: Workload) -> datetime:
        """2,000 changes a second for a while, ten in a transaction; when it began."""
        with self.source.connect(workload.name) as connection:
            began_at: datetime = _one(connection.execute("select clock_timestamp()"))
            newest: int = _one(connection.execute("select max(id) from orders"))
            began = time.monotonic()
            for number in range(int(STEADY_S * STEADY_TRANSACTIONS_S)):
                first = newest + 6 * number
                connection.execute(
                    f"insert into orders select i, 1, 'new', 1, now(), now(), 'note ' || i"
                    f" from generate_series({first + 1}, {first + 6}) i;"
                    f" update orders set amount = amount + 1 where id in ({first - 5}, {first - 50}, {first - 500});"
                    f" delete from orders where id = {first - 4000}".encode()
                )
                time.sleep(max(0.0, began + (number + 1) / STEADY_TRANSACTIONS_S - time.monotonic()))
            self._mark(workload, connection)
        return began_at

    def delays_ms(
        self, workload: Workload, connection: psycopg.Connection[Any], since: datetime
    ) -> tuple[float, float]:
        """Median and 99th percentile of the time between a row's commit here and there, of rows written since."""
        query = b"select id, pg_xact_commit_timestamp(xmin) from orders where pg_xact_commit_timestamp(xmin) > %s"
        with self.source.connect(workload.name) as source:
            here = dict(source.execute(query, (since,)).fetchall())
        there = dict(connection.execute(query, (since,)).fetchall())
        delays = [(there[key] - at).total_seconds() * 1000 for key, at in here.items() if key in there]
        cuts = statistics.quantiles(delays, n=100)
        return cuts[49], cuts[98]


def equal(what: str, wanted: list[Any], got: list[Any]) -> None:
    """Raises `SystemExit` unless they are."""
    if wanted != got:
        raise SystemExit(f"{what}: the target has {got}, the source {wanted}")


def _sum(connection: psycopg.Connection[Any], table: str) -> list[Any]:
    query = f"select count(*), sum(hashtextextended(t::text, 0)) from {table} t"
    return connection.execute(query.encode()).fetchall()


def _one(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None


def _each(statements: str) -> list[bytes]:
    return [statement.encode() for statement in statements.split(";") if statement.strip()]
