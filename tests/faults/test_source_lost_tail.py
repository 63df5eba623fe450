"""A server that crashes takes with it what it had not made durable: nothing of that may count as seen by a chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from faults.apart import Apart
from pipeline.steering import Steering
from tidegate.testing.servers import PostgresServer, newest

# The server's own flushing is as late as it can be.
LATE = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "bgwriter_delay": "10s", "autovacuum": False}


@pytest.fixture
def pair(postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Apart]:
    with PostgresServer(newest(), settings=LATE, fsync=True) as server:
        pair = Apart(server, postgres, database())
        yield pair
        pair.close()


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_transaction_that_takes_the_number_of_one_the_crash_undid_arrives(pair: Apart, write: str) -> None:
    """The chunk's snapshot has seen the number end; after the crash the server gives it out again."""
    steering = Steering()
    pair.source_class = steering.source_class()
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute("insert into a select i, i from generate_series(1, 50) i")
    steering.holds = lambda keys: True
    rig = pair.rig(["public.a"], write=write).start().opens()
    pair.source.execute("begin")
    pair.source.execute("insert into a values (1000, 0)")
    pair.source.execute("rollback")
    steering.holds = lambda keys: False
    rig.copied()
    pair.crash()
    rig.fails()
    pair.source.execute("insert into a values (1001, 7)")
    rig.start().opens()
    rig.reaches(lambda: pair.arrived("select n from a where id = 1001") == [(7,)], "the row")


def test_rows_of_a_commit_that_the_crash_undid_are_not_copied(pair: Apart) -> None:
    """With synchronous_commit off a transaction is seen by others before it is durable."""
    steering = Steering()
    pair.source_class = steering.source_class()
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute("insert into a select i, i from generate_series(1, 50) i")
    steering.holds = lambda keys: True
    rig = pair.rig(["public.a"]).start().opens()
    pair.source.execute("set synchronous_commit = off")
    pair.source.execute("insert into a values (1000, 0)")
    steering.holds = lambda keys: False
    rig.copied()
    pair.crash()
    rig.fails()
    rig.start().opens().copied()
    pair.source.execute("update a set n = -1 where id = 1")
    rig.reaches(lambda: pair.equal("a"))
