"""Writes binary log events as the published formats have them: what no server here can produce, and what the fuzz test
garbles."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Sequence


def event(kind: int, body: bytes, *, checksum: bool = False, flags: int = 0, server: int = 1, end: int = 0) -> bytes:
    size = 19 + len(body) + 4 * checksum
    raw = struct.pack("<IBIIIH", 1_700_000_000, kind, server, size, end, flags) + body
    return raw + struct.pack("<I", zlib.crc32(raw)) if checksum else raw


def format_description(version: str, *, checksum: bool = False, flags: int = 0) -> bytes:
    body = struct.pack("<H50sIB", 4, version.encode(), 0, 19) + bytes([8] * 42) + bytes([checksum])
    # The checksum's place is there also where none is written, and the "in use" flag does not count in it.
    raw = struct.pack("<IBIIIH", 0, 15, 1, 19 + len(body) + 4, 0, 0) + body
    return raw[:17] + struct.pack("<H", flags) + raw[19:] + struct.pack("<I", zlib.crc32(raw))


def packed(number: int) -> bytes:
    if number <= 250:
        return bytes([number])
    for mark, size in ((252, 2), (253, 3), (254, 8)):
        if number < 1 << 8 * size:
            return bytes([mark]) + number.to_bytes(size, "little")
    raise ValueError(number)


def sized(raw: bytes) -> bytes:
    return packed(len(raw)) + raw


def table_map(
    types: Sequence[int], metadata: bytes, optional: Sequence[tuple[int, bytes]] = (), *, table_id: int = 9
) -> bytes:
    count = len(types)
    body = table_id.to_bytes(6, "little") + bytes(2) + b"\x01s\0\x01t\0" + packed(count) + bytes(types)
    body += sized(metadata) + b"\xff" * ((count + 7) // 8)
    return event(19, body + b"".join(bytes([kind]) + sized(field) for kind, field in optional))


def rows(kind: int, count: int, present: Sequence[int], body: bytes, *, table_id: int = 9, extra: bytes = b"") -> bytes:
    """Version 2 and partial updates, which have extra data. `present` are the bitmaps as numbers."""
    head = table_id.to_bytes(6, "little") + struct.pack("<HH", 1, 2 + len(extra)) + extra + packed(count)
    return event(kind, head + b"".join(bits.to_bytes((count + 7) // 8, "little") for bits in present) + body)


def varlen(number: int) -> bytes:
    """The serialization library's unsigned integer."""
    for more in range(8):
        if number < 1 << 7 * (more + 1):
            return (number << more + 1 | (1 << more) - 1).to_bytes(more + 1, "little")
    return b"\xff" + number.to_bytes(8, "little")


def varlen_signed(number: int) -> bytes:
    return varlen(number << 1 if number >= 0 else ~number << 1 | 1)


def tagged_gtid(server: uuid.UUID, tag: str, sequence: int, at_us: int, size: int, later: bytes = b"") -> bytes:
    fields = b"\0" + varlen(1) + varlen(1) + b"".join(map(varlen, server.bytes)) + varlen(2) + varlen_signed(sequence)
    fields += varlen(3) + varlen(len(tag)) + tag.encode() + varlen(4) + varlen_signed(0) + varlen(5) + varlen_signed(1)
    fields += varlen(6) + varlen(at_us) + varlen(8) + varlen(size) + varlen(9) + varlen(80_400) + later
    whole = 3 + len(fields)
    assert whole < 128
    return event(42, varlen(1) + varlen(whole) + varlen(0) + fields)


def gtid(server: uuid.UUID, sequence: int, *, kind: int = 33, tail: bytes = b"") -> bytes:
    return event(kind, b"\0" + server.bytes + struct.pack("<q", sequence) + b"\x02" + bytes(16) + tail)


# MySQL's binary JSON. A value is (type, bytes).
Value = tuple[int, bytes]


def json_text(text: str) -> Value:
    raw = text.encode()
    size, head = len(raw), b""
    while True:
        head += bytes([size & 127 | (128 if size > 127 else 0)])
        size >>= 7
        if not size:
            return 12, head + raw


def json_opaque(kind: int, raw: bytes) -> Value:
    assert len(raw) < 128
    return 15, bytes([kind, len(raw)]) + raw


def json_container(values: Sequence[Value], keys: Sequence[str] | None = None, *, large: bool = False) -> Value:
    """An object where there are keys, else an array."""
    width = 4 if large else 2
    names = [key.encode() for key in keys or ()]
    head = 2 * width + len(names) * (width + 2) + len(values) * (width + 1)
    entries, heap = b"", b"".join(names)
    at = head
    for name in names:
        entries += at.to_bytes(width, "little") + struct.pack("<H", len(name))
        at += len(name)
    for kind, raw in values:
        inlined = kind in (4, 5, 6) or (large and kind in (7, 8))
        place = raw.ljust(width, b"\0") if inlined else (head + len(heap)).to_bytes(width, "little")
        entries += bytes([kind]) + place
        heap += b"" if inlined else raw
    whole = len(values).to_bytes(width, "little") + (head + len(heap)).to_bytes(width, "little") + entries + heap
    return (0 if keys is not None else 2) + large, whole


def document(value: Value) -> bytes:
    return bytes([value[0]]) + value[1]
