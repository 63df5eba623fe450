"""The MariaDB servers that other tests stand on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pymysql
import pytest

from tidegate.errors import EnvironmentLacking
from tidegate.testing.mariadb import MariadbServer, processor_time
from tidegate.testing.mariadb_binaries import available
from tidegate.testing.servers import until

pytestmark = pytest.mark.skipif(not available(), reason="no MariaDB server programs on this machine")


def test_it_hands_out_its_log_by_rows_with_names(mariadb: MariadbServer) -> None:
    settings = mariadb.execute("SELECT @@log_bin, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata")
    assert settings == [(1, "ROW", "FULL", "FULL")]
    mariadb.execute("FLUSH BINARY LOGS")
    assert (mariadb.data / "log.000002").exists()


def test_what_was_committed_survives_a_killed_server_on_the_same_port(
    mariadb: MariadbServer, mariadb_database: Callable[[], str]
) -> None:
    name = mariadb_database()
    with mariadb.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t AS SELECT 1 AS id")
        port = mariadb.port
        mariadb.kill()
        with pytest.raises(pymysql.OperationalError):
            cursor.execute("SELECT 1")
    assert not mariadb.running
    mariadb.start()
    assert mariadb.port == port
    assert mariadb.execute("SELECT id FROM t", name) == [(1,)]


def test_settings_can_be_given_and_changed_by_a_restart() -> None:
    with MariadbServer(settings={"log_bin": None}) as server:
        assert server.execute("SELECT @@log_bin, @@binlog_format") == [(0, "ROW")]
        server.restart(binlog_format="MIXED")
        assert server.execute("SELECT @@log_bin, @@binlog_format") == [(0, "MIXED")]


def test_only_who_has_the_password_comes_in_over_the_network(mariadb: MariadbServer) -> None:
    mariadb.create_user("reader", "another secret", grants="SELECT ON *.*")
    with mariadb.connect(user="reader", password="another secret") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user()")
        assert cursor.fetchall() == (("reader@127.0.0.1",),)
    for user in ("reader", "tidegate", "root", "nobody"):
        with pytest.raises(pymysql.OperationalError, match="Access denied"):
            mariadb.connect(user=user, password="wrong")
    mariadb.execute("DROP USER 'reader'@'127.0.0.1'")


def test_a_server_dies_with_the_process_that_started_it() -> None:
    program = (
        "import os, signal\n"
        "from tidegate.testing.mariadb import MariadbServer\n"
        "server = MariadbServer().start()\n"
        "print(server.directory, server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    directory, pid = ended.stdout.split()
    until(lambda: not Path(directory).exists(), "the directory to be removed", 30)
    assert not Path(f"/proc/{pid}").exists()


def test_a_closed_server_leaves_no_files_and_a_second_close_does_nothing() -> None:
    server = MariadbServer().start()
    directory, pid = server.directory, server.pid
    assert directory is not None
    server.close()
    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)
    server.close()


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(EnvironmentLacking, match="no_such_setting"), MariadbServer(settings={"no_such_setting": 1}):
        pass


def test_a_server_that_is_starved_while_it_starts_is_waited_for() -> None:
    """Held still again and again, as by a machine that has other things to do, for longer in all than its deadline."""
    server = MariadbServer(start_deadline_s=2)
    over = threading.Event()

    def starve() -> None:
        for _ in range(8):
            until(lambda: server.running or over.is_set(), "its process", 60)
            with contextlib.suppress(ProcessLookupError, EnvironmentLacking):
                used = processor_time(server.pid)
                until(lambda used=used: processor_time(server.pid) != used or over.is_set(), "it gets on", 30)  # type: ignore[misc]
                os.kill(server.pid, signal.SIGSTOP)
                over.wait(0.4)
                os.kill(server.pid, signal.SIGCONT)

    thread = threading.Thread(target=starve)
    thread.start()
    try:
        began = time.monotonic()
        with server:
            assert time.monotonic() - began > server.start_deadline_s
            assert server.execute("SELECT 1") == [(1,)]
    finally:
        over.set()
        thread.join()


def test_a_server_that_hangs_while_it_starts_is_given_up() -> None:
    server = MariadbServer(start_deadline_s=1)
    server._create()
    launched = threading.Event()

    def hang() -> None:
        until(lambda: server.running, "its process", 30)
        os.kill(server.pid, signal.SIGSTOP)
        launched.set()

    thread = threading.Thread(target=hang)
    thread.start()
    with pytest.raises(EnvironmentLacking, match="did not start"):
        server.start()
    thread.join()
    assert launched.is_set()
    assert not server.running
    server.close()
