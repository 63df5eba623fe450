"""The replication protocol of MariaDB and MySQL: registering as a replica, asking for the binary log from a place on,
and taking its packets off the connection in gulps. The driver connects, authenticates and encrypts.

Format: MariaDB documentation, "Replication Protocol" and "COM_BINLOG_DUMP"; "Packet" for framing. MySQL Source Code
Documentation, "Replication Protocol".
"""

from __future__ import annotations

import struct
import time
from contextlib import suppress
from typing import Any

import pymysql

from tidegate.connect.mariadb import MariadbConfig, connect, translated
from tidegate.connect.myfiles import DUMP, FIRST_EVENT
from tidegate.connect.myflavour import Flavour
from tidegate.connect.myposition import Place
from tidegate.connect.mysession import drop, rows, socket_of
from tidegate.errors import (
    PositionLost,
    SourceLogFormat,
    SourcePrivilegeMissing,
    SourceServerIdTaken,
    SourceUnreachable,
    TidegateError,
)

_REGISTER = 0x15
GULP_BYTES = 256 << 10
LISTEN_S = 0.2
HEARTBEAT_S = 1
# A server that says nothing for so long is gone: it was asked for a heartbeat each second.
SILENCE_MAX_S = 90.0

# ER_SLAVE_SAME_ID: another replica came with the server id.
_SAME_ID = 4052


class MyStream:
    """One COM_BINLOGDUMP, read by one thread."""

    def __init__(self, config: MariadbConfig, start: Place, server_id: int, name: str, *, server: str | None) -> None:
        """`name` is what the server lists the replica under; `server` is the name, among those that replicate, of the
        one that must answer. Raises the error table's classes."""
        self._config = config
        self._server_id = server_id
        self._heard_at = time.monotonic()
        self._connection = connect(config, "source")
        try:
            self.checksums = self._introduce(server, server_id, name)
            self._send(_REGISTER, _registration(server_id, name), answered=True)
            file, offset = start.file.encode(), asked_from(start)
            self._send(DUMP, struct.pack("<IHI", offset, 0, server_id) + file, answered=False)
            self._socket = socket_of(self._connection)
            self._socket.settimeout(LISTEN_S)
        except BaseException as error:
            self.close()
            if isinstance(error, (pymysql.Error, OSError)):
                raise translated(error, "source", config) from error
            raise

    def _introduce(self, server: str | None, server_id: int, name: str) -> bool:
        """Whether events begin with checksums."""
        flavour = Flavour.of(self._connection)
        asked = f"select cast({flavour.server} as char), @@global.binlog_checksum"
        ((found, checksum),) = rows(self._connection, asked)
        if server is not None and str(found) != server:
            what = flavour.server.removeprefix("@@")
            raise SourceUnreachable(f"another server answers: its {what} is {found}, not {server}")
        with suppress(pymysql.Error):  # not everybody may look
            for other, host, *_ in rows(self._connection, flavour.replicas):
                if int(other) == server_id and host != name:
                    raise SourceServerIdTaken(f'server id {server_id} is that of the replica "{host}"')
        rows(self._connection, flavour.introduction(HEARTBEAT_S))
        return str(checksum) != "NONE"

    def _send(self, command: int, payload: bytes, *, answered: bool) -> None:
        driver: Any = self._connection
        driver._execute_command(command, payload)
        if answered:
            driver._read_ok_packet()

    def take(self, timeout_s: float) -> bytes:
        """What has come, packets whole or not; nothing if nothing came in that time. Raises what ended the stream."""
        try:
            self._socket.settimeout(timeout_s)
            got: bytes = self._socket.recv(GULP_BYTES)
        except TimeoutError:
            if time.monotonic() - self._heard_at > SILENCE_MAX_S:
                raise SourceUnreachable(f"the server was silent for {SILENCE_MAX_S:.0f} s") from None
            return b""
        except OSError as error:
            raise SourceUnreachable(f"the connection that sends the log was lost: {type(error).__name__}") from error
        if not got:
            raise self._ended()
        self._heard_at = time.monotonic()
        return got

    def heard(self) -> None:
        """Nobody listened for a while, so silence proves nothing."""
        self._heard_at = time.monotonic()

    def told(self, packet: bytes) -> TidegateError:
        """What the server says in place of an event."""
        if packet[:1] != b"\xff" or len(packet) < 3:
            return self._ended()
        number = int.from_bytes(packet[1:3], "little")
        said = packet[9:].decode("utf-8", "replace").strip()
        low = said.lower()
        if number == _SAME_ID or "same server" in low:
            return SourceServerIdTaken(f"server id {self._server_id}: {said}")
        if number in (1236, 1220, 1373, 1374) or "binary log" in low:
            if "encrypt" in low or "format" in low:
                return SourceLogFormat(said)
            return PositionLost(said)
        if number in (1045, 1227, 1142):
            return SourcePrivilegeMissing(said)
        return SourceUnreachable(f"the server ended the log with error {number}: {said}")

    def _ended(self) -> TidegateError:
        return SourceUnreachable(
            "the server ended the log: it goes down, the session was ended, or another replica came with the server id "
            f"{self._server_id}"
        )

    def close(self) -> None:
        """Idempotent; also from another thread."""
        with suppress(Exception):  # thrown away anyway
            drop(self._connection)


def asked_from(start: Place) -> int:
    """The offset in its file to ask for the log from. The protocol has 32 bits for it, and a large transaction can make
    a file longer: that is then read from its beginning, and what lies in front of the place is passed over."""
    return start.offset if start.offset < 1 << 32 else FIRST_EVENT


def _registration(server_id: int, name: str) -> bytes:
    host = name.encode()[:60]
    return struct.pack("<IB", server_id, len(host)) + host + b"\0\0" + struct.pack("<HII", 0, 0, 0)
