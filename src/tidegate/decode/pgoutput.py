"""PostgreSQL's `pgoutput` messages: bytes in, events out. The readable twin.

Format: PostgreSQL documentation, "Logical Replication Message Formats" (protocol versions 1 to 4 without streaming;
values as text). Pure: no socket, no clock. Malformed bytes raise `Malformed` and nothing else. The compiled decoder
(`rust/src/message.rs`) makes the same checks in the same order.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeAlias, TypeVar

from tidegate.decode.fault import Fault
from tidegate.decode.fault import Malformed as Malformed
from tidegate.model.change import UNCHANGED, Cell, Op, Row

# Microseconds between 1970-01-01 and 2000-01-01, where PostgreSQL's clock starts.
EPOCH_US = 946_684_800_000_000


class RelationColumn(NamedTuple):
    name: str
    type_oid: int
    type_modifier: int
    identity: bool
    """Part of the replica identity."""


class Relation(NamedTuple):
    """A table's shape, sent before its first change and again after it changed."""

    oid: int
    schema: str
    name: str
    identity: str
    """`relreplident`: d default, n nothing, f full, i index."""
    columns: tuple[RelationColumn, ...]


class Begin(NamedTuple):
    commit_lsn: int
    committed_at_us: int
    xid: int
    """32 bits, as the server sends it."""


class Commit(NamedTuple):
    commit_lsn: int
    end_lsn: int


class RowChange(NamedTuple):
    oid: int
    op: Op
    old: Row | None
    old_is_whole: bool
    """`old` is the whole row (replica identity full), not just the key's columns."""
    new: Row | None


class Truncate(NamedTuple):
    oids: tuple[int, ...]


Message: TypeAlias = Relation | Begin | Commit | RowChange | Truncate
M = TypeVar("M", Relation, Begin, Commit, RowChange, Truncate)
C = TypeVar("C")

_BEGIN = struct.Struct(">QqI")
_COMMIT = struct.Struct(">BQQq")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_COLUMN = struct.Struct(">Ii")
_TRUNCATE = struct.Struct(">IB")

# Known, and carrying nothing a row depends on: types, origins, logical messages.
_PASSED_OVER = frozenset(b"YOM")


def decode(message: bytes) -> Message | None:
    """One message; None for those that say nothing about rows. Raises `Malformed`."""
    try:
        return _decode(message)
    except (struct.error, IndexError):
        raise Malformed(message, Fault.SHORT) from None


def _decode(message: bytes) -> Message | None:
    kind = message[0]
    if kind == 73:  # I
        new, end = _row(message, _marked(message, 5, b"N", Fault.NEW))
        return _ended(message, end, RowChange(_U32.unpack_from(message, 1)[0], Op.INSERT, None, False, new))
    if kind == 85:  # U
        return _update(message)
    if kind == 68:  # D
        whole = message[5:6] == b"O"
        old, end = _row(message, _marked(message, 5, b"KO", Fault.OLD))
        return _ended(message, end, RowChange(_U32.unpack_from(message, 1)[0], Op.DELETE, old, whole, None))
    if kind == 66:  # B
        commit_lsn, at_us, xid = _BEGIN.unpack_from(message, 1)
        return _ended(message, 1 + _BEGIN.size, Begin(commit_lsn, at_us + EPOCH_US, xid))
    if kind == 67:  # C
        _, commit_lsn, end_lsn, _ = _COMMIT.unpack_from(message, 1)
        return _ended(message, 1 + _COMMIT.size, Commit(commit_lsn, end_lsn))
    if kind == 82:  # R
        return _relation(message)
    if kind == 84:  # T
        count, _ = _TRUNCATE.unpack_from(message, 1)
        if len(message) != 6 + 4 * count:
            raise Malformed(message, Fault.TABLES, count)
        return Truncate(struct.unpack_from(f">{count}I", message, 6))
    if kind in _PASSED_OVER:
        return None
    raise Malformed(message, Fault.KIND)


def _update(message: bytes) -> RowChange:
    at, old, whole = 5, None, False
    if message[at : at + 1] in (b"K", b"O"):
        whole = message[at : at + 1] == b"O"
        old, at = _row(message, at + 1)
    new, end = _row(message, _marked(message, at, b"N", Fault.NEW))
    if old is not None:
        if len(old) != len(new):
            raise Malformed(message, Fault.COUNTS, len(old), len(new))
        new = completed(old, new, whole=whole)
    return _ended(message, end, RowChange(_U32.unpack_from(message, 1)[0], Op.UPDATE, old, whole, new))


def completed(old: tuple[C, ...], new: tuple[C, ...], *, whole: bool) -> tuple[C, ...]:
    """The new row with what an update left out: that stands in the old row where that is whole, or has the column as
    part of the key: a key is never NULL, and the columns that are not part of it are."""
    return tuple(o if n is UNCHANGED and (whole or o is not None) else n for o, n in zip(old, new, strict=True))


def _relation(message: bytes) -> Relation:
    (oid,) = _U32.unpack_from(message, 1)
    schema, at = _string(message, 5)
    name, at = _string(message, at)
    identity = chr(message[at])
    (count,) = _U16.unpack_from(message, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        flags = message[at]
        column, at = _string(message, at + 1)
        type_oid, modifier = _COLUMN.unpack_from(message, at)
        at += 8
        columns.append(RelationColumn(column, type_oid, modifier, bool(flags & 1)))
    # An empty schema name means pg_catalog.
    return _ended(message, at, Relation(oid, schema or "pg_catalog", name, identity, tuple(columns)))


def _row(message: bytes, at: int) -> tuple[Row, int]:
    (count,) = _U16.unpack_from(message, at)
    at += 2
    cells: list[Cell] = []
    for _ in range(count):
        kind = message[at]
        if kind == 116:  # t
            start = at + 5
            at = start + int.from_bytes(message[at + 1 : start], "big")
            if at > len(message):
                raise Malformed(message, Fault.BEYOND, start)
            cells.append(_text(message, start, at))
        elif kind == 110:  # n
            cells.append(None)
            at += 1
        elif kind == 117:  # u
            cells.append(UNCHANGED)
            at += 1
        else:
            raise Malformed(message, Fault.CELL, at)
    return tuple(cells), at


def _marked(message: bytes, at: int, allowed: bytes, fault: Fault) -> int:
    if message[at] not in allowed:
        raise Malformed(message, fault, at)
    return at + 1


def _text(message: bytes, start: int, end: int) -> str:
    try:
        return message[start:end].decode()
    except UnicodeDecodeError:
        raise Malformed(message, Fault.TEXT, start) from None


def _string(message: bytes, at: int) -> tuple[str, int]:
    end = message.find(b"\0", at)
    if end < 0:
        raise Malformed(message, Fault.NAME, at)
    return _text(message, at, end), end + 1


def _ended(message: bytes, at: int, event: M) -> M:
    if at != len(message):
        raise Malformed(message, Fault.TRAILING, len(message) - at)
    return event
