"""How a binary log's columns are read by what reads many rows at once: a way and its numbers for each column, known to
the compiled decoder (`rust/src/values.rs`).

Columns that have none (other character sets than those, compressed and JSON ones, times in old formats) are read by the
readable decoder alone.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from tidegate.decode.binlog_column import length_size, value_reader
from tidegate.decode.binlog_cursor import Refused
from tidegate.decode.binlog_table import Column, Form, Type
from tidegate.decode.charset import BINARY, SINGLE_BYTE, charset_of, reader_of


class Way(IntEnum):
    """The numbers are known to `rust/src/values.rs`."""

    NONE = 0
    SIGNED = 1
    UNSIGNED = 2
    DECIMAL = 3
    SINGLE = 4
    DOUBLE = 5
    YEAR = 6
    DATE = 7
    TIME = 8
    DATE_TIME = 9
    TIMESTAMP = 10
    BIT = 11
    ENUM = 12
    SET = 13
    BYTES = 14
    UTF8 = 15
    CHARACTERS = 16
    UUID = 17
    INET4 = 18
    INET6 = 19


class Reading(NamedTuple):
    way: Way
    size: int = 0
    """Bytes of a number or of the length in front of a value; digits of a decimal, bits, decimals of a time."""
    more: int = 0
    """A decimal's scale; to how many bytes a binary text is padded."""
    texts: tuple[str, ...] = ()
    """Labels; of a set of characters of one byte all 256, empty where there is none."""

    def packed(self) -> bytes:
        texts = [text.encode() for text in self.texts]
        head = struct.pack("<4I", self.way, self.size, self.more, len(texts))
        return head + b"".join(struct.pack("<I", len(text)) + text for text in texts)


UNREAD = Reading(Way.NONE)
_INTEGERS = {Type.TINY: 1, Type.SHORT: 2, Type.INT24: 3, Type.LONG: 4, Type.LONGLONG: 8}
_PLAIN = {Type.FLOAT: Way.SINGLE, Type.DOUBLE: Way.DOUBLE, Type.YEAR: Way.YEAR, Type.DATE: Way.DATE}
_TIMES = {Type.TIME2: Way.TIME, Type.DATETIME2: Way.DATE_TIME, Type.TIMESTAMP2: Way.TIMESTAMP}
_FORMS = {Form.UUID: Way.UUID, Form.INET4: Way.INET4, Form.INET6: Way.INET6}
_UTF8 = frozenset({"utf8mb3", "utf8mb4"})
_LABELS_MAX = 64


def reading(column: Column) -> Reading:
    """The way is `NONE` for what the readable decoder refuses, too: it says why."""
    try:
        value_reader(column)
    except Refused:
        return UNREAD
    type_ = column.type
    if type_ in _INTEGERS:
        return Reading(Way.UNSIGNED if column.unsigned else Way.SIGNED, _INTEGERS[type_])
    if type_ is Type.NEWDECIMAL:
        return Reading(Way.DECIMAL, column.size, column.decimals or 0)
    if type_ in _PLAIN or type_ is Type.NEWDATE:
        return Reading(_PLAIN.get(type_, Way.DATE))
    if type_ in _TIMES:
        return Reading(_TIMES[type_], column.decimals or 0)
    if type_ is Type.BIT:
        return Reading(Way.BIT, column.size)
    if type_ in (Type.ENUM, Type.SET):
        return _labelled(column)
    if type_ in (Type.GEOMETRY, Type.VECTOR):
        return Reading(Way.BYTES, column.size)
    return _string(column)


def _labelled(column: Column) -> Reading:
    if column.labels is None:
        return Reading(Way.UNSIGNED, column.size)
    if column.type is Type.SET and len(column.labels) > _LABELS_MAX:
        return UNREAD
    return Reading(Way.ENUM if column.type is Type.ENUM else Way.SET, column.size, 0, column.labels)


def _string(column: Column) -> Reading:
    size = length_size(column)
    if column.type in (Type.JSON, Type.BLOB_COMPRESSED, Type.VARCHAR_COMPRESSED) or column.type in _OLD:
        return UNREAD
    if column.form is not None:
        return Reading(_FORMS[column.form], size)
    if column.collation is None:
        return UNREAD
    if column.collation == BINARY:
        return Reading(Way.BYTES, size, column.size if column.type is Type.STRING else 0)
    charset = charset_of(column.collation)
    if charset in _UTF8:
        return Reading(Way.UTF8, size)
    if charset in SINGLE_BYTE:
        return Reading(Way.CHARACTERS, size, 0, _characters(charset))
    return UNREAD


_OLD = frozenset({Type.TIMESTAMP, Type.DATETIME, Type.TIME})


@lru_cache
def _characters(charset: str) -> tuple[str, ...]:
    read = reader_of(charset)

    def character(byte: int) -> str:
        try:
            return read(bytes([byte]))
        except UnicodeDecodeError:
            return ""

    return tuple(map(character, range(256)))
