"""Faults at named points: processes end, stop, fail or wait exactly where an order says, and what each of them crossed
is known after its death.

An order is a file named for its point; whoever crosses the point first takes it by renaming it, so that one order
strikes once, whichever of many processes comes first. What a process crosses is counted in a file it maps into its
memory, which outlives it.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tidegate.errors import StoreUnavailable, TargetUnreachable
from tidegate.faultpoint import POINTS
from tidegate.model.process import started

NAMES = tuple(POINTS)
_NUMBERS = {name: number for number, name in enumerate(NAMES)}
_COUNT = struct.Struct("=Q")
_LAST = len(NAMES)
"""Where the number of the point crossed last is kept, behind the counts; one more, so that 0 is none."""
_SIZE = _COUNT.size * (len(NAMES) + 1)
HOLD_MAX_S = 120.0


class Action(StrEnum):
    KILL = "kill"
    """SIGKILL to itself."""
    STOP = "stop"
    """SIGSTOP to itself; goes on at SIGCONT."""
    FAIL = "fail"
    """An error that passes by itself is raised where the point is crossed: `StoreUnavailable` in the server,
    `TargetUnreachable` in a worker."""
    HOLD = "hold"
    """Wait there until `release`."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one process crossed."""

    last: str | None
    counts: Counter[str]


class Faults:
    """The folder of orders and traces, as whoever gives the orders sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def order(self, point: str, action: Action = Action.KILL, *, after: int = 0) -> None:
        """The next process to cross `point`, once it was crossed `after` times more, does this."""
        if point not in POINTS:
            raise ValueError(f"there is no fault point {point}")
        draft = self.folder / f"draft-{point}-{threading.get_ident()}"  # others may order the same
        draft.write_text(json.dumps({"action": action, "after": after}))
        draft.rename(self.folder / f"order-{point}")

    def withdraw(self, point: str) -> bool:
        """Whether nobody had taken it."""
        with suppress(FileNotFoundError):
            (self.folder / f"order-{point}").unlink()
            return True
        return False

    def taken(self, point: str) -> int | None:
        """The process that took the newest order for this point."""
        found = [int(path.name.rpartition("-")[2]) for path in self.folder.glob(f"taken-{point}-*")]
        return found[0] if found else None

    def forget(self, point: str) -> None:
        """Make room for the point's next order."""
        for path in (*self.folder.glob(f"taken-{point}-*"), *self.folder.glob(f"order-{point}")):
            path.unlink(missing_ok=True)

    def release(self, point: str) -> None:
        """Let go on who waits there."""
        self.forget(point)

    def trace(self, pid: int, since: str | None = None) -> Trace:
        """Of a process that lives or lived; an empty one if it crossed nothing. `since` is when it started (see
        `model.process.started`): ids are given again. Without it, of the newest that had this id."""
        named = [self.folder / f"trace-{pid}-{since}"]
        found = named if since is not None else list(self.folder.glob(f"trace-{pid}-*"))
        try:
            return _read(max(found, key=lambda path: path.stat().st_ctime_ns).read_bytes())
        except (ValueError, FileNotFoundError):
            return Trace(None, Counter())

    def counts(self) -> Counter[str]:
        """How often each point was crossed by all processes together."""
        total: Counter[str] = Counter()
        for path in self.folder.glob("trace-*"):
            with suppress(FileNotFoundError):
                total += _read(path.read_bytes()).counts
        return total


def _read(held: bytes) -> Trace:
    values = [value for (value,) in _COUNT.iter_unpack(held)] if len(held) == _SIZE else [0] * (len(NAMES) + 1)
    last = values[_LAST]
    return Trace(NAMES[last - 1] if last else None, Counter({n: v for n, v in zip(NAMES, values, strict=False) if v}))


def watch(folder: str) -> Callable[[str], None]:
    """What an armed process calls at each point."""
    place = Path(folder)
    process = _Process(place)
    os.register_at_fork(after_in_child=process.begin)
    return process.cross


class _Process:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.begin()

    def begin(self) -> None:
        """A trace of its own; a forked child has another than its parent."""
        self._pid = os.getpid()
        self._map: mmap.mmap | None = None

    def _trace(self) -> mmap.mmap:
        if self._map is None:
            name = f"trace-{self._pid}-{started(self._pid)}"
            handle = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.ftruncate(handle, _SIZE)
                self._map = mmap.mmap(handle, _SIZE)
            finally:
                os.close(handle)
        return self._map

    def cross(self, point: str) -> None:
        number, trace = _NUMBERS[point], self._trace()
        (count,) = _COUNT.unpack_from(trace, number * _COUNT.size)
        _COUNT.pack_into(trace, number * _COUNT.size, count + 1)
        _COUNT.pack_into(trace, _LAST * _COUNT.size, number + 1)
        held = self._folder / f"held-{point}-{self._pid}"
        try:
            os.rename(self._folder / f"order-{point}", held)
        except FileNotFoundError:
            return
        self._obey(point, held)

    def _obey(self, point: str, held: Path) -> None:
        order = json.loads(held.read_text())
        if order["after"] > 0:
            draft = self._folder / f"draft-{point}-{self._pid}-{threading.get_ident()}"
            draft.write_text(json.dumps(order | {"after": order["after"] - 1}))
            held.unlink()
            draft.rename(self._folder / f"order-{point}")
            return
        taken = held.rename(self._folder / f"taken-{point}-{self._pid}")
        match Action(order["action"]):
            case Action.KILL:
                os.kill(self._pid, signal.SIGKILL)
            case Action.STOP:
                os.kill(self._pid, signal.SIGSTOP)
            case Action.FAIL:
                server = point.partition(".")[0] in ("store", "move")
                raise (StoreUnavailable if server else TargetUnreachable)(f"ordered to fail at {point}")
            case Action.HOLD:
                until = time.monotonic() + HOLD_MAX_S
                while taken.exists() and time.monotonic() < until:
                    time.sleep(0.005)
