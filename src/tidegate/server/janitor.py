"""Cleans up at source and target after a run that is over. What cannot be removed is named as a key event and tried
again for a while; it never keeps a task from being stopped or removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from tidegate.errors import FileNotAllowed, ObjectMissing, TidegateError
from tidegate.faultpoint import crossing
from tidegate.model.problem import problem
from tidegate.server.control import Control
from tidegate.server.history import History
from tidegate.server.jobs import Job, Jobs, Outcome, Work
from tidegate.store import moves, runs
from tidegate.store.moves import Situation
from tidegate.store.rows import Cleanup, RunRow

log = structlog.get_logger()

AT_ONCE = 50


class Janitor:
    def __init__(self, control: Control, jobs: Jobs) -> None:
        self._control = control
        self._db = control.db
        self._clock = control.clock
        self._limits = control.limits
        self._jobs = jobs
        self._history = History(control)

    def halt(self, seen: Situation, overdue: dict[str, Any] | None = None) -> bool:
        """End Stopping once the run is cleaned up, or its time has `overdue` passed; whether it ended."""
        run = seen.run
        if run is not None and run.ended_at is None and run.cleanup == Cleanup.DUE.value and overdue is None:
            self._clean(run)
            return False
        with self._db.write() as tx:
            now_in = moves.still(tx, seen)
            if now_in is None:
                return False
            if now_in.run is not None and now_in.run.ended_at is None:
                runs.change_run(tx, now_in.run.id, ended_at=self._clock.now())
                runs.discard_snapshots(tx, [now_in.run.id])
            moves.move(tx, now_in, "halted", now=self._clock.now(), error=overdue)
        log.info("task.moved", task=seen.task.id, run=seen.run.number if seen.run else None, name="halted")
        return True

    def remove(self, seen: Situation) -> bool:
        """End Removing once every run is cleaned up as far as it can be; whether it ended."""
        with self._db.read() as tx:
            due = [run for run in runs.list_runs(tx, seen.task.id) if run.cleanup == Cleanup.DUE.value]
        for run in due:
            self._clean(run)
        if due:
            return False
        with self._db.write() as tx:
            now_in = moves.still(tx, seen)
            if now_in is None:
                return False
            runs.discard_snapshots(tx, [run.id for run in runs.list_runs(tx, seen.task.id)])
            moves.move(tx, now_in, "removed", now=self._clock.now())
        return True

    def sweep(self) -> None:
        """Clean what is due: runs that ended otherwise than by Stop, and what was left before. Forget what is old."""
        with self._db.read() as tx:
            due = runs.runs_to_clean(tx, now=self._clock.now(), wait_max_s=self._limits.cleanup_max_s, limit=AT_ONCE)
        for run in due:
            self._clean(run)
        self._history.sweep()

    def _clean(self, run: RunRow) -> None:
        # A worker that still lives would make again what is removed.
        if run.worker_pid is None:
            self._jobs.start(Job(Work.CLEAN, run.id), lambda: self._forget(run))

    def _forget(self, run: RunRow) -> Sequence[TidegateError]:
        """On a thread of its own."""
        control = self._control
        try:
            with self._db.read() as tx:
                spec = control.run_spec(tx, run)
                source, target = control.sides(tx, moves.get_any(tx, run.task_id).task.project_id, spec)
        except (ObjectMissing, FileNotAllowed) as error:
            return [error]
        crossing("leftover.removing")
        left = control.data_plane.forget(run.key, spec, source, target)
        crossing("leftover.removed")
        return left

    def collect(self, outcome: Outcome) -> None:
        """Write down what became of it."""
        if outcome.raised is not None:
            log.error("cleanup.crashed", run_id=outcome.job.subject, exc_info=outcome.raised)
        left = [problem(outcome.raised)] if outcome.raised else [problem(error) for error in outcome.given]
        with self._db.write() as tx:
            run = runs.find_run(tx, outcome.job.subject, lock=True)
            if run is None or run.cleanup not in (Cleanup.DUE.value, Cleanup.LEFT.value):
                return
            tries = run.cleanup_tries + 1
            again = bool(left) and tries < self._limits.cleanup_tries
            runs.change_run(
                tx,
                run.id,
                cleanup=(Cleanup.LEFT if left else Cleanup.DONE).value,
                cleanup_tries=tries,
                cleanup_at=self._clock.now() + self._limits.cleanup_after_s(tries - 1) if again else None,
            )
            if left and (tries == 1 or not again):
                facts = {"run": run.number, "left": [each["detail"] for each in left], "tried_again": again}
                moves.record(
                    tx, moves.get_any(tx, run.task_id), "leftover", now=self._clock.now(), error=left[0], facts=facts
                )
            elif run.cleanup == Cleanup.LEFT.value and not left:
                facts = {"run": run.number}
                moves.record(tx, moves.get_any(tx, run.task_id), "leftover_removed", now=self._clock.now(), facts=facts)
        self._control.wake(run.task_id)
