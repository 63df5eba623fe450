"""The web socket of the console: who may open it, what it tells, and that a slow page costs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from api.rig import Api, data_source, definition
from api.situations import TASK, give, paused, running, task
from tidegate.model.permission import ROLES, Role
from tidegate.model.principal import Grant, Principal, built_in
from tidegate.server import live
from tidegate.server.session import COOKIE
from tidegate.server.views import TaskView

DEADLINE_S = 30


def cookie_of(api: Api, **body: str) -> str:
    answer = httpx.post(
        f"{api.url}/api/v1/session", json=body or {"token": api.token}, headers={"Origin": api.url}, trust_env=False
    )
    return f"{COOKIE}={answer.cookies[COOKIE]}"


class Page:
    """A page of the console, as far as its socket goes."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.hello = self.word()
        self.rows: dict[str, Any] = {}
        self.list = ""

    def word(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.socket.recv(timeout=DEADLINE_S))
        return said

    def watch(self, *ids: int) -> None:
        self.socket.send(json.dumps({"watch": list(ids)}))

    def to_the_end(self) -> None:
        """Read until the socket is closed, which raises `ConnectionClosed`."""
        while True:
            self.word()

    def until(self, holds: Callable[[dict[str, Any]], bool], of: int) -> dict[str, Any]:
        """The task's fields as they were last told, once they are so."""
        while True:
            told = self.word()
            self.list = told["list"]
            self.rows |= told["rows"]
            row = self.rows.get(str(of))
            if row is not None and holds(fields := dict(zip(self.hello["columns"], row, strict=True))):
                return fields


@contextmanager
def page(api: Api, **body: str) -> Iterator[Page]:
    url = api.url.replace("http", "ws") + live.PATH
    with connect(url, origin=api.url, additional_headers={"Cookie": cookie_of(api, **body)}, proxy=None) as socket:  # type: ignore[arg-type]
        yield Page(socket)


def test_what_changes_at_a_task_is_told_without_being_asked_for(driven: Api) -> None:
    running(driven)
    number = task(driven)["id"]
    with page(driven) as opened:
        opened.watch(number)
        assert opened.until(lambda row: row["state"] == "running", number)["commands"]
        give(driven, "pause")
        told = opened.until(lambda row: row["state"] == "paused", number)
    assert told["status"] == "Paused"
    assert told["last_operation"]["command"] == "pause"


def test_a_row_is_what_the_api_says_of_the_task(driven: Api) -> None:
    paused(driven)
    number = task(driven)["id"]

    def shown() -> dict[str, Any]:
        listed = driven.ask("GET", "/ops")["items"][0]
        return {name: listed[name] for name in live.COLUMNS}

    with page(driven) as opened:
        opened.watch(number)
        opened.until(lambda row: row == shown(), number)


def test_the_columns_are_fields_of_a_task() -> None:
    assert set(live.COLUMNS) < set(TaskView.__dataclass_fields__)


def test_a_task_that_is_not_there_is_told_as_nothing(stocked: Api) -> None:
    with page(stocked) as opened:
        opened.watch(999)
        while not (rows := opened.word()["rows"]):
            pass
    assert rows == {"999": None}


def test_the_page_hears_that_a_task_was_added(stocked: Api) -> None:
    with page(stocked) as opened:
        opened.watch(1)
        before = opened.word()["list"]
        stocked.ask("POST", f"/tasks/{TASK}/submit")
        while (after := opened.word()["list"]) == before:
            pass
    assert after != before


def test_only_what_changed_is_told(stocked: Api) -> None:
    with page(stocked) as opened:
        opened.watch(1, 999)
        while set(opened.rows) != {"1", "999"}:
            opened.rows |= opened.word()["rows"]
        stocked.ask("POST", f"/tasks/{TASK}/submit")
        rows: set[str] = set()
        while "1" not in rows:
            rows |= set(opened.word()["rows"])
    assert rows == {"1"}


def refusal(api: Api, headers: dict[str, str], origin: str | None) -> int:
    url = api.url.replace("http", "ws") + live.PATH
    with pytest.raises(InvalidStatus) as refused, connect(url, origin=origin, additional_headers=headers, proxy=None):  # type: ignore[arg-type]
        pass
    return refused.value.response.status_code


def test_nobody_comes_in_without_a_session(standing_api: Api) -> None:
    assert refusal(standing_api, {}, standing_api.url) == 403
    assert refusal(standing_api, {"Cookie": f"{COOKIE}=made-up"}, standing_api.url) == 403
    assert refusal(standing_api, {"Authorization": f"Bearer {standing_api.token}"}, standing_api.url) == 403


def test_another_sites_page_does_not_come_in_with_somebodys_cookie(standing_api: Api) -> None:
    cookie = {"Cookie": cookie_of(standing_api)}
    assert refusal(standing_api, cookie, "https://evil.example") == 403
    assert refusal(standing_api, cookie, None) == 403


@pytest.mark.parametrize(
    "word", ["", "x", "[]", "{}", '{"watch": 1}', '{"watch": ["1"]}', '{"watch": [-1]}', '{"watch": [true]}']
)
def test_a_word_that_makes_no_sense_ends_the_page(standing_api: Api, word: str) -> None:
    with page(standing_api) as opened:
        opened.socket.send(word)
        with pytest.raises(ConnectionClosed) as ended:
            opened.to_the_end()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == live.POLICY_VIOLATED


def test_nobody_watches_more_than_a_page_shows(standing_api: Api) -> None:
    with page(standing_api) as opened:
        opened.watch(*range(1, live.WATCHED_MAX + 2))
        with pytest.raises(ConnectionClosed):
            opened.to_the_end()


def test_a_page_whose_session_ends_is_closed(driven: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SESSION_EACH_S", 0.1)
    with page(driven) as opened:
        monkeypatch.setattr(driven.control, "admin_mark", lambda: "another")
        with pytest.raises(ConnectionClosed) as ended:
            opened.to_the_end()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == live.LOGGED_OUT


def test_a_page_that_takes_nothing_is_owed_one_row_of_each_task() -> None:
    slow = live.Page(socket=None, who=built_in("log-in"))  # type: ignore[arg-type]  # it is never asked to send
    slow.watch([1, 2])
    for second in range(1000):
        slow.offer({1: f"[{second}]", 2: "[0]"}, str(second))
    assert slow.pending == {1: "[999]", 2: "[0]"}
    assert json.loads(slow.take(1.0)) == {"at": 1.0, "list": "999", "rows": {"1": [999], "2": [0]}}


def test_a_page_is_told_of_tasks_that_are_there_for_who_looks_and_what_they_may_do(driven: Api) -> None:
    running(driven)
    driven.ask("POST", "/projects", expect=201, json={"name": "other"})
    for name in ("shop", "lake"):
        driven.ask("POST", "/data-sources?project=other", expect=201, json=data_source(name))
    hidden = driven.ask("POST", "/tasks", expect=201, json=definition("hidden", project="other"))["task"]["id"]
    number = task(driven)["id"]
    password = "correct horse 7 battery"
    driven.ask("POST", "/users", expect=201, json={"name": "ann", "password": password})
    driven.ask("PUT", "/projects/default/members/ann", json={"role": "member"})
    body = {"name": "ann", "password": password}
    with page(driven, **body) as opened:
        opened.watch(number, hidden)
        assert opened.until(lambda row: row["state"] == "running", number)["commands"] == []
        assert opened.rows[str(hidden)] is None


def test_the_lists_mark_tells_nothing_of_projects_one_does_not_see(stocked: Api) -> None:
    control, root = stocked.control, built_in("test")
    ann = Principal("ann", "log-in", 1, grants={"default": Grant(Role.MEMBER, ROLES[Role.MEMBER])})

    def marks() -> tuple[str, str]:
        found = control.list_marks()
        return live.mark_for(ann, found), live.mark_for(root, found)

    before = marks()
    stocked.ask("POST", "/projects", expect=201, json={"name": "other"})
    for name in ("shop", "lake"):
        stocked.ask("POST", "/data-sources?project=other", expect=201, json=data_source(name))
    stocked.ask("POST", "/tasks", expect=201, json=definition("hidden", project="other"))
    elsewhere = marks()
    assert elsewhere[0] == before[0]
    assert elsewhere[1] != before[1]
    stocked.ask("POST", "/tasks", expect=201, json=definition("seen"))
    assert marks()[0] != elsewhere[0]
