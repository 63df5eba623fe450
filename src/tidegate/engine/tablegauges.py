"""What a run counts of each of its tables; told a few at a time, those that changed first."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegate.engine.handoff import TableCopy
from tidegate.model.measured import REASON_MAX, TableMeasure, TableState, TableStatus, heard
from tidegate.model.schema import TableName

TOLD_AT_ONCE = 1_000


class TableGauges:
    """Counted by the run's thread, read by the one that reports."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, TableMeasure] = {}
        self._changed: dict[str, None] = {}

    def _of(self, name: str) -> TableMeasure:
        self._changed[name] = None
        measure = self._held.get(name)
        if measure is None:
            measure = self._held[name] = TableMeasure()
        return measure

    # --- counting ---

    def read(self, name: TableName, rows: int, bytes: int) -> None:
        with self._lock:
            measure = self._of(str(name))
            measure.rows_read += rows
            measure.bytes_read += bytes

    def written(self, counts: Mapping[TableName, int], sizes: Mapping[TableName, int], delay_s: float) -> None:
        """A batch is in the target: so many changes of each table, and how much of each was handed over."""
        with self._lock:
            for name, rows in counts.items():
                measure = self._of(str(name))
                measure.rows_written += rows
                measure.bytes_written += sizes.get(name, 0)
                measure.business_delay_s = delay_s

    def copied(self, name: TableName, rows: int, bytes: int) -> None:
        """A chunk is in the target."""
        with self._lock:
            measure = self._of(str(name))
            measure.rows_read += rows
            measure.bytes_read += bytes
            measure.rows_written += rows
            measure.bytes_written += bytes

    def stands(self, copy: TableCopy) -> None:
        """How far the table is now."""
        done, total = copy.chunks_done, len(copy.chunks)
        if copy.in_step:
            state = TableState.FOLLOWING
        elif done == total:
            state = TableState.CATCHING_UP
        else:
            state = TableState.COPYING if done else TableState.WAITING
        facts = (state.value, copy.rows, copy.estimated, done, total)
        with self._lock:
            held = self._held.get(name := str(copy.name))
            if held is not None and facts == (
                held.state,
                held.rows_copied,
                held.rows_estimated,
                held.chunks_done,
                held.chunks_total,
            ):
                return
            measure = self._of(name)
            if measure.state in (TableState.REFUSED, TableState.GONE):
                measure.status, measure.reason = TableStatus.NORMAL.value, ""
            measure.state, measure.rows_copied, measure.rows_estimated = facts[:3]
            measure.chunks_done, measure.chunks_total = done, total

    def wrong(self, name: TableName | str, reason: str, state: TableState | None = None) -> None:
        """Something is not as it should be."""
        with self._lock:
            measure = self._of(str(name))
            measure.status, measure.reason = TableStatus.ABNORMAL.value, reason[:REASON_MAX]
            measure.state = state.value if state is not None else measure.state

    def right(self, name: TableName) -> None:
        """What was wrong is over."""
        with self._lock:
            measure = self._held.get(str(name))
            if measure is not None and measure.status == TableStatus.ABNORMAL.value:
                self._changed[str(name)] = None
                measure.status, measure.reason = TableStatus.NORMAL.value, ""

    # --- telling ---

    def go_on_from(self, told: Mapping[str, Sequence[Any]]) -> None:
        """Begin with what earlier workers counted. Raises `ValueError`."""
        with self._lock:
            self._held = {name: heard(figures) for name, figures in told.items()}

    def tell(self) -> dict[str, list[Any]]:
        """Some of the tables that changed since they were told; say `untold` if they did not arrive."""
        with self._lock:
            names = list(self._changed)[:TOLD_AT_ONCE]
            for name in names:
                del self._changed[name]
            return {name: self._held[name].tell() for name in names}

    def untold(self, names: Iterable[str]) -> None:
        with self._lock:
            self._changed = dict.fromkeys(names) | self._changed

    def tell_all(self) -> None:
        """Every table is to be told anew."""
        with self._lock:
            self._changed = dict.fromkeys(self._held)

    @property
    def names(self) -> list[str]:
        with self._lock:
            return list(self._held)

    def measure(self, name: str) -> TableMeasure:
        """A table's figures as they are now. Raises `KeyError`."""
        with self._lock:
            return heard(self._held[name].tell())
