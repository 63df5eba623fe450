"""Figures of a task over HTTP and on the command line: now, as history, of its tables, and how far it is."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.rig import Api
from api.situations import TASK, give, initialize, paused, reach, running
from api.test_command_line import data, tidegate
from api.test_worker_protocol import as_worker
from tidegate.model.lifecycle import State
from tidegate.testing.servers import until
from tidegate.watch.metrics import BY_NAME, Of


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point is made as soon as there is something to put into it."""
    monkeypatch.setattr("tidegate.watch.recorder.PACE_S", 1)


def metrics(api: Api, **params: Any) -> Any:
    return api.ask("GET", f"/tasks/{TASK}/metrics", params=params)


def tables(api: Api, **params: Any) -> Any:
    return api.ask("GET", f"/tasks/{TASK}/tables", params=params)


def measured(api: Api) -> None:
    """A running task of which there is history."""
    running(api)
    until(lambda: metrics(api)["now"].get("rows_read", 0) > 10, "a report", 20)
    until(lambda: any(point["values"]["rows_read"] for point in metrics(api)["points"]), "a point", 20)


def test_a_running_task_shows_what_is_measured_now_and_what_was(driven: Api) -> None:
    measured(driven)
    found = metrics(driven)
    assert (found["run"], found["step_s"]) == (1, 10)
    assert found["now"]["rows_read"] == found["now"]["rows_written"] > 10
    assert (found["now"]["lag_s"], found["now"]["restarts"], found["now"]["units"]) == (0.1, 0, 1)
    assert found["now"]["silent_s"] < 10
    assert set(found["points"][-1]["values"]) == set(BY_NAME[Of.TASK])


def test_only_what_is_named_is_shown(driven: Api) -> None:
    measured(driven)
    found = metrics(driven, names=["rows_read", "lag_s"])
    assert set(found["now"]) == {"rows_read", "lag_s"}
    assert set(found["points"][0]["values"]) == {"rows_read", "lag_s"}


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"names": "rows_eaten"}, 422),
        ({"step": 7}, 422),
        ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, 422),
        ({"from": "2000-01-01T00:00:00Z", "step": 10}, 422),
        ({"from": "yesterday"}, 422),
        ({"run": 9}, 404),
    ],
)
def test_what_cannot_be_answered_is_refused(driven: Api, params: dict[str, Any], status: int) -> None:
    running(driven)
    answer = driven.http.get(f"/api/v1/tasks/{TASK}/metrics", params=params)
    assert answer.status_code in (status, 400), answer.text


def test_a_task_that_never_ran_has_nothing_to_show(driven: Api) -> None:
    initialize(driven)
    for what in ("metrics", "tables", "progress"):
        driven.ask("GET", f"/tasks/{TASK}/{what}", expect=404)


def test_a_new_run_begins_clean_and_the_old_one_stays_readable(driven: Api) -> None:
    measured(driven)
    give(driven, "stop")
    reach(driven, State.STOPPED)
    last = driven.ask("GET", f"/tasks/{TASK}/runs/1")["counters"]["rows_read"]
    give(driven, "run")
    until(lambda: metrics(driven)["run"] == 2, "the second run", 20)
    until(lambda: metrics(driven)["now"].get("rows_read") is not None, "its first report", 20)
    until(lambda: metrics(driven, run=1)["points"][-1]["values"]["rows_read"] == last, "the last point", 20)
    assert metrics(driven, run=1)["now"] == {}
    assert all((point["values"]["rows_read"] or 0) < last for point in metrics(driven)["points"])
    assert tables(driven, run=1)["items"][0]["rows_read"] > 10
    assert tables(driven, run=1)["items"][0]["status"] == "unknown"


def test_the_next_worker_of_a_run_is_told_what_the_others_counted(driven: Api) -> None:
    measured(driven)
    until(lambda: tables(driven)["total"] == 1, "its table", 20)
    give(driven, "pause")
    reach(driven, State.PAUSED)
    before = driven.engine.puppets[0]
    give(driven, "continue")
    reach(driven, State.RUNNING)
    given = driven.engine.puppets[-1].given
    assert driven.engine.puppets[-1] is not before
    assert given["counted"]["rows_read"] > 10
    assert given["tables"]["public.orders"][3] > 10


def test_tables_are_listed_searched_and_sorted(driven: Api) -> None:
    measured(driven)
    until(lambda: tables(driven)["total"] == 1, "its table", 20)
    (found,) = tables(driven, name="ORD", status="normal", sort="-rows_read")["items"]
    assert (found["name"], found["state"], found["status"]) == ("public.orders", "following", "normal")
    assert (found["rows_copied"], found["percent"]) == (10, 100.0)
    assert tables(driven, name="nothing")["total"] == 0
    assert tables(driven, status="abnormal")["total"] == 0
    assert driven.http.get(f"/api/v1/tasks/{TASK}/tables", params={"sort": "color"}).status_code in (400, 422)


def test_of_a_paused_task_nobody_knows_how_its_tables_are(driven: Api) -> None:
    paused(driven)
    until(lambda: tables(driven)["total"] == 1, "its table", 20)
    assert [one["status"] for one in tables(driven)["items"]] == ["unknown"]
    assert tables(driven, status="normal")["total"] == 0


def test_a_worker_whose_figures_are_not_understood_is_heard_all_the_same(driven: Api) -> None:
    running(driven)
    with as_worker(driven) as worker:
        said = {"phase": "full", "health": "steady", "tables": {"public.orders": [1, 2, 3]}}
        answer = worker.post("heartbeat", json=said)
    assert (answer.status_code, answer.json()["intent"]) == (200, "run")


def test_progress_has_its_three_stages_and_a_verdict(driven: Api) -> None:
    measured(driven)
    found = driven.ask("GET", f"/tasks/{TASK}/progress")
    assert [stage["stage"] for stage in found["stages"]] == ["preparation", "full", "incremental"]
    assert found["stages"][0]["started_at"].endswith("Z")
    assert found["bottleneck"]["holds"] in ("source", "decode", "target", "idle", "unknown")


def test_prometheus_scrapes_with_the_token_and_not_without(driven: Api) -> None:
    measured(driven)
    assert httpx.get(f"{driven.url}/metrics", trust_env=False).status_code == 401
    answer = driven.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {sample.name: sample for family in text_string_to_metric_families(answer.text) for sample in family.samples}
    read = found["tidegate_task_rows_read_total"]
    assert read.labels == {"project": "default", "task": TASK, "run": "1"}
    assert read.value > 10
    assert found["tidegate_task_status"].labels["status"] == "Running"
    assert found["tidegate_group_units_used"].value == 1


def test_the_command_line_shows_them(driven: Api) -> None:
    measured(driven)
    until(lambda: tables(driven)["total"] == 1, "its table", 20)
    assert data(tidegate(driven, "--json", "metrics", TASK, "--name", "rows_read"))["now"]["rows_read"] > 10
    assert data(tidegate(driven, "--json", "tables", TASK))["total"] == 1
    assert data(tidegate(driven, "--json", "progress", TASK))["run"] == 1
    for command, word in (("metrics", "rows_read"), ("tables", "public.orders"), ("progress", "incremental")):
        said = tidegate(driven, command, TASK)
        assert (said.exit_code, word in said.stdout) == (0, True), said.output
