"""The payload of MySQL's compressed transactions.

Format: MySQL Source Code Documentation, `Transaction_payload_event`. Tested on bytes built as published, and on
MySQL 9.7. MySQL compresses with Zstandard, as one frame; Python reads that from 3.14 on, and before by the same
module's backport.
"""

from __future__ import annotations

import sys

from tidegate.decode.binlog_cursor import Cursor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PAYLOAD_BYTES_MAX = 1 << 30
"""MySQL's largest event, and so the largest transaction that it compresses."""

_ZSTANDARD, _PLAIN = 0, 255


def unpacked(cursor: Cursor) -> bytes:
    """The events within. Fields of a type, a length and a packed number: 1 the payload's size, 2 its compression,
    3 its size uncompressed; 0 ends them. Raises `Malformed`."""
    held: dict[int, int] = {}
    while kind := cursor.packed():
        held[kind] = cursor.part(cursor.packed(), f"field {kind}").packed()
    payload = cursor.take(held.get(1, cursor.left()))
    cursor.done()
    compression = held.get(2, _ZSTANDARD)
    if compression == _PLAIN:
        return payload
    if compression != _ZSTANDARD:
        raise cursor.malformed(f"compression {compression}")
    size = held.get(3)
    if size is None or size > PAYLOAD_BYTES_MAX:
        raise cursor.malformed("a compressed transaction of no sensible size")
    return _decompressed(cursor, payload, size)


def _decompressed(cursor: Cursor, payload: bytes, size: int) -> bytes:
    engine = zstd.ZstdDecompressor()
    try:
        # One more than announced, so that a longer one is noticed and no more is ever made.
        whole = engine.decompress(payload, size + 1)
    except zstd.ZstdError:
        raise cursor.malformed("a compressed transaction that is broken") from None
    if len(whole) != size or not engine.eof or engine.unused_data:
        raise cursor.malformed(f"a compressed transaction that is not of {size} bytes")
    return whole
