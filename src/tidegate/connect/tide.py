"""Whether much of a log is coming, and what follows from it: rests between gulps, and larger batches."""

from __future__ import annotations

import time

# From so much in a second on the reader rests between gulps …
REST_BYTES_S = 1 << 20
# … and from so much on batches are made that are full, or as old as this.
TIDE_BYTES_S = 4 << 20
TIDE_WINDOW_S = 0.1
BATCH_S = 0.2


class Tide:
    """Whether much is coming: from how much came while the reader was free to read."""

    def __init__(self, pace_s: float) -> None:
        self._pace_s = pace_s
        self._rests = self._high = self._dry = False
        self._since = self._let_go_at = time.monotonic()
        self._bytes = 0

    def came(self, size_bytes: int) -> None:
        """So much in one gulp."""
        self._bytes += size_bytes
        self._dry = not size_bytes
        now = time.monotonic()
        window_s = now - self._since
        if window_s >= TIDE_WINDOW_S or self._bytes >= TIDE_BYTES_S * TIDE_WINDOW_S:
            self._rests = self._bytes >= REST_BYTES_S * window_s
            self._high = self._bytes >= TIDE_BYTES_S * window_s
            self._since, self._bytes = now, 0

    def waited(self, seconds: float) -> None:
        """So long for the writer."""
        self._since += seconds

    @property
    def rest_s(self) -> float:
        return self._pace_s if self._rests else 0.0

    def let_go(self) -> bool:
        """Whether who asks gets what there is, rather than waiting for a full batch."""
        now = time.monotonic()
        if self._high and not self._dry and now - self._let_go_at < BATCH_S:
            return False
        self._let_go_at = now
        return True
