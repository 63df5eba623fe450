"""Rows of a full copy that pass through as blocks of bytes: only where they mean the same on both sides."""

from __future__ import annotations

import pytest

from pipeline.pairs import DuckPair, Pair
from tidegate.connect.pgchunk import PgChunk
from tidegate.connect.source import Blocks
from tidegate.model.schema import TableSchema

PLAIN = """
create table plain (
  k bigint primary key, i int, s smallint, f real, d double precision, b boolean, n numeric(12, 2), free numeric,
  t text, v varchar(9), c char(4), y bytea, day date, at time, atz timetz, ts timestamp, tsz timestamptz(3),
  i2 interval, u uuid, j json, jb jsonb, o oid
)
"""


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Which tables' rows passed through."""
    found: dict[str, bool] = {}
    blocks = PgChunk.blocks

    def spied(self: PgChunk, form: str, expected: TableSchema) -> Blocks | None:
        answer = blocks(self, form, expected)
        found[self._table.name] = answer is not None
        return answer

    monkeypatch.setattr(PgChunk, "blocks", spied)
    return found


def test_rows_of_the_servers_own_types_pass_through(pair: Pair, passed: dict[str, bool]) -> None:
    pair.source.execute(PLAIN)
    pair.source.execute(
        "insert into plain select n, n, 1, 'nan', '-infinity', n % 2 = 0, n / 7.0, 'nan', repeat('é', n), 'v', 'c',"
        " '\\x00ff',"
        " '0044-03-15 BC', '24:00', '01:02:03.456+05:30', 'infinity', now(), '1 mon -2 days 03:04:05.678',"
        " gen_random_uuid(), '{\"a\" : 1}', '{\"a\" : 1}', 16384 from generate_series(1, 500) n"
    )
    pair.source.execute("insert into plain (k) values (0)")
    pair.rig(["public.plain"]).start().opens().copied().reaches(lambda: pair.equal("plain"))
    assert passed == {"plain": True}


@pytest.mark.parametrize(
    ("column", "value"),
    [("mood", "'sad'::mood"), ("int[]", "'{1,2}'::int[]"), ("inet", "'10.0.0.1'::inet"), ("pair", "row(1, 'a')::pair")],
)
def test_rows_of_other_types_are_read_as_texts(pair: Pair, passed: dict[str, bool], column: str, value: str) -> None:
    pair.source.execute("create type mood as enum ('sad', 'ok'); create type pair as (a int, b text)")
    pair.source.execute(f"create table other (k int primary key, v {column}); insert into other values (1, {value})")
    rig = pair.rig(["public.other"]).start().opens().copied()
    rig.reaches(lambda: pair.arrived("select v::text from other") == pair.rows("select v::text from other"))
    assert passed == ({"other": True} if column == "mood" else {})


def test_rows_for_columns_of_another_type_are_read_as_texts(pair: Pair, passed: dict[str, bool]) -> None:
    pair.source.execute("create table wide (k int primary key, v int); insert into wide values (1, 2)")
    pair.target.execute("create table public.wide (k bigint primary key, v text)")
    rig = pair.rig(["public.wide"]).start().opens().copied()
    rig.reaches(lambda: pair.arrived("select * from wide") == [(1, "2")])
    assert passed == {}


def test_rows_to_append_are_read_as_texts(pair: Pair, passed: dict[str, bool]) -> None:
    pair.source.execute("create table logged (k int primary key); insert into logged values (1)")
    rig = pair.rig(["public.logged"], write="append").start().opens().copied()
    rig.reaches(lambda: pair.arrived("select k, _tidegate_op from logged") == [(1, "read")])
    assert passed == {}


LAKE = """
create table lake (k bigint primary key, i int, b boolean, n numeric(12, 2), t text, day date, ts timestamp, u uuid,
  jb jsonb)
"""


def test_rows_for_a_duckdb_file_pass_through(duck_pair: DuckPair, passed: dict[str, bool]) -> None:
    pair = duck_pair
    pair.source.execute(LAKE)
    pair.source.execute(
        "insert into lake select n, n, n % 2 = 0, n / 7.0, repeat('é', n), '0044-03-15 BC', 'infinity',"
        " gen_random_uuid(), '{\"a\": 1}' from generate_series(1, 500) n"
    )
    pair.source.execute("insert into lake (k) values (0)")
    rig = pair.rig(["public.lake"]).start().opens().copied()
    rig.pause()
    names = ("k", "i", "b", "n", "t", "day", "ts", "u", "jb")
    texts = ", ".join("left(b::text, 1)" if name == "b" else f"{name}::text" for name in names)
    wanted = set(pair.rows(f"select {texts} from lake"))
    found = pair.texts("public.lake")
    assert {tuple(row[name] for name in names) for row in found} == wanted
    assert len(found) == 501
    assert passed == {"lake": True}
