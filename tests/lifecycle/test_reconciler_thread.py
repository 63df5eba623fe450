"""The reconciler on its own thread, and the threads its jobs run on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lifecycle.world import FakeDataPlane, FakeEngine, Installation, definition
from tidegate.errors import StoreUnavailable
from tidegate.model.principal import built_in
from tidegate.server.attendance import Attendance
from tidegate.server.control import Control
from tidegate.server.jobs import Job, Threads, Work
from tidegate.server.limits import Limits
from tidegate.server.reconcile import LATE_S, Reconciler
from tidegate.testing.servers import until
from tidegate.watch.recorder import Recorder

DEADLINE_S = 20.0
# Between two looks at everything: whatever happens sooner was done because somebody asked.
SWEEP_S = 600.0


class Site:
    """Control and a reconciler that runs, with a fake machine."""

    def __init__(self, installation: Installation, sweep_s: float = SWEEP_S, lease_s: float = 600) -> None:
        installation.reset()
        self.engine = FakeEngine()
        self.data_plane = FakeDataPlane()
        self.control = Control(installation.store, self.data_plane, limits=Limits(sweep_s=sweep_s, lease_s=lease_s))
        pg = {"host": "db", "database": "shop", "user": "tide", "password": "secret"}
        self.control.create_data_source("shop_db", "postgres", pg, who=built_in("test"))
        self.control.create_data_source("lake", "duckdb", {"path": "/lake.duckdb"}, who=built_in("test"))
        self.task = self.control.create_task(definition(), actor="ann").task.id
        self.control.submit(self.task, actor="ann")
        self.reconciler = Reconciler(self.control, self.engine)
        self.looked, step = threading.Event(), self.reconciler.step

        def look() -> None:
            step()
            self.looked.set()

        self.reconciler.step = look  # type: ignore[method-assign]
        self.reconciler.start()

    def state(self) -> str:
        return self.control.detail(self.task).task.state

    def until_state(self, state: str) -> None:
        until(lambda: self.state() == state, f"the task to be {state}", DEADLINE_S)


@pytest.fixture
def site(installation: Installation) -> Iterator[Site]:
    made = Site(installation)
    assert made.looked.wait(DEADLINE_S)  # The first look, at everything, is over; now the loop waits to be asked.
    yield made
    made.reconciler.stop()


def opened(site: Site) -> None:
    site.control.command(site.task, "run", actor="ann")
    until(lambda: bool(site.engine.processes), "a worker", DEADLINE_S)
    process = site.engine.processes[-1]
    session = site.control.authenticate(process.launch.token)
    site.control.register(session, pid=process.worker.pid, started=process.worker.started)
    site.control.event(session, "opened")


def test_a_command_is_acted_on_at_once(site: Site) -> None:
    asked = time.monotonic()
    site.control.command(site.task, "run", actor="ann")
    until(lambda: bool(site.engine.processes), "a worker", DEADLINE_S, every_s=0.001)
    assert time.monotonic() - asked < 5, "it was found by chance, long after it was asked"


def test_the_end_of_a_worker_is_acted_on_at_once(site: Site) -> None:
    opened(site)
    process = site.engine.processes[-1]
    until(lambda: site.control.detail(site.task).run is not None, "the run", DEADLINE_S)
    process.alive = False
    site.reconciler.noticed(process.worker)
    until(lambda: site.control.detail(site.task).task.restarts == 1, "the death to be noticed", DEADLINE_S)


def test_stop_goes_through_its_steps_without_waiting_for_a_sweep(site: Site) -> None:
    opened(site)
    site.control.command(site.task, "stop", actor="ann")
    # A real engine says when the process has ended.
    until(lambda: not site.engine.living(), "the worker to be killed", DEADLINE_S)
    site.reconciler.noticed(site.engine.processes[-1].worker)
    site.until_state("stopped")
    assert site.control.runs(site.task)[0].cleanup == "done"


def test_the_loop_goes_on_after_the_store_was_away(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(installation, sweep_s=0.02)
    failed = threading.Event()

    def away() -> None:
        failed.set()
        raise StoreUnavailable("the metadata store failed")

    with monkeypatch.context() as broken:
        broken.setattr(site.reconciler, "write_reports", away)
        assert failed.wait(DEADLINE_S)
    site.control.command(site.task, "run", actor="ann")
    until(lambda: bool(site.engine.processes), "a worker", DEADLINE_S)
    site.reconciler.stop()


def test_silence_while_the_store_was_away_is_nobodys_death(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(installation, sweep_s=0.02, lease_s=1.0)
    opened(site)
    failed = threading.Event()

    def away() -> None:
        failed.set()
        raise StoreUnavailable("the metadata store failed")

    with monkeypatch.context() as broken:
        broken.setattr(site.reconciler, "write_reports", away)
        assert failed.wait(DEADLINE_S)
        site.looked.clear()
        time.sleep(2 * (LATE_S + 0.1))  # longer than the lease, and nobody could be heard
    assert site.looked.wait(DEADLINE_S)
    living = site.engine.living()
    site.reconciler.stop()
    assert [process.launch.epoch for process in living] == [1]


def test_nobody_is_silent_before_workers_can_be_heard() -> None:
    attendance = Attendance()
    attendance.deaf = True
    assert attendance.last(1, 1, ticks=10.0) == 10.0
    assert attendance.last(1, 1, ticks=99.0) == 99.0
    attendance.deaf = False
    assert attendance.last(1, 1, ticks=120.0) == 99.0


def test_one_tasks_trouble_keeps_no_other_waiting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    start, refused = site.engine.start, []

    def start_others(launch: object) -> object:
        if not refused:
            refused.append(launch)
            raise RuntimeError("a bug")
        return start(launch)  # type: ignore[arg-type]

    monkeypatch.setattr(site.engine, "start", start_others)
    site.control.command(site.task, "run", actor="ann")
    until(lambda: bool(refused), "the bug", DEADLINE_S)
    other = site.control.create_task(definition("other"), actor="ann").task.id
    site.control.submit(other, actor="ann")
    site.control.command(other, "run", actor="ann")
    until(lambda: bool(site.engine.processes), "the other's worker", DEADLINE_S)


def test_a_stopped_reconciler_changes_nothing_more(site: Site) -> None:
    site.reconciler.stop()
    site.control.command(site.task, "run", actor="ann")
    site.reconciler.stop()
    assert site.engine.processes == []


# --- jobs -----------------------------------------------------------------------------------------------------


def test_a_job_is_never_done_twice_at_once_nor_before_its_outcome_was_taken() -> None:
    ended, go = threading.Semaphore(0), threading.Event()
    jobs = Threads(4, ended.release)
    job = Job(Work.CLEAN, 1)
    assert jobs.start(job, lambda: go.wait(DEADLINE_S))
    assert not jobs.start(job, lambda: None)
    go.set()
    assert ended.acquire(timeout=DEADLINE_S)
    assert not jobs.start(job, lambda: None)
    assert [(outcome.job, outcome.given) for outcome in jobs.take()] == [(job, True)]
    assert jobs.start(job, lambda: None)
    assert ended.acquire(timeout=DEADLINE_S)


def test_jobs_are_bounded_by_kind() -> None:
    ended, go = threading.Semaphore(0), threading.Event()
    jobs = Threads(2, ended.release)
    started = [jobs.start(Job(Work.LOOK, number), lambda: go.wait(DEADLINE_S)) for number in range(4)]
    assert started == [True, True, False, False]
    assert jobs.start(Job(Work.CLEAN, 1), lambda: None), "looking kept cleaning waiting"
    go.set()
    for _ in range(3):
        assert ended.acquire(timeout=DEADLINE_S)
    assert len(jobs.take()) == 3


def test_what_a_job_raises_is_its_outcome() -> None:
    ended = threading.Semaphore(0)
    jobs = Threads(1, ended.release)
    error = StoreUnavailable("away")

    def fail() -> None:
        raise error

    jobs.start(Job(Work.CLEAN, 1), fail)
    assert ended.acquire(timeout=DEADLINE_S)
    assert [outcome.raised for outcome in jobs.take()] == [error]


def test_figures_that_cannot_be_kept_end_no_reconciler(installation: Installation, monkeypatch: Any) -> None:
    def crash(recorder: Recorder) -> None:
        raise RuntimeError("a figure that no store can hold")

    monkeypatch.setattr(Recorder, "sweep", crash)
    site = Site(installation, sweep_s=0.05)
    try:
        assert site.looked.wait(DEADLINE_S)
        site.control.command(site.task, "run", actor="ann")
        until(lambda: site.engine.processes, "a worker to be started", DEADLINE_S)
        site.looked.clear()
        assert site.looked.wait(DEADLINE_S), "it goes on looking"
    finally:
        site.reconciler.stop()
