"""A whole server without sources, targets and processes: the real store, control and reconciler, driven by hand, with a
clock, an engine, workers and a data plane that are fakes but keep the real ones' promises."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lifecycle.door import HttpDoor
from tidegate.errors import EnvironmentLacking, PositionLost, SourceUnreachable, TidegateError
from tidegate.model.mapping import SourceTables, TableFits
from tidegate.model.principal import built_in
from tidegate.model.task import TaskSpec
from tidegate.server.control import Control
from tidegate.server.jobs import Job, Outcome, Work
from tidegate.server.limits import Limits
from tidegate.server.local_engine import Launch, Worker
from tidegate.server.reconcile import Reconciler
from tidegate.server.views import Beat, Orders, Retentions, Session, Side, TaskView
from tidegate.store.audithead import FILE
from tidegate.store.opening import Store, open_store


class FakeClock:
    """Stands still until moved. A jump moves only what the machine's clock says, not the time that passes."""

    def __init__(self) -> None:
        self._now, self._ticks = 1_700_000_000.0, 5_000.0

    def now(self) -> float:
        return self._now

    def ticks(self) -> float:
        return self._ticks

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._ticks += seconds

    def jump(self, seconds: float) -> None:
        self._now += seconds


@dataclass
class Process:
    launch: Launch
    worker: Worker
    alive: bool = True


class FakeEngine:
    """The operating system: it outlives servers, and never gives a process id twice."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.refuses = False
        self.dies_before_told = False

    def start(self, launch: Launch) -> Worker:
        if self.refuses:
            raise EnvironmentLacking("no processes left")
        worker = Worker(1000 + len(self.processes), f"start {len(self.processes)}")
        self.processes.append(Process(launch, worker))
        if self.dies_before_told:
            raise ServerKilled
        return worker

    def alive(self, worker: Worker) -> bool:
        return any(process.worker == worker and process.alive for process in self.processes)

    def watch(self, worker: Worker) -> None:
        """Its end is seen at the next step."""

    def kill(self, worker: Worker) -> None:
        for process in self.processes:
            if process.worker == worker:
                process.alive = False

    def exit_code(self, worker: Worker) -> int | None:
        return -9

    def living(self, run_key: str | None = None) -> list[Process]:
        return [p for p in self.processes if p.alive and run_key in (None, p.launch.run_key)]


class ServerKilled(BaseException):
    """The server died at this instant."""


@dataclass(frozen=True)
class Cost:
    reread_bytes: int = 0
    safe_bytes: int | None = None
    source_end: str = "0000/FFFF"
    behind_bytes: int | None = None
    reads_from: str = "0000/EFFF"
    chunks_left: int = 0
    chunks_total: int = 0
    delivery: str = "exactly_once"


@dataclass
class FakeDataPlane:
    """Sources and targets: what runs made there, and what is wrong with them."""

    made: set[str] = field(default_factory=set)
    """Runs that have a slot."""
    against: list[TidegateError] = field(default_factory=list)
    lost: bool = False
    unreachable: bool = False
    missing: list[str] = field(default_factory=list)
    log: Callable[[list[str]], Retentions] | None = None
    """What the source says of the log that it keeps for runs."""
    asked_of_log: int = 0
    while_checking: Callable[[], object] = lambda: None
    """Done in the middle of a check, as if by somebody else."""

    def check_task(self, spec: TaskSpec, source: Side, target: Side, task_key: str) -> Sequence[TidegateError]:
        self.while_checking()
        return [SourceUnreachable("the source is away")] if self.unreachable else self.against

    def source_tables(self, source: Side) -> SourceTables:
        return SourceTables("shop", [], [])

    def table_fits(self, spec: TaskSpec, source: Side, target: Side, task_key: str, most: int) -> TableFits:
        return TableFits(0, [])

    def check_continue(self, run_key: str, spec: TaskSpec, source: Side, target: Side, position: str | None) -> Cost:
        self.while_checking()
        if self.unreachable:
            raise SourceUnreachable("the source is away")
        if self.lost:
            raise PositionLost(f"the log of {run_key} is gone")
        return Cost(4096, 1 << 20)

    def estimate_rows(self, spec: TaskSpec, source: Side) -> int:
        if self.unreachable:
            raise SourceUnreachable("the source is away")
        return 12_000

    def look_at_log(self, run_key: str, source: Side, position: str | None) -> Cost:
        return Cost(behind_bytes=1024)

    def retentions(self, source: Side, runs: Mapping[str, str | None]) -> Retentions | None:
        if self.unreachable:
            raise SourceUnreachable("the source is away")
        self.asked_of_log += 1
        return self.log and self.log(list(runs))

    def forget(self, run_key: str, spec: TaskSpec, source: Side, target: Side) -> Sequence[TidegateError]:
        if self.unreachable:
            return [SourceUnreachable(f"slot {run_key} could not be dropped")]
        self.made.discard(run_key)
        return []

    def missing_objects(
        self, spec: TaskSpec, source: Side, target: Side, *, working: bool = False, run_key: str | None = None
    ) -> Sequence[str]:
        if self.unreachable:
            raise SourceUnreachable("the source is away")
        return list(self.missing)


class ManualJobs:
    """Jobs wait until they are done by hand; with `at_once` they are done where they are started."""

    def __init__(self, at_once: bool) -> None:
        self.at_once = at_once
        self.waiting: dict[Job, Callable[[], Any]] = {}
        self._outcomes: list[Outcome] = []

    def start(self, job: Job, do: Callable[[], Any]) -> bool:
        if job in self.waiting or any(outcome.job == job for outcome in self._outcomes):
            return False
        self.waiting[job] = do
        if self.at_once:
            self.do(job)
        return True

    def do(self, job: Job) -> None:
        do = self.waiting.pop(job)
        try:
            self._outcomes.append(Outcome(job, given=do()))
        except TidegateError as error:
            self._outcomes.append(Outcome(job, raised=error))

    def do_all(self, work: Work | None = None) -> None:
        for job in [job for job in self.waiting if work in (None, job.work)]:
            self.do(job)

    def take(self) -> list[Outcome]:
        taken, self._outcomes = self._outcomes, []
        return taken


class FakeWorker:
    """A worker process speaking the protocol. Its own calls raise what the server answers."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self.process = process
        self.session: Session | None = None
        self.assignment: Any = None
        self.snapshots = 0

    @property
    def control(self) -> Any:
        return self._world.door

    def _authenticated(self) -> Any:
        self.session = self.control.authenticate(self.process.launch.token)
        return self.session

    def register(self) -> Any:
        session = self._authenticated()
        worker = self.process.worker
        self.assignment = self.control.register(session, pid=worker.pid, started=worker.started)
        return self.assignment

    def beat(self, position: str | None = None, phase: str = "incremental", health: str = "steady") -> Orders:
        said = Beat(phase, health, position, {"rows": 1}, {}, 0.5, 100)
        orders: Orders = self.control.heartbeat(self._authenticated(), said)
        return orders

    def open(self) -> None:
        """Register, make a slot, say so."""
        self.register()
        self._world.data_plane.made.add(self.process.launch.run_key)
        self.say("opened")

    def snapshot(self, kind: str = "periodic", position: str | None = None, request: str | None = None) -> int:
        at = position or self._world.next_position()
        said = {"kind": kind, "position": at, "sortable": at, "state": {"chunks": []}, "request": request}
        stored: int = self.control.store_snapshot(self._authenticated(), **said)
        return stored

    def say(self, name: str, error: dict[str, Any] | None = None, **facts: Any) -> None:
        self.control.event(self._authenticated(), name, error=error, facts=facts)

    def drain(self) -> None:
        """Finish a pause and end."""
        self.snapshot("pause")
        self.say("drained")
        self.exit()

    def exit(self) -> None:
        self.process.alive = False

    SENDS: ClassVar[dict[str, Callable[[FakeWorker], object]]] = {
        "register": lambda worker: worker.register(),
        "beat": lambda worker: worker.beat(),
        "snapshot": lambda worker: worker.snapshot(),
        "old_snapshot": lambda worker: worker.snapshot(position="000000000000"),
        "pause_snapshot": lambda worker: worker.snapshot("pause"),
    }
    """What it sends besides events."""


def definition(name: str = "shop", **changes: Any) -> dict[str, Any]:
    """A complete task definition."""
    values: dict[str, Any] = {
        "task": name,
        "kind": "whole_database",
        "source": {"data_source": "shop_db", "tables": ["public.orders"]},
        "target": {"data_source": "lake", "write": "upsert"},
    }
    return values | changes


class Installation:
    """A store on SQLite that can be taken back to its first start; opening another one each time would be slow."""

    def __init__(self, home: Path, units: int) -> None:
        self.home = home
        self.store = open_store(home, environment={}, default_units=units)
        self._pristine = sqlite3.connect(":memory:")
        with contextlib.closing(self.connect()) as held:
            held.backup(self._pristine)

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.home / "tidegate.db", isolation_level=None)

    def reset(self) -> None:
        with contextlib.closing(self.connect()) as held:
            self._pristine.backup(held)
        (self.home / FILE).unlink(missing_ok=True)  # or the audit log would be found to have been put back

    def close(self) -> None:
        self.store.close()
        self._pristine.close()


class World:
    """One installation. `kill_server` and `start_server` leave everything outside of the server as it is."""

    def __init__(
        self,
        data_dir: Path,
        *,
        url: str | None = None,
        store: Store | None = None,
        limits: Limits | None = None,
        jobs_at_once: bool = True,
        door: HttpDoor | None = None,
    ) -> None:
        """`door` is what people and workers come through; by default they call `Control` itself."""
        self.data_dir = data_dir
        self._http = door
        self.limits = limits or Limits()
        self.clock = FakeClock()
        self.engine = FakeEngine()
        self.data_plane = FakeDataPlane()
        self._jobs_at_once = jobs_at_once
        self._positions = 0
        self.store = store or open_store(data_dir, url=url, environment={}, default_units=8)
        self.start_server()

    def start_server(self) -> None:
        self.jobs = ManualJobs(self._jobs_at_once)
        self.control = Control(self.store, self.data_plane, clock=self.clock, limits=self.limits)
        self.reconciler = Reconciler(self.control, self.engine, self.jobs)
        self.door: Any = self._http or self.control
        if self._http is not None:
            self._http.serve(self.control)

    restart_server = start_server
    """What was in memory is gone."""

    def close(self) -> None:
        self.store.close()

    def next_position(self) -> str:
        self._positions += 1
        return f"{self._positions:012d}"

    # --- what people do ---

    def add_data_sources(self) -> None:
        pg = {"host": "db", "database": "shop", "user": "tide", "password": "s3cret-canary"}
        self.door.create_data_source("shop_db", "postgres", pg, who=built_in("test"))
        lake = {"path": str(self.data_dir / "lake.duckdb")}
        self.door.create_data_source("lake", "duckdb", lake, who=built_in("test"))

    def add_task(self, name: str = "shop", *, submit: bool = True, **changes: Any) -> int:
        task: int = self.door.create_task(definition(name, **changes), actor="ann").task.id
        if submit:
            self.door.submit(task, actor="ann")
        return task

    def command(self, task: int, name: str, **more: Any) -> TaskView:
        now: TaskView = self.door.command(task, name, actor="ann", **more).task
        return now

    def view(self, task: int) -> TaskView:
        return self.control.detail(task).task

    def state(self, task: int) -> str:
        return self.view(task).state

    # --- what happens ---

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.reconciler.step()

    def worker(self) -> FakeWorker:
        """The worker started last."""
        return FakeWorker(self, self.engine.processes[-1])

    def running(self, name: str = "shop", *, snapshot: bool = True, **changes: Any) -> tuple[int, FakeWorker]:
        """A task that runs, and its worker."""
        task = self.add_task(name, **changes)
        self.command(task, "run")
        self.step()
        worker = self.worker()
        worker.open()
        if snapshot:
            worker.snapshot()
        return task, worker

    def events(self, task: int) -> list[str]:
        """Names of its key events, oldest first."""
        return [event.name for event in reversed(self.control.events(task, limit=1000))]
