"""How fast a log grows, from what was seen of it now and then, and how long what is kept of it lasts. Pure."""

from __future__ import annotations

from collections import deque

WINDOW_S = 600.0
RECENT_S = 60.0
"""A burst that began lately counts for what it is, not for what it is in ten minutes."""
SPAN_MIN_S = 0.5


class Pace:
    """Readings of something that grows, at times that grow."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def read(self, ticks: float, value: float) -> None:
        """One that is less than the last begins anew: the source is another one, or was put back."""
        if self._seen and (value < self._seen[-1][1] or ticks < self._seen[-1][0]):
            self._seen.clear()
        self._seen.append((ticks, value))
        while len(self._seen) > 2 and ticks - self._seen[1][0] >= WINDOW_S:
            self._seen.popleft()

    def rate(self) -> float | None:
        """In a second: the greater of the whole window's and of the last minute's. None: not known yet."""
        rates = [self._since(span_s) for span_s in (WINDOW_S, RECENT_S)]
        known = [rate for rate in rates if rate is not None]
        return max(known) if known else None

    def _since(self, span_s: float) -> float | None:
        if not self._seen:
            return None
        end_at, end = self._seen[-1]
        # The newest reading that is at least so old, or the oldest there is.
        older = [one for one in self._seen if end_at - one[0] >= span_s]
        start_at, start = older[-1] if older else self._seen[0]
        return (end - start) / (end_at - start_at) if end_at - start_at >= SPAN_MIN_S else None


class Floor:
    """Readings of something that goes up and down, such as the log kept for a run that stores snapshots."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def read(self, ticks: float, value: float) -> None:
        self._seen.append((ticks, value))
        while len(self._seen) > 2 and ticks - self._seen[1][0] >= WINDOW_S:
            self._seen.popleft()

    def growth(self) -> float | None:
        """How fast its low points rise, in a second; 0: they do not. None: not known before the window is half full."""
        if not self._seen or self._seen[-1][0] - self._seen[0][0] < WINDOW_S / 2:
            return None
        half_s = (self._seen[-1][0] - self._seen[0][0]) / 2
        middle = self._seen[0][0] + half_s
        early = min(value for at, value in self._seen if at <= middle)
        late = min(value for at, value in self._seen if at >= middle or (at, value) == self._seen[-1])
        return max(0.0, (late - early) / half_s)


def left_s(safe_bytes: int | None, rate_bytes_s: float | None, expires_in_s: float | None) -> float | None:
    """How long until log is dropped, for its size or its age; None: no end is in sight, or it is not known."""
    by_size = safe_bytes / rate_bytes_s if safe_bytes is not None and rate_bytes_s else None
    if safe_bytes == 0:
        by_size = 0.0
    known = [one for one in (by_size, expires_in_s) if one is not None]
    return min(known) if known else None
