"""Accounts and what they come with: the first one, log-ins, tokens, members; what is taken is taken at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.people import NORTH, PASSWORD, SOUTH, SOUTHERN, TASK, Town, town
from api.rig import Api, definition
from api.test_guard import refused
from api.wedata import Pair, asked
from tidegate.errors import SetUpOver, StaleVersion, TooManyTries
from tidegate.server import passwords
from tidegate.server.accounts import SET_UP_S
from tidegate.server.session import COOKIE
from tidegate.store import accounts


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "data") as made:
        yield made


@pytest.fixture
def ann(north: Town) -> httpx.Client:
    """A data engineer of north with the console open."""
    north.account("ann", "person")
    north.member("ann", "data_engineer")
    return north.browser(name="ann", password=PASSWORD)


def log_in(api: Api, name: str, password: str) -> httpx.Response:
    body = {"name": name, "password": password}
    return httpx.post(f"{api.url}/api/v1/session", json=body, headers={"Origin": api.url}, trust_env=False, timeout=30)


# --- the first one ------------------------------------------------------------------------------------------------


def set_up(api: Api, code: str, name: str = "root", password: str = PASSWORD) -> httpx.Response:
    body = {"code": code, "name": name, "password": password}
    return httpx.post(f"{api.url}/api/v1/setup", json=body, trust_env=False, timeout=30)


def test_the_set_up_code_makes_one_administrator_and_no_second(api: Api) -> None:
    code = api.control.first_code()
    assert code is not None
    assert set_up(api, code, password="short").status_code == 422
    answer = set_up(api, code)
    assert (answer.status_code, answer.json()["administrator"]) == (201, True)
    refused(set_up(api, code, "second"), 409, "request.set_up_over")
    assert log_in(api, "root", PASSWORD).json()["administrator"] is True
    assert api.control.first_code() is None


def test_a_wrong_set_up_code_makes_nobody_and_soon_has_to_wait(api: Api) -> None:
    code = api.control.first_code()
    assert code is not None
    answers = [set_up(api, "wrong").status_code for _ in range(passwords.FREE_TRIES + 1)]
    assert answers == [409] * passwords.FREE_TRIES + [429]
    assert api.ask("GET", "/users") == []


def test_a_set_up_code_is_over_after_a_day(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    code = api.control.first_code()
    assert code is not None
    at = api.control.clock.now() + SET_UP_S + 1
    monkeypatch.setattr(api.control.clock, "now", lambda: at)
    with pytest.raises(SetUpOver):
        api.control.set_up(code, "root", PASSWORD, address="here")


def test_the_set_up_code_is_over_once_there_is_an_administrator(api: Api) -> None:
    code = api.control.first_code()
    assert code is not None
    body = {"name": "root", "password": PASSWORD, "administrator": True}
    api.ask("POST", "/users", expect=201, json=body)
    refused(set_up(api, code, "second"), 409, "request.set_up_over")


# --- passwords ----------------------------------------------------------------------------------------------------


def test_a_password_is_kept_as_an_argon2id_hash_and_shown_to_nobody(north: Town, ann: httpx.Client) -> None:
    held = sqlite3.connect(north.api.control.store.database.url.database or "")
    stored = held.execute("select password_hash from account where name = 'ann'").fetchone()[0]
    dump = "\n".join(held.iterdump())
    held.close()
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,")
    assert PASSWORD not in dump
    assert "argon2" not in north.api.http.get("/api/v1/users").text


def test_a_wrong_password_an_unknown_name_and_a_disabled_account_are_refused_in_the_same_words(north: Town) -> None:
    for name in ("ann", "bob", "eve"):
        north.account(name, "person")
    north.api.ask("PUT", "/users/bob", json={"enabled": False})
    north.account("robot")
    tries = (("ann", "wrong wrong wrong"), ("nobody", PASSWORD), ("bob", PASSWORD), ("robot", PASSWORD))
    said = [refused(log_in(north.api, *one), 401, "request.log_in_refused")["detail"] for one in tries]
    assert len(set(said)) == 1
    assert log_in(north.api, "eve", PASSWORD).status_code == 201


def test_wrong_passwords_have_to_wait_longer_and_longer_also_with_the_right_one(
    north: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    north.account("ann", "person")
    ticks = north.api.control.clock.ticks()
    monkeypatch.setattr(north.api.control.clock, "ticks", lambda: ticks)
    for _ in range(passwords.FREE_TRIES):
        refused(log_in(north.api, "ann", "wrong wrong wrong"), 401, "request.log_in_refused")
    said = refused(log_in(north.api, "ann", PASSWORD), 429, "request.throttled")
    assert said["facts"]["wait_s"] == passwords.WAIT_FIRST_S
    monkeypatch.setattr(north.api.control.clock, "ticks", lambda: ticks + 1.1)
    refused(log_in(north.api, "ann", "wrong wrong wrong"), 401, "request.log_in_refused")
    said = refused(log_in(north.api, "ann", PASSWORD), 429, "request.throttled")
    assert said["facts"]["wait_s"] == 2 * passwords.WAIT_FIRST_S
    monkeypatch.setattr(north.api.control.clock, "ticks", lambda: ticks + 5)
    assert log_in(north.api, "ann", PASSWORD).status_code == 201


def tried(tries: passwords.Tries, now: float, name: str, address: str) -> bool:
    """Whether a password was looked at; it was wrong."""
    try:
        tries.begin(now, ("pair", f"{name} {address}"), ("address", address), ("name", name))
    except TooManyTries:
        return False
    return True


def test_somebody_who_tries_without_end_from_one_address_keeps_nobody_else_out() -> None:
    tries = passwords.Tries()
    looked_at = sum(tried(tries, now / 2, "ann", "there") for now in range(7200))
    assert looked_at < 100, "of an hour's tries, two a second"
    assert tried(tries, 3600.0, "ann", "here")


def test_who_comes_from_many_addresses_is_slowed_down_too() -> None:
    tries = passwords.Tries()
    looked_at = sum(tried(tries, now / 10, "ann", f"address {now}") for now in range(6000))
    assert looked_at < 100 + 600 / 2 + 10
    assert tried(tries, 600 + 2.1, "ann", "here")


def test_tries_that_are_made_at_once_are_all_counted() -> None:
    tries = passwords.Tries()
    with ThreadPoolExecutor(20) as pool:
        looked_at = list(pool.map(lambda _: tried(tries, 0.0, "ann", "there"), range(40)))
    assert sum(looked_at) == passwords.FREE_TRIES


@pytest.mark.parametrize("password", ["short", "a" * 20, "x" * 201, "annannannann"])
def test_a_weak_password_is_refused_and_not_repeated(api: Api, password: str) -> None:
    answer = api.http.post("/api/v1/users", json={"name": "annannannann", "password": password})
    refused(answer, 422, "request.invalid")
    assert password not in answer.json()["detail"]


# --- what is taken is taken at once -------------------------------------------------------------------------------


def test_a_disabled_accounts_open_session_is_over_with_the_next_request(north: Town, ann: httpx.Client) -> None:
    assert ann.get(f"/api/v1/tasks?project={NORTH}").status_code == 200
    north.api.ask("PUT", "/users/ann", json={"enabled": False})
    refused(ann.get("/api/v1/tasks"), 401, "request.unauthorized")
    north.api.ask("PUT", "/users/ann", json={"enabled": True})
    refused(ann.get("/api/v1/tasks"), 401, "request.unauthorized")
    assert log_in(north.api, "ann", PASSWORD).status_code == 201


def credentials(north: Town, http: httpx.Client) -> tuple[httpx.Client, Pair]:
    """Whoever asks makes themselves a token, and a key."""
    token = http.post("/api/v1/tokens", json={"name": "laptop"}).json()["token"]
    key = http.post("/api/v1/access-keys", json={"name": "jobs"}).json()
    return north.client(token), Pair(key["secret_id"], key["secret_key"])


def good(north: Town, by_token: httpx.Client, pair: Pair) -> tuple[bool, bool]:
    by_key = asked(north.api.url, pair, "DescribeProject", {"ProjectId": NORTH})
    return by_token.get("/api/v1/tasks").status_code == 200, "Error" not in by_key


def test_every_credential_of_a_disabled_account_is_over_also_when_it_is_enabled_again(
    north: Town, ann: httpx.Client
) -> None:
    held = credentials(north, ann)
    assert good(north, *held) == (True, True)
    north.api.ask("PUT", "/users/ann", json={"enabled": False})
    assert good(north, *held) == (False, False)
    north.api.ask("PUT", "/users/ann", json={"enabled": True})
    assert good(north, *held) == (False, False)


def test_a_password_that_an_administrator_sets_ends_tokens_and_keys_and_ones_own_only_if_asked(
    north: Town, ann: httpx.Client
) -> None:
    held = credentials(north, ann)
    body = {"password": "another battery 42", "present": PASSWORD}
    assert ann.put("/api/v1/users/ann/password", json=body).status_code == 204
    assert good(north, *held) == (True, True)
    again = {"password": PASSWORD, "present": "another battery 42", "end_credentials": True}
    own = north.browser(name="ann", password="another battery 42")
    assert own.put("/api/v1/users/ann/password", json=again).status_code == 204
    assert good(north, *held) == (False, False)
    held = credentials(north, north.browser(name="ann", password=PASSWORD))
    north.api.ask("PUT", "/users/ann/password", expect=204, json={"password": "another battery 42"})
    assert good(north, *held) == (False, False)


def test_a_request_on_its_way_makes_no_credential_that_outlives_the_end_of_all(north: Town, ann: httpx.Client) -> None:
    control = north.api.control
    with control.db.read() as tx:
        row = accounts.get_account(tx, "ann")
    before = control.principal(row.id, "log-in")
    control.set_password("ann", "another battery 42", present=None, address="")
    for make in (
        lambda: control.create_token("x", days=1, account=None, permissions=None, projects=None, who=before),
        lambda: control.create_access_key("x", who=before),
    ):
        with pytest.raises(StaleVersion):
            make()
    control.edit_account("ann", enabled=False)
    north.account("robot")
    north.api.ask("PUT", "/users/robot", json={"enabled": False})
    north.api.ask("POST", "/tokens", expect=422, json={"name": "x", "account": "robot"})


def test_another_password_ends_the_log_ins_with_the_one_before(north: Town, ann: httpx.Client) -> None:
    body = {"password": "another battery 42", "present": "not the present one"}
    refused(ann.put("/api/v1/users/ann/password", json=body), 422, "request.invalid")
    assert ann.put("/api/v1/users/ann/password", json=body | {"present": PASSWORD}).status_code == 204
    refused(ann.get("/api/v1/tasks"), 401, "request.unauthorized")
    assert log_in(north.api, "ann", "another battery 42").status_code == 201


def test_nobody_sets_another_ones_password_but_an_administrator(north: Town, ann: httpx.Client) -> None:
    north.account("bob", "person")
    body = {"password": "another battery 42", "present": PASSWORD}
    refused(ann.put("/api/v1/users/bob/password", json=body), 403, "request.forbidden")
    assert log_in(north.api, "bob", PASSWORD).status_code == 201
    north.api.ask("PUT", "/users/bob/password", expect=204, json={"password": "another battery 42"})
    assert log_in(north.api, "bob", "another battery 42").status_code == 201


def test_a_removed_member_sees_the_project_no_more(north: Town, ann: httpx.Client) -> None:
    assert [one["name"] for one in ann.get("/api/v1/projects").json()] == [NORTH]
    north.api.ask("DELETE", f"/projects/{NORTH}/members/ann", expect=204)
    assert ann.get("/api/v1/projects").json() == []
    refused(ann.get(f"/api/v1/tasks/{TASK}?project={NORTH}"), 404, "request.not_found")


def test_a_cookie_of_a_deleted_account_is_not_one_of_its_namesake(north: Town, ann: httpx.Client) -> None:
    north.api.ask("DELETE", "/users/ann", expect=204)
    north.account("ann", "person")
    north.member("ann", "data_engineer")
    assert ann.cookies[COOKIE]
    refused(ann.get("/api/v1/tasks"), 401, "request.unauthorized")


def test_who_owns_tasks_that_have_a_run_stays_until_they_are_handed_over(north: Town, ann: httpx.Client) -> None:
    owner = {"owner": "ann"}
    north.api.ask("PUT", f"/tasks/{TASK}/owner?project={NORTH}", json=owner)
    for path in (f"/projects/{NORTH}/members/ann", "/users/ann"):
        said = north.api.ask("DELETE", path, expect=409)
        assert (said["code"], said["facts"]["tasks"]) == ("request.in_use", [TASK])
    north.api.ask("PUT", f"/tasks/{TASK}/owner?project={NORTH}", json={"owner": "bob"})
    north.api.ask("DELETE", "/users/ann", expect=204)


# --- what is not there --------------------------------------------------------------------------------------------


def test_another_projects_task_looks_as_if_it_were_not_there(north: Town, ann: httpx.Client) -> None:
    hidden = north.api.ask("GET", f"/tasks/{SOUTHERN}?project={SOUTH}")["task"]["id"]
    for there, absent in (
        (f"/tasks/{hidden}", "/tasks/9999"),
        (f"/tasks/{hidden}/logs", "/tasks/9999/logs"),
        (f"/tasks/{SOUTHERN}?project={SOUTH}", f"/tasks/{SOUTHERN}?project=nowhere"),
        (f"/data-sources?project={SOUTH}", "/data-sources?project=nowhere"),
        (f"/projects/{SOUTH}/members", "/projects/nowhere/members"),
        (f"/alerts?project={SOUTH}", "/alerts?project=nowhere"),
        (f"/alerts?task={hidden}", "/alerts?task=9999"),
        (f"/alert-rules?project={NORTH}&task={hidden}", f"/alert-rules?project={NORTH}&task=9999"),
    ):
        one, other = ann.get(f"/api/v1{there}"), ann.get(f"/api/v1{absent}")
        assert one.status_code == other.status_code == 404
        assert one.text.replace(str(hidden), "9999").replace(SOUTH, "nowhere") == other.text.replace(SOUTH, "nowhere")


def test_lists_show_what_one_may_see_and_no_more(north: Town, ann: httpx.Client) -> None:
    api = north.api
    api.ask("POST", f"/tasks/{SOUTHERN}/submit?project={SOUTH}", json={})
    assert {one["name"] for one in api.ask("GET", "/tasks")} == {TASK, SOUTHERN}
    assert [one["name"] for one in ann.get("/api/v1/tasks").json()] == [TASK]
    assert [one["name"] for one in ann.get("/api/v1/ops").json()["items"]] == [TASK]
    assert ann.get("/api/v1/ops/totals").json()["total"] == 1
    assert len(api.ask("GET", "/events")) > len(ann.get("/api/v1/events").json()) > 0
    assert {one["task"] for one in ann.get("/api/v1/events").json()} == {1}
    assert api.ask("GET", "/resource-groups/default")["used_by"] == [TASK, SOUTHERN]
    assert ann.get("/api/v1/resource-groups/default").json()["used_by"] == [TASK]
    assert ann.get("/api/v1/resource-groups").json()[0]["used_by"] == [TASK]
    assert ann.get("/api/v1/ops", params={"project": SOUTH}).json()["total"] == 0


def test_a_batch_does_not_find_what_is_not_there_and_says_what_is_not_allowed(north: Town) -> None:
    north.account("ops")
    north.member("ops", "ops_engineer")
    ops = north.client(north.token("ops"))
    hidden = north.api.ask("GET", f"/tasks/{SOUTHERN}?project={SOUTH}")["task"]["id"]
    body = {"operation": "remove", "tasks": [{"task": str(hidden)}, {"task": "1"}]}
    items = ops.post("/api/v1/batches", json=body).json()["items"]
    assert [(one["name"], one["problem"]["code"]) for one in items] == [
        (str(hidden), "request.not_found"),
        (TASK, "request.forbidden"),
    ]
    north.api.ask("POST", f"/tasks/{SOUTHERN}/submit?project={SOUTH}", json={})
    everything = {"operation": "pause", "filter": {"status": ["Operating", "Initialize"]}, "dry_run": True}
    assert [one["name"] for one in ops.post("/api/v1/batches", json=everything).json()["items"]] == [TASK]


def test_units_that_other_projects_hold_are_not_told_by_name(north: Town, ann: httpx.Client) -> None:
    north.api.ask("POST", f"/tasks/{SOUTHERN}/submit?project={SOUTH}", json={})
    north.api.ask("POST", f"/tasks/{SOUTHERN}/commands/run?project={SOUTH}", expect=202, json={})
    large = definition("large", project=NORTH, units=4)
    assert ann.post("/api/v1/tasks", json=large).status_code == 201
    assert ann.post(f"/api/v1/tasks/large/submit?project={NORTH}", json={}).status_code == 200
    said = refused(ann.post(f"/api/v1/tasks/large/commands/run?project={NORTH}", json={}), 409, "lifecycle.no_units")
    assert SOUTHERN not in str(said)
    assert f"{TASK} 1, other projects 1" in said["detail"]


# --- what one may do is told --------------------------------------------------------------------------------------


def test_a_session_says_who_one_is_and_what_one_may_do(north: Town, ann: httpx.Client) -> None:
    said = ann.get("/api/v1/session").json()
    assert (said["actor"], said["account"], said["administrator"]) == ("ann", "ann", False)
    assert said["permissions"] == ["account.own", "account.view"]
    assert [(one["project"], one["role"]) for one in said["projects"]] == [(NORTH, "data_engineer")]
    assert "task.edit" in said["projects"][0]["permissions"]
    assert "member.edit" not in said["projects"][0]["permissions"]
    assert {"pause", "submit", "change-owner"} <= set(said["projects"][0]["commands"])
    admin = north.api.ask("GET", "/session")
    assert (admin["actor"], admin["account"], admin["administrator"]) == ("admin", None, True)
    assert len(admin["projects"]) == 3
    north.account("looker", "person")
    north.member("looker", "member")
    looker = north.browser(name="looker", password=PASSWORD).get("/api/v1/session").json()
    assert [(one["project"], one["commands"]) for one in looker["projects"]] == [(NORTH, [])]


def test_commands_are_offered_to_those_who_may_give_them(north: Town) -> None:
    north.api.ask("POST", f"/tasks/{SOUTHERN}/submit?project={SOUTH}", json={})
    for name, role in (("ops", "ops_engineer"), ("looker", "member")):
        north.account(name)
        north.member(name, role, SOUTH)
    ops, looker = (north.client(north.token(name)) for name in ("ops", "looker"))

    def offered(http: httpx.Client) -> set[str]:
        detail = http.get(f"/api/v1/tasks/{SOUTHERN}?project={SOUTH}").json()
        listed = http.get(f"/api/v1/ops?project={SOUTH}").json()["items"][0]
        offers = http.get(f"/api/v1/tasks/{SOUTHERN}/offers?project={SOUTH}").json()
        allowed = {one["command"] for one in offers if one["allowed"]}
        assert set(detail["task"]["commands"]) == set(listed["commands"]) == allowed
        assert {one["command"] for one in detail["offers"] if one["allowed"]} == allowed
        return allowed

    assert offered(north.api.http) >= {"run", "remove"}
    assert offered(ops) == {"run"}
    assert offered(looker) == set()
    offers = looker.get(f"/api/v1/tasks/{SOUTHERN}/offers?project={SOUTH}").json()
    assert {one["reason"] for one in offers if one["command"] == "run"} == {"you have no permission task.operate"}


def test_what_is_done_is_done_in_ones_own_name(north: Town, ann: httpx.Client) -> None:
    made = ann.post("/api/v1/tasks", json=definition("mine", project=NORTH)).json()
    assert made["task"]["owner"] == "ann"
    ann.put(f"/api/v1/tasks/mine/owner?project={NORTH}", json={"owner": "bob"})
    events = ann.get(f"/api/v1/tasks/mine/events?project={NORTH}").json()
    assert {one["actor"] for one in events} == {"ann"}


# --- members and tokens -------------------------------------------------------------------------------------------


def test_nobody_gives_more_than_they_have(north: Town) -> None:
    north.account("warden")
    north.member("warden", "custom", permissions=["member.edit", "task.operate"])
    north.account("friend")
    north.account("chief")
    north.member("chief", "project_administrator")
    warden = north.client(north.token("warden"))

    def puts(account: str, **body: Any) -> int:
        return warden.put(f"/api/v1/projects/{NORTH}/members/{account}", json=body).status_code

    assert puts("friend", role="member") == 200
    assert puts("friend", role="custom", permissions=["task.operate"]) == 200
    assert puts("friend", role="custom", permissions=["task.edit"]) == 403
    assert puts("warden", role="project_administrator") == 403
    assert puts("chief", role="member") == 403
    assert warden.delete(f"/api/v1/projects/{NORTH}/members/chief").status_code == 403
    assert warden.delete(f"/api/v1/projects/{NORTH}/members/friend").status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        {"role": "custom"},
        {"role": "member", "permissions": ["task.edit"]},
        {"role": "custom", "permissions": ["user.edit"]},
        {"role": "custom", "permissions": ["nothing"]},
    ],
)
def test_a_membership_that_makes_no_sense_is_refused(north: Town, body: dict[str, Any]) -> None:
    north.account("ann")
    north.api.ask("PUT", f"/projects/{NORTH}/members/ann", expect=422, json=body)


def test_a_token_is_shown_once_and_its_hash_alone_is_kept(north: Town) -> None:
    north.account("robot")
    token = north.token("robot")
    held = sqlite3.connect(north.api.control.store.database.url.database or "")
    dump = "\n".join(held.iterdump())
    held.close()
    assert token.startswith("tga_")
    assert token not in dump
    assert token not in north.api.http.get("/api/v1/tokens").text


def test_one_sees_and_revokes_ones_own_tokens_and_no_others(north: Town, ann: httpx.Client) -> None:
    north.account("robot")
    north.token("robot")
    made = ann.post("/api/v1/tokens", json={"name": "laptop", "days": 1}).json()
    listed = ann.get("/api/v1/tokens").json()
    assert [(one["account"], one["name"]) for one in listed] == [("ann", "laptop")]
    assert len(north.api.ask("GET", "/tokens")) == 2
    robots = next(one["id"] for one in north.api.ask("GET", "/tokens") if one["account"] == "robot")
    refused(ann.delete(f"/api/v1/tokens/{robots}"), 404, "request.not_found")
    assert ann.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
    refused(north.client(made["token"]).get("/api/v1/tasks"), 401, "request.unauthorized")


def test_nobody_makes_a_persons_credentials_but_that_person(north: Town, ann: httpx.Client) -> None:
    api = north.api
    for path in ("/tokens", "/access-keys"):
        api.ask("POST", path, expect=403, json={"name": "sly", "account": "ann"})
        north_only = ann.post(f"/api/v1{path}", json={"name": "sly", "account": "robot"})
        refused(north_only, 403, "request.forbidden")
    assert api.ask("POST", "/tokens", expect=422, json={"name": "mine"})["code"] == "request.invalid"


def test_a_limited_token_makes_no_other(north: Town) -> None:
    north.account("robot", administrator=True)
    limited = north.client(north.token("robot", permissions=["task.operate", "user.edit"]))
    refused(limited.post("/api/v1/tokens", json={"name": "more"}), 403, "request.forbidden")
    refused(limited.post("/api/v1/access-keys", json={"name": "more"}), 403, "request.forbidden")
    assert limited.get("/api/v1/users").status_code == 200


def test_a_limited_token_makes_nobody_who_is_not_limited(north: Town) -> None:
    north.account("ann", "person")
    north.account("root", "person", administrator=True)
    north.account("boss", administrator=True)
    limited = north.client(north.token("boss", permissions=["user.edit"]))
    person = {"name": "sly", "password": PASSWORD, "administrator": True}
    for answer in (
        limited.post("/api/v1/users", json=person),
        limited.put("/api/v1/users/ann", json={"administrator": True}),
        limited.put("/api/v1/users/root", json={"enabled": True}),
        limited.put("/api/v1/users/ann/password", json={"password": PASSWORD + "!"}),
    ):
        refused(answer, 403, "request.forbidden")
    assert limited.put("/api/v1/users/ann", json={"description": "of north"}).status_code == 200


def test_a_definition_is_tried_in_the_project_that_was_asked_for(north: Town) -> None:
    """One that names none is not taken for one of `default`, which its author does not see."""
    north.account("robot")
    north.member("robot", "data_engineer")
    robot = north.client(north.token("robot"))
    written = definition("t", project=NORTH)
    del written["project"]
    said = robot.post(f"/api/v1/definitions/check?project={NORTH}", json={"definition": written}).json()
    assert {"of": "references", "name": "project", "found": NORTH}.items() <= said["checks"][1].items()
    elsewhere = robot.post(
        f"/api/v1/definitions/check?project={NORTH}", json={"definition": written | {"project": "default"}}
    )
    refused(elsewhere, 404, "request.not_found")


def test_settings_that_are_not_saved_are_tried_only_by_who_may_save_them(north: Town) -> None:
    north.account("robot")
    north.member("robot", "ops_engineer")
    robot = north.client(north.token("robot"))
    path = f"/api/v1/data-sources/shop/test?project={NORTH}"
    refused(robot.post(path, json={"config": {"port": 1}}), 403, "request.forbidden")


def test_a_token_is_not_limited_to_projects_one_does_not_see(north: Town, ann: httpx.Client) -> None:
    for project in (SOUTH, "nowhere"):
        answer = ann.post("/api/v1/tokens", json={"name": "x", "projects": [project]})
        assert refused(answer, 404, "request.not_found")["detail"] == f"there is no project {project}"


@pytest.mark.parametrize("name", ["admin", "Tidegate", "a b", "7", ""])
def test_a_name_that_is_none_or_the_servers_own_is_refused(api: Api, name: str) -> None:
    api.ask("POST", "/users", expect=422, json={"name": name, "password": PASSWORD})
