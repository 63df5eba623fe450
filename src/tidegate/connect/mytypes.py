"""Column types of MariaDB and MySQL as the model says them: from the catalogue, and from what the binary log tells of a
column.

The log says less than the catalogue: UUID and INET come as bytes, MariaDB's JSON as text. So each column of the
catalogue also has the type that the log would show (`logged`), and where the log shows just that, the catalogue's word
counts. Widths that are for showing only (`int(11)`) are left out of spellings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate.connect.myflavour import Flavour
from tidegate.decode import binlog_values
from tidegate.decode.binlog_cursor import Refused
from tidegate.decode.binlog_table import Column as LoggedColumn
from tidegate.decode.binlog_table import Form, Type
from tidegate.decode.charset import BINARY, charset_of, reader_of
from tidegate.model.schema import Column, DataType, Kind, TableName

Query = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]
"""A statement and its values in, all rows out."""

_INTEGERS = {
    "tinyint": (Kind.INT16, Kind.INT16),
    "smallint": (Kind.INT16, Kind.INT32),
    "mediumint": (Kind.INT32, Kind.INT32),
    "int": (Kind.INT32, Kind.INT64),
    "bigint": (Kind.INT64, Kind.DECIMAL),
}
"""Of a signed one, and of an unsigned one."""
_PLAIN = {
    "float": Kind.FLOAT32,
    "double": Kind.FLOAT64,
    "date": Kind.DATE,
    "year": Kind.INT16,
    "time": Kind.INTERVAL,  # up to 838 hours, and negative
    "datetime": Kind.TIMESTAMP,
    "timestamp": Kind.TIMESTAMPTZ,
    "bit": Kind.OTHER,
    "enum": Kind.TEXT,
    "set": Kind.TEXT,
    "uuid": Kind.UUID,
    "inet4": Kind.OTHER,
    "inet6": Kind.OTHER,
}
_TEXTS = {"tinytext": 1, "text": 2, "mediumtext": 3, "longtext": 4}
_BLOBS = {"tinyblob": 1, "blob": 2, "mediumblob": 3, "longblob": 4}
_GEOMETRIES = frozenset(
    {
        *("geometry", "point", "linestring", "polygon"),
        *("multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection"),
    }
)
_FORMS = {"uuid": (Form.UUID, 16), "inet4": (Form.INET4, 4), "inet6": (Form.INET6, 16)}

# By the log's type: its name here.
_LOGGED_INTEGERS = {
    Type.TINY: "tinyint",
    Type.SHORT: "smallint",
    Type.INT24: "mediumint",
    Type.LONG: "int",
    Type.LONGLONG: "bigint",
}
_LOGGED_TIMES = {
    Type.TIMESTAMP: "timestamp",
    Type.TIMESTAMP2: "timestamp",
    Type.DATETIME: "datetime",
    Type.DATETIME2: "datetime",
    Type.TIME: "time",
    Type.TIME2: "time",
}
_LOGGED_PLAIN = {Type.FLOAT: "float", Type.DOUBLE: "double", Type.DATE: "date", Type.NEWDATE: "date", Type.YEAR: "year"}
SIGNED = frozenset({*_LOGGED_INTEGERS, Type.NEWDECIMAL, Type.FLOAT, Type.DOUBLE})
# So many bytes a character can take at most, in the character sets where it is not one.
_WIDEST = {
    **dict.fromkeys(("utf8mb4", "utf16", "utf16le", "utf32", "gb18030"), 4),
    **dict.fromkeys(("utf8mb3", "ujis", "eucjpms"), 3),
    **dict.fromkeys(("ucs2", "big5", "cp932", "euckr", "gb2312", "gbk", "sjis"), 2),
}


@dataclass(frozen=True, slots=True)
class Described:
    """A column as the catalogue has it."""

    name: str
    type: DataType
    logged: DataType
    """What the log shows of it."""
    form: Form | None
    nullable: bool
    charset: str
    """Of a text; empty: it is none."""
    collation: str
    zerofill: bool
    old_format: bool
    """A time in a format that the log cannot be read by."""

    @property
    def column(self) -> Column:
        return Column(self.name, self.type, self.nullable)


def described(query: Query, table: TableName, flavour: Flavour) -> list[Described]:
    """The table's columns in order, generated and invisible ones too: the log has them all. Empty: there is no such
    table, or it may not be read."""
    rows = query(
        "select column_name, column_type, is_nullable, character_set_name, collation_name, character_maximum_length"
        " from information_schema.columns where table_schema = %s and table_name = %s order by ordinal_position",
        (table.schema, table.name),
    )
    asks = flavour.checks_documents and any(row[1] == "longtext" for row in rows)
    documents = _documents(query, table) if asks else set()
    return [
        _described(flavour, name, spelled, nullable == "YES", charset or "", collation or "", length, name in documents)
        for name, spelled, nullable, charset, collation, length in rows
    ]


def _documents(query: Query, table: TableName) -> set[str]:
    """The columns that are declared JSON: such a text has a constraint of its own, of its name, that says so. (Whose it
    is servers before 10.5.10 do not tell.)"""
    clauses = query(
        "select constraint_name, check_clause from information_schema.check_constraints"
        " where constraint_schema = %s and table_name = %s",
        (table.schema, table.name),
    )
    return {name for name, clause in clauses if clause.strip() == f"json_valid(`{name.replace('`', '``')}`)"}


def logged(type: DataType, flavour: Flavour) -> tuple[DataType, Form | None]:
    """What the log shows of a column of the catalogue's type, and what its bytes are where it does not tell."""
    base = type.native.partition("(")[0]
    if base in _FORMS:
        form, size = _FORMS[base]
        return DataType(Kind.BYTES, f"binary({size})"), form
    if base in _GEOMETRIES:
        return DataType(Kind.BYTES, "geometry"), None
    if base == "json" and flavour.checks_documents:
        return DataType(Kind.TEXT, "longtext"), None
    return (DataType(Kind.BYTES, "varbinary") if base == "vector" else type), None


def _described(
    flavour: Flavour,
    name: str,
    spelled: str,
    nullable: bool,
    charset: str,
    collation: str,
    length: int | None,
    document: bool,
) -> Described:
    old_format = "mariadb-5.3" in spelled
    plain = re.sub(r"\s*/\*.*?\*/", "", spelled).strip()
    zerofill = plain.endswith(" zerofill")
    type = catalogued(plain, int(length) if length is not None else None)
    if type.native == "json" or (document and type.native == "longtext"):
        type = DataType(Kind.JSON, "json")
    shows, form = logged(type, flavour)
    return Described(name, type, shows, form, nullable, charset, collation, zerofill, old_format)


def catalogued(spelled: str, length: int | None = None) -> DataType:
    """A type by its spelling in `information_schema`; `length` is that of a text, in characters."""
    # Compressed columns, and what is said of texts beyond their type, do not change what values they hold.
    native = re.sub(r" (zerofill|compressed)\b", "", spelled)
    base = re.split(r"[( ]", native, maxsplit=1)[0]
    if base in _INTEGERS:
        return _integer(base, "unsigned" in native)
    numbers = [int(number) for number in re.findall(r"\d+", native)] if base in _NUMBERED else []
    if base == "decimal":
        precision, scale = (*numbers, 0, 0)[:2]
        return _decimal(precision, scale)
    if base in ("char", "varchar"):
        characters = numbers[0] if numbers else length or 1
        return DataType(Kind.TEXT, f"{base}({characters})", length=characters)
    if base in ("binary", "varbinary"):
        return DataType(Kind.BYTES, f"{base}({numbers[0]})")
    if base in _TEXTS:
        return DataType(Kind.TEXT, base)
    if base in _BLOBS or base in _GEOMETRIES or base == "vector":
        return DataType(Kind.BYTES, native)
    if base in ("float", "double"):
        return DataType(_PLAIN[base], base)  # digits that are said beside it only limit what may be put in
    if base == "year":
        return DataType(Kind.INT16, base)
    if base in _CLOCKS:
        return _clock(base, int((re.findall(r"\d+", native) or [0])[0]))
    return DataType(_PLAIN.get(base, Kind.OTHER), native)


_CLOCKS = frozenset({"time", "datetime", "timestamp"})
_NUMBERED = frozenset({"decimal", "char", "varchar", "binary", "varbinary"})


def shown(column: LoggedColumn) -> DataType:
    """The type by what the log tells of the column. Raises `Refused` for a character set that is not known."""
    type_ = column.type
    if type_ in _LOGGED_INTEGERS:
        return _integer(_LOGGED_INTEGERS[type_], bool(column.unsigned))
    if type_ is Type.NEWDECIMAL:
        return _decimal(column.size, column.decimals or 0)
    if type_ in _LOGGED_TIMES:
        return _clock(_LOGGED_TIMES[type_], column.decimals or 0)
    if type_ in _LOGGED_PLAIN:
        return DataType(_PLAIN[_LOGGED_PLAIN[type_]], _LOGGED_PLAIN[type_])
    if type_ is Type.BIT:
        return DataType(Kind.OTHER, f"bit({column.size})")
    if type_ in (Type.ENUM, Type.SET):
        labels = ",".join("'" + label.replace("'", "''") + "'" for label in column.labels or ())
        return DataType(Kind.TEXT, f"{type_.name.lower()}({labels})")
    if type_ is Type.GEOMETRY:
        return DataType(Kind.BYTES, "geometry")
    if type_ is Type.JSON:
        return DataType(Kind.JSON, "json")
    if type_ is Type.VECTOR:
        return DataType(Kind.BYTES, "varbinary")
    return _string(column)


def _string(column: LoggedColumn) -> DataType:
    binary = column.collation == BINARY
    if column.type in (Type.STRING, Type.VAR_STRING, Type.VARCHAR, Type.VARCHAR_COMPRESSED):
        base = "char" if column.type is Type.STRING else "varchar"
        size = column.size - (column.type is Type.VARCHAR_COMPRESSED)
        if binary:
            return DataType(Kind.BYTES, f"{base.replace('char', 'binary')}({size})")
        length = size // _WIDEST.get(charset_of(column.collation or BINARY), 1)
        return DataType(Kind.TEXT, f"{base}({length})", length=length)
    size = {Type.TINY_BLOB: 1, Type.MEDIUM_BLOB: 3, Type.LONG_BLOB: 4}.get(column.type, column.size)
    names, kind = (_BLOBS, Kind.BYTES) if binary else (_TEXTS, Kind.TEXT)
    return DataType(kind, next(name for name, bytes_ in names.items() if bytes_ == size))


def _integer(base: str, unsigned: bool) -> DataType:
    kind = _INTEGERS[base][unsigned]
    native = f"{base} unsigned" if unsigned else base
    return DataType(kind, native, 20, 0) if kind is Kind.DECIMAL else DataType(kind, native)


def _clock(base: str, decimals: int) -> DataType:
    return DataType(_PLAIN[base], f"{base}({decimals})" if decimals else base, scale=decimals)


def _decimal(precision: int, scale: int) -> DataType:
    return DataType(Kind.DECIMAL, f"decimal({precision},{scale})", precision, scale)


def unreadable(column: Described) -> str:
    """Why the log does not give the column's values exactly; empty: it does."""
    if column.old_format:
        return (
            "has a time in a format whose log does not tell its fractions: run ALTER TABLE … FORCE with"
            " mysql56_temporal_format = ON"
        )
    if column.charset:
        try:
            reader_of(column.charset)
        except Refused as refused:
            return f"cannot be read: {refused}"
    return ""


SPELLINGS = (
    *("tinyint(4)", "tinyint(3) unsigned", "smallint(6)", "smallint(5) unsigned", "mediumint(9)"),
    *("mediumint(8) unsigned", "int(11)", "int(10) unsigned", "bigint(20)", "bigint(20) unsigned", "bit(8)"),
    *("decimal(12,2)", "decimal(65,30)", "float", "double", "year(4)", "date", "time", "time(6)", "datetime"),
    *("datetime(6)", "timestamp", "timestamp(6)", "char(10)", "varchar(100)", "tinytext", "text", "mediumtext"),
    *("longtext", "json", "enum('a','b')", "set('a','b')", "binary(4)", "varbinary(100)", "tinyblob", "blob"),
    *("mediumblob", "longblob", "uuid", "inet4", "inet6", "geometry", "point", "polygon"),
)
"""One of each type there is, as the catalogue spells it; JSON, which is longtext with a check there, by its name."""


def listed(flavour: Flavour) -> list[tuple[str, DataType]]:
    """Each that it has, with what it is here."""
    lengths = {"char(10)": 10, "varchar(100)": 100}
    spelled = [one for one in SPELLINGS if not (flavour.mysql and one in _FORMS)]
    if flavour.mysql:  # as they are since 8.0.19, where widths said nothing
        spelled = list(dict.fromkeys(re.sub(r"(int|year)\(\d+\)", r"\1", one) for one in spelled))
        spelled.append("vector(3)")
    return [(one, _described(flavour, "c", one, True, "", "", lengths.get(one), False).type) for one in spelled]


# --- how a value that was selected becomes its canonical text; the log's values come so from the decoder ---


def expression(column: Described, quoted: str) -> str:
    """What to select so that the client is sent the value whole."""
    base = column.type.native.partition("(")[0]
    if base == "float":
        return f"{quoted} + 0e0"  # as a single it would be rounded to six digits
    if column.zerofill:
        return f"{quoted} + 0"  # else it would come with its zeros
    if base == "bit":
        return f"{quoted} + 0"
    if base == "vector":  # the client library knows no such type
        return f"cast({quoted} as binary)"
    return quoted


def reading(column: Described) -> Callable[[Any], str] | None:
    """From what the driver gives (text, or bytes of what is none) to the canonical text; None: it is that already."""
    type, base = column.type, column.type.native.partition("(")[0]
    if type.kind is Kind.BYTES:
        return _hexadecimal
    if base == "float":
        return _single
    if base == "double":
        return _double
    if base == "bit":
        width = int(re.findall(r"\d+", type.native)[0])
        return lambda text: format(int(text), f"0{width}b")
    if base == "year":
        return lambda text: "0" if text == "0000" else str(text)
    if base in ("time", "datetime"):
        return _trimmed
    if base == "timestamp":
        return _instant
    return None


def _hexadecimal(raw: Any) -> str:
    return "\\x" + bytes(raw).hex()


def _single(text: str) -> str:
    return binlog_values.single_text(float(text))


def _double(text: str) -> str:
    return binlog_values.float_text(repr(float(text)), 15)


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _instant(text: str) -> str:
    plain = _trimmed(text)
    return plain if plain.startswith("0000") else plain + "+00"
