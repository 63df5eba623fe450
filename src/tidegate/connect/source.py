"""What the author of a source writes.

A source describes tables, reads them in chunks under snapshots, and follows its log. The engine decides what is
delivered (see `engine/handoff.py`); the source only has to be honest about what a snapshot sees.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

from tidegate.connect.capability import Check, WriteMode
from tidegate.connect.config import Config
from tidegate.connect.target import KeyRange
from tidegate.decode.gatherer import Log, Mode, Net
from tidegate.errors import NotComparable, SourceStartUnsupported
from tidegate.model.change import LogPart
from tidegate.model.position import Position
from tidegate.model.schema import DataType, TableName, TableSchema
from tidegate.model.start import StartSpec


class SnapshotMark(ABC):
    """Which transactions a snapshot of the source contains."""

    @abstractmethod
    def sees(self, transaction: Any) -> bool:
        """Whether the (committed) transaction's changes are in the snapshot; `transaction` as in `LogPart`."""

    @abstractmethod
    def __str__(self) -> str:
        """The stored text; the source's `parse_mark` reads it back."""


@dataclass(frozen=True, slots=True)
class ChunkMark:
    """A chunk's snapshot, and the log's end just after it was taken: past it every transaction is unseen."""

    seen: SnapshotMark
    log_end: Position


class Blocks(ABC):
    """A chunk's rows as bytes in a form that a target takes as they are (see `Target.block_form`)."""

    rows: int = 0
    """How many those were that came so far."""

    @abstractmethod
    def __iter__(self) -> Iterator[bytes]: ...


class ChunkReader(ABC):
    """One chunk being read. `lock` may wait and runs on a helper thread; `mark` is quick and runs on the thread that
    writes the log (R2); `rows` streams on the helper thread."""

    @abstractmethod
    def lock(self) -> None:
        """Hold the table's shape still, before the snapshot: TRUNCATE and rewrites wait for the chunk."""

    @abstractmethod
    def mark(self) -> ChunkMark:
        """Take the snapshot."""

    @abstractmethod
    def rows(self) -> tuple[TableSchema, Iterator[pa.RecordBatch]]:
        """The schema as of the snapshot and the rows (text columns by name)."""

    def blocks(self, form: str, expected: TableSchema) -> Blocks | None:
        """The rows in this form, in place of `rows`; None if the source has no such form, or the table as of the
        snapshot is none of the schema expected."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Idempotent; also ends a read under way. Callable from another thread."""


class LogTransaction(NamedTuple):
    number: int
    """By which the stamps of a `Log` name it."""
    transaction: Any
    """As in `LogPart`, like the next two."""
    committed_at_us: int
    commit: Position


@dataclass(slots=True)
class LogBatch:
    """Whole transactions, and at the end maybe a part of one, put together table by table."""

    tables: list[tuple[TableSchema, Net | Log]]
    met: list[TableSchema]
    """Shapes that the log told of since the last batch, also of tables that nobody wants."""
    transactions: list[LogTransaction]
    position: Position
    """Where the log is read on from once this batch is in the target."""
    ends: bool
    """Whether the last transaction's commit is reached with it."""
    changes: int
    bytes: int
    counts: list[tuple[int, int]] = field(default_factory=list)
    """How many changes, and bytes of the log, each of `tables` had; empty: the source does not know."""
    read_at_us: int = 0
    """When the first of it was read, in microseconds since 1970-01-01 UTC; 0: when it was taken."""

    @property
    def ended(self) -> int:
        """How many transactions end with it."""
        return len(self.transactions) - (not self.ends)


@dataclass(frozen=True, slots=True)
class Gathering:
    """What batches are to be made of."""

    tables: Mapping[TableName, Mode]
    """Others are passed over."""
    changes_max: int
    """From how many on a batch is full."""


class LogReader(ABC):
    """The log from a position on, read by a thread of its own into a bounded queue."""

    @abstractmethod
    def take(self, timeout_s: float) -> Sequence[LogPart | LogBatch]:
        """What comes next in order; empty after `timeout_s`. Raises what ended the reading. A part without a
        transaction only moves the position: the log was read that far and held nothing for this run."""

    def gather(self, wanted: Gathering | None) -> bool:
        """Ask for batches instead of parts (None: for parts again); it changes over between two transactions. A
        truncate comes as a part all the same. Returns whether what was taken last, and so all that comes, is made as
        was asked for here last. A source without such a thing goes on with parts."""
        return wanted is None

    def ready(self) -> bool:
        """Whether `take` has something to give now."""
        return False

    @property
    def fullness(self) -> float:
        """How full the queue in front of `take` is, from 0 to 1."""
        return 0.0

    @abstractmethod
    def acknowledge(self, position: Position) -> None:
        """The target holds everything up to here, and the snapshot that needs it is stored (I1)."""

    @abstractmethod
    def close(self) -> None:
        """Idempotent."""


class SourceView(ABC):
    """The source at one instant, for comparing it with the target. `open`, `rows` and `close` run on a helper thread;
    `mark` is quick and runs on the thread that writes the log (R2). May block TRUNCATE and changes of a table's shape
    while that table is read, and nothing else."""

    @abstractmethod
    def open(self, deadline_s: float) -> None:
        """Connect. No statement may take longer than `deadline_s`."""

    @abstractmethod
    def mark(self) -> ChunkMark:
        """Take the snapshot that the rows are read under, in place of one taken before."""

    @abstractmethod
    def rows(self, table: TableName) -> tuple[TableSchema, Generator[pa.RecordBatch, None, None]]:
        """The schema as of the snapshot and the rows (text columns by name), in any order; close what is not read to
        its end. Raises `NotComparable` for a
        table whose rows of that instant are gone: truncated or rewritten since."""

    @abstractmethod
    def close(self) -> None:
        """Idempotent; also ends a read under way. Callable from another thread."""


@dataclass(frozen=True, slots=True)
class LogState:
    """What Continue needs to know about the log kept for a run."""

    behind_bytes: int
    """Log between the position asked for and the end of the log."""
    safe_bytes: int | None
    """How much more may be written before the source drops log the run needs; None: no limit in bytes is set, but there
    may be one in time."""
    end: Position
    """Where the log ends."""


@dataclass(frozen=True, slots=True)
class Retention:
    """The log that the source keeps for one run, and until when."""

    retained_bytes: int
    """Log from the oldest place that the run needs to its end."""
    safe_bytes: int | None
    """How much more may be written before the source drops log the run needs; None: no limit by size."""
    expires_in_s: float | None = None
    """How long until it drops it for its age; None: no limit by age."""
    lost: str = ""
    """Why it is gone already."""


@dataclass(frozen=True, slots=True)
class Retentions:
    """What the source keeps for runs, at one look."""

    written_bytes: int
    """All log ever written, counted from any beginning: how it grows is what counts."""
    runs: Mapping[str, Retention]
    """Of those asked about."""
    free_bytes: int | None = None
    """Room left where the source keeps its log; None: the source does not show it."""


class Unlogged(StrEnum):
    """What can become of rows that are there without a word in the log."""

    ATTACHED = "attached"
    """It has rows that it had before it was one: they never come."""
    LEFT = "left"
    """It was detached or dropped: its rows are no longer the table's, and are never deleted."""
    EMPTIED = "emptied"
    """All the rows it had are gone at once."""
    REWRITTEN = "rewritten"
    """Its rows are in a new place, some of the old ones certainly; the source cannot tell more."""
    CONVERTED = "converted"
    """Of a column: the rows were written anew when it was given another definition, with values that may be others."""
    REPLACED = "replaced"
    """Of a column: another one goes by its name."""
    RELABELLED = "relabelled"
    """Of a type: values that are there read otherwise."""


@dataclass(frozen=True, slots=True)
class UnloggedChange:
    table: TableName
    part: str
    """The name of the partition, column or type."""
    what: Unlogged
    transaction: str | None = None
    """Who did it (as in `LogPart`, as text) where it may have been done to the table, which the log does tell."""
    whole: bool = False
    """Whether that transaction did the same to all of the table's partitions."""


@dataclass(frozen=True, slots=True)
class UnloggedChanges:
    now: dict[TableName, str] = field(default_factory=dict)
    """What each table is made of, as a text to remember. A table that nothing can happen to is not in it."""
    changes: list[UnloggedChange] = field(default_factory=list)


class Source(ABC):
    """A connector that reads. Class attributes declare it; instances hold what connections they need."""

    kind: ClassVar[str]
    title: ClassVar[str]
    Config: ClassVar[type[Config]]

    def __init__(self, config: Any) -> None:
        self.config = config

    def another(self) -> Source:
        """The same source with connections of its own, for another thread of the same run."""
        return type(self)(self.config)

    @abstractmethod
    def check(self) -> list[Check]:
        """The connectivity test, a result per requirement; never raises for what it tests."""

    @abstractmethod
    def identity(self) -> tuple[str, ...]:
        """What tells this server and database from every other, stable over restarts and copies of its address."""

    def recognises(self, identity: Sequence[str]) -> bool:
        """Whether it is still the one that gave this identity."""
        return tuple(identity) == self.identity()

    def lineage(self) -> str:
        """Which line of the source's history it is on now, for a log that a failover or a restore can fork; stored with
        a run. Empty: there is only one. What is read from now on must be of that line (else `SourceUnreachable`)."""
        return ""

    def check_lineage(self, was: str, furthest: Position) -> None:  # noqa: B027  most logs are never forked
        """Raises `PositionLost` when the log that was read up to `furthest`, on the line `was`, is no part of the
        present line's."""

    @property
    def database(self) -> str:
        """What `{database}` stands for in naming patterns."""
        return ""

    @abstractmethod
    def tables(self) -> list[TableName]:
        """Every table that could be read."""

    def unlogged_tables(self) -> list[TableName]:
        """Tables that are there and cannot be followed, since no log has their rows; `tables` leaves them out."""
        return []

    def omitted_columns(self, tables: Sequence[TableName]) -> Mapping[TableName, Sequence[str]]:
        """Columns that `schema` leaves out, since no log has their values, of those of the tables that have some."""
        return {}

    @abstractmethod
    def schema(self, table: TableName) -> TableSchema:
        """The table as it is now. Raises `SourceTableUnknown`."""

    @abstractmethod
    def refusals(self, table: TableSchema, mode: WriteMode) -> list[Exception]:
        """Why this table cannot be followed in this mode (no key, no replica identity, privilege): errors to
        raise."""

    @abstractmethod
    def parse_position(self, text: str) -> Position: ...

    @abstractmethod
    def parse_mark(self, text: str) -> SnapshotMark: ...

    # --- a run ---

    @abstractmethod
    def begin(self, run: str, tables: Sequence[TableName]) -> Position:
        """Make the source keep its log for this run and these tables, wait until no older transaction can hide
        (R4), and return where the log begins. Anything a dead earlier attempt of the same run left is replaced. When it
        fails nothing is left behind."""

    def start_at(self, start: StartSpec) -> Position:
        """Where the log is read from by a run that is to begin there, between two transactions: everything in front of
        it is done. May read some of the log; called at submission too. Raises `SourceStartUnsupported` (always, unless
        a source can), `SourceStartUnknown` and `SourceStartPurged`."""
        raise SourceStartUnsupported(f"{self.title} gives a run its log from when the run begins, and not from {start}")

    @abstractmethod
    def add_tables(self, run: str, tables: Sequence[TableName]) -> None:
        """Follow these too from now on; returns after the fence (R4). Idempotent."""

    @abstractmethod
    def drop_tables(self, run: str, tables: Sequence[TableName]) -> None:
        """Follow these no longer. Idempotent."""

    @abstractmethod
    def unfollowed(self, run: str, tables: Sequence[TableName]) -> list[TableName]:
        """Those of the run's tables whose changes the log no longer has for it: dropped, renamed, dropped and made
        again, or taken out by hand."""

    def unlogged_changes(self, remembered: Sequence[tuple[TableSchema, str]]) -> UnloggedChanges:
        """What these tables are made of, and what became of it since the text that is given for each (empty: it is the
        first look) that the log does not tell. By default there is nothing to tell: all is in the log. Raises
        `SourceIdentityMissing` while the log does not name the rows of a part of a table by the table's key."""
        return UnloggedChanges()

    @abstractmethod
    def log_state(self, run: str, position: Position | None) -> LogState:
        """Raises `PositionLost` when the log from the position on is not (or no longer certainly) there. None asks from
        where the source was last told that it may forget."""

    def retentions(self, runs: Mapping[str, Position | None]) -> Retentions | None:
        """Until when the log of these runs is kept, each with where it stands (None: not known); with as few questions
        as possible, for it is asked again and again. None: the source cannot tell."""
        return None

    @abstractmethod
    def log(
        self,
        run: str,
        position: Position,
        *,
        tables: Mapping[TableName, TableSchema] | None = None,
        protocol: int | None = None,
    ) -> LogReader:
        """Follow the log. Parts at or before the position do not come again. `tables` are the run's, with the shapes it
        knows them in: for a source that does not remember by itself what a run follows."""

    @abstractmethod
    def behind_bytes(self, position: Position) -> int:
        """How much log lies between the position and the end of the source's log. Quick."""

    @abstractmethod
    def now(self) -> SnapshotMark:
        """A snapshot of this instant, for the gate (R1). Quick."""

    @abstractmethod
    def edges(self, table: TableSchema, *, can_order: Callable[[DataType], bool]) -> list[KeyRange]:
        """How to cut the table into chunks, in key order and without a gap: the first is open below, the last above.
        One open range when it has no key that can be ordered the same everywhere."""

    @abstractmethod
    def order(self, table: TableSchema) -> Callable[[Sequence[str]], Any]:
        """Turns a key's texts into something that Python compares as the source compares the key in `edges`."""

    @abstractmethod
    def estimate(self, table: TableName) -> int:
        """About how many rows the table has."""

    @abstractmethod
    def chunk(self, table: TableSchema, keys: KeyRange) -> ChunkReader:
        """A reader for one range."""

    @abstractmethod
    def row_chunk(self, table: TableSchema, key: Sequence[str]) -> ChunkReader:
        """A reader for one key."""

    def nudge(self) -> None:  # noqa: B027  most logs come out by themselves
        """Have the log come out up to its end soon although nobody writes. Quick; changes nothing anybody can see."""

    def view(self) -> SourceView:
        """For comparing. Raises `NotComparable` where a source has no such thing. Connects to nothing yet."""
        raise NotComparable(f"{self.title} cannot be read as of one instant")

    @abstractmethod
    def end(self, run: str) -> None:
        """Let go of everything `begin` made. Idempotent."""

    @abstractmethod
    def close(self) -> None:
        """Idempotent; never raises."""
