"""A source and a target, and what equal means between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import duckdb
import psycopg

from pipeline.rig import Rig, spec
from tidegate.connect.config import parse_config
from tidegate.connect.postgres import quote
from tidegate.connect.target import Target
from tidegate.sources.postgres import PostgresSource
from tidegate.targets.duckdb import DuckdbConfig, DuckdbTarget
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import PostgresServer


class FromPostgres:
    """A source database; `source` is a connection to it."""

    def __init__(self, server: PostgresServer, source: str) -> None:
        self.server, self.source_name = server, source
        self.source = server.connect(source)
        self.source_conninfo = self.source.info.dsn
        self.source_config = parse_config(PostgresSource.Config, server.config(source), of="src")
        self.source_class: type[PostgresSource] = PostgresSource
        """Read when a run starts."""
        self.rigs: list[Rig] = []

    def make_target(self) -> Target:
        raise NotImplementedError

    def rig(self, tables: list[str], *, run: str = "", **more: Any) -> Rig:
        """A task of its own; its run key is new unless given."""
        run = run or f"abcdef_t{len(self.rigs) + 1}r1"
        rig = Rig(lambda: self.source_class(self.source_config), self.make_target, spec(tables, **more), run)
        self.rigs.append(rig)
        return rig

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """At the source."""
        return self.source.execute(query).fetchall()

    def confirmed(self, rig: Rig) -> str:
        """Where the run's slot stands."""
        query = "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = %s"
        row = self.source.execute(query, (f"tidegate_{rig.run}",)).fetchone()
        assert row is not None, f"the slot of {rig.run} is gone"
        text: str = row[0]
        return text

    def close(self) -> None:
        for rig in self.rigs:
            rig.close()
        self.source.close()


class Pair(FromPostgres):
    """Two databases of one server."""

    def __init__(self, server: PostgresServer, source: str, target: str) -> None:
        super().__init__(server, source)
        self.target_name = target
        self.target = server.connect(target)
        self.target_config = parse_config(PostgresTarget.Config, server.config(target), of="dst")

    def make_target(self) -> Target:
        return PostgresTarget(self.target_config)

    def _both(self, from_source: str, from_target: str) -> bool:
        try:
            return self.source.execute(from_source).fetchall() == self.target.execute(from_target).fetchall()
        except psycopg.errors.UndefinedTable:
            return False

    def equal(self, table: str, at_target: str = "") -> bool:
        """Row for row, in upsert."""
        return self._both(
            f"select whole_row::text from {table} whole_row order by 1",
            f"select whole_row::text from {at_target or table} whole_row order by 1",
        )

    def folds(self, table: str) -> bool:
        """The newest change of every key that is not a delete is the source's row, in append. Large values the log left
        out are the newest ones written for the key."""
        key = "a, b" if table == "t_two" else "k"
        return self._both(
            f"select {key}, opid, amt from {table} order by {key}",
            f"select {key}, opid, amt from (select distinct on ({key}) * from {table}"
            f" order by {key}, _tidegate_position desc) x where _tidegate_op <> 'delete' order by {key}",
        )

    def multiset_folds(self, table: str) -> bool:
        """Without a key: rows that came minus rows that went are the source's rows."""
        return self._both(
            f"select k, opid, amt, big, count(*) from {table} group by 1, 2, 3, 4 order by 1, 2, 3, 4",
            f"select k, opid, amt, big, sum(case when _tidegate_op = 'delete' then -1 else 1 end)::int8 from {table}"
            " group by 1, 2, 3, 4 having sum(case when _tidegate_op = 'delete' then -1 else 1 end) <> 0"
            " order by 1, 2, 3, 4",
        )

    def arrived(self, query: str) -> list[tuple[Any, ...]]:
        """At the target; nothing while the table or a column is not there."""
        try:
            return self.target.execute(query).fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName):
            return []

    def position(self, rig: Rig) -> str:
        """What the target holds of the run."""
        rows = self.arrived(f"select position from tidegate.position where run = '{rig.run}'")
        text: str = rows[0][0] if rows else ""
        return text

    def close(self) -> None:
        super().close()
        self.target.close()


class DuckPair(FromPostgres):
    """A database and a DuckDB file."""

    # How DuckDB's values become texts of the canonical grammar.
    CANONICAL: ClassVar[dict[str, str]] = {
        "BOOLEAN": "CASE {0} WHEN true THEN 't' WHEN false THEN 'f' END",
        "BLOB": "'\\x' || lower(hex({0}))",
        "DATE": r"regexp_replace({0}::VARCHAR, '^(\S+) \(BC\)(.*)$', '\1\2 BC')",
    }
    CANONICAL |= dict.fromkeys(("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"), CANONICAL["DATE"])

    def __init__(self, server: PostgresServer, source: str, path: Path) -> None:
        super().__init__(server, source)
        self.path = path

    def make_target(self) -> Target:
        return DuckdbTarget(DuckdbConfig(path=str(self.path)))

    def texts(self, table: str) -> list[dict[str, str | None]]:
        """The rows as texts of the canonical grammar. The run must not hold the file."""
        with duckdb.connect(self.path) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            columns = connection.execute(f"DESCRIBE {table}").fetchall()
            texts = [self.CANONICAL.get(type, "{0}::VARCHAR").format(quote(name)) for name, type, *_ in columns]
            found = connection.execute(f"SELECT {', '.join(texts)} FROM {table}").fetchall()
        return [dict(zip([name for name, *_ in columns], row, strict=True)) for row in found]
