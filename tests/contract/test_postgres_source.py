"""The source contract on the oldest and the newest PostgreSQL of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest

from fixtures.postgres import NewDatabase
from tidegate.connect.config import parse_config
from tidegate.sources import postgres
from tidegate.testing.servers import PostgresServer
from tidegate.testing.source_contract import SourceContract


class TestPostgresSource(SourceContract):
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

    @contextmanager
    def small_chunks(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(postgres, "CHUNK_BYTES", 1_000)
            patch.setattr(postgres, "CHUNK_ROWS_MIN", 50)
            yield
