"""Makes tables: their columns' definitions, with the defaults that old rows get."""

from __future__ import annotations

import re
import zlib

import pyarrow as pa
import pymysql
from pymysql.cursors import Cursor

from tidegate.connect.capability import WriteMode
from tidegate.connect.mariadb import number, quote, quoted
from tidegate.connect.myflavour import Flavour
from tidegate.connect.target import TargetTable
from tidegate.errors import TargetUnfit
from tidegate.model.schema import Column, Kind
from tidegate.targets.mariadb.catalog import CHARSET, ENGINE, collation, created_types, kinds
from tidegate.targets.mariadb.types import NotHeld, Spelling, column_type, encoded, needs_escapes

_ROW_TOO_LARGE = 1118
_MOST_DEFAULT_BYTES = 16_384
"""A definition has room for 64 kB in all; longer defaults are kept compressed."""


def create_table(cursor: Cursor, table: TargetTable, flavour: Flavour) -> None:
    """With its database where that is missing. Commits by itself, and leaves a table that is there alone."""
    cursor.execute("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = %s", (table.schema,))
    if not int((cursor.fetchone() or (0,))[0]):
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS {quote(table.schema)} CHARACTER SET {CHARSET}")
    try:
        cursor.execute(_statement(table, flavour, roomy=False))
    except pymysql.Error as error:
        if number(error) != _ROW_TOO_LARGE:
            raise
        cursor.execute(_statement(table, flavour, roomy=True))


def _statement(table: TargetTable, flavour: Flavour, *, roomy: bool) -> str:
    """`roomy`: texts outside the key are kept beside the row, which has no room for all of them."""
    key = table.source.key if table.mode is WriteMode.UPSERT else ()
    made, kind = created_types(table), kinds(table)
    defaults = {column.name: column.default for column in table.source.columns}
    parts = []
    for name, type in made.items():
        given = "longtext" if roomy and name not in key and Spelling.of(type).base == "varchar" else type
        parts.append(_defined(table, name, given, kind[name], defaults.get(name), flavour, required=name in key))
    if key:
        parts.append(f"PRIMARY KEY ({', '.join(quote(name) for name in key)})")
    place = quoted(table.schema, table.name)
    return f"CREATE TABLE IF NOT EXISTS {place} ({', '.join(parts)}) ENGINE = {ENGINE} DEFAULT CHARACTER SET {CHARSET}"


def definition(table: TargetTable, column: Column, flavour: Flavour) -> str:
    """A column that comes later. Raises `TargetUnfit` for a default that the type cannot hold."""
    type = column_type(column.type, table.source.family)
    return _defined(table, column.name, type, column.type.kind, column.default, flavour, required=False)


def _defined(
    table: TargetTable, name: str, type: str, kind: Kind, default: str | None, flavour: Flavour, *, required: bool
) -> str:
    mine = Spelling.of(type)
    parts = [quote(name), type]
    if mine.is_text or mine.base in ("enum", "set"):
        parts.append(f"CHARACTER SET {CHARSET} COLLATE {collation(mysql=flavour.mysql)}")
    parts.append("NOT NULL" if required else "NULL")
    if default is not None:
        parts.append(f"DEFAULT {_default(table, name, type, kind, default)}")
    if kind is Kind.JSON and mine.base == "longtext" and name in table.source.names:
        parts.append(f"CHECK (JSON_VALID({quote(name)}))")
    return " ".join(parts)


def _default(table: TargetTable, name: str, type: str, kind: Kind, text: str) -> str:
    """As an expression of plain letters: a definition keeps neither all characters nor long values as they are."""
    try:
        value: bytes = encoded(pa.array([text]), kind, type)[0].as_py()
    except NotHeld as reason:
        raise TargetUnfit(f"{table}.{name}: its default cannot be held by {type}: {reason}") from reason
    if not needs_escapes(type):
        return "'" + value.decode().replace("'", "''") + "'"
    if Spelling.of(type).is_text and re.fullmatch(rb"[\w .,:;+/=-]{0,1000}", value):
        return f"('{value.decode()}')"
    shown = f"x'{value.hex()}'"
    if len(value) > _MOST_DEFAULT_BYTES:
        packed = len(value).to_bytes(4, "little") + zlib.compress(value, 9)  # what UNCOMPRESS reads
        if len(packed) > _MOST_DEFAULT_BYTES:
            raise TargetUnfit(f"{table}.{name}: its default is too long for a definition here")
        shown = f"UNCOMPRESS(x'{packed.hex()}')"
    return f"(CONVERT({shown} USING {CHARSET}))" if Spelling.of(type).is_text else f"({shown})"
