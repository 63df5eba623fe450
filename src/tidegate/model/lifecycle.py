"""The life of a task: two literals, `STATES` and `MOVES`, and pure functions that read them.

Nothing else in the tree says which state may follow which (I7): store, API, CLI, console, docs and tests derive from
here. A worker that was lost is no state: the task stays Running and its run's health says *recovering*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tidegate.errors import CommandRefused


class State(StrEnum):
    """Where a task is. What people are shown is the coarser `Facts.status`."""

    DRAFT = "draft"
    INITIALIZE = "initialize"
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    FORCE_PAUSING = "force_pausing"
    PAUSED = "paused"
    CONTINUING = "continuing"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILURE = "failure"
    DETECTION_EXCEPTION = "detection_exception"
    REMOVING = "removing"
    REMOVED = "removed"


class Held(StrEnum):
    """What a task still has of a run: some moves depend on it."""

    NOTHING = "nothing"
    RUN = "run"
    """A run that has stored no snapshot."""
    SNAPSHOT = "snapshot"


class Kind(StrEnum):
    """A command is asked for by a person; an event happens."""

    COMMAND = "command"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of a state."""

    status: str
    """The word shown; empty for a task that is gone."""
    says: str
    units: bool = False
    """Whether the task takes units of its resource group."""
    worker: bool = False
    """Whether a worker process belongs to it."""
    editable: bool = False
    """Whether a changed definition may be submitted."""
    pins_log: bool = False
    """Whether the source keeps its log for the run."""
    deadline_s: float | None = None
    """An Operating step has ended by then …"""
    overdue: str | None = None
    """… for then this event ends it."""


@dataclass(frozen=True, slots=True)
class Move:
    """One legal change of state. `held` limits it to tasks that have that much of a run."""

    name: str
    kind: Kind
    sources: tuple[State, ...]
    target: State
    says: str
    held: tuple[Held, ...] = tuple(Held)


OPERATING: Final = "Operating"

STATES: Final[Mapping[State, Facts]] = {
    State.DRAFT: Facts("New", "saved, not submitted", editable=True),
    State.INITIALIZE: Facts("Initialize", "submitted, never run", editable=True),
    State.STARTING: Facts(
        OPERATING,
        "checking, taking units, opening both ends",
        units=True,
        worker=True,
        pins_log=True,
        deadline_s=180,
        overdue="open_failed",
    ),
    State.RUNNING: Facts("Running", "reading and writing", units=True, worker=True, pins_log=True),
    State.PAUSING: Facts(
        OPERATING,
        "draining, then writing a snapshot",
        units=True,
        worker=True,
        pins_log=True,
        deadline_s=120,
        overdue="pause_failed",
    ),
    State.FORCE_PAUSING: Facts(
        OPERATING,
        "cutting the run off; no new snapshot",
        units=True,
        pins_log=True,
        deadline_s=30,
        overdue="cut",
    ),
    State.PAUSED: Facts("Paused", "idle; state and position kept", editable=True, pins_log=True),
    State.CONTINUING: Facts(
        OPERATING,
        "reopening at the newest snapshot",
        units=True,
        worker=True,
        pins_log=True,
        deadline_s=180,
        overdue="open_failed",
    ),
    State.STOPPING: Facts(
        OPERATING,
        "ending the run, discarding state and position",
        pins_log=True,
        deadline_s=120,
        overdue="halted",
    ),
    State.STOPPED: Facts("Stopped", "ended by hand, or another non-exceptional end", editable=True),
    State.FAILURE: Facts("Failure", "the run failed; the error says what to do", editable=True, pins_log=True),
    State.DETECTION_EXCEPTION: Facts(
        "Detection Exception",
        "something the task is configured with no longer exists",
        editable=True,
        pins_log=True,
    ),
    State.REMOVING: Facts(
        OPERATING,
        "cleaning slot, target position row, metadata",
        deadline_s=300,
        overdue="remove_failed",
    ),
    State.REMOVED: Facts("", "gone; only its key events are kept"),
}

MOVES: Final[tuple[Move, ...]] = (
    Move("submit", Kind.COMMAND, (State.DRAFT,), State.INITIALIZE, "check the definition and put the task into ops"),
    Move(
        "run",
        Kind.COMMAND,
        (State.INITIALIZE, State.STOPPED),
        State.STARTING,
        "start from scratch: full synchronization, then incremental",
    ),
    Move(
        "run",
        Kind.COMMAND,
        (State.FAILURE,),
        State.STARTING,
        "start from scratch: full synchronization, then incremental",
        held=(Held.NOTHING, Held.RUN),
    ),
    Move("pause", Kind.COMMAND, (State.RUNNING,), State.PAUSING, "finish what is under way, save a snapshot, rest"),
    Move(
        "force-pause",
        Kind.COMMAND,
        (State.RUNNING,),
        State.FORCE_PAUSING,
        "cut the run off at once; Continue starts from the last snapshot before",
    ),
    Move("continue", Kind.COMMAND, (State.PAUSED,), State.CONTINUING, "go on at the newest snapshot"),
    Move(
        "continue",
        Kind.COMMAND,
        (State.FAILURE,),
        State.CONTINUING,
        "go on at the newest snapshot",
        held=(Held.SNAPSHOT,),
    ),
    Move(
        "stop",
        Kind.COMMAND,
        (State.RUNNING, State.PAUSED, State.FAILURE, State.DETECTION_EXCEPTION),
        State.STOPPING,
        "end the run and discard its state and position; the next Run starts from scratch",
    ),
    Move(
        "remove",
        Kind.COMMAND,
        (State.DRAFT, State.INITIALIZE, State.STOPPED),
        State.REMOVING,
        "remove the task with its definition; rows already in the target stay",
    ),
    Move("opened", Kind.EVENT, (State.STARTING, State.CONTINUING), State.RUNNING, "both ends are open"),
    Move("open_failed", Kind.EVENT, (State.STARTING, State.CONTINUING), State.FAILURE, "an end could not be opened"),
    Move("drained", Kind.EVENT, (State.PAUSING,), State.PAUSED, "all is written and the pause snapshot is stored"),
    Move("pause_failed", Kind.EVENT, (State.PAUSING,), State.RUNNING, "the pause could not be finished"),
    Move("cut", Kind.EVENT, (State.FORCE_PAUSING,), State.PAUSED, "the worker is gone or fenced"),
    Move(
        "halted", Kind.EVENT, (State.STOPPING,), State.STOPPED, "the run is over; leftovers are named, never waited for"
    ),
    Move("gave_up", Kind.EVENT, (State.RUNNING,), State.FAILURE, "a permanent error, or restarts spent"),
    Move("end_reached", Kind.EVENT, (State.RUNNING,), State.STOPPED, "there is nothing more to read"),
    Move(
        "object_missing",
        Kind.EVENT,
        (State.INITIALIZE, State.STARTING, State.RUNNING, State.CONTINUING, State.PAUSED),
        State.DETECTION_EXCEPTION,
        "a data source, resource group or table is gone",
    ),
    Move(
        "found_fresh",
        Kind.EVENT,
        (State.DETECTION_EXCEPTION,),
        State.INITIALIZE,
        "all is back; nothing had been run",
        held=(Held.NOTHING,),
    ),
    Move(
        "found_kept",
        Kind.EVENT,
        (State.DETECTION_EXCEPTION,),
        State.PAUSED,
        "all is back; the run's state was kept",
        held=(Held.RUN, Held.SNAPSHOT),
    ),
    Move("removed", Kind.EVENT, (State.REMOVING,), State.REMOVED, "nothing of it is left"),
    Move("remove_failed", Kind.EVENT, (State.REMOVING,), State.STOPPED, "the removal could not be finished"),
)

COMMANDS: Final = tuple(dict.fromkeys(move.name for move in MOVES if move.kind is Kind.COMMAND))
EVENTS: Final = tuple(dict.fromkeys(move.name for move in MOVES if move.kind is Kind.EVENT))


class IllegalMove(Exception):
    """The state does not allow the move."""

    def __init__(self, state: State, name: str) -> None:
        super().__init__(f"{name} is not possible in {state}")
        self.state = state
        self.name = name


@dataclass(frozen=True, slots=True)
class Offer:
    """A command in some state: allowed, or the reason why not. `says` is what it does."""

    command: str
    allowed: bool
    reason: str
    says: str


def next_state(state: State, name: str, held: Held) -> State:
    """The state the move leads to. Raises `IllegalMove`."""
    for move in MOVES:
        if move.name == name and state in move.sources and held in move.held:
            return move.target
    raise IllegalMove(state, name)


def goal(state: State) -> State:
    """Where an Operating step leads when it succeeds: the first event the table has for it."""
    return next(move.target for move in MOVES if move.kind is Kind.EVENT and state in move.sources)


def done_by(command: str) -> frozenset[State]:
    """Where a task is while and after the command is carried out."""
    steps = {move.target for move in MOVES if move.name == command}
    return frozenset(steps | {goal(step) for step in steps if STATES[step].status == OPERATING})


def offers(state: State, held: Held) -> list[Offer]:
    """Every command in the order of `MOVES`, each allowed or with its reason."""
    found = []
    for command in COMMANDS:
        moves = [move for move in MOVES if move.name == command]
        here = [move for move in moves if state in move.sources]
        allowed = any(held in move.held for move in here)
        reason = "" if allowed else _lacking(held) if here else _elsewhere(state, moves)
        found.append(Offer(command, allowed, reason, moves[0].says))
    return found


def _lacking(held: Held) -> str:
    if held is Held.SNAPSHOT:
        return "the run has a snapshot: continue from it, or stop first to start from scratch"
    return "the run has stored no snapshot to continue from: run it from scratch"


def _elsewhere(state: State, moves: list[Move]) -> str:
    facts = STATES[state]
    if facts.status == OPERATING:
        return f"the task is {facts.says}; that ends within {facts.deadline_s:g} s"
    statuses = dict.fromkeys(STATES[source].status for move in moves for source in move.sources)
    return f"the status is {facts.status or 'Removed'}; possible when {', '.join(statuses)}"


def refused(state: State, name: str, held: Held, *, task: str, **facts: Any) -> CommandRefused:
    """The refusal of a command, with the status and, as its `offers`, what is allowed instead."""
    offered = offers(state, held)
    reason = next((offer.reason for offer in offered if offer.command == name), "")
    return CommandRefused(
        f"{name} was refused for task {task}: {reason}",
        state=state.value,
        status=STATES[state].status,
        offers=[{"command": o.command, "allowed": o.allowed, "reason": o.reason} for o in offered],
        **facts,
    )


def expires_in(state: State, elapsed_s: float, deadlines_s: Mapping[State, float] | None = None) -> float | None:
    """Seconds an Operating step that has lasted `elapsed_s` may still last (0 when overdue); None for other states.
    `deadlines_s` may shorten a step, never lengthen it."""
    deadline_s = STATES[state].deadline_s
    if deadline_s is None:
        return None
    shortened_s = (deadlines_s or {}).get(state, deadline_s)
    return max(0.0, min(deadline_s, shortened_s) - elapsed_s)


def diagram() -> str:
    """The table as a Mermaid state diagram; commands are written in capitals."""
    lines = ["stateDiagram-v2", f"  [*] --> {State.DRAFT}"]
    for move in MOVES:
        label = move.name.upper() if move.kind is Kind.COMMAND else move.name
        lines += [f"  {source} --> {move.target}: {label}" for source in move.sources]
    lines.append(f"  {State.REMOVED} --> [*]")
    return "\n".join(lines) + "\n"
