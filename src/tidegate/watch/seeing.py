"""What is known of each task for alerts: the figures of the moment, and as much of the past as rules look back on.

Kept in memory. A server that starts has seen nothing yet: a look-back window has to fill first, and nobody is silent or
stuck before it has watched them for so long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from tidegate.model.alert import EXCEPTIONS, FIGURES, RESTARTS, WINDOW_MAX_S
from tidegate.model.firing import Look
from tidegate.model.lifecycle import OPERATING, STATES, State
from tidegate.store.alerts import Watched

Figures = Callable[[int], Mapping[str, float]]
"""The newest figures of a run by the names of the metric table, as far as they are known."""

GRAINS = 30
"""How finely the past is kept: what is so many seconds ago, with looks no further apart than this part of them."""
LOOKS_LEAST = 64
HAPPENED_MAX = 1000
WHAT_COUNTS = frozenset((*RESTARTS, *EXCEPTIONS))


class Task:
    """What was seen of one task."""

    def __init__(self) -> None:
        self._looks: list[Look] = []
        self._room = LOOKS_LEAST
        self.happened: deque[tuple[float, int | None, str]] = deque(maxlen=HAPPENED_MAX)
        """Key events that count, as (Unix time in seconds, number of the run, name)."""
        self._changed: dict[str, tuple[object, float, bool]] = {}
        """What was seen last, since when (in ticks), and whether it was seen to change then."""

    def looks(self, present: Look, kept: Collection[str], longest_s: float) -> Sequence[Look]:
        """The looks back to `longest_s` ago, and the present one. Of it the figures of `kept` are remembered."""
        if not kept:
            self._looks.clear()
            return (present,)
        before = [*self._looks, present]
        figures = {name: present.figures[name] for name in kept if name in present.figures}
        self._looks.append(Look(present.at, present.state, present.run, figures))
        if len(self._looks) > self._room:
            self._looks = thinned(self._looks, longest_s)
            self._room = max(LOOKS_LEAST, 2 * len(self._looks))
        return before

    def unchanged_s(self, what: str, value: object, ticks: float) -> tuple[float, bool]:
        """How long the value has been seen to be the same, and whether that is all: it may have been so before anybody
        looked."""
        known = self._changed.get(what)
        if known is None or known[0] != value:
            self._changed[what] = known = (value, ticks, known is not None)
        return ticks - known[1], known[2]

    def excuse(self, for_s: float) -> None:
        """So much of the time past does not count."""
        self._changed = {what: (value, since + for_s, False) for what, (value, since, _) in self._changed.items()}


def thinned(looks: Sequence[Look], longest_s: float) -> list[Look]:
    """As few of them, oldest first, as show the past finely enough; none that is more than `longest_s` ago but the
    newest of those."""
    now, found = looks[-1].at, [looks[-1]]
    for look, older in zip(looks[-2::-1], [*looks[-3::-1], None], strict=False):
        newer = found[-1].at
        if now - newer >= longest_s:
            break
        if older is None or newer - older.at > (now - newer) / GRAINS:
            found.append(look)
    return found[::-1]


def _surer(name: str, here: float, told: float) -> float:
    """Of a figure that is known twice."""
    if name == "snapshot_age_s":
        return here  # told as it was some seconds ago, perhaps before the newest one
    # Time in which nobody could look is excused here, and not there.
    return min(here, told) if name in ("silent_s", "stuck_s") else told


class Sight:
    """All tasks. `told` gives what else the server knows of a run; it wins over what is found out here."""

    def __init__(self, told: Figures) -> None:
        self._told = told
        self._tasks: dict[int, Task] = {}
        self._looked_at: float | None = None

    def happened(self, at: float, task: int, run: int | None, name: str) -> None:
        """A key event."""
        if name in WHAT_COUNTS:
            self._tasks.setdefault(task, Task()).happened.append((at, run, name))

    def begin(self, tasks: Collection[int], ticks: float, late_s: float) -> None:
        """A look at these tasks begins; others are forgotten. If the last one is `late_s` ago nobody could look, the
        store being away above all, and what workers said meanwhile may not have arrived: that time does not count."""
        self._tasks = {key: seen for key, seen in self._tasks.items() if key in tasks}
        passed_s = 0.0 if self._looked_at is None else ticks - self._looked_at
        self._looked_at = ticks
        if passed_s > late_s:
            for seen in self._tasks.values():
                seen.excuse(passed_s)

    def look(self, task: Watched, kept: Collection[str], longest_s: float, now: float, ticks: float) -> Sequence[Look]:
        """Looks at the task, oldest first, the last one now; of the past only the figures of `kept`, and no further
        back than `longest_s`."""
        seen = self._tasks.setdefault(task.task_id, Task())
        while seen.happened and now - seen.happened[0][0] > WINDOW_MAX_S:
            seen.happened.popleft()
        # What befell an earlier run says nothing of this one.
        happened = tuple((now - at, name) for at, run, name in seen.happened if run == task.run_number)
        figures, at_least = self._figures(task, seen, now, ticks)
        present = Look(ticks, task.state, task.run_id, figures, happened, at_least)
        return seen.looks(present, kept, longest_s)

    def _figures(self, task: Watched, seen: Task, now: float, ticks: float) -> tuple[dict[str, float], set[str]]:
        """And which of them are known to be no less than that."""
        counters = {name: float(value) for name, value in task.counters.items() if isinstance(value, int | float)}
        copied = counters.get("rows_full", 0.0)
        figures = {
            "rows_read": copied + counters.get("changes_read", 0.0),
            "rows_written": copied + counters.get("changes_written", 0.0),
            **{name: counters[name] for name in FIGURES if name in counters},
        }
        for name, value in (("lag_s", task.lag_s), ("lag_bytes", task.lag_bytes)):
            if value is not None:
                figures[name] = float(value)
        if task.snapshot_at is not None:
            figures["snapshot_age_s"] = max(0.0, now - task.snapshot_at)
        figures["step_s"] = self._step_s(task, now)
        at_least: set[str] = set()
        silent_s, since_heard = seen.unchanged_s("heard", (task.run_id, task.heard_at), ticks)
        moved = (task.run_id, task.state, task.phase, task.position, figures["rows_read"], figures["rows_written"])
        stuck_s, since_moved = seen.unchanged_s("moved", moved, ticks)
        if task.state is State.RUNNING:
            figures["silent_s"] = silent_s
            # Of a worker that tries to recover nobody knows whether there is something to do: it stands still.
            lags = [figures[name] for name in ("lag_bytes", "lag_s") if name in figures]
            idle = task.phase == "incremental" and bool(lags) and not any(lags)
            figures["stuck_s"] = 0.0 if idle else stuck_s
            at_least = {
                name for name, sure in (("silent_s", since_heard), ("stuck_s", idle or since_moved)) if not sure
            }
        if task.run_id is not None:
            told = {name: value for name, value in self._told(task.run_id).items() if name in FIGURES}
            figures |= told | {name: _surer(name, figures[name], told[name]) for name in told if name in figures}
        return figures, at_least

    @staticmethod
    def _step_s(task: Watched, now: float) -> float:
        """How long the present operation lasts, or the full synchronization since the run began."""
        if STATES[task.state].status == OPERATING:
            return max(0.0, now - task.state_since)
        if task.state is State.RUNNING and task.phase != "incremental" and task.started_at is not None:
            return max(0.0, now - task.started_at)
        return 0.0
