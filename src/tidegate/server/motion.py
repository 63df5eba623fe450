"""Whether a run that is said to work moves: from what its worker says each second. Pure, but for remembering.

Standing still is nothing to be told of while there is nothing to do. The source is asked where its log ends
independently of reading it, so a reader that hears nothing any more, a write that does not end and a worker that says
nothing are each seen.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

from tidegate.server.views import Beat

STALE_S = 12.0
"""Standing still for longer is shown; a worker asks for a sign of its source's log after five."""
# What changes while rows are copied or log is read, be it only past what is not the task's.
READING = ("rows_full", "chunks_done", "changes_read", "bytes_read", "transactions")


class Motion:
    """One worker. Times are ticks."""

    def __init__(self, ticks: float) -> None:
        self._heard_at = self._moved_at = ticks
        self._still_s = 0.0
        self._position: str | None = None
        self._read: tuple[Any, ...] = ()
        self._behind_bytes = 0
        self._judged = False

    def hear(self, ticks: float, beat: Beat) -> None:
        read = (beat.read_to, *(beat.counters.get(name) for name in READING))
        idle = not beat.lag_bytes and not beat.lag_s
        if idle or beat.position != self._position or read != self._read:
            self._moved_at = ticks
        self._heard_at, self._position, self._read = ticks, beat.position, read
        self._behind_bytes = beat.lag_bytes or 0
        self._still_s = _number(beat.counters.get("still_s"))
        # One that recovers or opens says so itself.
        self._judged = beat.health == "steady" and beat.position is not None

    def reason(self, ticks: float) -> str:
        """Why it is stale; empty: it is not."""
        silent_s = ticks - self._heard_at
        if silent_s > STALE_S:
            return f"its worker was not heard for {silent_s:.0f} s"
        if not self._judged:
            return ""
        if self._still_s + silent_s > STALE_S:
            return f"its worker waits for one answer of source or target for {self._still_s + silent_s:.0f} s"
        still_s = ticks - self._moved_at
        if still_s > STALE_S:
            return f"nothing came for {still_s:.0f} s, and the source's log ends {self._behind_bytes} bytes further on"
        return ""


def _number(given: Any) -> float:
    return float(given) if isinstance(given, int | float) else 0.0


class Motions:
    """By run and epoch. Shared by the threads that take heartbeats and those that answer requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[int, tuple[int, Motion]] = {}

    def hear(self, run_id: int, epoch: int, ticks: float, beat: Beat) -> None:
        with self._lock:
            known = self._known.get(run_id)
            if known is None or known[0] < epoch:
                known = self._known[run_id] = (epoch, Motion(ticks))
            if known[0] == epoch:
                known[1].hear(ticks, beat)

    def reason(self, run_id: int, epoch: int, ticks: float) -> str:
        """Why the worker is stale; empty: it is not, or nothing was heard of it yet."""
        with self._lock:
            known = self._known.get(run_id)
            return known[1].reason(ticks) if known is not None and known[0] == epoch else ""

    def keep(self, run_ids: Collection[int]) -> None:
        """Forget the others."""
        with self._lock:
            self._known = {run_id: known for run_id, known in self._known.items() if run_id in run_ids}
