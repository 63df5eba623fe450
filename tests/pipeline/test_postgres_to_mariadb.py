"""PostgreSQL into MariaDB: full synchronization interleaved with the log, then the log, over pauses and deaths."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest

from pipeline.load import KEYED, Load
from pipeline.pairs import FromPostgres
from tidegate.connect.config import parse_config
from tidegate.connect.mariadb import MariadbConfig
from tidegate.connect.target import Target
from tidegate.errors import TargetUnreachable
from tidegate.targets.mariadb import MariadbTarget
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.servers import PostgresServer


class MariaPair(FromPostgres):
    """A database of a PostgreSQL server, and one of a MariaDB server."""

    def __init__(self, server: PostgresServer, source: str, mariadb: MariadbServer, database: str) -> None:
        super().__init__(server, source)
        self.mariadb, self.database = mariadb, database
        self.target_config = parse_config(MariadbConfig, mariadb.config(), of="dst")

    def make_target(self) -> Target:
        return MariadbTarget(self.target_config)

    def arrived(self, query: str) -> list[tuple[Any, ...]]:
        """At the target, numbers as texts; nothing while the table is not there."""
        try:
            with self.mariadb.connect(self.database, conv={}) as connection, connection.cursor() as cursor:
                cursor.execute(query)
                return list(cursor.fetchall())
        except pymysql.ProgrammingError:
            return []

    def folds(self, table: str) -> bool:
        """The newest change of every key that is not a delete is the source's row, in append."""
        key = "a, b" if table == "t_two" else "k"
        newest = (
            f"SELECT *, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY _tidegate_position DESC) AS place FROM {table}"
        )
        cells = f"{key}, opid, amt"
        found = self.arrived(f"SELECT {cells} FROM ({newest}) AS n WHERE place = 1 AND _tidegate_op <> 'delete'")
        return sorted(found) == self.wanted(cells, table)

    def equal(self, table: str, cells: str) -> bool:
        """Row for row, in upsert."""
        return sorted(self.arrived(f"SELECT {cells} FROM {table}"), key=repr) == self.wanted(cells, table)

    def wanted(self, cells: str, table: str) -> list[tuple[Any, ...]]:
        texts = ", ".join(f"{cell.strip()}::text" for cell in cells.split(","))
        return sorted(self.rows(f"select {texts} from {table}"), key=repr)


@pytest.fixture
def pair(
    postgres: PostgresServer,
    database: Callable[..., str],
    mariadb: MariadbServer,
    mariadb_database: Callable[[], str],
) -> Iterator[MariaPair]:
    pair = MariaPair(postgres, database(), mariadb, mariadb_database())
    yield pair
    pair.close()


def cells(table: str) -> str:
    return ("a, b" if table == "t_two" else "k") + ", opid, amt, big"


def test_existing_rows_and_later_changes_arrive(pair: MariaPair) -> None:
    pair.source.execute("create table public.a (id int primary key, name text, doc text)")
    pair.source.execute("insert into a select i, 'n' || i, repeat('x', i) from generate_series(1, 1000) i")
    rig = pair.rig(["public.a"], target_schema=pair.database).start().opens().copied()
    pair.source.execute("update a set name = name || '!' where id % 3 = 0")
    pair.source.execute("delete from a where id % 7 = 0")
    pair.source.execute("insert into a values (5000, null, '')")
    pair.source.execute("update a set id = id + 100000 where id % 10 = 1")
    rig.reaches(lambda: pair.equal("a", "id, name, doc"))
    assert rig.counters()["rows_full"] == 1000


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_nothing_is_lost_or_doubled_under_load_over_cuts_and_pauses(
    pair: MariaPair, small_chunks: None, write: str
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    load = Load(pair.source_conninfo, seed, truncates=write == "upsert")
    load.fill(300)
    tables = [f"public.{table}" for table in KEYED]
    rig = pair.rig(tables, target_schema=pair.database, write=write).start().opens()
    load.start()
    try:
        rig.copied()
        for stopped in (rig.cut, rig.pause, rig.cut):
            before = rig.counters()["changes_written"]
            rig.reaches(lambda before=before: rig.counters()["changes_written"] > before + 50, "changes go on")
            stopped()
            rig.start().opens()
    finally:
        load.stop()
    check = pair.folds if write == "append" else lambda table: pair.equal(table, cells(table))
    for table in KEYED:
        rig.reaches(lambda table=table: check(table), f"{table} at the target equals the source")


def test_a_server_that_crashes_gets_every_change_once(pair: MariaPair) -> None:
    pair.source.execute("create table public.a (id int primary key, n int)")
    rig = pair.rig(["public.a"], target_schema=pair.database, write="append").start().opens().copied()
    for turn in range(3):
        pair.source.execute(f"insert into a select i, 0 from generate_series({turn * 100}, {turn * 100 + 49}) i")
        pair.mariadb.kill()
        pair.source.execute(f"insert into a select i, 0 from generate_series({turn * 100 + 50}, {turn * 100 + 99}) i")
        assert isinstance(rig.fails(), TargetUnreachable)
        pair.mariadb.start()
        rig.start().opens()
    wanted = sorted((str(n),) for n in range(300))
    rig.reaches(lambda: sorted(pair.arrived("SELECT id FROM a")) == wanted)
