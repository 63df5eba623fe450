"""Projects, data sources, resource groups and task definitions over the API."""

from __future__ import annotations

from typing import Any

import pytest

from api.rig import CANARY, Api, data_source, definition
from tidegate.errors import SourceTableUnknown, SourceUnreachable
from tidegate.server.control import MASK


def code_of(api: Api, method: str, path: str, **more: Any) -> tuple[int, str]:
    answer = api.http.request(method, f"/api/v1{path}", **more)
    return answer.status_code, answer.json().get("code", "")


# --- data sources ---


def test_a_data_source_that_is_saved_as_it_is_keeps_its_version(stocked: Api) -> None:
    held = stocked.ask("GET", "/data-sources/shop")
    same = data_source("shop")["config"]
    for config in (held["config"], same):
        body = {"config": config, "description": held["description"]}
        assert stocked.ask("PUT", "/data-sources/shop", json=body)["version"] == held["version"]
    body = {"config": same | {"password": "another"}}
    assert stocked.ask("PUT", "/data-sources/shop", json=body)["version"] == held["version"] + 1


def test_a_data_source_is_saved_shown_masked_edited_and_deleted(api: Api) -> None:
    made = api.ask("POST", "/data-sources", expect=201, json=data_source("shop"))
    assert (made["config"]["password"], made["config"]["database"]) == (MASK, "shop")
    edited = api.ask("PUT", "/data-sources/shop", json={"config": made["config"] | {"database": "more"}})
    assert (edited["config"]["database"], edited["version"]) == ("more", made["version"] + 1)
    assert api.control.data_source_side("shop")[1]["password"] == CANARY
    assert api.ask("DELETE", "/data-sources/shop", expect=204) is None
    assert api.ask("GET", "/data-sources") == []


CHANGED_ADDRESSES = [{"host": "db.example"}, {"port": 2}, {"user": "other"}, {"sslmode": "disable"}]


@pytest.mark.parametrize("change", CHANGED_ADDRESSES, ids=lambda change: next(iter(change)))
@pytest.mark.parametrize("password", ["masked", "left out"])
@pytest.mark.parametrize(("method", "path"), [("PUT", "/data-sources/shop"), ("POST", "/data-sources/shop/test")])
def test_a_stored_password_is_not_sent_to_a_changed_address(
    stocked: Api, method: str, path: str, password: str, change: dict[str, Any]
) -> None:
    held = stocked.ask("GET", "/data-sources/shop")
    config = held["config"] | change
    if password == "left out":
        del config["password"]
    said = stocked.ask(method, path, expect=422, json={"config": config})
    assert (said["code"], [one["field"] for one in said["errors"]]) == (
        "data_source.secret_needed",
        ["config.password"],
    )
    assert next(iter(change)) in said["detail"]
    assert "password again" in said["advice"]
    assert stocked.ask("GET", "/data-sources/shop") == held


def test_a_changed_address_is_taken_with_its_password(stocked: Api) -> None:
    config = data_source("shop", host="db.example", password="given again")["config"]
    assert stocked.ask("PUT", "/data-sources/shop", json={"config": config})["config"]["host"] == "db.example"
    assert stocked.control.data_source_side("shop")[1]["password"] == "given again"


def test_an_address_without_a_stored_password_may_change(api: Api) -> None:
    made = api.ask("POST", "/data-sources", expect=201, json=data_source("shop", password=""))
    edited = api.ask("PUT", "/data-sources/shop", json={"config": made["config"] | {"host": "db.example"}})
    assert edited["config"]["host"] == "db.example"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"name": "a b"}, 422, "request.invalid"),
        ({"name": "12"}, 422, "request.invalid"),
        ({"kind": "oracle"}, 422, "connector.unknown"),
        ({"config": {}}, 422, "data_source.invalid"),
        ({"config": {"host": "h", "database": "d", "user": "u", "pasword": CANARY}}, 422, "data_source.invalid"),
        ({"config": {"host": "h", "database": "d", "user": "u", "password": [CANARY]}}, 422, "data_source.invalid"),
        ({"config": {"host": "h", "database": "d", "user": "u", "port": CANARY}}, 422, "data_source.invalid"),
        ({"config": [CANARY]}, 422, "request.invalid"),
        ({"secret": CANARY}, 422, "request.invalid"),
    ],
)
def test_a_wrong_data_source_is_refused_and_nothing_of_it_is_repeated(
    api: Api, change: dict[str, Any], status: int, code: str
) -> None:
    answer = api.http.post("/api/v1/data-sources", json=data_source("shop") | change)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert CANARY not in answer.text
    assert api.ask("GET", "/data-sources") == []


def test_a_name_is_given_once(stocked: Api) -> None:
    assert code_of(stocked, "POST", "/data-sources", json=data_source("shop")) == (409, "request.name_taken")
    assert code_of(stocked, "POST", "/tasks", json=definition()) == (409, "request.name_taken")
    assert code_of(stocked, "POST", "/resource-groups", json={"name": "default", "units": 1}) == (
        409,
        "request.name_taken",
    )


def test_a_data_source_in_use_is_not_deleted_and_the_tasks_are_named(stocked: Api) -> None:
    said = stocked.ask("DELETE", "/data-sources/shop", expect=409)
    assert said["code"] == "request.in_use"
    assert "shop_to_lake" in said["detail"]


def test_an_edit_of_a_stale_version_is_refused(stocked: Api) -> None:
    body = {"description": "new", "version": 99}
    assert code_of(stocked, "PUT", "/data-sources/shop", json=body) == (409, "request.stale_version")
    assert code_of(stocked, "DELETE", "/resource-groups/default?version=99")[0] == 409


def test_connectivity_is_tested_with_a_result_per_check(stocked: Api) -> None:
    report = stocked.ask("POST", "/data-sources/shop/test")
    assert (report["ok"], report["usable_as"]) == (False, [])
    assert {check["role"] for check in report["checks"]} == {"source", "target"}
    assert all(check["code"].endswith(".unreachable") and check["advice"] for check in report["checks"])
    as_target = stocked.ask("POST", "/data-sources/shop/test?role=target")
    assert {check["role"] for check in as_target["checks"]} == {"target"}


def test_settings_can_be_tested_before_they_are_saved(api: Api) -> None:
    trial = {name: value for name, value in data_source("x").items() if name != "name"}
    assert api.ask("POST", "/data-sources/test", json=trial)["ok"] is False
    assert api.ask("GET", "/data-sources") == []


def test_every_connector_is_listed_with_the_schema_of_its_settings(standing_api: Api) -> None:
    found = {one["kind"]: one for one in standing_api.ask("GET", "/connectors")}
    assert {"postgres", "duckdb"} <= set(found)
    assert found["postgres"]["roles"] == ["source", "target"]
    assert found["duckdb"]["roles"] == ["target"]
    assert found["postgres"]["config"]["properties"]["password"]["writeOnly"] is True


# --- projects and groups ---


def test_projects_keep_names_apart_and_are_deleted_when_empty(stocked: Api) -> None:
    stocked.ask("POST", "/projects", expect=201, json={"name": "other"})
    stocked.ask("POST", "/data-sources?project=other", expect=201, json=data_source("shop"))
    assert code_of(stocked, "DELETE", "/projects/other") == (409, "request.in_use")
    stocked.ask("DELETE", "/data-sources/shop?project=other", expect=204)
    stocked.ask("DELETE", "/projects/other", expect=204)
    assert [one["name"] for one in stocked.ask("GET", "/projects")] == ["default"]


def test_a_group_says_how_many_units_are_used(stocked: Api) -> None:
    stocked.ask("POST", "/resource-groups", expect=201, json={"name": "nightly", "units": 2})
    edited = stocked.ask("PUT", "/resource-groups/nightly", json={"units": 3, "version": 1})
    assert (edited["units"], edited["units_used"], edited["version"]) == (3, 0, 2)
    stocked.ask("DELETE", "/resource-groups/nightly", expect=204)


# --- tasks ---


def test_a_draft_is_edited_submitted_as_versions_and_listed_in_ops_only_then(stocked: Api) -> None:
    assert stocked.ask("GET", "/ops")["items"] == []
    first = stocked.ask("POST", "/tasks/shop_to_lake/submit", json={"note": "first"})
    assert (first["task"]["status"], first["task"]["submitted"]) == ("Initialize", 1)
    edited = stocked.ask("PUT", "/tasks/shop_to_lake", json=definition(units=2))
    assert edited["task"]["changed"] is True
    stocked.ask("POST", "/tasks/shop_to_lake/submit")
    versions = stocked.ask("GET", "/tasks/shop_to_lake/versions")
    assert [(one["number"], one["definition"]["units"], one["note"]) for one in versions] == [
        (2, 2, ""),
        (1, 1, "first"),
    ]
    assert [one["name"] for one in stocked.ask("GET", "/ops")["items"]] == ["shop_to_lake"]


def test_a_task_is_addressed_by_id_and_by_name(stocked: Api) -> None:
    by_name = stocked.ask("GET", "/tasks/shop_to_lake")
    assert stocked.ask("GET", f"/tasks/{by_name['task']['id']}") == by_name


def test_a_task_with_a_name_that_is_not_latin_is_addressed_by_it(stocked: Api) -> None:
    stocked.ask("POST", "/tasks", expect=201, json=definition("订单同步"))
    assert stocked.ask("GET", "/tasks/订单同步")["task"]["name"] == "订单同步"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"task": "a b"}, "task"),
        ({"kind": "sharded"}, ""),
        ({"units": 0}, "units"),
        ({"colour": "red"}, "colour"),
        ({"snapshots": {"every": "1"}}, "snapshots.every"),
    ],
)
def test_a_wrong_definition_is_refused_as_such(api: Api, change: dict[str, Any], field: str) -> None:
    said = api.ask("POST", "/tasks", expect=422, json=definition() | change)
    assert (said["code"], [one["field"] for one in said["errors"]]) == ("task.invalid", [field])
    assert api.ask("GET", "/tasks") == []


def test_what_the_checks_find_is_told_whole_and_nothing_is_submitted(stocked: Api) -> None:
    stocked.plane.wrong += [SourceTableUnknown("no table public.orders"), SourceTableUnknown("no table public.items")]
    said = stocked.ask("POST", "/tasks/shop_to_lake/submit", expect=422)
    assert said["code"] == "source.table_unknown"
    assert [one["detail"] for one in said["errors"]] == ["no table public.orders", "no table public.items"]
    assert stocked.ask("GET", "/tasks/shop_to_lake")["task"]["status"] == "New"
    assert stocked.ask("GET", "/tasks/shop_to_lake/versions") == []


def test_a_source_that_does_not_answer_is_no_fault_of_the_request(stocked: Api) -> None:
    stocked.plane.wrong.append(SourceUnreachable("shop does not answer"))
    assert code_of(stocked, "POST", "/tasks/shop_to_lake/submit") == (502, "source.unreachable")


def test_two_people_at_once_one_wins_and_the_other_is_told(stocked: Api) -> None:
    version = stocked.ask("GET", "/tasks/shop_to_lake")["task"]["version"]
    stocked.ask("POST", "/tasks/shop_to_lake/submit", json={"version": version})
    said = stocked.ask("POST", "/tasks/shop_to_lake/commands/run", expect=409, json={"version": version})
    assert said["code"] == "request.stale_version"
    assert stocked.ask("GET", "/tasks/shop_to_lake")["task"]["status"] == "Initialize"


@pytest.mark.parametrize(
    ("start", "status"),
    [
        ({"read": "incremental"}, 202),
        ({"read": "incremental", "position": "0/1"}, 202),
        ({"read": "incremental", "time": "2026-11-01T00:00:00Z"}, 202),
        ({"read": "incremental", "time": "2026-11-01T00:00:00"}, 422),
        ({"read": "incremental", "time": "2026-11-01T00:00:00Z", "position": "0/1"}, 422),
        ({"position": "0/1"}, 422),
        ({"read": "everything"}, 422),
        ({"from": "yesterday"}, 422),
    ],
)
def test_run_takes_a_start_point_that_means_something(stocked: Api, start: dict[str, Any], status: int) -> None:
    stocked.ask("POST", "/tasks/shop_to_lake/submit")
    stocked.ask("POST", "/tasks/shop_to_lake/commands/run", expect=status, json={"start": start})
    expected = "Operating" if status == 202 else "Initialize"
    assert stocked.ask("GET", "/tasks/shop_to_lake")["task"]["status"] == expected


def test_a_preview_takes_the_start_of_the_run(stocked: Api) -> None:
    stocked.ask("POST", "/tasks/shop_to_lake/submit")
    asked = "/tasks/shop_to_lake/operations/run/preview?read=incremental&time="
    assert stocked.ask("GET", f"{asked}2026-11-01T00:00:00Z")["allowed"]
    stocked.ask("GET", f"{asked}yesterday", expect=422)


def test_ops_are_filtered_sorted_and_paged(stocked: Api) -> None:
    for name in ("b_two", "a_one", "c_three"):
        stocked.ask("POST", "/tasks", expect=201, json=definition(name))
        stocked.ask("POST", f"/tasks/{name}/submit")
    stocked.ask("POST", "/tasks/b_two/commands/run", expect=202)

    def names(query: str) -> list[str]:
        return [one["name"] for one in stocked.ask("GET", f"/ops?{query}")["items"]]

    assert names("") == ["a_one", "b_two", "c_three"]
    assert names("sort=-name") == ["c_three", "b_two", "a_one"]
    assert names("status=Operating") == ["b_two"]
    assert names("status=Initialize&status=Operating&name=O") == ["a_one", "b_two"]
    assert names("page_size=2&page=2") == ["c_three"]
    assert names("source_kind=postgres&resource_group=default&owner=admin&sort=-name&page_size=1") == ["c_three"]
    assert names("target_kind=duckdb") == []
    assert stocked.ask("GET", "/ops?page_size=1")["total"] == 3


def test_removing_a_draft_is_accepted_and_leads_away(driven: Api) -> None:
    assert driven.ask("DELETE", "/tasks/shop_to_lake", expect=202)["task"]["status"] == "Operating"
