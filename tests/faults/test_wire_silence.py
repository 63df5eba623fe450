"""Networks that take bytes and lose them: no wait is for ever, and a statement that takes long is no silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from faults.keeping import kept
from faults.wired import TABLES, Wired, Workload, becomes_exact, newest
from tidegate.connect import pgreplication, pgsender, pgwatch
from tidegate.connect.postgres import PostgresConfig, connect, conninfo
from tidegate.errors import SourceUnreachable, TargetUnreachable, TidegateError
from tidegate.testing import wire
from tidegate.testing.proxy import COMMIT, Proxy, Then, behind
from tidegate.testing.servers import PostgresServer

SEED = 61


@pytest.fixture
def wired(postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Wired]:
    pair = Wired(postgres, database(), database(), seed=SEED)
    yield pair
    pair.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgwatch, "SILENCE_S", 0.4)
    monkeypatch.setattr(pgwatch, "ASK_DEADLINE_S", 5.0)


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_target_that_swallows_everything_ends_the_write_and_loses_nothing(wired: Wired, write: str) -> None:
    work = Workload(wired, SEED, ledger_rows=50)
    rig = wired.rig(TABLES, write=write)
    with kept(rig) as keeper:
        keeper.copied()
        work.start()
        keeper.reaches(lambda: newest(wired) > 60, "some transactions")
        wired.to_target.black_hole()
        keeper.reaches(lambda: bool(keeper.passing), "the write ends")
        assert isinstance(keeper.passing[0], TargetUnreachable)
        wired.to_target.heal()
        wired.to_target.reset()
        work.end()
        becomes_exact(wired, write, keeper.reaches)


@pytest.mark.parametrize("then", [Then.STALL, Then.SWALLOW])
def test_a_commit_whose_answer_is_lost_is_not_waited_for(wired: Wired, then: Then) -> None:
    """One connection is broken, others are well: the server says that it waits for the client."""
    work = Workload(wired, SEED, ledger_rows=50)
    rig = wired.rig(TABLES, write="append")
    with kept(rig) as keeper:
        keeper.copied()
        lost = wired.to_target.when(wired.to_target.up, COMMIT, then)
        stuck = wired.to_target.when(wired.to_target.down, behind(rb"COMMIT\x00Z"), Then.SWALLOW)
        work.write(5)
        keeper.reaches(lambda: bool(keeper.passing), "the commit ends")
        assert isinstance(keeper.passing[0], TargetUnreachable)
        assert lost.fired + stuck.fired
        becomes_exact(wired, "append", keeper.reaches)


def test_a_source_that_swallows_everything_ends_the_copy_and_loses_nothing(wired: Wired) -> None:
    work = Workload(wired, SEED, ledger_rows=2_000)
    rig = wired.rig(TABLES, write="append")
    swallowed = wired.to_source.when(wired.to_source.down, behind(b"CopyOut|H\x00\x00\x00"), Then.SWALLOW, times=1)
    with kept(rig) as keeper:
        work.write(5)
        keeper.reaches(lambda: swallowed.fired == 1, "a chunk is swallowed")
        becomes_exact(wired, "append", keeper.reaches)


def test_a_statement_that_takes_long_is_no_silence(postgres: PostgresServer, database: Callable[..., str]) -> None:
    name = database()
    with Proxy((postgres.host, postgres.port)) as proxy:
        config = PostgresConfig(**(postgres.config(name) | {"port": proxy.port}))
        with connect(config, "target") as connection:
            began = time.monotonic()
            assert connection.execute("select 1 from pg_sleep(3)").fetchone() == (1,)
            assert time.monotonic() - began >= 3
        assert proxy.counts.connections >= 4  # the server was asked


def test_an_answer_that_comes_slowly_is_no_silence(postgres: PostgresServer, database: Callable[..., str]) -> None:
    name = database()
    with Proxy((postgres.host, postgres.port)) as proxy:
        config = PostgresConfig(**(postgres.config(name) | {"port": proxy.port}))
        with connect(config, "source") as connection:
            proxy.down.rate_bytes_s = 4_000
            found = connection.execute("select repeat('x', 10000)").fetchone()
            assert found is not None
            assert len(found[0]) == 10_000


def test_rows_that_leave_slowly_are_no_silence(
    postgres: PostgresServer, database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgwatch, "SILENCE_S", 1.0)
    monkeypatch.setattr(wire, "HELD_BYTES_MAX", 16_000)  # what the proxy holds has left, and nothing is heard of it
    name = database()
    with Proxy((postgres.host, postgres.port)) as proxy:
        config = PostgresConfig(**(postgres.config(name) | {"port": proxy.port}))
        with connect(config, "target") as connection:
            connection.execute("create table public.t (a text)")
            proxy.up.rate_bytes_s = 400_000
            with connection.cursor() as cursor, cursor.copy("copy public.t from stdin") as copy:
                for _ in range(2_000):
                    copy.write(b"x" * 999 + b"\n")
            assert connection.execute("select count(*) from public.t").fetchone() == (2_000,)


@pytest.mark.parametrize("role", ["source", "target"])
def test_a_connection_that_is_taken_and_never_served_ends(postgres: PostgresServer, role: str) -> None:
    with Proxy((postgres.host, postgres.port)) as proxy:
        proxy.black_hole()
        config = PostgresConfig(**(postgres.config() | {"port": proxy.port, "connect_timeout_s": 2}))
        with pytest.raises((SourceUnreachable, TargetUnreachable)) as caught:
            connect(config, role)  # type: ignore[arg-type]
        assert isinstance(caught.value, TidegateError)
        assert caught.value.code == f"{role}.unreachable"


def test_a_statement_whose_answer_is_lost_ends_even_if_nobody_can_be_asked(
    postgres: PostgresServer, database: Callable[..., str]
) -> None:
    name = database()
    with Proxy((postgres.host, postgres.port)) as proxy:
        config = PostgresConfig(**(postgres.config(name) | {"port": proxy.port, "connect_timeout_s": 2}))
        connection = connect(config, "target")
        proxy.black_hole()
        with pytest.raises(psycopg.OperationalError, match="not at work"):
            connection.execute("select 1")
        assert connection.closed


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_log_that_falls_silent_is_followed_again_exactly(
    wired: Wired, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgreplication, "SILENCE_MAX_S", 3.0)
    work = Workload(wired, SEED, ledger_rows=50)
    rig = wired.rig(TABLES, write=write)
    with kept(rig) as keeper:
        keeper.copied()
        work.start()
        keeper.reaches(lambda: newest(wired) > 60, "some transactions")
        # Only the log's connection: it is the one that is sent changes.
        silent = wired.to_source.when(wired.to_source.down, behind(rb"d\x00\x00..w"), Then.SWALLOW)
        keeper.reaches(lambda: bool(keeper.passing), "the silence is noticed")
        assert silent.fired == 1
        assert isinstance(keeper.passing[0], SourceUnreachable)
        assert "silent" in keeper.passing[0].detail
        work.end()
        becomes_exact(wired, write, keeper.reaches)


def test_a_server_that_does_not_begin_to_send_the_log_is_not_waited_for(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgsender, "ANSWER_DEADLINE_S", 3.0)
    work = Workload(wired, SEED, ledger_rows=50)
    swallowed = wired.to_source.when(wired.to_source.up, behind(rb"START_REPLICATION"), Then.SWALLOW)
    rig = wired.rig(TABLES)
    with kept(rig) as keeper:
        keeper.reaches(lambda: bool(keeper.passing), "the silence is noticed")
        assert swallowed.fired == 1
        assert isinstance(keeper.passing[0], SourceUnreachable)
        work.write(3)
        becomes_exact(wired, "upsert", keeper.reaches)


def test_connecting_to_the_log_of_a_silent_source_stops_nobody_else(postgres: PostgresServer) -> None:
    """A worker's heartbeats go on meanwhile."""
    beats: list[float] = []
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.02):
            beats.append(time.monotonic())

    with Proxy((postgres.host, postgres.port)) as proxy:
        proxy.black_hole()
        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        config = PostgresConfig(**(postgres.config() | {"port": proxy.port, "connect_timeout_s": 2}))
        with pytest.raises(SourceUnreachable):
            pgsender.opened(conninfo(config, replication="database"))
        over.set()
        thread.join()
    assert len(beats) > 20
