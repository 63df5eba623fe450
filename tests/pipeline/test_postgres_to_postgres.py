"""PostgreSQL into PostgreSQL: full synchronization interleaved with the log, then the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pipeline.pairs import Pair
from tidegate.testing.servers import PostgresServer


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
