"""What a run counts while it works; read by the thread that reports it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from statistics import quantiles
from typing import Any

from tidegate.engine.tablegauges import TableGauges
from tidegate.model.schema import TableName

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
    "bytes_written",
    "rows_read",
    "rows_written",
    "dirty_rows",
    "dirty_bytes",
    "snapshots",
    "snapshot_failures",
    "waiting_s",
    "writing_s",
)
DELAYS = ("read_delay_s", "transmission_delay_s", "business_delay_s")


class Gauges:
    """Totals go on from what the run had when a worker is replaced; lags are of the latest transactions, delays the
    largest since they were last asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, int | float] = {
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
            "bytes_written": 0,
            "rows_read": 0,
            "rows_written": 0,
            "dirty_rows": 0,
            "dirty_bytes": 0,
            "snapshots": 0,
            "snapshot_failures": 0,
            "waiting_s": 0.0,
            "writing_s": 0.0,
            "reading_bytes": 0,
            "chunks_done": 0,
            "chunks_total": 0,
            "tables_done": 0,
            "tables_total": 0,
        }
        self._lags_ms: deque[float] = deque(maxlen=LAGS_KEPT)
        self._behind_since: float | None = None
        self._delays = dict.fromkeys(DELAYS, 0.0)
        self._newest_delay_s = 0.0
        self._batches = self._batched = 0
        self._snapshot_s: float | None = None
        self.tables = TableGauges()

    def add(self, name: str, amount: float = 1) -> None:
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

    def read(self, rows: int, bytes: int, of: Mapping[TableName, tuple[int, int]]) -> None:
        """So much came from the log, `of` each table so many rows and bytes."""
        self.add("changes_read", rows)
        self.add("rows_read", rows)
        self.add("bytes_read", bytes)
        for name, (some, size) in of.items():
            self.tables.read(name, some, size)

    def copied(self, name: TableName, rows: int, bytes: int) -> None:
        """A chunk of the full copy is in the target."""
        for one in ("rows_read", "rows_written"):
            self.add(one, rows)
        for one in ("bytes_read", "bytes_written"):
            self.add(one, bytes)
        self.tables.copied(name, rows, bytes)

    def batch(self, counts: Mapping[TableName, int], sizes: Mapping[TableName, int], changes: int) -> None:
        """A batch of changes is in the target; its delays were said just before."""
        with self._lock:
            self._counters["batches"] += 1
            self._counters["changes_written"] += changes
            self._counters["rows_written"] += changes
            self._counters["bytes_written"] += sum(sizes.values())
            self._batches += 1
            self._batched += changes
            delay_s = self._newest_delay_s
        self.tables.written(counts, sizes, delay_s)

    def arrived(self, oldest_us: int, read_at_us: int | None, read_delay_us: int) -> None:
        """Changes are in the target of which the oldest was committed then, the first read then, and one had this
        largest read delay."""
        now_us = time.time() * 1e6
        with self._lock:
            found = {
                "read_delay_s": read_delay_us,
                "transmission_delay_s": now_us - read_at_us if read_at_us else 0.0,
                "business_delay_s": now_us - oldest_us,
            }
            self._newest_delay_s = max(0.0, found["business_delay_s"] / 1e6)
            for name, us in found.items():
                self._delays[name] = max(self._delays[name], us / 1e6)

    def snapshot_stored(self, lasted_s: float) -> None:
        with self._lock:
            self._counters["snapshots"] += 1
            self._snapshot_s = lasted_s

    def oldest_waiting(self, committed_at_us: int | None) -> None:
        """When the oldest transaction not yet in the target was committed; None: there is none."""
        with self._lock:
            self._behind_since = None if committed_at_us is None else committed_at_us / 1e6

    def lag_s(self) -> float:
        """How far the target is behind, from what was read."""
        since = self._behind_since
        return 0.0 if since is None else max(0.0, time.time() - since)

    def totals(self) -> dict[str, int | float]:
        """What a snapshot keeps for the run's next worker."""
        with self._lock:
            return {name: self._counters[name] for name in TOTALS}

    def go_on_from(self, totals: Mapping[str, Any]) -> None:
        """Begin with what earlier workers counted."""
        with self._lock:
            for name in TOTALS:
                if name in totals:
                    self._counters[name] = max(self._counters[name], totals[name])

    def since_last(self) -> dict[str, float]:
        """What is measured from one report to the next: delays, and how large batches were."""
        with self._lock:
            found = {name: round(delay_s, 4) for name, delay_s in self._delays.items()}
            self._delays = dict.fromkeys(DELAYS, 0.0)
            if self._batches:
                found["batch_rows"] = round(self._batched / self._batches, 1)
            self._batches = self._batched = 0
            if self._snapshot_s is not None:
                found["snapshot_duration_s"] = round(self._snapshot_s, 4)
            return found

    def report(self) -> dict[str, Any]:
        with self._lock:
            counters: dict[str, Any] = {
                name: round(amount, 3) if isinstance(amount, float) else amount
                for name, amount in self._counters.items()
            }
            lags = sorted(self._lags_ms)
        counters["rows_copied"] = counters["rows_full"]
        if len(lags) >= 2:
            cuts = quantiles(lags, n=100)
            counters["lag_ms_p50"], counters["lag_ms_p99"] = round(cuts[49], 1), round(cuts[98], 1)
        return counters
