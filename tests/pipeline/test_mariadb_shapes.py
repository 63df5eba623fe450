"""A MariaDB table whose shape changes again and again: rows on both sides of each change arrive as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import cycle, islice

import pytest

from pipeline.mariadb_pair import MariadbPair, make
from pipeline.rig import eventually
from tidegate import faultpoint
from tidegate.connect import myedges
from tidegate.errors import SourceTableRemade
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.servers import PostgresServer

CHANGES = 40
KINDS = (
    "int default {n}",
    "varchar(9) not null default 'd{n}'",
    "decimal(9,3) default {n}.5 first",
    "bigint unsigned after id",
    "datetime(3)",
    "char(4) character set latin1 not null after name",
    "json",
    "enum('a{n}','b') after doc",
)
OTHERS = (
    "modify doc longtext",
    "modify name varchar(40) first",
    "add index i{n} (name)",
    "alter name set default 'x{n}'",
    "modify doc longtext after id, comment = 'c{n}'",
)


@pytest.fixture(params=["full", "minimal"])
def metadata(mariadb: MariadbServer, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether the log names columns."""
    ((was,),) = mariadb.execute("select @@global.binlog_row_metadata")
    mariadb.execute(f"set global binlog_row_metadata = {request.param}")
    yield
    mariadb.execute(f"set global binlog_row_metadata = {was}")


@pytest.fixture
def pair(
    mariadb: MariadbServer, mariadb_database: Callable[[], str], postgres: PostgresServer, database: Callable[..., str]
) -> Iterator[MariadbPair]:
    pair = MariadbPair(mariadb, mariadb_database(), postgres, database())
    yield pair
    pair.close()


def changes() -> Iterator[str]:
    """Forty, each another one; three of four add a column."""
    kinds = (f"add c{n} {kind.format(n=n)}" for n, kind in enumerate(cycle(KINDS)))
    others = (other.format(n=n) for n, other in enumerate(cycle(OTHERS)))
    each = (next(others) if n % 4 == 3 else next(kinds) for n in range(CHANGES))
    return islice(each, CHANGES)


def alter(pair: MariadbPair) -> None:
    """All of them, with a row in front of each and one behind, and old rows that are changed and removed."""
    for n, change in enumerate(changes()):
        pair.execute(
            f"insert into a (id, name, doc) values ({10_000 + 2 * n}, 'before {n}', 'x')",
            f"alter table a {change}",
            f"insert into a (id, name, doc) values ({10_001 + 2 * n}, 'behind {n}', 'y')",
            f"update a set name = 'now {n}' where id % {CHANGES} = {n}",
            f"delete from a where id = {n + 1}",
        )


@pytest.mark.usefixtures("metadata")
def test_each_of_forty_changes_between_events_is_followed(pair: MariadbPair) -> None:
    make(pair)
    rig = pair.rig(["a"]).start().opens().copied()
    alter(pair)
    rig.reaches(lambda: pair.equal_by_name("a"))


@pytest.mark.usefixtures("metadata")
def test_forty_changes_while_a_task_is_paused_are_followed_when_it_goes_on(pair: MariadbPair) -> None:
    """Bug B14: what was written before a change has the columns of its own time, whatever the table has now."""
    make(pair)
    rig = pair.rig(["a"]).start().opens().copied()
    rig.pause()
    alter(pair)
    rig.start().opens()
    rig.reaches(lambda: pair.equal_by_name("a"))


@pytest.mark.usefixtures("metadata")
def test_forty_changes_while_rows_are_copied_are_followed(pair: MariadbPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(myedges, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(myedges, "CHUNK_ROWS_MIN", 10)
    make(pair, 3000)
    rig = pair.rig(["a"]).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] > 2)
    alter(pair)
    rig.copied()
    rig.reaches(lambda: pair.equal_by_name("a"))


@pytest.mark.usefixtures("metadata")
def test_rows_that_were_read_before_a_change_may_come_to_be_written_behind_it(
    pair: MariadbPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log tells of the new shape while a chunk of the old one waits: that column was not dropped."""
    monkeypatch.setattr(myedges, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(myedges, "CHUNK_ROWS_MIN", 10)
    make(pair, 500)
    rig = pair.rig(["a"])
    held, go_on = threading.Event(), threading.Event()

    def hold(point: str) -> None:
        if point == "chunk.read" and not held.is_set() and rig.counters().get("chunks_done", 0) > 2:
            held.set()
            assert go_on.wait(60)

    faultpoint.arm(hold)
    try:
        rig.start().opens()
        eventually(held.is_set, "a chunk that waits")
        pair.execute("alter table a add n int default 5", "update a set name = 'on' where id = 1")
        rig.reaches(lambda: len(pair.at_target("a", "id = 1 and n = 5 and name = 'on'")) == 1)
        go_on.set()
        rig.copied()
        rig.reaches(lambda: pair.equal_by_name("a"))
    finally:
        go_on.set()
        faultpoint.arm(None)


@pytest.mark.parametrize("metadata", ["minimal"], indirect=True)
@pytest.mark.usefixtures("metadata")
def test_a_change_that_no_row_followed_is_known_when_the_task_goes_on(pair: MariadbPair) -> None:
    """The shape is stored with the place in the log, which does not name the columns that come behind it."""
    make(pair)
    pair.execute("create table b (id int primary key)")
    rig = pair.rig(["[ab]"]).start().opens().copied()
    pair.execute("alter table a add n int default 5 first, rename column name to name", "insert into b values (1)")
    rig.reaches(lambda: pair.equal("b"))
    rig.pause()
    pair.execute("update a set n = 6 where id = 1", "alter table a drop key if exists k", "insert into b values (2)")
    rig.start().opens()
    rig.reaches(lambda: pair.equal_by_name("a") and pair.equal("b"))


@pytest.mark.usefixtures("metadata")
def test_a_table_that_joins_later_is_followed_through_its_changes(pair: MariadbPair) -> None:
    make(pair)
    pair.execute("create table item_a (id int primary key)")
    rig = pair.rig(["a", "item_.*"]).start().opens().copied()
    pair.execute("create table item_b (id int primary key, n int)", "insert into item_b values (1, 1), (2, 2)")
    rig.reaches(lambda: pair.equal("item_b"))
    pair.execute(
        "update item_b set n = 5", "alter table item_b add m int default 3", "update item_b set m = 4 where id = 1"
    )
    pair.execute("insert into item_b values (3, 3, 3)", "update a set name = 'on'")
    rig.reaches(lambda: pair.equal("a", "item_b"))
    rig.cut()
    pair.execute(
        "update item_b set n = 6 where id = 3", "alter table item_b add l int", "delete from item_b where id = 2"
    )
    rig.start().opens()
    rig.reaches(lambda: pair.equal("item_b"))


def test_a_change_that_may_have_cut_values_stops_the_table_and_one_that_cannot_is_followed(pair: MariadbPair) -> None:
    make(pair)
    rig = pair.rig(["a"]).start().opens().copied()
    pair.execute("set sql_mode = 'STRICT_ALL_TABLES'", "alter table a modify name varchar(39)")
    pair.execute("alter table a modify name varchar(40)", "update a set name = 'on' where id = 1")
    rig.reaches(lambda: pair.equal("a"))
    pair.execute("alter table a modify name varchar(2)", "update a set name = 'no' where id = 2")
    error = rig.fails()
    assert isinstance(error, SourceTableRemade)
    assert "column name was altered by a session that is not strict" in error.detail
    assert pair.at_target("a", "id = 200")[0][1] == "n200"
