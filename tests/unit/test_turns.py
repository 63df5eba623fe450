"""Batches of one project wait for each other and for no other project's."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from tidegate.errors import TooManyBatches
from tidegate.server.turns import ALL_MAX, OF_PROJECT_MAX, Turns

SOON_S, DEADLINE_S = 0.01, 20.0


def test_a_project_that_has_all_its_turns_keeps_no_other_from_its_own() -> None:
    turns = Turns()
    with ExitStack() as held:
        for _ in range(OF_PROJECT_MAX):
            held.enter_context(turns.taken({"north"}, SOON_S))
        with pytest.raises(TooManyBatches, match="project north"), turns.taken({"north", "south"}, SOON_S):
            pass
        for _ in range(OF_PROJECT_MAX):
            held.enter_context(turns.taken({"south"}, SOON_S))
    with turns.taken({"north", "south"}, SOON_S):
        pass


def test_there_is_a_limit_to_all_of_them() -> None:
    turns = Turns()
    with ExitStack() as held:
        for number in range(ALL_MAX):
            held.enter_context(turns.taken({f"p{number}"}, SOON_S))
        with pytest.raises(TooManyBatches, match=f"{ALL_MAX} batches"), turns.taken({"more"}, SOON_S):
            pass


def test_who_waits_goes_on_when_a_turn_is_given_back() -> None:
    turns, waits, done = Turns(), threading.Event(), threading.Event()

    def late() -> None:
        waits.set()
        with turns.taken({"north"}, DEADLINE_S):
            done.set()

    with ExitStack() as held:
        for _ in range(OF_PROJECT_MAX):
            held.enter_context(turns.taken({"north"}, SOON_S))
        thread = threading.Thread(target=late)
        thread.start()
        assert waits.wait(DEADLINE_S)
        assert not done.is_set()
    assert done.wait(DEADLINE_S)
    thread.join(DEADLINE_S)
