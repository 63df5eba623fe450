"""A source and a target on servers of their own, so that one can fall while the other stands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg

from faults.keeping import quietly
from pipeline.pairs import DuckPair, FromPostgres, Pair
from tidegate.connect.config import parse_config
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import PostgresServer

AGAIN_DEADLINE_S = 60.0


def connected(server: PostgresServer, database: str) -> psycopg.Connection[Any]:
    """A connection to a server that may only be coming up."""
    until = time.monotonic() + AGAIN_DEADLINE_S
    while True:
        try:
            return server.connect(database)
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


class _Fallible(FromPostgres):
    """`source` is connected again after the server fell."""

    @property
    def source(self) -> psycopg.Connection[Any]:  # type: ignore[override]
        try:
            self._source.execute("select")
        except psycopg.OperationalError:
            quietly(self._source)
            self._source = connected(self.server, self.source_name)
        except psycopg.Error:
            pass  # inside a failed transaction, which is the test's own business
        return self._source

    @source.setter
    def source(self, connection: psycopg.Connection[Any]) -> None:
        self._source = connection

    def close(self) -> None:
        for rig in self.rigs:
            rig.close()
        quietly(self._source)

    def crash(self) -> None:
        """Kill the source's server and start it again."""
        quietly(self._source)
        self.server.kill()
        self.server.start()
        self._source = connected(self.server, self.source_name)


class Apart(_Fallible, Pair):
    """PostgreSQL to PostgreSQL; the target is `database` of `target_server`."""

    def __init__(
        self, source_server: PostgresServer, target_server: PostgresServer, database: str, source: str = "postgres"
    ) -> None:
        FromPostgres.__init__(self, source_server, source)
        self.target_server, self.target_name = target_server, database
        self._target = target_server.connect(database)
        self.target_config = parse_config(PostgresTarget.Config, target_server.config(database), of="dst")

    @property
    def target(self) -> psycopg.Connection[Any]:  # type: ignore[override]
        try:
            self._target.execute("select")
        except psycopg.OperationalError:
            quietly(self._target)
            self._target = connected(self.target_server, self.target_name)
        return self._target

    def close(self) -> None:
        super().close()
        quietly(self._target)


class ApartDuck(_Fallible, DuckPair):
    """PostgreSQL to a DuckDB file."""

    def __init__(self, source_server: PostgresServer, path: Path, source: str = "postgres") -> None:
        DuckPair.__init__(self, source_server, source, path)
