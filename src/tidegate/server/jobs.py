"""Work of the reconciler that connects to sources and targets and may take long: done on threads, never twice at once
for the same thing, and a bounded number at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Work(StrEnum):
    """What a job is for. Each kind has its own threads, so that looking never keeps cleaning waiting."""

    CLEAN = "clean"
    LOOK = "look"
    LOG = "log"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class Job:
    """`subject` is the id of a run to clean, of a task to look at or to continue, or of a data source to ask about its
    log."""

    work: Work
    subject: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job gave or raised."""

    job: Job
    given: Any = None
    raised: Exception | None = None


class Jobs(Protocol):
    def start(self, job: Job, do: Callable[[], Any]) -> bool:
        """False when it is under way, its outcome was not taken yet, or there is no thread for it now: try later."""

    def take(self) -> list[Outcome]:
        """What has ended since."""


class Threads:
    """`ended` is called from a job's thread when its outcome can be taken. Threads do not keep the process alive."""

    def __init__(self, at_once: int, ended: Callable[[], None]) -> None:
        self._at_once = at_once
        self._ended = ended
        self._lock = threading.Lock()
        self._under_way: set[Job] = set()
        self._outcomes: deque[Outcome] = deque()

    def start(self, job: Job, do: Callable[[], Any]) -> bool:
        """False when it is under way, its outcome was not taken yet, or there is no thread for it now: try later."""
        with self._lock:
            busy = sum(1 for other in self._under_way if other.work is job.work)
            if job in self._under_way or busy >= self._at_once:
                return False
            self._under_way.add(job)
        threading.Thread(target=self._do, args=(job, do), name=f"{job.work} {job.subject}", daemon=True).start()
        return True

    def take(self) -> list[Outcome]:
        """What has ended since."""
        with self._lock:
            taken = list(self._outcomes)
            self._outcomes.clear()
            self._under_way -= {outcome.job for outcome in taken}
            return taken

    def _do(self, job: Job, do: Callable[[], Any]) -> None:
        try:
            outcome = Outcome(job, given=do())
        except Exception as error:  # noqa: BLE001 - handed to the reconciler
            outcome = Outcome(job, raised=error)
        with self._lock:
            self._outcomes.append(outcome)
        self._ended()
