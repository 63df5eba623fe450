"""Saved states on their way to the store, and the desk where other threads leave their wishes for a pipeline."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from tidegate.errors import TidegateError
from tidegate.model.position import Position


class SnapshotKind(StrEnum):
    PERIODIC = "periodic"
    PAUSE = "pause"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved state. `position` is in the target already; `request` is the manual request it answers."""

    kind: SnapshotKind
    position: Position
    state: dict[str, Any]
    request: str | None = None


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Whether source and target are equal, asked by somebody. `tell` takes a report, the last one with `state` done or
    ended, and says whether anybody still wants it; it is called on a thread of the inspection's own."""

    id: str
    tell: Callable[[dict[str, Any]], bool]
    tables: tuple[str, ...] = ()
    """Names or patterns; empty: all tables."""
    wait: bool = False
    """Whether to wait for tables that are still being copied."""
    keys: bool = False
    """Whether rows that differ are listed by their keys, `limit` of each table."""
    limit: int = 0
    deadline_s: float = 3600.0


class Hooks(Protocol):
    """Where a pipeline tells what happened. Must not block for long."""

    def opened(self) -> None:
        """Both ends are open and the run's state is stored."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Store this; the answer comes back over the desk."""

    def event(self, name: str, facts: dict[str, Any]) -> None:
        """Something an operator wants on the time line."""


class Desk:
    """Thread-safe. Wishes stay until the pipeline's thread takes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._end: SnapshotKind | None = None
        self._requests: deque[str] = deque()
        self._inquiries: deque[Inquiry] = deque()
        self._inquired: deque[str] = deque(maxlen=100)
        self._stored: Position | None = None
        self._refused: TidegateError | None = None
        self.abandoned = False

    # --- left by others ---

    def pause(self) -> None:
        """End with a pause snapshot; without one, go on."""
        with self._lock:
            self._end = SnapshotKind.PAUSE

    def drain(self) -> None:
        """End as soon as what was taken is written; a last snapshot is stored if the store answers."""
        with self._lock:
            self._end = self._end or SnapshotKind.PERIODIC

    def abandon(self) -> None:
        """End at once: the run belongs to somebody else now."""
        self.abandoned = True

    def ask_snapshot(self, request: str) -> None:
        with self._lock:
            if request not in self._requests:
                self._requests.append(request)

    def inquire(self, inquiry: Inquiry) -> None:
        """Have source and target compared. One that was asked already is not taken again."""
        with self._lock:
            if inquiry.id not in self._inquired:
                self._inquired.append(inquiry.id)
                self._inquiries.append(inquiry)

    def stored(self, position: Position) -> None:
        """The store keeps a snapshot of this position."""
        with self._lock:
            self._stored = position

    def refused(self, error: TidegateError) -> None:
        """The store did not take the snapshot."""
        with self._lock:
            self._refused = error

    # --- taken by the pipeline ---

    @property
    def ending(self) -> SnapshotKind | None:
        return self._end

    def stay(self) -> None:
        """The pause failed."""
        with self._lock:
            self._end = None

    def next_request(self) -> str | None:
        with self._lock:
            return self._requests.popleft() if self._requests else None

    def next_inquiry(self) -> Inquiry | None:
        with self._lock:
            return self._inquiries.popleft() if self._inquiries else None

    def answer(self) -> tuple[Position | None, TidegateError | None]:
        """The newest position stored and the newest refusal since last asked."""
        with self._lock:
            answer = self._stored, self._refused
            self._stored, self._refused = None, None
            return answer
