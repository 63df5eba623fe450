"""Rows into a table by LOAD DATA LOCAL, from memory: no file is written, and none is ever read. A server that asks this
client for a file, whatever its name, gets the rows it was promised or the connection's end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pymysql
from pymysql.connections import MySQLResult
from pymysql.constants import CLIENT, CR
from pymysql.cursors import Cursor

_SLICE_BYTES = 4 << 20
_PACKET_BYTES = 1 << 18
"""Less than the smallest max_allowed_packet that servers have in practice."""

HOW = "CHARACTER SET binary FIELDS TERMINATED BY 0x09 ESCAPED BY 0x5C LINES TERMINATED BY 0x0A"
"""The form of what `joined` gives. Bytes are not converted: texts are in utf8mb4, as the columns are."""


class Loaded(NamedTuple):
    rows: int
    warnings: int


if TYPE_CHECKING:
    _Connection = pymysql.Connection[Cursor]
else:
    _Connection = pymysql.Connection


class LoadingConnection(_Connection):
    """A connection that can load rows from memory, and tells of an update how many rows it found rather than changed.

    The client library would open the file that the server names; its handling of that one message is replaced.
    """

    def __init__(self, **arguments: Any) -> None:
        self._promised: Iterator[bytes] | None = None
        flags = CLIENT.FOUND_ROWS | CLIENT.LOCAL_FILES
        super().__init__(**(arguments | {"client_flag": flags}))

    def load(self, statement: str, pieces: Iterator[bytes]) -> Loaded:
        """Run a LOAD DATA LOCAL statement with these bytes as its file. Raises `pymysql.Error`, and what `pieces`
        raises: then the rows sent so far are in the table, for the caller to roll back."""
        self._promised = pieces
        try:
            self.query(statement)
        finally:
            self._promised = None
        result: Any = self._result
        return Loaded(result.affected_rows, result.warning_count)

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        self._result = None
        result: Any = _Result(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows

    def answer_local(self) -> Any:
        """What the server answers once it has the rows."""
        me: Any = self
        if self._promised is None:
            me._force_close()
            raise pymysql.OperationalError(CR.CR_MALFORMED_PACKET, "the server asked for a file")
        try:
            for piece in self._promised:
                me.write_packet(piece)
        except pymysql.Error:
            raise
        except BaseException:
            # Ends the statement, so that the connection can go on with a rollback.
            me.write_packet(b"")
            _outcome(me)
            raise
        me.write_packet(b"")
        return me._read_packet()


def _outcome(connection: Any) -> None:
    try:
        connection._read_packet()
    except pymysql.Error:
        return  # what the source of the rows raised is the cause; a lost connection shows at the next statement


class _Result(MySQLResult):
    def _read_load_local_packet(self, first_packet: Any) -> None:
        me: Any = self
        me._read_ok_packet(me.connection.answer_local())


def joined(columns: Sequence[pa.Array]) -> Iterator[bytes]:
    """Rows in the form `HOW`, in pieces of at most a packet; the columns are of type binary and escaped."""
    if not columns or not len(columns[0]):
        return
    filled = [pc.fill_null(column, b"\\N") for column in columns]
    lines = pc.binary_join_element_wise(*filled, b"\t")
    lines = pc.binary_join_element_wise(lines, b"", b"\n")
    data = memoryview(lines.buffers()[2])
    start, end = lines.offset, lines.offset + len(lines)
    offsets = memoryview(lines.buffers()[1]).cast("i")
    whole = data[offsets[start] : offsets[end]]
    for at in range(0, len(whole), _PACKET_BYTES):
        yield bytes(whole[at : at + _PACKET_BYTES])


def sliced(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of some megabytes."""
    for batch in batches:
        rows = max(1, batch.num_rows * _SLICE_BYTES // max(1, batch.nbytes))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)
