"""Sends what a worker logs to its server while it runs: what was said a second ago is stored there, whatever becomes of
the process. The data path only puts lines into a list; while the server is away the newest are kept, as many as there
is room for, and a line says how many were lost."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from tidegate import logs
from tidegate.errors import Fenced, ServerUnreachable, TidegateError
from tidegate.model.logline import EXCEPTION_MAX, FIELDS_MAX, LOGGER_MAX, MESSAGE_MAX
from tidegate.worker.link import Link

EVERY_S = 1.0
AGAIN_S = 2.0
WAITING_MAX = 2_000
AT_ONCE = 200

_OWN = ("event", "level", "timestamp", "logger", "exception")


class Shipper:
    """Thread-safe."""

    def __init__(self, link: Link, every_s: float = EVERY_S) -> None:
        self._link, self._every_s = link, every_s
        self._waiting: deque[dict[str, Any]] = deque()
        self._lost = 0
        self._said = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._unwanted = False
        self._thread = threading.Thread(target=self._ship, name="log", daemon=True)
        self._thread.start()

    def take(self, entry: logs.Entry) -> None:
        """A line, as `logs.hand_to` gives it. Neither waits nor raises."""
        with self._lock:
            if self._unwanted:
                return
            self._say(entry)
            if len(self._waiting) > WAITING_MAX:
                self._waiting.popleft()
                self._lost += 1
        self._wake.set()

    def _say(self, entry: logs.Entry) -> None:
        self._said += 1
        exception = entry.get("exception")
        self._waiting.append(
            {
                "seq": self._said,
                "at": entry["timestamp"],
                "level": entry.get("level", "info"),
                "logger": str(entry.get("logger", ""))[:LOGGER_MAX],
                "message": str(entry.get("event", ""))[:MESSAGE_MAX],
                "exception": str(exception)[:EXCEPTION_MAX] if exception else None,
                "fields": dict([item for item in entry.items() if item[0] not in _OWN][:FIELDS_MAX]),
            }
        )

    def close(self, deadline_s: float) -> None:
        """Send what waits, if that can be done in time; nothing is sent any more after that."""
        logs.settle(everything=True)
        self._closing.set()
        self._wake.set()
        self._thread.join(deadline_s)

    def _ship(self) -> None:
        pause_s = 0.0
        while True:
            self._closing.wait(pause_s)
            self._wake.wait(self._every_s)
            self._wake.clear()
            if not self._closing.is_set():
                logs.settle()
            pause_s = self._every_s
            try:
                while self._send():
                    pass
            except Fenced:
                self._give_up()
                return
            except ServerUnreachable:
                self._wake.set()  # what is left is sent again
                pause_s = AGAIN_S
                if self._closing.is_set():
                    time.sleep(self._every_s)  # as long as there is somebody who waits for it
                    continue
            if self._closing.is_set():
                return

    def _send(self) -> bool:
        """Send some of what waits; whether there is more. Raises `ServerUnreachable`, `Fenced`."""
        with self._lock:
            if self._lost:
                lost, self._lost = self._lost, 0
                lines = {"event": "log.lost", "level": "warning", "timestamp": round(time.time(), 3), "lines": lost}
                self._say(lines | {"logger": "worker.shipping"})
            sent = [self._waiting[at] for at in range(min(AT_ONCE, len(self._waiting)))]
        if not sent:
            return False
        refused = False
        try:
            self._link.post("log", {"lines": sent})
        except (ServerUnreachable, Fenced):
            raise
        except TidegateError:
            refused = True  # sent again it would be refused again
        with self._lock:
            while self._waiting and self._waiting[0]["seq"] <= sent[-1]["seq"]:
                self._waiting.popleft()
            self._lost += len(sent) if refused else 0
            return bool(self._waiting) and not refused

    def _give_up(self) -> None:
        with self._lock:
            self._unwanted = True
            self._waiting.clear()
