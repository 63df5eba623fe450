"""What a run counts while it works; read by the thread that reports it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from statistics import quantiles
from typing import Any

LAGS_KEPT = 4_096


# What is counted over the whole run, whichever worker did it; the rest describes the present.
TOTALS = (
    "changes_read",
    "changes_written",
    "changes_contained",
    "transactions",
    "batches",
    "patches",
    "stalls",
    "gate_waits",
    "bytes_read",
)


class Gauges:
    """Totals go on from the newest snapshot's when a worker is replaced; lags are of the latest transactions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, int] = {
            "rows_full": 0,
            "changes_read": 0,
            "changes_written": 0,
            "changes_contained": 0,
            "transactions": 0,
            "batches": 0,
            "patches": 0,
            "stalls": 0,
            "gate_waits": 0,
            "bytes_read": 0,
            "chunks_done": 0,
            "chunks_total": 0,
            "tables_done": 0,
            "tables_total": 0,
        }
        self._lags_ms: deque[float] = deque(maxlen=LAGS_KEPT)
        self._behind_since: float | None = None

    def add(self, name: str, amount: int = 1) -> None:
        with self._lock:
            self._counters[name] += amount

    def set(self, name: str, amount: int) -> None:
        with self._lock:
            self._counters[name] = amount

    def written(self, committed_at_us: list[int]) -> None:
        """Transactions that are now in the target."""
        now_us = time.time() * 1e6
        with self._lock:
            self._lags_ms.extend(max(0.0, (now_us - at) / 1e3) for at in committed_at_us)

    def oldest_waiting(self, committed_at_us: int | None) -> None:
        """When the oldest transaction not yet in the target was committed; None: there is none."""
        with self._lock:
            self._behind_since = None if committed_at_us is None else committed_at_us / 1e6

    def lag_s(self) -> float:
        """How far the target is behind, from what was read."""
        since = self._behind_since
        return 0.0 if since is None else max(0.0, time.time() - since)

    def totals(self) -> dict[str, int]:
        """What a snapshot keeps for the run's next worker."""
        with self._lock:
            return {name: self._counters[name] for name in TOTALS}

    def go_on_from(self, totals: Mapping[str, Any]) -> None:
        """Begin with what earlier workers counted."""
        with self._lock:
            self._counters |= {name: int(totals[name]) for name in TOTALS if name in totals}

    def report(self) -> dict[str, Any]:
        with self._lock:
            counters: dict[str, Any] = dict(self._counters)
            lags = sorted(self._lags_ms)
        if len(lags) >= 2:
            cuts = quantiles(lags, n=100)
            counters["lag_ms_p50"], counters["lag_ms_p99"] = round(cuts[49], 1), round(cuts[98], 1)
        return counters
