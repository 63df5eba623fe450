"""Asking for a comparison, and what its worker tells of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.rig import Api
from api.situations import TASK, give, paused, reach, running
from tidegate.model.lifecycle import State
from tidegate.server.verifications import verdict

BEAT = {"phase": "incremental", "health": "steady"}
PLACE = f"/tasks/{TASK}/verifications"


def as_worker(api: Api, number: int = 0) -> httpx.Client:
    token = api.engine.puppets[number].launch.token
    return httpx.Client(base_url=f"{api.url}/worker/v1/", headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def finding(table: str = "public.orders", verdict: str = "equal") -> dict[str, Any]:
    return {"table": table, "target": table, "verdict": verdict, "rows_source": 3, "rows_target": 3}


def told(worker: httpx.Client, id: str, state: str, *findings: dict[str, Any]) -> bool:
    answer = worker.post("verification", json={"id": id, "report": {"state": state, "findings": list(findings)}})
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["wanted"])


def test_the_order_goes_out_with_the_heartbeat_until_the_worker_tells_of_it(driven: Api) -> None:
    running(driven)
    asked = driven.ask("POST", PLACE, expect=202, json={"tables": ["public.orders"], "keys": True, "limit": 5})
    assert (asked["state"], asked["verdict"]) == ("asked", None)
    wanted = {"tables": ["public.orders"], "wait": False, "keys": True, "limit": 5, "deadline_s": 3600.0}
    with as_worker(driven) as worker:
        for _ in range(2):
            assert worker.post("heartbeat", json=BEAT).json()["verify"] == {"id": asked["id"], **wanted}
        assert told(worker, asked["id"], "comparing")
        assert worker.post("heartbeat", json=BEAT).json()["verify"] is None
        assert driven.ask("GET", f"{PLACE}/{asked['id']}")["state"] == "comparing"
        assert told(worker, asked["id"], "done", finding(), finding("public.more", "different"))
    done = driven.ask("GET", f"{PLACE}/{asked['id']}")
    assert (done["verdict"], len(done["findings"])) == ("different", 2)
    (event,) = [one for one in driven.ask("GET", f"/tasks/{TASK}/events") if one["name"] == "verified"]
    assert event["facts"]["different"] == ["public.more"]


def test_one_at_a_time(driven: Api) -> None:
    running(driven)
    first = driven.ask("POST", PLACE, expect=202, json={})["id"]
    assert driven.ask("POST", PLACE, expect=409, json={})["code"] == "verify.impossible"
    driven.ask("DELETE", f"{PLACE}/{first}")
    second = driven.ask("POST", PLACE, expect=202, json={})["id"]
    assert [one["id"] for one in driven.ask("GET", PLACE)] == [second, first]
    with as_worker(driven) as worker:
        assert not told(worker, first, "comparing")  # nobody wants to know any more


def test_what_was_asked_of_a_worker_that_was_replaced_is_over(driven: Api) -> None:
    running(driven)
    asked = driven.ask("POST", PLACE, expect=202, json={})["id"]
    give(driven, "pause")
    reach(driven, State.PAUSED)
    assert driven.ask("POST", PLACE, expect=409, json={})["code"] == "lifecycle.refused"
    give(driven, "continue")
    reach(driven, State.RUNNING)
    ended = driven.ask("GET", f"{PLACE}/{asked}")
    assert (ended["state"], ended["verdict"], ended["problem"]["code"]) == ("ended", "undecided", "verify.unfinished")
    with as_worker(driven, 0) as zombie:
        answer = zombie.post("verification", json={"id": asked, "report": {"state": "done", "findings": [finding()]}})
        assert (answer.status_code, answer.json()["code"]) == (409, "target.fenced")


def test_a_server_that_forgot_takes_up_what_the_worker_tells(driven: Api) -> None:
    running(driven)
    with as_worker(driven) as worker:
        assert told(worker, "a1b2", "comparing")
        assert told(worker, "a1b2", "done", finding())
    assert driven.ask("GET", f"{PLACE}/a1b2")["verdict"] == "equal"


def test_only_a_running_task_is_compared(driven: Api) -> None:
    paused(driven)
    said = driven.ask("POST", PLACE, expect=409, json={})
    assert said["code"] == "lifecycle.refused"
    assert "Only a Running task can be compared" in said["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"tables": ["public.("]},
        {"tables": "public.orders"},
        {"limit": 1001},
        {"limit": -1},
        {"deadline_s": 0},
        {"deadline_s": 86_401},
        {"keys": "yes"},
        {"unknown": 1},
    ],
)
def test_what_means_nothing_is_refused(standing_api: Api, body: dict[str, Any]) -> None:
    assert standing_api.http.post(f"/api/v1{PLACE}", json=body).status_code == 422


@pytest.mark.parametrize(
    ("state", "verdicts", "wanted"),
    [
        ("comparing", ["equal"], None),
        ("done", ["equal", "equal"], "equal"),
        ("done", ["equal", "undecided"], "undecided"),
        ("done", ["undecided", "different"], "different"),
        ("done", [], "undecided"),
        ("ended", ["equal"], "undecided"),
        ("ended", ["equal", "different"], "different"),
    ],
)
def test_only_all_equal_is_equal(state: str, verdicts: list[str], wanted: str | None) -> None:
    assert verdict(state, [finding(verdict=one) for one in verdicts]) == wanted
