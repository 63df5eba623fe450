"""Forgets what is older than people want to look back, a little at each sweep, so that the store does not grow for
ever. What a task's present run needs is never old."""

from __future__ import annotations

from tidegate.server.control import Control
from tidegate.store import history

AT_ONCE = 50
BATCH = 500
TELL_S = 60.0


class History:
    def __init__(self, control: Control) -> None:
        self._control = control
        self._db = control.db
        self._tell_at = 0.0
        self._clock = control.clock
        self._limits = control.limits
        self._reached = 0
        """The task looked at last in the present round."""
        self._due = 0.0
        """When (in ticks) the next round begins."""

    def sweep(self) -> None:
        """Look at the next tasks of a round. Raises `StoreUnavailable`."""
        if self._clock.ticks() >= self._tell_at:
            self._tell_at = self._clock.ticks() + TELL_S
            self._control.audit([])  # what it left out, also when nothing is refused any more
        if self._clock.ticks() < self._due:
            return
        with self._db.read() as tx:
            found = history.list_tasks(tx, after=self._reached, limit=AT_ONCE)
        for task, removed in found:
            if self._forget(task, removed):
                return  # there is more of this one: the next sweep goes on with it
            self._reached = task
        if len(found) < AT_ONCE:
            self._reached = 0
            self._due = self._clock.ticks() + self._limits.forget_s

    def _forget(self, task: int, removed: bool) -> bool:
        """Forget what is old of one task, at most so much at once; whether there may be more. Nobody looks at how
        many events or runs a removed task had."""
        before = self._clock.now() - self._limits.keep_s
        keep_events, keep_runs = (0, 0) if removed else (self._limits.keep_events, self._limits.keep_runs)
        with self._db.read() as tx:
            events = history.old_events(tx, task, before=before, keep=keep_events, limit=BATCH)
            runs = history.old_runs(tx, task, before=before, keep=keep_runs, limit=BATCH)
        if not events and not runs:
            return False
        with self._db.write() as tx:
            history.forget_events(tx, events)
            history.forget_runs(tx, runs)
            if removed:
                history.forget_task(tx, task)
        return BATCH in (len(events), len(runs))
