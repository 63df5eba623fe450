"""What a COPY of PostgreSQL sends, in large pieces and without a Python object per row; its CSV as text columns."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.generators import fetch_many
from psycopg.waiting import Wait
from pyarrow import csv

from tidegate.connect.pgdrain import Drain, Gulp, State, open_drain
from tidegate.errors import SourceLogBroken

PIECE_BYTES = 4 << 20


def copied(connection: psycopg.Connection[Any], query: str) -> Generator[bytes, None, int]:
    """What a query `copy … to stdout` sends, in pieces of whole rows; returns how many rows that was. Raises psycopg's
    errors."""
    with connection.cursor() as cursor, cursor.copy(query.encode()):
        drain = open_drain(connection.pgconn, framed=False)
        state = State.FULL
        while state is State.FULL:
            gulp = connection.wait(_gulp(drain))
            state = gulp.state
            if gulp.frames:
                yield bytes(gulp.frames)
        results = connection.wait(fetch_many(connection.pgconn)) if state is State.ENDED else []
        if len(results) != 1:
            raise psycopg.OperationalError("the connection was lost while rows were read")
        if results[0].status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(results[0])
        return results[0].command_tuples or 0


def _gulp(drain: Drain) -> PQGen[Gulp]:
    """What has come, once something has. A generator of the kind that psycopg's connections wait for."""
    while True:
        gulp = drain.take(PIECE_BYTES)
        if gulp.frames or gulp.state is not State.NOTHING_MORE:
            return gulp._replace(state=State.FULL) if gulp.state is State.NOTHING_MORE else gulp
        yield Wait.R


def texts(connection: psycopg.Connection[Any], select: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """A query's rows as text columns of these names. Raises psycopg's errors, `SourceLogBroken`."""
    held: list[bytes] = []
    size = 0
    # Closed by name: what fails when a query is given up half-way is told here, and not to nobody.
    with closing(copied(connection, f"copy ({select}) to stdout (format csv, force_quote *)")) as pieces:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= PIECE_BYTES:
                yield from batches(b"".join(held), names)
                held, size = [], 0
    if held:
        yield from batches(b"".join(held), names)


def batches(data: bytes, names: Sequence[str]) -> list[pa.RecordBatch]:
    """COPY's CSV (everything but NULL quoted) as text columns. Raises `SourceLogBroken`."""
    try:
        table = csv.read_csv(
            io.BytesIO(data),
            read_options=csv.ReadOptions(use_threads=False, column_names=list(names), block_size=len(data) + 1),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceLogBroken("the rows of a chunk are not the text they should be") from error
    return list(table.to_batches())
