"""How many batches are done at the same time: a few of each project, so that nobody waits for another project's."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from tidegate.errors import TooManyBatches

OF_PROJECT_MAX = 2
ALL_MAX = 16
"""Each waits on a thread of its own, of which requests have some dozens."""


class Turns:
    """Thread-safe."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._all = 0
        self._freed = threading.Condition()

    @contextmanager
    def taken(self, projects: Collection[str], wait_s: float) -> Iterator[None]:
        """A turn in each of the projects, or in none: who waits for one keeps nobody out of another. Raises
        `TooManyBatches`."""
        of = frozenset(projects)
        until = time.monotonic() + wait_s
        with self._freed:
            while refusal := self._full(of):
                left_s = until - time.monotonic()
                if left_s <= 0 or not self._freed.wait(left_s):
                    raise TooManyBatches(refusal)
            self._held.update(of)
            self._all += 1
        try:
            yield
        finally:
            with self._freed:
                self._held.subtract(of)
                self._held += Counter()  # those of none are forgotten
                self._all -= 1
                self._freed.notify_all()

    def _full(self, of: Collection[str]) -> str:
        full = sorted(project for project in of if self._held[project] >= OF_PROJECT_MAX)
        if full:
            return f"{OF_PROJECT_MAX} batches are under way in project {full[0]}"
        return f"{ALL_MAX} batches are under way" if self._all >= ALL_MAX else ""
