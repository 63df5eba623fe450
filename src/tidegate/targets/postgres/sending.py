"""Rows on their way into a PostgreSQL table by COPY: in its binary form where the compiled library makes it of their
texts, else as CSV for the server to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
from pyarrow import csv

from tidegate.connect.postgres import quote
from tidegate.decode.choice import which
from tidegate.decode.copying import HEADER, TRAILER, Copying, Form
from tidegate.targets.postgres.ahead import Ahead

BINARY_ROWS_MIN = 200
"""For fewer rows it is not worth asking which types the columns have."""

_PIECE_BYTES = 1 << 20
_PIECES_AHEAD = 4

_CSV = csv.WriteOptions(include_header=False, quoting_style="all_valid")
"""NULL is nothing at all, every value is quoted: so an empty text, a line break or `\\.` can only be a value."""

# By the types' object ids, which are the same in every server.
FORMS = {
    16: Form.BOOL,
    17: Form.BYTEA,
    20: Form.INT8,
    21: Form.INT2,
    23: Form.INT4,
    25: Form.TEXT,
    114: Form.TEXT,  # json keeps its text
    700: Form.FLOAT4,
    701: Form.FLOAT8,
    1042: Form.TEXT,
    1043: Form.TEXT,
    1082: Form.DATE,
    1083: Form.TIME,
    1114: Form.TIMESTAMP,
    1184: Form.TIMESTAMPTZ,
    1700: Form.NUMERIC,
    2950: Form.UUID,
    3802: Form.JSONB,
}

Forms = Mapping[str, Form]
"""Column → what its values look like; columns of other types are not in it."""


class Piece(NamedTuple):
    binary: bool
    data: bytes | memoryview
    rows: int


class Sending:
    """Used by one thread at a time."""

    def __init__(self) -> None:
        self._copying = Copying() if which().native else None
        self._ahead: Ahead[Piece] = Ahead(_PIECES_AHEAD, "copy-encoder")

    def begin(self, names: Sequence[str], batches: Iterable[pa.RecordBatch], forms: Forms | None) -> Iterator[Piece]:
        """Rows of these columns in COPY's form, made while others are sent; what is begun is to be sent in this order,
        or to be `stop`ped."""
        known = [forms[name] for name in names] if forms is not None and forms.keys() >= set(names) else None
        return self._ahead.begin(piece for batch in batches for piece in self._pieces(batch, known))

    def stop(self) -> None:
        """What was begun is not sent any more."""
        self._ahead.stop()

    @property
    def binary(self) -> bool:
        """Whether it is of use to know a table's `Forms`."""
        return self._copying is not None

    def send(
        self,
        cursor: psycopg.Cursor[Any],
        into: str,
        names: Sequence[str],
        pieces: Iterator[Piece],
    ) -> tuple[int, int]:
        """COPY rows of these columns into the table; returns how many rows it was given, and how many it took."""
        sent = taken = 0
        listed = ", ".join(quote(name) for name in names)
        for binary, alike in groupby(pieces, key=lambda piece: piece.binary):
            with cursor.copy(f"COPY {into} ({listed}) FROM STDIN (FORMAT {'binary' if binary else 'csv'})") as copy:
                if binary:
                    copy.write(HEADER)
                for piece in alike:
                    copy.write(piece.data)
                    sent += piece.rows
                if binary:
                    copy.write(TRAILER)
            taken += cursor.rowcount
        return sent, taken

    def _pieces(self, batch: pa.RecordBatch, forms: Sequence[Form] | None) -> Iterator[Piece]:
        rows = max(1, batch.num_rows * _PIECE_BYTES // max(1, batch.nbytes))
        for start in range(0, batch.num_rows, rows):
            stop = min(start + rows, batch.num_rows)
            if self._copying is not None and forms is not None:
                data = self._copying.rows(batch, forms, start, stop)
                if data is not None:
                    yield Piece(True, data, stop - start)
                    continue
            out = pa.BufferOutputStream()
            csv.write_csv(batch.slice(start, stop - start), out, _CSV)
            yield Piece(False, memoryview(out.getvalue()), stop - start)


def forms_of(cursor: psycopg.Cursor[Any], table: str) -> Forms:
    """Of the columns of a table (quoted) that nobody can change meanwhile. A domain's are those of its type."""
    cursor.execute(
        """SELECT a.attname, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END::int8
           FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
           WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped""",
        (table,),
    )
    return {name: FORMS[oid] for name, oid in cursor.fetchall() if oid in FORMS}
