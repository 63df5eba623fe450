"""What a source's log says: changes, in parts of transactions.

A row is a tuple of texts in the order of its schema's columns (see `Kind` for the grammar), with `None` for NULL
and `UNCHANGED` for a large value the log left out because the update did not touch it. `UNCHANGED` is never NULL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

from tidegate.model.position import Position
from tidegate.model.schema import TableSchema


class Unchanged:
    """The type of `UNCHANGED`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = Unchanged()
Cell: TypeAlias = "str | Unchanged | None"
Row: TypeAlias = "tuple[Cell, ...]"


class Op(StrEnum):
    """What happened to a row; `READ` is a row of the full copy."""

    READ = "read"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"


class Change(NamedTuple):
    """One change of one table. `old` holds at least the key's columns where the key changed and for a delete; for an
    update without it, the key is the new row's. A truncate has neither row."""

    table: TableSchema
    op: Op
    old: Row | None
    new: Row | None


@dataclass(slots=True)
class LogPart:
    """A whole transaction, or a part of one: of one too large to be held at once, and of one in which a table gets
    another shape. All changes of a table in one part have the same shape, the very same object."""

    transaction: Any
    """What a `SnapshotMark` of the same source needs to decide whether it sees the transaction."""
    committed_at_us: int
    """When the source committed, in microseconds since 1970-01-01 UTC."""
    changes: list[Change]
    first_index: int
    """How many changes of the transaction came in earlier parts."""
    ends: bool
    """Whether the transaction's commit is reached with this part."""
    position: Position
    """Where the log is read on from once this part is in the target."""
    commit: Position
    """The transaction's own position, the same in all its parts."""
    bytes: int = 0
    """About how much the log sent for it."""
    read_at_us: int = 0
    """When it was read, as `committed_at_us`; 0: when it was taken."""
    met: list[TableSchema] = field(default_factory=list)
    """Shapes that the log told of in front of this part, of which no row may come."""
