"""Row events: which rows a statement put in, changed or took out of one table.

Format: MariaDB documentation, "ROWS_EVENT_V1/V2, ROWS_COMPRESSED_EVENT_V1"; MySQL Source Code Documentation,
`Rows_event` and `rpl_record.h` (partial updates). A cell that an image leaves out (`binlog_row_image` not FULL) is
`UNCHANGED`. Version 1, plain and compressed, is tested on MariaDB's own bytes; version 2 and partial updates on bytes
built as published, and on MySQL 9.7.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tidegate.decode import binlog_json
from tidegate.decode.binlog_column import ValueReader, inflated, length_size, value_reader
from tidegate.decode.binlog_cursor import Cursor, Refused
from tidegate.decode.binlog_json import Json
from tidegate.decode.binlog_table import Column, TableMap, Type
from tidegate.model.change import UNCHANGED, Cell, Op, Row

NO_TABLE = 0xFFFFFF
"""The table id of an event that only says that a statement has ended."""


class RowChange(NamedTuple):
    old: Row | None
    new: Row | None


class Rows(NamedTuple):
    """A row event whose rows are not read yet: a table that nobody wants costs nothing."""

    op: Op
    table_id: int
    table: TableMap | None
    """As the log has it; None only where there are no rows."""
    ends_statement: bool
    partial: bool
    old_present: int
    """The columns of the old image, one bit each; for a delete the row's, for an insert 0."""
    new_present: int
    body: bytes

    def changes(self, columns: tuple[Column, ...] | None = None) -> Iterator[RowChange]:
        """The rows in order. `columns` are the table's, completed by what is known of its history. Raises `Malformed`,
        and `Refused` for what the log does not tell."""
        if self.table is None:
            return
        yield from _Reading(self, columns or self.table.columns).changes()


def rows(cursor: Cursor, op: Op, version: int, id_size: int, compressed: bool, tables: dict[int, TableMap]) -> Rows:
    """The body of a row event; `version` 3 is a partial update. Raises `Malformed`."""
    table_id = cursor.unsigned(id_size)
    flags = cursor.unsigned(2)
    if version > 1:
        # Extra data, which counts its own two bytes.
        cursor.skip(cursor.unsigned(2) - 2)
    count = cursor.packed()
    present = [_bitmap(cursor, count) for _ in range(2 if op is Op.UPDATE else 1)]
    table = tables.get(table_id)
    body = uncompressed(cursor) if compressed else cursor.rest()
    if table is None and (body or table_id != NO_TABLE):
        raise cursor.malformed(f"rows of table {table_id}, which has no table map")
    if table and count != len(table.columns):
        raise cursor.malformed(f"rows of {count} columns for a table of {len(table.columns)}")
    if table and not body:
        # A row that is all defaults takes no bytes in a minimal image: it cannot even be counted.
        raise Refused(f"rows without columns of {table.schema}.{table.name}", "Set binlog_row_image = FULL")
    old = 0 if op is Op.INSERT else present[0]
    new = 0 if op is Op.DELETE else present[-1]
    return Rows(op, table_id, table, bool(flags & 1), version == 3, old, new, body)


def uncompressed(cursor: Cursor) -> bytes:
    """The rest, which MariaDB compressed: a byte with 0x80, the algorithm (0: zlib) and the size of the length after
    it, in big-endian order."""
    head = cursor.unsigned(1)
    if head & 0xF0 != 0x80 or not 1 <= head & 7 <= 4 or head & 8:
        raise cursor.malformed("compressed in an unknown way")
    length = cursor.big_endian(head & 7)
    return inflated(cursor, cursor.rest(), length)


def _bitmap(cursor: Cursor, count: int) -> int:
    bits = int.from_bytes(cursor.take((count + 7) // 8), "little")
    # Beyond the last column servers leave any bits.
    return bits & ((1 << count) - 1)


class _Reading:
    """One pass over a row event's body."""

    def __init__(self, rows: Rows, columns: tuple[Column, ...]) -> None:
        self.rows = rows
        self.columns = columns
        if rows.table is None or len(columns) != len(rows.table.columns):
            raise ValueError("the columns given are not the table's")
        self.cursor = Cursor(rows.body, f"{rows.op} rows of {rows.table.schema}.{rows.table.name}")
        wanted = rows.old_present | rows.new_present
        self.readers = [self._reader(at, column) if wanted >> at & 1 else None for at, column in enumerate(columns)]

    def _reader(self, at: int, column: Column) -> ValueReader:
        try:
            return value_reader(column)
        except Refused as refused:
            raise self._named(at, refused) from None

    def _named(self, at: int, refused: Refused) -> Refused:
        name = self.columns[at].name or f"number {at + 1}"
        return Refused(f"column {name} of {self.cursor.what}: {refused.detail}", refused.advice)

    def changes(self) -> Iterator[RowChange]:
        op, cursor = self.rows.op, self.cursor
        while cursor.left():
            began = cursor.at
            if op is Op.UPDATE:
                old, documents = self._image(self.rows.old_present, {})
                yield RowChange(old, self._image(self.rows.new_present, self._partial(documents))[0])
            elif op is Op.INSERT:
                yield RowChange(None, self._image(self.rows.new_present, {})[0])
            else:
                yield RowChange(self._image(self.rows.old_present, {})[0], None)
            if cursor.at == began:
                raise cursor.malformed("rows without columns")

    def _partial(self, documents: dict[int, Json | None]) -> dict[int, Json | None]:
        """Of a partial update, the JSON columns that come as differences, with the old row's documents. Between the
        images stand options (1: there are such) and one bit for each JSON column of the table."""
        if not self.rows.partial or not self.cursor.packed():
            return {}
        places = [at for at, column in enumerate(self.columns) if column.type is Type.JSON]
        bits = _bitmap(self.cursor, len(places))
        chosen = [at for number, at in enumerate(places) if bits >> number & 1]
        return {at: documents.get(at) for at in chosen}

    def _image(self, present: int, partial: dict[int, Json | None]) -> tuple[Row, dict[int, Json | None]]:
        """A row, and its JSON documents where differences may refer to them."""
        cursor = self.cursor
        nulls = _bitmap(cursor, present.bit_count())
        cells: list[Cell] = []
        documents: dict[int, Json | None] = {}
        for at, reader in enumerate(self.readers):
            if not present >> at & 1 or reader is None:
                cells.append(UNCHANGED)
                continue
            null, nulls = nulls & 1, nulls >> 1
            if null:
                cells.append(None)
            elif at in partial:
                cells.append(self._patched(at, partial[at]))
            elif self.rows.partial and self.columns[at].type is Type.JSON:
                document = documents[at] = binlog_json.document(self._json_part(at))
                cells.append(binlog_json.shown(document))
            else:
                try:
                    cells.append(reader(cursor))
                except Refused as refused:
                    raise self._named(at, refused) from None
        return tuple(cells), documents

    def _json_part(self, at: int) -> Cursor:
        return self.cursor.part(self.cursor.unsigned(length_size(self.columns[at])), "JSON")

    def _patched(self, at: int, base: Json | None) -> Cell:
        differences = self._json_part(at)
        if not differences.left():
            return UNCHANGED if base is None else binlog_json.shown(base)
        if base is None:
            raise self._named(
                at, Refused("differences of a document that is not in the log", "Set binlog_row_value_options = ''")
            )
        return binlog_json.shown(binlog_json.patched(base, differences))
