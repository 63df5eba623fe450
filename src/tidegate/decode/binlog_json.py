"""MySQL's binary JSON as the text MySQL itself shows, and the differences that partial updates send instead.

Format: MySQL Source Code Documentation, `json_binary.h` (documents), `Json_diff` and `rpl_record.h` (partial updates).
Tested on bytes built as published, and on MySQL 9.7; MariaDB keeps JSON as plain text. Numbers keep the digits and the
kind they have (`1.0` stays a double), keys the server's order: by length, then by bytes.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import TypeAlias

from tidegate.decode import binlog_values
from tidegate.decode.binlog_cursor import Cursor

NESTED_MAX = 100
"""MySQL's own limit for documents within documents."""

_DOUBLE = struct.Struct("<d")
_INTEGERS = {5: (2, True), 6: (2, False), 7: (4, True), 8: (4, False), 9: (8, True), 10: (8, False)}
_LEG = re.compile(r'\.(?:"((?:[^"\\]|\\.)*)"|([^.\["]+))|\[([0-9]{1,9})\]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Literal(str):
    """A number, `true`, `false` or `null`, spelled as it is shown."""

    __slots__ = ()


Json: TypeAlias = "Literal | str | list[Json] | dict[str, Json]"


class _Bounds:
    """What a document may still hold: its parts do not overlap, so together they are no larger than its bytes. One
    whose offsets lead to the same place again and again would grow without end."""

    def __init__(self, bytes_left: int) -> None:
        self.bytes_left = bytes_left
        self.depth = 0

    def count(self, cursor: Cursor, size: int) -> int:
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise cursor.malformed("JSON whose parts overlap")
        return size


def document(cursor: Cursor) -> Json:
    """A whole document. Empty bytes are JSON's null: what the server keeps for a column that may not be NULL."""
    return _value(cursor, cursor.unsigned(1), _Bounds(cursor.left())) if cursor.left() else Literal("null")


def shown(value: Json) -> str:
    if isinstance(value, Literal):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(_escaped(character) for character in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    ordered = sorted(value.items(), key=lambda item: (len(item[0].encode()), item[0].encode()))
    return "{" + ", ".join(f"{shown(key)}: {shown(member)}" for key, member in ordered) + "}"


def patched(base: Json, cursor: Cursor) -> Json:
    """`base` with the differences applied: replace (0), insert (1), remove (2) at a path. May change `base`."""
    while cursor.left():
        operation = cursor.unsigned(1)
        path = cursor.text(cursor.packed_bytes())
        if operation > 2:
            raise cursor.malformed("no such JSON operation")
        value = document(cursor.part(cursor.packed(), "value")) if operation < 2 else None
        base = _apply(cursor, base, _legs(cursor, path), operation, value)
    return base


def _value(cursor: Cursor, kind: int, bounds: _Bounds) -> Json:
    bounds.count(cursor, 1)
    if kind <= 3:
        if bounds.depth == NESTED_MAX:
            raise cursor.malformed("JSON nested too deep")
        bounds.depth += 1
        held = _container(cursor, kind, bounds)
        bounds.depth -= 1
        return held
    if kind == 4:
        return _literal(cursor, cursor.unsigned(1))
    if kind in _INTEGERS:
        size, signed = _INTEGERS[kind]
        return Literal(cursor.signed(size) if signed else cursor.unsigned(size))
    if kind == 11:
        return _double(cursor)
    if kind == 12:
        return cursor.text(cursor.take(bounds.count(cursor, _length(cursor))))
    if kind == 15:
        return _opaque(cursor, bounds)
    raise cursor.malformed(f"no JSON type {kind}")


def _container(cursor: Cursor, kind: int, bounds: _Bounds) -> Json:
    """Objects (0, 1) and arrays (2, 3), small with 2-byte and large with 4-byte offsets, all from the container's
    start: count, size, then per key offset and 2-byte length, per value type and offset or the value itself."""
    width = 4 if kind & 1 else 2
    start = cursor.at
    count, size = cursor.unsigned(width), cursor.unsigned(width)
    if size > cursor.end - start:
        raise cursor.malformed("a JSON container larger than its place")
    whole = Cursor(cursor.data, cursor.what, cursor.at, start + size)
    cursor.at = start + size
    if kind > 1:
        return [_entry(whole, start, width, bounds) for _ in range(count)]
    keys = [_key(whole, start, width, bounds) for _ in range(count)]
    return {key: _entry(whole, start, width, bounds) for key in keys}


def _key(whole: Cursor, start: int, width: int, bounds: _Bounds) -> str:
    offset, length = whole.unsigned(width), whole.unsigned(2)
    return whole.text(_at(whole, start + offset).take(bounds.count(whole, length)))


def _entry(whole: Cursor, start: int, width: int, bounds: _Bounds) -> Json:
    kind = whole.unsigned(1)
    # What fits into the offset's place stands there itself.
    if kind in (4, 5, 6) or (width == 4 and kind in (7, 8)):
        return _value(whole.part(width, "inlined"), kind, bounds)
    return _value(_at(whole, start + whole.unsigned(width)), kind, bounds)


def _at(whole: Cursor, place: int) -> Cursor:
    # Values stand behind the entries: one that points at or before them would be read in circles.
    if not whole.at <= place <= whole.end:
        raise whole.malformed("a JSON offset that leads elsewhere")
    return Cursor(whole.data, whole.what, place, whole.end)


def _literal(cursor: Cursor, code: int) -> Literal:
    if code > 2:
        raise cursor.malformed("no such JSON literal")
    return Literal(("null", "true", "false")[code])


def _double(cursor: Cursor) -> Literal:
    """As the server prints doubles: plain where the point stands within 15 places of the digits, else `e`; whole
    numbers with `.0`."""
    (number,) = _DOUBLE.unpack(cursor.take(8))
    if number != number or number in (float("inf"), float("-inf")):
        raise cursor.malformed("JSON has no such number")
    sign, mantissa, point = binlog_values.split_float(repr(number))
    if mantissa == "0":
        return Literal(sign + "0.0")
    if -15 < point <= 15:
        text = binlog_values.place_point(mantissa, point)
        return Literal(sign + text + ("" if "." in text else ".0"))
    fraction = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    return Literal(f"{sign}{mantissa[0]}{fraction}e{point - 1}")


def _opaque(cursor: Cursor, bounds: _Bounds) -> Json:
    """Values of SQL types: decimals (246) as numbers, dates and times as texts, all else as base64."""
    kind = cursor.unsigned(1)
    held = cursor.part(bounds.count(cursor, _length(cursor)), f"value of type {kind}")
    if kind == 246:
        precision, scale = held.unsigned(1), held.unsigned(1)
        if scale > precision:
            raise held.malformed("more decimals than digits")
        value: Json = Literal(binlog_values.decimal(held, precision, scale))
    elif kind in (7, 10, 11, 12):
        value = _moment(held, kind)
    else:
        value = f"base64:type{kind}:{base64.b64encode(held.rest()).decode()}"
    held.done()
    return value


def _moment(held: Cursor, kind: int) -> str:
    """Eight bytes: 24 bits of microseconds, above them what TIME2 or DATETIME2 pack; shown with all six digits."""
    packed = held.signed(8)
    whole, micros = divmod(abs(packed), 1 << 24)
    if micros > 999_999:
        raise held.malformed("more than a second's fraction")
    if kind == 11:
        hour, minute, second = whole >> 12, whole >> 6 & 63, whole & 63
        if hour > 1023 or minute > 59 or second > 59:
            raise held.malformed("no such time")
        return f"{'-' if packed < 0 else ''}{hour:02d}:{minute:02d}:{second:02d}.{micros:06d}"
    if packed < 0:
        raise held.malformed("a negative date")
    text = binlog_values.unpacked_date_time(held, whole)
    return text[:10] if kind == 10 else f"{text}.{micros:06d}"


def _length(cursor: Cursor) -> int:
    """Seven bits a byte, lowest first; the eighth says that more follow."""
    length = 0
    for shift in range(0, 35, 7):
        byte = cursor.unsigned(1)
        length |= (byte & 127) << shift
        if byte < 128:
            return length
    raise cursor.malformed("a JSON length of more than five bytes")


def _legs(cursor: Cursor, path: str) -> list[str | int]:
    """The steps of a path like `$.a[3]."b c"`; the leading `$` may be missing."""
    rest = path.removeprefix("$")
    legs: list[str | int] = []
    at = 0
    while at < len(rest):
        found = _LEG.match(rest, at)
        if not found:
            raise cursor.malformed("a JSON path that leads nowhere")
        quoted, plain, index = found.groups()
        legs.append(int(index) if index is not None else plain if plain is not None else _unescaped(cursor, quoted))
        at = found.end()
    return legs


def _unescaped(cursor: Cursor, quoted: str) -> str:
    try:
        name = str(json.loads(f'"{quoted}"', strict=False))
        name.encode()  # half a pair is no text
    except ValueError:
        raise cursor.malformed("a JSON path that leads nowhere") from None
    return name


def _apply(cursor: Cursor, base: Json, legs: list[str | int], operation: int, value: Json | None) -> Json:
    if not legs:
        if operation != 0 or value is None:
            raise cursor.malformed("only a replacement can be of the whole JSON document")
        return value
    inner = base
    for leg in legs[:-1]:
        inner = _child(cursor, inner, leg)
    last = legs[-1]
    if operation != 1:
        _child(cursor, inner, last)  # must be there
    if isinstance(inner, list) and isinstance(last, int):
        if operation == 1 and value is not None:
            inner.insert(last, value)
        elif operation == 0 and value is not None:
            inner[last] = value
        else:
            del inner[last]
    elif isinstance(inner, dict) and isinstance(last, str):
        if value is not None:
            inner[last] = value
        else:
            del inner[last]
    else:
        raise cursor.malformed("a JSON path that leads nowhere")
    return base


def _child(cursor: Cursor, inner: Json, leg: str | int) -> Json:
    if isinstance(inner, list) and isinstance(leg, int) and leg < len(inner):
        return inner[leg]
    if isinstance(inner, dict) and isinstance(leg, str) and leg in inner:
        return inner[leg]
    raise cursor.malformed("a JSON path that leads nowhere")


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\u{ord(character):04x}" if character < " " else character
