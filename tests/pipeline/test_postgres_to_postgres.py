"""PostgreSQL into PostgreSQL: full synchronization interleaved with the log, then the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pipeline.rig import Rig, spec

from tidegate.connect.config import parse_config
from tidegate.sources.postgres import PostgresSource
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import PostgresServer

NewRig = Callable[..., Rig]


class Pair:
    """A source and a target database on one server."""

    def __init__(self, server: PostgresServer, source: str, target: str) -> None:
        self.server, self.source_name, self.target_name = server, source, target
        self.source = server.connect(source)
        self.target = server.connect(target)
        self.rigs: list[Rig] = []

    def rig(self, tables: list[str], **more: Any) -> Rig:
        source = parse_config(PostgresSource.Config, self.server.config(self.source_name), of="src")
        target = parse_config(PostgresTarget.Config, self.server.config(self.target_name), of="dst")
        rig = Rig(lambda: PostgresSource(source), lambda: PostgresTarget(target), spec(tables, **more))
        self.rigs.append(rig)
        return rig

    def equal(self, table: str, order: str = "1") -> bool:
        query = f"select t::text from {table} t order by {order}"
        try:
            return self.source.execute(query).fetchall() == self.target.execute(query).fetchall()
        except psycopg.errors.UndefinedTable:
            return False

    def close(self) -> None:
        for rig in self.rigs:
            rig.close()
        self.source.close()
        self.target.close()


@pytest.fixture
def pair(postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Pair]:
    pair = Pair(postgres, database(), database())
    yield pair
    pair.close()


def test_existing_rows_and_later_changes_arrive(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key, name text, doc text)")
    pair.source.execute("insert into a select i, 'n' || i, repeat('x', i) from generate_series(1, 1000) i")
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute("update a set name = name || '!' where id % 3 = 0")
    pair.source.execute("delete from a where id % 7 = 0")
    pair.source.execute("insert into a values (5000, null, '')")
    pair.source.execute("update a set id = id + 100000 where id % 10 = 1")
    rig.reaches(lambda: pair.equal("a"))
    assert rig.counters()["rows_full"] == 1000
