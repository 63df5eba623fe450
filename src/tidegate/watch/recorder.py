"""Keeps history: a point of every run at work each 10 s, rolled up to minutes and hours, each kept for its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from tidegate.model.lifecycle import OPERATING, STATES, State
from tidegate.store import points, standings
from tidegate.store.database import Database
from tidegate.store.points import STEPS_S, Point, Sums
from tidegate.store.standings import Standing
from tidegate.watch.meter import Meter
from tidegate.watch.metrics import BY_NAME, Of
from tidegate.watch.rollup import bucket, numbered, rolled

FINEST_S = STEPS_S[0]
PACE_S = FINEST_S
WINDOWS_S = {"restarts_10min": 600.0, "restarts_20min": 1200.0}
ROLLED_AT_ONCE = 200
GRACE_S = 2
"""Points of a time that is over are rolled up so long after it."""
FORGET_S = 60.0
FORGOTTEN_AT_ONCE = 60


class Recorder:
    """Used by one thread. `now` gives Unix time, `ticks` steady time, both in seconds; points of each step are kept for
    `keep_s`. `log_left_s` tells of a run and at a time in ticks how long its source will keep the log."""

    def __init__(
        self,
        db: Database,
        meter: Meter,
        now: Callable[[], float],
        ticks: Callable[[], float],
        keep_s: Mapping[int, float],
        log_left_s: Callable[[int, float], float | None] = lambda run, ticks: None,
    ) -> None:
        self._log_left_s = log_left_s
        self._db, self._meter, self._now, self._ticks, self._keep_s = db, meter, now, ticks, keep_s
        self._at = 0
        """When the newest points ended."""
        self._forget_due = 0.0
        self._rolled: dict[int, int] = {}
        """By step: the end of the last time all of which is rolled up."""
        self._cursor: dict[int, int] = {}

    def sweep(self) -> None:
        """Do what is due. Raises `StoreUnavailable`."""
        ticks = self._ticks()
        if int(self._now()) // PACE_S * PACE_S != self._at:
            self.record()
        for finer_s, step_s in pairwise(STEPS_S):
            self._roll(finer_s, step_s)
        if ticks >= self._forget_due:
            self._forget_due = ticks + FORGET_S
            self._forget()

    def record(self) -> None:
        """A point of each run at work, a last one of those that no longer are, and the figures of tables that
        changed."""
        now, ticks = self._now(), self._ticks()
        with self._db.read() as tx:
            found = standings.at_work(tx)
            ids = [standing.run_id for standing in found]
            restarts = standings.restarts(tx, now - max(WINDOWS_S.values()))
            sums = points.sums(tx, ids)
        self._at = at = int(now) // PACE_S * PACE_S
        left = self._meter.runs - set(ids)
        made = [
            Point(run_id, FINEST_S, at, 1, numbered(self._meter.point(run_id, ticks), BY_NAME[Of.TASK]))
            for run_id in left
        ]
        for standing in found:
            left_s = self._log_left_s(standing.run_id, ticks)
            known = known_of(standing, restarts, sums.get(standing.run_id), now, log_left_s=left_s)
            self._meter.put(standing.run_id, known)
            told = self._meter.point(standing.run_id, ticks)
            made.append(Point(standing.run_id, FINEST_S, at, 1, numbered(together(known, told), BY_NAME[Of.TASK])))
        changed = [one for run_id in (*ids, *left) for one in self._meter.changed_tables(run_id, ticks, now)]
        try:
            with self._db.write() as tx:
                points.add(tx, made)
                points.put_tables(tx, changed)
        except BaseException:
            self._meter.unwritten(changed)
            raise
        self._meter.keep(set(ids))

    # --- rolling up ---

    def _roll(self, finer_s: int, step_s: int) -> None:
        """Roll up some runs of the oldest time that is over and is not rolled up yet."""
        over = (int(self._now()) - GRACE_S) // step_s * step_s
        done = self._rolled.get(step_s)
        if done is None:
            with self._db.read() as tx:
                # The newest may have been left half done.
                done = self._rolled[step_s] = (points.newest(tx, step_s) or step_s) - step_s
        if done >= over:
            return
        with self._db.read() as tx:
            first = points.oldest(tx, finer_s, done)
            end = bucket(first, step_s) if first is not None else over
            if end > over or first is None:
                return
            beyond = self._cursor.get(step_s, 0)
            ids = points.runs_with(tx, finer_s, end - step_s, end, beyond=beyond, limit=ROLLED_AT_ONCE)
            parts: dict[int, list[Point]] = {}
            for point in points.read_of(tx, ids, finer_s, end - step_s, end):
                parts.setdefault(point.run_id, []).append(point)
        made = [rolled(sorted(part, key=lambda point: point.at), step_s) for part in parts.values()]
        with self._db.write() as tx:
            points.add(tx, made)
        if len(ids) < ROLLED_AT_ONCE:
            self._rolled[step_s], self._cursor[step_s] = end, 0
        else:
            self._cursor[step_s] = ids[-1]

    def _forget(self) -> None:
        now = self._now()
        with self._db.write() as tx:
            for step_s, keep_s in self._keep_s.items():
                # No more at once than a few dozen of each run: after a long time there may be millions.
                oldest = points.oldest(tx, step_s, 0)
                if oldest is not None and oldest < now - keep_s:
                    points.forget(tx, step_s, min(int(now - keep_s), oldest + FORGOTTEN_AT_ONCE * step_s))


def together(known: Mapping[str, float | None], told: Mapping[str, float | None]) -> dict[str, float | None]:
    """What the server knows, fresh, over what the meter holds of it; how long a worker is silent the meter knows
    better."""
    return {**told, **{name: value for name, value in known.items() if name != "silent_s" or name not in told}}


def known_of(
    standing: Standing,
    restarts: Mapping[tuple[int, int | None], list[float]],
    sums: Sums | None,
    now: float,
    *,
    log_left_s: float | None,
) -> dict[str, float | None]:
    """What the server knows of a run, by names of metrics."""
    at = restarts.get((standing.task_id, standing.number), [])
    operating = STATES[standing.state].status == OPERATING
    found: dict[str, float | None] = {
        "restarts": standing.restarts,
        "run_s": max(0.0, round(now - standing.started_at, 3)),
        "operating_s": max(0.0, round(now - standing.state_since, 3)) if operating else 0.0,
        "snapshot_age_s": None if standing.snapshot_at is None else max(0.0, round(now - standing.snapshot_at, 3)),
        "log_left_s": None if log_left_s is None else round(log_left_s, 3),
        "units": standing.units if STATES[standing.state].units else 0,
    }
    found |= {name: sum(one > now - window_s for one in at) for name, window_s in WINDOWS_S.items()}
    if sums is not None:
        found |= {"tables": sums.tables, "tables_copied": sums.copied, "tables_abnormal": sums.abnormal}
    if standing.state is State.RUNNING and standing.heard_at is not None:
        found["silent_s"] = max(0.0, round(now - standing.heard_at, 3))
    return found
