"""Where the shop is: the server that the demo's tasks read from."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Protocol

import psycopg

from tidegate.demo import proof, shop
from tidegate.testing.servers import PostgresServer


class Origin(Protocol):
    """What is asked of it; connections have the methods of psycopg's that the demo uses."""

    kind: str
    """Of the data source."""
    follower: str
    """What a task that follows its log is there."""
    tells_commit_times: bool
    """Whether its log has them more exactly than in seconds."""
    alike: Mapping[str, str]
    """How it spells the shop's values as DuckDB does."""

    @property
    def title(self) -> str: ...

    def start(self, stack: ExitStack) -> int:
        """Start it and fill the shop; how many rows there are."""

    def config(self) -> dict[str, Any]:
        """Of the data source."""

    def connect(self) -> Any: ...

    def people(self) -> tuple[str, str]:
        """The module that is the workload, and what its environment is to say."""

    def log_end(self, connection: Any) -> str: ...

    def reached(self, position: str, end: str) -> bool:
        """Whether a task's position is at an end of the log, or past it."""

    def followers(self, connection: Any) -> int: ...


class PostgresOrigin:
    """See `Origin`. The server is started by somebody else: the warehouse is on it too."""

    kind = "postgres"
    follower = "replication slot"
    tells_commit_times = True
    alike: Mapping[str, str] = proof.IN_POSTGRES

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    @property
    def title(self) -> str:
        major, minor = self._server.version
        return f"PostgreSQL {major}.{minor}"

    def start(self, stack: ExitStack) -> int:
        self._server.create_database(shop.SOURCE)
        with self.connect() as connection:
            return shop.fill(connection)

    def config(self) -> dict[str, Any]:
        return self._server.config(shop.SOURCE)

    def connect(self) -> psycopg.Connection[Any]:
        return self._server.connect(shop.SOURCE)

    def people(self) -> tuple[str, str]:
        config = self.config()
        address = psycopg.conninfo.make_conninfo(
            host=config["host"], port=config["port"], dbname=shop.SOURCE, user=config["user"]
        )
        return "tidegate.demo.workload", address

    def log_end(self, connection: psycopg.Connection[Any]) -> str:
        return str(_one(connection, "select pg_current_wal_flush_lsn()"))

    def reached(self, position: str, end: str) -> bool:
        """A position is `high/low`, and more while inside a transaction."""
        return _lsn(position.partition("+")[0]) >= _lsn(end)

    def followers(self, connection: psycopg.Connection[Any]) -> int:
        return int(_one(connection, "select count(*) from pg_replication_slots"))


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else 0


def _lsn(text: str) -> int:
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)
