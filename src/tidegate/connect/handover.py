"""What a reading thread hands to the one that writes: a few entries, in order, and no more than there is room for."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    def __init__(self) -> None:
        self._entries: deque[T] = deque()
        self._changed = threading.Condition()
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether somebody waits, or has waited in vain, for an entry."""
        return self._asked and not self._entries

    def put(self, entry: T, *, room: int, timeout_s: float) -> bool:
        """Once fewer than `room` are there; False: they still are after `timeout_s`."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._entries) < room, timeout_s):
                return False
            self._entries.append(entry)
            self._asked = False
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float) -> T | None:
        """The next; None: there is none after `timeout_s`."""
        with self._changed:
            if not self._entries:
                self._asked = True
                if timeout_s <= 0 or not self._changed.wait_for(lambda: self._entries, timeout_s):
                    return None
            self._changed.notify_all()
            return self._entries.popleft()

    def __len__(self) -> int:
        return len(self._entries)
