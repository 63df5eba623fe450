"""From where a server and a project may be reached: who comes from elsewhere is told that, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api.people import NORTH, SOUTH, TASK, Town, town
from api.rig import Api, opened
from api.test_guard import refused
from api.wedata import Pair, asked, code_of, sent, signed
from tidegate.errors import SettingInvalid
from tidegate.model.network import holds, parse_networks
from tidegate.model.permission import Role
from tidegate.server.reach import networks_of, proxies_of

HERE, OFFICE, ELSEWHERE = "127.0.0.1", "10.1.2.3", "203.0.113.9"


def coming_from(address: str) -> dict[str, str]:
    """As a proxy on this machine says for whom it asks."""
    return {"X-Forwarded-For": address}


# --- the server -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server that takes requests from an office and from its own machine."""
    allowed = networks_of("allow_from", f"10.1.0.0/16, {HERE}")
    with opened(tmp_path_factory.mktemp("office") / "data", allow_from=allowed) as made:
        yield made


def test_who_comes_from_an_allowed_network_is_answered(office: Api) -> None:
    assert office.http.get("/api/v1/ops", headers=coming_from(OFFICE)).status_code == 200
    assert office.http.get("/api/v1/ops").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/health"),
        ("GET", "/api/v1/ops"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/console/"),
        ("GET", "/metrics"),
        ("POST", "/api/v1/session"),
        ("GET", "/api/v1/session/ways"),
        ("DELETE", "/api/v1/tasks/1"),
    ],
)
def test_who_comes_from_elsewhere_is_told_that_and_nothing_else(office: Api, method: str, path: str) -> None:
    refused(office.http.request(method, path, headers=coming_from(ELSEWHERE)), 403, "request.address_refused")


def test_the_other_api_refuses_in_its_own_words(office: Api) -> None:
    answer = httpx.post(office.url, json={}, headers=coming_from(ELSEWHERE), trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()["Response"]
    assert said["Error"]["Code"] == "AuthFailure.UnauthorizedOperation"
    assert said["RequestId"]


def test_a_web_socket_from_elsewhere_is_not_opened(office: Api) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        connect(office.url.replace("http", "ws") + "/api/live", additional_headers=coming_from(ELSEWHERE))
    assert refusal.value.response.status_code == 403


def test_workers_are_not_asked_where_they_run(office: Api) -> None:
    answer = office.http.post("/worker/v1/heartbeat", headers=coming_from(ELSEWHERE), json={})
    assert answer.json().get("code") != "request.address_refused"


def test_a_refusal_is_in_the_audit_log_with_the_address(office: Api) -> None:
    office.http.get("/api/v1/ops", headers=coming_from("203.0.113.77"))
    noted = office.ask("GET", "/audit?address=203.0.113.77")
    assert [(one["outcome"], one["code"]) for one in noted] == [("refused", "request.address_refused")]


@pytest.mark.parametrize(
    "claimed", ["10.1.2.3", "10.1.2.3, 203.0.113.9", "203.0.113.9, nonsense", "::ffff:203.0.113.9"]
)
def test_only_the_last_word_of_a_trusted_proxy_counts(office: Api, claimed: str) -> None:
    """What stands before it, the client itself may have written."""
    answer = office.http.get("/api/v1/ops", headers=coming_from(claimed))
    assert answer.status_code == (200 if claimed == OFFICE else 403)


def test_a_version_4_address_is_itself_also_over_version_6() -> None:
    allowed = parse_networks(["10.1.0.0/16"])
    assert holds(allowed, "::ffff:10.1.2.3")
    assert not holds(allowed, "::ffff:203.0.113.9")
    for nowhere in ("", "unix", "10.1.2", "10.1.2.3.4", "010.1.2.3"):
        assert not holds(allowed, nowhere)


@pytest.mark.parametrize("text", ["10.1.2.3/8", "office", "10.0.0.0/33", "10.1.0.0/16 10.2.0.0/16"])
def test_a_network_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(SettingInvalid, match="allow_from"):
        networks_of("allow_from", text)


def test_nobody_need_be_trusted_as_a_proxy() -> None:
    assert proxies_of("none") == []
    assert proxies_of("127.0.0.1, 10.9.0.0/24") == ["127.0.0.1/32", "10.9.0.0/24"]
    with pytest.raises(SettingInvalid, match="trusted_proxies"):
        proxies_of("*")


# --- projects ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """`north` may be reached from an office only; `ann` is in both projects."""
    with town(tmp_path_factory.mktemp("projects") / "data") as made:
        made.service("ann", Role.PROJECT_ADMINISTRATOR)
        made.member("ann", Role.MEMBER, SOUTH)
        made.service("cat")
        body = {"networks": ["10.1.0.0/16"], "force": True}
        made.api.ask("PUT", f"/projects/{NORTH}/allow-list", json=body)
        yield made


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()]


@pytest.mark.parametrize("who", ["ann", "admin"])
def test_from_elsewhere_a_project_is_refused_to_who_may_see_it(peopled: Town, who: str) -> None:
    http = peopled.api.http if who == "admin" else peopled.people["ann"].http
    for method, path, body in [
        ("GET", f"/api/v1/tasks/{TASK}?project={NORTH}", None),
        ("GET", f"/api/v1/projects/{NORTH}/members", None),
        ("GET", f"/api/v1/data-sources?project={NORTH}", None),
        ("POST", f"/api/v1/tasks/{TASK}/commands/pause?project={NORTH}", {}),
        ("PUT", f"/api/v1/projects/{NORTH}", {"description": "x"}),
    ]:
        more: dict[str, Any] = {} if body is None else {"json": body}
        refused(http.request(method, path, **more), 403, "request.address_refused")
        assert http.request(method, path, headers=coming_from(OFFICE), **more).status_code not in (403, 404), path


@pytest.mark.parametrize("who", ["ann", "admin"])
def test_from_elsewhere_lists_leave_it_out(peopled: Town, who: str) -> None:
    http = peopled.api.http if who == "admin" else peopled.people["ann"].http
    assert NORTH not in names(http.get("/api/v1/projects"))
    assert NORTH in names(http.get("/api/v1/projects", headers=coming_from(OFFICE)))
    for path in ("/api/v1/tasks", "/api/v1/ops", "/api/v1/ops/totals", "/api/v1/events", "/api/v1/outlook"):
        far, near = http.get(path), http.get(path, headers=coming_from(OFFICE))
        assert far.status_code == near.status_code == 200
        assert far.text != near.text, path
        assert TASK not in far.text, path
        assert NORTH not in far.text, path


def test_who_may_not_see_it_learns_nothing_of_it_from_anywhere(peopled: Town) -> None:
    cat = peopled.people["cat"].http
    here, there = (cat.get(f"/api/v1/projects/{place}/members") for place in (NORTH, "nowhere"))
    assert here.status_code == there.status_code == 404
    assert here.text.replace(NORTH, "nowhere") == there.text


def test_a_batch_touches_nothing_of_it(peopled: Town) -> None:
    body = {"operation": "pause", "all": True, "dry_run": True}
    said = peopled.api.http.post("/api/v1/batches", json=body).text
    assert TASK not in said


def test_the_other_api_refuses_it_in_its_own_words(peopled: Town) -> None:
    made = peopled.api.ask("POST", "/access-keys", expect=201, json={"name": "k", "account": "ann"})
    pair = Pair(made["secret_id"], made["secret_key"])
    body = json.dumps({"ProjectId": NORTH}).encode()
    host = peopled.api.url.removeprefix("http://")
    for action in ("DescribeProject",):
        headers = signed(action, body, pair, host=host)
        assert code_of(sent(peopled.api.url, headers, body)) == "AuthFailure.UnauthorizedOperation"
        assert "Error" not in sent(peopled.api.url, headers | coming_from(OFFICE), body)
    listed = asked(peopled.api.url, pair, "DescribeTenantProjects", {})
    assert NORTH not in json.dumps(listed)


# --- who changes the list ---------------------------------------------------------------------------------------------


def test_a_list_that_shuts_out_who_makes_it_is_refused_unless_forced(peopled: Town) -> None:
    place = f"/api/v1/projects/{SOUTH}/allow-list"
    peopled.member("ann", Role.PROJECT_ADMINISTRATOR, SOUTH)
    for http in (peopled.api.http, peopled.people["ann"].http):
        refused(http.put(place, json={"networks": ["10.1.0.0/16"]}), 409, "request.lock_out")
        assert http.get(f"/api/v1/projects/{SOUTH}/members").status_code == 200
    answer = peopled.api.http.put(place, json={"networks": ["10.1.0.0/16", HERE]})
    assert answer.json()["allow_from"] == ["10.1.0.0/16", "127.0.0.1/32"]
    assert peopled.api.http.put(place, json={"networks": []}).json()["allow_from"] is None


def test_who_shut_everybody_out_can_mend_it_as_a_global_administrator_only(peopled: Town) -> None:
    place = f"/api/v1/projects/{NORTH}/allow-list"
    nowhere = {"networks": ["192.0.2.1"], "force": True}
    assert peopled.api.http.put(place, json=nowhere).status_code == 200
    refused(peopled.people["ann"].http.put(place, json={"networks": []}), 403, "request.address_refused")
    body = {"networks": ["10.1.0.0/16"], "force": True}
    assert peopled.api.http.put(place, json=body).status_code == 200


@pytest.mark.parametrize("networks", [["nowhere"], ["10.1.2.3/8"], ["*"], ["10.0.0.0/8"] * 101])
def test_a_list_that_cannot_be_read_is_refused(peopled: Town, networks: list[str]) -> None:
    answer = peopled.api.http.put(f"/api/v1/projects/{SOUTH}/allow-list", json={"networks": networks})
    refused(answer, 422, "request.invalid")


def test_a_change_of_the_list_is_in_the_audit_log(peopled: Town) -> None:
    noted = peopled.api.ask("GET", "/audit?action=set_allow_list&limit=1")[0]
    assert noted["actor"] in ("admin", "ann")
    assert noted["address"] == HERE


def test_a_list_is_in_force_with_the_next_request(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as api:
        api.ask("PUT", "/projects/default/allow-list", json={"networks": ["10.1.0.0/16"], "force": True})
        refused(api.http.get("/api/v1/data-sources"), 403, "request.address_refused")
        api.ask("PUT", "/projects/default/allow-list", json={"networks": []})
        api.ask("GET", "/data-sources")
        assert api.ask("GET", "/projects")[0]["allow_from"] is None
