"""Names that need care: quoted, not ASCII, as long as the server allows, and words of the language."""

from __future__ import annotations

import pytest

from pipeline.pairs import DuckPair, Pair
from pipeline.rig import Rig
from tidegate.connect.postgres import quote, quoted
from tidegate.errors import TidegateError

LONGEST = "ü" * 31 + "x"  # 63 bytes
NAMES = [
    ("public", "MixedCase", "Id", "User Name"),
    ("Odd Schema", "select", "from", "where"),
    ("public", 'quote"d', 'k"ey', "it's"),
    ("public", "dotted.name", "a.b", "%s %% {}"),
    ("Größe", "数据表", "键", "שדה"),
    (LONGEST, LONGEST, LONGEST, "o" * 63),
    ("public", "tab\tand\nline", "k\t", "\\n"),
    ("public", "; drop table x; --", "t", "ctid_"),
    ("pgx", "tidegate", "oid", "user"),
]


def make(pair: Pair | DuckPair, schema: str, table: str, key: str, column: str) -> str:
    pair.source.execute(f"create schema if not exists {quote(schema)}")
    place = quoted(schema, table)
    # psycopg would take a percent sign for a placeholder if there were parameters; there are none.
    pair.source.execute(f"create table {place} ({quote(key)} int primary key, {quote(column)} text)".encode())
    pair.source.execute(f"insert into {place} select i, 'v' || i from generate_series(1, 20) i".encode())
    return place


def entry(schema: str, table: str) -> str:
    return f"{schema}.{table}"


def follow(pair: Pair, place: str, key: str, column: str, rig: Rig) -> None:
    key, column = quote(key), quote(column)
    for statement in (
        f"update {place} set {column} = 'new' where {key} = 1",
        f"update {place} set {key} = 100 where {key} = 2",
        f"delete from {place} where {key} = 3",
        f"insert into {place} values (200, null)",
    ):
        pair.source.execute(statement.encode())

    def same() -> bool:
        query = f"select * from {place} order by 1".encode()
        return pair.source.execute(query).fetchall() == pair.target.execute(query).fetchall()

    rig.reaches(same)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(("schema", "table", "key", "column"), NAMES, ids=[name[1][:12] for name in NAMES])
def test_names_arrive_as_they_are(pair: Pair, schema: str, table: str, key: str, column: str) -> None:
    place = make(pair, schema, table, key, column)
    if not all(c.isprintable() for c in schema + table):
        with pytest.raises(TidegateError, match="control character"):
            pair.rig([entry(schema, table)])
        rig = pair.rig([r"public\.tab\sand\sline"])
    else:
        rig = pair.rig([entry(schema, table)])
    rig.start().opens().copied()
    follow(pair, place, key, column, rig)


def test_tables_whose_names_differ_by_case_only_stay_two(pair: Pair) -> None:
    one, other = make(pair, "public", "Case", "k", "v"), make(pair, "public", "case", "k", "v")
    rig = pair.rig([r"public\.[Cc]ase"]).start().opens().copied()
    follow(pair, one, "k", "v", rig)
    pair.source.execute(f"delete from {other}")
    rig.reaches(lambda: pair.equal(other) and pair.equal(one))


def test_columns_whose_names_differ_by_case_only_stay_two(pair: Pair) -> None:
    pair.source.execute('create table public.a (id int primary key, "V" text, v text)')
    pair.source.execute("insert into a values (1, 'upper', 'lower')")
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute("update a set v = 'changed'")
    rig.reaches(lambda: pair.equal("a"))


@pytest.mark.parametrize(("schema", "table", "key", "column"), NAMES[:6], ids=[name[1][:12] for name in NAMES[:6]])
def test_duckdb_has_the_names_too(duck_pair: DuckPair, schema: str, table: str, key: str, column: str) -> None:
    pair = duck_pair
    place = make(pair, schema, table, key, column)
    rig = pair.rig([entry(schema, table)]).start().opens().copied()
    pair.source.execute(f"update {place} set {quote(column)} = 'new' where {quote(key)} = 1".encode())
    rig.reaches(lambda: rig.counters()["changes_written"] == 1)
    rig.pause()
    found = sorted((row[key], row[column]) for row in pair.texts(place))
    assert found == sorted(pair.source.execute(f"select {quote(key)}::text, {quote(column)} from {place}".encode()))


def test_a_stamp_that_is_called_like_a_column_is_refused(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key, _tidegate_op text)")
    rig = pair.rig(["public.a"], write="append")
    rig.start()
    error = rig.fails()
    assert isinstance(error, TidegateError)
    assert "_tidegate_op" in error.detail


def test_append_columns_take_the_names_they_are_given(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key, _tidegate_op text)")
    pair.source.execute("insert into a values (1, 'mine')")
    stamp = {"op": 'The "Op"', "committed_at": None, "position": "select", "detail": False}
    rig = pair.rig(["public.a"], target={"stamp": stamp, "write": "append"}).start().opens().copied()
    pair.source.execute("update a set _tidegate_op = 'changed'")
    query = 'select id, _tidegate_op, "The ""Op""" from a order by "select"'
    rig.reaches(lambda: pair.arrived(query) == [(1, "mine", "read"), (1, "changed", "update")])
    names = "select attname from pg_attribute where attrelid = 'a'::regclass and attnum > 0 order by attnum"
    assert [name for (name,) in pair.arrived(names)] == ["id", "_tidegate_op", 'The "Op"', "select"]
