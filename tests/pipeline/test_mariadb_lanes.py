"""MariaDB's log in batches: asked for and given up while the log goes on, and what is left to parts meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tidegate.connect.config import parse_config
from tidegate.connect.mariadb import MariadbConfig
from tidegate.connect.source import Gathering, LogBatch
from tidegate.decode.gatherer import Mode, Net
from tidegate.model.change import LogPart, Op
from tidegate.model.schema import TableName
from tidegate.sources.mariadb import MariadbSource
from tidegate.testing.mariadb import MariadbServer

DEADLINE_S = 30.0
RUN = "abcdef_t1r1"


class Followed:
    """A source with one table whose log is being read."""

    def __init__(self, server: MariadbServer, database: str, columns: str) -> None:
        self.server, self.database = server, database
        self.table = TableName(database, "t")
        self.wanted = Gathering({self.table: Mode.NET}, 1000)
        self.execute(f"create table t (id int primary key, {columns})")
        self.source = MariadbSource(parse_config(MariadbConfig, server.config(database), of="src"))
        self.log = self.source.log(RUN, self.source.begin(RUN, [self.table]))

    def execute(self, *statements: str) -> None:
        with self.server.connect(self.database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def next(self) -> LogPart | LogBatch:
        """The next with changes."""
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until:
            for item in self.log.take(0.05):
                if item.changes:
                    return item
        raise AssertionError("nothing came")

    def batches(self, changes: int) -> list[LogBatch]:
        found: list[LogBatch] = []
        while sum(batch.changes for batch in found) < changes:
            batch = self.next()
            assert isinstance(batch, LogBatch)
            found.append(batch)
        return found

    def turned(self, wanted: Gathering | None) -> None:
        until = time.monotonic() + DEADLINE_S
        while not self.log.gather(wanted):
            assert time.monotonic() < until, "it does not change over"
            assert not [item for item in self.log.take(0.05) if item.changes]

    def close(self) -> None:
        self.log.close()
        self.source.close()


Follow = Callable[[str], Followed]


@pytest.fixture
def follow(mariadb: MariadbServer, mariadb_database: Callable[[], str], decoder: None) -> Iterator[Follow]:
    """Both decoders, one after the other."""
    made: list[Followed] = []

    def one(columns: str) -> Followed:
        made.append(Followed(mariadb, mariadb_database(), columns))
        return made[-1]

    yield one
    for followed in made:
        followed.close()


def test_batches_come_when_they_are_asked_for_and_parts_again_when_they_are_not(follow: Follow) -> None:
    followed = follow("note varchar(20)")
    for number in range(3):
        followed.turned(followed.wanted)
        followed.execute(f"insert into t values ({number}, 'a')")
        batch = followed.next()
        assert isinstance(batch, LogBatch)
        ((table, rows),) = batch.tables
        assert isinstance(rows, Net)
        assert rows.inserts is not None
        assert (table.name, rows.inserts.to_pylist()) == (followed.table, [{"id": str(number), "note": "a"}])
        followed.turned(None)
        followed.execute(f"update t set note = 'b' where id = {number}")
        part = followed.next()
        assert isinstance(part, LogPart)
        assert part.changes[0].new == (str(number), "b")


def test_many_transactions_become_a_few_batches(follow: Follow) -> None:
    followed = follow("note varchar(20)")
    followed.turned(followed.wanted)
    followed.execute(*(f"insert into t values ({number}, 'a')" for number in range(300)))
    found = followed.batches(300)
    assert sum(batch.ended for batch in found) == 300
    assert len(found) < 100


def test_columns_that_are_not_compiled_come_in_batches_too(follow: Follow) -> None:
    followed = follow("g varchar(20) character set gbk, c text compressed, l varchar(20) character set latin1, u inet6")
    followed.turned(followed.wanted)
    followed.execute(
        "insert into t values (1, '数字', repeat('ab', 500), 'größe', '::1')", "update t set l = 'Ø' where id = 1"
    )
    found = followed.batches(2)
    (last,) = [rows for _, rows in found[-1].tables]
    assert isinstance(last, Net)
    (row,) = (last.inserts or last.puts).to_pylist()
    assert list(row.values()) == ["1", "数字", "ab" * 500, "Ø", "::1"]


def test_xa_and_statements_come_as_parts_in_their_place(follow: Follow) -> None:
    followed = follow("note varchar(20)")
    followed.turned(followed.wanted)
    followed.execute(
        "insert into t values (1, 'a')",
        "xa start 'x'",
        "insert into t values (2, 'b')",
        "xa end 'x'",
        "xa prepare 'x'",
        "xa commit 'x'",
        "truncate table t",
        "insert into t values (3, 'c')",
    )
    first, prepared, truncated, last = (followed.next() for _ in range(4))
    assert isinstance(first, LogBatch)
    assert isinstance(last, LogBatch)
    assert isinstance(prepared, LogPart)
    assert isinstance(truncated, LogPart)
    assert [change.new for change in prepared.changes] == [("2", "b")]
    assert [change.op for change in truncated.changes] == [Op.TRUNCATE]
    assert first.position < prepared.position < truncated.position < last.position


def test_a_new_column_is_told_with_the_first_batch_that_has_it(follow: Follow) -> None:
    followed = follow("note varchar(20)")
    followed.turned(followed.wanted)
    followed.execute("insert into t values (1, 'a')", "alter table t add more int default 7")
    followed.execute("insert into t values (2, 'b', 8)")
    narrow, wide = followed.batches(2)
    assert [[column.name for column in batch.met[0].columns] for batch in (narrow, wide)] == [
        ["id", "note"],
        ["id", "note", "more"],
    ]


def test_a_log_that_goes_on_in_another_file_or_form_is_gathered_on(follow: Follow) -> None:
    followed = follow("note varchar(20)")
    followed.turned(followed.wanted)
    for number, setting in enumerate(("none", "crc32", "none")):
        followed.execute(f"insert into t values ({number}, 'a')", f"set global binlog_checksum = {setting}")
    followed.execute("set global binlog_checksum = crc32", "insert into t values (9, 'a')")
    assert sum(batch.changes for batch in followed.batches(4)) == 4
