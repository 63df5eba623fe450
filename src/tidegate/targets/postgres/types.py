"""Which column type PostgreSQL gives a source's type, and whether an existing column can hold its values unchanged."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tidegate.model.schema import DataType, Kind

FAMILY = "postgres"

_BY_KIND = {
    Kind.BOOL: "boolean",
    Kind.INT16: "smallint",
    Kind.INT32: "integer",
    Kind.INT64: "bigint",
    Kind.FLOAT32: "real",
    Kind.FLOAT64: "double precision",
    Kind.DECIMAL: "numeric",
    Kind.TEXT: "text",
    Kind.BYTES: "bytea",
    Kind.DATE: "date",
    Kind.TIME: "time without time zone",
    Kind.TIMETZ: "time with time zone",
    Kind.TIMESTAMP: "timestamp without time zone",
    Kind.TIMESTAMPTZ: "timestamp with time zone",
    Kind.INTERVAL: "interval",
    Kind.UUID: "uuid",
    Kind.JSON: "json",  # jsonb would rewrite the text
    Kind.OTHER: "text",
}

# The spellings of format_type for built-in types. Whatever else a source says is never put into a statement.
_NATIVE = re.compile(r'("char"|[a-z][a-z0-9_]*( [a-z]+)*(\(-?\d+(, ?-?\d+)?\))?( [a-z]+)*(\(\d+\))?)(\[\])*')

_NUMERIC_DIGITS = 1000
_VARCHAR_LENGTH = 10_485_760


def column_type(type: DataType, family: str) -> str:
    """The type a created column gets: the source's own where it is PostgreSQL too, else one that holds the kind."""
    if family == FAMILY and _NATIVE.fullmatch(type.native):
        return type.native
    if type.kind is Kind.DECIMAL and type.precision is not None and type.precision <= _NUMERIC_DIGITS:
        return f"numeric({type.precision},{type.scale or 0})"
    if type.kind is Kind.TEXT and type.length is not None and 0 < type.length <= _VARCHAR_LENGTH:
        return f"character varying({type.length})"
    return _BY_KIND[type.kind]


@dataclass(frozen=True, slots=True)
class Spelling:
    """A type's name without its numbers, and the numbers: `timestamp(3) with time zone` has 3."""

    base: str
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, type: str) -> Spelling:
        found = re.search(r"\((-?\d+)(?:, ?(-?\d+))?\)", type)
        if found is None:
            return cls(type, ())
        base = (type[: found.start()] + type[found.end() :]).strip()
        return cls(base, tuple(int(number) for number in found.groups() if number is not None))


_INTEGERS = {"smallint": 5, "integer": 10, "bigint": 19}
_CLOCKS = {
    "time without time zone",
    "time with time zone",
    "timestamp without time zone",
    "timestamp with time zone",
}
_CLOCK_DIGITS = 6


def holds(have: str, wanted: str, *, key: bool) -> bool:
    """Whether a column of type `have` holds every value of `wanted` as it is; a key must also compare the same (I6)."""
    if have == wanted:
        return True
    mine, theirs = Spelling.of(have), Spelling.of(wanted)
    match mine.base:
        case "text" | "character varying" if not mine.numbers:
            # Every value arrives as its text, which a text column keeps.
            return not key or theirs.base in ("text", "character varying")
        case "character varying":
            return theirs.base == mine.base and () < theirs.numbers <= mine.numbers
        case "integer" | "bigint":
            return _INTEGERS.get(theirs.base, 99) <= _INTEGERS[mine.base]
        case "numeric":
            return _numeric_holds(mine, theirs)
        case "double precision":
            return theirs.base == "real"
        case "bit varying":
            return theirs.base == mine.base and (not mine.numbers or () < theirs.numbers <= mine.numbers)
        case "interval":
            return not mine.numbers and theirs.base.startswith("interval") and not theirs.base.endswith("]")
        case "json":
            return theirs.base == "jsonb"
        case base if base in _CLOCKS:
            return theirs.base == base and (theirs.numbers or (_CLOCK_DIGITS,)) <= (mine.numbers or (_CLOCK_DIGITS,))
        case _:
            return False


def _numeric_holds(mine: Spelling, theirs: Spelling) -> bool:
    if theirs.base in _INTEGERS:
        theirs = Spelling("numeric", (_INTEGERS[theirs.base], 0))
    if theirs.base != "numeric":
        return False
    if not mine.numbers:
        return True
    if not theirs.numbers:
        return False
    (precision, scale), (their_precision, their_scale) = ((*s.numbers, 0)[:2] for s in (mine, theirs))
    return scale >= their_scale and precision - scale >= their_precision - their_scale
