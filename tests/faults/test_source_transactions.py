"""Transactions that are long, prepared, nested or large, and commits that wait for a standby: all are handed over."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from faults.apart import Apart
from pipeline.load import KEYED, Load
from pipeline.pairs import DuckPair, Pair
from pipeline.rig import Rig, eventually
from pipeline.steering import Steering, high
from tidegate.connect import pgedges
from tidegate.connect.pgposition import parse_lsn
from tidegate.errors import ObjectMissing, PositionLost, SourceSchemaChange
from tidegate.testing.servers import PostgresServer, newest
from tidegate.testing.standby import NAME, SlowStandby


def make(pair: Pair | DuckPair, rows: int = 50) -> None:
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute(f"insert into a select i, i from generate_series(1, {rows}) i")


def once_each(pair: Pair, rig: Rig, rows: int) -> None:
    rig.reaches(lambda: pair.arrived("select count(*), count(distinct id) from a") == [(rows, rows)], f"{rows} rows")


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_transaction_open_since_before_the_run_is_waited_for(pair: Pair, end: str) -> None:
    make(pair)
    other = pair.server.connect(pair.source_name, autocommit=False)
    other.execute("insert into a select i, 0 from generate_series(1001, 1010) i")
    rig = pair.rig(["public.a"], write="append").start()
    eventually(
        lambda: pair.rows("select count(*) from pg_replication_slots where slot_name like 'tidegate%'") == [(1,)],
        "slot",
    )
    other.execute(end)
    rig.opens().copied()
    once_each(pair, rig, 60 if end == "commit" else 50)
    other.close()


@pytest.mark.parametrize("end", ["commit prepared", "rollback prepared"])
@pytest.mark.usefixtures("small_chunks")
def test_a_transaction_prepared_before_the_hand_over_and_ended_after_it(pair: Pair, end: str) -> None:
    """Half of its rows belong to chunks that are written, half to one that is not."""
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair, 100)
    steering.holds = high
    rig = pair.rig(["public.a"], write="append").start().opens()
    name = f"p_{pair.source_name}"
    other = pair.server.connect(pair.source_name)
    other.execute("begin; update a set n = -1; insert into a values (1001, 0)")
    other.execute(f"prepare transaction '{name}'")
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the last")
    steering.holds = lambda keys: False
    rig.copied()
    other.execute(f"{end} '{name}'")
    other.execute("insert into a values (1002, 0)")
    rig.reaches(lambda: folds(pair), "it folds to the source")
    updates = pair.arrived("select count(*) from a where _tidegate_op = 'update'")
    assert updates == [(100 if end.startswith("commit") else 0,)]
    other.close()


def folds(pair: Pair) -> bool:
    return pair._both(
        "select id, n from a order by id",
        "select id, n from (select distinct on (id) * from a order by id, _tidegate_position desc) x"
        " where _tidegate_op <> 'delete' order by id",
    )


@pytest.mark.usefixtures("small_chunks")
def test_savepoints_and_more_subtransactions_than_a_snapshot_lists(pair: Pair) -> None:
    """A snapshot keeps 64 of a transaction's subtransactions; only its own id counts in the log."""
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair, 100)
    steering.holds = high
    rig = pair.rig(["public.a"], write="append").start().opens()
    other = pair.server.connect(pair.source_name)
    other.execute("begin")
    for n in range(150):
        other.execute(
            f"savepoint s; update a set n = -1 where id = {1 + n % 100}; insert into a values ({1001 + n}, 0)"
        )
        other.execute("rollback to s" if n % 3 == 0 else "release s")
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the last")
    other.execute("commit")
    steering.holds = lambda keys: False
    rig.copied()
    rig.reaches(lambda: folds(pair), "it folds to the source")
    assert pair.arrived("select count(*), count(distinct id) from a where id > 1000") == [(100, 100)]
    other.close()


@pytest.mark.parametrize("streams", [True, False], ids=["streams", "spills to disk"])
def test_a_transaction_too_large_for_the_servers_memory_is_whole(pair: Pair, streams: bool) -> None:
    pair.source_config = pair.source_config.model_copy(update={"stream_transactions": streams})
    pair.source.execute("alter system set logical_decoding_work_mem = '64kB'")
    pair.source.execute("select pg_reload_conf()")
    try:
        make(pair)
        rig = pair.rig(["public.a"], write="append").start().opens().copied()
        other = pair.server.connect(pair.source_name)
        other.execute("begin; insert into a select i, 0 from generate_series(1001, 21000) i")
        pair.source.execute("insert into a values (500, 0)")
        once_each(pair, rig, 51)
        other.execute("savepoint s; insert into a select i, 0 from generate_series(30001, 40000) i; rollback to s")
        other.execute("commit")
        other.close()
        once_each(pair, rig, 20_051)
        found = pair.rows(
            "select stream_txns > 0, spill_txns > 0 from pg_stat_replication_slots"
            f" where slot_name = 'tidegate_{rig.run}'"
        )
        assert found == [(streams, not streams)]
    finally:
        pair.source.execute("alter system reset logical_decoding_work_mem")
        pair.source.execute("select pg_reload_conf()")


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_commits_that_wait_for_a_slow_standby_are_not_missed(
    postgres: PostgresServer, database: Callable[..., str], write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the log before any snapshot sees them."""
    monkeypatch.setattr(pgedges, "CHUNK_BYTES", 1_500)
    monkeypatch.setattr(pgedges, "CHUNK_ROWS_MIN", 15)
    settings = {"max_prepared_transactions": 20, "deadlock_timeout": "100ms", "synchronous_standby_names": NAME}
    with PostgresServer(newest(), settings=settings) as server, SlowStandby(server):
        pair = Apart(server, postgres, database())
        pair.source.execute("set synchronous_commit = local")
        load = Load(pair.source_conninfo + " options='-c synchronous_commit=local'", 51, truncates=False)
        load.fill(250)
        load.conninfo = pair.source_conninfo
        rig = pair.rig([f"public.{table}" for table in KEYED], write=write)
        load.start()
        try:
            for _ in range(3):
                rig.start()
                time.sleep(0.7)
                rig.cut()
            rig.start().opens().copied()
            rig.reaches(lambda: load.committed > 100, "enough was written")
        finally:
            load.stop()
        check = pair.equal if write == "upsert" else pair.folds
        for table in KEYED:
            rig.reaches(lambda table=table: check(table), f"{table} is exact")
        assert rig.totals["gate_waits"] + rig.counters()["gate_waits"] > 0
        pair.close()


def test_an_idle_table_beside_a_busy_database_keeps_little_log(pair: Pair) -> None:
    make(pair)
    pair.source.execute("create table public.busy (t text)")
    rig = pair.rig(["public.a"], snapshots={"every": "1s"}).start().opens().copied()
    kept, written = [], 0
    first = parse_lsn(pair.rows("select pg_current_wal_insert_lsn()::text")[0][0])
    for _ in range(30):
        pair.source.execute("insert into busy select repeat('x', 500) from generate_series(1, 2000)")
        pair.source.execute("select pg_log_standby_snapshot()")
        ((behind,),) = pair.rows(
            "select pg_current_wal_insert_lsn() - confirmed_flush_lsn from pg_replication_slots"
            f" where slot_name = 'tidegate_{rig.run}'"
        )
        kept.append(int(behind))
        time.sleep(0.15)
    written = parse_lsn(pair.rows("select pg_current_wal_insert_lsn()::text")[0][0]) - first
    assert written > 30_000_000
    assert max(kept[10:]) < written * 0.7
    end = parse_lsn(pair.rows("select pg_current_wal_insert_lsn()::text")[0][0])
    rig.reaches(lambda: parse_lsn(pair.confirmed(rig)) >= end, "all of it is let go")


@pytest.mark.parametrize("busy", ["the old table", "the new table", "neither"])
def test_a_table_swapped_for_another_as_migration_tools_do_ends_the_run(pair: Pair, busy: str) -> None:
    """Rows of the two are never mixed, and none is missed in silence."""
    make(pair)
    rig = pair.rig(["public.a"], snapshots={"every": "1s"}).start().opens().copied()
    pair.source.execute("create table a_new (like a including all); insert into a_new select id, n + 1000 from a")
    pair.source.execute("begin; alter table a rename to a_old; alter table a_new rename to a; commit")
    if busy != "neither":
        pair.source.execute(f"update {'a_old' if busy == 'the old table' else 'a'} set n = -7 where id = 7")
    error = rig.fails()
    assert isinstance(error, (PositionLost, ObjectMissing)), error
    assert "public.a" in error.detail
    assert pair.arrived("select count(*) from a where n > 1000 or n = -7") == [(0,)]


COLUMNS = {
    "plain": "add column c int",
    "default": "add column c int default 7",
    "generated": "add column c int generated always as (id * 2) stored",
}


@pytest.mark.parametrize("sort", COLUMNS)
@pytest.mark.parametrize("step", ["before its lock", "after its snapshot", "before the log"])
@pytest.mark.usefixtures("small_chunks")
def test_a_column_added_at_each_step_of_the_copy(pair: Pair, sort: str, step: str) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair, 100)
    if step == "after its snapshot":
        steering.holds_rows = high
    else:
        steering.holds = high
    rig = pair.rig(["public.a"]).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the last")
    if step == "before the log":
        steering.parts_allowed = 0
    altering = pair.server.connect(pair.source_name, autocommit=False)
    if step == "after its snapshot":  # the chunk's lock holds the ALTER back
        rig.reaches(lambda: bool(steering.marked) and high(steering.marked[-1]), "the last chunk has its snapshot")
        altering.execute("set lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            altering.execute(f"alter table a {COLUMNS[sort]}")
        altering.rollback()
        altering.execute("set lock_timeout = 0")
        steering.holds_rows = lambda keys: False
    altering.execute(f"alter table a {COLUMNS[sort]}")
    altering.execute("update a set n = -1 where id in (1, 100); insert into a (id, n) values (1001, 0)")
    altering.commit()
    altering.close()
    steering.holds = lambda keys: False
    if step == "before the log":
        rig.copied()
        steering.parts_allowed = None
    rig.copied()
    listed = "id, n" if sort == "generated" else "id, n, c"
    rig.reaches(
        lambda: (
            pair._both(f"select {listed} from a order by 1", f"select {listed} from a order by 1")
            if has(pair, sort)
            else False
        )
    )


def has(pair: Pair, sort: str) -> bool:
    query = "select count(*) from pg_attribute where attrelid = 'a'::regclass and attname = 'c' and not attisdropped"
    return pair.arrived(query) == [(0 if sort == "generated" else 1,)]


@pytest.mark.usefixtures("small_chunks")
def test_a_column_whose_default_varies_ends_the_copy_by_name(pair: Pair) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair, 100)
    steering.holds = high
    rig = pair.rig(["public.a"]).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the last")
    pair.source.execute("alter table a add column c float8 default random()")
    pair.source.execute("update a set n = -1 where id = 1")
    steering.holds = lambda keys: False
    error = rig.fails()
    assert isinstance(error, SourceSchemaChange), error
    assert "public.a: column c" in error.detail
