"""Workers as real processes: started apart from the server, watched, never confused with another process."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.errors import EnvironmentLacking
from tidegate.model.process import started
from tidegate.server.local_engine import Launch, LocalEngine, Worker
from tidegate.testing.servers import until

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
LAUNCH = Launch(1, "a1b2c3_t1r1", 4, "tgw_1_4_secret")
DEADLINE_S = 20.0


class Office:
    """Engines, what they noticed, and what they started."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.noticed: queue.Queue[Worker] = queue.Queue()
        self.engines: list[LocalEngine] = []
        self.workers: list[Worker] = []

    def engine(self, command: list[str] | None = None, **environment: str) -> LocalEngine:
        made = LocalEngine(
            "http://127.0.0.1:1",
            self.data_dir,
            noticed=self.noticed.put,
            environment={"PATH": os.environ["PATH"], **environment},
            handed_on={"TIDEGATE_DECODE": "python"},
            command=command or SLEEPS,
        )
        self.engines.append(made)
        return made

    def start(self, engine: LocalEngine) -> Worker:
        worker = engine.start(LAUNCH)
        self.workers.append(worker)
        return worker

    def log(self) -> str:
        return (self.data_dir / "logs" / "a1b2c3_t1r1-4.log").read_text()

    def close(self) -> None:
        for worker in self.workers:
            self.engines[0].kill(worker)
            until(lambda worker=worker: started(worker.pid) != worker.started, "the worker to end", DEADLINE_S)  # type: ignore[misc]
        for engine in self.engines:
            engine.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def test_a_worker_runs_in_a_session_of_its_own(office: Office) -> None:
    engine = office.engine()
    worker = office.start(engine)
    assert engine.alive(worker)
    assert os.getsid(worker.pid) == worker.pid != os.getsid(0)


def test_a_worker_gets_its_address_and_token_what_is_handed_on_and_none_of_the_servers_settings(office: Office) -> None:
    show = "import os; print(sorted(i for i in os.environ.items() if i[0].startswith('TIDEGATE')), flush=True)"
    engine = office.engine([sys.executable, "-c", show], TIDEGATE_SECRET_KEY="canary", TIDEGATE_STORE_URL="canary")
    office.start(engine)
    office.noticed.get(timeout=DEADLINE_S)
    assert office.log().strip() == str(
        [
            ("TIDEGATE_DECODE", "python"),
            ("TIDEGATE_WORKER_TOKEN", "tgw_1_4_secret"),
            ("TIDEGATE_WORKER_URL", "http://127.0.0.1:1"),
        ]
    )


@pytest.mark.parametrize(("given", "used"), [({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}, "mimalloc")])
def test_a_worker_has_the_systems_allocator_unless_told_otherwise(
    office: Office, given: dict[str, str], used: str
) -> None:
    show = "import pyarrow as pa; print(pa.default_memory_pool().backend_name)"
    office.start(office.engine([sys.executable, "-c", show], **given))
    office.noticed.get(timeout=DEADLINE_S)
    assert office.log().strip() == used


def test_its_output_is_kept_for_its_owner_only(office: Office) -> None:
    engine = office.engine([sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"])
    office.start(engine)
    office.noticed.get(timeout=DEADLINE_S)
    assert sorted(office.log().split()) == ["err", "out"]
    assert (office.data_dir / "logs" / "a1b2c3_t1r1-4.log").stat().st_mode & 0o777 == 0o600


def test_the_output_of_a_runs_last_twenty_workers_is_kept(office: Office) -> None:
    engine, logs = office.engine([sys.executable, "-c", ""]), office.data_dir / "logs"
    logs.mkdir()
    for name in [*(f"a1b2c3_t1r1-{epoch}" for epoch in range(1, 60)), "a1b2c3_t1r10-1", "nursery"]:
        (logs / f"{name}.log").write_text("said")
    office.workers.append(engine.start(Launch(1, "a1b2c3_t1r1", 60, "tgw_1_60_secret")))
    office.noticed.get(timeout=DEADLINE_S)
    kept = [f"a1b2c3_t1r1-{epoch}" for epoch in range(41, 61)]
    assert sorted(path.stem for path in logs.iterdir()) == sorted([*kept, "a1b2c3_t1r10-1", "nursery"])


def test_the_end_of_a_worker_is_noticed_with_its_exit_code(office: Office) -> None:
    engine = office.engine([sys.executable, "-c", "raise SystemExit(3)"])
    worker = office.start(engine)
    assert office.noticed.get(timeout=DEADLINE_S) == worker
    assert not engine.alive(worker)
    assert engine.exit_code(worker) == 3


def test_a_killed_worker_is_noticed_and_leaves_no_zombie(office: Office) -> None:
    engine = office.engine()
    worker = office.start(engine)
    engine.kill(worker)
    assert office.noticed.get(timeout=DEADLINE_S) == worker
    assert engine.exit_code(worker) == -signal.SIGKILL
    assert not Path(f"/proc/{worker.pid}").exists()


def test_a_worker_that_is_stopped_by_a_signal_it_heeds_not_can_be_killed(office: Office) -> None:
    engine = office.engine()
    worker = office.start(engine)
    os.kill(worker.pid, signal.SIGSTOP)
    assert engine.alive(worker)
    engine.kill(worker)
    assert office.noticed.get(timeout=DEADLINE_S) == worker


def test_a_worker_outlives_the_server_and_is_watched_by_the_next(office: Office) -> None:
    """The first server is another process, so that the worker is nobody's child here."""
    code = f"""
import pathlib, sys
from tidegate.server.local_engine import Launch, LocalEngine
engine = LocalEngine("http://127.0.0.1:1", pathlib.Path({str(office.data_dir)!r}), noticed=print, command={SLEEPS!r})
worker = engine.start(Launch(1, "a1b2c3_t1r1", 4, "token"))
print(worker.pid, worker.started, flush=True)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    pid, start = said.split()
    worker = Worker(int(pid), start)
    office.workers.append(worker)
    engine = office.engine()
    assert engine.alive(worker)
    engine.watch(worker)
    engine.watch(worker)
    engine.kill(worker)
    assert office.noticed.get(timeout=DEADLINE_S) == worker
    assert not engine.alive(worker)
    assert engine.exit_code(worker) is None


def test_a_process_that_got_the_workers_id_is_neither_taken_for_it_nor_killed(office: Office) -> None:
    engine = office.engine()
    other = office.start(engine)
    gone = Worker(other.pid, "another-start")
    assert not engine.alive(gone)
    engine.kill(gone)
    engine.watch(gone)
    assert office.noticed.get(timeout=DEADLINE_S) == gone
    assert engine.alive(other)
    assert started(other.pid) == other.started


def test_watching_a_worker_that_has_ended_notices_at_once(office: Office) -> None:
    engine = office.engine()
    gone = Worker(2**22 - 1, "never")
    engine.watch(gone)
    assert office.noticed.get(timeout=DEADLINE_S) == gone
    engine.kill(gone)


def test_a_worker_that_cannot_be_started_says_why(office: Office) -> None:
    engine = office.engine(["/nonexistent/python"])
    with pytest.raises(EnvironmentLacking, match="No such file"):
        engine.start(LAUNCH)


def test_closing_ends_no_worker_and_may_be_repeated(office: Office) -> None:
    engine = office.engine()
    worker = office.start(engine)
    engine.close()
    engine.close()
    assert started(worker.pid) == worker.started


def test_many_workers_are_watched_and_all_ends_noticed(office: Office) -> None:
    engine = office.engine([sys.executable, "-S", "-c", ""])
    workers = {office.start(engine) for _ in range(20)}
    assert {office.noticed.get(timeout=DEADLINE_S) for _ in workers} == workers


def test_no_file_or_thread_is_left_behind(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    office = Office(tmp_path)
    engine = office.engine([sys.executable, "-S", "-c", ""])
    for _ in range(5):
        office.start(engine)
        office.noticed.get(timeout=DEADLINE_S)
    office.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_start_names_one_process_for_good() -> None:
    first = started(os.getpid())
    assert first is not None
    assert first == started(os.getpid())
    assert started(2**22 - 1) is None
    assert started(1) != first
