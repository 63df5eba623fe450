"""What it means to wait for a command, and to go through a list that comes in pages: for both clients alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.client import shapes as s
from tidegate.errors import CommandRefused, DeadlinePassed
from tidegate.model.lifecycle import MOVES, OPERATING, Kind, State, goal
from tidegate.model.problem import error_of

POLL_S = 0.2
GRACE_S = 15.0
"""Beyond a step's deadline, which the server keeps."""
WAIT_S = 20.0
"""How long the server may wait for the next line of a log before it answers that there is none."""
PAGE_LINES = 1_000
PAGE_EVENTS = 1_000
PAGE_ITEMS = 200
"""As many as one answer has at most."""

TARGETS: Mapping[str, State] = {move.name: goal(move.target) for move in MOVES if move.kind is Kind.COMMAND}
"""Command → the state it leads to in the end."""


def is_over(task: s.TaskView) -> bool:
    """Whether no step is under way."""
    return task["status"] != OPERATING


def left_s(task: s.TaskView) -> float:
    """How long the step under way may take."""
    return (task["expires_in_s"] or 0.0) + GRACE_S


def late(task: s.TaskView) -> DeadlinePassed:
    return DeadlinePassed(f"task {task['name']} is {task['state']} beyond its deadline")


def demand_reached(task: s.TaskView, command: str) -> None:
    """Raises the error a task has that did not get where the command leads."""
    if task["state"] == TARGETS[command]:
        return
    if task["error"]:
        raise error_of(task["error"])
    raise CommandRefused(f"{command} did not succeed: task {task['name']} is {task['state']}")


def beyond(items: Sequence[Mapping[str, Any]]) -> int:
    """The `before` of the page after this one."""
    return min(int(one["id"]) for one in items)
