"""A connection to MariaDB with psycopg's methods, so that what only speaks the SQL both servers share need not know
which of them it speaks to. Names stand in double quotes, as the standard has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

import pymysql
import pymysql.cursors

# Values are as strict as the server's default has them; || stays OR.
_SESSION = "SET SESSION time_zone = '+00:00', SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')"


class MariadbSession:
    """Use it as a context manager: it is closed at the end, and what was not committed is gone."""

    def __init__(self, connection: pymysql.Connection[pymysql.cursors.Cursor]) -> None:
        self._connection = connection
        self.execute(_SESSION)

    @classmethod
    def to(cls, config: Mapping[str, Any]) -> Self:
        """To where a data source of this configuration is, in autocommit mode."""
        wanted = {name: config[name] for name in ("host", "port", "user", "password")}
        database = config.get("database") or None
        return cls(pymysql.connect(**wanted, database=database, ssl_disabled=True, autocommit=True))

    def execute(self, statement: str | bytes, values: Sequence[Any] = ()) -> pymysql.cursors.Cursor:
        """Its cursor: `fetchone`, `fetchall`, `rowcount`."""
        cursor = self._connection.cursor()
        cursor.execute(statement.decode() if isinstance(statement, bytes) else statement, tuple(values) or None)
        return cursor

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._connection.begin()
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    def close(self) -> None:
        with suppress(pymysql.Error, OSError):  # already lost, or closed
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
