"""A source and a target database on one server, and what equal means between them."""

from __future__ import annotations

from typing import Any

import psycopg

from pipeline.rig import Rig, spec
from tidegate.connect.config import parse_config
from tidegate.sources.postgres import PostgresSource
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import PostgresServer


class Pair:
    def __init__(self, server: PostgresServer, source: str, target: str) -> None:
        self.server, self.source_name, self.target_name = server, source, target
        self.source = server.connect(source)
        self.target = server.connect(target)
        self.source_conninfo = self.source.info.dsn
        self.rigs: list[Rig] = []

    def rig(self, tables: list[str], **more: Any) -> Rig:
        source = parse_config(PostgresSource.Config, self.server.config(self.source_name), of="src")
        target = parse_config(PostgresTarget.Config, self.server.config(self.target_name), of="dst")
        rig = Rig(lambda: PostgresSource(source), lambda: PostgresTarget(target), spec(tables, **more))
        self.rigs.append(rig)
        return rig

    def _both(self, from_source: str, from_target: str) -> bool:
        try:
            return self.source.execute(from_source).fetchall() == self.target.execute(from_target).fetchall()
        except psycopg.errors.UndefinedTable:
            return False

    def equal(self, table: str) -> bool:
        """Row for row, in upsert."""
        query = f"select t::text from {table} t order by 1"
        return self._both(query, query)

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

    def close(self) -> None:
        for rig in self.rigs:
            rig.close()
        self.source.close()
        self.target.close()
