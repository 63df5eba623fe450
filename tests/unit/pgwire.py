"""Writes `pgoutput` messages as the protocol's documentation has them: what the decoder's tests read back."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tidegate.decode.pgoutput import EPOCH_US
from tidegate.model.change import UNCHANGED, Cell


def begin(commit_lsn: int, at_us: int = EPOCH_US, xid: int = 7) -> bytes:
    return b"B" + struct.pack(">QqI", commit_lsn, at_us - EPOCH_US, xid)


def commit(commit_lsn: int, end_lsn: int, at_us: int = EPOCH_US) -> bytes:
    return b"C" + struct.pack(">BQQq", 0, commit_lsn, end_lsn, at_us - EPOCH_US)


def relation(
    oid: int,
    schema: str,
    name: str,
    columns: Sequence[tuple[str, int]],
    *,
    key: Sequence[str] = (),
    identity: str = "d",
    modifier: int = -1,
) -> bytes:
    """Columns are (name, type oid)."""
    parts = [b"R", struct.pack(">I", oid), schema.encode() + b"\0", name.encode() + b"\0", identity.encode()]
    parts.append(struct.pack(">H", len(columns)))
    for column, type_oid in columns:
        parts += [bytes([column in key]), column.encode() + b"\0", struct.pack(">Ii", type_oid, modifier)]
    return b"".join(parts)


def row(cells: Sequence[Cell]) -> bytes:
    parts = [struct.pack(">H", len(cells))]
    for cell in cells:
        if cell is None:
            parts.append(b"n")
        elif isinstance(cell, str):
            text = cell.encode()
            parts.append(b"t" + struct.pack(">I", len(text)) + text)
        else:
            assert cell is UNCHANGED
            parts.append(b"u")
    return b"".join(parts)


def insert(oid: int, new: Sequence[Cell]) -> bytes:
    return b"I" + struct.pack(">I", oid) + b"N" + row(new)


def update(
    oid: int, new: Sequence[Cell], *, key: Sequence[Cell] | None = None, old: Sequence[Cell] | None = None
) -> bytes:
    before = b"K" + row(key) if key is not None else b"O" + row(old) if old is not None else b""
    return b"U" + struct.pack(">I", oid) + before + b"N" + row(new)


def delete(oid: int, *, key: Sequence[Cell] | None = None, old: Sequence[Cell] | None = None) -> bytes:
    before = b"K" + row(key) if key is not None else b"O" + row(old or ())
    return b"D" + struct.pack(">I", oid) + before


def truncate(*oids: int, flags: int = 0) -> bytes:
    return b"T" + struct.pack(">IB", len(oids), flags) + b"".join(struct.pack(">I", oid) for oid in oids)


def type_message(oid: int = 16385) -> bytes:
    return b"Y" + struct.pack(">I", oid) + b"public\0mood\0"


def origin(name: str = "elsewhere") -> bytes:
    return b"O" + struct.pack(">Q", 1) + name.encode() + b"\0"


def logical_message(content: bytes = b"hello") -> bytes:
    return b"M" + struct.pack(">BQ", 1, 5) + b"prefix\0" + struct.pack(">I", len(content)) + content


# --- transactions that are sent before they commit ---


def stream_start(xid: int, *, first: bool = True) -> bytes:
    return b"S" + struct.pack(">IB", xid, first)


def stream_stop() -> bytes:
    return b"E"


def stream_commit(xid: int, commit_lsn: int, end_lsn: int, at_us: int = EPOCH_US) -> bytes:
    return b"c" + struct.pack(">IBQQq", xid, 0, commit_lsn, end_lsn, at_us - EPOCH_US)


def stream_abort(xid: int, subxid: int) -> bytes:
    return b"A" + struct.pack(">II", xid, subxid)


def numbered(xid: int, message: bytes) -> bytes:
    """As it is in a block: an origin has no number."""
    return message if message[:1] == b"O" else message[:1] + struct.pack(">I", xid) + message[1:]
