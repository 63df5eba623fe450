"""A place in a source's log: ordered, printable, opaque to everything but the source that made it."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Position(ABC):
    """`str()` gives the stored and shown text; the source's `parse_position` reads it back. Comparable within one
    source; a position may lie inside a transaction that is too large to be written at once."""

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def __lt__(self, other: Position) -> bool: ...

    @abstractmethod
    def __le__(self, other: Position) -> bool: ...

    @abstractmethod
    def sortable(self) -> str:
        """A text whose plain string order is the order of the log; written beside appended rows."""
