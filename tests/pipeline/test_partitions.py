"""Partitions come, go and are emptied without a word in the log of their table: what arrives all the same is right,
and what cannot is told once, by name."""

from __future__ import annotations

import functools
import itertools
import time
from typing import Any

import pytest

from pipeline.pairs import Pair
from pipeline.rig import Rig, eventually
from pipeline.steering import Steering, high
from tidegate.connect.pgposition import PgPosition, parse_lsn
from tidegate.errors import SourcePartitionChanged
from tidegate.sources.postgres import PostgresSource

LEAVES = 500


def make(pair: Pair, rows: int = 20) -> None:
    pair.source.execute("create table public.p (d int, id int, t text, primary key (d, id)) partition by range (d)")
    for day in (1, 2):
        pair.source.execute(f"create table p_{day} partition of p for values from ({day}) to ({day + 1})")
    pair.source.execute(f"insert into p select d, i, 't' from generate_series(1, 2) d, generate_series(1, {rows}) i")


def run(pair: Pair, **more: Any) -> Rig:
    make(pair)
    return pair.rig(["public.p"], **more).start().opens().copied()


def looked(pair: Pair, rig: Rig) -> None:
    """Snapshots are stored, before which the partitions are looked at, until one holds all of today's log."""
    end = PgPosition(parse_lsn(pair.rows("select pg_current_wal_flush_lsn()::text")[0][0]))

    def stored(request: str) -> bool:
        if rig.error is not None:
            raise rig.error
        return any(snapshot.request == request for snapshot in rig.snapshots)

    for number in itertools.count(len(rig.snapshots)):
        request = f"look {number}"
        rig.desk.ask_snapshot(request)
        eventually(functools.partial(stored, request), "a snapshot is stored")
        if not rig.snapshots[-1].position < end:
            return
        assert number < 10_000
        time.sleep(0.02)


def stops(rig: Rig) -> SourcePartitionChanged:
    if rig.error is None:
        rig.desk.ask_snapshot("look")
    error = rig.fails()
    assert isinstance(error, SourcePartitionChanged), error
    return error


def told(rig: Rig) -> list[tuple[str, Any]]:
    return [(name, facts["partitions"]) for name, facts in rig.events if name.startswith("partition_")]


def goes_on(pair: Pair, rig: Rig) -> None:
    """Continued, it works and says nothing more of what it said."""
    rig.start().opens()
    pair.source.execute("insert into p values (2, 999, 'on')")
    rig.reaches(lambda: pair.arrived("select t from p where id = 999") == [("on",)])
    looked(pair, rig)
    rig.pause()


ATTACHED_WITH_ROWS = {
    "filled before": [
        "create table p_3 (like p including all)",
        "insert into p_3 select 3, i, 'brought' from generate_series(1, 5) i",
        "alter table p attach partition p_3 for values from (3) to (4)",
    ],
    "all in one transaction": [
        "begin; create table p_3 (like p including all); insert into p_3 values (3, 1, 'brought');"
        " alter table p attach partition p_3 for values from (3) to (4); insert into p values (3, 2, 'logged'); commit"
    ],
    "old and vacuumed": [
        "create table p_3 (like p including all); insert into p_3 values (3, 1, 'brought')",
        "vacuum freeze p_3",
        "alter table p attach partition p_3 for values from (3) to (4); insert into p values (3, 2, 'logged')",
    ],
    "inside a partition that is partitioned": [
        "create table p_3 (like p including all) partition by range (id)",
        "create table p_3_1 partition of p_3 for values from (0) to (100); insert into p_3 values (3, 1, 'brought')",
        "alter table p attach partition p_3 for values from (3) to (4)",
    ],
    "moved out of another": [
        "begin; create table p_2_b (like p including all); insert into p_2_b select * from p where d = 2 and id > 10;"
        " alter table p detach partition p_2; alter table p_2 rename to p_2_a;"
        " delete from p_2_a where id > 10; create table p_2 partition of p for values from (2) to (3)"
        " partition by range (id); alter table p_2 attach partition p_2_a for values from (0) to (11);"
        " alter table p_2 attach partition p_2_b for values from (11) to (9999); commit",
    ],
}


@pytest.mark.parametrize("statements", ATTACHED_WITH_ROWS.values(), ids=ATTACHED_WITH_ROWS)
def test_a_partition_attached_with_rows_ends_the_run_once(each_pair: Pair, statements: list[str]) -> None:
    rig = run(each_pair)
    for statement in statements:
        each_pair.source.execute(statement)
    assert "was attached with rows that it had before" in stops(rig).detail
    goes_on(each_pair, rig)


CREATED_EMPTY = {
    "as a partition": ["create table p_3 partition of p for values from (3) to (4)"],
    "and attached": [
        "create table p_3 (like p including all)",
        "alter table p attach partition p_3 for values from (3) to (4)",
    ],
    "and attached at once": [
        "begin; create table p_3 (like p including all);"
        " alter table p attach partition p_3 for values from (3) to (4); commit"
    ],
    "and filled in the same transaction": [
        "begin; create table p_3 (like p including all);"
        " alter table p attach partition p_3 for values from (3) to (4); insert into p values (3, 0, 'same'); commit"
    ],
    "and filled at once": [
        "begin; create table p_3 partition of p for values from (3) to (4); insert into p values (3, 0, 'same'); commit"
    ],
}


@pytest.mark.parametrize("statements", CREATED_EMPTY.values(), ids=CREATED_EMPTY)
def test_a_partition_that_begins_empty_is_no_news(each_pair: Pair, statements: list[str]) -> None:
    rig = run(each_pair)
    for statement in statements:
        each_pair.source.execute(statement)
    each_pair.source.execute("insert into p values (3, 1, 'new')")
    rig.reaches(lambda: each_pair.equal("p"))
    looked(each_pair, rig)
    each_pair.source.execute("insert into p values (3, 2, 'new')")
    rig.reaches(lambda: each_pair.equal("p"))
    looked(each_pair, rig)
    assert rig.error is None
    assert told(rig) == []
    rig.pause()


def test_a_transaction_that_is_older_than_a_new_partition_may_fill_it(each_pair: Pair) -> None:
    rig = run(each_pair)
    with each_pair.server.connect(each_pair.source_name) as loader:
        loader.execute("begin; insert into p values (1, 100, 'older than the partition')")
        for statement in CREATED_EMPTY["and attached at once"]:
            each_pair.source.execute(statement)
        loader.execute("insert into p values (3, 50, 'older than the partition')")
        loader.execute("commit")
    rig.reaches(lambda: each_pair.equal("p"))
    looked(each_pair, rig)
    rig.pause()
    assert told(rig) == []


def test_rows_brought_to_an_append_target_end_the_run_too(pair: Pair) -> None:
    rig = run(pair, write="append")
    for statement in ATTACHED_WITH_ROWS["filled before"]:
        pair.source.execute(statement)
    assert "partition public.p_3 was attached" in stops(rig).detail


@pytest.mark.parametrize("gone", ["drop table p_1", "alter table p detach partition p_1"])
def test_a_partition_that_leaves_ends_an_upsert_once(each_pair: Pair, gone: str) -> None:
    rig = run(each_pair)
    each_pair.source.execute("update p set t = 'last' where id = 1")
    each_pair.source.execute(gone)
    error = stops(rig)
    assert error.detail == "public.p: partition public.p_1 was detached or dropped"
    assert error.facts["changes"] == [{"table": "public.p", "part": "public.p_1", "what": "left"}]
    goes_on(each_pair, rig)
    assert each_pair.arrived("select d, count(*) from p group by d order by d") == [(1, 20), (2, 21)]
    assert each_pair.arrived("select count(*) from p where t = 'last'") == [(2,)]


def test_a_partition_detached_and_attached_again_ends_the_run(pair: Pair) -> None:
    rig = run(pair)
    pair.source.execute("alter table p detach partition p_1; update p_1 set t = 'unheard'")
    pair.source.execute("alter table p attach partition p_1 for values from (1) to (2)")
    assert "p_1 was attached with rows" in stops(rig).detail


def test_a_truncated_partition_ends_an_upsert_once(each_pair: Pair) -> None:
    rig = run(each_pair)
    each_pair.source.execute("truncate p_1")
    assert stops(rig).detail == "public.p: partition public.p_1 was truncated by itself"
    goes_on(each_pair, rig)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_partition_truncated_and_filled_again_ends_an_upsert(each_pair: Pair, at_once: bool) -> None:
    rig = run(each_pair)
    truncate, fill = "truncate p_1", "insert into p_1 select 1, i, 'new' from generate_series(5, 9) i"
    for statement in [f"begin; {truncate}; {fill}; commit"] if at_once else [truncate, fill]:
        each_pair.source.execute(statement)
    assert "p_1 was truncated by itself" in stops(rig).detail


def test_a_partition_filled_and_truncated_between_two_looks_ends_an_upsert(pair: Pair) -> None:
    rig = run(pair)
    pair.source.execute("create table p_3 partition of p for values from (3) to (4)")
    looked(pair, rig)
    with pair.server.connect(pair.source_name) as other:
        other.execute("insert into p values (3, 1, 'x')")
    counted = "select pg_stat_get_tuples_inserted('p_3'::regclass)"
    eventually(lambda: pair.rows(counted) == [(1,)], "the row is counted")
    pair.source.execute("truncate p_3")
    assert "p_3 was truncated" in stops(rig).detail


def test_in_append_it_is_told_and_the_run_goes_on(each_pair: Pair) -> None:
    rig = run(each_pair, write="append")
    each_pair.source.execute("truncate p_1")
    looked(each_pair, rig)
    rig.reaches(lambda: told(rig) == [("partition_emptied", ["public.p_1"])])
    each_pair.source.execute("drop table p_1")
    looked(each_pair, rig)
    rig.reaches(lambda: told(rig)[1:] == [("partition_left", ["public.p_1"])])
    looked(each_pair, rig)
    assert len(told(rig)) == 2
    rig.pause()


@pytest.mark.parametrize(
    "truncate",
    ["truncate p", "begin; savepoint s; truncate p; release s; insert into p values (1, 1, 'x'); commit"],
)
def test_a_truncate_of_the_whole_table_is_in_the_log_and_no_news(each_pair: Pair, truncate: str) -> None:
    rig = run(each_pair)
    each_pair.source.execute(truncate)
    looked(each_pair, rig)
    each_pair.source.execute("insert into p values (1, 2, 'y')")
    rig.reaches(lambda: each_pair.equal("p"))
    looked(each_pair, rig)
    rig.pause()
    assert told(rig) == []


def test_a_truncate_of_the_whole_table_that_the_log_has_not_told_yet_is_waited_for(pair: Pair) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    rig = run(pair)
    steering.parts_allowed = 0
    pair.source.execute("truncate p")
    rig.desk.ask_snapshot("look")
    rig.reaches(lambda: any(snapshot.request == "look" for snapshot in rig.snapshots), "a snapshot")
    steering.parts_allowed = None
    rig.reaches(lambda: pair.equal("p"))
    looked(pair, rig)
    rig.cut()
    rig.start().opens()
    looked(pair, rig)
    rig.pause()
    assert told(rig) == []


def test_a_truncate_of_a_partition_behind_one_of_the_table_is_not_mistaken_for_it(pair: Pair) -> None:
    rig = run(pair)
    pair.source.execute("truncate p")
    pair.source.execute("insert into p values (1, 1, 'x'), (2, 1, 'x')")
    rig.reaches(lambda: pair.equal("p"))
    pair.source.execute("truncate p_1")
    rig.reaches(lambda: pair.position(rig) != "")
    assert "p_1 was truncated" in stops(rig).detail


@pytest.mark.parametrize(
    "rewrite",
    [
        ["vacuum full p_1"],
        ["cluster p_1 using p_1_pkey"],
        ["alter table p_1 set unlogged", "alter table p_1 set logged"],
    ],
    ids=["vacuum", "cluster", "alter"],
)
def test_a_partition_that_is_rewritten_is_told(each_pair: Pair, rewrite: list[str]) -> None:
    rig = run(each_pair)
    for statement in rewrite:
        each_pair.source.execute(statement)
    looked(each_pair, rig)
    rig.reaches(lambda: told(rig) == [("partition_rewritten", ["public.p_1"])])
    rig.pause()


def test_a_partition_rewritten_while_empty_is_no_news(pair: Pair) -> None:
    rig = run(pair)
    pair.source.execute("create table p_3 partition of p for values from (3) to (4)")
    looked(pair, rig)
    pair.source.execute("vacuum full p_3")
    looked(pair, rig)
    pair.source.execute("truncate p_3")
    looked(pair, rig)
    rig.pause()
    assert told(rig) == []


# --- when it is seen ---

HAPPENINGS = {
    "attached": "; ".join(ATTACHED_WITH_ROWS["filled before"]),
    "left": "drop table p_1",
    "emptied": "truncate p_1",
}


@pytest.mark.parametrize("what", HAPPENINGS)
def test_what_happens_while_it_is_paused_ends_it_after_continue(each_pair: Pair, what: str) -> None:
    rig = run(each_pair)
    rig.pause()
    each_pair.source.execute(HAPPENINGS[what])
    rig.start()
    assert stops(rig).facts["changes"][0]["what"] == what
    goes_on(each_pair, rig)


@pytest.mark.parametrize("what", HAPPENINGS)
@pytest.mark.usefixtures("small_chunks")
def test_what_happens_while_the_table_is_copied_ends_it(each_pair: Pair, what: str) -> None:
    steering = Steering()
    each_pair.source_class = steering.source_class()
    steering.holds = high
    make(each_pair)
    rig = each_pair.rig(["public.p"]).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] >= 1, "a chunk is written")
    each_pair.source.execute(HAPPENINGS[what])
    assert stops(rig).facts["changes"][0]["what"] == what
    steering.holds = lambda keys: False
    goes_on(each_pair, rig)


@pytest.mark.parametrize("what", HAPPENINGS)
def test_what_happens_before_anything_of_the_table_is_copied_is_in_the_copy(each_pair: Pair, what: str) -> None:
    steering = Steering()
    each_pair.source_class = steering.source_class()
    steering.holds = lambda keys: True
    make(each_pair)
    rig = each_pair.rig(["public.p"]).start().opens()
    each_pair.source.execute(HAPPENINGS[what])
    looked(each_pair, rig)
    steering.holds = lambda keys: False
    rig.copied()
    rig.reaches(lambda: each_pair.equal("p"))
    looked(each_pair, rig)
    rig.pause()
    assert told(rig) == []


def test_a_pause_does_not_hide_it(pair: Pair) -> None:
    rig = run(pair)
    looked(pair, rig)
    pair.source.execute("drop table p_1")
    with pytest.raises(SourcePartitionChanged):
        rig.pause()
    goes_on(pair, rig)


def test_a_run_that_is_older_than_the_watch_begins_with_it(pair: Pair) -> None:
    rig = run(pair)
    rig.pause()
    pair.target.execute("delete from tidegate.progress where key like 'made:%'")
    goes_on(pair, rig)
    pair.source.execute("drop table p_1")
    rig.start()
    stops(rig)


def test_a_table_that_joins_later_is_watched(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key)")
    rig = pair.rig([r"public\..*"]).start().opens().copied()
    make(pair)
    rig.reaches(lambda: pair.equal("p"))
    pair.source.execute("truncate p_2")
    assert "p_2 was truncated" in stops(rig).detail


def test_a_table_of_the_task_that_becomes_a_partition_of_another_is_gone(pair: Pair) -> None:
    make(pair)
    pair.source.execute("create table public.p_3 (like p including all); insert into p_3 values (3, 1, 'its own')")
    rig = pair.rig([r"public\..*"]).start().opens().copied()
    assert pair.equal("p_3")
    pair.source.execute("alter table p attach partition p_3 for values from (3) to (4)")
    assert "p_3 was attached with rows" in stops(rig).detail
    assert ("table_gone", {"table": "public.p_3"}) in rig.events


def test_a_partition_somebody_holds_is_looked_at_another_time(pair: Pair) -> None:
    rig = run(pair)
    pair.source.execute("truncate p_1")
    with pair.server.connect(pair.source_name) as other:
        other.execute("begin; lock table p_1")
        looked(pair, rig)
        assert rig.error is None
        other.execute("rollback")
    stops(rig)


def test_daily_maintenance(pair: Pair) -> None:
    """Tomorrow's partition is made and the oldest is dropped: in append both go by, in upsert the drop ends the run."""
    history, state = run(pair, write="append", target={"schema": "history"}), pair.rig(["public.p"]).start().opens()
    state.copied()
    for day in (3, 4):
        pair.source.execute(f"create table p_{day} partition of p for values from ({day}) to ({day + 1})")
        pair.source.execute(f"insert into p values ({day}, 1, 'new')")
        looked(pair, history)
        looked(pair, state)
        pair.source.execute(f"drop table p_{day - 2}")
        looked(pair, history)
        assert f"p_{day - 2} was detached or dropped" in stops(state).detail
        state.start().opens()
    assert [name for name, _ in told(history)] == ["partition_left"] * 2
    state.reaches(lambda: pair.arrived("select count(*) from p") == [(42,)])
    history.reaches(lambda: pair.arrived("select count(*) from history.p where _tidegate_op = 'insert'") == [(2,)])


# --- what it costs ---


def test_hundreds_of_partitions_are_a_handful_of_queries(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.source.execute("create table public.p (d int, id int, t text, primary key (d, id)) partition by range (d)")
    pair.source.execute(
        f"do $$ begin for i in 1..{LEAVES} loop"
        " execute format('create table p_%s partition of p for values from (%s) to (%s)', i, i, i + 1);"
        " end loop; end $$"
    )
    source = pair.rig(["public.p"]).make_source()
    assert isinstance(source, PostgresSource)
    try:
        (name,) = source.tables()
        schema = source.schema(name)
        first = source.unlogged_changes([(schema, "")])
        asked: list[str] = []
        execute = source._connection().execute

        def counted(statement: str, *rest: Any) -> Any:
            asked.append(statement)
            return execute(statement, *rest)

        monkeypatch.setattr(source._connection(), "execute", counted)
        begun = time.monotonic()
        assert source.unlogged_changes([(schema, first.now[name])]) == first
        assert len(asked) <= 5
        assert time.monotonic() - begun < 10
    finally:
        source.close()
