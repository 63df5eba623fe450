"""A table of MariaDB in PostgreSQL: the servers, the run between them, and whether the rows of both are the same."""

from __future__ import annotations

from typing import Any

import psycopg

from pipeline.rig import Rig, spec
from tidegate.connect.config import parse_config
from tidegate.connect.mariadb import MariadbConfig
from tidegate.connect.target import KeyRange
from tidegate.model.schema import TableName
from tidegate.sources.mariadb import MariadbSource
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.servers import PostgresServer

_NAMES = """
select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum
"""


class MariadbPair:
    """A database of a MariaDB server and one of a PostgreSQL server."""

    def __init__(self, server: MariadbServer, source: str, postgres: PostgresServer, target: str) -> None:
        self.server, self.source_name = server, source
        self.source_config = parse_config(MariadbConfig, server.config(source), of="src")
        self.source_class: type[MariadbSource] = MariadbSource
        self.target = postgres.connect(target)
        self.target.execute("set datestyle = 'ISO, YMD'; set timezone = 'UTC'; set bytea_output = 'hex'")
        self.target_config = parse_config(PostgresTarget.Config, postgres.config(target), of="dst")
        self.rigs: list[Rig] = []

    def execute(self, *statements: str) -> None:
        with self.server.connect(self.source_name) as connection, connection.cursor() as cursor:
            cursor.execute("set sql_mode = ''")
            for statement in statements:
                cursor.execute(statement)

    def rig(self, tables: list[str], **more: Any) -> Rig:
        names = [rf"{self.source_name}\.{table}" for table in tables]
        rig = Rig(
            lambda: self.source_class(self.source_config),
            lambda: PostgresTarget(self.target_config),
            spec(names, target_schema="public", **more),
            f"abcdef_t{len(self.rigs) + 1}r1",
        )
        self.rigs.append(rig)
        return rig

    def at_source(self, table: str) -> list[tuple[str | None, ...]]:
        """The rows as texts of the canonical grammar."""
        source = self.source_class(self.source_config)
        reader = source.chunk(source.schema(TableName(self.source_name, table)), KeyRange(None, None))
        try:
            reader.lock()
            reader.mark()
            return [tuple(row.values()) for batch in reader.rows()[1] for row in batch.to_pylist()]
        finally:
            reader.close()
            source.close()

    def at_target(self, table: str, where: str = "true") -> list[tuple[str | None, ...]]:
        try:
            columns = self.target.execute(_NAMES, (table,)).fetchall()
            chosen = ", ".join(f'"{name}"::text' for (name,) in columns)
            return self.target.execute(f"select {chosen} from {table} where {where}").fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
            return []

    def equal(self, *tables: str) -> bool:
        return all(ordered(self.at_source(table)) == ordered(self.at_target(table)) for table in tables)

    def equal_by_name(self, table: str) -> bool:
        """The same where columns stand in another order at the source."""
        names = [name for (name,) in self.target.execute(_NAMES, (table,)).fetchall()]
        source = self.source_class(self.source_config)
        order = source.schema(TableName(self.source_name, table)).names
        source.close()
        if sorted(names) != sorted(order):
            return False
        moved = [tuple(row[order.index(name)] for name in names) for row in self.at_source(table)]
        return ordered(moved) == ordered(self.at_target(table))

    def folds(self, table: str) -> bool:
        """The newest change of every key that is not a delete is the source's row, in append."""
        key = "a, b" if table == "t_two" else "k"
        found = self.target.execute(
            f"select {key.replace('b', 'b::text')}, opid::text, amt::text"
            f" from (select distinct on ({key}) * from {table}"
            f" order by {key}, _tidegate_position desc) x where _tidegate_op <> 'delete'"
        ).fetchall()
        keys = key.count(",") + 1
        wanted = [row[: keys + 2] for row in self.at_source(table)]
        return ordered([tuple(map(_text, row)) for row in found]) == ordered(wanted)

    def adds_up(self, table: str) -> bool:
        """Rows that came minus rows that went are the source's rows, as often as they are there."""
        counted = self.target.execute(
            f"select k::text, opid::text, amt::text, big,"
            f" sum(case when _tidegate_op = 'delete' then -1 else 1 end)::int from {table} group by 1, 2, 3, 4"
            " having sum(case when _tidegate_op = 'delete' then -1 else 1 end) <> 0"
        ).fetchall()
        return all(count > 0 for *_, count in counted) and ordered(
            [tuple(row) for *row, count in counted for _ in range(count)]
        ) == ordered(self.at_source(table))

    def close(self) -> None:
        for rig in self.rigs:
            rig.close()
        self.target.close()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def ordered(rows: list[tuple[str | None, ...]]) -> list[tuple[str | None, ...]]:
    return sorted(rows, key=repr)


def make(pair: MariadbPair, rows: int = 200) -> None:
    pair.execute("create table a (id int primary key, name varchar(40), doc text)")
    pair.execute(f"insert into a select seq, concat('n', seq), repeat('x', seq % 50) from mysql.seq_1_to_{rows}")
