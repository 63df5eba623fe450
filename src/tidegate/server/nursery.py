"""The server's side of the nursery: asks a warm process for workers, and knows how they ended.

Everything about it is optional: while it is not ready, and whenever it fails, `start` says None and the engine starts
the worker as a process of its own.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()

MESSAGE_BYTES_MAX = 1 << 20
ANSWER_DEADLINE_S = 5.0
# The nursery hears of an end when the engine does.
CODE_DEADLINE_S = 1.0
# Arrow's second allocator would start a thread when it is loaded; the nursery must be alone in its process to fork.
_ALONE = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
COMMAND = (sys.executable, "-m", "tidegate.worker.nursery")


class Nursery:
    def __init__(self, environment: Mapping[str, str], output: Path, command: Sequence[str] = COMMAND) -> None:
        """Starts the process; returns at once. Raises OSError."""
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._codes: dict[int, int] = {}
        self._children: set[int] = set()
        self._changed = threading.Condition()
        self._asking = threading.Lock()
        self._ready = threading.Event()
        self._gone = False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        try:
            with theirs:
                handle = 3 if theirs.fileno() != 3 else 4
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                self._pid = os.posix_spawn(
                    command[0],
                    [*command, str(handle)],
                    {**environment, **_ALONE},
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o600),
                        (os.POSIX_SPAWN_DUP2, 1, 2),
                        (os.POSIX_SPAWN_DUP2, theirs.fileno(), handle),
                    ],
                    setsid=True,
                    setsigmask=(),
                )
        except OSError:
            ours.close()
            raise
        self._thread = threading.Thread(target=self._listen, name="nursery", daemon=True)
        self._thread.start()

    @property
    def gone(self) -> bool:
        """Whether it ended; another one may be started."""
        return self._gone

    def wait_ready(self, deadline_s: float) -> bool:
        """Whether it takes orders, waiting up to `deadline_s`."""
        return self._ready.wait(deadline_s) and not self._gone

    def start(self, output: Path, environment: Mapping[str, str]) -> int | None:
        """The new worker's process id; None if there is none of it."""
        if not self._ready.is_set() or self._gone:
            return None
        with self._asking:
            try:
                self._socket.send(json.dumps({"log": str(output), "environment": dict(environment)}).encode())
                answer = self._answers.get(timeout=ANSWER_DEADLINE_S)
            except (OSError, queue.Empty):
                # Should it make a worker all the same: the store takes the first of an epoch and refuses the second.
                self.close()
                return None
        if "pid" not in answer:
            log.warning("nursery.refused", error=answer.get("error"))
            return None
        with self._changed:
            self._children.add(answer["pid"])
        return int(answer["pid"])

    def exit_code(self, pid: int) -> int | None:
        """Of a worker of the nursery that has ended; None when that is not known."""
        with self._changed:
            if pid not in self._children:
                return None
            self._changed.wait_for(lambda: pid in self._codes or self._gone, CODE_DEADLINE_S)
            self._children.discard(pid)
            return self._codes.pop(pid, None)

    def close(self) -> None:
        """End the nursery; its workers go on. Idempotent."""
        self._gone = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it was closed before, or the other side is gone

    def _listen(self) -> None:
        while True:
            try:
                message = self._socket.recv(MESSAGE_BYTES_MAX)
            except OSError:
                message = b""
            if not message:
                break
            said = json.loads(message)
            if "ready" in said:
                self._ready.set()
            elif "ended" in said:
                with self._changed:
                    self._codes[said["ended"]] = said["code"]
                    self._changed.notify_all()
            else:
                self._answers.put(said)
        with self._changed:
            self._gone = True
            self._changed.notify_all()
        self._ready.set()
        self._socket.close()
        _, status = os.waitpid(self._pid, 0)
        log.info("nursery.ended", code=os.waitstatus_to_exitcode(status))
