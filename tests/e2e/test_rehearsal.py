"""What is said of a definition before it is saved is what becomes of it."""

from __future__ import annotations

from typing import Any

from e2e.conftest import World

TABLES = """
create table "Orders" (id bigint primary key, total numeric(12, 2) not null, note text);
create table keyless (line text);
create unlogged table scratch (id int primary key);
"""


def rehearsed(world: World, tables: list[str], **target: Any) -> dict[str, Any]:
    definition = {
        "task": "rehearsed",
        "kind": "whole_database",
        "source": {"data_source": "src", "tables": tables},
        "target": {"data_source": "dst", "write": "upsert", "schema": "public"} | target,
    }
    said: dict[str, Any] = world.site.ask("POST", "/definitions/check", {"definition": definition})
    return said


def failed(said: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["of"], line["code"]) for line in said["checks"] if not line["ok"]]


def test_a_definition_that_could_be_submitted_says_where_each_column_goes(world: World) -> None:
    world.source.execute(TABLES)
    said = rehearsed(world, ["public.Orders"], table="all_{table}")
    assert failed(said) == []
    assert (said["ok"], said["tables"]) == (True, 1)
    fit = said["fits"][0]
    assert (fit["source"], fit["target"], fit["exists"], fit["problems"]) == (
        "public.Orders",
        "public.all_Orders",
        False,
        [],
    )
    assert [(one["name"], one["target_type"], one["key"]) for one in fit["columns"]] == [
        ("id", "bigint", True),
        ("total", "numeric(12,2)", False),
        ("note", "text", False),
    ]


def test_a_column_that_does_not_fit_is_marked(world: World) -> None:
    world.source.execute(TABLES)
    world.target.execute('create table "Orders" (id bigint primary key, total int, note text)')
    said = rehearsed(world, ["public.Orders"])
    assert (said["ok"], failed(said)) == (False, [("tables", "target.misfit")])
    wrong = {one["name"]: one["wrong"] for one in said["fits"][0]["columns"]}
    assert wrong["total"] != ""
    assert (wrong["id"], wrong["note"]) == ("", "")


def test_a_table_that_cannot_be_followed_is_told_and_the_others_are_shown(world: World) -> None:
    world.source.execute(TABLES)
    said = rehearsed(world, ["public.Orders", "public.keyless"])
    assert said["ok"] is False
    assert {fit["source"]: bool(fit["problems"]) for fit in said["fits"]} == {
        "public.Orders": False,
        "public.keyless": True,
    }


def test_what_a_source_has_is_listed(world: World) -> None:
    world.source.execute(TABLES)
    said = world.site.ask("POST", "/definitions/tables", {"data_source": "src", "entries": ["public.Ord.*"]})
    assert [(one["name"], one["taken"]) for one in said["tables"]] == [
        ("public.Orders", True),
        ("public.keyless", False),
    ]
    assert said["unlogged"] == ["public.scratch"]
