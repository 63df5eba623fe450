"""Logging in with a browser: what the cookie is good for, and that nothing else is let in by it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from api.rig import Api
from api.test_guard import refused
from tidegate.server.session import COOKIE, LASTS_S


@pytest.fixture
def browser(api: Api) -> Iterator[httpx.Client]:
    """A browser with a page of the server open, not logged in."""
    with httpx.Client(base_url=api.url, headers={"Origin": api.url}, trust_env=False, timeout=20) as client:
        yield client


def log_in(api: Api, browser: httpx.Client) -> httpx.Response:
    answer = browser.post("/api/v1/session", json={"token": api.token})
    assert answer.status_code == 201, answer.text
    return answer


def test_the_token_opens_a_session_that_no_script_and_no_other_site_can_use(api: Api, browser: httpx.Client) -> None:
    set_cookie = log_in(api, browser).headers["set-cookie"].lower()
    assert set_cookie.startswith(f"{COOKIE}=")
    assert {"httponly", "samesite=strict", "path=/", f"max-age={LASTS_S}"} <= set(set_cookie.split("; "))
    assert api.token.lower() not in set_cookie
    assert browser.get("/api/v1/session").json()["actor"] == "admin"
    assert browser.get("/api/v1/ops").status_code == 200


def test_a_wrong_token_opens_none(api: Api, browser: httpx.Client) -> None:
    answer = browser.post("/api/v1/session", json={"token": api.token + "x"})
    refused(answer, 401, "request.unauthorized")
    assert "set-cookie" not in answer.headers
    refused(browser.get("/api/v1/session"), 401, "request.unauthorized")


def test_a_change_is_taken_from_a_page_of_this_server_only(api: Api, browser: httpx.Client) -> None:
    log_in(api, browser)
    body = {"name": "other", "description": ""}
    for origin in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": ""}):
        refused(browser.post("/api/v1/projects", json=body, headers=origin), 403, "request.foreign_origin")
    del browser.headers["Origin"]
    refused(browser.post("/api/v1/projects", json=body), 403, "request.foreign_origin")
    assert browser.get("/api/v1/ops").status_code == 200  # nothing is changed by reading
    assert browser.post("/api/v1/projects", json=body, headers={"Origin": api.url}).status_code == 201


def test_another_site_cannot_log_anybody_in(api: Api, browser: httpx.Client) -> None:
    answer = browser.post("/api/v1/session", json={"token": api.token}, headers={"Origin": "https://evil.example"})
    refused(answer, 403, "request.foreign_origin")


def test_a_session_ends_by_itself(api: Api, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(api, browser)
    now = api.control.clock.now()
    monkeypatch.setattr(api.control.clock, "now", lambda: now + LASTS_S - 5, raising=False)
    assert browser.get("/api/v1/session").status_code == 200
    monkeypatch.setattr(api.control.clock, "now", lambda: now + LASTS_S + 5, raising=False)
    refused(browser.get("/api/v1/session"), 401, "request.unauthorized")


def test_a_session_ends_with_the_token_it_was_opened_with(
    api: Api, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(api, browser)
    monkeypatch.setattr(api.control, "admin_mark", lambda: "another")
    refused(browser.get("/api/v1/session"), 401, "request.unauthorized")


@pytest.mark.parametrize("cookie", ["x", "AAAA", "A" * 200, "%00", "=" * 20, "x" * 5000])
def test_a_cookie_that_was_made_up_is_nothing(api: Api, cookie: str) -> None:
    answer = httpx.get(f"{api.url}/api/v1/session", headers={"Cookie": f"{COOKIE}={cookie}"}, trust_env=False)
    refused(answer, 401, "request.unauthorized")


def test_a_cookie_that_was_changed_is_nothing(api: Api, browser: httpx.Client) -> None:
    log_in(api, browser)
    held = browser.cookies[COOKIE].strip('"')
    middle = len(held) // 2
    changed = held[:middle] + ("A" if held[middle] != "A" else "B") + held[middle + 1 :]
    answer = httpx.get(f"{api.url}/api/v1/session", headers={"Cookie": f"{COOKIE}={changed}"}, trust_env=False)
    refused(answer, 401, "request.unauthorized")


def test_logging_out_has_the_browser_forget_it(api: Api, browser: httpx.Client) -> None:
    log_in(api, browser)
    assert browser.delete("/api/v1/session").status_code == 204
    assert COOKIE not in browser.cookies
    refused(browser.get("/api/v1/session"), 401, "request.unauthorized")
