"""Looks all the time whether what tasks are configured with still exists: data sources, resource groups, tables. A task
that lost something is in Detection Exception until it is back, or somebody stops it."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy import Connection

from tidegate.errors import FileNotAllowed, ObjectMissing, Retry, TidegateError
from tidegate.model.lifecycle import MOVES, OPERATING, STATES, Held, State
from tidegate.model.problem import problem
from tidegate.model.task import parse_task
from tidegate.server.control import Control
from tidegate.server.jobs import Job, Jobs, Outcome, Work
from tidegate.store import catalog, moves, runs, tasks
from tidegate.store.moves import Situation

log = structlog.get_logger()

# Where a missing thing can be noticed; an Operating step finds out by itself.
_LOSING = {
    state
    for move in MOVES
    if move.name == "object_missing"
    for state in move.sources
    if STATES[state].status != OPERATING
}
LOOKED_AT = (*sorted(_LOSING), State.DETECTION_EXCEPTION)


class Detection:
    def __init__(self, control: Control, jobs: Jobs) -> None:
        self._control = control
        self._db = control.db
        self._clock = control.clock
        self._limits = control.limits
        self._jobs = jobs
        self._due: dict[int, float] = {}
        """Task → when (in ticks) to look again."""

    def sweep(self) -> None:
        """Look at tasks whose time has come."""
        with self._db.read() as tx:
            found = tasks.in_states(tx, LOOKED_AT)
        ticks = self._clock.ticks()
        self._due = {task: self._due.get(task, ticks + self._first_after_s(task)) for task, _, _ in found}
        for task, state, version in found:
            lost = state is State.DETECTION_EXCEPTION
            soonest = ticks + self._limits.detection_back_s if lost else self._due[task]
            if min(self._due[task], soonest) > ticks:
                self._due[task] = min(self._due[task], soonest)
                continue
            job = Job(Work.LOOK, task)
            if self._jobs.start(job, lambda task=task, version=version: self._look(task, version)):  # type: ignore[misc]
                self._due[task] = ticks + (self._limits.detection_back_s if lost else self._limits.detection_s)

    def _first_after_s(self, task: int) -> float:
        """Spread, so that a server that starts does not look at everything at once."""
        return (task * 0.6180339887 % 1.0) * self._limits.detection_s

    def _look(self, task: int, version: int) -> tuple[int, Sequence[str] | None]:
        """The task's version looked at, and what is missing; None: that cannot be told now. On a thread of its own."""
        control = self._control
        with self._db.read() as tx:
            now_in = moves.find(tx, task)
            if now_in is None or now_in.task.version != version or now_in.task.submitted is None:
                return version, None
            missing = self._unknown_here(tx, now_in)
            if missing:
                return version, missing
            spec = parse_task(tasks.get_version(tx, task, now_in.task.submitted).definition)
            try:
                source, target = control.sides(tx, now_in.task.project_id, spec)
            except FileNotAllowed as error:
                return version, [error.detail]
        kept = now_in.run.key if now_in.run is not None and now_in.held is not Held.NOTHING else None
        try:
            return version, control.data_plane.missing_objects(
                spec, source, target, working=STATES[now_in.task.state].worker, run_key=kept
            )
        except TidegateError as error:
            if error.retry is Retry.LATER:
                return version, None
            raise

    def _unknown_here(self, tx: Connection, now_in: Situation) -> list[str]:
        """Of what the store itself knows."""
        spec = parse_task(tasks.get_version(tx, now_in.task.id, now_in.task.submitted or 0).definition)
        missing = [
            f"data source {name} does not exist"
            for name in dict.fromkeys((spec.source.data_source, spec.target.data_source))
            if catalog.find_data_source(tx, now_in.task.project_id, name) is None
        ]
        group = catalog.find_group(tx, spec.resource_group)
        if group is None:
            missing.append(f"resource group {spec.resource_group} does not exist")
        elif group.units < spec.units and not STATES[now_in.task.state].units:
            missing.append(f"resource group {group.name} has {group.units} units; the task needs {spec.units}")
        return missing

    def collect(self, outcome: Outcome) -> None:
        """Carry out what was found, if the task is still the one that was looked at."""
        if outcome.raised is not None:
            log.error("detection.crashed", task=outcome.job.subject, exc_info=outcome.raised)
            return
        version, missing = outcome.given
        if missing is None:
            return
        with self._db.write() as tx:
            now_in = moves.find(tx, outcome.job.subject, lock=True)
            if now_in is None or now_in.task.version != version:
                return
            if missing and now_in.task.state in _LOSING:
                self._lose(tx, now_in, missing)
            elif not missing and now_in.task.state is State.DETECTION_EXCEPTION:
                found = "found_fresh" if now_in.held is Held.NOTHING else "found_kept"
                moves.move(tx, now_in, found, now=self._clock.now())
            else:
                return
        self._control.wake(outcome.job.subject)

    def _lose(self, tx: Connection, now_in: Situation, missing: Sequence[str]) -> None:
        if now_in.run is not None and now_in.held is not Held.NOTHING:
            runs.fence(tx, now_in.run)
        error = problem(ObjectMissing(f"task {now_in.task.name}: {'; '.join(missing)}", missing=list(missing)))
        moves.move(tx, now_in, "object_missing", now=self._clock.now(), error=error, keep_error=True)
