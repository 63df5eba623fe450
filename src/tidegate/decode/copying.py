"""Columns of texts as the rows of PostgreSQL's binary COPY, by the compiled library (`rust/`).

Format: PostgreSQL documentation, COPY, "Binary Format". It has no twin in Python: without the library rows go as texts.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from enum import IntEnum

import pyarrow as pa

from tidegate.decode.native import binding
from tidegate.errors import TidegateError

BINARY = "postgres binary"
"""As a form of blocks (see `Target.block_form`): of types whose values have the same bytes in every database."""

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

_REFUSED = 1


class Form(IntEnum):
    """Which bytes a type's values have."""

    BOOL = 1
    INT2 = 2
    INT4 = 3
    INT8 = 4
    FLOAT4 = 5
    FLOAT8 = 6
    NUMERIC = 7
    TEXT = 8
    BYTEA = 9
    DATE = 10
    TIME = 11
    TIMESTAMP = 12
    TIMESTAMPTZ = 13
    UUID = 14
    JSONB = 15


class _Texts(ctypes.Structure):
    _fields_ = [
        ("form", ctypes.c_uint32),
        *(
            field
            for name in ("validity", "offsets", "data")
            for field in ((name, ctypes.c_void_p), (f"{name}_length", ctypes.c_uint64))
        ),
        ("first", ctypes.c_uint64),
    ]


class _Copied(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_void_p), ("length", ctypes.c_uint64)]


class Copying:
    """Used by one thread at a time. Raises `FileNotFoundError`, `Unusable` as `binding`."""

    def __init__(self) -> None:
        self._library = binding()
        self._handle = self._library.tg_copy_open()
        if not self._handle:
            raise _failed()
        weakref.finalize(self, self._library.tg_copy_close, self._handle)

    def rows(self, batch: pa.RecordBatch, forms: Sequence[Form], start: int, stop: int) -> bytes | None:
        """The rows from `start` up to `stop` of a batch of texts, without `HEADER` and `TRAILER`. None if a text is
        spelled in a way that only the server should read: a number with an exponent, a date before the year 1, what is
        no value of the type at all."""
        columns = (_Texts * batch.num_columns)(
            *(_texts(column, form) for column, form in zip(batch.columns, forms, strict=True))
        )
        copied = _Copied()
        answer = self._library.tg_copy(
            self._handle, columns, len(columns), start, min(stop, batch.num_rows), ctypes.byref(copied)
        )
        if answer == _REFUSED:
            return None
        if answer:
            raise _failed()
        return ctypes.string_at(copied.bytes or 0, copied.length)


def _texts(column: pa.Array, form: Form) -> _Texts:
    """Points into the column's buffers, which the batch keeps."""
    validity, offsets, data = column.buffers()
    return _Texts(
        form,
        *(validity.address, validity.size) if validity is not None else (None, 0),
        *(offsets.address, offsets.size // 4),
        *(data.address, data.size) if data is not None else (None, 0),
        column.offset,
    )


def _failed() -> TidegateError:
    return TidegateError("the compiled library failed inside; TIDEGATE_DECODE=python does without it")
