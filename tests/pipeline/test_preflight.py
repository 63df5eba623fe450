"""What is refused before a task is submitted, with nothing made at the target."""

from __future__ import annotations

import pytest

from pipeline.pairs import DuckPair, FromPostgres
from pipeline.rig import spec
from tidegate.engine.preflight import Side, check_task, missing_objects


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


def test_an_expression_that_takes_too_long_is_refused_and_no_sign_that_a_table_is_gone(
    duck_pair: DuckPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.model.pattern.PATIENCE_S", 0.2)
    duck_pair.source.execute(f'create table "{"a" * 44}!" (id int primary key)')
    task, source = spec([r"public\.(a|aa)+"]), source_of(duck_pair)
    target: Side = ("duckdb", {"path": str(duck_pair.path)})
    refused = check_task(task, source, target, "abcdef_t1")
    assert [(error.code, error.facts["pattern"]) for error in refused] == [("task.invalid", r"public\.(a|aa)+")]
    assert missing_objects(task, source, target) == []
