"""Time as the server sees it, injected so that tests can move it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one to write down, one to measure with."""

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC. May jump, also backwards: for records, not for durations."""

    def ticks(self) -> float:
        """Seconds since some moment, steadily growing; means nothing to another process."""


class SystemClock:
    """The machine's."""

    def now(self) -> float:
        return time.time()

    def ticks(self) -> float:
        return time.monotonic()
