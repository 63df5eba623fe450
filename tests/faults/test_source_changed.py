"""Somebody changes the source under a run: nothing is missed, and where it cannot go on it says which thing to mend."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from faults.keeping import kept
from pipeline.pairs import Pair
from pipeline.rig import Rig, eventually
from pipeline.steering import Steering
from tidegate.connect.config import parse_config
from tidegate.connect.pgposition import lsn_text, parse_lsn
from tidegate.errors import (
    PositionLost,
    Retry,
    SourceLogDisabled,
    SourcePrivilegeMissing,
    SourceSlotBusy,
    SourceUnreachable,
    TidegateError,
)
from tidegate.sources.postgres import PostgresSource
from tidegate.testing.servers import PostgresServer, newest


def make(pair: Pair, rows: int = 50) -> None:
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute(f"insert into a select i, i from generate_series(1, {rows}) i")


def following(pair: Pair, **more: object) -> Rig:
    make(pair)
    return pair.rig(["public.a"], snapshots={"every": "1s"}, **more).start().opens().copied()


# --- the publication ---


@pytest.mark.parametrize(
    "change",
    [
        "alter publication {0} set (publish = 'insert')",
        "alter publication {0} set (publish = 'insert, update, delete')",
        "alter publication {0} set table public.a (id)",
        "alter publication {0} set table public.a where (id < 1000)",
        "alter publication {0} set (publish_via_partition_root = false)",
        "alter publication {0} drop table public.a",
    ],
)
@pytest.mark.parametrize("while_running", [True, False], ids=["running", "paused"])
def test_a_publication_that_no_longer_tells_everything_ends_the_run(
    pair: Pair, change: str, while_running: bool
) -> None:
    rig = following(pair)
    if not while_running:
        rig.pause()
    pair.source.execute(change.format(f"tidegate_{rig.run}"))
    pair.source.execute("update a set n = -1 where id = 1")
    if not while_running:
        rig.start()
    error = rig.fails()
    assert isinstance(error, PositionLost), error
    assert f"tidegate_{rig.run}" in error.detail or "public.a" in error.detail
    assert "Run it again" in error.advice


@pytest.mark.parametrize(
    ("change", "undone"),
    [
        ("alter publication {0} drop table public.a", "alter publication {0} add table only public.a"),
        ("alter publication {0} set (publish = 'insert')", "alter publication {0} set (publish = {1})"),
        ("alter publication {0} set table public.a where (id < 0)", "alter publication {0} set table only public.a"),
    ],
)
@pytest.mark.parametrize("while_running", [True, False], ids=["running", "paused"])
def test_a_publication_that_did_not_tell_everything_for_a_while_ends_the_run(
    pair: Pair, change: str, undone: str, while_running: bool
) -> None:
    rig = following(pair)
    if not while_running:
        rig.pause()
    every = "'insert, update, delete, truncate'"
    pair.source.execute(change.format(f"tidegate_{rig.run}"))
    pair.source.execute("update a set n = -1 where id = 1")
    pair.source.execute(undone.format(f"tidegate_{rig.run}", every))
    if not while_running:
        rig.start()
    error = rig.fails()
    assert isinstance(error, PositionLost), error
    assert "public.a" in error.detail
    assert "Run it again" in error.advice


def test_a_table_made_again_and_put_back_into_the_publication_ends_the_run(pair: Pair) -> None:
    rig = following(pair)
    rig.pause()
    pair.source.execute("drop table a")
    make(pair, rows=3)
    pair.source.execute(f"alter publication tidegate_{rig.run} add table public.a")
    error = rig.start().fails()
    assert isinstance(error, PositionLost), error


@pytest.mark.parametrize("while_running", [True, False], ids=["running", "paused"])
def test_tables_that_changed_names_with_each_other_end_the_run(pair: Pair, while_running: bool) -> None:
    make(pair)
    pair.source.execute("create table b as select id, -n as n from a; alter table b add primary key (id)")
    rig = pair.rig(["public.a", "public.b"], snapshots={"every": "1s"}).start().opens().copied()
    if not while_running:
        rig.pause()
    pair.source.execute(
        "begin; alter table a rename to c; alter table b rename to a; alter table c rename to b; commit"
    )
    pair.source.execute("update a set n = 7 where id = 1")
    if not while_running:
        rig.start()
    error = rig.fails()
    assert isinstance(error, PositionLost), error


def test_a_table_put_into_the_publication_by_hand_before_it_joins_is_followed(pair: Pair) -> None:
    make(pair)
    pair.source.execute("create table item_b as select * from a; alter table item_b add primary key (id)")
    rig = pair.rig(["public.a"]).start().opens().copied()
    rig.pause()
    pair.source.execute(f"alter publication tidegate_{rig.run} add table only public.item_b")
    rig.task = pair.rig(["public.a", "public.item_b"]).task
    rig.start().opens().reaches(lambda: pair.equal("item_b"))
    pair.source.execute("update item_b set n = -1; update a set n = -2")
    rig.reaches(lambda: pair.equal("item_b") and pair.equal("a"))
    rig.pause()
    rig.start().opens().copied()


# --- privileges ---


@pytest.fixture
def reader(pair: Pair) -> Iterator[str]:
    """The data source's user is an ordinary one with what a run needs."""
    name = f"reader_{pair.source_name}"
    pair.server.create_user(name, attributes="login replication")
    make(pair)
    pair.source.execute(f"grant create on database {pair.source_name} to {name}; alter table a owner to {name}")
    pair.source_config = parse_config(PostgresSource.Config, pair.server.config(pair.source_name, user=name), of="src")
    yield name
    for rig in pair.rigs:
        rig.close()
    pair.source.execute(f"alter role {name} superuser")
    pair.source.execute(f"reassign owned by {name} to postgres; drop owned by {name}; drop role {name}")


def test_select_revoked_during_the_copy_ends_the_run_by_name(pair: Pair, reader: str) -> None:
    steering = Steering()
    steering.holds = lambda keys: True
    pair.source_class = steering.source_class()
    rig = pair.rig(["public.a"]).start().opens()
    pair.source.execute(
        f"alter table a owner to postgres; grant select on a to {reader}; revoke select on a from {reader}"
    )
    steering.holds = lambda keys: False
    error = rig.fails()
    assert isinstance(error, SourcePrivilegeMissing), error
    assert "table a" in error.detail
    pair.source.execute(f"alter table a owner to {reader}; grant select on a to {reader}")
    pair.source.execute("update a set n = -1 where id = 1")
    rig.start().opens().copied()
    rig.reaches(lambda: pair.equal("a"))


def test_replication_revoked_ends_the_run_by_name_when_it_connects_anew(pair: Pair, reader: str) -> None:
    rig = pair.rig(["public.a"])
    with kept(rig) as keeper:
        keeper.copied()
        pair.source.execute(f"alter role {reader} noreplication")
        pair.source.execute("select pg_terminate_backend(active_pid) from pg_replication_slots where active")
        error = keeper.fails()
    assert isinstance(error, SourcePrivilegeMissing), error
    assert "REPLICATION" in error.detail
    pair.source.execute(f"alter role {reader} replication")
    pair.source.execute("update a set n = -1 where id = 1")
    rig.start().opens()
    rig.reaches(lambda: pair.equal("a"))


# --- the slot ---


class Taker:
    """Another consumer that holds a run's slot and reads nothing from it."""

    def __init__(self, server: PostgresServer, database: str, slot: str, start: str) -> None:
        self._server, self._database, self._slot, self._start = server, database, slot, start
        self._connection: psycopg.Connection | None = None
        self.took = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while not self._over.is_set():
            connection = self._server.connect(self._database, replication="database")
            command = (
                f'START_REPLICATION SLOT "{self._slot}" LOGICAL {self._start}'
                f" (proto_version '1', publication_names '{self._slot}')"
            )
            answer = connection.pgconn.exec_(command.encode())
            if answer.status == psycopg.pq.ExecStatus.COPY_BOTH:
                self.took += 1
                while not self._over.is_set() and self._alive():
                    time.sleep(0.02)
            connection.close()
            time.sleep(0.005)

    def _alive(self) -> bool:
        query = f"select active from pg_replication_slots where slot_name = '{self._slot}'"
        return bool(self._server.execute(query, self._database)[0][0])

    def close(self) -> None:
        self._over.set()
        self._thread.join(30)


def test_a_slot_that_somebody_else_holds_is_waited_for_and_named(
    pair: Pair, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user may not end the other's session."""
    monkeypatch.setattr("tidegate.sources.postgres.SLOT_FREE_DEADLINE_S", 0.5)
    rig = pair.rig(["public.a"]).start().opens().copied()
    rig.pause()
    slot = f"tidegate_{rig.run}"
    taker = Taker(pair.server, pair.source_name, slot, "0/0")
    try:
        eventually(lambda: taker.took == 1, "the slot is taken")
        rig.start()
        error = rig.fails()
        assert isinstance(error, SourceSlotBusy), error
        assert error.retry is Retry.LATER
        assert slot in error.detail
    finally:
        taker.close()
    pair.source.execute("update a set n = -1 where id = 1")
    with kept(rig) as keeper:
        keeper.reaches(lambda: pair.equal("a"), "it goes on")


def test_a_slot_whose_session_is_ended_goes_on(pair: Pair) -> None:
    rig = following(pair, write="append")
    rig.cut()
    with kept(rig) as keeper:
        for turn in range(5):
            pair.source.execute(
                f"insert into a select i, 0 from generate_series({1001 + turn * 10}, {1010 + turn * 10}) i"
            )
            pair.source.execute("select pg_terminate_backend(active_pid) from pg_replication_slots where active")
            rows = 50 + (turn + 1) * 10
            keeper.reaches(
                lambda rows=rows: pair.arrived("select count(*), count(distinct id) from a") == [(rows, rows)], "rows"
            )
        assert all(isinstance(error, SourceUnreachable) for error in keeper.passing), keeper.reasons()


def test_a_log_that_ends_before_the_position_is_lost(pair: Pair) -> None:
    """A server put back to an older state without a timeline of its own."""
    rig = following(pair)
    rig.pause()
    end = parse_lsn(pair.rows("select pg_current_wal_insert_lsn()::text")[0][0])
    ahead = lsn_text(end + (1 << 30))
    pair.target.execute("update tidegate.position set position = %s", (ahead,))
    rig.start()
    error = rig.fails()
    assert isinstance(error, PositionLost), error
    assert ahead in error.detail


# --- what the server is set to ---


def test_sessions_that_idle_or_last_are_not_ended_by_the_servers_limits(pair: Pair) -> None:
    """Limits an administrator sets for a database must not end a copy or an idle run."""
    for name in (pair.source_name, pair.target_name):
        for limit in (
            "idle_session_timeout",
            "idle_in_transaction_session_timeout",
            "statement_timeout",
            "transaction_timeout",
        ):
            pair.source.execute(f"alter database {name} set {limit} = '400ms'")
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair)
    steering.holds_rows = lambda keys: True
    rig = pair.rig(["public.a"]).start().opens()
    time.sleep(1)
    steering.holds_rows = lambda keys: False
    rig.copied()
    time.sleep(1)
    pair.source.execute("update a set n = -1 where id = 1")
    rig.reaches(lambda: pair.target.closed or pair.equal("a"))


def test_a_log_level_too_low_is_named(postgres: PostgresServer, database: Callable[..., str]) -> None:
    with PostgresServer(newest(), settings={"wal_level": "replica"}) as server:
        server.create_database("src")
        pair = Pair(server, "src", "postgres")
        make(pair)
        rig = pair.rig(["public.a"]).start()
        error = rig.fails()
        assert isinstance(error, SourceLogDisabled), error
        assert pair.rows("select count(*) from pg_publication") == [(0,)]
        pair.close()


def test_a_log_level_lowered_under_a_run_keeps_the_server_down_and_loses_nothing(
    postgres: PostgresServer, database: Callable[..., str]
) -> None:
    """The server itself refuses to start while a slot needs the higher level; put back, the run goes on."""
    with PostgresServer(newest()) as server:
        server.create_database("src")
        pair = Pair(server, "src", "postgres")
        rig = following(pair)
        pair.source.execute("update a set n = -1 where id = 1")
        rig.reaches(lambda: pair.equal("a"))
        pair.source.close()
        pair.target.close()
        with pytest.raises(TidegateError, match="wal_level"):
            server.restart(wal_level="replica")
        assert isinstance(rig.fails(), SourceUnreachable)
        server.settings["wal_level"] = "logical"
        server.start()
        pair.source, pair.target = server.connect("src"), server.connect("postgres")
        pair.source.execute("update a set n = -2 where id = 2")
        rig.start().opens()
        rig.reaches(lambda: pair.equal("a"))
        pair.close()


# --- the replica identity ---


def test_a_replica_identity_taken_away_loses_nothing(pair: Pair) -> None:
    """The server refuses the updates it could not log; what it takes arrives."""
    rig = following(pair)
    pair.source.execute("alter table a replica identity nothing")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        pair.source.execute("update a set n = -1 where id = 1")
    pair.source.execute("insert into a values (1001, 0)")
    rig.reaches(lambda: pair.equal("a"))
    rig.pause()
    pair.source.execute("insert into a values (1002, 0)")
    pair.source.execute("alter table a replica identity full; update a set n = -1; delete from a where id = 5")
    rig.start().opens()
    rig.reaches(lambda: pair.equal("a"))
    pair.source.execute("alter table a replica identity default; update a set id = id + 5000 where id < 10")
    rig.reaches(lambda: pair.equal("a"))
