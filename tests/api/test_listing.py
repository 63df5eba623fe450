"""What the list of tasks shows besides the tasks: totals, filters' choices, the last operation, and trends."""

from __future__ import annotations

from typing import Any

import pytest

from api.rig import Api, definition
from api.situations import TASK, give, paused, running, task
from tidegate.testing.servers import until

STATUSES = ["Initialize", "Operating", "Running", "Paused", "Stopped", "Failure", "Detection Exception"]


def totals(api: Api, **params: Any) -> Any:
    return api.ask("GET", "/ops/totals", params=params)


def test_totals_count_submitted_tasks_by_status(stocked: Api) -> None:
    assert totals(stocked)["total"] == 0  # a draft is not in ops
    stocked.ask("POST", f"/tasks/{TASK}/submit")
    stocked.ask("POST", "/tasks", expect=201, json=definition("other"))
    stocked.ask("POST", "/tasks/other/submit")
    found = totals(stocked)
    assert sorted(found["statuses"]) == sorted(STATUSES)
    assert (found["total"], found["statuses"]["Initialize"], found["statuses"]["Running"]) == (2, 2, 0)


def test_totals_are_of_what_matches_and_say_what_can_be_chosen(stocked: Api) -> None:
    stocked.ask("POST", f"/tasks/{TASK}/submit")
    found = totals(stocked)
    assert (found["source_kinds"], found["target_kinds"]) == (["postgres"], ["postgres"])
    assert (found["owners"], found["resource_groups"]) == (["admin"], ["default"])
    assert totals(stocked, name="SHOP")["total"] == 1
    assert totals(stocked, name="nothing")["total"] == 0
    assert totals(stocked, source_kind="mariadb")["total"] == 0


def test_a_task_says_what_was_last_asked_of_it_by_whom_and_when(driven: Api) -> None:
    paused(driven)
    listed = driven.ask("GET", "/ops")["items"][0]
    assert (listed["last_operation"]["command"], listed["last_operation"]["actor"]) == ("pause", "admin")
    assert listed["last_operation"] == task(driven)["last_operation"]


def test_what_ends_by_itself_is_no_operation(driven: Api) -> None:
    running(driven)
    driven.engine.manners.drains = False
    give(driven, "pause")
    until(lambda: task(driven)["state"] == "pausing", "the task to be pausing", 20)
    assert task(driven)["last_operation"]["command"] == "pause"


def test_trends_are_ten_minutes_of_each_task_that_has_a_run(driven: Api) -> None:
    running(driven)
    number = task(driven)["id"]
    found = driven.ask("GET", "/ops/trends", params={"task": [number, 999]})
    assert (found["metric"], found["step_s"], list(found["series"])) == ("rows_written_per_s", 10, [str(number)])
    assert len(found["series"][str(number)]) == 60


def test_trends_are_of_a_metric_that_there_is(standing_api: Api) -> None:
    said = standing_api.ask("GET", "/ops/trends", expect=422, params={"task": [1], "metric": "mood"})
    assert said["code"] == "request.invalid"
    standing_api.ask("GET", "/ops/trends", expect=422)


def test_the_metric_table_has_a_place_for_every_metric(standing_api: Api) -> None:
    found = standing_api.ask("GET", "/metrics")
    known = {metric["name"] for metric in found["metrics"]}
    placed = [name for row in found["rows"] for panel in row["panels"] for name in panel]
    assert set(placed) == known
    assert len(placed) == len(known)


@pytest.mark.parametrize(
    ("scope", "covers"),
    [({"all": True}, True), ({"task": TASK}, True), ({"task": "other"}, False), ({"owner": "nobody"}, False)],
)
def test_rules_can_be_asked_for_by_the_task_they_are_for(stocked: Api, scope: dict[str, Any], covers: bool) -> None:
    rule = {"alert_rule": "mine", "applies_to": scope, "conditions": [{"metric": "task_failed"}], "severity": "urgent"}
    stocked.ask("POST", "/alert-rules", expect=201, json=rule)
    found = [one["name"] for one in stocked.ask("GET", "/alert-rules", params={"task": TASK})]
    assert ("mine" in found) is covers


def test_an_event_says_what_one_of_its_name_is(driven: Api) -> None:
    running(driven)
    events = driven.ask("GET", f"/tasks/{TASK}/events")
    assert {event["name"]: event["says"] for event in events}["opened"] == "both ends are open"
