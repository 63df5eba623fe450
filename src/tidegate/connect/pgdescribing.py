"""Tables as PostgreSQL's log shows them: its own columns and types, the catalogue's key and defaults."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from tidegate.connect import pgtypes
from tidegate.connect.postgres import PostgresConfig, connect
from tidegate.decode import pgoutput
from tidegate.model.schema import Column, TableName, TableSchema

# One task may meet hundreds of tables at once, and then none for days.
KEPT_S = 5.0


class Describing:
    """Over a connection of its own, which is made when it is needed and kept for a few seconds. Not used by two threads
    at a time, but for `close`."""

    def __init__(self, config: PostgresConfig, family: str) -> None:
        self._config, self._family = config, family
        self._connection: psycopg.Connection[Any] | None = None
        self._used_at = 0.0
        self._closed = False

    def table(self, relation: pgoutput.Relation) -> TableSchema:
        """Raises as `connect`, and psycopg's errors."""
        connection = self._connection or connect(self._config, "source")
        self._connection = connection
        try:
            found = self._table(connection, relation)
        except BaseException:
            self._give_back()
            raise
        finally:
            if self._closed:  # given up meanwhile
                connection.close()
        self._used_at = time.monotonic()
        return found

    def _table(self, connection: psycopg.Connection[Any], relation: pgoutput.Relation) -> TableSchema:
        # By its present name: the run knows it by that one, also if it had another for a while.
        name = pgtypes.read_name(connection, relation.oid)
        now = pgtypes.read_schema(connection, name, relation.oid) if name else None
        known = {column.name: column for column in now.columns} if now else {}
        columns, types = [], pgtypes.TypeReader(connection)
        for shown in relation.columns:
            type = types.read(shown.type_oid, shown.type_modifier)
            column = known.get(shown.name)
            same = column is not None and column.type == type
            columns.append(column if same and column else Column(shown.name, type, varies=True))
        identity = tuple(column.name for column in relation.columns if column.identity)
        key = now.key if now and set(now.key) <= {c.name for c in columns} else ()
        if relation.identity in "di" and set(key) != set(identity):
            key = identity
        return TableSchema(name or TableName(relation.schema, relation.name), tuple(columns), key, self._family)

    def rest(self) -> None:
        """Give the connection back if it was not needed for a while."""
        if self._connection is not None and time.monotonic() - self._used_at > KEPT_S:
            self._give_back()

    def close(self) -> None:
        """Idempotent; also from another thread."""
        self._closed = True
        self._give_back()

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
