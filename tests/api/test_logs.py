"""The log over the API and the command line."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from api.rig import CANARY, Api, opened, stock
from api.situations import TASK, running
from api.test_command_line import data, tidegate
from tidegate.testing.servers import until

LOGS = f"/tasks/{TASK}/logs"


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[Api]:
    """A whole server that logs, with a task at work."""
    with opened(tmp_path / "data", driven=True, level="info") as made:
        running(stock(made))
        yield made


def entry(seq: int, message: str, **more: Any) -> dict[str, Any]:
    usual = {"seq": seq, "at": round(time.time(), 3), "level": "info", "logger": "test", "message": message}
    return usual | {"exception": None, "fields": {}} | more


def say(api: Api, *lines: dict[str, Any], expect: int = 200) -> Any:
    """As the worker of the task."""
    answer = api.engine.puppets[-1].say("log", lines=list(lines))
    assert answer.status_code == expect, answer.text
    return answer.json()


def messages(api: Api, **query: Any) -> list[str]:
    return [one["message"] for one in api.ask("GET", LOGS, params={"container": "worker"} | query)["items"]]


def test_worker_and_server_are_found_in_one_log(talking: Api) -> None:
    say(talking, entry(1, "run.begins", fields={"detail": "of the worker"}))

    def found() -> Any:
        return {(one["container"], one["message"]) for one in talking.ask("GET", LOGS)["items"]}

    until(lambda: ("server", "worker.registered") in found(), "the server's lines", 20)
    assert {("worker", "run.begins"), ("server", "command.accepted"), ("server", "worker.started")} <= found()
    [line] = talking.ask("GET", LOGS, params={"container": "worker"})["items"]
    assert (line["run"], line["epoch"], line["level"]) == (1, 1, "info")
    assert line["text"] == 'run.begins detail="of the worker"'
    assert line["at"].endswith("Z")


def test_what_is_about_no_task_is_the_servers_own_log(talking: Api) -> None:
    structlog.get_logger().error("alone", detail="of none")
    until(lambda: talking.ask("GET", "/logs", params={"search": "alone"})["items"], "the line", 20)
    assert talking.ask("GET", LOGS, params={"search": "alone"})["items"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"level": "loud"}, "request.invalid"),
        ({"container": "kitchen"}, "request.invalid"),
        ({"search": "a AND"}, "request.query_invalid"),
        ({"search": ""}, "request.invalid"),
        ({"diagnosis": "none"}, "request.not_found"),
        ({"since": "yesterday"}, "request.invalid"),
        ({"cursor": "nonsense"}, "request.cursor_invalid"),
        ({"cursor": "bm9uc2Vuc2U"}, "request.cursor_invalid"),
        ({"limit": 0}, "request.invalid"),
        ({"wait_s": 1e9}, "request.invalid"),
        ({"order": "sideways"}, "request.invalid"),
        ({"format": "pdf"}, None),
    ],
)
def test_a_search_that_is_not_one_is_refused_with_advice(talking: Api, query: dict[str, Any], code: str | None) -> None:
    for path in (LOGS, "/logs", f"{LOGS}/download") if code else (f"{LOGS}/download",):
        if path.endswith("download") and {"cursor", "limit", "wait_s"} & set(query):
            continue
        answer = talking.http.get(f"/api/v1{path}", params=query)
        assert 400 <= answer.status_code < 500, answer.text
        assert code in (None, answer.json()["code"])
        assert answer.json()["advice"]


def test_lines_are_searched_by_level_and_keywords(talking: Api) -> None:
    say(
        talking,
        entry(1, "a", level="warning", fields={"code": "source.unreachable"}),
        entry(2, "b", level="error", fields={"code": "source.auth_failed"}),
        entry(3, "c"),
    )
    assert messages(talking) == ["c", "b", "a"]
    assert messages(talking, level=["warning", "error"]) == ["b", "a"]
    assert messages(talking, search="code AND NOT (auth OR xyz)") == ["a"]
    assert messages(talking, diagnosis="access") == ["b"]
    assert messages(talking, since="1h", order="oldest") == ["a", "b", "c"]
    named = {one["name"]: one["search"] for one in talking.ask("GET", "/log-diagnoses")}
    assert "auth_failed" in named["access"]


def test_who_follows_gets_a_line_as_it_comes(talking: Api) -> None:
    query = {"container": "worker"}
    follow = talking.ask("GET", LOGS, params=query)["follow"]
    waited: list[Any] = []

    def wait() -> None:
        answer = talking.http.get(f"/api/v1{LOGS}", params=query | {"cursor": follow, "wait_s": 20})
        waited.append((time.monotonic(), answer.json()))

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: talking.control.journal.listeners, "somebody to wait", 20)
    begun = time.monotonic()
    say(talking, entry(1, "at last"))
    thread.join(30)
    [(at, page)] = waited
    assert [one["message"] for one in page["items"]] == ["at last"]
    assert at - begun < 15
    again = talking.ask("GET", LOGS, params=query | {"cursor": page["follow"], "wait_s": 0.1})
    assert again["items"] == []
    assert again["cursor"] is None


def test_a_file_holds_everything_the_oldest_first(talking: Api) -> None:
    for first in range(0, 2_500, 500):
        say(talking, *(entry(first + at + 1, f"line {first + at}", at=1_800_000_000 + at / 10) for at in range(500)))
    text = talking.http.get(f"/api/v1{LOGS}/download", params={"container": "worker"})
    assert text.headers["content-type"].startswith("text/plain")
    assert TASK in text.headers["content-disposition"]
    lines = text.text.splitlines()
    assert len(lines) == 2_500
    assert lines[0] == "2027-01-15T08:00:00.000Z INFO worker 1/1 line 0"
    assert lines == sorted(lines, key=lambda one: one[:24])
    found = talking.http.get(f"/api/v1{LOGS}/download", params={"format": "jsonl", "search": '"line 17"'})
    assert {json.loads(one)["message"] for one in found.text.splitlines()} == {
        "line 17",
        *(f"line 17{n}" for n in range(10)),
        *(f"line 17{n:02}" for n in range(100)),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": "loud"},
        {"seq": 0},
        {"at": -1},
        {"message": "x" * 201},
        {"fields": {"x": "y" * 20_000}},
        {"more": 1},
    ],
)
def test_a_worker_cannot_say_just_anything(talking: Api, wrong: dict[str, Any]) -> None:
    assert say(talking, entry(1, "x") | wrong, expect=422)["code"] == "request.invalid"
    assert say(talking, *(entry(seq, "x") for seq in range(1, 1_002)), expect=422)["code"] == "request.invalid"


def test_nobody_logs_without_a_workers_token(talking: Api) -> None:
    for token in (talking.token, "nonsense"):
        headers = {"Authorization": f"Bearer {token}"}
        assert talking.http.post("/worker/v1/log", headers=headers, json={"lines": []}).status_code == 401


def test_no_secret_is_logged_whatever_happens(talking: Api) -> None:
    talking.ask("POST", f"/tasks/{TASK}/commands/pause", expect=202)
    talking.http.put("/api/v1/data-sources/shop", json={"config": {"password": CANARY, "x": CANARY}})
    talking.http.post("/api/v1/data-sources/shop/test")
    talking.http.get(f"/api/v1{LOGS}", params={"search": f"({CANARY}"})
    until(lambda: messages(talking, container="server", search="worker.told"), "the server's lines", 20)
    for path in (f"{LOGS}/download", "/logs/download"):
        text = talking.http.get(f"/api/v1{path}", params={"format": "jsonl"}).text
        assert CANARY not in text
        assert talking.token not in text
        assert "tgw_" not in text


# --- the command line ---


def test_a_person_reads_and_a_program_too(talking: Api) -> None:
    say(talking, entry(1, "first"), entry(2, "second", level="error", fields={"detail": "x " * 200}))
    shown = tidegate(talking, "logs", TASK, "--container", "worker")
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert len(lines) == 2, "a line of the log is one line of what is printed"
    assert "first" in lines[0]
    assert "error" in lines[1]
    found = data(
        tidegate(talking, "logs", TASK, "--grep", "second AND NOT first", "--run", "1", "--since", "1h", "--json")
    )
    assert [one["message"] for one in found] == ["second"]
    assert data(tidegate(talking, "logs", TASK, "--diagnose", "access", "--json")) == []
    assert "source_log" in tidegate(talking, "logs", "--diagnose", "list").stdout


def test_more_lines_than_a_page_are_read_by_pages(talking: Api) -> None:
    for first in range(0, 1_500, 500):
        say(talking, *(entry(first + at + 1, f"line {first + at}") for at in range(500)))
    found = data(tidegate(talking, "logs", TASK, "-n", "1400", "--container", "worker", "--json"))
    assert [one["message"] for one in found] == [f"line {at}" for at in range(100, 1_500)]


@pytest.mark.parametrize("wrong", [("--grep", "a AND"), ("--level", "loud"), ("--diagnose", "none"), ("--since", "x")])
def test_what_cannot_be_looked_for_is_refused(talking: Api, wrong: tuple[str, ...]) -> None:
    said = tidegate(talking, "logs", TASK, *wrong, "--json")
    assert said.exit_code == 2
    assert json.loads(said.stdout)["advice"]


def test_a_log_is_saved_to_a_file(talking: Api, tmp_path: Path) -> None:
    say(talking, entry(1, "first"))
    path = tmp_path / "shop.jsonl"
    said = data(tidegate(talking, "logs", TASK, "--container", "worker", "--save", str(path), "--json"))
    assert said["bytes"] == path.stat().st_size
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["first"]
    assert tidegate(talking, "logs", TASK, "--save", str(tmp_path / "none" / "x"), "--json").exit_code == 3


def test_following_prints_what_comes(talking: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    import tidegate.cli.logs as cli

    say(talking, entry(1, "first"))
    real, seen = cli.shown, []

    def shown(lines: list[Any]) -> Any:
        seen.extend(one["message"] for one in lines)
        if "second" in seen:
            raise KeyboardInterrupt
        return real(lines)

    monkeypatch.setattr(cli, "shown", shown)
    teller = threading.Thread(
        target=lambda: (
            until(lambda: talking.control.journal.listeners, "somebody to wait", 30),
            say(talking, entry(2, "second")),
        )
    )
    teller.start()
    tidegate(talking, "logs", TASK, "--container", "worker", "--follow")
    teller.join(30)
    assert seen == ["first", "second"]
