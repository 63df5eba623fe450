"""The newest figures of runs at work, as their workers told them, in memory: what is asked for often, and what becomes
a point of history every few seconds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tidegate.model.measured import TableMeasure, heard, named
from tidegate.store.points import TableFigures
from tidegate.watch.metrics import BY_NAME, From, Kind, Metric, Of, Roll

RATE_S = 5.0
"""Rates are of about so long: shorter, and they jump; longer, and they are late."""

SILENT_S = 2 * RATE_S
"""Of a worker that said nothing for so long nobody knows how it is."""

_TASK = BY_NAME[Of.TASK]
_TOLD = {name: metric for name, metric in _TASK.items() if metric.source is From.WORKER}
_GAUGES = {name: metric for name, metric in _TOLD.items() if metric.kind is Kind.GAUGE}
_RATES = {name: metric for name, metric in _TASK.items() if metric.source is From.RATE}
_RATED = tuple(dict.fromkeys(metric.rate_of for metric in _RATES.values()))

_MOVING = ("rows_read", "rows_written", "bytes_read", "reading_bytes")


class _Table:
    """A table's figures, and since when its rates are measured."""

    __slots__ = ("anchor", "measure", "rates")

    def __init__(self, measure: TableMeasure, ticks: float) -> None:
        self.measure = measure
        self.anchor = (ticks, measure.rows_read, measure.rows_written)
        self.rates = (0.0, 0.0)

    def rate(self, ticks: float) -> None:
        since, read, written = self.anchor
        lasted_s = ticks - since
        if lasted_s >= RATE_S:
            now_read, now_written = self.measure.rows_read, self.measure.rows_written
            self.rates = (
                max(0.0, round((now_read - read) / lasted_s, 3)),
                max(0.0, round((now_written - written) / lasted_s, 3)),
            )
            self.anchor = (ticks, now_read, now_written)


class _Run:
    def __init__(self, epoch: int, ticks: float) -> None:
        self.epoch = epoch
        self.heard = self.moved = ticks
        self.figures: Mapping[str, float | None] = {}
        self.window: deque[tuple[float, tuple[float, ...], float | None]] = deque()
        """When, the counters that rates are of, and the log behind."""
        self.gathered: dict[str, list[float]] = {}
        """Of each gauge since the last point: the sum, the largest, the newest, how many."""
        self.tables: dict[str, _Table] = {}
        self.changed: set[str] = set()
        self.whole = False
        """Whether every table was told since this server listens."""
        self.others: dict[str, float | None] = {}
        self._motion: tuple[object, ...] = ()

    def moves(self, position: str | None, ticks: float) -> None:
        """Note whether anything moved, or there is nothing to do. Of a worker that tries to recover nobody knows that:
        it stands still."""
        motion = (position, *(self.figures.get(name) for name in _MOVING))
        behind = self.figures.get("lag_bytes")
        before, behind_before = (self._motion[0], self._motion[1]) if self._motion else (None, None)
        fell = isinstance(behind_before, (int, float)) and behind is not None and behind < behind_before
        known = [lag for lag in (behind, self.figures.get("lag_s")) if lag is not None]
        if motion != before or (known and not any(known)) or fell:
            self.moved = ticks
        self._motion = (motion, behind)

    def gather(self) -> None:
        for name in _GAUGES:
            value = self.figures.get(name)
            if value is None:
                continue
            held = self.gathered.get(name)
            if held is None:
                self.gathered[name] = [value, value, value, 1]
            else:
                held[0] += value
                held[1] = max(held[1], value)
                held[2] = value
                held[3] += 1

    def rates(self, ticks: float) -> dict[str, float]:
        """None that are old: of a worker that is silent nobody knows."""
        if ticks - self.heard > SILENT_S or len(self.window) < 2:
            return {}
        (since, old, _), (until, new, _) = self.window[0], self.window[-1]
        if until <= since:
            return {}
        grown = {name: max(0.0, (b - a) / (until - since)) for name, a, b in zip(_RATED, old, new, strict=True)}
        return {name: round(grown[metric.rate_of], 4) for name, metric in _RATES.items()}


class Meter:
    """Shared by the threads that take heartbeats, answer people, and reconcile. Times are in ticks: seconds since some
    moment, steadily growing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[int, _Run] = {}

    # --- told ---

    def hear(
        self,
        run_id: int,
        epoch: int,
        ticks: float,
        figures: Mapping[str, float | None],
        tables: Mapping[str, Sequence[Any]],
        position: str | None,
    ) -> bool:
        """A heartbeat's figures, and those of tables that changed; whether the worker is to tell of every table, for
        this server does not know. A word of an older epoch counts for nothing (I5). Raises `ValueError` for figures of
        a table that make no sense."""
        measures = {named(name): heard(told) for name, told in tables.items()}
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None and run.epoch > epoch:
                return False
            if run is None:
                run = self._runs[run_id] = _Run(epoch, ticks)
            if run.epoch != epoch:
                run.epoch = epoch
                run.window.clear()
            run.heard, run.figures = ticks, figures
            counters = tuple(figures.get(name) or 0.0 for name in _RATED)
            run.window.append((ticks, counters, figures.get("lag_bytes")))
            while len(run.window) > 2 and run.window[1][0] <= ticks - RATE_S:
                run.window.popleft()
            run.moves(position, ticks)
            run.gather()
            for name, measure in measures.items():
                table = run.tables.get(name)
                if table is None:
                    run.tables[name] = _Table(measure, ticks)
                else:
                    table.measure = measure
                run.changed.add(name)
            whole, run.whole = run.whole, True
            return not whole

    def put(self, run_id: int, values: Mapping[str, float | None]) -> None:
        """What others found out about a run at work, by names of metrics the server knows."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None:
                run.others.update(values)

    def keep(self, run_ids: Collection[int]) -> None:
        """Forget all but these runs."""
        with self._lock:
            self._runs = {run_id: run for run_id, run in self._runs.items() if run_id in run_ids}

    # --- asked ---

    @property
    def runs(self) -> set[int]:
        """Those it has heard of."""
        with self._lock:
            return set(self._runs)

    def values(self, run_id: int, ticks: float) -> dict[str, float | None]:
        """The newest of each metric by name; one that is missing was never known. Empty for a run not heard of."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                return {}
            # What a worker measured some time ago is not so now; what it counted is.
            known: Collection[str] = _TOLD.keys() - _GAUGES.keys() if ticks - run.heard > SILENT_S else _TOLD
            told = {name: run.figures[name] for name in known if name in run.figures}
            return told | run.rates(ticks) | run.others | self._seen(run, ticks)

    def _seen(self, run: _Run, ticks: float) -> dict[str, float | None]:
        return {"silent_s": max(0.0, ticks - run.heard), "stuck_s": max(0.0, ticks - run.moved)}

    def log_shrinks_bytes_s(self, run_id: int) -> float | None:
        """How fast the log behind the position gets less (below 0: more); None: not known."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None or len(run.window) < 2:
                return None
            (since, _, before), (until, _, behind) = run.window[0], run.window[-1]
            if before is None or behind is None or until <= since:
                return None
            return (before - behind) / (until - since)

    def counted(self, run_id: int) -> Mapping[str, float | None]:
        """The figures of the last heartbeat, as they were told; empty if there was none."""
        with self._lock:
            run = self._runs.get(run_id)
            return dict(run.figures) if run is not None else {}

    def point(self, run_id: int, ticks: float) -> dict[str, float | None]:
        """Each metric since this was last asked. Nobody else may ask. Empty for a run not heard of."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                return {}
            found: dict[str, float | None] = {
                name: run.figures.get(name) for name, metric in _TOLD.items() if metric.kind is Kind.COUNTER
            }
            found |= {name: _rolled(metric, run.gathered.get(name)) for name, metric in _GAUGES.items()}
            run.gathered = {}
            return found | run.others | self._seen(run, ticks)

    # --- tables ---

    def changed_tables(self, run_id: int, ticks: float, now: float) -> list[TableFigures]:
        """Those of which something changed since this was last asked; say `unwritten` if they could not be kept."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                return []
            names, run.changed = run.changed, set()
            found = []
            for name in names:
                table = run.tables[name]
                table.rate(ticks)
                if table.rates != (0.0, 0.0):
                    run.changed.add(name)  # so that the rate is 0 once nothing comes any more
                found.append(TableFigures(run_id, name, table.measure, *table.rates, now))
            return found

    def unwritten(self, figures: Collection[TableFigures]) -> None:
        with self._lock:
            for one in figures:
                if (run := self._runs.get(one.run_id)) is not None:
                    run.changed.add(one.name)


def _rolled(metric: Metric, held: list[float] | None) -> float | None:
    if held is None:
        return None
    total, largest, newest, count = held
    return {Roll.MAX: largest, Roll.LAST: newest, Roll.SUM: total, Roll.MEAN: round(total / count, 6)}[metric.roll]
