"""A source's own batches: asked for and given up while the log goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from fixtures.postgres import NewDatabase
from pipeline.rig import eventually
from tidegate.connect.config import parse_config
from tidegate.connect.source import Gathering, LogBatch
from tidegate.decode.gatherer import Mode, Net
from tidegate.model.change import LogPart
from tidegate.model.schema import TableName
from tidegate.sources.postgres import PostgresSource
from tidegate.testing.servers import PostgresServer

DEADLINE_S = 30.0
RUN = "abcdef_t1r1"
T = TableName("public", "t")
GATHERING = Gathering({T: Mode.NET}, 1000)


class Followed:
    """A source with one table whose log is being read."""

    def __init__(self, server: PostgresServer, database: str) -> None:
        self.admin = server.connect(database)
        self.admin.execute("create table t (id int primary key, note text)")
        self.source = PostgresSource(parse_config(PostgresSource.Config, server.config(database), of="src"))
        self.log = self.source.log(RUN, self.source.begin(RUN, [T]))

    def next(self) -> LogPart | LogBatch:
        """The next with changes."""
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until:
            for item in self.log.take(0.05):
                if item.changes:
                    return item
        raise AssertionError("nothing came")

    def turned(self, wanted: Gathering | None) -> None:
        until = time.monotonic() + DEADLINE_S
        while not self.log.gather(wanted):
            assert time.monotonic() < until, "it does not change over"
            assert not [item for item in self.log.take(0.05) if item.changes]

    def sent(self) -> None:
        """Wait until the server has sent all it has."""
        query = (
            "select bool_and(sent_lsn >= pg_current_wal_flush_lsn()) from pg_stat_replication"
            " where application_name = %s"
        )
        eventually(lambda: self.admin.execute(query, (f"tidegate {RUN}",)).fetchone() == (True,), "all is sent")

    def close(self) -> None:
        self.log.close()
        self.source.end(RUN)
        self.source.close()
        self.admin.close()


@pytest.fixture
def followed(postgres: PostgresServer, database: NewDatabase) -> Iterator[Followed]:
    made = Followed(postgres, database(postgres))
    yield made
    made.close()


def test_batches_come_when_they_are_asked_for_and_parts_again_when_they_are_not(followed: Followed) -> None:
    for number in range(3):
        followed.turned(GATHERING)
        followed.admin.execute("insert into t values (%s, 'a')", (number,))
        batch = followed.next()
        assert isinstance(batch, LogBatch)
        ((table, rows),) = batch.tables
        assert isinstance(rows, Net)
        assert rows.inserts is not None
        assert (table.name, rows.inserts.to_pylist()) == (T, [{"id": str(number), "note": "a"}])
        followed.turned(None)
        followed.admin.execute("update t set note = 'b' where id = %s", (number,))
        part = followed.next()
        assert isinstance(part, LogPart)
        assert part.changes[0].new == (str(number), "b")


def test_many_transactions_that_wait_become_one_batch(followed: Followed) -> None:
    followed.turned(GATHERING)
    with followed.admin.cursor() as cursor:
        for number in range(200):
            cursor.execute("insert into t values (%s, 'a')", (number,))
    followed.sent()
    found = [followed.next()]
    while sum(item.changes if isinstance(item, LogBatch) else 0 for item in found) < 200:
        found.append(followed.next())
    assert len(found) <= 3
    assert sum(item.ended for item in found if isinstance(item, LogBatch)) == 200
