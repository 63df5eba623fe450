"""From full copy to log without a gap, an overlap, an older value over a newer one, or a deleted row back.

Every chunk is read under a snapshot of its own, and for each side of a change the chunk that owns the key decides:

=====================================  ==========================  ==============================
the chunk is                           its snapshot sees the       its snapshot does not see it
                                       transaction
=====================================  ==========================  ==============================
not started                            drop: a later snapshot      –
                                       will contain it (R1)
being read                             drop: its rows contain it   stall: the log waits for it
written                                drop                        deliver
=====================================  ==========================  ==============================

An update that moves a key has two sides, each decided by its own chunk. A key that was re-read by itself (a *patch*)
goes by its own snapshot. Pure: knows positions and snapshots only by their order and by `sees`.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any

from tidegate.connect.source import ChunkMark
from tidegate.connect.target import KeyRange
from tidegate.errors import SourceLogBroken
from tidegate.model.change import Change, LogPart, Op, Row
from tidegate.model.position import Position
from tidegate.model.schema import TableName, TableSchema

Key = tuple[str, ...]


class Verdict(Enum):
    DROP = "drop"
    DELIVER = "deliver"
    STALL = "stall"


class ChunkState(StrEnum):
    TODO = "todo"
    READING = "reading"
    DONE = "done"


@dataclass(slots=True)
class Chunk:
    index: int
    keys: KeyRange
    state: ChunkState = ChunkState.TODO
    mark: ChunkMark | None = None
    rows: int = 0

    def verdict(self, transaction: Any, position: Position) -> Verdict:
        """`position` is the one stored at the target."""
        if self.state is ChunkState.TODO or self.mark is None:
            return Verdict.DROP
        if self.state is ChunkState.DONE and self.mark.log_end <= position:
            return Verdict.DELIVER  # the log is past the end it had at the snapshot: everything from here on is unseen
        if self.mark.seen.sees(transaction):
            return Verdict.DROP
        return Verdict.DELIVER if self.state is ChunkState.DONE else Verdict.STALL


@dataclass(slots=True)
class TableCopy:
    """One table's chunks, in key order, covering every possible key exactly once."""

    schema: TableSchema
    chunks: list[Chunk]
    order: Callable[[Sequence[str]], Any]
    in_step: bool = False
    """All chunks are written and the log is past all their snapshots: every change is delivered."""
    empty: bool = False
    """The target table had no rows when the run began, so a chunk's range needs no clearing."""
    patches: dict[Key, ChunkMark] = field(default_factory=dict)
    """Keys that were read by themselves, each a chunk of one."""
    estimated: int = 0
    """About how many rows it had when the copy was planned; 0: nobody asked."""
    since: str = ""
    """The position (sortable) at which the table joined the run: what stands before it in an append target, an earlier
    run wrote. Empty for a run that is older than this field."""
    _floors: list[Any] = field(default_factory=list)
    _width: int = 0

    def __post_init__(self) -> None:
        floors = [chunk.keys.after for chunk in self.chunks[1:]]
        self._width = len(floors[0] or ()) if floors else 0
        self._floors = [self.order(floor) for floor in floors if floor is not None]

    @property
    def name(self) -> TableName:
        return self.schema.name

    @property
    def rows(self) -> int:
        return sum(chunk.rows for chunk in self.chunks)

    @property
    def chunks_done(self) -> int:
        return sum(chunk.state is ChunkState.DONE for chunk in self.chunks)

    def owner(self, key: Key) -> Chunk:
        if not self._floors:
            return self.chunks[0]
        return self.chunks[bisect.bisect_left(self._floors, self.order(key[: self._width]))]

    def verdict(self, key: Key, transaction: Any, position: Position) -> Verdict:
        patch = self.patches.get(key)
        if patch is not None:
            return Verdict.DROP if patch.seen.sees(transaction) else Verdict.DELIVER
        return self.owner(key).verdict(transaction, position)

    def caught_up(self, position: Position) -> bool:
        """Whether the log has passed every snapshot, the patches' too, so that the table is in step."""
        return all(
            chunk.state is ChunkState.DONE and chunk.mark is not None and chunk.mark.log_end <= position
            for chunk in self.chunks
        ) and all(mark.log_end <= position for mark in self.patches.values())


def key_of(table: TableSchema, row: Row) -> Key:
    """The key's values. Raises `SourceLogBroken` if one is missing, which a key never is."""
    key = []
    for index in table.key_indexes:
        cell = row[index]
        if not isinstance(cell, str):
            raise SourceLogBroken(f"{table.name}: a change came without its key")
        key.append(cell)
    return tuple(key)


def sides(change: Change) -> tuple[Key | None, Key | None]:
    """The key of the row that was, and of the row that is now. The same for an update that leaves the key alone. A
    table without a key has the empty one: its only chunk owns all rows."""
    old = key_of(change.table, change.old) if change.old is not None else None
    new = key_of(change.table, change.new) if change.new is not None else None
    if change.op is Op.UPDATE and old is None:
        old = new
    return old, new


class Handoff:
    """All tables of a run."""

    def __init__(self, tables: Iterable[TableCopy] = ()) -> None:
        self.tables: dict[TableName, TableCopy] = {copy.name: copy for copy in tables}
        self.copying = any(not copy.in_step for copy in self.tables.values())

    def add(self, copy: TableCopy) -> None:
        self.tables[copy.name] = copy
        self.copying = self.copying or not copy.in_step

    def settle(self, position: Position) -> list[TableCopy]:
        """The tables that came in step with this stored position; from now on nothing of them is asked any more."""
        settled = [copy for copy in self.tables.values() if not copy.in_step and copy.caught_up(position)]
        for copy in settled:
            copy.in_step = True
            copy.patches.clear()
        self.copying = any(not copy.in_step for copy in self.tables.values())
        return settled

    def stalls(self, part: LogPart, position: Position) -> bool:
        """Whether the part must wait for a chunk that is being read."""
        return self.copying and any(
            verdict is Verdict.STALL for change in part.changes for verdict in self._verdicts(change, part, position)
        )

    def deliver(self, change: Change, part: LogPart, position: Position) -> tuple[bool, bool]:
        """Whether the old and the new side must reach the target. The part must not stall."""
        copy = self.tables.get(change.table.name)
        if copy is None:
            return False, False  # published already, planned in a moment: its chunks' snapshots will contain it
        if copy.in_step:
            return True, True
        old, new = sides(change)
        old_verdict = copy.verdict(old, part.transaction, position) if old is not None else Verdict.DROP
        new_verdict = (
            old_verdict if new == old else copy.verdict(new, part.transaction, position) if new is not None else None
        )
        return old_verdict is Verdict.DELIVER, new_verdict is Verdict.DELIVER

    def truncated(self, name: TableName, part: LogPart, position: Position) -> list[Chunk] | None:
        """Which written chunks a TRUNCATE must empty; None: the whole table, which is in step."""
        copy = self.tables.get(name)
        if copy is None:
            return []
        if copy.in_step:
            return None
        return [c for c in copy.chunks if c.verdict(part.transaction, position) is Verdict.DELIVER]

    def _verdicts(self, change: Change, part: LogPart, position: Position) -> Iterable[Verdict]:
        copy = self.tables.get(change.table.name)
        if copy is None or copy.in_step:
            return ()
        if change.op is Op.TRUNCATE:
            return [chunk.verdict(part.transaction, position) for chunk in copy.chunks]
        return [copy.verdict(key, part.transaction, position) for key in {*sides(change)} if key is not None]
