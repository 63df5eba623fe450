"""Runs workers as processes of this machine, each in a session of its own so that it outlives the server.

A process is known by its id and its start: an id that was given to another process is never taken for the worker, and
never killed. The end of a worker is noticed at once, also of one that an earlier server started.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tidegate.errors import EnvironmentLacking
from tidegate.faultpoint import VARIABLE
from tidegate.model.process import started
from tidegate.server.nursery import Nursery

PREFIX = "TIDEGATE_"
ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Of a worker, unless the server's own environment names another: with Arrow's usual one a worker that catches up holds
five megabytes more, for the same time."""
LOGS_KEPT = 20
"""Of each run: the output of its last workers. One that is restarted for weeks must not fill the disk."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process."""

    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class Launch:
    """What is needed to start a worker."""

    run_id: int
    run_key: str
    epoch: int
    token: str


class Engine(Protocol):
    """Where workers run. No method waits for a worker."""

    def start(self, launch: Launch) -> Worker:
        """Raises `TidegateError` when it cannot be started."""

    def alive(self, worker: Worker) -> bool:
        """Whether it has not ended."""

    def watch(self, worker: Worker) -> None:
        """Have its end noticed at once. May be repeated."""

    def kill(self, worker: Worker) -> None:
        """End it, whatever it is doing. One that has ended is no error."""

    def exit_code(self, worker: Worker) -> int | None:
        """What it ended with, negative for a signal, once after its end; None when that cannot be known."""


class LocalEngine:
    """`noticed` is called from a thread of the engine whenever a worker ended."""

    def __init__(
        self,
        url: str,
        data_dir: Path,
        *,
        noticed: Callable[[Worker], None],
        environment: Mapping[str, str] | None = None,
        handed_on: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "tidegate.worker"),
        warm: bool = False,
    ) -> None:
        """`url` is where workers reach the server; `handed_on` goes into their environment. With `warm` workers come
        out of a process that has imported what they need, once the first was started."""
        self._url = url
        self._logs = data_dir / "logs"
        self._noticed = noticed
        inherited = os.environ if environment is None else environment
        # The server's own settings, its secret key among them, are none of the workers' business (I8).
        passed_on = {n: value for n, value in inherited.items() if not n.startswith(PREFIX) or n == VARIABLE}
        self._environment = ALLOCATOR | passed_on | dict(handed_on or {})
        self._command = list(command)
        self._warm = warm
        self._nursery: Nursery | None = None
        self._lock = threading.RLock()
        self._watched: dict[Worker, int] = {}
        self._children: set[int] = set()
        self._codes: dict[Worker, int] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._closing = False
        self._thread = threading.Thread(target=self._watch, name="worker watch", daemon=True)
        self._thread.start()

    def start(self, launch: Launch) -> Worker:
        """Its output goes to `logs/<run key>-<epoch>.log`. Raises `EnvironmentLacking`."""
        log = self._logs / f"{launch.run_key}-{launch.epoch}.log"
        environment = self._environment | {
            f"{PREFIX}WORKER_URL": self._url,
            f"{PREFIX}WORKER_TOKEN": launch.token,
        }
        try:
            self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._drop_old_logs(launch)
            pid = self._nursed(log, environment) or self._spawned(log, environment)
        except OSError as error:
            raise EnvironmentLacking(f"no worker process could be started: {error.strerror}") from error
        # Not reaped before it is watched, so the id is still its own even if it has ended.
        worker = Worker(pid, started(pid) or "ended")
        self.watch(worker)
        return worker

    def _drop_old_logs(self, launch: Launch) -> None:
        for path in self._logs.glob(f"{launch.run_key}-*.log"):
            epoch = path.stem.rpartition("-")[2]
            if epoch.isdigit() and int(epoch) <= launch.epoch - LOGS_KEPT:
                path.unlink(missing_ok=True)

    def _spawned(self, log: Path, environment: Mapping[str, str]) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            self._command[0],
            self._command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE),
        )
        with self._lock:
            self._children.add(pid)
        return pid

    def _nursed(self, log: Path, environment: Mapping[str, str]) -> int | None:
        """The first worker does not wait for the nursery; what follows finds it ready."""
        with self._lock:
            if not self._warm or self._closing:
                return None
            if self._nursery is None or self._nursery.gone:
                self._nursery = Nursery(self._environment, self._logs / "nursery.log")
                return None
            nursery = self._nursery
        return nursery.start(log, environment)

    def wait_warm(self, deadline_s: float) -> bool:
        """Whether the nursery takes orders, waiting for it up to `deadline_s`."""
        with self._lock:
            nursery = self._nursery
        return nursery is not None and nursery.wait_ready(deadline_s)

    def alive(self, worker: Worker) -> bool:
        """Whether it has not ended."""
        with self._lock:
            if worker in self._watched:
                return True
        return started(worker.pid) == worker.started

    def watch(self, worker: Worker) -> None:
        """Have its end noticed at once. May be repeated."""
        with self._lock:
            if worker in self._watched or self._closing:
                return
            handle = self._opened(worker)
            if handle is not None:
                self._watched[worker] = handle
                self._selector.register(handle, selectors.EVENT_READ, worker)
        if handle is not None:
            self._stir()
        else:
            self._noticed(worker)

    def kill(self, worker: Worker) -> None:
        """End it, whatever it is doing. One that has ended is no error."""
        handle = self._opened(worker)
        if handle is None:
            return
        try:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)

    def exit_code(self, worker: Worker) -> int | None:
        """What it ended with, negative for a signal, once after its end; None for another server's child."""
        with self._lock:
            return self._codes.pop(worker, None)

    def close(self) -> None:
        """Stop watching; the workers go on. Idempotent."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        self._stir()
        self._thread.join(5)
        if self._nursery is not None:
            self._nursery.close()
        for handle in (*self._watched.values(), self._wake_read, self._wake_write):
            os.close(handle)
        self._watched.clear()
        self._selector.close()

    # --- inside ---

    def _opened(self, worker: Worker) -> int | None:
        """A handle of exactly this process; None if it has ended or another one has its id now."""
        try:
            handle = os.pidfd_open(worker.pid)
        except ProcessLookupError:
            return None
        # Looked at after the handle is held: from here on the id cannot change hands unseen.
        if started(worker.pid) != worker.started:
            os.close(handle)
            self._reap(worker)
            return None
        return handle

    def _watch(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._wake_read, 4096)
                    if self._closing:
                        return
                    continue
                worker: Worker = key.data
                with self._lock:
                    self._selector.unregister(key.fileobj)
                    os.close(self._watched.pop(worker))
                self._reap(worker)
                self._noticed(worker)

    def _reap(self, worker: Worker) -> None:
        nursery = self._nursery
        code = nursery.exit_code(worker.pid) if nursery is not None else None
        with self._lock:
            if code is not None:
                self._codes[worker] = code
            if worker.pid not in self._children:
                return
            try:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = worker.pid, 0
            if pid:
                self._children.discard(worker.pid)
                self._codes[worker] = os.waitstatus_to_exitcode(status)

    def _stir(self) -> None:
        os.write(self._wake_write, b".")
