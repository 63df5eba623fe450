"""The edit lock of a task: whoever holds it edits alone, and everybody sees who that is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from api.people import SOUTH, SOUTHERN, Town, town
from api.rig import definition
from api.test_guard import refused
from api.wedata import Pair, asked
from tidegate.cli.main import app

LOCK = f"/api/v1/tasks/{SOUTHERN}/lock?project={SOUTH}"


@pytest.fixture
def south(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "data") as made:
        for name in ("ann", "bob"):
            made.account(name)
            made.member(name, "data_engineer", SOUTH)
        yield made


@pytest.fixture
def ann(south: Town) -> httpx.Client:
    return south.client(south.token("ann"))


@pytest.fixture
def bob(south: Town) -> httpx.Client:
    return south.client(south.token("bob"))


def edits(http: httpx.Client) -> list[httpx.Response]:
    """Each way to change the definition."""
    q = f"?project={SOUTH}"
    changed = definition(SOUTHERN, project=SOUTH, description="other")
    return [
        http.put(f"/api/v1/tasks/{SOUTHERN}{q}", json=changed),
        http.put(f"/api/v1/tasks/{SOUTHERN}/owner{q}", json={"owner": "bob"}),
        http.post(f"/api/v1/tasks/{SOUTHERN}/submit{q}", json={}),
    ]


def test_whoever_holds_it_edits_and_nobody_else_does(ann: httpx.Client, bob: httpx.Client) -> None:
    assert ann.put(LOCK).json()["yours"] is True
    assert ann.put(LOCK).status_code == 200
    for answer in edits(bob):
        assert refused(answer, 409, "task.locked")["facts"]["holder"] == "ann"
    seen = bob.get(LOCK).json()
    assert (seen["holder"], seen["yours"]) == ("ann", False)
    assert [answer.status_code for answer in edits(ann)] == [200, 200, 200]


def test_what_is_locked_is_previewed_as_refused_and_operated_all_the_same(ann: httpx.Client, bob: httpx.Client) -> None:
    assert [answer.status_code for answer in edits(ann)] == [200, 200, 200]
    ann.put(LOCK)
    place = f"/api/v1/tasks/{SOUTHERN}/operations/submit/preview?project={SOUTH}"
    assert bob.get(place).json()["problem"]["code"] == "task.locked"
    run = bob.post(f"/api/v1/tasks/{SOUTHERN}/commands/run?project={SOUTH}", json={})
    assert run.status_code == 202


def test_it_is_seized_when_that_is_asked_for_only(ann: httpx.Client, bob: httpx.Client) -> None:
    ann.put(LOCK)
    refused(bob.put(LOCK), 409, "task.locked")
    refused(bob.delete(LOCK), 409, "task.locked")
    assert bob.put(LOCK, json={"seize": True}).json()["holder"] == "bob"
    refused(ann.delete(LOCK), 409, "task.locked")
    assert edits(ann)[0].status_code == 409


def test_once_released_it_is_anybodys(ann: httpx.Client, bob: httpx.Client) -> None:
    ann.put(LOCK)
    assert ann.delete(LOCK).status_code == 204
    assert bob.get(LOCK).json() == {"holder": None, "since": None, "yours": False}
    assert bob.delete(LOCK).status_code == 204
    assert [answer.status_code for answer in edits(bob)] == [200, 200, 200]


def test_a_lock_does_not_keep_a_task_from_being_removed(south: Town, ann: httpx.Client) -> None:
    ann.put(LOCK)
    south.api.ask("DELETE", f"/tasks/{SOUTHERN}?project={SOUTH}", expect=202)


def test_programs_of_the_wedata_api_hold_it_as_well(south: Town, ann: httpx.Client, bob: httpx.Client) -> None:
    made = bob.post("/api/v1/access-keys", json={"name": "jobs"}).json()
    pair, one = Pair(made["secret_id"], made["secret_key"]), {"ProjectId": SOUTH, "TaskId": SOUTHERN}
    ann.put(LOCK)
    typed = one | {"TaskType": 201}
    held = asked(south.api.url, pair, "DescribeTaskLockStatus", typed)["TaskLockStatus"]
    assert (held["Locker"], held["IsLocker"], held["IsRob"]) == ("ann", 0, 1)
    for action in ("LockIntegrationTask", "UnlockIntegrationTask", "CommitIntegrationTask"):
        assert asked(south.api.url, pair, action, one)["Error"]["Code"] == "UnsupportedOperation"
    seized = asked(south.api.url, pair, "RobAndLockIntegrationTask", typed)["RobLockState"]
    assert seized == {"IsRob": True, "Locker": "bob"}
    info = asked(south.api.url, pair, "DescribeIntegrationTask", one)["TaskInfo"]
    assert (info["Locked"], info["Locker"]) == (True, "bob")
    assert asked(south.api.url, pair, "UnlockIntegrationTask", one)["Data"] is True
    listed = asked(
        south.api.url, pair, "DescribeIntegrationTasks", {"ProjectId": SOUTH, "PageNumber": 1, "PageSize": 9}
    )
    assert [task["Locked"] for task in listed["TaskInfoSet"]] == [False]


def test_it_is_held_and_released_on_the_command_line(south: Town, ann: httpx.Client) -> None:
    environment = {"TIDEGATE_URL": south.api.url, "TIDEGATE_TOKEN": south.token("bob", name="cli")}

    def said(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, [*words, SOUTHERN, "--project", SOUTH], env=environment, terminal_width=160)
        return result.exit_code, result.output

    ann.put(LOCK)
    assert said("lock")[0] == 2
    assert said("lock", "--seize") == (0, f"✓ {SOUTHERN} is held by bob\n")
    assert said("unlock")[0] == 0
