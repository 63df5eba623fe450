"""Definitions that are not saved yet: read, looked at and checked, without leaving anything."""

from __future__ import annotations

from typing import Any

import pytest

from api.rig import Api, definition
from tidegate.model.schema import TableName

SHOP = [TableName("public", name) for name in ("customers", "orders", "order_items")]

YAML = """
task: fresh
kind: whole_database
source: {data_source: shop, tables: [public.orders]}
target: {data_source: lake, write: append}
"""


def test_yaml_is_read_as_a_complete_definition(stocked: Api) -> None:
    said = stocked.ask("POST", "/definitions/read", json={"text": YAML})
    assert said["errors"] == []
    assert said["definition"]["target"]["schema"] == "{schema}"
    assert stocked.ask("POST", "/tasks", expect=201, json=said["definition"])["definition"] == said["definition"]


def test_yaml_that_is_no_definition_yet_is_read_with_what_is_wrong(stocked: Api) -> None:
    text = "task: shop\nkind: whole_database\nsource: {data_source: shop, tables: [public.orders]}\nunits: .nan\n"
    said = stocked.ask("POST", "/definitions/read", json={"text": text})
    assert said["definition"] == {
        "task": "shop",
        "kind": "whole_database",
        "source": {"data_source": "shop", "tables": ["public.orders"]},
        "units": "NaN",
    }
    assert [one["field"] for one in said["errors"]] == ["target", "units"]


def test_what_is_no_yaml_is_refused_with_its_line(stocked: Api) -> None:
    said = stocked.ask("POST", "/definitions/read", expect=422, json={"text": "task: [\n"})
    assert said["code"] == "task.invalid"
    assert "line 2" in said["detail"]


def taken(api: Api, entries: list[str], **more: Any) -> dict[str, Any]:
    api.plane.tables = list(SHOP)
    asked = {"data_source": "shop", "entries": entries} | more
    said: dict[str, Any] = api.ask("POST", "/definitions/tables", json=asked)
    return said


def test_each_entry_says_how_many_tables_it_takes(stocked: Api) -> None:
    said = taken(stocked, ["public.customers", r"public\.order.*", "public.missing", "public.(", "none", "x.*"])
    assert [(one["entry"], one["tables"]) for one in said["entries"]] == [
        ("public.customers", 1),
        (r"public\.order.*", 2),
        ("public.missing", 0),
        ("public.(", 0),
        ("none", 0),
        ("x.*", 0),
    ]
    assert (said["total"], said["taken"]) == (3, 3)
    problems = [one["problem"] for one in said["entries"]]
    assert problems[:3] == ["", "", "is no table of the source"]
    assert "is not a regular expression" in problems[3]
    assert "must name schema.table" in problems[4]
    assert problems[5] == "matches no table of the source"


def test_a_table_that_no_log_has_says_so(stocked: Api) -> None:
    said = taken(stocked, ["public.scratch"])
    assert said["entries"][0]["problem"] == "is unlogged: its rows are in no log"
    assert said["unlogged"] == ["public.scratch"]


def test_taken_tables_are_named_by_the_naming_patterns(stocked: Api) -> None:
    naming = {"schema": "lake_{database}", "table": "{schema}_{table}"}
    said = taken(stocked, [r"public\.order.*"], naming=naming, name="ORDER")
    assert [(one["name"], one["taken"], one["target"]) for one in said["tables"]] == [
        ("public.order_items", True, "lake_shop.public_order_items"),
        ("public.orders", True, "lake_shop.public_orders"),
    ]
    assert (said["found"], said["total"]) == (2, 3)


def test_tables_that_are_taken_are_told_alone_when_asked_for(stocked: Api) -> None:
    said = taken(stocked, ["public.customers"], taken_only=True)
    assert ([one["name"] for one in said["tables"]], said["found"], said["total"]) == (["public.customers"], 1, 3)


def test_names_that_clash_and_patterns_that_are_none_are_told(stocked: Api) -> None:
    assert taken(stocked, ["public.*"], naming={"table": "all"})["clashes"] == ["public.all"]
    said = taken(stocked, ["public.*"], naming={"table": "{nothing}"})
    assert "unknown placeholder {nothing}" in said["problem"]
    assert [one["target"] for one in said["tables"]] == [None] * 3


def check(api: Api, given: dict[str, Any], **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = api.ask("POST", "/definitions/check", json={"definition": given} | more)
    return said


def failed(said: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["of"], line["code"]) for line in said["checks"] if not line["ok"]]


def test_every_wrong_field_is_a_check(stocked: Api) -> None:
    said = check(stocked, definition("fresh") | {"units": 0, "kind": "many"})
    assert (said["ok"], [line["name"] for line in said["checks"]]) == (False, ["kind", "units"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"project": "nowhere"}, "request.not_found"),
        ({"source": {"data_source": "none", "tables": ["public.orders"]}}, "request.not_found"),
        ({"resource_group": "none"}, "request.not_found"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else given,
)
def test_what_a_definition_names_must_be_there(stocked: Api, change: dict[str, Any], code: str) -> None:
    said = check(stocked, definition("fresh") | change)
    assert (said["ok"], failed(said)) == (False, [("references", code)])


def test_a_name_in_use_is_anothers_only(stocked: Api) -> None:
    assert ("references", "request.name_taken") in failed(check(stocked, definition()))
    assert ("references", "request.name_taken") not in failed(check(stocked, definition(), task="shop_to_lake"))


def test_units_that_are_taken_keep_it_from_running_only(stocked: Api) -> None:
    units = next(
        line for line in check(stocked, definition("fresh") | {"units": 999})["checks"] if line["name"] == "units"
    )
    assert (units["ok"], units["stops"], units["code"]) == (False, "run", "lifecycle.no_units")


def test_drafts_are_listed_alone_when_asked_for(stocked: Api) -> None:
    stocked.ask("POST", "/tasks", expect=201, json=definition("done"))
    stocked.ask("POST", "/tasks/done/submit", json={})
    assert [one["name"] for one in stocked.ask("GET", "/tasks?drafts_only=true")] == ["shop_to_lake"]
    assert len(stocked.ask("GET", "/tasks")) == 2


def test_a_check_leaves_nothing(stocked: Api) -> None:
    before = stocked.ask("GET", "/tasks")
    check(stocked, definition("fresh"))
    assert stocked.ask("GET", "/tasks") == before
