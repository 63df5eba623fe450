"""A connection to the store's PostgreSQL on which no wait is for ever.

A statement of the store is short and ends by its own time limit at the server. A server that does not even say so
stands still, or its answer was lost; TCP, which goes on acknowledging, notices neither.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

ANSWER_S = 35.0
"""More than the server's own limit for a statement."""

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[Any]):
    """As psycopg's, but that waiting for more than `ANSWER_S` closes it and raises `OperationalError`."""

    def wait(self, gen: PQGen[T], *args: Any, **more: Any) -> T:
        try:
            wants = next(gen)
        except StopIteration as over:
            result: T = over.value
            return result
        return super().wait(self._until(gen, wants, time.monotonic() + ANSWER_S), *args, **more)

    def _until(self, gen: PQGen[T], wants: Any, deadline: float) -> PQGen[T]:
        while True:
            ready = yield wants
            if not ready and time.monotonic() > deadline:
                gen.close()
                self.pgconn.finish()  # an answer that comes later must not be taken for another's
                raise psycopg.OperationalError(f"no answer within {ANSWER_S:g} s")
            try:
                wants = gen.send(ready)
            except StopIteration as over:
                result: T = over.value
                return result
