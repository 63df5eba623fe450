"""Closes the difference between what people asked for and what is: starts and ends workers, notices their deaths, ends
Operating steps at their deadlines, cleans up after runs, looks for what tasks are configured with, and for how long
sources keep their log.

It keeps nothing that matters in memory: killed at any instant, the next one goes on from the store. One thread steps
it; tests step it themselves. Every change it makes is a transaction that first looks whether all is still as it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from tidegate.errors import AlreadyRunning, DeadlinePassed, StoreUnavailable
from tidegate.model.lifecycle import OPERATING, STATES, State, expires_in
from tidegate.model.problem import problem
from tidegate.server.control import Control
from tidegate.server.detection import Detection
from tidegate.server.janitor import Janitor
from tidegate.server.jobs import Jobs, Threads, Work
from tidegate.server.keeper import Keeper
from tidegate.server.local_engine import Engine, Worker
from tidegate.server.logclock import LogClock
from tidegate.store import moves, runs
from tidegate.store.moves import Situation
from tidegate.watch.recorder import Recorder

log = structlog.get_logger()

# After a failing store or a bug: long enough not to spin.
AGAIN_S = 0.5
# A sweep that comes later than this was kept from looking: the process stood still, or the store was away.
LATE_S = 1.0


class Reconciler:
    """`start` and `stop` its thread, or call `step` and `tend` in a test."""

    def __init__(self, control: Control, engine: Engine, jobs: Jobs | None = None) -> None:
        self._control = control
        self._db = control.db
        self._lead = control.store.lead
        self._clock = control.clock
        self._limits = control.limits
        self._keeper = Keeper(control, engine)
        self._jobs = jobs or Threads(control.limits.jobs, self._wake_all)
        self._janitor = Janitor(control, self._jobs)
        self._detection = Detection(control, self._jobs)
        self._recorder = Recorder(
            control.db,
            control.meter,
            control.clock.now,
            control.clock.ticks,
            control.limits.keep_points_s,
            control.logbook.left_s,
        )
        self._log_clock = LogClock(control, self._jobs)
        self._collects = {
            Work.CLEAN: self._janitor.collect,
            Work.LOOK: self._detection.collect,
            Work.LOG: self._log_clock.collect,
            Work.CONTINUE: self._log_clock.collect,
        }
        self._since: dict[int, tuple[State, float, float]] = {}
        self._asked: set[int] = set()
        self._all_asked = False
        self._asking = threading.Lock()
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.leading = False
        """Whether this server drives the tasks, as of the last look. Readable from every thread."""
        control.wake = self.wake

    # --- its thread ---

    def start(self) -> None:
        """Begin to reconcile; live workers of an earlier server are adopted. Raises `AlreadyRunning` when another
        server drives the tasks of this store."""
        if not self._lead.held():
            raise AlreadyRunning("another server drives the tasks of this store")
        self.leading = True
        self._thread = threading.Thread(target=self._loop, name="reconciler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when nothing is being changed any more. Workers go on."""
        self._stopping.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(30)
            self._thread = None
        self.leading = False

    def wake(self, task: int) -> None:
        """Look at this task at once. Callable from every thread."""
        with self._asking:
            self._asked.add(task)
        self._woken.set()

    def noticed(self, worker: Worker) -> None:
        """A worker ended; which task's that was is found by looking at all. Callable from every thread."""
        self._wake_all()

    def _wake_all(self) -> None:
        with self._asking:
            self._all_asked = True
        self._woken.set()

    def _loop(self) -> None:
        sweep_at, looked_at = 0.0, self._clock.ticks()
        while True:
            self._woken.wait(max(0.0, sweep_at - time.monotonic()))
            self._woken.clear()
            if self._stopping.is_set():
                return
            with self._asking:
                asked, everything = self._asked, self._all_asked
                self._asked, self._all_asked = set(), False
            if self._clock.ticks() - looked_at > self._limits.sweep_s + LATE_S:
                self._control.attendance.excuse(self._clock.ticks())
            try:
                if everything or time.monotonic() >= sweep_at:
                    self.step()
                    sweep_at = time.monotonic() + self._limits.sweep_s
                else:
                    for task in asked:
                        self.tend(task)
                looked_at = self._clock.ticks()
            except StoreUnavailable as error:
                log.warning("reconcile.store_unavailable", detail=error.detail)
                sweep_at = time.monotonic()  # what was asked is found again by looking at all
                self._stopping.wait(AGAIN_S)

    # --- one look ---

    def step(self) -> None:
        """Look at everything once. Raises `StoreUnavailable`."""
        if not self._leads():
            return
        self.write_reports()
        for outcome in self._jobs.take():
            self._guarded("job", outcome.job.subject, partial(self._collects[outcome.job.work], outcome))
        with self._db.read() as tx:
            glances = runs.glances(tx)
            strays = runs.strays(tx)
        self._control.attendance.keep({glance.run_id for glance in glances})
        self._control.motions.keep({glance.run_id for glance in glances})
        present = {glance.task_id for glance in glances}
        self._since = {task: since for task, since in self._since.items() if task in present}
        for glance in glances:
            facts = STATES[glance.state]
            if facts.status == OPERATING or not facts.worker or not self._keeper.well(glance):
                self._guarded("task", glance.task_id, partial(self._tend, glance.task_id))
        for run in strays:
            self._keeper.end_stray(run)
        for what, sweep in (
            ("janitor", self._janitor.sweep),
            ("detection", self._detection.sweep),
            ("recorder", self._recorder.sweep),
            ("log_clock", self._log_clock.sweep),
        ):
            self._guarded(what, 0, sweep)

    def write_reports(self) -> None:
        """Write what heartbeats said since."""
        reports = self._control.attendance.take()
        if reports:
            with self._db.write() as tx:
                runs.write_reports(tx, reports)

    def tend(self, task: int) -> None:
        """Look at one task until there is nothing to do for it now. Raises `StoreUnavailable`."""
        if self._leads():
            self._guarded("task", task, lambda: self._tend(task))

    def _leads(self) -> bool:
        """False once the session that held the lead broke and another server was faster: what it decides holds."""
        held = self.leading = self._lead.held()
        if not held:
            log.error("reconcile.lead_lost")
        return held

    def _guarded(self, what: str, which: int, do: Callable[[], object]) -> None:
        """One task's trouble must not keep the others waiting, nor must figures."""
        try:
            do()
        except StoreUnavailable:
            raise
        except Exception as error:
            whose = {"task": which} if what == "task" else {"which": which}
            log.error("reconcile.crashed", what=what, **whose, error=type(error).__name__, exc_info=True)

    def _tend(self, task: int) -> None:
        with self._db.read() as tx:
            now_in = moves.find(tx, task)
        # Bounded: each turn leads to a later state or changes the worker; sweeps do the rest.
        for _ in range(8):
            if now_in is None or not self._turn(now_in):
                return
            with self._db.read() as tx:
                now_in = moves.find(tx, task)

    def _turn(self, now_in: Situation) -> bool:
        """Do the next thing; whether there may be more to do at once."""
        facts = STATES[now_in.task.state]
        overdue = expires_in(now_in.task.state, self._lasted_s(now_in), self._limits.deadlines_s) == 0
        # A step that can be finished now is finished, however late; no worker is started only to be ended.
        if not (overdue and facts.worker) and self._act(now_in):
            return True
        return overdue and self._overdue(now_in)

    def _act(self, now_in: Situation) -> bool:
        worker, run = STATES[now_in.task.state].worker, now_in.run
        if run is not None and run.worker_pid is not None and not (worker and run.token_hash is not None):
            return self._keeper.end(now_in, run, self._lasted_s(now_in))
        if worker and run is not None:
            return self._keeper.keep(now_in, run)
        match now_in.task.state:
            case State.FORCE_PAUSING:
                return self._move(now_in, "cut", facts={"worker": "ended"})
            case State.STOPPING:
                return self._janitor.halt(now_in)
            case State.REMOVING:
                return self._janitor.remove(now_in)
            case _:
                return False

    def _lasted_s(self, now_in: Situation) -> float:
        """How long the task has been in its state: measured since it was first seen in it, so that a jump of the clock
        ends nothing, on top of what the clock says had passed by then."""
        task, ticks = now_in.task, self._clock.ticks()
        known = self._since.get(task.id)
        if known is None or known[:2] != (task.state, task.state_since):
            passed_s = max(0.0, self._clock.now() - task.state_since)
            self._since[task.id] = known = (task.state, task.state_since, ticks - passed_s)
        return ticks - known[2]

    # --- deadlines ---

    def _overdue(self, now_in: Situation) -> bool:
        task, facts = now_in.task, STATES[now_in.task.state]
        error = problem(
            DeadlinePassed(
                f"task {task.name} was {facts.says} for {self._lasted_s(now_in):.0f} s", step=task.state.value
            )
        )
        run = now_in.run.number if now_in.run else None
        log.warning("task.overdue", task=task.id, run=run, state=task.state.value)
        match facts.overdue:
            case "open_failed":
                return self._fail(now_in, error)
            case "halted":
                return self._janitor.halt(now_in, error)
            case "pause_failed":
                return self._move(now_in, "pause_failed", error=error, intent="run")
            case "remove_failed":
                return self._move(now_in, "remove_failed", error=error, keep_error=True)
            case "cut":
                return self._move(now_in, "cut", facts={"worker": "fenced"}, error=error)
        return False

    def _fail(self, seen: Situation, error: dict[str, Any]) -> bool:
        with self._db.write() as tx:
            now_in = moves.still(tx, seen)
            if now_in is not None and now_in.run is not None:
                self._control.fail(tx, now_in, now_in.run, error, {}, actor=moves.SYSTEM)
        return True

    def _move(self, seen: Situation, name: str, **more: Any) -> bool:
        with self._db.write() as tx:
            now_in = moves.still(tx, seen)
            if now_in is None:
                return True
            moves.move(tx, now_in, name, now=self._clock.now(), **more)
        log.info("task.moved", task=seen.task.id, run=seen.run.number if seen.run else None, name=name)
        return True
