"""The source no longer has the log a run needs: it says so, and copies nothing again by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from pipeline.pairs import Pair
from pipeline.rig import Rig
from tidegate.errors import PositionLost, TidegateError
from tidegate.testing.servers import PostgresServer, newest, oldest


def make(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute("insert into a select i, i from generate_series(1, 50) i")


def lost(pair: Pair, rig: Rig) -> PositionLost:
    """The run cannot go on, and has touched nothing."""
    position, rows = pair.position(rig), pair.arrived("select count(*) from a")
    slots = pair.rows("select slot_name, confirmed_flush_lsn::text from pg_replication_slots")
    rig.start()
    error = rig.fails()
    assert isinstance(error, PositionLost), error
    assert f"tidegate_{rig.run}" in error.detail
    assert pair.position(rig) == position
    assert pair.arrived("select count(*) from a") == rows
    assert pair.rows("select slot_name, confirmed_flush_lsn::text from pg_replication_slots") == slots
    return error


def paused(pair: Pair) -> Rig:
    make(pair)
    rig = pair.rig(["public.a"], write="append").start().opens().copied()
    pair.source.execute("update a set n = 0 where id = 1")
    rig.reaches(lambda: pair.arrived("select count(*) from a") == [(51,)])
    rig.pause()
    held = "select count(*) from pg_replication_slots where active and database = current_database()"
    rig.reaches(lambda: pair.rows(held) == [(0,)], "the slot is let go")
    return rig


def test_a_slot_that_was_dropped(each_pair: Pair) -> None:
    pair = each_pair
    rig = paused(pair)
    pair.source.execute(f"select pg_drop_replication_slot('tidegate_{rig.run}')")
    assert "no longer exists" in lost(pair, rig).detail


def test_a_slot_that_was_made_again(each_pair: Pair) -> None:
    pair = each_pair
    rig = paused(pair)
    pair.source.execute("update a set n = 7 where id = 2")
    pair.source.execute(f"select pg_drop_replication_slot('tidegate_{rig.run}')")
    pair.source.execute(f"select pg_create_logical_replication_slot('tidegate_{rig.run}', 'pgoutput')")
    assert "the task needs the log from" in lost(pair, rig).detail


def test_a_slot_that_was_moved_on_by_hand(pair: Pair) -> None:
    rig = paused(pair)
    pair.source.execute("update a set n = 7 where id = 2")
    pair.source.execute(f"select pg_replication_slot_advance('tidegate_{rig.run}', pg_current_wal_lsn())")
    lost(pair, rig)


def test_a_slot_of_that_name_for_something_else(pair: Pair) -> None:
    rig = paused(pair)
    pair.source.execute(f"select pg_drop_replication_slot('tidegate_{rig.run}')")
    pair.source.execute(f"select pg_create_logical_replication_slot('tidegate_{rig.run}', 'test_decoding')")
    assert "test_decoding" in lost(pair, rig).detail


def test_a_slot_dropped_under_a_running_run(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    drop: Callable[[], object] = lambda: pair.source.execute(  # noqa: E731
        "select pg_terminate_backend(active_pid), pg_sleep(0.05) from pg_replication_slots where active;"
        f" select pg_drop_replication_slot('tidegate_{rig.run}')"
    )
    drop()
    assert isinstance(rig.fails(), TidegateError)
    pair.source.execute("update a set n = 7 where id = 2")
    lost(pair, rig)


@pytest.mark.parametrize("binaries", [oldest, newest], ids=["oldest", "newest"])
def test_a_slot_the_server_gave_up(binaries: Callable[..., object]) -> None:
    settings = {"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB", "wal_keep_size": "0"}
    with PostgresServer(binaries(), settings=settings) as server:  # type: ignore[arg-type]
        server.create_database("src")
        pair = Pair(server, "src", "postgres")
        rig = paused(pair)
        for _ in range(4):
            pair.target.execute("create table if not exists noise (t text)")
            pair.target.execute("insert into noise select repeat('x', 1000) from generate_series(1, 5000)")
            pair.target.execute("select pg_switch_wal()")
        pair.target.execute("checkpoint")
        status = pair.rows("select wal_status from pg_replication_slots")
        assert status == [("lost",)]
        assert "invalidated" in lost(pair, rig).detail
        pair.close()


def test_a_run_that_goes_on_has_its_source_forget_before_that_gives_the_slot_up() -> None:
    """Snapshots are a minute apart, and in less than that more log is written than the source keeps."""
    settings = {"max_slot_wal_keep_size": "48MB", "max_wal_size": "64MB", "min_wal_size": "32MB"}
    with PostgresServer(newest(), settings=settings) as server:
        server.create_database("src")
        pair = Pair(server, "src", "postgres")
        make(pair)
        rig = pair.rig(["public.a"]).start().opens().copied()
        for _ in range(32):
            pair.source.execute("select pg_logical_emit_message(false, 'noise', repeat('x', 4000000))")
            pair.source.execute("checkpoint")
            time.sleep(0.5)
        pair.source.execute("update a set n = 7 where id = 2")
        rig.reaches(lambda: pair.arrived("select n from a where id = 2") == [(7,)])
        rig.pause()
        pair.close()
