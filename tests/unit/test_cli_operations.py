"""The commands derive from the lifecycle table."""

from __future__ import annotations

import pytest

from tidegate.cli.main import app
from tidegate.cli.operations import OPERATIONS, discards
from tidegate.model.lifecycle import COMMANDS, OPERATING, STATES, State, goal


@pytest.mark.parametrize(
    ("step", "end"),
    [
        (State.STARTING, State.RUNNING),
        (State.PAUSING, State.PAUSED),
        (State.FORCE_PAUSING, State.PAUSED),
        (State.CONTINUING, State.RUNNING),
        (State.STOPPING, State.STOPPED),
        (State.REMOVING, State.REMOVED),
    ],
)
def test_a_step_that_succeeds_leads_where_its_command_means(step: State, end: State) -> None:
    assert goal(step) == end


def test_every_operating_step_has_an_end() -> None:
    assert {state for state, facts in STATES.items() if facts.status == OPERATING} == {
        move.target for move in OPERATIONS.values()
    }


def test_every_command_of_the_table_is_one_of_the_command_line() -> None:
    registered = {one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands}
    assert set(COMMANDS) <= registered


def test_only_what_discards_something_asks_before() -> None:
    assert {name for name in OPERATIONS if discards(name)} == {"stop", "remove"}
