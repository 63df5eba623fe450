"""The worker's line to the server."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.rig import Api
from api.situations import TASK, give, paused, reach, registered, running, task
from tidegate.model.lifecycle import State
from tidegate.testing.servers import until

BEAT = {"phase": "incremental", "health": "steady"}


def as_worker(api: Api, number: int = 0) -> httpx.Client:
    token = api.engine.puppets[number].launch.token
    return httpx.Client(base_url=f"{api.url}/worker/v1/", headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def test_a_worker_is_told_all_it_needs(driven: Api) -> None:
    running(driven)
    given = driven.engine.puppets[0].given
    assert given["run"]["number"] == 1
    assert given["run"]["epoch"] == 1
    assert given["run"]["key"].endswith("t1r1")
    assert (given["task"]["name"], given["task"]["version"]) == (TASK, 1)
    assert given["task"]["definition"]["target"]["write"] == "upsert"
    assert (given["source"]["kind"], given["target"]["config"]["database"]) == ("postgres", "lake")
    assert (given["snapshot"], given["start"]) == (None, {"read": "full+incremental", "position": None, "time": None})
    assert (given["state"], given["restarts"]) == ("starting", 0)
    assert given["heartbeat_s"] < given["lease_s"]


def test_a_worker_that_continues_is_given_the_newest_snapshot(driven: Api) -> None:
    paused(driven)
    give(driven, "continue")
    registered(driven, 2)
    given = driven.engine.puppets[1].given
    assert given["snapshot"]["state"] == {"tables": {}}
    assert (given["state"], given["run"]["epoch"]) == ("continuing", 2)


def test_what_a_heartbeat_says_is_shown(driven: Api) -> None:
    running(driven)
    until(lambda: task(driven)["counters"], "the first report", 20)
    shown = task(driven)
    assert (shown["phase"], shown["health"], shown["lag_s"]) == ("incremental", "steady", 0.1)
    assert shown["counters"]["rows_full"] == 10
    assert shown["position"].startswith("0/")


def test_a_worker_of_an_older_epoch_is_fenced_whatever_it_says(driven: Api) -> None:
    paused(driven)
    give(driven, "continue")
    reach(driven, State.RUNNING)
    before = task(driven)["version"]
    with as_worker(driven, 0) as zombie:
        for path, body in (
            ("register", {"pid": 5_999_999, "started": "x"}),
            ("heartbeat", BEAT),
            ("snapshot", {"kind": "periodic", "position": "0/1", "state": {}}),
            ("event", {"name": "gave_up"}),
        ):
            answer = zombie.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (409, "target.fenced"), path
    assert (task(driven)["state"], task(driven)["version"]) == ("running", before)


def test_a_worker_of_a_stopped_run_is_fenced(driven: Api) -> None:
    running(driven)
    give(driven, "stop")
    with as_worker(driven) as zombie:
        assert zombie.post("heartbeat", json=BEAT).status_code == 409


@pytest.mark.parametrize("token", ["", "wrong", "tgw_1_1_x", "x" * 600])
def test_a_token_nobody_gave_is_refused(standing_api: Api, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}".strip()}
    answer = httpx.post(f"{standing_api.url}/worker/v1/heartbeat", json=BEAT, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (401, "request.unauthorized")


def test_a_worker_token_opens_nothing_but_the_worker_routes(driven: Api) -> None:
    running(driven)
    headers = {"Authorization": f"Bearer {driven.engine.puppets[0].launch.token}"}
    assert httpx.get(f"{driven.url}/api/v1/ops", headers=headers, trust_env=False).status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("heartbeat", {}),
        ("heartbeat", BEAT | {"phase": "sleeping"}),
        ("heartbeat", BEAT | {"extra": 1}),
        ("heartbeat", BEAT | {"counters": {"a": "1"}}),
        ("heartbeat", BEAT | {"lag_s": "soon"}),
        ("snapshot", {"kind": "weekly", "position": "0/1", "state": {}}),
        ("snapshot", {"kind": "periodic", "position": 1, "state": {}}),
        ("event", {"name": ""}),
        ("event", {"name": "halted"}),
        ("event", {"name": "DROP TABLE"}),
    ],
)
def test_what_is_not_the_protocol_is_refused_and_changes_nothing(driven: Api, path: str, body: dict[str, Any]) -> None:
    running(driven)
    before = task(driven)["version"]
    with as_worker(driven) as worker:
        answer = worker.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert task(driven)["version"] == before


def test_drained_without_its_snapshot_is_not_believed(driven: Api) -> None:
    running(driven)
    driven.engine.manners.drains = False
    give(driven, "pause")
    with as_worker(driven) as worker:
        assert worker.post("event", json={"name": "drained"}).status_code == 422
    assert task(driven)["state"] == State.PAUSING


def test_the_state_of_a_large_task_is_taken(driven: Api) -> None:
    running(driven)
    state = {"tables": {f"public.table_{n}": {"columns": ["x" * 60] * 40} for n in range(1000)}}
    with as_worker(driven) as worker:
        answer = worker.post("snapshot", json={"kind": "periodic", "position": "0/99999", "state": state})
    assert answer.status_code == 200, answer.text
