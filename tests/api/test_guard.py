"""What every request must pass, and the one shape of every refusal."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from api.rig import Api
from tidegate.server.control import Control
from tidegate.server.guard import BODY_MAX_BYTES, DEPTH_MAX

PROBLEM = {"type", "title", "status", "code", "detail", "advice"}


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem an answer is, after checking its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert set(said) >= PROBLEM
    assert (said["status"], said["code"]) == (status, code)
    return said


def every_route(api: Api) -> list[tuple[str, str]]:
    document = api.ask("GET", "/openapi.json")
    return [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]


def test_health_is_answered_to_anybody(standing_api: Api) -> None:
    answer = httpx.get(f"{standing_api.url}/api/v1/health", trust_env=False)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_no_other_route_is_answered_without_the_token(standing_api: Api) -> None:
    open_to_all = {("GET", "/api/v1/health"), ("POST", "/api/v1/session"), ("POST", "/api/v1/setup")}
    open_to_all |= {("GET", f"/api/v1/session/{place}") for place in ("ways", "sso", "sso/callback")}
    routes = [one for one in every_route(standing_api) if one not in open_to_all]
    assert len(routes) > 30
    with httpx.Client(base_url=standing_api.url, trust_env=False) as stranger:
        for method, path in [*routes, ("GET", "/api/v1/openapi.json"), ("GET", "/nowhere")]:
            answer = stranger.request(method, path)
            refused(answer, 401, "request.unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer wrong", "Basic dTpw", "bearer\twrong", "Bearer " + "x" * 600, "Bearer größe"],
)
def test_a_wrong_token_is_refused(standing_api: Api, header: str) -> None:
    answer = httpx.get(f"{standing_api.url}/api/v1/ops", headers={"Authorization": header.encode()}, trust_env=False)
    refused(answer, 401, "request.unauthorized")


def test_a_token_is_not_taken_from_the_address(standing_api: Api) -> None:
    answer = httpx.get(
        f"{standing_api.url}/api/v1/ops?token={standing_api.token}&access_token={standing_api.token}", trust_env=False
    )
    refused(answer, 401, "request.unauthorized")


def test_the_right_token_is_good_again_and_again_and_a_wrong_one_between_is_not(standing_api: Api) -> None:
    for _ in range(2):
        standing_api.ask("GET", "/ops")
        wrong = {"Authorization": f"Bearer {standing_api.token}x"}
        assert httpx.get(f"{standing_api.url}/api/v1/ops", headers=wrong, trust_env=False).status_code == 401


def test_a_worker_route_does_not_take_the_admin_token(standing_api: Api) -> None:
    refused(
        standing_api.http.post("/worker/v1/heartbeat", json={"phase": "full", "health": "steady"}),
        401,
        "request.unauthorized",
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "request.not_found"),
        ("GET", "/api/v1", 404, "request.not_found"),
        ("GET", "/api/v1/ops/", 404, "request.not_found"),
        ("GET", "/api/v1/tasks/999", 404, "request.not_found"),
        ("GET", "/api/v1/tasks/99999999999999999999", 404, "request.not_found"),
        ("GET", "/api/v1/tasks/nobody/runs", 404, "request.not_found"),
        ("GET", "/api/v1/tasks/a.b", 422, "request.invalid"),
        ("GET", "/api/v1/tasks/a%00b", 422, "request.invalid"),
        ("GET", "/api/v1/ops?name=%00", 422, "request.invalid"),
        ("GET", "/api/v1/ops?page=0", 422, "request.invalid"),
        ("GET", "/api/v1/ops?page=x", 422, "request.invalid"),
        ("GET", "/api/v1/ops?sort=colour", 422, "request.invalid"),
        ("GET", "/api/v1/ops?status=Purple", 422, "request.invalid"),
        ("GET", "/api/v1/data-sources?project=nobody", 404, "request.not_found"),
        ("PATCH", "/api/v1/ops", 405, "request.method_not_allowed"),
        ("DELETE", "/api/v1/health", 405, "request.method_not_allowed"),
        ("POST", "/api/v1/tasks/x/commands/explode", 404, "request.not_found"),
    ],
)
def test_an_address_that_means_nothing_is_a_problem(
    standing_api: Api, method: str, path: str, status: int, code: str
) -> None:
    refused(standing_api.http.request(method, path), status, code)


def test_a_wrong_method_names_the_right_ones(standing_api: Api) -> None:
    assert standing_api.http.patch("/api/v1/ops").headers["allow"] == "GET"
    assert standing_api.http.patch("/api/v1/tasks/x").headers["allow"] == "DELETE, GET, PUT"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "malformed JSON at line 1"),
        (b'{"name": }', "malformed JSON"),
        (b"{'name': 1}", "malformed JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"name": NaN}', "NaN is not JSON"),
        (b'{"name": -Infinity}', "-Infinity is not JSON"),
        (b'{"name": 1e999}', "too large"),
        (b'{"name": ' + b"1" * 5000 + b"}", "too long"),
        (b'{"name": "a", "name": "b"}', "twice"),
        (b'{"name": "a\\u0000b", "units": 1}', "cannot be stored"),
        (b'{"name": "\\ud800", "units": 1}', "cannot be stored"),
        (b'{"name": ' + b"[" * (DEPTH_MAX + 2) + b"]" * (DEPTH_MAX + 2) + b"}", "deeper"),
        (b"[" * 100_000, "JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (b"[]", "body: Input should be"),
        (b'"text"', "body: Input should be"),
        (b"null", "body: Input should be"),
        (b"", "body: is required"),
    ],
)
def test_a_body_that_is_not_strict_json_is_refused(standing_api: Api, body: bytes, said: str) -> None:
    answer = standing_api.http.post(
        "/api/v1/resource-groups", content=body, headers={"Content-Type": "application/json"}
    )
    detail = refused(answer, 422, "request.invalid")["detail"]
    assert said in detail, detail
    assert standing_api.ask("GET", "/resource-groups")[0]["name"] == "default"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_not_declared_as_json_is_refused(standing_api: Api, kind: str) -> None:
    answer = standing_api.http.post(
        "/api/v1/resource-groups", content=b'{"name": "x", "units": 1}', headers={"Content-Type": kind}
    )
    refused(answer, 415, "request.not_json")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "units": 1, "colour": "red"}, "colour"),
        ({"name": "x", "units": "1"}, "units"),
        ({"name": "x", "units": 1.5}, "units"),
        ({"name": "x", "units": True}, "units"),
        ({"name": "x", "units": 0}, "units"),
        ({"name": 7, "units": 1}, "name"),
        ({"units": 1}, "name"),
        ({"name": "x", "units": 10**30}, "units"),
    ],
)
def test_a_wrong_field_is_refused_and_named(standing_api: Api, body: dict[str, Any], field: str) -> None:
    said = refused(standing_api.http.post("/api/v1/resource-groups", json=body), 422, "request.invalid")
    assert [error["field"] for error in said["errors"]] == [field]
    assert len(standing_api.ask("GET", "/resource-groups")) == 1


def test_a_declared_body_that_is_too_large_is_refused_before_it_is_sent(standing_api: Api) -> None:
    place = urlsplit(standing_api.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as line:
        head = (
            f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {standing_api.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {BODY_MAX_BYTES + 1}\r\n\r\n"
        )
        line.sendall(head.encode())
        assert b" 413 " in line.recv(4096).split(b"\r\n")[0]


def test_a_body_that_grows_too_large_without_saying_so_is_refused(standing_api: Api) -> None:
    place = urlsplit(standing_api.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as line:
        head = (
            f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {standing_api.token}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        line.sendall(head.encode())
        for _ in range(BODY_MAX_BYTES // 65536 + 1):
            line.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
        assert b" 413 " in line.recv(4096).split(b"\r\n")[0]


def test_a_body_just_small_enough_is_read(standing_api: Api) -> None:
    body = json.dumps({"name": "x", "units": 1, "description": "y" * (BODY_MAX_BYTES - 100)}).encode()
    answer = standing_api.http.post(
        "/api/v1/resource-groups", content=body, headers={"Content-Type": "application/json"}
    )
    refused(answer, 422, "request.invalid")


def test_an_unforeseen_error_shows_nothing_of_itself(standing_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Control) -> None:
        raise RuntimeError("select canary-77 from /etc/canary-77")

    monkeypatch.setattr(Control, "groups", broken)
    answer = standing_api.http.get("/api/v1/resource-groups")
    refused(answer, 500, "internal")
    assert "canary-77" not in answer.text
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text


def test_answers_are_not_cached(standing_api: Api) -> None:
    assert standing_api.http.get("/api/v1/ops").headers["cache-control"] == "no-store"
    assert standing_api.http.get("/nowhere").headers["x-content-type-options"] == "nosniff"
