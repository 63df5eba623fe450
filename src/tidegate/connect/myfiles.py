"""The files of a server's log, looked into from outside of a run: when each was begun, behind which
transactions, and where in it transactions begin. Only the heads of events are kept; nothing of a row is."""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from typing import Any, NamedTuple

import pymysql

from tidegate.connect.mariadb import MariadbConfig, connect, translated
from tidegate.connect.myflavour import Flavour
from tidegate.connect.myposition import Place
from tidegate.connect.mysession import drop, rows, socket_of
from tidegate.decode.binlog import BinlogDecoder
from tidegate.decode.binlog_cursor import Malformed, Refused
from tidegate.decode.binlog_gtid import GtidList, MariadbBegin, MysqlBegin, PreviousGtids
from tidegate.decode.gtid import NO_GTIDS, Gtid, Gtids, MariadbPosition, passed
from tidegate.errors import PositionLost, SourceLogBroken, SourceUnreachable

DUMP = 0x12
FIRST_EVENT = 4
"""Behind the four bytes by which a file is known for a log."""

# No waiting at the log's end.
_TO_ITS_END = 1
_STOP, _ROTATE, _FORMAT_DESCRIPTION, _CHECKPOINT, _GTID, _GTID_LIST, _ENCRYPTION = 3, 4, 15, 161, 162, 163, 164
_GTIDS_OF_MYSQL, _PREVIOUS_GTIDS = frozenset({33, 34, 42}), 35
_OUTSIDE = frozenset({_STOP, _ROTATE, _FORMAT_DESCRIPTION, _CHECKPOINT, _GTID_LIST, _PREVIOUS_GTIDS, _ENCRYPTION})
_DECODED = frozenset({_FORMAT_DESCRIPTION, _GTID, _GTID_LIST, _PREVIOUS_GTIDS}) | _GTIDS_OF_MYSQL
_GULP_BYTES, _KEPT_BYTES, _PACKET_BYTES_MAX = 256 << 10, 64 << 10, 0xFFFFFF
_SILENCE_S = 90.0
_HEADER = struct.Struct("<IBIIIH")


class Logged(NamedTuple):
    """An event of a file."""

    kind: int
    at_s: int
    start: int
    end: int
    begins: bool = False
    """Whether a transaction begins with it."""
    gtid: Gtid | None = None
    """That transaction's, if it has one."""
    gtids: Gtids | None = None
    """What stands in front of the file, at its head."""

    @property
    def outside(self) -> bool:
        """Whether it never stands amid a transaction."""
        return self.begins or self.kind in _OUTSIDE

    @property
    def last(self) -> bool:
        """Whether nothing comes behind it in its file."""
        return self.kind in (_STOP, _ROTATE)


class Head(NamedTuple):
    at_s: int
    """When the server began the file, in seconds since 1970: the time of the first event in it."""
    gtids: Gtids
    """What stands in front of it."""


def head(config: MariadbConfig, file: str) -> Head:
    """Raises the error table's classes."""
    at_s = 0
    with closing(logged(config, file)) as events:
        for one in events:
            at_s = at_s or one.at_s
            if one.gtids is not None:
                return Head(at_s, one.gtids)
            if one.begins:
                break
    if not at_s:
        raise SourceLogBroken(f"the log file {file} does not say when it was begun")
    return Head(at_s, NO_GTIDS)


def gtids_at(config: MariadbConfig, at: Place) -> Gtids | None:
    """What stands in front of the place, which must be one between two transactions; None: the log has no such place.
    Read from its file's beginning, for a server that does not tell. Raises the error table's classes."""
    gtids, end = head(config, at.file).gtids, FIRST_EVENT
    with closing(logged(config, at.file)) as events:
        for one in events:
            if one.start >= at.offset and one.outside:
                return gtids if one.start == at.offset else None
            gtids = passed(gtids, [one.gtid])
            end = one.end
    return gtids if end == at.offset else None


def begun_at(config: MariadbConfig, file: str) -> int:
    """As `Head.at_s`."""
    return head(config, file).at_s


def logged(config: MariadbConfig, file: str) -> Generator[Logged]:
    """The events of one file in order, up to its end as of now. Close it where it is not read to its end. Raises the
    error table's classes."""
    connection = connect(config, "source")
    driver: Any = connection
    try:
        rows(connection, Flavour.of(connection).introduction(None))
        # Without a server id it is no replica, and no other is taken for a dead one because of it.
        driver._execute_command(DUMP, struct.pack("<IHI", FIRST_EVENT, _TO_ITS_END, 0) + file.encode())
        socket = socket_of(connection)
        socket.settimeout(_SILENCE_S)
        yield from _read(_packets(socket), file)
    except (pymysql.Error, OSError) as error:
        raise translated(error, "source", config) from error
    except (Malformed, Refused) as error:
        raise SourceLogBroken(f"the log file {file}: {error}") from error
    finally:
        with suppress(Exception):  # thrown away anyway: the server has more to say
            drop(connection)


def _packets(socket: Any) -> Iterator[tuple[bytes, int]]:
    """The beginning of each packet that begins an event, and how long that packet is."""
    held, continued = bytearray(), False

    def hold(size: int) -> None:
        while len(held) < size:
            got = socket.recv(_GULP_BYTES)
            if not got:
                raise SourceUnreachable("the connection that sends the log was lost")
            held.extend(got)

    while True:
        hold(4)
        size = int.from_bytes(held[:3], "little")
        kept = min(size, _KEPT_BYTES)
        hold(4 + kept)
        if not continued:
            yield bytes(held[4 : 4 + kept]), size
        continued = size == _PACKET_BYTES_MAX
        left = 4 + size
        while left > len(held):
            left -= len(held)
            held.clear()
            hold(1)
        del held[:left]


def _read(packets: Iterator[tuple[bytes, int]], file: str) -> Iterator[Logged]:
    decoder, at = BinlogDecoder(), FIRST_EVENT
    for packet, size in packets:
        if packet[:1] == b"\xff":
            raise PositionLost(packet[9:].decode("utf-8", "replace").strip())
        if packet[:1] != b"\0" or len(packet) < 1 + _HEADER.size:
            return  # the log's end
        at_s, kind, _, event_size, end, _ = _HEADER.unpack_from(packet, 1)
        if kind == _ROTATE and not end:
            if file.encode() not in packet:
                return  # the next file
            continue
        if not end:
            continue  # made up for the connection
        at += (end - at) % (1 << 32)
        body = None
        if kind in _DECODED and size == len(packet):
            body = decoder.decode(packet[1:]).body
        begun = body if isinstance(body, (MariadbBegin, MysqlBegin)) else None
        gtids: Gtids | None = None
        if isinstance(body, GtidList):
            gtids = MariadbPosition().after(*body.gtids)
        elif isinstance(body, PreviousGtids):
            gtids = body.gtids
        yield Logged(kind, at_s, at - event_size, at, begun is not None, begun and begun.gtid, gtids)
