"""MySQL into PostgreSQL: full synchronization interleaved with the log of a server that is written to, and runs that
are cut off."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest
from pymysql.cursors import Cursor

from pipeline.mariadb_load import KEYED, MariadbLoad
from pipeline.mariadb_pair import MariadbPair
from tidegate.connect import myedges
from tidegate.sources.mysql import MysqlSource
from tidegate.testing.mysql import MysqlServer
from tidegate.testing.servers import PostgresServer

_numbers = itertools.count(1)


class Counting(Cursor):
    """MySQL has no sequences: the load's numbers are counted here."""

    def execute(self, query: str, args: Any = None) -> int:
        if query.startswith("create sequence"):
            return 0
        return super().execute(query.replace("nextval(opid)", str(next(_numbers))), args)


class Counted(MysqlServer):
    """A server that is there, for the load."""

    def __init__(self, server: MysqlServer) -> None:
        self._server = server

    def connect(self, *arguments: Any, **more: Any) -> pymysql.Connection[Cursor]:
        return self._server.connect(*arguments, **more | {"cursorclass": Counting})


class MysqlPair(MariadbPair):
    def __init__(self, server: MysqlServer, source: str, postgres: PostgresServer, target: str) -> None:
        super().__init__(server, source, postgres, target)
        self.source_class = MysqlSource


@pytest.fixture
def pair(
    mysql: MysqlServer, mysql_database: Callable[[], str], postgres: PostgresServer, database: Callable[..., str]
) -> Iterator[MysqlPair]:
    pair = MysqlPair(mysql, mysql_database(), postgres, database())
    yield pair
    pair.close()


@pytest.mark.slow
@pytest.mark.parametrize("write", ["upsert", "append"])
def test_random_writers_and_cut_runs_leave_exactly_the_sources_rows(
    pair: MysqlPair, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(myedges, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(myedges, "CHUNK_ROWS_MIN", 10)
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    assert isinstance(pair.server, MysqlServer)
    load = MariadbLoad(Counted(pair.server), pair.source_name, seed, truncates=write == "upsert")
    load.fill(150)
    load.start()
    tables = [*KEYED] if write == "upsert" else [*KEYED, "t_nokey"]
    rig = pair.rig(tables, write=write).start().opens()
    try:
        for _ in range(6):
            reached = rig.counters()["changes_read"] + chance.randrange(10, 300)
            rig.reaches(lambda reached=reached: rig.counters()["changes_read"] >= reached)  # type: ignore[misc]
            if chance.random() < 0.3:
                rig.pause()
            else:
                rig.cut()
            rig.start().opens()
    finally:
        load.stop()
    rig.copied()
    if write == "upsert":
        rig.reaches(lambda: pair.equal(*tables))
        return
    rig.reaches(lambda: all(pair.folds(table) for table in KEYED) and pair.adds_up("t_nokey"))
    for table in tables:
        ((rows, places),) = pair.target.execute(
            f"select count(*), count(distinct _tidegate_position) from {table} where _tidegate_op <> 'read'"
        ).fetchall()
        assert rows == places
