"""Whether the values that are in a column are the same in the type that it is given, when nobody refuses those that do
not fit: a session that is not strict cuts and bends them, and its log has no word of it. Pure.

What becomes another kind of value, or loses digits behind the point, is not asked here: that shows in the table's next
row, whichever session did it (see `engine/evolve.py`).
"""

from __future__ import annotations

import re

from tidegate.connect.myalter import Altered
from tidegate.connect.mytypes import catalogued
from tidegate.model.schema import Column, DataType, Kind

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_TEXT_BYTES = {"tinytext": 0xFF, "text": 0xFFFF, "mediumtext": 0xFFFFFF, "longtext": 0xFFFFFFFF}
_BLOB_BYTES = {"tinyblob": 0xFF, "blob": 0xFFFF, "mediumblob": 0xFFFFFF, "longblob": 0xFFFFFFFF}
_WIDE = frozenset({"utf8mb4", "utf16", "utf16le", "utf32"})
"""Character sets that hold every text."""
_CHARACTER_BYTES = 4


def keeps(was: Column, altered: Altered, charset_before: str, charset_now: str) -> bool:
    """Whether each value stays what it was, as far as can be said. Character sets are the column's own, empty where
    they are not known; what the statement names counts for more than the newest there is."""
    if was.nullable and not altered.nullable:
        return False  # NULL becomes zero, or empty
    if was.type.kind is Kind.TEXT or was.type.kind is Kind.JSON:
        charset = altered.charset or charset_now
        if charset not in _WIDE and charset != charset_before:
            return False
    if not altered.type:
        return True
    if altered.type == "?":
        return False
    if was.type.kind is Kind.JSON:
        return altered.type in ("json", "longtext")
    now = catalogued("longtext" if altered.type == "json" else altered.type)
    return now.native == was.type.native or _holds(was.type, now)


def _holds(was: DataType, now: DataType) -> bool:
    one, other = _base(was), _base(now)
    if one in _BITS and other in _BITS:
        (least, most), (lowest, highest) = _range(was), _range(now)
        return lowest <= least and most <= highest
    if was.kind is not now.kind:
        return True
    match was.kind:
        case Kind.DECIMAL:
            digits = [(type.precision or 0) - (type.scale or 0) for type in (was, now)]
            return one == other == "decimal" and digits[0] <= digits[1]
        case Kind.TEXT:
            return _holds_text(was, now, one, other)
        case Kind.BYTES:
            room = [_bytes(type, base) for type, base in ((was, one), (now, other))]
            return other != "binary" and one != "binary" and 0 < room[0] <= room[1]
        case Kind.FLOAT32 | Kind.FLOAT64 | Kind.TIMESTAMP | Kind.TIMESTAMPTZ | Kind.INTERVAL | Kind.DATE:
            return True
    return False


def _holds_text(was: DataType, now: DataType, one: str, other: str) -> bool:
    if one in ("enum", "set"):
        labels = [type.native[len(base) + 1 : -1] for type, base in ((was, one), (now, other))]
        return one == other and f"{labels[1]},".startswith(f"{labels[0]},")
    if other in _TEXT_BYTES:
        room = _TEXT_BYTES.get(one) or (was.length or 0) * _CHARACTER_BYTES
        return room <= _TEXT_BYTES[other]
    # A char has no blanks at its end.
    fits = one in ("char", "varchar") and other in ("char", "varchar") and (was.length or 0) <= (now.length or 0)
    return fits and (one, other) != ("varchar", "char")


def _base(type: DataType) -> str:
    return re.split(r"[( ]", type.native, maxsplit=1)[0]


def _range(type: DataType) -> tuple[int, int]:
    bits = _BITS[_base(type)]
    return (0, (1 << bits) - 1) if "unsigned" in type.native else (-(1 << bits - 1), (1 << bits - 1) - 1)


def _bytes(type: DataType, base: str) -> int:
    if base == "varbinary":
        return int((re.findall(r"\d+", type.native) or [0])[0])
    return _BLOB_BYTES.get(base, 0)
