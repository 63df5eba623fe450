"""Rows of PostgreSQL's binary COPY as typed columns, by the compiled library (`rust/`): the way back from `copying.py`.

Format: PostgreSQL documentation, COPY, "Binary Format". It has no twin in Python: without the library rows come as
texts.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from tidegate.decode.copying import Form
from tidegate.decode.native import ArrowArray, binding
from tidegate.errors import TidegateError

BATCH_ROWS = 25_000
BATCH_BYTES = 4 << 20

_REFUSED = 1


class Wanted(NamedTuple):
    """A column; `precision` and `scale` are a number's."""

    name: str
    form: Form
    precision: int = 0
    scale: int = 0

    @property
    def type(self) -> pa.DataType:
        return pa.decimal128(self.precision, self.scale) if self.form is Form.NUMERIC else _TYPES[self.form]


_TYPES = {
    Form.BOOL: pa.bool_(),
    Form.INT2: pa.int16(),
    Form.INT4: pa.int32(),
    Form.INT8: pa.int64(),
    Form.FLOAT4: pa.float32(),
    Form.FLOAT8: pa.float64(),
    Form.TEXT: pa.string(),
    Form.BYTEA: pa.binary(),
    Form.DATE: pa.date32(),
    Form.TIME: pa.time64("us"),
    Form.TIMESTAMP: pa.timestamp("us"),
    Form.TIMESTAMPTZ: pa.timestamp("us", "UTC"),
    Form.UUID: pa.string(),
    Form.JSONB: pa.string(),
}


class ValueRefused(Exception):
    """A value that its column cannot hold as it is."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


class BrokenRows(Exception):
    """The bytes are no rows of these columns, or do not end as a COPY does."""


class _Wanted(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("form", "precision", "scale")]


class _Fed(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("consumed", "rows")),
        *((name, ctypes.c_uint32) for name in ("ended", "column")),
    ]


def typed(blocks: Iterable[bytes], wanted: Sequence[Wanted]) -> Iterator[pa.RecordBatch]:
    """All rows of a COPY, whose blocks may be cut anywhere. Calls let other threads run. Raises `ValueRefused`,
    `BrokenRows`; `FileNotFoundError` and `Unusable` as `binding`."""
    rows = _Rows(wanted)
    rest, taken_bytes = b"", 0
    for block in blocks:
        held = rest + block if rest else block
        consumed = rows.feed(held)
        rest = held[consumed:]
        taken_bytes += consumed
        if rows.count >= BATCH_ROWS or taken_bytes >= BATCH_BYTES:
            yield rows.take()
            taken_bytes = 0
    if rest or not rows.ended:
        raise BrokenRows("the rows do not end as they should")
    if rows.count:
        yield rows.take()


class _Rows:
    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self._library = binding()
        self._wanted = wanted
        self._schema = pa.schema([(one.name, one.type) for one in wanted])
        given = (_Wanted * len(wanted))(*(_Wanted(one.form, one.precision, one.scale) for one in wanted))
        self._handle = self._library.tg_rows_open(given, len(wanted))
        if not self._handle:
            raise _failed()
        weakref.finalize(self, self._library.tg_rows_close, self._handle)
        self.count = 0
        self.ended = False

    def feed(self, block: bytes) -> int:
        """How many bytes were whole rows."""
        held, fed = pa.py_buffer(block), _Fed()
        answer = self._library.tg_rows_feed(self._handle, held.address, held.size, ctypes.byref(fed))
        if answer == _REFUSED and fed.column:
            raise ValueRefused(self._wanted[fed.column - 1].name)
        if answer == _REFUSED:
            raise BrokenRows("the bytes are no rows of these columns")
        if answer:
            raise _failed()
        self.count, self.ended = fed.rows, bool(fed.ended)
        return int(fed.consumed)

    def take(self) -> pa.RecordBatch:
        batch = ArrowArray()
        if self._library.tg_rows_take(self._handle, ctypes.byref(batch)):
            raise _failed()
        self.count = 0
        return pa.RecordBatch._import_from_c(ctypes.addressof(batch), self._schema)


def _failed() -> TidegateError:
    return TidegateError("the compiled library failed inside; TIDEGATE_DECODE=python does without it")
