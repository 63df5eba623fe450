"""The rows that most of a log is, cut out of a buffer where they stand: a change per call, and no more objects than it
has values, which stay the bytes they are.

Only what is surely sound is read here. All else is left to `pgoutput.decode`, which reads every message and says what
is wrong with one.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

from tidegate.decode.pgoutput import completed
from tidegate.model.change import UNCHANGED, Op, Row, Unchanged

BytesRow: TypeAlias = "tuple[bytes | Unchanged | None, ...]"

Scanned: TypeAlias = "tuple[int, int, Op, BytesRow | None, BytesRow | None]"
"""Where the frame ends; and as in `RowChange`: the relation, the operation, the old row and the new one."""

_HEAD = struct.Struct(">IBIB").unpack_from
_COUNT = struct.Struct(">H").unpack_from
_CELL = struct.Struct(">BI").unpack_from
_LENGTH_BYTES, _HEAD_BYTES, _COUNT_BYTES, _CELL_BYTES = 4, 10, 2, 5

_INSERT, _UPDATE, _DELETE, _NEW, _OLD = b"IUDNO"
_BEFORE = b"KO"
_TEXT, _NULL, _LEFT_OUT = b"tnu"


class _Odd(Exception):
    """Not to be read here."""


def scanned(data: bytes, at: int) -> Scanned | None:
    """The change whose frame begins at byte `at`; None if it is none, not whole, or not to be read here."""
    try:
        length, kind, oid, mark = _HEAD(data, at)
        end = at + _LENGTH_BYTES + length
        if end > len(data):
            return None
        at += _HEAD_BYTES
        if mark == _NEW and kind == _INSERT:
            new, at = _row(data, at)
            found: Scanned = (end, oid, Op.INSERT, None, new)
        elif mark == _NEW and kind == _UPDATE:
            new, at = _row(data, at)
            found = (end, oid, Op.UPDATE, None, new)
        elif kind == _DELETE and mark in _BEFORE:
            old, at = _row(data, at)
            found = (end, oid, Op.DELETE, old, None)
        elif kind == _UPDATE and mark in _BEFORE:
            old, at = _row(data, at)
            if data[at] != _NEW:
                return None
            new, at = _row(data, at + 1)
            if len(old) != len(new):
                return None
            found = (end, oid, Op.UPDATE, old, completed(old, new, whole=mark == _OLD))
        else:
            return None
    except (struct.error, IndexError, UnicodeDecodeError, _Odd):
        return None
    # No value ends in front of its beginning: where the last one ends with the frame, none is outside of it.
    return found if at == end else None


def _row(data: bytes, at: int) -> tuple[BytesRow, int]:
    """A row and where it ends, which may be behind the data's end."""
    (count,) = _COUNT(data, at)
    at = first = at + _COUNT_BYTES
    cells: list[bytes | Unchanged | None] = []
    add = cells.append
    for _ in range(count):
        kind, length = _CELL(data, at)
        if kind == _TEXT:
            start = at + _CELL_BYTES
            at = start + length
            add(data[start:at])
        elif kind == _NULL:
            add(None)
            at += 1
        elif kind == _LEFT_OUT:
            add(UNCHANGED)
            at += 1
        else:
            raise _Odd
    if not data[first:at].isascii():
        for cell in cells:
            if isinstance(cell, bytes):
                cell.decode()
    return tuple(cells), at


def bytes_row(row: Row | None) -> BytesRow | None:
    """What `pgoutput.decode` made of a row, as it is here."""
    return None if row is None else tuple(cell.encode() if isinstance(cell, str) else cell for cell in row)
