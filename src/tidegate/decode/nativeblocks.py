"""The compiled walk through blocks of streamed transactions (`rust/src/blocks.rs`). Calls let other threads run."""

from __future__ import annotations

import ctypes
from array import array

import pyarrow as pa

from tidegate.decode.blocks import Blocks, Stripped, Walked
from tidegate.decode.fault import Contradiction, Fault, Malformed
from tidegate.decode.gatherer import Buffer, check_start
from tidegate.decode.native import binding
from tidegate.errors import TidegateError

_MARK, _BROKEN = 1, 2
_NO_KIND = 256


class _Walked(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("consumed", "written", "length")),
        *((name, ctypes.c_uint32) for name in ("stop", "kind", "fault", "unused")),
    ]


class NativeBlocks(Blocks):
    """Raises `FileNotFoundError`, `Unusable` as `binding`."""

    def __init__(self) -> None:
        self._library = binding()

    def walk(self, buffer: Buffer, start: int, *, inside: bool) -> Walked:
        held, walked = pa.py_buffer(buffer), _Walked()
        check_start(start, held.size)
        answer = self._library.tg_walk(held.address + start, held.size - start, inside, ctypes.byref(walked))
        _check(answer, walked)
        return Walked(walked.consumed, walked.stop == _MARK)

    def strip(self, buffer: bytearray, aborted: array[int]) -> Stripped:
        walked = _Walked()
        if not buffer:
            return Stripped(0, 0)
        # Its first byte: an array of each length would be a type of its own, of which something is kept for ever.
        held = ctypes.c_char.from_buffer(buffer)
        numbers, count = aborted.buffer_info()
        answer = self._library.tg_strip(ctypes.addressof(held), len(buffer), numbers, count, ctypes.byref(walked))
        _check(answer, walked)
        return Stripped(walked.consumed, walked.written)


def _check(answer: int, walked: _Walked) -> None:
    if answer:
        raise TidegateError("the compiled decoder failed inside; TIDEGATE_DECODE=python does without it")
    if walked.stop == _BROKEN and not walked.consumed:
        fault = Fault.of(walked.fault)
        kind = b"" if walked.kind == _NO_KIND else bytes([walked.kind])
        raise (Malformed if fault.alone else Contradiction)(kind, fault, length=walked.length)
