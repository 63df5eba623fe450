"""The worker's line to the server."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.rig import Api
from api.situations import TASK, give, paused, reach, registered, running, task
from tidegate.model.lifecycle import State
from tidegate.server import heartbeats as door
from tidegate.server.views import Beat, Session
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


def test_heartbeats_of_one_moment_share_a_look_at_the_store_and_are_each_answered_for_themselves(
    driven: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused(driven)
    give(driven, "continue")
    reach(driven, State.RUNNING)
    seen: list[list[int]] = []
    heartbeats = driven.control.heartbeats

    def noted(spoken: Sequence[tuple[Session, Beat]]) -> Any:
        seen.append([session.epoch for session, _ in spoken])
        return heartbeats(spoken)

    with as_worker(driven, 0) as zombie, as_worker(driven, 1) as worker, ThreadPoolExecutor(20) as pool:
        assert zombie.post("heartbeat", json=BEAT).status_code == 409  # so that both are known
        monkeypatch.setattr(driven.control, "heartbeats", noted)
        monkeypatch.setattr(door, "GATHER_S", 0.5)
        asked = [pool.submit(who.post, "heartbeat", json=BEAT) for who in (zombie, worker) * 10]
        said = [answer.result().status_code for answer in asked]
    assert said == [409, 200] * 10
    assert any(set(epochs) == {1, 2} for epochs in seen), "none shared a look"
    assert len(seen) < len(said) / 2


def test_a_heartbeat_is_heard_while_those_before_it_wait_for_the_store(
    driven: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(driven)
    begun, back = threading.Event(), threading.Event()
    heartbeats, hear = driven.control.heartbeats, driven.control.attendance.hear
    heard: list[int] = []

    def away(spoken: Sequence[tuple[Session, Beat]]) -> Any:
        begun.set()
        assert back.wait(30)
        return heartbeats(spoken)

    def noted(run_id: int, *given: Any) -> None:
        heard.append(run_id)
        hear(run_id, *given)

    monkeypatch.setattr(driven.control, "heartbeats", away)
    assert begun.wait(20), "the worker's own heartbeat waits for the store"
    monkeypatch.setattr(driven.control.attendance, "hear", noted)
    with as_worker(driven) as worker, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(worker.post, "heartbeat", json=BEAT)
        try:
            until(lambda: heard, "the second heartbeat to be heard", 4)
            assert not asked.done()
        finally:
            back.set()
        assert asked.result().status_code == 200


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
        ("heartbeat", [BEAT]),
        ("snapshot", {"kind": "weekly", "position": "0/1", "state": {}}),
        ("snapshot", {"kind": "periodic", "position": 1, "state": {}}),
        ("event", {"name": ""}),
        ("event", {"name": "halted"}),
        ("event", {"name": "DROP TABLE"}),
    ],
)
def test_what_is_not_the_protocol_is_refused_and_changes_nothing(driven: Api, path: str, body: Any) -> None:
    running(driven)
    before = task(driven)["version"]
    with as_worker(driven) as worker:
        answer = worker.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert task(driven)["version"] == before


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b'{"phase": "incremental", "health": "steady", "lag_s": NaN}',
        b'{"phase": "incremental", "health": "steady", "lag_s": 1e999}',
        b'{"phase": "incremental", "health": "steady", "counters": {"rows": 1e999}}',
        b'{"phase": "incremental", "health": "steady", "error": {"facts": {"n": -1e999}}}',
        b'{"phase": "incremental", "health": "steady", "error": {"facts": {"n": NaN}}}',
        b'{"phase": "incremental", "health": "steady", "position": "\xff"}',
        b'{"phase": "incremental", "health": "steady", "error": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
def test_a_heartbeat_that_is_no_json_or_holds_what_no_store_can_is_refused(driven: Api, said: bytes) -> None:
    running(driven)
    with as_worker(driven) as worker:
        answer = worker.post("heartbeat", content=said, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
        assert worker.post("heartbeat", content=b"{}").json()["code"] == "request.not_json"
        assert worker.get("heartbeat").headers["Allow"] == "POST"
        assert worker.post("heartbeat", json=BEAT).status_code == 200


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
