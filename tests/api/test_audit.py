"""What the audit log is told by the API: every command and refusal, who did it and from where, and no secret."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.people import NORTH, PASSWORD, SOUTH, SOUTHERN, TASK, Town, town
from api.rig import CANARY, data_source, definition
from api.test_guard import refused
from api.wedata import Pair, asked
from tidegate.cli.main import app
from tidegate.errors import StoreUnavailable
from tidegate.server.control import Control


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "data") as made:
        yield made


@pytest.fixture
def ann(north: Town) -> httpx.Client:
    """An ops engineer of south, whose task is submitted."""
    north.account("ann")
    north.member("ann", "ops_engineer", SOUTH)
    north.api.ask("POST", f"/tasks/{SOUTHERN}/submit?project={SOUTH}", json={})
    return north.client(north.token("ann", name="laptop"))


def entries(town: Town, **sought: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = town.api.ask("GET", "/audit", params=sought | {"limit": 1000})
    return found


def newest(town: Town, **sought: Any) -> dict[str, Any]:
    return entries(town, **sought)[0]


def shown(one: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(one[name] for name in names)


def test_a_command_is_there_with_who_what_where_and_how_it_went(north: Town, ann: httpx.Client) -> None:
    assert ann.post(f"/api/v1/tasks/{SOUTHERN}/commands/run?project={SOUTH}", json={}).status_code == 202
    one = newest(north)
    assert shown(one, "actor", "credential", "address") == ("ann", "token laptop", "127.0.0.1")
    assert shown(one, "action", "project", "outcome", "code") == ("give_command", SOUTH, "done", "")
    assert one["subject"] == f"task={SOUTHERN} command=run"
    ann.post(f"/api/v1/tasks/{SOUTHERN}/commands/pause?project={SOUTH}", json={})
    assert shown(newest(north), "outcome", "code") == ("refused", "lifecycle.refused")


def test_a_refusal_of_a_look_is_there_and_a_look_is_not(north: Town, ann: httpx.Client) -> None:
    before = len(entries(north))
    assert ann.get(f"/api/v1/tasks/{SOUTHERN}?project={SOUTH}").status_code == 200
    assert ann.post("/api/v1/definitions/read", json={"text": "task: t"}).status_code == 200
    assert len(entries(north)) == before
    refused(ann.get(f"/api/v1/tasks/{TASK}?project={NORTH}"), 404, "request.not_found")
    assert shown(newest(north), "actor", "action", "project", "outcome", "code") == (
        "ann", "get_task", NORTH, "refused", "request.not_found",
    )  # fmt: skip
    refused(ann.get("/api/v1/users"), 403, "request.forbidden")
    assert shown(newest(north), "actor", "action", "code") == ("ann", "list_users", "request.forbidden")


def test_log_ins_are_there_with_a_name_only_if_there_is_one(north: Town) -> None:
    north.account("eve", "person")
    north.browser(name="eve", password=PASSWORD)
    assert shown(newest(north), "actor", "action", "outcome") == ("eve", "log_in", "done")
    stranger = north.client(Origin=north.api.url)
    stranger.post("/api/v1/session", json={"name": "eve", "password": "not this one"})
    assert shown(newest(north), "actor", "outcome", "code") == ("eve", "refused", "request.log_in_refused")
    stranger.post("/api/v1/session", json={"name": PASSWORD, "password": "eve"})
    assert shown(newest(north), "actor", "outcome") == ("", "refused")


def test_who_is_not_known_is_there_too(north: Town) -> None:
    north.client("tga_wrong").post(f"/api/v1/tasks/{TASK}/commands/stop", json={})
    assert shown(newest(north), "actor", "address", "outcome", "code") == (
        "", "127.0.0.1", "refused", "request.unauthorized",
    )  # fmt: skip


def test_each_task_of_a_batch_has_an_entry(north: Town, ann: httpx.Client) -> None:
    body = {"operation": "run", "tasks": [{"task": SOUTHERN}, {"task": "nothing"}]}
    assert ann.post(f"/api/v1/batches?project={SOUTH}", json=body).status_code == 200
    found = {one["subject"]: shown(one, "outcome", "code", "project") for one in entries(north, action="run")}
    assert found == {f"task={SOUTHERN}": ("done", "", SOUTH), "task=nothing": ("refused", "request.not_found", "")}


def test_an_action_of_the_wedata_api_is_there_with_the_keys_account(north: Town, ann: httpx.Client) -> None:
    made = north.api.ask("POST", "/access-keys", expect=201, json={"name": "jobs", "account": "ann"})
    pair, one = Pair(made["secret_id"], made["secret_key"]), {"ProjectId": SOUTH, "TaskId": SOUTHERN}
    asked(north.api.url, pair, "StartIntegrationTask", one)
    assert shown(newest(north), "actor", "credential", "action", "project", "subject", "outcome") == (
        "ann", "key jobs", "StartIntegrationTask", SOUTH, f"TaskId={SOUTHERN}", "done",
    )  # fmt: skip
    asked(north.api.url, pair, "DeleteIntegrationTask", one)
    assert shown(newest(north), "action", "outcome", "code") == (
        "DeleteIntegrationTask", "refused", "AuthFailure.UnauthorizedOperation",
    )  # fmt: skip
    before = len(entries(north))
    asked(north.api.url, pair, "DescribeIntegrationTask", one)
    assert len(entries(north)) == before
    asked(north.api.url, Pair("AKIDnobody", "x"), "StopIntegrationTask", one)
    assert shown(newest(north), "actor", "code") == ("", "AuthFailure.SecretIdNotFound")


def test_no_secret_and_nothing_that_was_sent_is_in_it(north: Town) -> None:
    api = north.api
    north.account("eve", "person")
    secret = "canary-secret-81"
    api.http.post(f"/api/v1/tasks/{secret}%20x/commands/stop", json={})
    api.http.post("/api/v1/data-sources", json=data_source(f"{secret} x"))
    api.http.post("/api/v1/data-sources", json=data_source("mine", password=secret))
    api.http.post(f"/{secret}", json={secret: secret})
    api.http.post(f"/api/v1/tasks?project={secret}%20", json=definition("mine", project=f"{secret} "))
    north.client(f"tga_{secret}").get("/api/v1/users")
    north.client(Origin=api.url).post("/api/v1/session", json={"name": secret, "password": secret})
    api.ask("PUT", "/users/eve/password", expect=204, json={"password": secret})
    token = api.ask("POST", "/tokens", expect=403, json={"name": "x", "account": "eve"})
    held = sqlite3.connect(api.control.store.database.url.database or "")
    kept = "\n".join(map(str, held.execute("select * from audit_entry")))
    held.close()
    assert token["code"] == "request.forbidden"
    for forbidden in (secret, CANARY, PASSWORD, api.token):
        assert forbidden not in kept, kept


def test_a_project_administrator_reads_what_was_done_in_the_project_only(north: Town, ann: httpx.Client) -> None:
    north.account("chief")
    north.member("chief", "project_administrator")
    chief = north.client(north.token("chief"))
    found = chief.get("/api/v1/audit?limit=1000").json()
    assert {one["project"] for one in found} == {NORTH}
    assert chief.get(f"/api/v1/audit?project={SOUTH}").json() == []
    exported = [json.loads(line) for line in chief.get("/api/v1/audit/export").text.splitlines()]
    assert [one["id"] for one in exported] == sorted(one["id"] for one in found)
    assert ann.get("/api/v1/audit").json() == []
    refused(chief.get("/api/v1/audit/verify"), 403, "request.forbidden")


def test_what_the_log_does_not_take_is_not_said_to_be_done(north: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Control, *entries: Any, **more: Any) -> None:
        raise StoreUnavailable("the metadata store failed: the disk is full")

    monkeypatch.setattr(Control, "audit", full)
    body = {"name": "more", "description": ""}
    refused(north.api.http.post("/api/v1/projects", json=body), 503, "store.unavailable")
    refused(north.api.http.post("/api/v1/projects", json={}), 422, "request.invalid")
    assert north.api.http.get("/api/v1/projects").status_code == 200


def test_an_unforeseen_error_of_a_command_is_there(north: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Control, *given: Any, **more: Any) -> None:
        raise RuntimeError("canary-77")

    monkeypatch.setattr(Control, "create_project", broken)
    refused(north.api.http.post("/api/v1/projects", json={"name": "more"}), 500, "internal")
    assert shown(newest(north), "action", "outcome", "code") == ("create_project", "failed", "internal")


def test_the_log_is_listed_saved_and_checked_on_the_command_line(north: Town, tmp_path: Path) -> None:
    environment = {"TIDEGATE_URL": north.api.url, "TIDEGATE_TOKEN": north.api.token}

    def said(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["audit", *words], env=environment, terminal_width=200)
        assert result.exit_code == code, result.output
        return result.stdout

    assert "give_command" in said("list", "--project", NORTH)
    assert json.loads(said("list", "--outcome", "failed", "--json")) == []
    count = len(entries(north))
    assert f"{count} entries" in said("verify")
    said("export", str(tmp_path / "log.jsonl"), "--by", "admin")
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == count
    head = json.loads(said("verify", "--json"))["head"]
    held = sqlite3.connect(north.api.control.store.database.url.database or "")
    held.execute("update audit_entry set actor = 'somebody' where id = 2")
    held.commit()
    held.close()
    assert "entry 2 was changed" in said("verify", code=1)
    assert json.loads(said("verify", "--expect", head, "--json", code=1))["ok"] is False


def test_an_entry_says_what_was_given_to_whom(north: Town, ann: httpx.Client) -> None:
    api = north.api

    def said(action: str) -> tuple[Any, ...]:
        return shown(newest(north, action=action), "subject", "detail", "outcome")

    north.member("ann", "custom", SOUTH, permissions=["task.operate", "alert.edit"])
    told = "role=custom permissions=alert.edit,task.operate"
    assert said("put_member") == (f"name={SOUTH} account=ann", told, "done")
    north.member("ann", "data_engineer", SOUTH)
    assert said("put_member")[1] == "role=data_engineer"
    more = {"role": "project_administrator"}
    refused(ann.put(f"/api/v1/projects/{SOUTH}/members/ann", json=more), 403, "request.forbidden")
    assert said("put_member")[1:] == ("role=project_administrator", "refused")
    north.token("ann", name="ci", days=3, permissions=["task.operate"], projects=[SOUTH])
    assert said("create_token")[:2] == ("named=ci", f"account=ann days=3 permissions=task.operate projects={SOUTH}")
    north.account("eve", "person", administrator=True)
    assert said("create_user")[1] == "kind=person administrator=yes"
    api.ask("PUT", "/users/eve", json={"enabled": False})
    assert said("edit_user")[1] == "enabled=no"
    api.ask("PUT", "/users/eve/password", expect=204, json={"password": "another battery 42"})
    assert said("set_password")[1] == "credentials=ended"
    api.ask("PUT", f"/tasks/{TASK}/owner?project={NORTH}", json={"owner": "ann"})
    assert said("change_owner")[1] == "owner=ann"
    api.http.put(f"/api/v1/tasks/{TASK}/owner?project={NORTH}", json={"owner": "canary no name"})
    assert said("change_owner")[1] == "owner=…"
    assert api.ask("GET", "/audit/verify")["ok"]


def test_each_task_and_data_source_of_a_wedata_action_has_an_entry_with_its_project(
    north: Town, ann: httpx.Client
) -> None:
    made = north.api.ask("POST", "/access-keys", expect=201, json={"name": "jobs", "account": "ann"})
    many = {"ProjectId": SOUTH, "TaskType": 201, "TaskIds": [SOUTHERN, "nothing"]}
    pair = Pair(made["secret_id"], made["secret_key"])
    assert asked(north.api.url, pair, "BatchStartIntegrationTasks", many)["SuccessCount"] == 1
    found = entries(north, action="BatchStartIntegrationTasks")
    assert [shown(one, "subject", "project", "outcome") for one in found[:2]] == [
        ("TaskId=nothing", SOUTH, "refused"), (f"TaskId={SOUTHERN}", SOUTH, "done"),
    ]  # fmt: skip
    root = north.api.ask("POST", "/access-keys", expect=201, json={"name": "root"})
    pair = Pair(root["secret_id"], root["secret_key"])
    ids = []
    for project in (NORTH, SOUTH):
        one = north.api.ask("POST", f"/data-sources?project={project}", expect=201, json=data_source("gone"))
        ids.append(one["id"])
    asked(north.api.url, pair, "DeleteDataSources", {"Ids": ids})
    found = entries(north, action="DeleteDataSources")
    assert {shown(one, "subject", "project") for one in found[:2]} == {(f"of={ids[0]}", NORTH), (f"of={ids[1]}", SOUTH)}
