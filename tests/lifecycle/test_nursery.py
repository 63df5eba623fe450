"""Workers out of a warm process: real ones in every respect, there at once, and never depended on."""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tidegate.errors import EnvironmentLacking
from tidegate.model.process import started
from tidegate.server.local_engine import Launch, LocalEngine, Worker
from tidegate.testing.servers import until

DEADLINE_S = 30.0


class Ward:
    """An engine with its nursery ready; nobody answers its workers, so they try to register until they are killed."""

    def __init__(self, data_dir: Path) -> None:
        self.logs = data_dir / "logs"
        self.noticed: queue.Queue[Worker] = queue.Queue()
        self.epoch = 0
        self.workers: list[Worker] = []
        self.engine = LocalEngine("http://127.0.0.1:1", data_dir, noticed=self.noticed.put, warm=True)
        self.first = self.start()
        assert self.engine.wait_warm(DEADLINE_S)

    def start(self) -> Worker:
        self.epoch += 1
        worker = self.engine.start(Launch(1, "a1b2c3_t1r1", self.epoch, f"tgw_1_{self.epoch}_{'s' * 30}"))
        self.workers.append(worker)
        return worker

    def at_work(self, worker: Worker) -> None:
        """Wait until it answers SIGTERM by itself."""

        def catches() -> bool:
            caught = Path(f"/proc/{worker.pid}/status").read_text().split("SigCgt:")[1].split()[0]
            return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))

        until(catches, "the worker to be at work", DEADLINE_S)

    def nursery(self) -> int:
        """The process the newest worker came from."""
        return int(Path(f"/proc/{self.workers[-1].pid}/stat").read_text().rpartition(")")[2].split()[1])

    def ended(self) -> Worker:
        return self.noticed.get(timeout=DEADLINE_S)

    def close(self) -> None:
        for worker in self.workers:
            self.engine.kill(worker)
            until(lambda worker=worker: started(worker.pid) != worker.started, "the worker to end", DEADLINE_S)  # type: ignore[misc]
        self.engine.close()


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    made = Ward(tmp_path)
    yield made
    made.close()


def test_the_first_worker_does_not_wait_for_the_nursery_and_the_next_come_from_it(ward: Ward) -> None:
    ward.start()
    assert ward.nursery() not in (os.getpid(), ward.first.pid)


def test_a_worker_from_the_nursery_has_its_own_session_log_and_environment(ward: Ward) -> None:
    worker = ward.start()
    ward.at_work(worker)
    assert os.getsid(worker.pid) == worker.pid
    assert {os.readlink(f"/proc/{worker.pid}/fd/{n}") for n in (1, 2)} == {str(ward.logs / "a1b2c3_t1r1-2.log")}

    def ended() -> bool:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGTERM)  # the second that it sees ends it at once
        return not ward.engine.alive(worker)

    until(ended, "the worker to end", DEADLINE_S)
    assert ward.ended() == worker
    assert ward.engine.exit_code(worker) == 143  # it was the worker's own code that answered the signals


def test_a_worker_shares_the_memory_of_what_was_imported(ward: Ward) -> None:
    worker = ward.start()
    ward.at_work(worker)
    rollup = Path(f"/proc/{worker.pid}/smaps_rollup").read_text()
    own_kb = {name: int(rollup.split(f"{name}:")[1].split()[0]) for name in ("Rss", "Private_Dirty")}
    assert own_kb["Private_Dirty"] < own_kb["Rss"] / 3, own_kb


def test_how_a_worker_ended_is_known(ward: Ward) -> None:
    worker = ward.start()
    os.kill(worker.pid, signal.SIGKILL)
    assert ward.ended() == worker
    assert ward.engine.exit_code(worker) == -signal.SIGKILL
    assert not ward.engine.alive(worker)


def test_a_killed_nursery_takes_no_worker_with_it_and_is_replaced(ward: Ward) -> None:
    worker = ward.start()
    first = ward.nursery()
    os.kill(first, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{first}").exists(), "the nursery to be gone", DEADLINE_S)
    assert ward.engine.alive(worker)
    other = ward.start()  # one for itself, and a nursery for those after it
    assert ward.engine.alive(other)
    assert ward.engine.wait_warm(DEADLINE_S)
    ward.start()
    assert ward.nursery() not in (first, os.getpid())
    os.kill(worker.pid, signal.SIGKILL)
    assert ward.ended() == worker


def test_the_nursery_ends_with_its_engine_and_its_workers_go_on(ward: Ward) -> None:
    worker = ward.start()
    nursery = ward.nursery()
    ward.engine.close()
    until(lambda: not Path(f"/proc/{nursery}").exists(), "the nursery to end", DEADLINE_S)
    assert started(worker.pid) == worker.started


def test_a_log_that_cannot_be_opened_is_no_end_of_the_nursery(ward: Ward) -> None:
    (ward.logs / "a1b2c3_t1r1-2.log").mkdir()
    with pytest.raises(EnvironmentLacking):
        ward.start()
    ward.start()
    assert ward.nursery() not in (os.getpid(), ward.first.pid)
