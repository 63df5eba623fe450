"""For how long sources will still keep the log of runs, in memory: as it was last seen, counting on since."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogLeft:
    """What was seen of one run's log at one look."""

    seen_at: float
    seen_ticks: float
    retained_bytes: int
    safe_bytes: int | None
    rate_bytes_s: float | None
    """Of the source's whole log; None: not known yet."""
    left_s: float | None
    """How long it lasts as things are; None: no end is in sight, or it is not known yet."""
    resting_left_s: float | None
    """How long it would last if the run rested."""
    known: bool
    """Whether `left_s` is told from a pace that is known by now."""
    lost: str = ""
    """Why it is gone already."""

    def left_at(self, ticks: float) -> float | None:
        return self._on(self.left_s, ticks)

    def resting_left_at(self, ticks: float) -> float | None:
        return self._on(self.resting_left_s, ticks)

    def _on(self, left_s: float | None, ticks: float) -> float | None:
        return None if left_s is None else max(0.0, left_s - (ticks - self.seen_ticks))


class LogBook:
    """By run. Written by the reconciler's thread, read by those that answer requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[int, LogLeft] = {}

    def of(self, run_id: int) -> LogLeft | None:
        with self._lock:
            return self._left.get(run_id)

    def left_s(self, run_id: int, ticks: float) -> float | None:
        """How long the run's log lasts from now on; None: no end is in sight, or it is not known."""
        left = self.of(run_id)
        return None if left is None else left.left_at(ticks)

    def note(self, run_id: int, left: LogLeft) -> None:
        with self._lock:
            self._left[run_id] = left

    def keep(self, run_ids: Collection[int]) -> None:
        """Forget the others."""
        with self._lock:
            self._left = {run_id: left for run_id, left in self._left.items() if run_id in run_ids}
