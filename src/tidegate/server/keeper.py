"""Sees to it that a task which is to have a worker has exactly one: starts it, notices its death or silence, replaces
it under a new epoch, and ends processes that have no business any more."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import Connection

from tidegate.errors import TidegateError, WorkerLost
from tidegate.faultpoint import crossing
from tidegate.model.lifecycle import State
from tidegate.model.problem import problem
from tidegate.server.control import Control
from tidegate.server.local_engine import Engine, Launch, Worker
from tidegate.server.roster import new_token, spent
from tidegate.store import moves, runs
from tidegate.store.moves import Situation
from tidegate.store.rows import Health, RunRow

log = structlog.get_logger()


class Keeper:
    """Methods that give a bool say whether there may be more to do at once."""

    def __init__(self, control: Control, engine: Engine) -> None:
        self._control = control
        self._db = control.db
        self._clock = control.clock
        self._limits = control.limits
        self._engine = engine
        self._unstarted: dict[int, int] = {}
        """Run → the epoch whose worker this server did not come to start, because the store failed it."""

    def well(self, glance: runs.Glance) -> bool:
        """Whether a task that is to have a worker has one that registered, lives and speaks. Cheap: there may be
        thousands of them."""
        if glance.worker is None or not glance.registered:
            return False
        worker = Worker(*glance.worker)
        self._engine.watch(worker)
        return self._engine.alive(worker) and self._silent_s(glance.run_id, glance.epoch) <= self._limits.lease_s

    def _silent_s(self, run_id: int, epoch: int) -> float:
        ticks = self._clock.ticks()
        return ticks - self._control.attendance.last(run_id, epoch, ticks)

    def keep(self, now_in: Situation, run: RunRow) -> bool:
        """The task is to have a worker, and none of an earlier epoch is there any more."""
        if run.token_hash is None:
            return self._launch(now_in, run) if self._restart_due(run) else False
        if run.worker_pid is None and self._unstarted.get(run.id) == run.epoch:
            return self._launch(now_in, run)
        silent_s = self._silent_s(run.id, run.epoch)
        patience_s = self._limits.lease_s if run.registered_at is not None else self._limits.register_s
        if run.worker_pid is None:
            # The server died between starting it and writing that down: it tries to register, or it never lived.
            return self._lost(now_in, run, "never spoke") if silent_s > self._limits.lease_s else False
        worker = Worker(run.worker_pid, run.worker_started or "")
        self._engine.watch(worker)
        if not self._engine.alive(worker):
            code = self._engine.exit_code(worker)
            return self._lost(now_in, run, "ended" if code is None else f"ended with {code}")
        if silent_s > patience_s:
            self._engine.kill(worker)
            return self._lost(now_in, run, f"was silent for {silent_s:.0f} s")
        return False

    def _restart_due(self, run: RunRow) -> bool:
        if run.restart_at is None:
            return True
        left_s = run.restart_at - self._clock.now()
        return not 0 < left_s <= self._limits.backoff_max_s  # further away than it can be: the clock jumped

    def _launch(self, now_in: Situation, run: RunRow) -> bool:
        """A new epoch is stored before its worker exists, so that there are never two of one epoch (I5)."""
        epoch = run.epoch + 1
        token, token_hash = new_token(run.id, epoch)
        now = self._clock.now()
        self._unstarted[run.id] = epoch
        with self._db.write() as tx:
            still = moves.still(tx, now_in)
            if still is None:
                del self._unstarted[run.id]
                return True
            runs.change_run(
                tx,
                run.id,
                epoch=epoch,
                token_hash=token_hash,
                worker_since=now,
                registered_at=None,
                opened_at=None,
                restart_at=None,
                phase="preparing",
            )
            moves.record(tx, still, "worker_started", now=now, facts={"epoch": epoch})
        self._control.attendance.hear(run.id, epoch, self._clock.ticks())
        crossing("worker.launching")
        try:
            worker = self._engine.start(Launch(run.id, run.key, epoch, token))
        except TidegateError as error:
            with self._db.read() as tx:
                again = moves.find(tx, now_in.task.id)
            if again is not None and again.run is not None:
                self._lost(again, again.run, f"could not be started: {error.detail}")
            del self._unstarted[run.id]
            return False
        del self._unstarted[run.id]
        log.info("worker.started", task=now_in.task.id, run=run.number, key=run.key, epoch=epoch, pid=worker.pid)
        crossing("worker.launched")
        with self._db.write() as tx:
            runs.record_worker(tx, run.id, worker.pid, worker.started)
        return False

    def _lost(self, now_in: Situation, run: RunRow, how: str) -> bool:
        """The worker is gone: a new epoch takes over after a while, or the restarts are spent."""
        error = problem(WorkerLost(f"the worker of run {run.key} (epoch {run.epoch}) {how}", epoch=run.epoch))
        log.warning("worker.lost", task=now_in.task.id, run=run.number, key=run.key, epoch=run.epoch, how=how)
        with self._db.write() as tx:
            still = moves.still(tx, now_in)
            if still is not None and still.run is not None:
                self._lose(tx, still, still.run, error)
        return True

    def _lose(self, tx: Connection, now_in: Situation, run: RunRow, error: dict[str, Any]) -> None:
        now = self._clock.now()
        if 0 <= run.restarts_max <= run.restarts_spent:
            self._control.fail(tx, now_in, run, spent(run, error), {}, actor=moves.SYSTEM)
            return
        quick = run.restarts_quick + 1 if now - (run.worker_since or now) < self._limits.steady_s else 0
        after_s = self._limits.restart_after_s(quick)
        runs.silence(
            tx,
            run.id,
            worker_pid=None,
            worker_started=None,
            opened_at=None,
            restarts=run.restarts + 1,
            restarts_spent=run.restarts_spent + 1,
            restarts_quick=quick,
            restart_at=now + after_s if after_s else None,
            health=Health.RECOVERING.value,
            error=error,
        )
        facts = {"epoch": run.epoch, "restart": run.restarts + 1, "after_s": after_s}
        moves.record(tx, now_in, "worker_lost", now=now, error=error, facts=facts)

    def end(self, now_in: Situation, run: RunRow, lasted_s: float) -> bool:
        """A process that has no business any more, in a state that has `lasted_s`: it ends by itself, or is ended."""
        if run.worker_pid is None:
            return False
        worker = Worker(run.worker_pid, run.worker_started or "")
        self._engine.watch(worker)
        if not self._engine.alive(worker):
            self._engine.exit_code(worker)
            with self._db.write() as tx:
                runs.forget_worker(tx, run.id, worker.pid)
            return True
        said_its_last = now_in.task.state in (State.PAUSED, State.FAILURE, State.STOPPED)
        if not said_its_last or lasted_s > self._limits.linger_s:
            self._engine.kill(worker)
        return False

    def end_stray(self, run: RunRow) -> None:
        """The process of a run that is over."""
        if run.worker_pid is None:
            return
        worker = Worker(run.worker_pid, run.worker_started or "")
        self._engine.watch(worker)
        if self._engine.alive(worker):
            self._engine.kill(worker)
            return
        self._engine.exit_code(worker)
        with self._db.write() as tx:
            runs.forget_worker(tx, run.id, worker.pid)
        self._control.wake(run.task_id)
