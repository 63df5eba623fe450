"""Many tasks at once, over the API and from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.rig import Api, definition
from api.test_command_line import tidegate
from tidegate.cli.main import app
from tidegate.cli.terminal import Exit, Terminal
from tidegate.testing.servers import until

NAMES = ("shop_a", "shop_b", "shop_c")


@pytest.fixture
def stocked_ops(driven: Api) -> Api:
    """Three tasks that were submitted."""
    for name in NAMES:
        driven.ask("POST", "/tasks", expect=201, json=definition(name))
        driven.ask("POST", f"/tasks/{name}/submit", json={})
    return driven


def batch(api: Api, operation: str, *names: str, expect: int = 200, **more: Any) -> Any:
    chosen = {"tasks": [{"task": name} for name in names]} if names else {}
    return api.ask("POST", "/batches", expect=expect, json={"operation": operation, **chosen, **more})


def statuses(api: Api) -> list[str]:
    return [api.ask("GET", f"/tasks/{name}")["task"]["status"] for name in NAMES]


def reach(api: Api, *wanted: str) -> None:
    until(lambda: statuses(api) == list(wanted), f"the tasks to be {wanted}", 30)


def outcomes(found: Any) -> list[str]:
    return [one["outcome"] for one in found["items"]]


def test_a_batch_is_done_and_tells_what_became_of_each(stocked_ops: Api) -> None:
    found = batch(stocked_ops, "run", *NAMES)
    assert (found["total"], found["succeeded"], found["failed"]) == (3, 3, 0)
    reach(stocked_ops, "Running", "Running", "Running")
    found = batch(stocked_ops, "pause", filter={"name": "shop_", "status": ["Running"]}, dry_run=True)
    assert outcomes(found) == ["allowed"] * 3
    assert found["items"][0]["preview"]["keeps"]
    found = batch(stocked_ops, "pause", all=True)
    assert outcomes(found) == ["accepted"] * 3
    found = batch(stocked_ops, "continue", "shop_a", "nowhere")
    assert found["items"][1]["problem"]["code"] == "request.not_found"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"all": True, "tasks": [{"task": "shop_a"}]},
        {"filter": {}},
        {"filter": {"colour": "red"}},
        {"tasks": []},
        {"tasks": ["shop_a"]},
        {"tasks": [{"task": "shop a"}]},
        {"tasks": [{"task": f"t{number}"} for number in range(1001)]},
        {"all": True, "owner": "bob"},
        {"filter": {"status": ["Purple"]}},
    ],
)
def test_a_batch_that_does_not_say_what_is_meant_is_refused(stocked: Api, given: dict[str, Any]) -> None:
    stocked.ask("POST", "/batches", expect=422, json={"operation": "pause", **given})


def test_a_task_is_handed_to_another_owner(stocked: Api) -> None:
    assert stocked.ask("PUT", "/tasks/shop_to_lake/owner", json={"owner": "bob"})["owner"] == "bob"
    stocked.ask("PUT", "/tasks/shop_to_lake/owner", expect=409, json={"owner": "eve", "version": 1})


def run(api: Api, *words: str, exits: int = Exit.OK) -> Any:
    result = tidegate(api, "--json", *words)
    assert result.exit_code == exits, result.output
    return json.loads(result.stdout)


def test_the_command_line_takes_names_filters_and_all(stocked_ops: Api) -> None:
    found = run(stocked_ops, "run", *NAMES)
    assert [(one["status"], one["reached"]) for one in found["items"]] == [("Running", True)] * 3
    found = run(stocked_ops, "pause", "--status", "Running", "--name", "shop_a", "--dry-run")
    assert outcomes(found) == ["allowed"]
    found = run(stocked_ops, "pause", "--status", "Running")
    assert [one["status"] for one in found["items"]] == ["Paused"] * 3
    found = run(stocked_ops, "stop", "--all", "--yes")
    assert [one["status"] for one in found["items"]] == ["Stopped"] * 3
    found = run(stocked_ops, "remove", "shop_a", "shop_b")
    assert [one["reached"] for one in found["items"]] == [True, True]
    assert [one["name"] for one in run(stocked_ops, "ops")["items"]] == ["shop_c"]


def test_some_that_fail_are_a_failure_and_all_that_are_refused_a_refusal(stocked_ops: Api) -> None:
    found = run(stocked_ops, "run", "shop_a", "nowhere", exits=Exit.FAILED)
    assert (found["succeeded"], found["failed"]) == (1, 1)
    run(stocked_ops, "pause", "shop_b", "shop_c", exits=Exit.BAD_REQUEST)
    shown = tidegate(stocked_ops, "pause", "shop_b", "shop_c").output
    assert "lifecycle.refused" in shown
    assert "2 tasks: 0 succeeded, 2 failed" in shown


def test_a_step_that_does_not_end_where_it_should_is_a_failure(stocked_ops: Api) -> None:
    run(stocked_ops, "run", *NAMES)
    stocked_ops.engine.manners.refuses_to_pause, stocked_ops.engine.manners.drains = True, False
    found = run(stocked_ops, "pause", *NAMES, exits=Exit.FAILED)
    assert [one["reached"] for one in found["items"]] == [False] * 3


@pytest.mark.parametrize(
    "words", [(), ("shop_a", "--all"), ("--all", "--status", "Running"), ("--all", "--version", "1")]
)
def test_which_tasks_must_be_said_in_one_way(stocked: Api, words: Sequence[str]) -> None:
    run(stocked, "pause", *words, exits=Exit.BAD_REQUEST)


def answering(api: Api, monkeypatch: Any, answer: str, *words: str) -> Any:
    """As somebody at a terminal who answers so."""
    monkeypatch.setattr(Terminal, "asks", property(lambda terminal: True))
    return CliRunner().invoke(
        app, list(words), env={"TIDEGATE_URL": api.url, "TIDEGATE_TOKEN": api.token}, input=answer
    )


def test_at_a_terminal_many_are_asked_about_first_and_nothing_is_done_without_a_yes(
    stocked_ops: Api, monkeypatch: Any
) -> None:
    refused = answering(stocked_ops, monkeypatch, "n\n", "run", "--all", "--no-wait")
    assert "run: 3 of 3 tasks. Go on?" in refused.output
    assert refused.exit_code == 1
    assert statuses(stocked_ops) == ["Initialize"] * 3
    done = answering(stocked_ops, monkeypatch, "y\n", "run", "shop_a", "shop_b", "nowhere")
    assert "run: 2 of 3 tasks. Go on?" in done.output
    assert statuses(stocked_ops) == ["Running", "Running", "Initialize"]
    assert "Go on?" not in answering(stocked_ops, monkeypatch, "", "pause", "--all", "--yes").output


def test_owners_and_rules_are_given_to_many(stocked_ops: Api, tmp_path: Path) -> None:
    found = run(stocked_ops, "change-owner", "--to", "bob", "shop_a", "shop_b")
    assert outcomes(found) == ["accepted", "accepted"]
    assert [one["name"] for one in run(stocked_ops, "ops", "--owner", "bob")["items"]] == ["shop_a", "shop_b"]
    file = tmp_path / "rules.yaml"
    file.write_text("alert_rule: late\nconditions: [{metric: task_delay, threshold: 5, unit: min}]\n")
    found = run(stocked_ops, "alert-rules", "add-to", "-f", str(file), "--owner", "bob")
    assert outcomes(found) == ["accepted", "accepted"]
    assert {"late_shop_a", "late_shop_b"} <= {one["name"] for one in run(stocked_ops, "alert-rules", "list")}
    assert outcomes(run(stocked_ops, "alert-rules", "add-to", "-f", str(file), "shop_a", "--dry-run")) == ["unchanged"]
