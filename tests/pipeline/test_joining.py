"""Tables that are made later and match the task's patterns join while the rest streams."""

from __future__ import annotations

import time

import pytest

from pipeline.pairs import Pair
from pipeline.rig import Rig
from tidegate.connect.source import LogReader
from tidegate.engine import joining
from tidegate.errors import SourceUnreachable
from tidegate.model.schema import TableName
from tidegate.sources.postgres import PostgresSource


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "LOOK_EVERY_S", 0.1)


def make(pair: Pair, name: str, rows: int = 30, key: str = " primary key") -> None:
    pair.source.execute(
        f"begin; create table public.{name} (id int{key}, n int);"
        f" insert into {name} select i, i from generate_series(1, {rows}) i; commit"
    )


def events(rig: Rig, name: str) -> list[dict]:
    return [facts for event, facts in rig.events if event == name]


def test_a_table_made_later_joins_with_all_its_rows(each_pair: Pair, small_chunks: None) -> None:
    pair = each_pair
    make(pair, "item_a")
    rig = pair.rig([r"public\.item_.*"]).start().opens().copied()
    make(pair, "item_b")
    make(pair, "other")
    for n in range(20):
        pair.source.execute(f"update item_b set n = {n} where id % 3 = {n % 3}; update item_a set n = {n} where id = 1")
        pair.source.execute(f"update item_b set id = id + 1000 where id = {n}")
    rig.reaches(lambda: pair.equal("item_b") and pair.equal("item_a"))
    assert [facts["table"] for facts in events(rig, "table_joined")] == ["public.item_b"]
    assert pair.arrived("select * from other") == []
    pair.source.execute("truncate item_b")
    rig.reaches(lambda: pair.equal("item_b"))
    rig.pause()
    rig.start().opens()
    pair.source.execute("insert into item_b values (1, 1)")
    rig.reaches(lambda: pair.equal("item_b"))
    assert rig.counters()["tables_total"] == 2


def test_a_table_made_while_the_run_is_stopped_joins_when_it_goes_on(pair: Pair) -> None:
    make(pair, "item_a")
    rig = pair.rig([r"public\.item_.*"], write="append").start().opens().copied()
    rig.pause()
    make(pair, "item_b")
    pair.source.execute("update item_b set n = 0 where id = 1")
    rig.start().opens()
    rig.reaches(lambda: pair.arrived("select count(*) from item_b") == [(30,)])
    pair.source.execute("update item_b set n = -1 where id = 1")
    rig.reaches(lambda: pair.arrived("select n from item_b where _tidegate_op = 'update'") == [(-1,)])
    assert pair.arrived("select n from item_b where id = 1 and _tidegate_op = 'read'") == [(0,)]


def test_a_table_whose_older_writers_are_still_open_joins_without_a_gap(pair: Pair) -> None:
    """R4: what was written before the table was published and is committed after it is not in the log."""
    make(pair, "item_a")
    rig = pair.rig([r"public\.item_.*"]).start().opens().copied()
    make(pair, "item_b")
    writer = pair.server.connect(pair.source_name, autocommit=False)
    writer.execute("update item_b set n = -1 where id = 1")
    rig.reaches(
        lambda: pair.rows("select count(*) from pg_publication_tables where tablename = 'item_b'") == [(1,)],
        "the table is published",
    )
    until = time.monotonic() + 0.5
    rig.reaches(lambda: time.monotonic() > until)
    assert events(rig, "table_joined") == []
    writer.execute("insert into item_b values (1000, 1)")
    writer.commit()
    writer.close()
    rig.reaches(lambda: pair.equal("item_b"))
    assert pair.arrived("select n from item_b where id = 1") == [(-1,)]


def test_a_table_that_cannot_join_is_told_once_and_joins_when_it_can(pair: Pair) -> None:
    make(pair, "item_a")
    rig = pair.rig([r"public\.item_.*"]).start().opens().copied()
    make(pair, "item_b", key="")
    rig.reaches(lambda: bool(events(rig, "table_refused")))
    pair.source.execute("update item_b set n = 0 where id = 1")  # not published, so not refused
    pair.source.execute("update item_a set n = 0 where id = 1")
    rig.reaches(lambda: pair.equal("item_a"))
    assert [facts["code"] for facts in events(rig, "table_refused")] == ["source.no_key"]
    assert "public.item_b" in events(rig, "table_refused")[0]["reason"]
    pair.source.execute("alter table item_b add primary key (id)")
    rig.reaches(lambda: pair.equal("item_b"))


def test_a_table_whose_place_at_the_target_is_taken_does_not_end_the_run(pair: Pair) -> None:
    make(pair, "item_a")
    pair.target.execute("create table public.item_b (id int primary key, n int); insert into item_b values (7, 7)")
    rig = pair.rig([r"public\.item_.*"]).start().opens().copied()
    make(pair, "item_b")
    rig.reaches(lambda: bool(events(rig, "table_refused")))
    assert events(rig, "table_refused")[0]["code"] == "target.not_empty"
    pair.source.execute("update item_b set n = 0; update item_a set n = 0")
    rig.reaches(lambda: pair.equal("item_a"))
    assert pair.arrived("select * from item_b") == [(7, 7)]
    pair.target.execute("truncate item_b")
    rig.cut()
    rig.start().opens().reaches(lambda: pair.equal("item_b"))


def test_a_source_that_fails_for_a_moment_while_a_table_joins_is_asked_again(pair: Pair) -> None:
    failures = [1, 2]

    class Failing(PostgresSource):
        def add_tables(self, run: str, tables: list[TableName]) -> None:  # type: ignore[override]
            if failures:
                failures.pop()
                raise SourceUnreachable("gone for a moment")
            super().add_tables(run, tables)

        def log(self, run: str, *rest: object, **more: object) -> LogReader:
            return super().log(run, *rest, **more)  # type: ignore[arg-type]

    make(pair, "item_a")
    pair.source_class = Failing
    rig = pair.rig([r"public\.item_.*"]).start().opens().copied()
    make(pair, "item_b")
    rig.reaches(lambda: pair.equal("item_b"))
    assert not failures


def test_a_table_that_leaves_the_definition_is_followed_no_longer(pair: Pair) -> None:
    make(pair, "item_a")
    make(pair, "item_b")
    rig = pair.rig([r"public\.item_.*"]).start().opens().copied()
    rig.reaches(lambda: pair.equal("item_a") and pair.equal("item_b"))
    rig.pause()
    pair.source.execute("update item_b set n = -5; update item_a set n = -5")
    rig.task = pair.rig(["public.item_a"]).task
    rig.start().opens().reaches(lambda: pair.equal("item_a"))
    pair.source.execute("update item_b set n = -6; update item_a set n = -6")
    rig.reaches(lambda: pair.equal("item_a"))
    assert pair.arrived("select count(*) from item_b where n > 0") == [(30,)]
    published = pair.rows("select tablename from pg_publication_tables")
    assert published == [("item_a",)]
    rig.pause()
    rig.task = pair.rig([r"public\.item_.*"]).task
    rig.start().opens().reaches(lambda: pair.equal("item_b"))
