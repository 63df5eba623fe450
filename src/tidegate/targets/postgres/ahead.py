"""Iterators worked on by a thread of its own, a few items ahead of who takes them."""

from __future__ import annotations

import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """One thread makes, one takes. What was begun is taken in the order it was begun in, each to its end; or all of it
    is given up, by `stop`."""

    def __init__(self, room: int, name: str) -> None:
        """At most `room` items wait to be taken."""
        self._shared = _Shared(room)
        jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._jobs = jobs
        threading.Thread(target=_work, args=(jobs,), name=name, daemon=True).start()
        weakref.finalize(self, _leave, jobs, self._shared)

    def begin(self, items: Iterator[T]) -> Iterator[T]:
        """The same items; what making one raises is raised where that would have been taken."""
        stream: _Stream[T] = _Stream(self._shared, items)
        self._jobs.put(stream.make)
        return stream.taken()

    def stop(self) -> None:
        self._shared.stop()


class _Shared:
    """How many items wait, of all streams together. Each `turn` ends with `stop`."""

    def __init__(self, room: int) -> None:
        self.changed = threading.Condition()
        self.room, self.waiting, self.turn = room, 0, 0

    def stop(self) -> None:
        with self.changed:
            self.turn += 1
            self.waiting = 0
            self.changed.notify_all()


class _Stream(Generic[T]):
    def __init__(self, shared: _Shared, items: Iterator[T]) -> None:
        self._shared, self._items, self._turn = shared, items, shared.turn
        self._made: deque[T] = deque()
        self._ended = False
        self._failure: BaseException | None = None

    def make(self) -> None:
        """Until all are made, or nobody wants them any more."""
        shared = self._shared
        try:
            while self._turn == shared.turn:
                item = next(self._items)
                with shared.changed:
                    shared.changed.wait_for(lambda: shared.waiting < shared.room or self._turn != shared.turn)
                    if self._turn == shared.turn:
                        shared.waiting += 1
                        self._made.append(item)
                        shared.changed.notify_all()
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001  raised in `taken`
            self._failure = error
        with shared.changed:
            self._ended = True
            shared.changed.notify_all()

    def taken(self) -> Iterator[T]:
        shared = self._shared
        while True:
            with shared.changed:
                shared.changed.wait_for(lambda: bool(self._made) or self._ended)
                if not self._made:
                    break
                item = self._made.popleft()
                shared.waiting -= 1
                shared.changed.notify_all()
            yield item
        if self._failure is not None:
            raise self._failure


def _work(jobs: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := jobs.get()) is not None:
        job()


def _leave(jobs: queue.SimpleQueue[Callable[[], None] | None], shared: _Shared) -> None:
    shared.stop()
    jobs.put(None)
