"""The target contract on the oldest and the newest PostgreSQL of this machine, and what only PostgreSQL has."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tidegate.connect.config import parse_config
from tidegate.connect.postgres import PostgresConfig, connect, quoted
from tidegate.connect.target import TargetTable
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import PostgresServer
from tidegate.testing.target_contract import TargetContract

DATABASE = "target_contract"

# Much quicker than a new database for each test.
EMPTY = """
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
END $$
"""


@pytest.fixture(scope="module", params=["oldest", "newest"])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    server: PostgresServer = request.getfixturevalue(f"postgres_{request.param}")
    server.create_database(DATABASE)
    yield server
    server.drop_database(DATABASE)


@pytest.fixture
def config(server: PostgresServer) -> PostgresConfig:
    server.execute(EMPTY, DATABASE)
    return parse_config(PostgresConfig, server.config(DATABASE), of="target")


class TestPostgresTarget(TargetContract):
    @pytest.fixture(autouse=True)
    def _place(self, config: PostgresConfig) -> None:
        self.config = config

    def target(self) -> PostgresTarget:
        return PostgresTarget(self.config)

    def rows(self, table: TargetTable) -> list[dict[str, str | None]]:
        with connect(self.config, "target") as connection:
            result = connection.execute(f"SELECT * FROM {quoted(table.schema, table.name)}")
            return texts(result)


def texts(cursor: psycopg.Cursor[tuple[object, ...]]) -> list[dict[str, str | None]]:
    """The rows as the server spelled them, before any conversion."""
    names = [column.name for column in cursor.description or []]
    found = cursor.pgresult
    assert found is not None
    cells = [[found.get_value(row, place) for place in range(len(names))] for row in range(found.ntuples)]
    return [{n: None if c is None else c.decode() for n, c in zip(names, row, strict=True)} for row in cells]
