"""A synchronous standby that is slow on purpose: it keeps nothing, and confirms in the last part of each period only.

Meanwhile a commit that waits for it is in the log, and sent to who follows that, while no snapshot sees it yet.
"""

from __future__ import annotations

import select
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

import psycopg
from psycopg import pq

from tidegate.testing.servers import PostgresServer

NAME = "slow"
PERIOD_S = 0.08
CONFIRMS_S = 0.02
AGAIN_S = 0.05
_STATUS = struct.Struct(">cQQQqB")
_WAL = struct.Struct(">xQQq")


class SlowStandby:
    """Follows `server`, which has `slow` in its `synchronous_standby_names`, over every restart. A context manager."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._stay, name="slow standby", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(10)

    def _stay(self) -> None:
        while not self._ending.is_set():
            info = f"host={self._server.host} port={self._server.port} user=postgres replication=true"
            connection = pq.PGconn.connect(f"{info} application_name={NAME} connect_timeout=2".encode())
            try:
                if connection.status == pq.ConnStatus.OK:
                    with suppress(psycopg.Error, ValueError, OSError):  # the server went away, and its socket
                        self._follow(connection)
            finally:
                connection.finish()
            self._ending.wait(AGAIN_S)

    def _follow(self, connection: pq.abc.PGconn) -> None:
        """Until the connection ends."""
        found = connection.exec_(b"IDENTIFY_SYSTEM").get_value(0, 2)
        if found is None or connection.exec_(b"START_REPLICATION PHYSICAL " + found).status != pq.ExecStatus.COPY_BOTH:
            return
        high, _, low = found.decode().partition("/")
        reached = (int(high, 16) << 32) + int(low, 16)
        told = 0
        connection.nonblocking = 1
        while not self._ending.is_set():
            length, data = connection.get_copy_data(1)
            if length < 0:
                return
            if length > 0:
                message = bytes(data)
                if message[:1] == b"w":
                    reached = max(reached, _WAL.unpack_from(message)[0] + length - _WAL.size)
                continue
            if time.monotonic() % PERIOD_S > PERIOD_S - CONFIRMS_S and told != reached:
                connection.put_copy_data(_STATUS.pack(b"r", reached, reached, reached, 0, 0))
                connection.flush()
                told = reached
            if select.select([connection.socket], [], [], 0.005)[0]:
                connection.consume_input()
