"""How a column's values are read from a row image: one reader per column, chosen once per table map.

Format: as for `binlog_values` and `binlog_table`; compressed columns: MariaDB documentation, "Storage-Engine
Independent Column Compression" (their header: MariaDB's `field_comp.cc`). MariaDB's INET4, INET6 and UUID come as the
bytes of their text from left to right, which the log does not tell from BINARY: without `Form` they stay bytes.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
import zlib
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from tidegate.decode import binlog_json, binlog_values
from tidegate.decode.binlog_cursor import Cursor, Refused
from tidegate.decode.binlog_table import Column, Form, Type
from tidegate.decode.charset import BINARY, charset_of, reader_of

INFLATED_BYTES_MAX = 1 << 30
"""The server's largest packet, and so its largest event and value."""

ValueReader: TypeAlias = Callable[[Cursor], str]

_INTEGER_BYTES = {Type.TINY: 1, Type.SHORT: 2, Type.INT24: 3, Type.LONG: 4, Type.LONGLONG: 8}
_COMPRESSED = frozenset({Type.BLOB_COMPRESSED, Type.VARCHAR_COMPRESSED})
_FORM_BYTES = {Form.INET4: 4, Form.INET6: 16, Form.UUID: 16}
_METADATA_ADVICE = "Set binlog_row_metadata to MINIMAL or FULL at the source"


def value_reader(column: Column) -> ValueReader:
    """Raises `Refused` where the log does not tell what is needed, or a value cannot be had exactly."""
    type_ = column.type
    if type_ in _INTEGER_BYTES:
        if column.unsigned is None:
            raise Refused("the log does not say whether a number is signed", _METADATA_ADVICE)
        size = _INTEGER_BYTES[type_]
        return partial(_unsigned if column.unsigned else _signed, size=size)
    if type_ is Type.NEWDECIMAL:
        return partial(binlog_values.decimal, precision=column.size, scale=column.decimals or 0)
    if type_ in _TIMES:
        if column.decimals is None or (type_ in _OLD and column.decimals):
            raise Refused(
                f"a {type_.name} column in MariaDB's old format does not tell its decimals",
                "Set mysql56_temporal_format = ON at the source and run ALTER TABLE … FORCE",
            )
        return _OLD[type_] if type_ in _OLD else partial(_TIMES[type_], decimals=column.decimals)
    if type_ in _PLAIN:
        return _PLAIN[type_]
    if type_ is Type.BIT:
        return partial(binlog_values.bit, length=column.size)
    if type_ is Type.ENUM:
        return partial(_enum, size=column.size, labels=column.labels)
    if type_ is Type.SET:
        return partial(_set, size=column.size, labels=column.labels)
    if type_ is Type.JSON:
        return partial(_json, size=column.size)
    if type_ in (Type.GEOMETRY, Type.VECTOR):
        return partial(_bytes, size=column.size, padded=0)
    return _string_reader(column)


def length_size(column: Column) -> int:
    """How many bytes hold the length before a string."""
    if column.type in (Type.STRING, Type.VAR_STRING, Type.VARCHAR, Type.VARCHAR_COMPRESSED):
        return 2 if column.size > 255 else 1
    return {Type.TINY_BLOB: 1, Type.MEDIUM_BLOB: 3, Type.LONG_BLOB: 4}.get(column.type, column.size)


def _string_reader(column: Column) -> ValueReader:
    size = length_size(column)
    if column.form is not None:
        return partial(_formed, size=size, form=column.form)
    if column.collation is None:
        raise Refused("the log does not say whether a string is text, and in which character set", _METADATA_ADVICE)
    compressed = column.type in _COMPRESSED
    if column.collation == BINARY:
        # BINARY(n) is sent without the zeros at its end.
        padded = column.size if column.type is Type.STRING else 0
        return partial(_bytes, size=size, padded=padded, compressed=compressed)
    charset = charset_of(column.collation)
    read = reader_of(charset)

    def text(cursor: Cursor) -> str:
        raw = cursor.take(cursor.unsigned(size))
        if compressed:
            raw = _uncompressed(cursor, raw)
        try:
            return read(raw)
        except UnicodeDecodeError:
            raise Refused(
                f"a text of {len(raw)} bytes is not {charset}", "Correct the value, or make the column a binary one"
            ) from None

    return text


def _unsigned(cursor: Cursor, size: int) -> str:
    return str(cursor.unsigned(size))


def _signed(cursor: Cursor, size: int) -> str:
    return str(cursor.signed(size))


def _bytes(cursor: Cursor, size: int, padded: int, compressed: bool = False) -> str:
    raw = cursor.take(cursor.unsigned(size))
    if compressed:
        raw = _uncompressed(cursor, raw)
    return "\\x" + raw.ljust(padded, b"\0").hex()


def _formed(cursor: Cursor, size: int, form: Form) -> str:
    raw = cursor.take(cursor.unsigned(size)).ljust(_FORM_BYTES[form], b"\0")
    if len(raw) != _FORM_BYTES[form]:
        raise cursor.malformed(f"{len(raw)} bytes that are no {form}")
    if form is Form.UUID:
        return str(uuid.UUID(bytes=raw))
    if form is Form.INET4:
        return str(ipaddress.IPv4Address(raw))
    return _inet6(raw)


def _inet6(raw: bytes) -> str:
    """As the server shows it, which is not quite RFC 5952: even a single zero becomes `::`, and addresses that hold
    one of IPv4 end in its notation."""
    if raw[:10] == bytes(10) and (raw[10:12] == b"\xff\xff" or (raw[10:12] == b"\0\0" and raw[12:14] != b"\0\0")):
        return f"::{'ffff:' if raw[10] else ''}{ipaddress.IPv4Address(raw[12:])}"
    groups = "".join(f":{raw[at] << 8 | raw[at + 1]:x}" for at in range(0, 16, 2))
    runs = [found.span() for found in re.finditer(r"(?::0\b)+", groups)]
    if not runs:
        return groups[1:]
    start, end = max(runs, key=lambda run: run[1] - run[0])
    return f"{groups[1:start]}::{groups[end + 1 :]}"


def _json(cursor: Cursor, size: int) -> str:
    return binlog_json.shown(binlog_json.document(cursor.part(cursor.unsigned(size), "JSON")))


def _enum(cursor: Cursor, size: int, labels: tuple[str, ...] | None) -> str:
    """The label; the empty text for 0, which the server keeps for values that are none of them. Else the number."""
    number = cursor.unsigned(size)
    if labels is None:
        return str(number)
    if number > len(labels):
        raise cursor.malformed(f"label {number} of {len(labels)}")
    return labels[number - 1] if number else ""


def _set(cursor: Cursor, size: int, labels: tuple[str, ...] | None) -> str:
    """The labels, separated by commas. Else the number whose bits they are."""
    number = cursor.unsigned(size)
    if labels is None:
        return str(number)
    if number >> len(labels):
        raise cursor.malformed(f"more than {len(labels)} labels")
    return ",".join(label for at, label in enumerate(labels) if number >> at & 1)


def _uncompressed(cursor: Cursor, raw: bytes) -> bytes:
    """A byte says how: 0 as it is; 0x80 zlib, with the size of the length that follows in three bits, and 8 for a
    stream without zlib's own header. Nothing at all is the empty value."""
    if not raw or raw[0] == 0:
        return raw[1:]
    head = raw[0]
    if head & 0xF0 != 0x80 or not 1 <= head & 7 <= 4:
        raise cursor.malformed("a compressed value of an unknown kind")
    behind = 1 + (head & 7)
    length = int.from_bytes(raw[1:behind], "big")
    return inflated(cursor, raw[behind:], length, -zlib.MAX_WBITS if head & 8 else zlib.MAX_WBITS)


def inflated(cursor: Cursor, raw: bytes, length: int, window: int = zlib.MAX_WBITS) -> bytes:
    """Exactly `length` bytes: no more are ever made, whatever the stream says."""
    if length > INFLATED_BYTES_MAX:
        raise cursor.malformed(f"a compressed piece of {length} bytes")
    engine = zlib.decompressobj(window)
    try:
        whole = engine.decompress(raw, length + 1)
    except zlib.error:
        raise cursor.malformed("a compressed piece that is broken") from None
    if len(whole) != length or not engine.eof or engine.unused_data:
        raise cursor.malformed(f"a compressed piece that is not of {length} bytes")
    return whole


_OLD: dict[Type, ValueReader] = {
    Type.TIMESTAMP: binlog_values.old_timestamp,
    Type.DATETIME: binlog_values.old_date_time,
    Type.TIME: binlog_values.old_time,
}
_TIMES: dict[Type, Callable[..., str]] = {
    **_OLD,
    Type.TIMESTAMP2: binlog_values.timestamp,
    Type.DATETIME2: binlog_values.date_time,
    Type.TIME2: binlog_values.time,
}
_PLAIN: dict[Type, ValueReader] = {
    Type.FLOAT: binlog_values.single,
    Type.DOUBLE: binlog_values.double,
    Type.YEAR: binlog_values.year,
    Type.DATE: binlog_values.date,
    Type.NEWDATE: binlog_values.date,
}
