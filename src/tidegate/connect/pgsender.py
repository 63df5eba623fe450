"""Talking with a PostgreSQL walsender at the level of libpq: every wait has a deadline and lets other threads run."""

from __future__ import annotations

import select
import time

import psycopg
from psycopg import conninfo as texts
from psycopg import pq

from tidegate.errors import SourceUnreachable

CONNECT_DEADLINE_S = 10.0
# How long any server needs at most for the commands asked here; none of them reads the log.
ANSWER_DEADLINE_S = 60.0


def opened(conninfo: str) -> pq.abc.PGconn:
    """A connection that never blocks. Raises `SourceUnreachable`, also when the server refuses."""
    deadline_s = float(texts.conninfo_to_dict(conninfo).get("connect_timeout") or CONNECT_DEADLINE_S)
    until = time.monotonic() + deadline_s
    connection = pq.PGconn.connect_start(conninfo.encode())
    try:
        if connection.status == pq.ConnStatus.BAD:
            raise SourceUnreachable(last_line(connection.error_message))
        while (step := connection.connect_poll()) != pq.PollingStatus.OK:
            if step == pq.PollingStatus.FAILED:
                raise SourceUnreachable(last_line(connection.error_message))
            if not ready(connection, until, writing=step == pq.PollingStatus.WRITING):
                raise SourceUnreachable(f"no connection within {deadline_s:.0f} s")
    except BaseException:
        connection.finish()
        raise
    connection.nonblocking = 1
    return connection


def asked(connection: pq.abc.PGconn, command: str) -> pq.abc.PGresult:
    """The answer to one command; when it begins a COPY, the connection is in it. Raises `SourceUnreachable` if no
    answer comes; the caller closes the connection."""
    try:
        connection.send_query(command.encode())
        until = time.monotonic() + ANSWER_DEADLINE_S
        while connection.flush():
            _wait(connection, until, writing=True)
        answer = awaited(connection, until)
        if answer is None:
            raise SourceUnreachable("the server ended the connection instead of answering")
        if answer.status != pq.ExecStatus.COPY_BOTH:
            while awaited(connection, until) is not None:
                pass  # libpq wants to be read to the end before the next command
    except psycopg.Error as error:
        raise SourceUnreachable(last_line(connection.error_message)) from error
    return answer


def awaited(connection: pq.abc.PGconn, until: float) -> pq.abc.PGresult | None:
    """The next result, or None when there is none. Raises `SourceUnreachable` when it is not here in time, and
    psycopg's `OperationalError` when the connection is lost."""
    while connection.is_busy():
        _wait(connection, until)
        connection.consume_input()
    return connection.get_result()


def _wait(connection: pq.abc.PGconn, until: float, *, writing: bool = False) -> None:
    if not ready(connection, until, writing=writing):
        raise SourceUnreachable("the server did not answer in time")


def ready(connection: pq.abc.PGconn, until: float, *, writing: bool = False) -> bool:
    """Wait until there is something to read (or room to write), at most until then; whether there is."""
    poll = select.poll()
    poll.register(connection.socket, select.POLLOUT if writing else select.POLLIN)
    return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))


def last_line(message: bytes) -> str:
    """What libpq says in the end."""
    lines = message.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "the server does not answer"
