"""Who copies all rows of a table, and what it cost: Tidegate, psql, dlt and sling. What is there then must be equal.

Counted is until the rows are at the target, its key in place; of a DuckDB file, until others can open it.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from contest import Outcome, begin, ended, following, timed, told
from environments import PEERS, PeerAbsent, told_by
from ground import DEADLINE_S, Ground, equal
from workloads import Workload

from tidegate.connect.capability import ReadMode
from tidegate.testing.servers import PostgresServer, until

# The same number for the same row on both sides: each row as one text, hashed, as far as that fits into an integer.
_HERE = """
select count(*), sum(('x' || left(md5(concat_ws('|', id, customer, status, amount,
  (extract(epoch from created) * 1000000)::bigint, (extract(epoch from updated) * 1000000)::bigint,
  coalesce(note, '-'))), 10))::bit(40)::bigint) from orders
"""
_LAKE = """
select count(*), sum(('0x' || left(md5(concat_ws('|', id, customer, status, amount::decimal(12, 2),
  epoch_us(created), epoch_us(updated), coalesce(note, '-'))), 10))::bigint) from {table}
"""
# What another program made of the table may have other types.
_THERE = """
select count(*), sum(hashtextextended(t::text, 0)) from (select id::bigint, customer::int, status::varchar(20),
  amount::numeric(12, 2), created::timestamp, updated::timestamp, note::text from orders) t
"""


def tidegate(ground: Ground, workload: Workload, scale: float) -> Outcome:
    """From the moment its worker may begin until it follows the log: it makes table, slot and publication itself."""
    with ground.empty() as connection:
        with following(ground, workload, scale, read=ReadMode.FULL_INCREMENTAL) as worker:
            with timed(ground, workload.base) as outcome:
                begin(worker)
                told(worker)
            ended(worker, outcome)
        ground.end_run(workload)
        ground.same(workload, connection)
        _keyed(connection)
    return outcome


def psql(ground: Ground, workload: Workload) -> Outcome:
    """COPY in its binary form, out of one psql into another; the table with its key is there before."""
    with ground.empty() as connection:
        for statement in workload.schema().split(";"):
            connection.execute(statement.encode())
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with timed(ground, workload.base) as outcome:
            out = _psql(ground.source, workload.name, "copy orders to stdout (format binary)", stdout=subprocess.PIPE)
            into = _psql(ground.target, "dst", "copy orders from stdin (format binary)", stdin=out.stdout)
            if out.stdout is not None:
                out.stdout.close()  # the other one's alone, so that the end of either ends both
            if out.wait(DEADLINE_S) or into.wait(DEADLINE_S):
                raise SystemExit("psql could not copy")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        outcome.worker_cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        ground.same(workload, connection)
    return outcome


def _psql(server: PostgresServer, database: str, statement: str, **pipes: Any) -> subprocess.Popen[bytes]:
    program = server.binaries / "psql"
    found = program if program.exists() else shutil.which("psql")
    if found is None:
        raise PeerAbsent("psql is not on this machine")
    where = ["-h", server.host, "-p", str(server.port), "-U", "postgres", "-d", database]
    return subprocess.Popen([found, "-X", "-q", *where, "-c", statement], **pipes)


def sling(ground: Ground, workload: Workload) -> Outcome:
    """As it is set up by default. The table it makes has no key."""
    given = {
        "source": _url(ground.source, workload.name),
        "target": _url(ground.target, "dst"),
        "table": workload.tables[0],
    }
    with ground.empty() as connection:
        with timed(ground, workload.base) as outcome:
            found = told_by("sling", PEERS / "sling_copy.py", given)
        _as_told(outcome, found)
        with ground.source.connect(workload.name) as source:
            wanted = source.execute(_THERE.encode()).fetchall()
        equal("sling's copy", wanted, connection.execute(_THERE.encode()).fetchall())
    return outcome


def _url(server: PostgresServer, database: str) -> str:
    return f"postgresql://postgres:none@{server.host}:{server.port}/{database}?sslmode=disable"


def _keyed(connection: psycopg.Connection[Any]) -> None:
    found = connection.execute("select from pg_index where indrelid = 'orders'::regclass and indisprimary").fetchone()
    if found is None:
        raise SystemExit("the table has no key")


# --- into a DuckDB file ---


@contextmanager
def lake() -> Iterator[Path]:
    """Where a DuckDB file may be made."""
    with tempfile.TemporaryDirectory(prefix="tidegate-lake-") as folder:
        yield Path(folder) / "lake.duckdb"


def tidegate_lake(ground: Ground, workload: Workload, scale: float) -> Outcome:
    """From the moment its worker may begin until it has let go of the file."""
    with lake() as path:
        target = {"path": str(path)}
        with following(ground, workload, scale, read=ReadMode.FULL_INCREMENTAL, target=target) as worker:
            with timed(ground, workload.base) as outcome:
                begin(worker)
                told(worker)
                until(lambda: _opens(path), "the file to be let go of", DEADLINE_S, 0.01)
            ended(worker, outcome)
        ground.end_run(workload)
        _same(ground, workload, path, "public.orders")
    return outcome


def _opens(path: Path) -> bool:
    try:
        duckdb.connect(str(path), read_only=True).close()
    except duckdb.IOException:  # somebody else has it
        return False
    return True


def dlt(ground: Ground, workload: Workload, backend: str) -> Outcome:
    """Its pipeline's run, with one of its backends. The table it makes has no key."""
    with lake() as path:
        given = {"source": _url(ground.source, workload.name), "path": str(path)}
        given |= {"table": workload.tables[0], "backend": backend}
        with timed(ground, workload.base) as outcome:
            found = told_by("dlt", PEERS / "dlt_copy.py", given)
        _as_told(outcome, found)
        _same(ground, workload, path, "copied.orders")
    return outcome


def _as_told(outcome: Outcome, found: dict[str, Any]) -> None:
    """The time a peer took by its own watch: that of its run, without loading itself."""
    outcome.wall_s, outcome.worker_cpu_s, outcome.memory_mb = found["wall_s"], found["cpu_s"], found["memory_mb"]


def _same(ground: Ground, workload: Workload, path: Path, table: str) -> None:
    """Raises `SystemExit` unless the file's table holds the source's rows."""
    with ground.source.connect(workload.name) as source:
        ((rows, hashes),) = source.execute(_HERE.encode()).fetchall()
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute(_LAKE.format(table=table)).fetchone() or (0, 0)
    equal(f"{workload.name}: {table}", [rows, int(hashes)], [found[0], int(found[1] or 0)])
