"""The shape each table has at a place in a binary log: the log's own words, and what only the catalogue knows.

A table map names the columns and their types as they were when its rows were written. That a column's bytes are a UUID
or an address, or its text a document, is the catalogue's word, which counts where the log shows just what the
catalogue's type would look like. Which value rows had in a column before it existed is in the statement that added it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from tidegate.connect import mycolumns, mytypes
from tidegate.connect.myalter import EVERY, Altered
from tidegate.connect.mynarrowing import keeps
from tidegate.connect.mystatements import Added, Statement
from tidegate.decode.binlog_cursor import Refused
from tidegate.decode.binlog_table import Column as LoggedColumn
from tidegate.decode.binlog_table import TableMap, Type
from tidegate.decode.charset import charset_of
from tidegate.errors import SourceLogFormat
from tidegate.model.change import Cell, Row
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema

Catalogue = Callable[[TableName], Sequence[mytypes.Described]]
"""A table's columns as they are now; none: it is gone."""
AddedTo = Callable[[TableName], Mapping[str, Added]]
"""By name, the columns that statements in the log were seen to add to a table."""


@dataclass(frozen=True, slots=True)
class Shape:
    schema: TableSchema
    columns: tuple[LoggedColumn, ...]
    """What rows are read by."""
    years: tuple[int, ...]
    """Columns whose zero has the server's four digits in the log."""

    def row(self, row: Row) -> Row:
        """In the grammar of `Kind`."""
        if not self.years:
            return row
        cells: list[Cell] = list(row)
        for at in self.years:
            if cells[at] == "0000":
                cells[at] = "0"
        return tuple(cells)


class Shapes:
    """`known` are the shapes that the run knows: new is what is not among their columns."""

    def __init__(
        self,
        known: Mapping[TableName, TableSchema],
        catalogue: Catalogue,
        added: AddedTo,
        joined: Callable[[TableName], TableSchema | None] = lambda name: None,
        family: str = "mariadb",
    ) -> None:
        """`joined` is what a table was when it was followed from then on, of those that are not known; `family`, whose
        types they are."""
        self._family = family
        self._known = dict(known)
        self._joined = joined
        self.unnamed = False
        """Whether the log may not name columns: what statements make of shapes is followed then."""
        self.foretold = False
        """Whether the shapes known may be later ones than the log's at the place where it is read."""
        self._unled: set[TableName] = set()
        """Tables that statements altered while it was thought to."""
        self._catalogue = catalogue
        self._now: dict[TableName, tuple[TableMap, Shape]] = {}
        self._added = added
        self._gone: dict[TableName, set[str]] = {}
        """By table, the columns that statements were seen to drop or rename, in lower case."""

    def schema(self, name: TableName) -> TableSchema | None:
        """The newest shape; None: nothing was seen of the table."""
        held = self._now.get(name)
        return held[1].schema if held else self._known.get(name) or self._joined(name)

    def there(self, name: TableName) -> bool:
        """Whether there is a table of the name now."""
        return bool(self._catalogue(name))

    def altered(self, name: TableName, columns: Sequence[Altered], *, strict: bool) -> str:
        """Why rows that are there may have other values since a statement altered the table so, whatever its shape is
        afterwards; empty: they have those that they had."""
        schema = self.schema(name)
        known = {column.name.lower(): column for column in schema.columns} if schema else {}
        bent = [] if strict else self._bent(name, known, columns)
        moved = [column for column in columns if column.before.lower() != column.after.lower()]
        gone = self._gone.setdefault(name, set())
        again = [column.after for column in moved if column.after.lower() in gone & known.keys()]
        gone |= {column.before.lower() for column in moved}
        if bent:
            return (
                f"column {', '.join(bent)} was altered by a session that is not strict (sql_mode), in which values that"
                " do not fit become others"
            )
        if again:
            return f"column {', '.join(again)} went and came again, which may have given all rows another value"
        return ""

    def led_on(self, name: TableName, statement: Statement) -> TableSchema | None:
        """The shape behind an ALTER TABLE, if it is another and the log may not name its columns; so it is stored with
        the place in the log. Raises `SourceLogFormat`."""
        was = self.schema(name)
        if was is None or not self.unnamed:
            self._unled.add(name)
            return None
        adds = {one.name: one for one in statement.added}
        new = {
            one.after: new_column(mycolumns.made(was, one), adds.get(one.after))
            for one in statement.altered
            if not one.before
        }
        now = mycolumns.altered(was, statement, new)
        self._now.pop(name, None)  # the next rows' map may look the same
        self._known[name] = now
        return None if now is was else now

    def _bent(self, name: TableName, known: Mapping[str, Column], altered: Sequence[Altered]) -> list[str]:
        before = self._charsets(name)
        now = {one.name.lower(): one.charset for one in self._catalogue(name)}
        found = []
        for one in altered:
            for key in known if one.before == EVERY else [one.before.lower()]:
                after = key if one.before == EVERY else one.after.lower()
                asks = (one.type or one.charset) and key in known
                if asks and not keeps(known[key], one, before.get(key, ""), now.get(after, "")):
                    found.append(known[key].name)
        return found

    def _charsets(self, name: TableName) -> dict[str, str]:
        """By column, in lower case, what its texts were in when rows were seen last."""
        held = self._now.get(name)
        columns = held[0].columns if held else ()
        return {
            column.name.lower(): charset_of(column.collation)
            for column in columns
            if column.name is not None and column.collation is not None
        }

    def shape(self, table: TableMap) -> Shape:
        """Raises `SourceLogFormat` where the log tells too little."""
        name = TableName(table.schema, table.name)
        held = self._now.get(name)
        if held is not None and (held[0] is table or (held[0].columns == table.columns and held[0].key == table.key)):
            return held[1]
        shape = self._described(name, table)
        if held is not None and held[1].schema == shape.schema:
            shape = Shape(held[1].schema, shape.columns, shape.years)
        self._now[name] = table, shape
        return shape

    def _described(self, name: TableName, table: TableMap) -> Shape:
        if any(column.name is None for column in table.columns):
            return self._unnamed(name, table)
        catalogue = {one.name: one for one in self._catalogue(name)}
        before = self.schema(name)
        older = {column.name: column for column in before.columns} if before else {}
        added = self._added(name)
        columns, logged = [], []
        for told in table.columns:
            column, read_by = self._column(name, told, catalogue.get(told.name or ""))
            if column.name in older:
                column = Column(
                    column.name, column.type, column.nullable, older[column.name].default, older[column.name].varies
                )
            elif before is not None or column.name in added:
                column = new_column(column, added.get(column.name))
            columns.append(column)
            logged.append(read_by)
        key = tuple(columns[at].name for at, _ in table.key or ())
        years = tuple(at for at, one in enumerate(table.columns) if one.type is Type.YEAR)
        return Shape(TableSchema(name, tuple(columns), key, self._family), tuple(logged), years)

    def _unnamed(self, name: TableName, table: TableMap) -> Shape:
        """As it is known to be."""
        known = self.schema(name)
        if self.foretold:
            raise SourceLogFormat(
                f"the log does not name the columns of {name} where the run began: binlog_row_metadata was not FULL"
                " then; begin at a later place"
            )
        if known is None or name in self._unled:
            raise SourceLogFormat(f"the log does not name the columns of {name}: binlog_row_metadata is not FULL")
        self.unnamed = True
        logged = mycolumns.completed(known, table.columns)
        years = tuple(at for at, one in enumerate(logged) if one.type is Type.YEAR)
        return Shape(known, logged, years)

    def _column(
        self, name: TableName, told: LoggedColumn, now: mytypes.Described | None
    ) -> tuple[Column, LoggedColumn]:
        try:
            type = mytypes.shown(told)
        except Refused as refused:
            raise SourceLogFormat(f"{name}: column {told.name}: {refused}") from refused
        if now is not None and now.logged == type:
            return Column(now.name, now.type, told.nullable), told._replace(form=now.form)
        return Column(told.name or "", type, told.nullable), told


def new_column(column: Column, added: Added | None) -> Column:
    """The column, with what rows have in it that were there before it; `added` is what its statement says."""
    if added is None or not added.certain:
        return Column(column.name, column.type, column.nullable, varies=True)
    if added.literal is None and added.nullable and column.nullable:
        return column
    default = empty(column.type) if added.literal is None else canonical(column.type, added.literal)
    return Column(column.name, column.type, column.nullable, default, default is None)


def empty(type: DataType) -> str | None:
    """What rows get in a new column that is NOT NULL and has no default; None where that is not said here."""
    if type.kind is Kind.BYTES:
        return "\\x" if type.native.startswith("varbinary") or type.native.endswith("blob") else None
    return canonical(type, "" if type.kind is Kind.TEXT else "0")


def canonical(type: DataType, literal: str) -> str | None:
    """A default as the canonical text of a value of the type; None where that cannot be said for sure."""
    if type.kind is Kind.TEXT and not type.native.startswith(("enum", "set")):
        return literal.rstrip(" ") if type.native.startswith("char(") else literal
    if type.kind in (Kind.INT16, Kind.INT32, Kind.INT64) and type.native != "year":
        return str(int(literal)) if literal.lstrip("-").isdigit() else None
    if type.kind is Kind.DECIMAL:
        try:
            number = Decimal(literal)
            whole = number.quantize(Decimal(1).scaleb(-(type.scale or 0)))
        except InvalidOperation:
            return None
        return f"{whole if whole else abs(whole):f}" if whole == number else None
    return None
