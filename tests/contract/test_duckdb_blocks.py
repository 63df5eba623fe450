"""Rows in PostgreSQL's binary form are, in a DuckDB file, what their texts would be; or the file does not take them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from tidegate.connect.capability import WriteMode
from tidegate.connect.target import Append, Progress, TargetTable
from tidegate.decode.choice import which
from tidegate.decode.copying import BINARY
from tidegate.errors import SourceLogBroken, TargetMisfit, TargetValueRefused
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema
from tidegate.targets.duckdb import DuckdbConfig, DuckdbTarget
from tidegate.targets.duckdb.types import column_type
from tidegate.testing.servers import PostgresServer
from tidegate.testing.target_contract.ground import RUN
from tidegate.testing.values import VALUES

pytestmark = pytest.mark.skipif(not which().native, reason=which().reason)

DATABASE = "blocks"
INT = DataType(Kind.INT32, "integer")
PASSING = [(type, values) for type, values in VALUES if type.kind is not Kind.OTHER]


@pytest.fixture(scope="module")
def source(postgres_newest: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    postgres_newest.create_database(DATABASE)
    with postgres_newest.connect(DATABASE) as connection:
        yield connection
    postgres_newest.drop_database(DATABASE)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[DuckdbTarget]:
    target = DuckdbTarget(DuckdbConfig(path=str(tmp_path / "lake.duckdb")))
    target.open(RUN, 1)
    yield target
    target.close()


def of(type: DataType, name: str = "v", mode: WriteMode = WriteMode.UPSERT) -> TargetTable:
    columns = (Column("k", INT, False), Column("v", type))
    return TargetTable("shop", name, TableSchema(TableName("public", "v"), columns, ("k",), "postgres"), mode)


def given(source: psycopg.Connection[Any], type: DataType, texts: list[str | None]) -> list[bytes]:
    """What the server sends of them."""
    source.execute(f"drop table if exists v; create temporary table v (k int, v {type.native})".encode())
    with source.cursor() as cursor:
        cursor.executemany(
            sql.SQL("insert into v values (%s, %s::{})").format(sql.SQL(type.native)), list(enumerate(texts))
        )
        with cursor.copy("copy (select * from v order by k) to stdout (format binary)") as copy:
            return [bytes(block) for block in copy]


def as_texts(texts: list[str | None]) -> pa.RecordBatch:
    return pa.record_batch({"k": [str(n) for n in range(len(texts))], "v": pa.array(texts, pa.string())})


def held(run: DuckdbTarget, table: str) -> list[tuple[Any, ...]]:
    """As texts; numbers that are none are equal then too."""
    run.release()
    with duckdb.connect(run.config.path) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(f"SELECT k, v::VARCHAR, typeof(v) FROM shop.{table} ORDER BY k").fetchall()


def refusal(run: DuckdbTarget, step: Append) -> str:
    """The column that could not take a value; empty: all was taken."""
    try:
        run.write([step], Progress("1"))
    except TargetValueRefused as refused:
        return str(refused.facts["column"])
    return ""


@pytest.mark.parametrize(("type", "values"), PASSING, ids=lambda value: getattr(value, "native", ""))
def test_each_value_is_what_its_text_is(
    run: DuckdbTarget, source: psycopg.Connection[Any], type: DataType, values: tuple[str, ...]
) -> None:
    passing, reading = of(type, "passed"), of(type, "read")
    for table in (passing, reading):
        run.prepare(table, create=True, replace=False)
    passes = column_type(type) != "VARCHAR" or type.kind is Kind.TEXT
    assert run.block_form(passing) == (BINARY if passes else "")
    if not passes:
        return
    taken: list[str | None] = [None]
    for text in values:
        alone: list[str | None] = [text]
        wrong = refusal(run, Append(reading, [as_texts(alone)]))
        assert refusal(run, Append(passing, [], given(source, type, alone), 1)) == wrong
        if not wrong:
            taken.append(text)
    whole_passing, whole_reading = of(type, "passed_whole"), of(type, "read_whole")
    for table in (whole_passing, whole_reading):
        run.prepare(table, create=True, replace=False)
    taken += [None, *reversed(taken)]
    blocks = given(source, type, taken)
    run.write([Append(whole_passing, [], blocks, len(taken))], Progress("2"))
    run.write([Append(whole_reading, [as_texts(taken)])], Progress("3"))
    assert held(run, "passed_whole") == held(run, "read_whole")


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_blocks_may_be_cut_anywhere(run: DuckdbTarget, source: psycopg.Connection[Any], size: int) -> None:
    texts: list[str | None] = [None if n % 7 == 0 else "x" * (n % 40) for n in range(300)]
    table = of(DataType(Kind.TEXT, "text"))
    run.prepare(table, create=True, replace=False)
    whole = b"".join(given(source, DataType(Kind.TEXT, "text"), texts))
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    run.write([Append(table, [], pieces, 300)], Progress("1"))
    assert [text for _, text, _ in held(run, "v")] == texts


def test_many_rows_come_in_several_batches(run: DuckdbTarget, source: psycopg.Connection[Any]) -> None:
    table = of(INT)
    run.prepare(table, create=True, replace=False)
    with source.cursor() as cursor:
        query = "copy (select n, nullif(n % 5, 0) from generate_series(1, 300000) n) to stdout (format binary)"
        with cursor.copy(query) as copy:
            blocks = [bytes(block) for block in copy]
    run.write([Append(table, [], blocks, 300_000)], Progress("1"))
    run.release()
    with duckdb.connect(run.config.path) as connection:
        found = connection.execute("SELECT count(*), sum(k), count(v), sum(v) FROM shop.v").fetchone()
    assert found == (300_000, 300_000 * 300_001 // 2, 240_000, 600_000)


@pytest.mark.parametrize("cut", [2, 3, 25])
def test_rows_that_end_too_soon_are_not_written(run: DuckdbTarget, source: psycopg.Connection[Any], cut: int) -> None:
    table = of(INT)
    run.prepare(table, create=True, replace=False)
    whole = b"".join(given(source, INT, ["1", "2", "3"]))
    with pytest.raises(SourceLogBroken):
        run.write([Append(table, [], [whole[:-cut]], 3)], Progress("1"))
    with pytest.raises(SourceLogBroken):
        run.write([Append(table, [], [whole], 4)], Progress("1"))
    assert held(run, "v") == []


def test_columns_changed_meanwhile_refuse_the_rows(run: DuckdbTarget, source: psycopg.Connection[Any]) -> None:
    price = DataType(Kind.DECIMAL, "numeric(10,2)", 10, 2)
    table = of(price)
    run.prepare(table, create=True, replace=False)
    blocks = given(source, price, ["1.25"])
    run.release()
    with duckdb.connect(run.config.path) as connection:
        connection.execute("ALTER TABLE shop.v ALTER v TYPE DECIMAL(10,1)")
    assert run.block_form(table) == ""
    with pytest.raises(TargetMisfit, match=r"shop\.v"):
        run.write([Append(table, [], blocks, 1)], Progress("1"))
    assert held(run, "v") == []


def test_rows_of_other_sources_to_append_or_without_the_library_go_by_texts(
    run: DuckdbTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert, append = of(INT), of(INT, "logged", WriteMode.APPEND)
    for table in (upsert, append):
        run.prepare(table, create=True, replace=False)
    foreign = TableSchema(upsert.source.name, upsert.source.columns, upsert.source.key, "mariadb")
    assert run.block_form(TargetTable("shop", "v", foreign, WriteMode.UPSERT)) == ""
    assert run.block_form(append) == ""
    assert run.block_form(upsert) == BINARY
    monkeypatch.setenv("TIDEGATE_DECODE", "python")
    assert run.block_form(upsert) == ""
