"""Asks sources, one question each, for how long they will keep the log that runs need. Tells in time when that is
short, and continues a paused task whose definition wants it, before the log is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from tidegate.errors import PositionLost, StaleVersion, TidegateError
from tidegate.model.lifecycle import OPERATING, STATES, State
from tidegate.model.problem import problem
from tidegate.model.task import LogSpec, WhenShort, parse_task
from tidegate.server.control import Control
from tidegate.server.jobs import Job, Jobs, Outcome, Work
from tidegate.server.logbook import LogLeft
from tidegate.server.pace import Floor, Pace, left_s
from tidegate.server.views import Retention, Retentions
from tidegate.store import catalog, moves, runs, tasks
from tidegate.store.runs import Pinning

log = structlog.get_logger()

SHORT_S = (86_400.0, 3_600.0)
"""Below each of these a key event says so, besides below the task's own `log.below`."""
RELIEF = 1.25
"""It is told that there is time again once it is more than this much of the greatest of them."""
# A log that is gone: less than every time.
LOST_S = 0.0

# A task that is being stopped lets go of its log.
PINNING = tuple(state for state, facts in STATES.items() if facts.pins_log and state is not State.STOPPING)
RESTING = {state for state in PINNING if not STATES[state].worker and STATES[state].status != OPERATING}


@dataclass(frozen=True, slots=True)
class _Look:
    """What one source was asked."""

    runs: Mapping[str, Pinning]
    version: int
    """Of the data source: another one may be another server."""
    found: Retentions | None


class LogClock:
    def __init__(self, control: Control, jobs: Jobs) -> None:
        self._control = control
        self._db = control.db
        self._clock = control.clock
        self._limits = control.limits
        self._jobs = jobs
        self._due = 0.0
        self._asked_at: dict[int, float] = {}
        """By data source, in ticks."""
        self._asking: set[int] = set()
        """Data sources whose answer is awaited."""
        self._unasked: set[int] = set()
        """Data sources whose turn came, and there was no thread for it."""
        self._paces: dict[tuple[int, int], Pace] = {}
        """By data source and its version."""
        self._floors: dict[int, Floor] = {}
        self._specs: dict[int, tuple[int, LogSpec]] = {}
        """Run → the submitted version it was read from, and what that wants."""
        self._told: dict[int, float | None] = {}
        """Run → below which time it was last told to be; None: there was no need to."""
        self._refused: dict[int, str] = {}
        """Run → the error for which it could not be continued by itself, as last told."""

    def sweep(self) -> None:
        """Ask the sources whose runs need log, if it is time; who waited longest first, for some may hang."""
        ticks = self._clock.ticks()
        again = ticks < self._due
        if again and not self._unasked:
            return
        if not again:
            self._due = ticks + self._limits.log_clock_s
        with self._db.read() as tx:
            found = runs.pinning(tx, PINNING)
        by_source: dict[int, dict[str, Pinning]] = {}
        for one in found:
            by_source.setdefault(one.source_id, {})[one.run_key] = one
        here = {one.run_id for one in found}
        self._control.logbook.keep(here)
        self._floors = {run_id: floor for run_id, floor in self._floors.items() if run_id in here}
        self._told = {run_id: told for run_id, told in self._told.items() if run_id in here}
        self._refused = {run_id: code for run_id, code in self._refused.items() if run_id in here}
        self._specs = {run_id: spec for run_id, spec in self._specs.items() if run_id in here}
        self._paces = {key: pace for key, pace in self._paces.items() if key[0] in by_source}
        self._asked_at = {source_id: self._asked_at.get(source_id, 0.0) for source_id in by_source}
        due = (self._unasked & set(by_source) if again else set(by_source)) - self._asking
        self._unasked = set()
        for source_id in sorted(due, key=lambda one: self._asked_at[one]):
            if self._jobs.start(Job(Work.LOG, source_id), partial(self._look, source_id, by_source[source_id])):
                self._asked_at[source_id] = ticks
                self._asking.add(source_id)
            else:
                self._unasked.add(source_id)

    def _look(self, source_id: int, pinning: Mapping[str, Pinning]) -> _Look | None:
        """On a thread of its own."""
        with self._db.read() as tx:
            row = catalog.data_source_by_id(tx, source_id)
            if row is None:
                return None
            side = self._control.side_of(row)
        found = self._control.data_plane.retentions(side, {key: one.position for key, one in pinning.items()})
        return _Look(pinning, row.version, found)

    def collect(self, outcome: Outcome) -> None:
        """Note what a source said, or how continuing a task by itself went."""
        if outcome.job.work is Work.CONTINUE:
            self._continued(outcome)
            return
        self._asking.discard(outcome.job.subject)
        if isinstance(outcome.raised, TidegateError):
            log.info("log_clock.unknown", source=outcome.job.subject, code=outcome.raised.code)
            return
        if outcome.raised is not None:
            log.error("log_clock.crashed", source=outcome.job.subject, exc_info=outcome.raised)
            return
        look: _Look | None = outcome.given
        if look is None or look.found is None:
            return
        pace = self._pace(outcome.job.subject, look.version)
        pace.read(self._clock.ticks(), look.found.written_bytes)
        for key, one in look.runs.items():
            if (kept := look.found.runs.get(key)) is not None:
                left = self._left(one, kept, pace.rate())
                self._control.logbook.note(one.run_id, left)
                if left.known:
                    self._judge(one, left)

    def _pace(self, source_id: int, version: int) -> Pace:
        if (source_id, version) not in self._paces:
            self._paces = {key: pace for key, pace in self._paces.items() if key[0] != source_id}
            self._paces[source_id, version] = Pace()
        return self._paces[source_id, version]

    def _left(self, one: Pinning, kept: Retention, rate: float | None) -> LogLeft:
        """Of a run that rests all that is written counts; of one at work, by how much more is kept for it."""
        ticks = self._clock.ticks()
        floor = self._floors.setdefault(one.run_id, Floor())
        floor.read(ticks, kept.retained_bytes)
        growth, rests = floor.growth(), one.state in RESTING
        resting_s = LOST_S if kept.lost else left_s(kept.safe_bytes, rate, kept.expires_in_s)
        working_s = LOST_S if kept.lost else left_s(kept.safe_bytes, growth, None)
        return LogLeft(
            self._clock.now(),
            ticks,
            kept.retained_bytes,
            kept.safe_bytes,
            rate,
            resting_s if rests else working_s,
            resting_s,
            bool(kept.lost) or kept.safe_bytes is None or (rate if rests else growth) is not None,
            kept.lost,
        )

    # --- telling ---

    def _judge(self, one: Pinning, left: LogLeft) -> None:
        if left.left_s is None and self._told.get(one.run_id, 0.0) is None:
            return
        spec = self._spec(one)
        if one.run_id not in self._told:
            with self._db.read() as tx:
                self._told[one.run_id] = _told_before(tx, one)
        told = self._told[one.run_id]
        now = LOST_S if left.lost else level(left.left_s, told, (*SHORT_S, spec.below_s))
        if now != told and self._record(one, left, now):
            self._told[one.run_id] = now
        if self._to_continue(one, left, spec):
            self._jobs.start(Job(Work.CONTINUE, one.task_id), partial(self._continue, one))

    def _spec(self, one: Pinning) -> LogSpec:
        known = self._specs.get(one.run_id)
        if known is None or known[0] != one.submitted:
            with self._db.read() as tx:
                spec = parse_task(tasks.get_version(tx, one.task_id, one.submitted).definition).log
            known = self._specs[one.run_id] = (one.submitted, spec)
        return known[1]

    def _record(self, one: Pinning, left: LogLeft, below_s: float | None) -> bool:
        """Write the key event, if nobody did anything with the task since the source was asked."""
        name = "log_enough" if below_s is None else "log_lost" if left.lost else "log_short"
        error = problem(PositionLost(f"the log of run {one.run_key} is gone: {left.lost}")) if left.lost else None
        facts = {
            "below_s": below_s,
            "left_s": None if left.left_s is None else round(left.left_s, 1),
            "safe_bytes": left.safe_bytes,
            "retained_bytes": left.retained_bytes,
            "rate_bytes_s": None if left.rate_bytes_s is None else round(left.rate_bytes_s),
        }
        with self._db.write() as tx:
            now_in = moves.find(tx, one.task_id, lock=True)
            if now_in is None or now_in.task.version != one.version:
                return False
            moves.record(tx, now_in, name, now=self._clock.now(), error=error, facts=facts)
        return True

    # --- continuing ---

    def _to_continue(self, one: Pinning, left: LogLeft, spec: LogSpec) -> bool:
        """Only what was paused: a run that failed would fail again."""
        wanted = spec.when_short is WhenShort.CONTINUE and one.state is State.PAUSED and not left.lost
        return wanted and left.left_s is not None and left.left_s < spec.below_s

    def _continue(self, one: Pinning) -> Pinning:
        """On a thread of its own; the command's gate decides, and a person who was faster."""
        try:
            self._control.command(one.task_id, "continue", version=one.version, actor=moves.SYSTEM)
        except StaleVersion:
            pass  # somebody did something with it meanwhile: the next look sees it as it is then
        except TidegateError as error:
            self._tell_refused(one, error)
        return one

    def _tell_refused(self, one: Pinning, error: TidegateError) -> None:
        """Once for each reason; it is tried again at every look."""
        if self._refused.get(one.run_id) == error.code:
            return
        self._refused[one.run_id] = error.code
        with self._db.write() as tx:
            now_in = moves.find(tx, one.task_id, lock=True)
            if now_in is not None and now_in.run is not None and now_in.run.id == one.run_id:
                moves.record(tx, now_in, "log_continue_failed", now=self._clock.now(), error=problem(error))

    def _continued(self, outcome: Outcome) -> None:
        if outcome.raised is not None:
            log.error("log_clock.crashed", task=outcome.job.subject, exc_info=outcome.raised)


def level(left: float | None, told: float | None, short_s: tuple[float, ...]) -> float | None:
    """Below which of the times it is to be told to be: the least that it is below, the one told before while it only
    wavers, None when there is time enough."""
    below = [one for one in short_s if left is not None and left < one]
    if below:
        return min(below) if told is None else min(min(below), told)
    if told is not None and left is not None and left < RELIEF * max(short_s):
        return told
    return None


def _told_before(tx: Any, one: Pinning) -> float | None:
    """What an earlier server told of the run."""
    now_in = moves.find(tx, one.task_id)
    if now_in is None:
        return None
    told = [moves.newest_event(tx, now_in, name) for name in ("log_short", "log_lost", "log_enough")]
    newest = max((event for event in told if event is not None), key=lambda event: event.id, default=None)
    known = newest.facts.get("below_s") if newest is not None else None
    return float(known) if known is not None else None
