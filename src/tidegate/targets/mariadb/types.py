"""Which column type MariaDB gives a source's type, whether an existing column can hold its values unchanged, and what a
value's text must look like to be held exactly (I6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.connect.mariadb import FAMILIES
from tidegate.model.schema import DataType, Kind, TableSchema

_BY_KIND = {
    Kind.BOOL: "tinyint(1)",
    Kind.INT16: "smallint",
    Kind.INT32: "int",
    Kind.INT64: "bigint",
    Kind.FLOAT32: "float",
    Kind.FLOAT64: "double",
    Kind.TEXT: "longtext",
    Kind.BYTES: "longblob",
    Kind.DATE: "date",
    Kind.TIME: "time(6)",
    Kind.TIMESTAMP: "datetime(6)",
    Kind.TIMESTAMPTZ: "datetime(6)",  # in UTC: timestamp ends in 2038
    Kind.UUID: "char(36)",  # uuid is not in all versions, and sorts in another order
    Kind.JSON: "longtext",  # with a check; MySQL's own json would rewrite the text
    # MariaDB has no such types, or none that keeps all of their values.
    Kind.TIMETZ: "longtext",
    Kind.INTERVAL: "longtext",
    Kind.OTHER: "longtext",
}

_DECIMAL_DIGITS, _DECIMAL_SCALE = 65, 38
_VARCHAR_LENGTH = 10_000
KEY_BYTES = 3072
"""What an index of InnoDB takes of a row, with the usual page of 16 kB."""
_CHARACTER_BYTES = 4

# The spellings of MariaDB's catalogue. Whatever else a source says is never put into a statement.
_NATIVE = re.compile(
    r"(tinyint|smallint|mediumint|int|bigint|bit|float|double|decimal|char|varchar|binary|varbinary|year|date|time|"
    r"datetime|timestamp|uuid|inet4|inet6|(tiny|medium|long)?(text|blob)|geometry|point|linestring|polygon|"
    r"multipoint|multilinestring|multipolygon|geometrycollection)(\(\d+(,\d+)?\))?( unsigned)?"
    r"|(enum|set)\('([^'\\]|'')*'(,'([^'\\]|'')*')*\)"
)


def column_type(type: DataType, family: str) -> str:
    """The type a created column gets outside of a key: the source's own where it is MariaDB or MySQL, else one that
    holds the kind. A number without bounds, or with too many digits, is kept as its text."""
    if family in FAMILIES and type.kind is not Kind.JSON and _NATIVE.fullmatch(type.native):
        return type.native
    if type.kind is Kind.DECIMAL:
        return _decimal_type(type)
    if type.kind is Kind.TEXT and type.length is not None and 0 < type.length <= _VARCHAR_LENGTH:
        return f"varchar({type.length})"
    return _BY_KIND[type.kind]


def _decimal_type(type: DataType) -> str:
    if type.precision is None:
        return "longtext"
    scale = type.scale or 0
    digits, scale = max(type.precision, scale, type.precision - scale), max(scale, 0)
    return f"decimal({digits},{scale})" if digits <= _DECIMAL_DIGITS and scale <= _DECIMAL_SCALE else "longtext"


def column_types(source: TableSchema, *, keyed: bool) -> dict[str, str]:
    """The created type of every column. Columns of a key have bounds: an index takes so many bytes and no more, of
    which those without bounds of their own get equal parts; a longer value is refused when it comes."""
    types = {column.name: column_type(column.type, source.family) for column in source.columns}
    if keyed:
        types |= _bounded({name: types[name] for name in source.key})
    return types


def _bounded(types: dict[str, str]) -> dict[str, str]:
    spellings = {name: Spelling.of(type) for name, type in types.items()}
    loose = {name: one for name, one in spellings.items() if one.is_text or one.is_bytes}
    left = KEY_BYTES - sum(_FIXED_BYTES.get(one.base, 36) for name, one in spellings.items() if name not in loose)
    found = dict(types)
    for place, (name, one) in enumerate(sorted(loose.items(), key=lambda item: item[1].most_bytes)):
        share = max(_CHARACTER_BYTES, left // (len(loose) - place))
        taken = min(share, one.most_bytes)
        left -= taken
        if taken < one.most_bytes or one.base not in ("varchar", "char", "varbinary", "binary"):
            found[name] = f"varbinary({taken})" if one.is_bytes else f"varchar({taken // _CHARACTER_BYTES})"
    return found


_FIXED_BYTES = {
    "tinyint": 1,
    "smallint": 2,
    "mediumint": 3,
    "int": 4,
    "bigint": 8,
    "float": 4,
    "double": 8,
    "decimal": 32,
    "date": 3,
    "time": 6,
    "datetime": 8,
    "timestamp": 7,
    "year": 1,
}

_TEXT_BYTES = {"tinytext": 255, "text": 65_535, "mediumtext": 2**24 - 1, "longtext": 2**32 - 1}
_BLOB_BYTES = {"tinyblob": 255, "blob": 65_535, "mediumblob": 2**24 - 1, "longblob": 2**32 - 1}


@dataclass(frozen=True, slots=True)
class Spelling:
    """A type as the catalogue spells it, without what is for showing only: `int(11) unsigned` is int, unsigned."""

    base: str
    numbers: tuple[int, ...]
    unsigned: bool = False

    @classmethod
    def of(cls, type: str) -> Spelling:
        found = re.match(r"([a-z0-9]+)(?:\((\d+)(?:,(\d+))?\))?", type)
        if found is None:
            return cls(type, ())
        base = found[1]
        numbers = tuple(int(n) for n in (found[2], found[3]) if n is not None)
        return cls(base, () if base in _INTEGERS or base == "year" else numbers, " unsigned" in type)

    @property
    def is_text(self) -> bool:
        return self.base in ("char", "varchar", *_TEXT_BYTES)

    @property
    def is_bytes(self) -> bool:
        return self.base in ("binary", "varbinary", *_BLOB_BYTES)

    @property
    def is_integer(self) -> bool:
        return self.base in _INTEGERS

    @property
    def most_bytes(self) -> int:
        """Of a text or bytes: how many the longest value has."""
        if self.base in ("binary", "varbinary"):
            return self.numbers[0] if self.numbers else 1
        if self.base in ("char", "varchar"):
            return _CHARACTER_BYTES * (self.numbers[0] if self.numbers else 1)
        return (_TEXT_BYTES | _BLOB_BYTES)[self.base]


# Digits; an unsigned one of the same name needs the next.
_INTEGERS = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 5}
_INTEGER_DIGITS = {"tinyint": 3, "smallint": 5, "mediumint": 8, "int": 10, "bigint": 20}


def holds(have: str, wanted: str, *, key: bool) -> bool:
    """Whether a column of type `have` holds every value of `wanted` as it is; a key must also compare the same, and one
    without bounds at the source may have any here. That a text's character set and collation are right is looked at
    elsewhere."""
    mine, theirs = Spelling.of(have), Spelling.of(wanted)
    if have == wanted or (mine == theirs and mine.base not in ("enum", "set")):
        return True
    if mine.is_text:
        return _text_holds(mine, theirs, key)
    if mine.is_bytes:
        return theirs.is_bytes and mine.base not in ("binary",) and (key or theirs.most_bytes <= mine.most_bytes)
    if mine.is_integer:
        room = _INTEGERS.get(theirs.base, 99)
        return room < _INTEGERS[mine.base] if theirs.unsigned != mine.unsigned else room <= _INTEGERS[mine.base]
    if mine.base == "decimal":
        return _decimal_holds(mine, theirs)
    if mine.base == "uuid":
        return wanted == _BY_KIND[Kind.UUID]
    if mine.base in ("time", "datetime", "timestamp"):
        return theirs.base == mine.base and (*theirs.numbers, 0)[0] <= (*mine.numbers, 0)[0]
    return mine.base == "double" and theirs.base == "float"


def _text_holds(mine: Spelling, theirs: Spelling, key: bool) -> bool:
    if mine.base == "char":  # takes blanks off a value's end; a UUID's text has none
        return theirs.base == "char" and theirs.numbers <= mine.numbers
    if theirs.is_text:
        if mine.base == "varchar" and theirs.base in ("varchar", "char"):
            return theirs.numbers <= mine.numbers
        return (key and mine.base == "varchar") or theirs.most_bytes <= mine.most_bytes
    # Every value arrives as its text, which a text column keeps.
    return mine.base == "longtext" and not key


def _decimal_holds(mine: Spelling, theirs: Spelling) -> bool:
    if theirs.is_integer:
        theirs = Spelling("decimal", (_INTEGER_DIGITS[theirs.base], 0))
    if theirs.base != "decimal":
        return False
    (precision, scale), (their_precision, their_scale) = ((*one.numbers, 0)[:2] for one in (mine, theirs))
    return scale >= their_scale and precision - scale >= their_precision - their_scale


def can_order(type: DataType) -> bool:
    """Whether the created key column's order is the source's. Texts compare by their bytes here; those padded with
    blanks do not at the source, and what is kept as text although it is a number or a time does not either."""
    if type.kind is Kind.TEXT:
        return not type.native.startswith(("character(", "bpchar"))
    if type.kind in (Kind.JSON, Kind.OTHER, Kind.FLOAT32, Kind.INTERVAL, Kind.TIMETZ):
        return False
    return type.kind is not Kind.DECIMAL or _decimal_type(type) != "longtext"


# --- values -----------------------------------------------------------------------------------------------------


class NotHeld(Exception):
    """A column has a value that the target's type cannot hold as it is; says why, without the value."""


_DATE, _CLOCK = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d(\.\d{1,6})?"
_SHAPES = {
    "date": (f"^{_DATE}$", "a date of the years 1 to 9999 is needed"),
    "time": (rf"^-?\d?{_CLOCK}$", "a time of at most six digits behind its seconds is needed"),
    "datetime": (f"^{_DATE} {_CLOCK}$", "a time of the years 1 to 9999, to the microsecond, is needed"),
}
_SHAPES["timestamp"] = _SHAPES["datetime"]
_UUID = (r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "it is not the text of a UUID")
_BITS = (r"^[01]+$", "it is not a text of bits")
_HEX = (r"^\\x([0-9a-f]{2})*$", "it is not the text of bytes")

_TO_ESCAPE = r"([\\\t\n])"


def encoded(texts: pa.Array, kind: Kind, have: str) -> pa.Array:
    """The texts of one column, of the source's kind, as what the server reads into a column of type `have`; not yet
    escaped. Raises `NotHeld`."""
    mine = Spelling.of(have)
    if mine.is_text:
        if kind is Kind.UUID and mine.base == "char":
            _must_match(texts, _UUID)
        return texts.cast(pa.binary())
    if mine.is_bytes or (kind is Kind.BYTES and mine.base not in _SHAPES):
        return _unhexed(texts)
    if mine.base in _PACKED:
        return _packed(texts, mine.base)
    if mine.base == "bit":
        return _bits(texts, mine.numbers[0] if mine.numbers else 1)
    if kind is Kind.BOOL:
        return _digits(texts)
    if kind is Kind.TIMESTAMPTZ:
        texts = _in_utc(texts)
    if mine.base in _SHAPES:
        _must_match(texts, _SHAPES[mine.base])
    if mine.base in ("float", "double"):
        texts = _fractions(texts, kind)
    return texts.cast(pa.binary())


def needs_escapes(have: str) -> bool:
    """Whether values may hold what separates fields; numbers and times cannot."""
    mine = Spelling.of(have)
    return not (mine.is_integer or mine.base in ("decimal", "float", "double", *_SHAPES))


def escaped(values: pa.Array) -> pa.Array:
    """Backslash, tab and line feed with a backslash in front, as LOAD DATA reads them."""
    return pc.replace_substring_regex(values, _TO_ESCAPE, r"\\\1")


def _must_match(texts: pa.Array, shape: tuple[str, str]) -> None:
    pattern, reason = shape
    if pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py() is False:
        raise NotHeld(reason)


def _digits(texts: pa.Array) -> pa.Array:
    _must_match(texts, ("^[tf]$", "it is not the text of a truth value"))
    return pc.if_else(pc.equal(texts, "t"), pa.scalar(b"1"), pa.scalar(b"0"))


def _in_utc(texts: pa.Array) -> pa.Array:
    """Without the offset, which is that of UTC (see `Kind`)."""
    _must_match(texts, (r"\+00$", _SHAPES["datetime"][1]))
    return pc.utf8_slice_codeunits(texts, 0, -3)


def _fractions(texts: pa.Array, kind: Kind) -> pa.Array:
    """Singles with all of their digits: the shortest text of the largest is larger than it."""
    try:
        numbers = texts.cast(pa.float32() if kind is Kind.FLOAT32 else pa.float64())
    except pa.ArrowInvalid as error:
        raise NotHeld("it is not the text of a number") from error
    if pc.all(pc.is_finite(numbers), min_count=0).as_py() is False:
        raise NotHeld("only finite numbers are")
    if pc.any(pc.equal(texts, "-0"), min_count=0).as_py():
        raise NotHeld("a zero has no sign here")
    return numbers.cast(pa.float64()).cast(pa.string()) if kind is Kind.FLOAT32 else texts


def _unhexed(texts: pa.Array) -> pa.Array:
    _must_match(texts, _HEX)
    return pa.array([None if text is None else bytes.fromhex(text[2:]) for text in texts.to_pylist()], pa.binary())


def _bits(texts: pa.Array, width: int) -> pa.Array:
    _must_match(texts, _BITS)
    size = (width + 7) // 8
    if pc.any(pc.greater(pc.binary_length(texts), width), min_count=0).as_py():
        raise NotHeld("it has more bits than the column")
    whole: Sequence[str | None] = texts.to_pylist()
    return pa.array([None if one is None else int(one, 2).to_bytes(size, "big") for one in whole], pa.binary())


# What the server takes bytes for, since all that is loaded is bytes to it.
_PACKED: dict[str, Callable[[str], bytes]] = {
    "uuid": lambda text: bytes.fromhex(text.replace("-", "")),
    "inet4": lambda text: IPv4Address(text).packed,
    "inet6": lambda text: IPv6Address(text).packed,
}


def _packed(texts: pa.Array, base: str) -> pa.Array:
    if base == "uuid":
        _must_match(texts, _UUID)
    try:
        values = [None if text is None else _PACKED[base](text) for text in texts.to_pylist()]
    except ValueError as error:
        raise NotHeld("it is not the text of an address") from error
    return pa.array(values, pa.binary())


def constant(value: bytes, have: str) -> str:
    """A value as `encoded` gave it, as a constant that compares exactly with a column of the type."""
    mine = Spelling.of(have)
    if mine.is_text:
        return f"_utf8mb4 x'{value.hex()}'"
    if mine.is_bytes or needs_escapes(have):
        return f"x'{value.hex()}'"
    text = value.decode()
    if mine.is_integer or mine.base == "decimal":
        if not re.fullmatch(r"-?\d+(\.\d+)?", text):
            raise NotHeld("it is not the text of a number")
        return text
    quoted = "'" + text.replace("'", "''") + "'"
    if mine.base in ("float", "double"):
        return f"CAST({quoted} AS DOUBLE)"
    return f"CAST({quoted} AS {mine.base}{f'({mine.numbers[0]})' if mine.numbers else ''})"


def text(value: str, kind: Kind, have: str) -> str:
    """The SQL expression that spells a value as the source does; but a binary fraction as MariaDB does, and bytes as
    they are."""
    mine = Spelling.of(have)
    if mine.is_text or mine.is_bytes:
        return value
    if kind is Kind.BYTES:  # a geometry
        return f"CAST({value} AS BINARY)"
    if kind is Kind.BOOL:
        return f"CASE {value} WHEN 1 THEN 't' WHEN 0 THEN 'f' END"
    if mine.base == "float":
        return f"{value} + 0e0"  # as a single it would be shown with six digits
    if mine.base == "bit":
        return f"LPAD(BIN({value}), {mine.numbers[0] if mine.numbers else 1}, '0')"
    if mine.base in ("time", "datetime", "timestamp"):
        shown = f"CAST({value} AS CHAR)"
        if mine.numbers and mine.numbers[0]:
            shown = f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {shown}))"
        return f"CONCAT({shown}, '+00')" if kind is Kind.TIMESTAMPTZ else shown
    return f"CAST({value} AS CHAR)"
