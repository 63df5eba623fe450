"""Table maps: the shape that a binary log gives a table before its rows.

Format: MySQL Source Code Documentation, `Table_map_event` (`rows_event.h`: column types, optional metadata); MariaDB
documentation, "TABLE_MAP_EVENT". What is optional is None where the server did not send it (`binlog_row_metadata`):
whoever knows the table's history fills it in (`Column._replace`), and what cannot be read without it is refused.
MariaDB 10.11's maps are tested on its own bytes, MySQL's on bytes built as published and on MySQL 9.7.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, StrEnum
from typing import NamedTuple

from tidegate.decode.binlog_cursor import Cursor, Malformed, Refused
from tidegate.decode.charset import charset_of, reader_of


class Type(IntEnum):
    """Column types as they stand in the log; ENUM and SET come as STRING with their own type in its metadata."""

    DECIMAL_OLD = 0
    TINY = 1
    SHORT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    NULL = 6
    TIMESTAMP = 7
    LONGLONG = 8
    INT24 = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    YEAR = 13
    NEWDATE = 14
    VARCHAR = 15
    BIT = 16
    TIMESTAMP2 = 17
    DATETIME2 = 18
    TIME2 = 19
    TYPED_ARRAY = 20
    BLOB_COMPRESSED = 140
    VARCHAR_COMPRESSED = 141
    VECTOR = 242
    JSON = 245
    NEWDECIMAL = 246
    ENUM = 247
    SET = 248
    TINY_BLOB = 249
    MEDIUM_BLOB = 250
    LONG_BLOB = 251
    BLOB = 252
    VAR_STRING = 253
    STRING = 254
    GEOMETRY = 255


class Form(StrEnum):
    """What a MariaDB column of fixed bytes is, which the log does not tell: known from the table's definition only."""

    UUID = "uuid"
    INET4 = "inet4"
    INET6 = "inet6"


class Column(NamedTuple):
    type: Type
    size: int
    """Of strings the largest size in bytes; of numbers the digits; of BIT the bits; of ENUM, SET and what is longer
    the bytes of the number or of the length before the value."""
    decimals: int | None
    """Of numbers and times; None for an old time type of MariaDB, whose log does not tell."""
    nullable: bool
    name: str | None = None
    unsigned: bool | None = None
    collation: int | None = None
    labels: tuple[str, ...] | None = None
    """Of ENUM and SET."""
    geometry: int | None = None
    visible: bool | None = None
    dimensions: int | None = None
    form: Form | None = None


class TableMap(NamedTuple):
    table_id: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[tuple[int, int], ...] | None
    """The primary key: each column's place, and how many characters of it count (0: all)."""


_NUMERIC = frozenset(
    {Type.TINY, Type.SHORT, Type.INT24, Type.LONG, Type.LONGLONG, Type.NEWDECIMAL, Type.FLOAT, Type.DOUBLE}
)
_CHARACTER = frozenset(
    {Type.STRING, Type.VAR_STRING, Type.VARCHAR, Type.BLOB, Type.TINY_BLOB, Type.MEDIUM_BLOB, Type.LONG_BLOB}
    | {Type.BLOB_COMPRESSED, Type.VARCHAR_COMPRESSED}
)
_LABELLED = frozenset({Type.ENUM, Type.SET})
_OLD_TIMES = frozenset({Type.TIMESTAMP, Type.TIME, Type.DATETIME})


_COLUMN_NAMES = 4


def table_map(cursor: Cursor, id_size: int, mariadb: bool) -> TableMap:
    """The body of a table map event. Raises `Malformed`; `Refused` for a column's type or character set."""
    table_id = cursor.unsigned(id_size)
    cursor.skip(2)
    schema, name = _name(cursor), _name(cursor)
    count = cursor.packed()
    types = cursor.take(count)
    metadata = cursor.part(cursor.packed(), "column metadata")
    nulls = int.from_bytes(cursor.take((count + 7) // 8), "little")
    columns: list[Column] = []
    for code in types:
        try:
            columns.append(_column(metadata, code, bool(nulls >> len(columns) & 1), mariadb))
        except Refused as refused:
            which = _called(cursor, len(columns))
            raise Refused(f"column {which} of {schema}.{name}: {refused.detail}", refused.advice) from None
    metadata.done()
    key: tuple[tuple[int, int], ...] | None = None
    labelled: list[tuple[Type, Cursor]] = []
    while cursor.left():
        kind = cursor.unsigned(1)
        field = cursor.part(cursor.packed(), f"metadata field {kind}")
        if kind in (5, 6):
            # Labels are in a character set that may be told only behind them.
            labelled.append((Type.SET if kind == 5 else Type.ENUM, field))
        elif kind in (8, 9):
            key = tuple(_key(field, kind == 9, count))
        else:
            _optional(columns, field, kind, mariadb)
    for type_, field in labelled:
        _label(columns, field, type_)
    return TableMap(table_id, schema, name, tuple(columns), key)


def _called(cursor: Cursor, at: int) -> str:
    """What the fields at the cursor call a column; else its number, from 1 on."""
    while cursor.left():
        kind = cursor.unsigned(1)
        field = cursor.part(cursor.packed(), f"metadata field {kind}")
        names = [field.text(field.packed_bytes()) for _ in range(at + 1 if kind == _COLUMN_NAMES else 0)]
        if names:
            return names[-1]
    return f"number {at + 1}"


def _name(cursor: Cursor) -> str:
    name = cursor.text(cursor.take(cursor.unsigned(1)))
    if cursor.unsigned(1):
        raise cursor.malformed("a name that does not end")
    return name


def _column(metadata: Cursor, code: int, nullable: bool, mariadb: bool) -> Column:
    try:
        type_ = Type(code)
    except ValueError:
        raise Refused(f"its type {code} is not known", "Leave the table out, or change the column's type") from None
    size, decimals = 0, 0
    if type_ in (Type.VARCHAR, Type.VARCHAR_COMPRESSED):
        size = metadata.unsigned(2)
    elif type_ in (Type.STRING, Type.VAR_STRING):
        type_, size = _string(metadata)
    elif type_ is Type.NEWDECIMAL:
        size, decimals = metadata.unsigned(1), metadata.unsigned(1)
        if not 1 <= size <= 65 or decimals > size:
            raise metadata.malformed("a decimal that cannot be")
    elif type_ is Type.BIT:
        size = metadata.unsigned(1) + 8 * metadata.unsigned(1)
        if not 1 <= size <= 64:
            raise metadata.malformed("a bit field that cannot be")
    elif type_ in (Type.TIMESTAMP2, Type.DATETIME2, Type.TIME2):
        decimals = metadata.unsigned(1)
        if decimals > 6:
            raise metadata.malformed("a time with more than six decimals")
    elif type_ in (Type.BLOB, Type.GEOMETRY, Type.JSON, Type.VECTOR, Type.BLOB_COMPRESSED):
        size = metadata.unsigned(1)
        if not 1 <= size <= 4:
            raise metadata.malformed("a length that cannot be")
    elif type_ in (Type.FLOAT, Type.DOUBLE):
        size = metadata.unsigned(1)
        if size != (4 if type_ is Type.FLOAT else 8):
            raise metadata.malformed("a float of an unknown size")
    elif type_ in (Type.DECIMAL_OLD, Type.TYPED_ARRAY):
        raise Refused(f"its type {type_.name} cannot be read", "Leave the table out, or change the column's type")
    # MariaDB writes these old types for any number of decimals and does not tell how many.
    return Column(type_, size, None if mariadb and type_ in _OLD_TIMES else decimals, nullable)


def _string(metadata: Cursor) -> tuple[Type, int]:
    """The real type, and the size in bytes, of which two bits are hidden in the type."""
    first, second = metadata.unsigned(1), metadata.unsigned(1)
    if first & 0x30 != 0x30:
        code, size = first | 0x30, second | ((first & 0x30) ^ 0x30) << 4
    else:
        code, size = first, second
    if code not in (Type.ENUM, Type.SET, Type.STRING, Type.VAR_STRING):
        raise metadata.malformed(f"no string is of type {code}")
    if (code == Type.ENUM and size not in (1, 2)) or (code == Type.SET and not 1 <= size <= 8):
        raise metadata.malformed("an enumeration of an unknown size")
    return Type(code), size


def _optional(columns: list[Column], field: Cursor, kind: int, mariadb: bool) -> None:
    if kind == 1:
        _signs(columns, field.take(field.left()), mariadb)
    elif kind in (2, 3, 10, 11):
        # MariaDB counts GEOMETRY among the strings, MySQL VECTOR.
        strings = _CHARACTER | {Type.GEOMETRY if mariadb else Type.VECTOR}
        types = strings if kind < 10 else _LABELLED
        places = [at for at, column in enumerate(columns) if column.type in types]
        for at, collation in zip(places, _collations(field, kind in (2, 10), len(places)), strict=True):
            columns[at] = columns[at]._replace(collation=collation)
    elif kind == _COLUMN_NAMES:
        for at, column in enumerate(columns):
            columns[at] = column._replace(name=field.text(field.packed_bytes()))
    elif kind == 7:
        for at, column in enumerate(columns):
            if column.type is Type.GEOMETRY:
                columns[at] = column._replace(geometry=field.packed())
    elif kind == 12:
        bits = int.from_bytes(field.take((len(columns) + 7) // 8), "big")
        width = (len(columns) + 7) // 8 * 8
        for at, column in enumerate(columns):
            columns[at] = column._replace(visible=bool(bits >> (width - 1 - at) & 1))
    elif kind == 13:
        for at, column in enumerate(columns):
            if column.type is Type.VECTOR:
                columns[at] = column._replace(dimensions=field.packed())
    else:
        return  # of a newer server: optional means that rows can be read without it
    field.done()


def _signs(columns: list[Column], raw: bytes, mariadb: bool) -> None:
    """MariaDB 10.11 and MySQL 9.7 count YEAR among the numbers, and it has no sign. Where that would give a YEAR one,
    it was not counted, as MySQL's own programs read it."""
    bits = [bool(byte >> at & 1) for byte in raw for at in range(7, -1, -1)]
    for counted in (_NUMERIC | {Type.YEAR}, _NUMERIC):
        places = [at for at, column in enumerate(columns) if column.type in counted]
        signs = dict(zip(places, bits, strict=False))
        if len(raw) == (len(places) + 7) // 8 and (
            mariadb or all(unsigned for at, unsigned in signs.items() if columns[at].type is Type.YEAR)
        ):
            break
    else:
        raise Malformed(f"signs of {len(places)} columns in {len(raw)} bytes")
    for at, unsigned in signs.items():
        columns[at] = columns[at]._replace(unsigned=unsigned)


def _collations(field: Cursor, with_default: bool, count: int) -> list[int]:
    """Of each character column: all in order, or a default and the places and collations of those that differ."""
    if not with_default:
        return [field.packed() for _ in range(count)]
    collations = [field.packed()] * count
    while field.left():
        at, collation = field.packed(), field.packed()
        if at >= count:
            raise field.malformed("a character set for a column that is not there")
        collations[at] = collation
    return collations


def _label(columns: list[Column], field: Cursor, type_: Type) -> None:
    for at, column in enumerate(columns):
        if column.type is not type_:
            continue
        raw = [field.packed_bytes() for _ in range(field.packed())]
        if column.collation is None:
            raise field.malformed("labels without a character set")
        charset = charset_of(column.collation)
        try:
            labels = tuple(map(reader_of(charset), raw))
        except UnicodeDecodeError:
            raise field.malformed(f"labels that are not in {charset}") from None
        columns[at] = column._replace(labels=labels)
    field.done()


def _key(field: Cursor, with_prefix: bool, count: int) -> Iterator[tuple[int, int]]:
    while field.left():
        at = field.packed()
        if at >= count:
            raise field.malformed("a key of a column that is not there")
        yield at, field.packed() if with_prefix else 0
