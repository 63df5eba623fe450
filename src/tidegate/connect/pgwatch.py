"""A connection to PostgreSQL on which no wait is for ever: one whose answer cannot come any more ends with an error.

TCP notices a machine that is gone. It does not notice a network that takes bytes and loses them, nor an answer that was
lost. A statement may rightly take hours, so no clock can tell; whoever hears nothing for long asks the server over
another connection whether it is still at work on the statement, or itself waits for this client.
"""

from __future__ import annotations

import fcntl
import os
import socket
import termios
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import PQGen

# How long nothing may be heard before the server is asked. It must say twice that it waits: once, the answer may just
# have been on its way.
SILENCE_S = 30.0
# How long a question may take that any server answers at once.
ASK_DEADLINE_S = 10.0

_UNSENT = b"\0" * 4

T = TypeVar("T")


class WatchedConnection(psycopg.Connection[Any]):
    """As psycopg's, but that waiting raises `OperationalError` once the answer is lost. Until `introduce` was called,
    every wait has `ASK_DEADLINE_S`."""

    _backend: tuple[int, str] | None = None
    _conninfo = ""

    def introduce(self, conninfo: str) -> None:
        """Learn by which name the server knows this connection, and how to connect to ask about it."""
        self._backend = self.execute(
            "select pid, backend_start::text from pg_catalog.pg_stat_activity where pid = pg_catalog.pg_backend_pid()"
        ).fetchone()
        self._conninfo = conninfo

    def wait(self, gen: PQGen[T], *args: Any, **more: Any) -> T:
        try:
            wants = next(gen)
        except StopIteration as over:  # most rows of a COPY are here already
            result: T = over.value
            return result
        try:
            return super().wait(_watched(gen, wants, self._watch()), *args, **more)
        except (ValueError, IndexError) as error:
            # psycopg counts on results that a connection that breaks in the middle of a COPY does not give.
            if self.pgconn.status != pq.ConnStatus.BAD:
                raise
            raise psycopg.OperationalError("the connection was lost while an answer was read") from error

    def _watch(self) -> Callable[[bool], None]:
        """Judges one wait: is called again and again, with whether bytes went in or out since the last time."""
        if self._backend is None:
            return self._until(time.monotonic() + ASK_DEADLINE_S)
        silent_since, unsent, doubts = time.monotonic(), 0, 0

        def look(moved: bool) -> None:
            nonlocal silent_since, unsent, doubts
            now, before, unsent = time.monotonic(), unsent, self._unsent()
            if moved or unsent < before:  # a slow network is no silent one
                silent_since, doubts = now, 0
            elif now - silent_since >= SILENCE_S:
                doubts = 0 if self._at_work() else doubts + 1
                silent_since = time.monotonic()
                if doubts == 2:
                    self._give_up("nothing was heard, and the server is not at work on the statement")

        return look

    def _until(self, deadline: float) -> Callable[[bool], None]:
        def look(_: bool) -> None:
            if time.monotonic() > deadline:
                self._give_up(f"no answer within {ASK_DEADLINE_S:.0f} s")

        return look

    def _at_work(self) -> bool:
        """Whether the server works for this connection; False also when it does not say."""
        pid, started = self._backend or (0, "")
        try:
            with closing(WatchedConnection.connect(self._conninfo, autocommit=True)) as other:
                found = other.execute(
                    "select wait_event_type is distinct from 'Client' from pg_catalog.pg_stat_activity"
                    " where pid = %s and backend_start::text = %s",
                    (pid, started),
                ).fetchone()
        except psycopg.Error:
            return False
        return found is not None and bool(found[0])

    def _unsent(self) -> int:
        """How much of what was sent the other side has not acknowledged."""
        return int.from_bytes(fcntl.ioctl(self.pgconn.socket, termios.TIOCOUTQ, _UNSENT), "little")

    def _give_up(self, reason: str) -> None:
        with socket.socket(fileno=os.dup(self.pgconn.socket)) as same:
            same.shutdown(socket.SHUT_RDWR)
        # libpq reads the end now and knows that it is one: what is done to clean up cannot hang either.
        with suppress(psycopg.Error):
            while self.pgconn.status == pq.ConnStatus.OK:
                self.pgconn.consume_input()
        raise psycopg.OperationalError(reason)


def _watched(gen: PQGen[T], wants: Any, look: Callable[[bool], None]) -> PQGen[T]:
    """The rest of a generator that has begun to wait; each time it waited, `look` is called."""
    try:
        while True:
            ready = yield wants
            look(bool(ready))
            wants = gen.send(ready)
    except StopIteration as over:
        result: T = over.value
        return result
