"""The servers that all other tests stand on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tidegate.connect.postgres import PostgresConfig, connect
from tidegate.errors import EnvironmentLacking
from tidegate.testing.binaries import runnable_by_others
from tidegate.testing.servers import PostgresServer, available, until


@pytest.mark.parametrize("label", available())
def test_every_version_here_hands_out_its_log(label: str) -> None:
    with PostgresServer(available()[label]) as server, server.connect() as connection:
        connection.execute("create table t (id int primary key)")
        connection.execute("create publication p for table t")
        connection.execute("select pg_create_logical_replication_slot('s', 'pgoutput')")
        connection.execute("insert into t values (1)")
        messages = connection.execute(
            "select data from pg_logical_slot_peek_binary_changes("
            "'s', null, null, 'proto_version', '1', 'publication_names', 'p')"
        ).fetchall()
        assert [bytes(data[:1]) for (data,) in messages] == [b"B", b"R", b"I", b"C"]
        assert server.version[0] == connection.info.server_version // 10000


def test_what_was_committed_survives_a_killed_server_on_the_same_port(postgres: PostgresServer, database) -> None:
    name = database()
    with postgres.connect(name) as connection:
        connection.execute("create table t as select 1 as id")
        port = postgres.port
        postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    assert not postgres.running
    postgres.start()
    assert postgres.port == port
    assert postgres.execute("select id from t", name) == [(1,)]


def test_a_restart_can_change_settings() -> None:
    with PostgresServer(settings={"wal_level": "replica"}) as server:
        assert server.execute("show wal_level") == [("replica",)]
        server.restart(wal_level="logical")
        assert server.execute("show wal_level") == [("logical",)]


def test_a_password_is_asked_for_when_one_was_set() -> None:
    with PostgresServer(password="a secret") as server:
        server.create_user("reader", "another secret", attributes="login replication")
        with connect(PostgresConfig(**server.config()), "source") as connection:
            assert connection.execute("select current_user").fetchall() == [("postgres",)]
        with connect(PostgresConfig(**server.config(user="reader", password="another secret")), "source"):
            pass
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            server.connect(password="wrong")


def test_a_database_is_dropped_with_its_slots_and_sessions(postgres: PostgresServer) -> None:
    postgres.create_database("held")
    with postgres.connect("held") as connection:
        connection.execute("select pg_create_logical_replication_slot('held', 'pgoutput')")
        postgres.drop_database("held")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    assert postgres.execute("select count(*) from pg_replication_slots where database = 'held'") == [(0,)]
    assert postgres.execute("select count(*) from pg_database where datname = 'held'") == [(0,)]


def test_a_closed_server_leaves_no_files_and_no_process() -> None:
    server = PostgresServer().start()
    directory, pid = server.directory, server.pid
    assert directory is not None
    server.close()
    assert not directory.exists()
    assert not Path(f"/proc/{pid}").exists()
    server.close()


def test_a_server_dies_with_the_process_that_started_it() -> None:
    program = (
        "import os, signal\n"
        "from tidegate.testing.servers import PostgresServer\n"
        "server = PostgresServer().start()\n"
        "print(server.directory, server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    directory, pid = ended.stdout.split()
    until(lambda: not Path(directory).exists(), "the directory to be removed", 20)
    assert not Path(f"/proc/{pid}").exists()


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(EnvironmentLacking, match="shared_buffers"), PostgresServer(settings={"shared_buffers": "x"}):
        pass


def test_programs_closed_to_other_users_are_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    programs = closed / "lib" / "package" / "install" / "bin"
    programs.mkdir(parents=True)
    (programs / "postgres").write_text("#!/bin/sh\n")
    (programs / "postgres").chmod(0o755)
    libraries = closed / "lib" / "package.libs"
    libraries.mkdir()
    (libraries / "libpq.so").write_text("library")
    closed.chmod(0o700)
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    monkeypatch.setattr("tidegate.testing.binaries._open_to_all", lambda folder: folder.is_relative_to(shared))
    copy = runnable_by_others(programs)
    assert copy.is_relative_to(shared)
    assert (copy / "postgres").exists()
    assert (copy.parents[2] / "package.libs" / "libpq.so").exists()
    assert runnable_by_others(programs) == copy
    assert [entry.name for entry in shared.iterdir()] == [f"tidegate-postgres-{os.getuid()}"]


def test_a_cache_folder_that_others_may_write_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "postgres").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("tidegate.testing.binaries._open_to_all", lambda folder: False)
    planted = tmp_path / f"tidegate-postgres-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    with pytest.raises(EnvironmentLacking, match="remove it"):
        runnable_by_others(programs)
