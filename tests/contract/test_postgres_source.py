"""The source contract on the oldest and the newest PostgreSQL of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar

import psycopg
import pytest

from fixtures.postgres import NewDatabase
from tidegate.connect import pgedges
from tidegate.connect.config import parse_config
from tidegate.sources import postgres
from tidegate.testing.servers import PostgresServer
from tidegate.testing.source_contract import SourceContract


class TestPostgresSource(SourceContract):
    partitioned = (
        "create table t (id int primary key, note varchar(100)) partition by range (id)",
        "create table t_1 partition of t for values from (1) to (2); create table t_2 partition of t default",
        "insert into t values (1, 'a'), (2, 'b')",
    )
    unlogged: ClassVar = {
        "left": "drop table t_1",
        "emptied": "truncate t_1",
        "rewritten": "vacuum full t_1",
        "attached": "alter table t detach partition t_1; alter table t attach partition t_1 for values from (1) to (2)",
    }

    @pytest.fixture(autouse=True, params=["oldest", "newest"])
    def _server(self, request: pytest.FixtureRequest, database: NewDatabase) -> None:
        self.server: PostgresServer = request.getfixturevalue(f"postgres_{request.param}")
        self.name = database(self.server)

    def source(self) -> postgres.PostgresSource:
        return postgres.PostgresSource(
            parse_config(postgres.PostgresConfig, self.server.config(self.name), of="source")
        )

    def session(self) -> AbstractContextManager[psycopg.Connection]:
        return self.server.connect(self.name)

    def test_a_user_who_reads_only_by_default_can_be_followed(self) -> None:
        table, setting = self.table(), "default_transaction_read_only"
        self.execute(f"alter database {self.name} set {setting} = on")
        try:
            assert [check for check in self.fresh().check() if not check.ok] == []
            self.begun(table)
        finally:
            self.execute(f"set {setting} = off", f"alter database {self.name} reset {setting}")

    @contextmanager
    def small_chunks(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pgedges, "CHUNK_BYTES", 1_000)
            patch.setattr(pgedges, "CHUNK_ROWS_MIN", 50)
            yield
