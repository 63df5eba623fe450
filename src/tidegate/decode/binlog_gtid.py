"""The events that name transactions and say what came before a log file, MariaDB's and MySQL's.

Format: MariaDB documentation, "GTID_EVENT" and "GTID_LIST_EVENT"; MySQL Source Code Documentation, `Gtid_event`,
`Previous_gtids_event` and "MySQL Serialization Library" (tagged ones). MariaDB's are tested on its own bytes; MySQL's
on bytes built as published, and on MySQL 9.7.
"""

from __future__ import annotations

import uuid
from typing import NamedTuple

from tidegate.decode.binlog_cursor import Cursor
from tidegate.decode.gtid import SEQUENCE_MAX, Interval, MariadbGtid, MysqlGtid, MysqlGtidSet, Source


class Xid(NamedTuple):
    """An XA transaction's name, as applications gave it."""

    format_id: int
    global_part: bytes
    branch: bytes


class MariadbBegin(NamedTuple):
    """The start of a transaction, or of a statement that is one by itself."""

    gtid: MariadbGtid
    standalone: bool
    """One statement (DDL) and no commit event at its end."""
    transactional: bool
    """Everything in it can be rolled back."""
    ddl: bool
    prepares: Xid | None
    """An XA transaction ends here with its prepare: its rows hold once `completes` names it, if it commits."""
    completes: Xid | None
    """Commit or rollback of an XA transaction prepared before; the statement says which."""
    commit_id: int | None
    """The same in all transactions that were committed together."""


class GtidList(NamedTuple):
    """The last transactions of each domain and server before a file begins; of a domain, the last one is the last."""

    gtids: tuple[MariadbGtid, ...]


class MysqlBegin(NamedTuple):
    gtid: MysqlGtid | None
    """None: an anonymous transaction, of a server that has no GTIDs on."""
    committed_at_us: int | None
    """At the server whose log it is, in microseconds since 1970; None before MySQL 8.0."""
    bytes: int | None
    """The whole transaction's length in the log; None before MySQL 8.0."""


class PreviousGtids(NamedTuple):
    gtids: MysqlGtidSet


_STANDALONE, _GROUPED, _TRANSACTIONAL, _DDL, _PREPARED_XA, _COMPLETED_XA = 1, 2, 4, 32, 64, 128


def mariadb_begin(cursor: Cursor, server: int) -> MariadbBegin:
    sequence, domain, flags = cursor.unsigned(8), cursor.unsigned(4), cursor.unsigned(1)
    commit_id = cursor.unsigned(8) if flags & _GROUPED else None
    xid = None
    if flags & (_PREPARED_XA | _COMPLETED_XA):
        format_id, global_size, branch_size = cursor.unsigned(4), cursor.unsigned(1), cursor.unsigned(1)
        xid = Xid(format_id, cursor.take(global_size), cursor.take(branch_size))
    # Behind it are flags about engines and two-step ALTERs, which are of no matter to rows, and padding.
    return MariadbBegin(
        MariadbGtid(domain, server, sequence),
        bool(flags & _STANDALONE),
        bool(flags & _TRANSACTIONAL),
        bool(flags & _DDL),
        xid if flags & _PREPARED_XA else None,
        xid if flags & _COMPLETED_XA else None,
        commit_id,
    )


def gtid_list(cursor: Cursor) -> GtidList:
    # The upper four bits are flags for replicas.
    count = cursor.unsigned(4) & 0x0FFFFFFF
    if count * 16 > cursor.left():
        raise cursor.malformed(f"{count} transaction ids announced")
    fields = ((cursor.unsigned(4), cursor.unsigned(4), cursor.unsigned(8)) for _ in range(count))
    return GtidList(tuple(MariadbGtid(*each) for each in fields))


def mysql_begin(cursor: Cursor, anonymous: bool) -> MysqlBegin:
    cursor.skip(1)
    server, sequence = _uuid(cursor.take(16)), cursor.signed(8)
    committed_at_us = size = None
    if cursor.left() >= 17:
        cursor.skip(17)  # what a replica may apply at the same time
    if cursor.left() >= 7:
        at = cursor.unsigned(7)
        if at >> 55:  # what follows is when it was first committed, elsewhere
            at &= (1 << 55) - 1
            cursor.skip(7)
        committed_at_us = at
        size = cursor.packed() if cursor.left() else None
    if anonymous:
        return MysqlBegin(None, committed_at_us, size)
    return MysqlBegin(_gtid(cursor, (server, ""), sequence), committed_at_us, size)


def mysql_tagged_begin(cursor: Cursor) -> MysqlBegin:
    """A message of the serialization library: version, size, last field that must be known, then fields by number."""
    if _packed(cursor) != 1:
        raise cursor.malformed("an unknown version of the serialization")
    start = cursor.at - 1
    size, required = _packed(cursor), _packed(cursor)
    if required > 10 or not 0 <= size - (cursor.at - start) <= cursor.left():
        raise cursor.malformed("a message that cannot be")
    fields = cursor.part(size - (cursor.at - start), "fields")
    held: dict[int, int] = {}
    server, tag = b"", ""
    while fields.left():
        number = _packed(fields)
        if number == 1:
            server = bytes(_byte(fields) for _ in range(16))
        elif number == 3:
            tag = fields.text(fields.take(_packed(fields)))
        elif number in (2, 4, 5):
            held[number] = _packed_signed(fields)
        elif number <= 10:
            held[number] = _packed(fields)
        else:
            break  # of a newer server, and not required
    if len(server) != 16 or 2 not in held:
        raise cursor.malformed("a transaction without its id")
    return MysqlBegin(_gtid(cursor, (_uuid(server), tag), held[2]), held.get(6), held.get(8))


def previous_gtids(cursor: Cursor) -> PreviousGtids:
    """A count (its last byte 1: sources have tags, and the count stands in the six bytes before), then of each source
    its intervals as first and one past the last."""
    count = cursor.unsigned(8)
    tagged = count >> 56
    if tagged > 1:
        raise cursor.malformed("an unknown form of a set")
    count = count >> 8 & (1 << 48) - 1 if tagged else count
    intervals: list[tuple[Source, Interval]] = []
    for _ in range(count):
        server = _uuid(cursor.take(16))
        tag = cursor.text(cursor.take(_packed(cursor))) if tagged else ""
        for _ in range(cursor.unsigned(8)):
            first, behind = cursor.signed(8), cursor.signed(8)
            if not 1 <= first < behind:
                raise cursor.malformed("an interval that ends before it begins")
            intervals.append(((server, tag), (first, behind - 1)))
    cursor.done()
    return PreviousGtids(MysqlGtidSet.of(intervals))


def _gtid(cursor: Cursor, source: Source, sequence: int) -> MysqlGtid:
    if not 1 <= sequence < SEQUENCE_MAX:
        raise cursor.malformed("a sequence number out of range")
    return MysqlGtid(source, sequence)


def _uuid(raw: bytes) -> str:
    return str(uuid.UUID(bytes=raw))


def _packed(cursor: Cursor) -> int:
    """The serialization's integers: as many more bytes follow as the first has ones at its low end; the bits above
    them, and those bytes, are the number."""
    first = cursor.unsigned(1)
    more = (~first & (first + 1)).bit_length() - 1
    return first >> more + 1 | cursor.unsigned(more) << max(7 - more, 0)


def _packed_signed(cursor: Cursor) -> int:
    number = _packed(cursor)
    return ~(number >> 1) if number & 1 else number >> 1


def _byte(cursor: Cursor) -> int:
    number = _packed(cursor)
    if number > 255:
        raise cursor.malformed("a byte that is larger than one")
    return number
