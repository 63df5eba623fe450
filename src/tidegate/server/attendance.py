"""When each worker last spoke and what it said, in memory; the reconciler writes it to the store in batches.

A server that starts knows nothing yet: every lease then counts from when the server first looked.
"""

from __future__ import annotations

import threading
from collections.abc import Collection

from tidegate.store.runs import Report


class Attendance:
    """Shared by the threads that take heartbeats and the reconciler."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: dict[int, tuple[int, float]] = {}
        self._unwritten: dict[int, Report] = {}
        self.deaf = False
        """Whether workers cannot be heard yet; then none is silent."""

    def hear(self, run_id: int, epoch: int, ticks: float, report: Report | None = None) -> None:
        """The worker of this epoch spoke. A word of an older epoch than one heard already counts for nothing (I5)."""
        with self._lock:
            known = self._heard.get(run_id)
            if known is not None and (known[0] > epoch or (known[0] == epoch and known[1] > ticks)):
                return
            self._heard[run_id] = (epoch, ticks)
            if report is not None:
                self._unwritten[run_id] = report

    def last(self, run_id: int, epoch: int, ticks: float) -> float:
        """When it was last heard; now (`ticks`), if it is looked for for the first time."""
        with self._lock:
            known = self._heard.get(run_id)
            if self.deaf or known is None or known[0] < epoch:
                self._heard[run_id] = (epoch, ticks)
                return ticks
            return known[1]

    def excuse(self, ticks: float) -> None:
        """Nobody listened for a while, so silence until now means nothing: every lease counts from now."""
        with self._lock:
            self._heard = {run: (epoch, ticks) for run, (epoch, _) in self._heard.items()}

    def take(self) -> list[Report]:
        """What was not written to the store yet."""
        with self._lock:
            reports = list(self._unwritten.values())
            self._unwritten.clear()
            return reports

    def keep(self, run_ids: Collection[int]) -> None:
        """Forget all but these runs: the others ended or rest."""
        with self._lock:
            self._heard = {run: heard for run, heard in self._heard.items() if run in run_ids}
