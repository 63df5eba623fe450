"""One transaction of a million rows: memory stays bounded, and a worker killed in the middle of it loses and doubles
nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from pipeline.apart import Apart
from tidegate.testing.servers import PostgresServer, until

ROWS = 1_000_000
PEAK_MAX_MB = 512
DEADLINE_S = 240
SUM = sum(i % 1000 for i in range(1, ROWS + 1))

Run = Callable[[tuple[str, dict[str, Any]], str], Apart]


@pytest.fixture
def source(postgres: PostgresServer, database: Callable[..., str]) -> Iterator[psycopg.Connection]:
    with postgres.connect(database()) as connection:
        connection.execute("create table public.a (id bigint primary key, n int, t text, h text, at timestamptz)")
        yield connection


@pytest.fixture
def run(postgres: PostgresServer, source: psycopg.Connection) -> Iterator[Run]:
    made: list[Apart] = []

    def new(target: tuple[str, dict[str, Any]], write: str) -> Apart:
        task = {
            "task": "t",
            "kind": "whole_database",
            "source": {"data_source": "src", "tables": ["public.a"]},
            "target": {"data_source": "dst", "write": write},
        }
        made.append(Apart(postgres.config(source.info.dbname), target, task, "abcdef_t1r1"))
        return made[-1].start()

    yield new
    for apart in made:
        apart.close()


def killed_in_the_middle(apart: Apart, source: psycopg.Connection, held: Callable[[], tuple[int, str]]) -> None:
    """The whole of it in one transaction; a kill inside; and the rest of it, exactly."""
    source.execute(
        f"insert into a select i, i % 1000, 'row ' || i, md5(i::text), now() from generate_series(1, {ROWS}) i"
    )
    until(lambda: apart.counters()["changes_written"] > ROWS // 5, "a fifth of the rows", DEADLINE_S, 0.1)
    apart.kill()
    rows, position = held()
    assert 0 < rows < ROWS
    assert "+" in position, "it was killed between transactions"
    apart.start()
    until(lambda: apart.counters()["changes_written"] >= ROWS - rows, "the rest of the rows", DEADLINE_S, 0.1)
    assert apart.end()["changes_read"] == ROWS - rows
    assert max(apart.peaks_mb) < PEAK_MAX_MB, apart.peaks_mb


@pytest.mark.slow
def test_postgres_takes_a_million_rows_in_one_transaction(
    postgres: PostgresServer, database: Callable[..., str], source: psycopg.Connection, run: Run
) -> None:
    name = database()
    with postgres.connect(name) as target:

        def held() -> tuple[int, str]:
            query = "select (select count(*) from public.a), position from tidegate.position"
            rows, position = target.execute(query).fetchone() or (0, "")
            return rows, position

        killed_in_the_middle(run(("postgres", postgres.config(name)), "append"), source, held)
        query = "select count(*), count(distinct id), sum(n), count(distinct _tidegate_position) from a"
        assert target.execute(query).fetchone() == (ROWS, ROWS, SUM, ROWS)


@pytest.mark.slow
def test_duckdb_takes_a_million_rows_in_one_transaction(source: psycopg.Connection, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "lake.duckdb"

    def held() -> tuple[int, str]:
        with duckdb.connect(path) as lake:
            ((rows, position),) = lake.execute(
                "select (select count(*) from public.a), position from tidegate.position"
            ).fetchall()
        return rows, position

    killed_in_the_middle(run(("duckdb", {"path": str(path)}), "upsert"), source, held)
    with duckdb.connect(path) as lake:
        found = lake.execute(
            "select count(*), count(distinct id), sum(n)::bigint, count(distinct h) from public.a"
        ).fetchall()
    assert found == [(ROWS, ROWS, SUM, ROWS)]
