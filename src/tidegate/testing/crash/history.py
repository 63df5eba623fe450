"""What a target itself saw of its tasks' positions: a trigger notes every write, and by which worker it came."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tidegate.model.position import Position
from tidegate.testing.crash.ends import End


@dataclass(slots=True)
class Findings:
    writes: int = 0
    old_epoch: int = 0
    """Writes by a worker whose epoch was over."""
    backward: int = 0
    """Positions behind the one before them."""
    notes: list[str] = field(default_factory=list)

    def add(self, other: Findings) -> Findings:
        """Both together."""
        self.writes += other.writes
        self.old_epoch += other.old_epoch
        self.backward += other.backward
        self.notes += other.notes
        return self


class History:
    """Watches a target in one round, from when a task has made its state tables."""

    def __init__(self, target: End, number: int) -> None:
        self._target, self._number = target, number
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._install, name="position history", daemon=True)
        self._thread.start()

    def _install(self) -> None:
        while not self._ending.wait(0.05):
            with suppress(*self._target.tongue.errors):
                self._target.watch_positions(self._number)
                return

    def judge(self, parse: Callable[[str, str], Position]) -> Findings:
        """Once everything has ended. `parse` makes of a run and a text the position that it is."""
        self._ending.set()
        self._thread.join(30)
        found = Findings()
        newest: dict[str, tuple[int, Position | None]] = defaultdict(lambda: (0, None))
        for run, epoch, text, worker in self._target.positions(self._number):
            found.writes += 1
            spoke = str(worker).rpartition(" ")[2]
            before, behind = newest[run]
            if epoch < before or (spoke.isdigit() and int(spoke) < before):
                found.old_epoch += 1
                found.notes.append(f"{run}: epoch {worker} wrote after {before}")
            at = parse(run, text) if text else None
            if at is not None and behind is not None and at < behind:
                found.backward += 1
                found.notes.append(f"{run}: {at} after {behind}")
            newest[run] = (max(before, epoch), at or behind)
        return found
