"""Takes lines of the log from workers and from this server, and writes them to the store a few times a second, all of
them in one transaction. A worker's lines are stored once they are answered for; the server's own wait for a store that
is away, as many as there is room for. Here they are forgotten, too: by age, and by the room each task may take.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

import structlog

from tidegate import logs
from tidegate.errors import StoreUnavailable
from tidegate.model.logline import EXCEPTION_MAX, LOGGER_MAX, MESSAGE_MAX, Container, LogLevel, LogLine
from tidegate.server.clock import Clock
from tidegate.store import lines as stored_lines
from tidegate.store.database import Database

log = structlog.get_logger()

GATHER_S = 0.2
"""How long the first line waits for others that are written with it."""
AGAIN_S = 1.0
AT_ONCE = 5_000
WAITING_MAX = 20_000
LISTENERS_MAX = 200
SPEAKERS_MAX = 20_000
LOOK_S = 5.0
FORGET_S = 60.0
FORGOTTEN_AT_ONCE = 5_000
SLACK_SHARE = 0.1
"""A task is trimmed when it takes so much more than it may."""
GOODBYE_S = 1.0

Worker = tuple[int, int, int]
"""Task, run and epoch."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    lines: Sequence[LogLine]
    worker: Worker
    done: Future[None]


class Journal:
    """Safe to use from many threads. Its own begins with the first line, or with `start`."""

    def __init__(self, db: Database, clock: Clock, *, keep_s: float, keep_bytes: int) -> None:
        """Lines are kept for `keep_s`, and of each task at most about `keep_bytes`."""
        self._db, self._clock = db, clock
        self._keep_s, self._keep_bytes = keep_s, keep_bytes
        self._lock = threading.Lock()
        self._waiting: deque[_Delivery] = deque()
        self._count = 0
        self._own: deque[LogLine] = deque(maxlen=WAITING_MAX)
        self._own_lost = 0
        self._seq = itertools.count(1)
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._said: dict[Worker, int] = {}
        self._takes: dict[int | None, int] = {}
        """By task: about how much room its lines take, or more, for what was forgotten by age counts on."""
        self._forget_due = 0.0
        self._released = False
        self._listeners: dict[int | None, set[Callable[[], None]]] = {}

    # --- taking lines ---

    def start(self) -> None:
        """Begin to write and to forget. Idempotent."""
        with self._lock:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._loop, name="journal", daemon=True)
                self._thread.start()

    def put(self, lines: Sequence[LogLine], worker: Worker) -> Future[None]:
        """What a worker says, in the order of its `seq`; the future ends once it is stored, with `StoreUnavailable` if
        that fails. Lines that were stored before are not stored again. Raises `StoreUnavailable` when too many wait."""
        delivery = _Delivery(lines, worker, Future())
        with self._lock:
            if self._closing or self._count + len(lines) > WAITING_MAX:
                raise StoreUnavailable("too many lines of the log wait to be stored")
            self._waiting.append(delivery)
            self._count += len(lines)
        self.start()
        self._wake.set()
        return delivery.done

    def take(self, entry: logs.Entry) -> None:
        """A line of this server, as `logs.hand_to` gives it. Neither waits nor raises."""
        line = line_of(entry, Container.SERVER, seq=next(self._seq))
        with self._lock:
            if self._closing:
                return
            self._own_lost += len(self._own) == WAITING_MAX  # the oldest goes
            self._own.append(line)
        self.start()
        self._wake.set()

    def close(self) -> None:
        """Write what waits, if that can be done soon; nothing is taken any more. Idempotent."""
        with self._lock:
            self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(GOODBYE_S)

    # --- who waits for lines ---

    async def arrival(self, task_id: int | None, deadline_s: float) -> None:
        """Returns when lines of the task may have been stored by this server, or at the deadline."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is over
                loop.call_soon_threadsafe(arrived.set)

        with self._lock:
            if self._released:
                return
            self._listeners.setdefault(task_id, set()).add(tell)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(arrived.wait(), deadline_s)
        finally:
            with self._lock:
                self._listeners[task_id].discard(tell)
                if not self._listeners[task_id]:
                    del self._listeners[task_id]

    def release(self) -> None:
        """Nobody waits for lines any more: the server ends."""
        with self._lock:
            self._released = True
            listeners = [tell for told in self._listeners.values() for tell in told]
        for tell in listeners:
            tell()

    @property
    def patient(self) -> bool:
        """Whether somebody more may wait for lines."""
        return not self._released and self.listeners < LISTENERS_MAX

    @property
    def listeners(self) -> int:
        with self._lock:
            return sum(map(len, self._listeners.values()))

    # --- its thread ---

    def _loop(self) -> None:
        while not self._closing:
            self._wake.wait(LOOK_S)
            logs.settle()
            if self._wake.is_set() and not self._closing:
                time.sleep(GATHER_S)
            self._wake.clear()
            try:
                while self._write():
                    pass
                self._forget_sometimes()
            except StoreUnavailable as error:
                log.warning("log.store_unavailable", detail=error.detail)
                time.sleep(AGAIN_S)
            except Exception:
                log.exception("log.crashed")
                time.sleep(AGAIN_S)
        with suppress(StoreUnavailable):
            while self._write():
                pass

    def _write(self) -> bool:
        """Store some of what waits; whether there may be more."""
        deliveries, own = self._taken()
        if not deliveries and not own:
            return False
        try:
            lines = [*self._fresh(deliveries), *own]
            with self._db.write() as tx:
                self._db.alone(tx)
                stored_lines.add(tx, lines)
        except Exception as error:
            away = isinstance(error, StoreUnavailable)
            self._put_back(own if away else ())
            for one in deliveries:
                self._said.pop(one.worker, None)  # it may have been committed: what is stored is looked up again
                one.done.set_exception(error if away else StoreUnavailable("lines of the log could not be stored"))
            raise
        for one in deliveries:
            if one.lines:
                self._said[one.worker] = max(self._said.get(one.worker, 0), one.lines[-1].seq)
            one.done.set_result(None)
        self._tell({line.task_id for line in lines})
        self._account(lines)
        return True

    def _taken(self) -> tuple[list[_Delivery], list[LogLine]]:
        with self._lock:
            deliveries: list[_Delivery] = []
            left = AT_ONCE
            while self._waiting and left > 0:
                one = self._waiting.popleft()
                self._count -= len(one.lines)
                left -= len(one.lines)
                if one.done.set_running_or_notify_cancel():  # who gave up waiting sends it again
                    deliveries.append(one)
            own = [self._own.popleft() for _ in range(min(AT_ONCE, len(self._own)))]
            lost, self._own_lost = self._own_lost, 0
        if lost:
            at = round(self._clock.now(), 3)
            own.insert(
                0, LogLine(at, LogLevel.WARNING, Container.SERVER, "server.journal", "log.lost", {"lines": lost})
            )
        return deliveries, own

    def _put_back(self, own: Sequence[LogLine]) -> None:
        with self._lock:
            room = WAITING_MAX - len(self._own)
            self._own_lost += max(0, len(own) - room)
            self._own.extendleft(reversed(own[max(0, len(own) - room) :]))

    def _fresh(self, deliveries: Sequence[_Delivery]) -> list[LogLine]:
        """Without what a worker sends again because it was not told that it is stored."""
        found: list[LogLine] = []
        said: dict[Worker, int] = {}
        for one in deliveries:
            upto = said[one.worker] if one.worker in said else self._upto(one.worker)
            found += (line for line in one.lines if line.seq > upto)
            said[one.worker] = max(upto, max((line.seq for line in one.lines), default=0))
        return found

    def _upto(self, worker: Worker) -> int:
        known = self._said.get(worker)
        if known is None:
            if len(self._said) >= SPEAKERS_MAX:
                self._said.clear()
            with self._db.read() as tx:
                known = self._said[worker] = stored_lines.newest_seq(tx, *worker)
        return known

    def _tell(self, tasks: set[int | None]) -> None:
        with self._lock:
            listeners = [tell for task in tasks for tell in self._listeners.get(task, ())]
        for tell in listeners:
            tell()

    # --- forgetting ---

    def _account(self, lines: Sequence[LogLine]) -> None:
        """Trim the tasks that take too much room."""
        more: dict[int | None, int] = {}
        for line in lines:
            more[line.task_id] = more.get(line.task_id, 0) + stored_lines.size_bytes(line)
        for task, size_bytes in more.items():
            if task in self._takes:
                self._takes[task] += size_bytes
            else:
                with self._db.read() as tx:
                    self._takes[task] = stored_lines.kept_bytes(tx, task)
            if self._takes[task] > self._keep_bytes * (1 + SLACK_SHARE):
                self._trim(task)

    def _trim(self, task: int | None) -> None:
        more = True
        while more:
            with self._db.write() as tx:
                more = stored_lines.trim(tx, task, self._keep_bytes, FORGOTTEN_AT_ONCE)
        with self._db.read() as tx:
            self._takes[task] = stored_lines.kept_bytes(tx, task)

    def _forget_sometimes(self) -> None:
        if self._clock.ticks() >= self._forget_due:
            self._forget_due = self._clock.ticks() + FORGET_S
            self.forget()

    def forget(self) -> None:
        """Forget what is too old. Raises `StoreUnavailable`."""
        more = True
        while more and not self._closing:
            with self._db.write() as tx:
                more = stored_lines.forget(tx, self._clock.now() - self._keep_s, FORGOTTEN_AT_ONCE)


_LEVELS = {level.value: level for level in LogLevel}
_OWN = ("event", "level", "timestamp", "logger", "exception", "task", "run")


def line_of(entry: logs.Entry, container: Container, *, seq: int) -> LogLine:
    """A line from what `logs` gives. Its `task` and `run`, where they are numbers, say whose it is."""
    task, run = entry.get("task"), entry.get("run")
    whose = isinstance(task, int)
    kept = {key: value for key, value in entry.items() if key not in _OWN}
    if not whose:
        kept |= {key: value for key, value in (("task", task), ("run", run)) if value is not None}
    return LogLine(
        at=float(entry["timestamp"]),
        level=_LEVELS.get(str(entry.get("level")), LogLevel.ERROR),
        container=container,
        logger=str(entry.get("logger", ""))[:LOGGER_MAX],
        message=str(entry.get("event", ""))[:MESSAGE_MAX],
        fields=kept,
        exception=str(entry["exception"])[:EXCEPTION_MAX] if entry.get("exception") else None,
        task_id=task if isinstance(task, int) else None,
        run=run if whose and isinstance(run, int) else None,
        seq=seq,
    )
