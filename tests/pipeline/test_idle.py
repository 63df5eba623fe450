"""Idle tables beside a busy database, and a source that says little: the log moves on, and nobody is given up."""

from __future__ import annotations

import threading
import time

import pytest

from pipeline.pairs import Pair
from pipeline.rig import Rig
from tidegate.connect import pgassembly, pgreplication
from tidegate.connect.pgposition import parse_lsn
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import PostgresServer, newest


def make(pair: Pair, rows: int = 5) -> None:
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute(f"insert into a select i, i from generate_series(1, {rows}) i")


def test_the_slot_moves_on_while_only_other_tables_are_busy(each_pair: Pair) -> None:
    """B20: else the server would keep all its log for tables in which nothing happens."""
    pair = each_pair
    make(pair)
    pair.source.execute("create table public.busy (t text)")
    rig = pair.rig(["public.a"], snapshots={"every": "1s"}).start().opens().copied()
    for turn in range(2):
        pair.source.execute(f"insert into busy select repeat('x', 500) from generate_series(1, {4_000 + turn})")
        end = pair.rows("select pg_current_wal_flush_lsn()::text")[0][0]
        rig.reaches(lambda end=end: parse_lsn(pair.confirmed(rig)) >= parse_lsn(end), "the slot is past the busy table")
    assert rig.counters()["changes_read"] == 0


def test_the_slot_moves_on_while_only_another_database_is_busy(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.a"], snapshots={"every": "1s"}).start().opens().copied()
    pair.target.execute("create table public.busy (t text)")
    pair.target.execute("insert into busy select repeat('x', 500) from generate_series(1, 4000)")
    end = pair.rows("select pg_current_wal_flush_lsn()::text")[0][0]
    rig.reaches(lambda: parse_lsn(pair.confirmed(rig)) >= parse_lsn(end), "the slot is past the other database's log")


def test_a_table_comes_in_step_in_an_idle_database(each_pair: Pair) -> None:
    pair = each_pair
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    state = "select count(*) from tidegate.progress where key like 'chunk:%'"
    rig.desk.ask_snapshot("now")
    rig.reaches(lambda: any(s.state["tables"]["public.a"]["state"] == "in_step" for s in rig.snapshots) or asks(rig))
    pair.source.execute("update a set n = 0")
    rig.reaches(lambda: pair.equal("a"))
    assert pair.arrived(state) == [(0,)]


def asks(rig: Rig) -> bool:
    rig.desk.ask_snapshot("again")
    return False


def test_a_server_that_never_speaks_first_is_asked_before_it_is_given_up(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With wal_sender_timeout = 0 an idle server says nothing at all."""
    monkeypatch.setattr(pgreplication, "SILENCE_MAX_S", 1.5)
    make(pair)
    pair.source.execute("alter system set wal_sender_timeout = 0")
    pair.source.execute("select pg_reload_conf()")
    try:
        rig = pair.rig(["public.a"]).start().opens().copied()
        until = time.monotonic() + 4
        rig.reaches(lambda: time.monotonic() > until)
        pair.source.execute("update a set n = 0")
        rig.reaches(lambda: pair.equal("a"))
    finally:
        pair.source.execute("alter system reset wal_sender_timeout")
        pair.source.execute("select pg_reload_conf()")


def test_a_target_that_takes_long_does_not_cost_the_connection_to_the_source(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B16: the server is answered by time, whatever the writer is doing."""
    blocked = threading.Event()
    write = PostgresTarget.write

    def slow(self: PostgresTarget, *arguments: object) -> None:
        if blocked.is_set():
            blocked.clear()
            time.sleep(4)
        write(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresTarget, "write", slow)
    monkeypatch.setattr(pgassembly, "PART_CHANGES_MAX", 100)
    monkeypatch.setattr(pgreplication, "PARTS_WAIT_MAX", 1)
    monkeypatch.setattr(pgreplication, "BATCHES_WAIT_MAX", 1)
    with PostgresServer(newest(), settings={"wal_sender_timeout": "1s"}) as server:
        server.create_database("src")
        impatient = Pair(server, "src", "postgres")
        make(impatient)
        rig = impatient.rig(["public.a"]).start().opens().copied()
        blocked.set()
        impatient.source.execute("insert into a select i, i from generate_series(100, 30000) i")
        impatient.source.execute("update a set n = 0 where id < 1000")
        rig.reaches(lambda: impatient.equal("a"))
        assert "terminating walsender" not in server.log()
        impatient.close()
