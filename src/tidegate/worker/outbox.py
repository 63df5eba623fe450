"""What a worker has to tell, sent in order by a thread of its own, so that the data path never waits for the server.

Events are kept until the server has them. A snapshot is refused if the server does not take it in time: the run goes
on, and the source keeps its log until the next one.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from tidegate.engine.snapshot import Desk, Snapshot, SnapshotKind
from tidegate.errors import Fenced, ServerUnreachable, TidegateError
from tidegate.faultpoint import crossing
from tidegate.model.problem import problem
from tidegate.worker.link import Link

log = structlog.get_logger()

WAITING_MAX = 1_000
AGAIN_S = 0.25
SNAPSHOT_PATIENCE_S = 15.0
# A pause is worth waiting for; the server's own deadline ends it anyway.
PAUSE_PATIENCE_S = 50.0


@dataclass(frozen=True, slots=True)
class _Event:
    name: str
    error: TidegateError | None
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Report:
    id: str
    report: dict[str, Any]


class Outbox:
    def __init__(self, link: Link, fenced: Callable[[], None]) -> None:
        self._link = link
        self._fenced = fenced
        self._waiting: queue.Queue[tuple[Snapshot, Desk] | _Event | _Report | None] = queue.Queue(WAITING_MAX)
        self._thread = threading.Thread(target=self._send, name="outbox", daemon=True)
        self._thread.start()

    def event(self, name: str, error: TidegateError | None = None, **facts: Any) -> None:
        """Raises `queue.Full` when a thousand are waiting already."""
        self._waiting.put_nowait(_Event(name, error, facts))

    def snapshot(self, snapshot: Snapshot, desk: Desk) -> None:
        """Answered over the desk."""
        self._waiting.put_nowait((snapshot, desk))

    def report(self, id: str, report: dict[str, Any]) -> None:
        """The last word of a comparison; it is kept until the server has it."""
        self._waiting.put_nowait(_Report(id, report))

    def close(self, deadline_s: float) -> bool:
        """Send what is waiting; whether all of it was taken in time."""
        self._waiting.put(None)
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def _send(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                if isinstance(item, _Event):
                    self._send_event(item)
                elif isinstance(item, _Report):
                    self._post("verification", {"id": item.id, "report": item.report}, item.id)
                else:
                    self._send_snapshot(*item)
            except Fenced:
                self._fenced()
                return

    def _send_event(self, event: _Event) -> None:
        said = problem(event.error) if event.error else None
        self._post("event", {"name": event.name, "error": said, "facts": event.facts}, event.name)

    def _post(self, path: str, body: dict[str, Any], name: str) -> None:
        while True:
            try:
                self._link.post(path, body)
                return
            except ServerUnreachable:
                time.sleep(AGAIN_S)
            except Fenced:
                raise
            except TidegateError as error:
                log.warning(f"{path}.refused", name=name, code=error.code, detail=error.detail)
                return

    def _send_snapshot(self, snapshot: Snapshot, desk: Desk) -> None:
        body = {
            "kind": str(snapshot.kind),
            "position": str(snapshot.position),
            "sortable": snapshot.position.sortable(),
            "state": snapshot.state,
            "request": snapshot.request,
        }
        patience_s = PAUSE_PATIENCE_S if snapshot.kind is SnapshotKind.PAUSE else SNAPSHOT_PATIENCE_S
        until = time.monotonic() + patience_s
        while True:
            try:
                crossing("snapshot.sending")
                self._link.post("snapshot", body)
                crossing("snapshot.answered")
                desk.stored(snapshot.position)
                return
            except ServerUnreachable as error:
                if time.monotonic() > until:
                    desk.refused(error)
                    return
                time.sleep(AGAIN_S)
            except Fenced:
                raise
            except TidegateError as error:
                desk.refused(error)
                return
