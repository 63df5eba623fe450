"""Blocks of transactions that are sent before they commit: where they begin and end, and their messages as those of
committed ones are. Pure.

A block stands between Stream Start and Stream Stop; in it a transaction's number, which may be a subtransaction's,
stands in front of what a message says. There are two, alike to the last byte of their errors: `PlainBlocks`, and the
compiled one (`nativeblocks.py`, `rust/src/blocks.rs`). `choice.py` says which is used.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from typing import NamedTuple

from tidegate.decode import stream
from tidegate.decode.fault import Contradiction, Fault, Malformed
from tidegate.decode.gatherer import BYTES_MAX, Buffer, check_start

NUMBERED = b"RYIUDTM"
NUMBERS = "I"
"""The type code of arrays of transactions' numbers."""

_LENGTH = struct.Struct(">I")
_NUMBER = struct.Struct(">I")


class Walked(NamedTuple):
    consumed_bytes: int
    mark: bool
    """Whether one of `stream.KINDS` is what stands behind that."""


class Stripped(NamedTuple):
    consumed_bytes: int
    written_bytes: int


class Blocks(ABC):
    """The buffer is frames, as for a gatherer."""

    @abstractmethod
    def walk(self, buffer: Buffer, start: int, *, inside: bool) -> Walked:
        """From byte `start` on to the next mark, or to the end of the last whole frame. `inside` of a block it stops in
        front of a message that does not belong there, and raises `Malformed` (or `Contradiction`) if that is the first;
        outside all that is no mark is passed over, to the buffer's end, whatever it is."""

    @abstractmethod
    def strip(self, buffer: bytearray, aborted: array[int]) -> Stripped:
        """Of the whole frames of blocks, in place: takes out the numbers, and the messages of those among `aborted`
        (sorted, of type `NUMBERS`). Stops and raises as `walk`."""


class PlainBlocks(Blocks):
    """The readable one."""

    def walk(self, buffer: Buffer, start: int, *, inside: bool) -> Walked:
        view = memoryview(buffer)
        check_start(start, len(view))
        return _inside(view, start) if inside else _outside(view, start)

    def strip(self, buffer: bytearray, aborted: array[int]) -> Stripped:
        at = to = 0
        with memoryview(buffer) as view:
            try:
                while (message := _first(view, at)) is not None:
                    number = _number(message)
                    at += _LENGTH.size + len(message)
                    if number is None:
                        to = _put(view, to, bytes(message))
                    elif not _among(number, aborted):
                        to = _put(view, to, bytes(message[:1]) + bytes(message[1 + _NUMBER.size :]))
            except Malformed:
                if not at:
                    raise
        return Stripped(at, to)


def _outside(view: memoryview, start: int) -> Walked:
    at, end = start, len(view)
    while end - at >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(view, at)
        behind = at + _LENGTH.size + length
        if length > BYTES_MAX or behind > end:
            break
        if length and view[at + _LENGTH.size] in stream.KINDS:
            return Walked(at - start, True)
        at = behind
    return Walked(end - start, False)


def _inside(view: memoryview, start: int) -> Walked:
    at = start
    try:
        while (message := _first(view, at)) is not None:
            if message and message[0] in stream.KINDS:
                return Walked(at - start, True)
            _number(message)
            at += _LENGTH.size + len(message)
    except Malformed:
        if at == start:
            raise
    return Walked(at - start, False)


def _first(view: memoryview, at: int) -> memoryview | None:
    """The message of the frame there; None if it is not whole."""
    if len(view) - at < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(view, at)
    if length > BYTES_MAX:
        raise Malformed(b"", Fault.LONG, length=length)
    message = view[at + _LENGTH.size : at + _LENGTH.size + length]
    return message if len(message) == length else None


def _number(message: memoryview) -> int | None:
    """The number in front of what the message says, if it has one."""
    if not message:
        raise Malformed(b"", Fault.SHORT)
    if message[0] in NUMBERED:
        if len(message) < 1 + _NUMBER.size:
            raise Malformed(bytes(message), Fault.SHORT)
        (number,) = _NUMBER.unpack_from(message, 1)
        return int(number)
    if message[0] == ord("O"):
        return None
    raise Contradiction(bytes(message), Fault.PLACE)


def _put(view: memoryview, at: int, message: bytes) -> int:
    """Where its frame ends."""
    end = at + _LENGTH.size + len(message)
    view[at:end] = _LENGTH.pack(len(message)) + message
    return end


def _among(number: int, aborted: array[int]) -> bool:
    at = bisect_left(aborted, number)
    return at < len(aborted) and aborted[at] == number
