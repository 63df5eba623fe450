"""Every command in every state, through the API and through the command line: allowed ones lead where the lifecycle
table says, refused ones change nothing and name what is allowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from api.rig import Api
from api.situations import DEADLINE_S, SITUATIONS, TASK, failed_with_snapshot, paused, task
from tidegate.cli.main import app
from tidegate.cli.operations import OPERATIONS, goal
from tidegate.errors import NotFound
from tidegate.model.lifecycle import COMMANDS, OPERATING, STATES, Held, IllegalMove, State, next_state
from tidegate.testing.servers import until


def allowed(state: State, held: Held) -> list[str]:
    """What the table allows."""

    def leads(command: str) -> bool:
        try:
            next_state(state, command, held)
        except IllegalMove:
            return False
        return True

    return [command for command in COMMANDS if leads(command)]


def by_api(api: Api, command: str) -> tuple[int, dict[str, Any]]:
    answer = api.http.post(f"/api/v1/tasks/{TASK}/commands/{command}", json={})
    return answer.status_code, answer.json()


def by_command_line(api: Api, command: str) -> tuple[int, dict[str, Any]]:
    said = CliRunner().invoke(
        app, [command, TASK, "--json"], env={"TIDEGATE_URL": api.url, "TIDEGATE_TOKEN": api.token}
    )
    assert said.exception is None or isinstance(said.exception, SystemExit), said.exception
    return said.exit_code, json.loads(said.stdout)


DOORS: dict[str, tuple[Callable[[Api, str], tuple[int, dict[str, Any]]], int]] = {
    "api": (by_api, 409),
    "cli": (by_command_line, 2),
}
PAIRS = [(name, command) for name, (state, held, _) in SITUATIONS.items() for command in allowed(state, held)]


def steady(shown: dict[str, Any]) -> dict[str, Any]:
    """What only a change of the task changes."""
    return {
        key: shown[key] for key in ("state", "status", "version", "intent", "run", "epoch", "submitted", "commands")
    }


def test_every_state_in_which_commands_can_be_given_is_tried() -> None:
    assert {state for state, _, _ in SITUATIONS.values()} == set(State) - {State.REMOVED}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_refused_command_changes_nothing_and_names_what_is_allowed(driven: Api, situation: str) -> None:
    state, held, arrive = SITUATIONS[situation]
    arrive(driven)
    before = steady(task(driven))
    possible = allowed(state, held)
    assert (before["state"], before["commands"]) == (state, possible)
    for command in set(COMMANDS) - set(possible):
        for door, refusal in DOORS.values():
            if command == "submit" and STATES[state].editable:
                continue  # a changed definition may be submitted there; see the tests of definitions
            code, said = door(driven, command)
            assert (code, said["code"]) == (refusal, "lifecycle.refused"), said
            assert [one["command"] for one in said["offers"] if one["allowed"]] == possible
            assert said["facts"]["status"] == STATES[state].status
            reason = next(one["reason"] for one in said["offers"] if one["command"] == command)
            assert reason
            # Submitting has a sentence of its own: what is refused there is a new version.
            assert reason in said["detail"] or command == "submit"
    assert steady(task(driven)) == before


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("situation", "command"), PAIRS)
def test_an_allowed_command_leads_where_the_lifecycle_says(
    driven: Api, situation: str, command: str, door: str
) -> None:
    state, held, arrive = SITUATIONS[situation]
    arrive(driven)
    code, said = DOORS[door][0](driven, command)
    assert code in (0, 202), said
    step = next_state(state, command, held)
    end = goal(step) if STATES[step].status == OPERATING else step
    if door == "cli":
        # The command line waited: it has arrived.
        assert said["task"]["state"] == end
    if end is State.REMOVED:
        until(lambda: gone(driven), "the task to be gone", DEADLINE_S)
    else:
        until(lambda: task(driven)["state"] == end, f"the task to be {end}", DEADLINE_S)


def gone(api: Api) -> bool:
    return bool(api.http.get(f"/api/v1/tasks/{TASK}").json().get("code") == NotFound.code)


def test_the_routes_and_the_command_line_have_exactly_the_commands_of_the_table(standing_api: Api) -> None:
    document = standing_api.ask("GET", "/openapi.json")
    (parameter,) = [
        one
        for one in document["paths"]["/api/v1/tasks/{task}/commands/{command}"]["post"]["parameters"]
        if one["name"] == "command"
    ]
    assert tuple(parameter["schema"]["enum"]) == COMMANDS
    assert set(OPERATIONS) | {"submit"} == set(COMMANDS)
    registered = {one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands}
    assert set(COMMANDS) <= registered


def test_the_states_and_statuses_of_the_document_are_those_of_the_table(standing_api: Api) -> None:
    shown = standing_api.ask("GET", "/openapi.json")["components"]["schemas"]["TaskView"]["properties"]
    assert shown["state"]["enum"] == [str(state) for state in State]
    assert set(shown["status"]["enum"]) == {facts.status for facts in STATES.values()}


def test_a_preview_answers_for_every_command_and_names_those_it_does_not_know(driven: Api) -> None:
    SITUATIONS["paused"][2](driven)
    for command in COMMANDS:
        found = driven.ask("GET", f"/tasks/{TASK}/operations/{command}/preview")
        assert found["allowed"] == (command in ("continue", "stop")), found
        assert (found["problem"] is None) == found["allowed"]
    assert driven.ask("GET", f"/tasks/{TASK}/operations/dance/preview", expect=404)["code"] == NotFound.code


# --- key events ---


def test_key_events_have_a_level_and_what_failed_its_cause_and_advice(driven: Api) -> None:
    failed_with_snapshot(driven)
    wrong = driven.ask("GET", f"/tasks/{TASK}/events", params={"level": ["error"]})
    assert [(one["name"], one["level"], one["cause"]) for one in wrong] == [
        ("gave_up", "error", "the log of shop is broken")
    ]
    assert wrong[0]["advice"].startswith("Stop the task")
    rest = driven.ask("GET", f"/tasks/{TASK}/events", params={"level": ["info", "warning"]})
    everything = driven.ask("GET", f"/tasks/{TASK}/events")
    assert sorted(one["id"] for one in [*wrong, *rest]) == sorted(one["id"] for one in everything)


def test_key_events_are_found_by_name_time_and_page_and_followed(driven: Api) -> None:
    paused(driven)
    path = f"/tasks/{TASK}/events"
    everything = driven.ask("GET", path)
    ids = [one["id"] for one in everything]
    assert [one["name"] for one in driven.ask("GET", path, params={"name": ["drained", "opened"]})] == [
        "drained",
        "opened",
    ]
    assert [one["id"] for one in driven.ask("GET", path, params={"before": ids[1], "limit": 2})] == ids[2:4]
    followed = driven.ask("GET", path, params={"after": ids[3], "order": "oldest", "limit": 2})
    assert [one["id"] for one in followed] == [ids[2], ids[1]]
    at = everything[2]["at"]
    assert {one["id"] for one in driven.ask("GET", path, params={"since": at})} == {
        one["id"] for one in everything if one["at"] >= at
    }
    assert {one["id"] for one in driven.ask("GET", "/events", params={"until": at})} == {
        one["id"] for one in everything if one["at"] < at
    }
