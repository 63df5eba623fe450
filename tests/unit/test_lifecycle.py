"""The lifecycle table, looked at as data."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import CommandRefused
from tidegate.model.lifecycle import (
    COMMANDS,
    EVENTS,
    MOVES,
    OPERATING,
    STATES,
    Held,
    IllegalMove,
    Kind,
    State,
    diagram,
    expires_in,
    next_state,
    offers,
    refused,
)

FROZEN = Path(__file__).parent.parent / "lifecycle" / "frozen_lifecycle.json"

# What people were promised, status by status; written by hand from the design, not from the table.
PROMISED = {
    State.DRAFT: {"submit", "remove"},
    State.INITIALIZE: {"run", "remove"},
    State.STARTING: set(),
    State.RUNNING: {"pause", "force-pause", "stop"},
    State.PAUSING: set(),
    State.FORCE_PAUSING: set(),
    State.PAUSED: {"continue", "stop"},
    State.CONTINUING: set(),
    State.STOPPING: set(),
    State.STOPPED: {"run", "remove"},
    State.DETECTION_EXCEPTION: {"stop"},
    State.REMOVING: set(),
    State.REMOVED: set(),
}


def table_as_json() -> dict[str, Any]:
    """The table in the form it is frozen in."""
    return {
        "states": {
            state.value: {
                "status": facts.status,
                "units": facts.units,
                "worker": facts.worker,
                "editable": facts.editable,
                "pins_log": facts.pins_log,
                "deadline_s": facts.deadline_s,
                "overdue": facts.overdue,
            }
            for state, facts in STATES.items()
        },
        "moves": [
            [move.name, move.kind.value, source.value, move.target.value, [held.value for held in move.held]]
            for move in MOVES
            for source in move.sources
        ],
    }


def test_the_table_is_the_frozen_one() -> None:
    assert table_as_json() == json.loads(FROZEN.read_text()), (
        "the lifecycle changed: if that is meant, write table_as_json() to the frozen file and say so in the commit"
    )


def allowed(state: State, held: Held) -> set[str]:
    return {offer.command for offer in offers(state, held) if offer.allowed}


@pytest.mark.parametrize("state", PROMISED)
@pytest.mark.parametrize("held", Held)
def test_each_status_offers_exactly_the_commands_promised(state: State, held: Held) -> None:
    assert allowed(state, held) == PROMISED[state]


def test_failure_offers_continue_if_a_snapshot_exists_and_run_if_none_does() -> None:
    assert allowed(State.FAILURE, Held.SNAPSHOT) == {"continue", "stop"}
    assert allowed(State.FAILURE, Held.RUN) == {"run", "stop"}
    assert allowed(State.FAILURE, Held.NOTHING) == {"run", "stop"}


def test_every_state_has_its_facts_and_no_others_do() -> None:
    assert set(STATES) == set(State)


def test_a_state_a_name_and_what_is_held_lead_to_at_most_one_target() -> None:
    for state, name, held in product(State, COMMANDS + EVENTS, Held):
        found = [m for m in MOVES if m.name == name and state in m.sources and held in m.held]
        assert len(found) <= 1, (state, name, held)


def test_a_name_is_either_a_command_or_an_event() -> None:
    assert not set(COMMANDS) & set(EVENTS)


@pytest.mark.parametrize("held", Held)
def test_every_state_is_reachable_from_a_draft_and_can_reach_its_end(held: Held) -> None:
    def reach(start: State, backwards: bool) -> set[State]:
        seen, todo = {start}, [start]
        while todo:
            here = todo.pop()
            for move in MOVES:
                pairs = ((source, move.target) for source in move.sources)
                for source, target in pairs:
                    near, far = (target, source) if backwards else (source, target)
                    if near is here and far not in seen:
                        seen.add(far)
                        todo.append(far)
        return seen

    assert reach(State.DRAFT, backwards=False) == set(State)
    assert reach(State.REMOVED, backwards=True) == set(State)


@pytest.mark.parametrize("state", [state for state, facts in STATES.items() if facts.status == OPERATING])
@pytest.mark.parametrize("held", Held)
def test_an_operating_step_offers_nothing_has_a_deadline_and_an_event_that_ends_it(state: State, held: Held) -> None:
    facts = STATES[state]
    assert allowed(state, held) == set()
    assert facts.deadline_s is not None
    assert facts.overdue is not None
    assert STATES[next_state(state, facts.overdue, held)].status != OPERATING


def test_only_operating_steps_have_deadlines() -> None:
    assert {s for s, f in STATES.items() if f.deadline_s is not None} == {
        s for s, f in STATES.items() if f.status == OPERATING
    }


def test_events_come_out_of_every_operating_step_and_commands_out_of_none() -> None:
    for move in MOVES:
        if move.kind is Kind.COMMAND:
            assert all(STATES[source].status != OPERATING for source in move.sources), move.name


def test_what_has_a_worker_holds_units_and_pins_the_log() -> None:
    for state, facts in STATES.items():
        if facts.worker:
            assert facts.units, state
            assert facts.pins_log, state


def test_paused_frees_its_units_but_still_pins_the_log() -> None:
    assert not STATES[State.PAUSED].units
    assert STATES[State.PAUSED].pins_log


def test_an_illegal_move_raises_with_its_state_and_name() -> None:
    with pytest.raises(IllegalMove) as caught:
        next_state(State.PAUSED, "pause", Held.SNAPSHOT)
    assert (caught.value.state, caught.value.name) == (State.PAUSED, "pause")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("held", Held)
def test_every_command_is_offered_or_refused_with_a_reason(state: State, held: Held) -> None:
    offered = offers(state, held)
    assert [offer.command for offer in offered] == list(COMMANDS)
    assert all(offer.allowed != bool(offer.reason) for offer in offered)


def test_a_refusal_names_the_task_the_reason_and_what_is_allowed() -> None:
    error = refused(State.RUNNING, "continue", Held.SNAPSHOT, task="shop")
    assert isinstance(error, CommandRefused)
    assert error.detail == ("continue was refused for task shop: the status is Running; possible when Paused, Failure")
    assert error.facts["status"] == "Running"
    assert {o["command"] for o in error.facts["offers"] if o["allowed"]} == {"pause", "force-pause", "stop"}


def test_a_step_expires_at_its_deadline_and_settings_only_shorten_it() -> None:
    assert expires_in(State.PAUSING, 20) == 100
    assert expires_in(State.PAUSING, 500) == 0
    assert expires_in(State.PAUSING, 1, {State.PAUSING: 5}) == 4
    assert expires_in(State.PAUSING, 1, {State.PAUSING: 5000}) == 119
    assert expires_in(State.RUNNING, 1e9) is None


def test_the_diagram_shows_every_move_once() -> None:
    lines = diagram().splitlines()
    arrows = [line for line in lines if ": " in line]
    assert len(arrows) == len(set(arrows)) == sum(len({*move.sources}) for move in MOVES)
