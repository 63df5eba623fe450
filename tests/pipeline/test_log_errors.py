"""What is said when reading the source's log ends: where it was read, and why, without secrets."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from fixtures.postgres import NewDatabase
from tidegate.connect.config import parse_config
from tidegate.connect.pgreplication import PgLog
from tidegate.errors import SourceUnreachable, TidegateError
from tidegate.model.schema import TableName
from tidegate.sources.postgres import PostgresSource
from tidegate.testing.servers import PostgresServer

RUN = "c0ffee_t1r1"
DEADLINE_S = 60


class Following:
    """A source whose log is being read."""

    def __init__(self, server: PostgresServer, database: str) -> None:
        self.server = server
        self.place = f"{server.host}:{server.port}/{database}"
        address = {"host": server.host, "port": server.port, "database": database}
        config = parse_config(PostgresSource.Config, address | {"user": "postgres", "password": "canary"}, of="shop")
        self.source = PostgresSource(config)
        with server.connect(database) as admin:
            admin.execute("create table t (id int primary key)")
        self.log = self.source.log(RUN, self.source.begin(RUN, [TableName("public", "t")]))

    def ended(self) -> TidegateError:
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until:
            try:
                self.log.take(0.1)
            except TidegateError as error:
                return error
        raise AssertionError(f"the log did not end within {DEADLINE_S} s")


@pytest.fixture
def following(postgres: PostgresServer, database: NewDatabase) -> Iterator[Following]:
    made = Following(postgres, database(postgres))
    yield made
    made.log.close()
    made.source.end(RUN)
    made.source.close()


def test_a_connection_that_broke_is_told_with_its_place_and_libpqs_words(following: Following) -> None:
    assert isinstance(following.log, PgLog)
    with socket.socket(fileno=os.dup(following.log._connection.socket)) as same:
        same.shutdown(socket.SHUT_RDWR)
    error = following.ended()
    assert isinstance(error, SourceUnreachable)
    assert following.place in error.detail
    assert "OperationalError" not in error.detail
    assert "connection" in error.detail
    assert "canary" not in error.detail


def test_a_server_that_ends_the_log_is_named(following: Following) -> None:
    with following.server.connect("postgres") as admin:
        admin.execute(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s",
            (f"tidegate_{RUN}",),
        )
    error = following.ended()
    assert isinstance(error, SourceUnreachable)
    assert error.detail.count(following.place) == 1
