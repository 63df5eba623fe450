"""Messages of transactions that are sent before they are committed: bytes in, events out.

Format: PostgreSQL documentation, "Logical Replication Message Formats", protocol versions 2 to 4. What stands between
Stream Start and Stream Stop is in `blocks.py`. Malformed bytes raise `Malformed`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeAlias

from tidegate.decode.fault import Fault, Malformed
from tidegate.decode.pgoutput import EPOCH_US


class StreamStart(NamedTuple):
    xid: int
    first: bool
    """Whether it is the transaction's first block."""


class StreamStop(NamedTuple):
    pass


class StreamCommit(NamedTuple):
    xid: int
    commit_lsn: int
    end_lsn: int
    at_us: int


class StreamAbort(NamedTuple):
    """Version 4 says where and when; 0 before."""

    xid: int
    subxid: int
    lsn: int
    at_us: int


StreamMessage: TypeAlias = StreamStart | StreamStop | StreamCommit | StreamAbort

_START = struct.Struct(">IB")
_COMMIT = struct.Struct(">IBQQq")
_ABORT = struct.Struct(">II")
_ABORTED = struct.Struct(">Qq")

_BEGIN = struct.Struct(">cQqI")
_COMMITTED = struct.Struct(">cBQQq")

KINDS = b"SEcA"


def decode(message: bytes) -> StreamMessage:
    """One message of `KINDS`. Raises `Malformed`."""
    kind, size = message[:1], 1
    found: StreamMessage
    try:
        if kind == b"S":
            xid, first = _START.unpack_from(message, 1)
            found, size = StreamStart(xid, bool(first)), 1 + _START.size
        elif kind == b"E":
            found = StreamStop()
        elif kind == b"c":
            xid, _, commit_lsn, end_lsn, at_us = _COMMIT.unpack_from(message, 1)
            found, size = StreamCommit(xid, commit_lsn, end_lsn, at_us + EPOCH_US), 1 + _COMMIT.size
        else:
            found, size = _abort(message)
    except struct.error:
        raise Malformed(message, Fault.SHORT) from None
    if len(message) != size:
        raise Malformed(message, Fault.TRAILING, len(message) - size)
    return found


def _abort(message: bytes) -> tuple[StreamAbort, int]:
    xid, subxid = _ABORT.unpack_from(message, 1)
    size = 1 + _ABORT.size
    if len(message) == size:
        return StreamAbort(xid, subxid, 0, 0), size
    lsn, at_us = _ABORTED.unpack_from(message, size)
    return StreamAbort(xid, subxid, lsn, at_us + EPOCH_US), size + _ABORTED.size


def ends(commit: StreamCommit) -> tuple[bytes, bytes]:
    """The messages with which the transaction begins and ends where it is sent once it is committed."""
    at_us = commit.at_us - EPOCH_US
    begin = _BEGIN.pack(b"B", commit.commit_lsn, at_us, commit.xid)
    return begin, _COMMITTED.pack(b"C", 0, commit.commit_lsn, commit.end_lsn, at_us)
