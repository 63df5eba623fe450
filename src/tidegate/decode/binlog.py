"""The binary log of MariaDB and MySQL: one event's bytes in, what it says out. The readable twin.

Format: MariaDB documentation, "Replication Protocol"; MySQL Source Code Documentation, "Binary Log Event" (version 4:
MariaDB from 5.3, MySQL from 5.6). Pure: no socket, no clock. Bytes that no server writes raise `Malformed`; sound ones
that rows cannot be had from raise `Refused`; nothing else escapes.

Proven on MariaDB 10.11's own logs: format description, table maps, rows version 1 plain and compressed, queries plain
and compressed, commits, XA, GTIDs, checksums, rotation, statement format and encryption (both refused). On MySQL 9.7:
rows version 2, partial updates, binary JSON, GTIDs with and without tags or none, compressed transactions. Built from
the published format only: incidents, and what MySQL 8 may write otherwise than 9.7.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Self, TypeAlias

from tidegate.decode import binlog_event, binlog_gtid
from tidegate.decode.binlog_cursor import Cursor, Malformed, Refused
from tidegate.decode.binlog_event import (
    Commit,
    FormatDescription,
    Heartbeat,
    Incident,
    Query,
    Rotate,
    Stop,
    XaPrepare,
)
from tidegate.decode.binlog_gtid import GtidList, MariadbBegin, MysqlBegin, PreviousGtids
from tidegate.decode.binlog_payload import unpacked
from tidegate.decode.binlog_rows import Rows, rows
from tidegate.decode.binlog_table import TableMap, table_map
from tidegate.model.change import Op

MAGIC = b"\xfebin"
HEADER_BYTES = 19
CHECKSUM_BYTES = 4


class Header(NamedTuple):
    at_s: int
    """When the statement began, in seconds since 1970; 0 for events made up for the connection."""
    kind: int
    server: int
    size: int
    end: int
    """Where the next event begins in its file, modulo 2**32; 0 for events that stand in no file."""
    flags: int


class Payload(NamedTuple):
    """A whole transaction of MySQL, sent compressed: its events behind its GTID."""

    events: tuple[Event, ...]


Body: TypeAlias = (
    "FormatDescription | Rotate | Heartbeat | Stop | Incident | Query | Commit | XaPrepare | MariadbBegin | GtidList |"
    " MysqlBegin | PreviousGtids | TableMap | Rows | Payload"
)


class Event(NamedTuple):
    header: Header
    body: Body | None
    """None: it says nothing about rows."""


_HEADER = struct.Struct("<IBIIIH")
_IGNORABLE = 0x80
_FORMAT_DESCRIPTION, _PAYLOAD = 15, 40
_ROWS_ADVICE = "Set binlog_format = ROW at the source and run the task from scratch"
# Nothing a row depends on: ignorable and annotating texts, checkpoints, what replicas and group replication use.
PASSED_OVER = frozenset({28, 29, 36, 37, 160, 161})
# How statements are written that are not sent as rows.
_STATEMENT_FORMAT = frozenset({5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 18})
# Row events: (what happened, version, compressed).
ROWS: dict[int, tuple[Op, int, bool]] = {
    23: (Op.INSERT, 1, False),
    24: (Op.UPDATE, 1, False),
    25: (Op.DELETE, 1, False),
    30: (Op.INSERT, 2, False),
    31: (Op.UPDATE, 2, False),
    32: (Op.DELETE, 2, False),
    39: (Op.UPDATE, 3, False),
    166: (Op.INSERT, 1, True),
    167: (Op.UPDATE, 1, True),
    168: (Op.DELETE, 1, True),
    169: (Op.INSERT, 2, True),
    170: (Op.UPDATE, 2, True),
    171: (Op.DELETE, 2, True),
}


def file_events(data: bytes) -> Iterator[bytes]:
    """The events of a whole binary log file, undecoded. Raises `Malformed` where one does not end."""
    if data[:4] != MAGIC:
        raise Malformed("not a binary log file: it begins otherwise")
    at = len(MAGIC)
    while at < len(data):
        cursor = Cursor(data, "file", at)
        cursor.skip(9)
        size = cursor.unsigned(4)
        if size < HEADER_BYTES:
            raise cursor.malformed(f"an event of {size} bytes")
        cursor.at = at
        yield cursor.take(size)
        at += size


class BinlogDecoder:
    """Decodes the events of one connection, or of one file, in order: it holds what earlier events said about later
    ones. `checksums` is how the stream begins, until its format description says it (a server announces it when asked
    for `@@binlog_checksum`)."""

    def __init__(self, checksums: bool = False) -> None:
        self.format: FormatDescription | None = None
        self._checksums = checksums
        self._tables: dict[int, TableMap] = {}

    @classmethod
    def amid(cls, format: FormatDescription, tables: Mapping[int, TableMap]) -> Self:
        """Reads on behind what somebody else has read."""
        decoder = cls(format.checksums)
        decoder.format = format
        decoder._tables.update(tables)
        return decoder

    @property
    def tables(self) -> Mapping[int, TableMap]:
        """By their ids, those whose rows may follow."""
        return self._tables

    def decode(self, event: bytes) -> Event:
        """One event, header and checksum included. Raises `Malformed` and `Refused`."""
        return self._event(event, self._checksums)

    def _event(self, event: bytes, checksums: bool) -> Event:
        if len(event) < HEADER_BYTES:
            raise Malformed(f"an event of {len(event)} bytes")
        header = Header(*_HEADER.unpack_from(event))
        what = f"event of kind {header.kind}"
        if header.size != len(event):
            raise Malformed(f"{what}: {len(event)} bytes that say they are {header.size}")
        if header.kind == _FORMAT_DESCRIPTION:
            return Event(header, self._format_description(event))
        end = len(event)
        if checksums:
            end -= CHECKSUM_BYTES
            verify(event, what)
        cursor = Cursor(event, what, HEADER_BYTES, end)
        return Event(header, self._body(header, cursor))

    def _body(self, header: Header, cursor: Cursor) -> Body | None:
        kind = header.kind
        if kind in ROWS:
            op, version, compressed = ROWS[kind]
            read = rows(cursor, op, version, self._id_size(kind), compressed, self._tables)
            if read.ends_statement:
                self._tables.clear()
            return read
        if kind == 19:
            table = table_map(cursor, self._id_size(kind), self._mariadb())
            self._tables[table.table_id] = table
            return table
        if kind == 162:
            return binlog_gtid.mariadb_begin(cursor, header.server)
        if kind == _PAYLOAD:
            return self._payload(cursor)
        if kind in _READERS:
            return _READERS[kind](cursor)
        if kind in _STATEMENT_FORMAT:
            raise Refused(f"event of kind {kind}: the log has a statement instead of rows", _ROWS_ADVICE)
        if kind == 164:
            raise Refused("the binary log file is encrypted", "Read it through the server, which sends it decrypted")
        if kind in PASSED_OVER or header.flags & _IGNORABLE:
            return None
        raise cursor.malformed("an unknown kind of event")

    def _format_description(self, event: bytes) -> FormatDescription:
        """Its checksum's algorithm is its last byte before the checksum, which is always there."""
        cursor = Cursor(event, "format description", HEADER_BYTES, max(len(event) - CHECKSUM_BYTES - 1, HEADER_BYTES))
        if cursor.unsigned(2) != 4:
            raise Refused("a binary log that is not of version 4", "Use MariaDB 10.5 or MySQL 5.7, or later")
        version = cursor.text(cursor.take(50).rstrip(b"\0"))
        cursor.skip(4)
        if cursor.unsigned(1) != HEADER_BYTES:
            raise cursor.malformed("headers of an unknown size")
        header_sizes = cursor.rest()
        algorithm = event[cursor.end]
        if algorithm > 1:
            raise cursor.malformed(f"checksum algorithm {algorithm}")
        if algorithm:
            verify(event, "format description")
        self._tables.clear()
        self._checksums = bool(algorithm)
        self.format = FormatDescription(version, "mariadb" in version.lower(), bool(algorithm), header_sizes)
        return self.format

    def _payload(self, cursor: Cursor) -> Payload:
        whole, at, events = unpacked(cursor), 0, []
        while at < len(whole):
            inner = Cursor(whole, f"{cursor.what}, event within", at)
            inner.skip(9)
            size = inner.unsigned(4)
            inner.at = at
            if size < HEADER_BYTES or whole[at + 4] in (_PAYLOAD, _FORMAT_DESCRIPTION):
                raise inner.malformed("an event that cannot be there")
            events.append(self._event(inner.take(size), checksums=False))
            at = inner.at
        return Payload(tuple(events))

    def _mariadb(self) -> bool:
        if self.format is None:
            raise Malformed("a table map before the format description")
        return self.format.mariadb

    def _id_size(self, kind: int) -> int:
        """Servers before MySQL 5.1.4 wrote table ids of four bytes, and a fixed part of six."""
        sizes = self.format.header_sizes if self.format else b""
        return 4 if kind <= len(sizes) and sizes[kind - 1] == 6 else 6


def verify(event: bytes, what: str) -> None:
    """A CRC-32 of everything before it. In a format description, as a file that was not closed has it, the flag that
    says so does not count."""
    if len(event) < HEADER_BYTES + CHECKSUM_BYTES:
        raise Malformed(f"{what}: {len(event)} bytes with a checksum")
    said = int.from_bytes(event[-CHECKSUM_BYTES:], "little")
    held = bytearray(event[:-CHECKSUM_BYTES])
    if event[4] == _FORMAT_DESCRIPTION:
        held[17] &= 0xFE
    if zlib.crc32(held) != said:
        raise Malformed(f"{what}: the checksum of {len(event)} bytes is not theirs")


_READERS: dict[int, Callable[[Cursor], Body]] = {
    2: binlog_event.query,
    3: lambda _: Stop(),
    4: binlog_event.rotate,
    16: binlog_event.commit,
    26: binlog_event.incident,
    27: binlog_event.heartbeat,
    33: lambda cursor: binlog_gtid.mysql_begin(cursor, anonymous=False),
    34: lambda cursor: binlog_gtid.mysql_begin(cursor, anonymous=True),
    35: binlog_gtid.previous_gtids,
    38: binlog_event.xa_prepare,
    41: binlog_event.heartbeat_v2,
    42: binlog_gtid.mysql_tagged_begin,
    163: binlog_gtid.gtid_list,
    165: binlog_event.query_compressed,
}
