"""What the store knows of runs at work, of all of them at once: one look each few seconds, in few statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from tidegate.model.lifecycle import STATES, State
from tidegate.store.rows import read
from tidegate.store.tables import key_event, project, run, snapshot, task

RESTARTED = ("worker_lost", "restarted")
"""The key events that say so."""

AT_WORK = tuple(state.value for state, facts in STATES.items() if facts.worker)
AT_REST = tuple(state.value for state, facts in STATES.items() if facts.pins_log and not facts.worker)


@dataclass(frozen=True, slots=True)
class Standing:
    """A run at work."""

    run_id: int
    task_id: int
    project: str
    task: str
    number: int
    state: State
    state_since: float
    started_at: float
    heard_at: float | None
    phase: str
    health: str
    restarts: int
    units: int
    snapshot_at: float | None
    """When the newest snapshot was stored."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", State(self.state))


_NEWEST = (
    select(snapshot.c.at)
    .where(snapshot.c.run_id == run.c.id)
    .order_by(snapshot.c.id.desc())
    .limit(1)
    .correlate(run)
    .scalar_subquery()
)


def _standings() -> Select[Any]:
    return (
        select(
            run.c.id,
            task.c.id,
            project.c.name,
            task.c.name,
            run.c.number,
            task.c.state,
            task.c.state_since,
            run.c.started_at,
            run.c.heard_at,
            run.c.phase,
            run.c.health,
            run.c.restarts,
            run.c.units,
            _NEWEST,
        )
        .join(task, task.c.run_id == run.c.id)
        .join(project, project.c.id == task.c.project_id)
    )


_ALL = _standings().where(task.c.state.in_(AT_WORK)).order_by(run.c.id)
_RESTING = (
    select(run.c.id, project.c.name, task.c.name, run.c.number)
    .join(task, task.c.run_id == run.c.id)
    .join(project, project.c.id == task.c.project_id)
    .where(task.c.state.in_(AT_REST), run.c.ended_at.is_(None))
    .order_by(run.c.id)
)
_ONE = _standings().where(run.c.id == bindparam("the_run"))
_RESTARTS = select(key_event.c.task_id, key_event.c.run_number, key_event.c.at).where(
    key_event.c.at > bindparam("since"), key_event.c.name.in_(RESTARTED)
)


def at_work(tx: Connection) -> list[Standing]:
    """Every run that has a worker, or is to have one."""
    return [_standing(row) for row in tx.execute(_ALL)]


def at_rest(tx: Connection) -> list[tuple[int, str, str, int]]:
    """Every run that a source keeps its log for while nobody works on it: its id, project, task and number."""
    return [(run_id, project_name, name, number) for run_id, project_name, name, number in tx.execute(_RESTING)]


def of_run(tx: Connection, run_id: int) -> Standing | None:
    """Its task's newest run, in whatever state; None for another."""
    row = tx.execute(_ONE, {"the_run": run_id}).one_or_none()
    return None if row is None else _standing(row)


def _standing(row: Sequence[Any]) -> Standing:
    return read(Standing, row)


def restarts(tx: Connection, since: float) -> dict[tuple[int, int | None], list[float]]:
    """When workers were replaced or began anew since then, by task and number of the run."""
    found: dict[tuple[int, int | None], list[float]] = {}
    for task_id, number, at in tx.execute(_RESTARTS, {"since": since}):
        found.setdefault((task_id, number), []).append(at)
    return found


def phases(tx: Connection, task_id: int, number: int) -> list[tuple[str, float]]:
    """When a run entered which phase, in order."""
    query = (
        select(key_event.c.facts, key_event.c.at)
        .where(key_event.c.task_id == task_id, key_event.c.run_number == number, key_event.c.name == "phase")
        .order_by(key_event.c.id)
    )
    return [(str(facts.get("phase")), at) for facts, at in tx.execute(query)]


def rests(tx: Connection, task_id: int, number: int) -> list[tuple[float, float | None]]:
    """When nobody worked on a run, in order: from when until when; None: still."""
    query = (
        select(key_event.c.state_to, key_event.c.at)
        .where(
            key_event.c.task_id == task_id,
            key_event.c.run_number == number,
            key_event.c.state_to.is_not(None),
        )
        .order_by(key_event.c.id)
    )
    found: list[tuple[float, float | None]] = []
    for state, at in tx.execute(query):
        works, resting = STATES[State(state)].worker, bool(found) and found[-1][1] is None
        if works and resting:
            found[-1] = (found[-1][0], at)
        elif not works and not resting:
            found.append((at, None))
    return found


def statuses(tx: Connection) -> list[tuple[str, str, State]]:
    """Project, name and state of every task in real-time ops."""
    query = (
        select(project.c.name, task.c.name, task.c.state)
        .join(project, project.c.id == task.c.project_id)
        .where(task.c.submitted.is_not(None), task.c.state != State.REMOVED.value)
        .order_by(task.c.id)
    )
    return [(project_name, name, State(state)) for project_name, name, state in tx.execute(query)]
