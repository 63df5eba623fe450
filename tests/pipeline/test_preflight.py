"""What is refused before a task is submitted, with nothing made at the target."""

from __future__ import annotations

from pipeline.pairs import DuckPair, FromPostgres
from pipeline.rig import spec
from tidegate.engine.preflight import Side, check_task


def source_of(pair: FromPostgres) -> Side:
    return ("postgres", pair.server.config(pair.source_name))


def test_column_names_that_are_one_to_the_target_are_refused_before_any_table_is_made(duck_pair: DuckPair) -> None:
    duck_pair.source.execute('create table good (id int primary key); create table t ("ID" int primary key, id int)')
    target: Side = ("duckdb", {"path": str(duck_pair.path)})
    refused = check_task(spec(["public.good", "public.t"]), source_of(duck_pair), target, "abcdef_t1")
    assert [error.code for error in refused] == ["target.unfit"]
    assert "public.t: id and ID are one name" in refused[0].detail
    assert "Rename the column" in refused[0].advice
    assert not duck_pair.path.exists()


def test_table_names_that_are_one_to_the_target_are_refused_before_any_table_is_made(duck_pair: DuckPair) -> None:
    duck_pair.source.execute('create table t (id int primary key); create table "T" (id int primary key)')
    target: Side = ("duckdb", {"path": str(duck_pair.path)})
    refused = check_task(spec(["public.t", "public.T"]), source_of(duck_pair), target, "abcdef_t1")
    assert [error.code for error in refused] == ["target.name_clash"]
    assert not duck_pair.path.exists()
