"""A log of numbers: positions, snapshots and parts without any server, for the rules that only know their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tidegate.connect.source import ChunkMark, SnapshotMark
from tidegate.connect.target import KeyRange
from tidegate.engine.handoff import Chunk, ChunkState, TableCopy
from tidegate.model.change import Change, LogPart, Op, Row
from tidegate.model.position import Position
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema


@dataclass(frozen=True, slots=True)
class At(Position):
    n: int

    def __str__(self) -> str:
        return str(self.n)

    def __lt__(self, other: Position) -> bool:
        return self.n < other.n if isinstance(other, At) else NotImplemented

    def __le__(self, other: Position) -> bool:
        return self.n <= other.n if isinstance(other, At) else NotImplemented

    def sortable(self) -> str:
        return f"{self.n:08}"


class Seen(SnapshotMark):
    """Sees exactly these transactions."""

    def __init__(self, *transactions: int) -> None:
        self.transactions = frozenset(transactions)

    def sees(self, transaction: Any) -> bool:
        return transaction in self.transactions

    def __str__(self) -> str:
        return ",".join(map(str, sorted(self.transactions)))


TEXT = DataType(Kind.TEXT, "text")
KEYED = TableSchema(
    TableName("public", "t"), (Column("k", TEXT, False), Column("v", TEXT), Column("big", TEXT)), ("k",), "postgres"
)
KEYLESS = TableSchema(TableName("public", "n"), (Column("v", TEXT),), (), "postgres")


def mark(*transactions: int, log_end: int) -> ChunkMark:
    return ChunkMark(Seen(*transactions), At(log_end))


def copy_of(schema: TableSchema, *edges: str, states: Sequence[tuple[ChunkState, ChunkMark | None]] = ()) -> TableCopy:
    """Chunks between the edges; keys compare as texts."""
    bounds = [None, *((edge,) for edge in edges), None]
    chunks = [Chunk(i, KeyRange(after, upto)) for i, (after, upto) in enumerate(pairwise(bounds))]
    for chunk, (state, held) in zip(chunks, states, strict=False):
        chunk.state, chunk.mark = state, held
    return TableCopy(schema, chunks, tuple)


def part(*changes: Change, transaction: int = 1, commit: int = 100, first_index: int = 0, ends: bool = True) -> LogPart:
    return LogPart(transaction, 0, list(changes), first_index, ends, At(commit + 1), At(commit))


def insert(*new: Any, table: TableSchema = KEYED) -> Change:
    return Change(table, Op.INSERT, None, new)


def update(*new: Any, old: Row | None = None, table: TableSchema = KEYED) -> Change:
    return Change(table, Op.UPDATE, old, new)


def delete(*old: Any, table: TableSchema = KEYED) -> Change:
    return Change(table, Op.DELETE, old, None)


def truncate(table: TableSchema = KEYED) -> Change:
    return Change(table, Op.TRUNCATE, None, None)
