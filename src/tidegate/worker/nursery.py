"""`python -m tidegate.worker.nursery FD`: a process that has imported all a worker needs and becomes one at a word.

A worker forked here is at work in a few milliseconds instead of half a second, and shares the memory of what was
imported with all others. Over the socket `FD` come orders `{"log": path, "environment": {...}}`, each answered by
`{"pid": n}` or `{"error": text}`; `{"ready": true}` is said once, `{"ended": pid, "code": n}` of every worker, and the
nursery ends when the other side does. Its workers go on.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

import structlog

from tidegate import logs
from tidegate.worker.__main__ import main as work
from tidegate.worker.link import Link

log = structlog.get_logger()

MESSAGE_BYTES_MAX = 1 << 20
NOT_ALONE = 3
"""Exit code: something imported has threads of its own, of which a fork would have none."""


def preload() -> None:
    """Import every connector of this package whose libraries are installed."""
    for package in ("tidegate.sources", "tidegate.targets"):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            try:
                importlib.import_module(f"{package}.{module.name}")
            except ImportError as error:
                log.info("nursery.left_out", connector=module.name, lacks=error.name)
    Link("http://localhost", "").close()  # the transport is imported with the first client
    gc.collect()
    gc.freeze()  # a collection in a worker must not touch, and so copy, what all share


class Nursery:
    """Single-threaded, so that a fork is a whole process."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._ended_read, ended_write = os.pipe()
        for end in (self._ended_read, ended_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(ended_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._pipe = (self._ended_read, ended_write)

    def serve(self) -> bool:
        """Until the other side is gone: False. True in a process that is to be a worker."""
        self._say({"ready": True})
        while True:
            waited_for: list[Any] = [self._orders, self._ended_read]
            readable, _, _ = select.select(waited_for, [], [])
            if self._ended_read in readable:
                with suppress(BlockingIOError):
                    os.read(self._ended_read, 4096)
                self._bury()
            if self._orders in readable:
                order = self._orders.recv(MESSAGE_BYTES_MAX)
                if not order:
                    return False
                if self._obey(json.loads(order)):
                    return True

    def _say(self, said: dict[str, Any]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # serve() sees the end at its next look
            self._orders.send(json.dumps(said).encode())

    def _bury(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})

    def _obey(self, order: dict[str, Any]) -> bool:
        try:
            output = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            self._say({"error": f"its log cannot be opened: {error.strerror}"})
            return False
        try:
            pid = os.fork()
        except OSError as error:
            os.close(output)
            self._say({"error": str(error.strerror)})
            return False
        if pid:
            os.close(output)
            self._say({"pid": pid})
            return False
        self._leave(output, order["environment"])
        return True

    def _leave(self, output: int, environment: dict[str, str]) -> None:
        """In the child: nothing of the nursery is left but what it imported."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in self._pipe:
            os.close(end)
        self._orders.close()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.environ.clear()
        os.environ.update(environment)


def main() -> int:
    logs.configure("info")
    preload()
    if len(os.listdir("/proc/self/task")) > 1:
        log.warning("nursery.not_alone")
        return NOT_ALONE
    orders = socket.socket(fileno=int(sys.argv[1]))
    return work() if Nursery(orders).serve() else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # what was frozen is not taken apart: libraries would call it a leak
