"""Which column type DuckDB gives a source's type, whether an existing column can hold its values unchanged, and how a
value's text becomes one of the column's type without being rounded or bent on the way (I6)."""

from __future__ import annotations

import re

from tidegate.model.schema import DataType, Kind

_BY_KIND = {
    Kind.BOOL: "BOOLEAN",
    Kind.INT16: "SMALLINT",
    Kind.INT32: "INTEGER",
    Kind.INT64: "BIGINT",
    Kind.FLOAT32: "FLOAT",
    Kind.FLOAT64: "DOUBLE",
    Kind.TEXT: "VARCHAR",
    Kind.BYTES: "BLOB",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME",
    Kind.TIMESTAMP: "TIMESTAMP",
    Kind.TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE",
    Kind.UUID: "UUID",
    Kind.JSON: "JSON",
    # DuckDB's own have no infinity and other offsets, or would be spelled differently when read back.
    Kind.INTERVAL: "VARCHAR",
    Kind.TIMETZ: "VARCHAR",
    Kind.OTHER: "VARCHAR",
}

_DECIMAL_DIGITS = 38


def column_type(type: DataType) -> str:
    """The type a created column gets. A number without bounds, or with more than 38 digits, is kept as its text."""
    if type.kind is not Kind.DECIMAL:
        return _BY_KIND[type.kind]
    if type.precision is None:
        return "VARCHAR"
    scale = type.scale or 0
    digits, scale = max(type.precision, scale, type.precision - scale), max(scale, 0)
    return f"DECIMAL({digits},{scale})" if digits <= _DECIMAL_DIGITS else "VARCHAR"


def can_order(type: DataType) -> bool:
    """Whether the created column's order is the source's. Texts compare by their bytes here; those padded with blanks
    do not at the source, and what is kept as text although it is a number or a time does not either."""
    if type.kind is Kind.TEXT:
        return not type.native.startswith(("character(", "bpchar"))
    return type.kind is not Kind.JSON and column_type(type) != "VARCHAR"


_INTEGERS = {"SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "HUGEINT": 38}


def holds(have: str, wanted: str, *, key: bool) -> bool:
    """Whether a column of type `have` holds every value of `wanted` as it is; a key must also compare the same."""
    if have == wanted:
        return True
    if have == "VARCHAR":
        return not key
    if have == "DOUBLE":
        return wanted == "FLOAT"
    if have in _INTEGERS:
        return _INTEGERS.get(wanted, 99) < _INTEGERS[have]
    mine = decimal(have)
    theirs = (_INTEGERS[wanted], 0) if wanted in _INTEGERS else decimal(wanted)
    if mine is None or theirs is None:
        return False
    return mine[1] >= theirs[1] and mine[0] - mine[1] >= theirs[0] - theirs[1]


def decimal(type: str) -> tuple[int, int] | None:
    """How many digits a DECIMAL has, and how many of them behind the point; None: it is another type."""
    found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type)
    return (int(found[1]), int(found[2])) if found else None


_INEXACT = "error('a value would be changed')"

# The shortest text of each that can have more than the six digits of a second DuckDB keeps.
_CLOCKS = {"TIME": len("00:00:00.0000001"), "TIMESTAMP": len("2000-01-01 00:00:00.0000001")}
_CLOCKS["TIMESTAMP WITH TIME ZONE"] = _CLOCKS["TIMESTAMP"]


def typed(text: str, type: str) -> str:
    """The SQL expression that reads the text expression as a value of the type; it fails rather than change a value."""
    if type == "VARCHAR":
        return text
    if type == "BLOB":
        return f"from_hex(substr({text}, 3))"
    digits = decimal(type)
    if digits:
        point = f"strpos({text}, '.')"
        fine = f"{point} > 0 AND length({text}) - {point} > {digits[1]}"
        return f"CASE WHEN {fine} THEN {_INEXACT} ELSE CAST({text} AS {type}) END"
    if type in _CLOCKS:
        fine = f"length({text}) >= {_CLOCKS[type]} AND regexp_matches({text}, '\\.\\d{{7}}')"
        return f"CASE WHEN {fine} THEN {_INEXACT} ELSE CAST({_era(text)} AS {type}) END"
    if type == "DATE":
        return f"CAST({_era(text)} AS DATE)"
    return f"CAST({text} AS {type})"


def _era(text: str) -> str:
    """A date's text with its era where DuckDB reads it."""
    moved = f"regexp_replace({text}, '^(\\S+)(.*) BC$', '\\1 (BC)\\2')"
    return f"CASE WHEN ends_with({text}, ' BC') THEN {moved} ELSE {text} END"


_MOVED_ERA = r"regexp_replace(CAST({0} AS VARCHAR), '^(\S+) \(BC\)(.*)$', '\1\2 BC')"
_TEXTS = {
    "VARCHAR": "{0}",
    "BOOLEAN": "CASE {0} WHEN true THEN 't' WHEN false THEN 'f' END",
    "BLOB": "'\\x' || lower(hex({0}))",
    "DATE": _MOVED_ERA,
    "TIMESTAMP": _MOVED_ERA,
    "TIMESTAMP WITH TIME ZONE": _MOVED_ERA,
}


def text(value: str, type: str) -> str:
    """The SQL expression that spells a value as the source does; but a binary fraction as DuckDB does."""
    return _TEXTS.get(type, "CAST({0} AS VARCHAR)").format(value)
