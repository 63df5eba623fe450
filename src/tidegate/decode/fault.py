"""What can be wrong with a log's bytes: one table, with the same codes and words for both decoders.

An error says which message, where in it and what; never what a value was (I8).
"""

from __future__ import annotations

from enum import Enum


class Fault(Enum):
    """A code the compiled decoder knows too, and a text that may name two numbers, `a` and `b`."""

    code: int
    text: str

    def __new__(cls, code: int, text: str) -> Fault:
        fault = object.__new__(cls)
        fault._value_, fault.code, fault.text = code, code, text
        return fault

    # One message by itself.
    SHORT = 1, "it ends too early"
    TEXT = 2, "the text at byte {a} is not UTF-8"
    BEYOND = 3, "the value at byte {a} ends behind it"
    CELL = 4, "no kind of value at byte {a}"
    NEW = 5, "no new row at byte {a}"
    OLD = 6, "no old row at byte {a}"
    COUNTS = 7, "an old row of {a} columns and a new one of {b}"
    TRAILING = 8, "{a} bytes behind its end"
    KIND = 9, "unknown message kind"
    NAME = 10, "the name at byte {a} does not end"
    TABLES = 11, "it does not have the {a} tables it tells of"
    LONG = 12, "longer than any PostgreSQL makes"
    # Messages together; `a` is the relation.
    PLACE = 20, "out of its place among transactions"
    FEWER = 21, "the transaction has fewer changes than when it was read before"
    COLUMNS = 22, "relation {a} does not have {b} columns"
    KEYLESS = 23, "a change of relation {a} without its key"
    GONE = 24, "an update of a row of relation {a} that was deleted before"
    NEVER = 25, "an insert into relation {a} that leaves a value out"

    @classmethod
    def of(cls, code: int) -> Fault:
        return next(fault for fault in cls if fault.code == code)

    @property
    def alone(self) -> bool:
        """Of one message by itself: `Malformed`, and not `Contradiction`."""
        return self.code < Fault.PLACE.code


class Malformed(ValueError):
    """The bytes are not a message of the protocol, or (`Contradiction`) not one that can be true."""

    def __init__(self, message: bytes, fault: Fault, a: int = 0, b: int = 0, *, length: int | None = None) -> None:
        """Of a longer message `message` may be just the beginning, if `length` is given."""
        kind = message[:1].decode("latin-1")
        text = fault.text.format(a=a, b=b)
        super().__init__(f"message {kind!r} of {len(message) if length is None else length} bytes: {text}")
        self.fault = fault


class Contradiction(Malformed):
    """Messages that are sound one by one and cannot be true one after the other."""
