"""Every route and every action, asked by everybody: what the permission table allows is allowed, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from api.people import CHANNEL, NORTH, RULE, TASK, Person, Town, populate, town
from api.rig import data_source, definition
from api.wedata import Pair, asked
from tidegate.model.permission import (
    ACCOUNT_VIEW,
    ACTIONS,
    BY_COMMAND,
    BY_NAME,
    COMMAND_NEEDS,
    LOOKS,
    OF_PROJECT,
    PERMISSIONS,
    ROLES,
    ROUTES,
    VIEW,
    Need,
    Role,
    Scope,
    Where,
)
from tidegate.server.app import openapi
from tidegate.server.batches import BATCH_OPERATIONS
from tidegate.server.wedata import codes
from tidegate.server.wedata.actions import ACTIONS as WEDATA
from tidegate.server.wedata.actions import Standing

Q = f"?project={NORTH}"
WRONG: dict[str, Any] = {"json": {"no": "such field"}}

# For each route requests that change nothing even if they are allowed, for they are refused then for another reason,
# or do what is so already.
REQUESTS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "health": [("GET", "/health", {})],
    "log_in": [("POST", "/session", WRONG)],
    "set_up": [("POST", "/setup", WRONG)],
    "list_log_in_ways": [("GET", "/session/ways", {})],
    "begin_sign_on": [("GET", "/session/sso", {})],
    "finish_sign_on": [("GET", "/session/sso/callback", {})],
    "get_session": [("GET", "/session", {})],
    "log_out": [("DELETE", "/session", {})],
    "list_permissions": [("GET", "/permissions", {})],
    "list_metrics": [("GET", "/metrics", {})],
    "scrape": [("GET", "^/metrics", {})],
    "list_log_diagnoses": [("GET", "/log-diagnoses", {})],
    "list_alert_metrics": [("GET", "/alert-metrics", {})],
    "list_connectors": [("GET", "/connectors", {})],
    "list_groups": [("GET", "/resource-groups", {})],
    "get_group": [("GET", "/resource-groups/default", {})],
    "create_group": [("POST", "/resource-groups", {"json": {"name": "default", "units": 1}})],
    "edit_group": [("PUT", "/resource-groups/default", {"json": {"units": 9, "version": 999}})],
    "delete_group": [("DELETE", "/resource-groups/default?version=999", {})],
    "list_server_log": [("GET", "/logs", {})],
    "download_server_log": [("GET", "/logs/download", {})],
    "list_ops": [("GET", "/ops", {})],
    "get_ops_totals": [("GET", "/ops/totals", {})],
    "get_ops_trends": [("GET", "/ops/trends?task=1&task=2", {})],
    "list_tasks": [("GET", "/tasks", {})],
    "list_projects": [("GET", "/projects", {})],
    "list_events": [("GET", "/events", {})],
    "list_alerts": [("GET", "/alerts", {})],
    "run_batch": [("POST", f"/batches{Q}", {"json": {"operation": "pause", "all": True, "dry_run": True}})],
    "create_project": [("POST", "/projects", {"json": {"name": NORTH}})],
    "edit_project": [("PUT", f"/projects/{NORTH}", {"json": {"description": ""}})],
    "delete_project": [("DELETE", f"/projects/{NORTH}", {})],
    "set_allow_list": [("PUT", f"/projects/{NORTH}/allow-list", {"json": {"networks": ["nowhere"]}})],
    "list_members": [("GET", f"/projects/{NORTH}/members", {})],
    "put_member": [("PUT", f"/projects/{NORTH}/members/nobody", {"json": {"role": "king"}})],
    "remove_member": [("DELETE", f"/projects/{NORTH}/members/nobody", {})],
    "get_task": [("GET", f"/tasks/{TASK}{Q}", {}), ("GET", "/tasks/1", {})],
    "list_versions": [("GET", f"/tasks/{TASK}/versions{Q}", {})],
    "list_offers": [("GET", f"/tasks/{TASK}/offers{Q}", {}), ("GET", "/tasks/1/offers", {})],
    "list_runs": [("GET", f"/tasks/{TASK}/runs{Q}", {})],
    "get_run": [("GET", f"/tasks/{TASK}/runs/1{Q}", {})],
    "list_snapshots": [("GET", f"/tasks/{TASK}/snapshots{Q}", {})],
    "get_snapshot_request": [("GET", f"/tasks/{TASK}/snapshots/requests/none{Q}", {})],
    "get_positions": [("GET", f"/tasks/{TASK}/positions{Q}", {})],
    "list_task_events": [("GET", f"/tasks/{TASK}/events{Q}", {})],
    "get_metrics": [("GET", f"/tasks/{TASK}/metrics{Q}", {})],
    "list_tables": [("GET", f"/tasks/{TASK}/tables{Q}", {})],
    "get_progress": [("GET", f"/tasks/{TASK}/progress{Q}", {})],
    "list_task_log": [("GET", f"/tasks/{TASK}/logs{Q}", {})],
    "download_task_log": [("GET", f"/tasks/{TASK}/logs/download{Q}", {})],
    "read_definition": [("POST", "/definitions/read", {"json": {"text": "task: t"}})],
    "match_tables": [("POST", f"/definitions/tables{Q}", {"json": {"data_source": "nothing"}})],
    "check_definition": [
        ("POST", f"/definitions/check{Q}", {"json": {"definition": {"task": "t"}}}),
        ("POST", f"/definitions/check{Q}", {"json": {"definition": definition("t", project=NORTH)}}),
    ],
    "get_outlook": [("GET", "/outlook", {})],
    "create_task": [("POST", "/tasks", {"json": definition(TASK, project=NORTH)})],
    "edit_task": [("PUT", f"/tasks/{TASK}{Q}&version=999", {"json": definition(TASK, project=NORTH)})],
    "delete_task": [("DELETE", f"/tasks/{TASK}{Q}", {}), ("DELETE", "/tasks/1", {})],
    "get_lock": [("GET", f"/tasks/{TASK}/lock{Q}", {})],
    "hold_lock": [("PUT", f"/tasks/{TASK}/lock{Q}", WRONG)],
    "release_lock": [("DELETE", f"/tasks/{TASK}/lock{Q}", {})],
    "submit_task": [("POST", f"/tasks/{TASK}/submit{Q}", {"json": {"version": 999}})],
    "change_owner": [("PUT", f"/tasks/{TASK}/owner{Q}", {"json": {"owner": "x", "version": 999}})],
    "give_command": [
        ("POST", f"/tasks/{TASK}/commands/{name}{Q}", {"json": {"version": 999}})
        for name in ("pause", "submit", "remove")
    ],
    "preview_command": [
        ("GET", f"/tasks/{TASK}/operations/{name}/preview{Q}", {}) for name in ("force-pause", "remove")
    ],
    "take_snapshot": [("POST", f"/tasks/{TASK}/snapshots{Q}", {})],
    "verify_task": [("POST", f"/tasks/{TASK}/verifications{Q}", WRONG)],
    "list_verifications": [("GET", f"/tasks/{TASK}/verifications{Q}", {})],
    "get_verification": [("GET", f"/tasks/{TASK}/verifications/none{Q}", {})],
    "cancel_verification": [("DELETE", f"/tasks/{TASK}/verifications/none{Q}", {})],
    "list_data_sources": [("GET", f"/data-sources{Q}", {})],
    "get_data_source": [("GET", f"/data-sources/shop{Q}", {})],
    "create_data_source": [("POST", f"/data-sources{Q}", {"json": data_source("shop")})],
    "edit_data_source": [("PUT", f"/data-sources/shop{Q}", {"json": {"description": "x", "version": 999}})],
    "delete_data_source": [("DELETE", f"/data-sources/shop{Q}&version=999", {})],
    "try_settings": [("POST", f"/data-sources/test{Q}", {"json": {"kind": "nothing", "config": {}}})],
    "check_data_source": [("POST", f"/data-sources/nothing/test{Q}", {})],
    "list_alert_rules": [("GET", f"/alert-rules{Q}", {})],
    "get_alert_rule": [("GET", f"/alert-rules/{RULE}{Q}", {})],
    "check_alert_rule_name": [("GET", f"/alert-rule-names/{RULE}{Q}", {})],
    "list_alert_channels": [("GET", f"/alert-channels{Q}", {})],
    "get_alert_channel": [("GET", f"/alert-channels/{CHANNEL}{Q}", {})],
    "create_alert_rule": [("POST", "/alert-rules", {"json": {"alert_rule": RULE, "project": NORTH}})],
    "edit_alert_rule": [("PUT", f"/alert-rules/{RULE}{Q}", WRONG)],
    "delete_alert_rule": [("DELETE", f"/alert-rules/{RULE}{Q}&version=999", {})],
    "enable_alert_rule": [("POST", f"/alert-rules/{RULE}/enable{Q}", {})],
    "disable_alert_rule": [("POST", f"/alert-rules/nothing/disable{Q}", {})],
    "create_alert_channel": [("POST", f"/alert-channels{Q}", WRONG)],
    "edit_alert_channel": [("PUT", f"/alert-channels/{CHANNEL}{Q}", {"json": {"version": 999}})],
    "delete_alert_channel": [("DELETE", f"/alert-channels/{CHANNEL}{Q}&version=999", {})],
    "check_alert_channel": [("POST", f"/alert-channels/nothing/test{Q}", {})],
    "list_users": [("GET", "/users", {})],
    "create_user": [("POST", "/users", WRONG)],
    "get_user": [("GET", "/users/outsider", {})],
    "edit_user": [("PUT", "/users/nobody", {"json": {}})],
    "delete_user": [("DELETE", "/users/nobody", {})],
    "set_password": [("PUT", "/users/{self}/password", WRONG)],
    "list_tokens": [("GET", "/tokens", {})],
    "create_token": [("POST", "/tokens", WRONG)],
    "revoke_token": [("DELETE", "/tokens/99999", {})],
    "list_access_keys": [("GET", "/access-keys", {})],
    "create_access_key": [("POST", "/access-keys", WRONG)],
    "revoke_access_key": [("DELETE", "/access-keys/nothing", {})],
    "list_audit": [("GET", "/audit", {})],
    "export_audit": [("GET", "/audit/export", {})],
    "verify_audit": [("GET", "/audit/verify", {})],
}


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("town") / "data") as made:
        populate(made)
        yield made


# --- the table ------------------------------------------------------------------------------------------------


def test_every_route_names_its_permission_and_is_asked_for_below() -> None:
    routes = {one["operationId"] for methods in openapi()["paths"].values() for one in methods.values()}
    assert routes == set(ROUTES)
    assert routes == set(REQUESTS)
    assert routes > LOOKS


def test_a_route_that_names_none_is_answered_to_nobody(peopled: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    left = {name: need for name, need in ROUTES.items() if name != "list_tasks"}
    monkeypatch.setattr("tidegate.server.access.ROUTES", left)
    for person in peopled.people.values():
        assert person.ask("GET", "/tasks").status_code == (500 if person.known else 401), person.name


def test_every_action_that_is_provided_names_its_permission() -> None:
    assert {action.name for action in WEDATA if action.standing is not Standing.NOT} == set(ACTIONS)


def test_every_command_names_its_permission() -> None:
    assert set(COMMAND_NEEDS) == {*BATCH_OPERATIONS, "submit"}


def test_every_permission_is_one_that_something_asks_for() -> None:
    wanted = {need.permission for need in (*ROUTES.values(), *ACTIONS.values())} | set(COMMAND_NEEDS.values())
    assert wanted - {"", BY_COMMAND} == set(BY_NAME)
    assert len(BY_NAME) == len(PERMISSIONS)


def test_a_role_allows_things_of_its_project_only_and_always_to_see_it() -> None:
    assert set(ROLES) == set(Role)
    for role, held in ROLES.items():
        assert VIEW in held, role
        assert held <= OF_PROJECT, role
    assert ROLES[Role.MEMBER] < ROLES[Role.OPS_ENGINEER] < ROLES[Role.DATA_ENGINEER] < ROLES[Role.PROJECT_ADMINISTRATOR]


# --- everybody asks for everything ----------------------------------------------------------------------------


def lets(person: Person, permission: str) -> bool:
    """What the credential is limited to."""
    if person.only is None:
        return True
    return permission in person.only or (permission == VIEW and bool(person.only & OF_PROJECT))


def may(person: Person, permission: str) -> bool:
    """The table once more, in the words of the guide."""
    scope = BY_NAME[permission].scope
    if scope is Scope.ACCOUNT:
        return permission == ACCOUNT_VIEW or (person.only is None and person.only_in is None)
    if scope is Scope.SERVER:
        return person.administrator and person.only_in is None and lets(person, permission)
    inside = person.only_in is None or NORTH in person.only_in
    return inside and lets(person, permission) and (person.administrator or permission in person.in_north)


def expected(person: Person, need: Need, path: str) -> str:
    """`open`, `unknown`, `hidden`, `denied` or `allowed`."""
    if need.where is Where.OPEN:
        return "open"
    if not person.known:
        return "unknown"
    permission = need.permission
    if permission == BY_COMMAND:
        permission = next(
            (COMMAND_NEEDS[part] for part in path.split("?")[0].split("/") if part in COMMAND_NEEDS), VIEW
        )
    if need.where not in (Where.SERVER, Where.EACH) and not may(person, VIEW):
        return "hidden"
    return "allowed" if need.where is Where.EACH or may(person, permission) else "denied"


def answered(person: Person, method: str, path: str, more: dict[str, Any]) -> str:
    answer = person.ask(method, path, **more)
    if answer.status_code == 401:
        return "unknown"
    said = answer.json() if answer.status_code >= 400 else {}
    assert answer.status_code < 500, answer.text
    if answer.status_code == 403 and said["code"] == "request.forbidden":
        return "denied"
    gone = {f"there is no task {TASK}", "there is no task 1", f"there is no project {NORTH}"}
    return "hidden" if answer.status_code == 404 and said["detail"] in gone else "allowed"


@pytest.mark.slow
def test_everybody_is_answered_to_every_route_as_the_table_says(peopled: Town) -> None:
    wrong = []
    asked_for = 0
    for name, requests in REQUESTS.items():
        for method, path, more in requests:
            for person in peopled.people.values():
                if name == "log_out" and person.http.cookies:
                    continue  # it would be over for them
                place = path.replace("{self}", person.account or "nobody")
                wanted = expected(person, ROUTES[name], path)
                got = answered(person, method, place, more)
                asked_for += 1
                if got != wanted and not (wanted == "open" and got in ("allowed", "unknown")):
                    wrong.append(f"{name} {method} {path} by {person.name}: {got}, not {wanted}")
    assert not wrong, "\n".join(wrong)
    assert asked_for > 1500


# --- actions --------------------------------------------------------------------------------------------------


def sample(model: type[BaseModel]) -> dict[str, Any]:
    """What must be sent, with values that fit their types and, but for the project, mean nothing."""
    made: dict[str, Any] = {}
    for name, one in model.model_fields.items():
        if name in ("ProjectId", "OwnerProjectId"):
            made[name] = NORTH
        elif one.is_required():
            made[name] = _sample(one.annotation, name)
    return made


def _sample(kind: Any, name: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return sample(kind)
    arguments = get_args(kind)
    if arguments and kind.__class__.__name__ == "GenericAlias":
        return [_sample(arguments[0], name)]
    if arguments:
        return _sample(arguments[0], name)
    if kind is str:
        return NORTH if name.startswith("ProjectName") else "999999"
    return 1 if name not in ("TaskType",) else 201


def action_answered(peopled: Town, pair: Pair, action: str, params: dict[str, Any]) -> str:
    said = asked(peopled.api.url, pair, action, params)
    error = said.get("Error")
    if error is None:
        return "allowed"
    if error["Code"] == codes.NOT_ALLOWED and "request.forbidden" in error["Message"]:
        return "denied"
    if error["Code"] in (codes.NOT_ALLOWED, codes.UNKNOWN_SECRET_ID):
        return "unknown"
    if error["Code"] == codes.NO_PROJECT or "there is no data source 1." in error["Message"]:
        return "hidden"
    assert error["Code"] != codes.INTERNAL, said
    return "allowed"


@pytest.fixture(scope="module")
def keys(peopled: Town) -> dict[str, Pair]:
    """An access key of everybody who can have one."""
    api, made = peopled.api, {}
    for name, person in peopled.people.items():
        if not person.known or person.only is not None or person.only_in is not None:
            continue
        if name in ("the admin token", "a data engineer's log-in", "an administrator"):
            answer = person.ask("POST", "/access-keys", json={"name": f"own_{len(made)}"}).json()
        elif person.account is not None:
            answer = api.ask(
                "POST", "/access-keys", expect=201, json={"name": f"k{len(made)}", "account": person.account}
            )
        else:
            continue
        made[name] = Pair(answer["secret_id"], answer["secret_key"])
    return made


@pytest.mark.slow
def test_everybody_is_answered_to_every_action_as_the_table_says(peopled: Town, keys: dict[str, Pair]) -> None:
    assert len(keys) >= 10
    wrong = []
    for action in WEDATA:
        if action.request is None:
            continue
        params = sample(action.request)
        if action.name == "DescribeProject":
            params["ProjectName"] = NORTH
        elif action.name == "ModifyDataSource":
            params["ID"] = 1
        elif action.name == "CreateBaseProject":
            params["Project"]["ProjectName"] = NORTH
        for name, pair in keys.items():
            wanted = expected(peopled.people[name], ACTIONS[action.name], "")
            got = action_answered(peopled, pair, action.name, params)
            if got != wanted:
                wrong.append(f"{action.name} by {name}: {got}, not {wanted}")
    assert not wrong, "\n".join(wrong)


def test_what_follows_a_commit_needs_to_be_allowed_too(peopled: Town) -> None:
    peopled.account("editor")
    peopled.member("editor", "custom", permissions=["task.edit"])
    made = peopled.api.ask("POST", "/access-keys", expect=201, json={"name": "editor", "account": "editor"})
    pair, params = Pair(made["secret_id"], made["secret_key"]), {"ProjectId": NORTH, "TaskId": TASK}
    assert action_answered(peopled, pair, "CommitIntegrationTask", params | {"CommitType": 1}) == "denied"
    assert action_answered(peopled, pair, "CommitIntegrationTask", params | {"CommitType": 0}) == "allowed"
