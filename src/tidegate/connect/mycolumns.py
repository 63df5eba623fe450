"""A table's columns where the log does not name them (`binlog_row_metadata = MINIMAL`): the shape that the run knew at
its position, led on from one ALTER TABLE in the log to the next, and held against what the log does tell. Pure.

Whatever is not understood, or does not agree, ends the run: a value must not come under another column's name (I6).
"""

from __future__ import annotations

import re

from tidegate.connect import mytypes
from tidegate.connect.myalter import Altered
from tidegate.connect.myflavour import of_family
from tidegate.connect.mystatements import Statement
from tidegate.decode.binlog_cursor import Refused
from tidegate.decode.binlog_table import Column as LoggedColumn
from tidegate.decode.binlog_table import Type
from tidegate.errors import SourceLogFormat
from tidegate.model.schema import Column, DataType, Kind, TableSchema

_LABELS = re.compile(r"'((?:[^']|'')*)'")


def altered(was: TableSchema, statement: Statement, new: dict[str, Column]) -> TableSchema:
    """The shape behind an ALTER TABLE; `new` are the columns that it adds, by name. What a statement does that the
    shape has already is passed over: the run was told of the table a moment later than of the log. Raises
    `SourceLogFormat`."""
    gone = {one.before.lower() for one in statement.altered if not one.after}
    if statement.touches_key or gone & {name.lower() for name in was.key}:
        raise SourceLogFormat(f"{was.name}: its key was altered, and binlog_row_metadata is not FULL")
    # As the server does it: what goes, and what changes where it stands; then what comes and what moves, in turn.
    columns, key = list(was.columns), list(was.key)
    turns: list[tuple[Column, str | None]] = []
    for one in statement.altered:
        at = _place(columns, one.before) if one.before else None
        if not one.before and _place(list(was.columns), one.after) is None:
            turns.append((new[one.after], one.behind))
        if at is None:
            continue
        column = _retyped(was, columns[at], one) if one.after else None
        key = [column.name if column and name == columns[at].name else name for name in key]
        if column is not None and one.behind is None:
            columns[at] = column
            continue
        del columns[at]
        if column is not None:
            turns.append((column, one.behind))
    for column, behind in turns:
        _put(was, columns, column, behind)
    if tuple(columns) == was.columns and tuple(key) == was.key:
        return was
    return TableSchema(was.name, tuple(columns), tuple(key), was.family)


def _place(columns: list[Column], name: str) -> int | None:
    return next((at for at, column in enumerate(columns) if column.name.lower() == name.lower()), None)


def _put(table: TableSchema, columns: list[Column], column: Column, behind: str | None) -> None:
    after = _place(columns, behind) if behind else None
    if behind and after is None:
        raise SourceLogFormat(
            f"{table.name}: column {column.name} is put behind {behind}, which is not known, and the log does not name"
            " columns: binlog_row_metadata is not FULL"
        )
    columns.insert(0 if behind == "" else len(columns) if after is None else after + 1, column)


def _retyped(table: TableSchema, was: Column, one: Altered) -> Column:
    if not one.type:
        return Column(one.after, was.type, was.nullable, was.default, was.varies)
    new = made(table, one)
    return Column(one.after, new.type, new.nullable, was.default, was.varies)


def made(table: TableSchema, one: Altered) -> Column:
    """A column as a statement defines it. Raises `SourceLogFormat` where its type is not understood."""
    if one.type == "?":
        raise SourceLogFormat(
            f"{table.name}: the type that column {one.after} is given is not understood, and the log does not name"
            " columns: binlog_row_metadata is not FULL"
        )
    type = DataType(Kind.JSON, "json") if one.type == "json" else mytypes.catalogued(one.type)
    return Column(one.after, type, one.nullable)


def completed(known: TableSchema, told: tuple[LoggedColumn, ...]) -> tuple[LoggedColumn, ...]:
    """What the log tells of the columns, with names, labels and forms. Raises `SourceLogFormat` unless the log tells of
    as many columns, each of the type that is known."""
    if len(told) != len(known.columns):
        raise SourceLogFormat(
            f"{known.name}: the log has {len(told)} columns that it does not name, and {len(known.columns)} are known:"
            " binlog_row_metadata is not FULL"
        )
    return tuple(_completed(known, column, one) for column, one in zip(known.columns, told, strict=True))


def _completed(known: TableSchema, column: Column, told: LoggedColumn) -> LoggedColumn:
    logged, form = mytypes.logged(column.type, of_family(known.family))
    one = told._replace(name=column.name, form=form)
    if told.type in (Type.ENUM, Type.SET) and column.type.native.startswith(("enum(", "set(")):
        one = one._replace(labels=tuple(label.replace("''", "'") for label in _LABELS.findall(column.type.native)))
    if told.unsigned is None and told.type in mytypes.SIGNED:
        raise SourceLogFormat(f"{known.name}: the log tells no signs: binlog_row_metadata is not FULL, nor MINIMAL")
    try:
        shown = mytypes.shown(one)
    except Refused as refused:
        raise SourceLogFormat(f"{known.name}: column {column.name}: {refused}") from refused
    if shown != logged:
        raise SourceLogFormat(
            f"{known.name}: column {column.name} is known as {logged.native}, and the log, which does not name it, has"
            f" {shown.native}: binlog_row_metadata is not FULL"
        )
    return one
