"""What the author of a target writes: one class.

The engine compacts, orders and batches; a target stores. It is called by one thread at a time. Everything in one
`write` is one transaction together with the run's position and progress (I1, I3), refused if a newer epoch has opened
the run (I5).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import pyarrow as pa

from tidegate.connect.capability import BatchShape, Check, Delivery, WriteMode
from tidegate.connect.config import Config
from tidegate.errors import NotComparable, TidegateError
from tidegate.model.schema import Column, DataType, TableSchema


@dataclass(frozen=True, slots=True)
class Stamp:
    """The columns append adds to a row; an empty name leaves that column out.

    `op` the operation's word, `committed_at` the source's commit time (timestamptz; for rows of the full copy the time
    they were read), `position` a text whose string order is the order of the changes, the delete before the
    insert where one change is both, `detail` JSON or NULL: which large columns the log left out
    (`{"unchanged": ["doc"]}`), or which key range a truncate emptied, but for which keys
    (`{"truncated": {"after": ["10"], "upto": null, "kept": [["12"]]}}`).
    """

    op: str = "_tidegate_op"
    committed_at: str = "_tidegate_committed_at"
    position: str = "_tidegate_position"
    detail: str = "_tidegate_detail"

    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.op, self.committed_at, self.position, self.detail) if name)


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A table at the target: its place, the source's columns it takes (same names), and how it is written.

    `source.columns` are all columns; append adds those of `stamp`. In upsert `source.key` is never empty.
    """

    schema: str
    name: str
    source: TableSchema
    mode: WriteMode
    stamp: Stamp = field(default_factory=Stamp)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys with `after < key <= upto` in key order, compared column by column (texts by their UTF-8 bytes); None is
    open. The tuples may be shorter than the key: then they bound its first columns."""

    after: tuple[str, ...] | None
    upto: tuple[str, ...] | None


@dataclass(slots=True)
class Append:
    """Insert rows as they are. Each batch has the table's columns by name (all text; a missing one is left to its
    default) and, in append mode, those of the stamp. Also used in upsert for rows that cannot be there yet."""

    table: TargetTable
    rows: Iterable[pa.RecordBatch]
    blocks: Iterable[bytes] | None = None
    """In place of `rows`: all columns of all rows, in the form that `Target.block_form` named."""
    blocks_rows: int = 0
    """How many rows those are."""
    last: bool = False
    """With these all rows are in that the table had: time for what was better put off until then, such as a key."""


@dataclass(slots=True)
class Net:
    """The net change of a group of source changes of one upsert table, at most one entry per key, in this order:

    1. `moved`: read the large values that `puts` will need from rows that are about to change (see `Moved`);
    2. `deletes`: remove rows by key (columns of the key; keys that are not there are no error);
    3. `puts`: insert or replace whole rows by key;
    4. `patches`: update rows that must exist, each batch setting just the non-key columns it has; a key that is not
       there is `TargetRowMissing`;
    5. `inserts`: as `puts`, of keys that the source did not have before, so that the target hardly has them.
    """

    table: TargetTable
    deletes: pa.RecordBatch | None = None
    inserts: pa.RecordBatch | None = None
    puts: pa.RecordBatch | None = None
    patches: Sequence[pa.RecordBatch] = ()
    moved: Sequence[Moved] = ()

    @property
    def whole(self) -> list[pa.RecordBatch]:
        """All rows to insert or replace, those that may make room for others first."""
        return [rows for rows in (self.puts, self.inserts) if rows is not None and rows.num_rows]


@dataclass(slots=True)
class Moved:
    """A row whose key changed while a large value stayed: put `row` whole, with `columns` taken from the row that had
    `from_key` before this step; that row not being there is `TargetRowMissing`."""

    row: pa.RecordBatch
    """One row, without `columns`."""
    from_key: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(slots=True)
class Clear:
    """Remove the rows of an upsert table: all, or those in `ranges`, but never those in `keep` (columns of the key)."""

    table: TargetTable
    ranges: Sequence[KeyRange] | None = None
    keep: pa.RecordBatch | None = None


Step: TypeAlias = "Append | Net | Clear"


@dataclass(slots=True)
class Progress:
    """What a write makes of the run's stored state: the position reached, and entries to set or (None) remove."""

    position: str
    entries: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """A run's state as the target holds it."""

    position: str
    entries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Misfit:
    """One reason why an existing target table cannot take the rows, naming the column."""

    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column that exists at the target, with the target's own spelling of its type."""

    name: str
    type: str
    nullable: bool = True
    has_default: bool = False
    key: bool = False


class TargetView(ABC):
    """The target at one instant, for comparing it with the source. `open`, `rows`, `as_held` and `close` run on a
    helper thread; `hold` is quick and runs on the thread that writes, between two writes. Writing goes on meanwhile."""

    @abstractmethod
    def open(self, deadline_s: float) -> None:
        """Connect. No statement may take longer than `deadline_s`."""

    @abstractmethod
    def hold(self, run: str) -> str | None:
        """From now on the rows are those of this instant; the run's stored position at it."""

    @abstractmethod
    def rows(
        self, table: TargetTable, names: Sequence[str], order: Sequence[str] = ()
    ) -> Generator[pa.RecordBatch, None, None]:
        """The columns named as texts in the grammar of `Kind`, but that a binary fraction may be spelled in another
        way; close what is not read to its end. With `order` sorted by the bytes of these columns' texts, NULL first.
        Raises `TargetTableMissing`, `TargetMisfit` for a column that is not there, `NotComparable` for a table whose
        rows of that instant are gone."""

    @abstractmethod
    def as_held(self, table: TargetTable, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The source's texts as `rows` would give them back, for columns whose type is another than `type_of` gives: a
        wider number has more digits behind its point. In any order. Not while `rows` is read."""

    @abstractmethod
    def close(self) -> None:
        """Idempotent; also ends a read under way. Callable from another thread."""


class Target(ABC):
    """A connector that writes. Class attributes declare it; instances hold one connection."""

    kind: ClassVar[str]
    title: ClassVar[str]
    Config: ClassVar[type[Config]]
    delivery: ClassVar[Delivery]
    modes: ClassVar[tuple[WriteMode, ...]]
    batch: ClassVar[BatchShape]

    def __init__(self, config: Any) -> None:
        self.config = config

    # --- before a run: each opens and closes what it needs ---

    @abstractmethod
    def check(self) -> list[Check]:
        """The connectivity test, a result per requirement; never raises for what it tests."""

    @abstractmethod
    def identity(self) -> tuple[str, ...]:
        """What tells this place from others of the kind (host, port and database; a file's real path), to find loops.
        For PostgreSQL: the system identifier and the database's name, as the source's `identity`."""

    @classmethod
    @abstractmethod
    def type_of(cls, type: DataType, family: str) -> str:
        """The column type this target gives, outside of a key, a type of a source of the family; in its own spelling.
        Pure."""

    @abstractmethod
    def columns(self, table: TargetTable) -> list[TargetColumn] | None:
        """The existing table's columns; None if there is no such table."""

    @abstractmethod
    def remade(self, run: str, table: TargetTable) -> bool:
        """Whether the existing table is another one than the run's task was fed into under this name: dropped and made
        again, so that rows the run wrote are gone."""

    @abstractmethod
    def holds_others(self, run: str, table: TargetTable) -> bool:
        """Whether the existing table holds rows and no run of the run's task was ever fed into it: what `prepare` would
        refuse in upsert. False if there is no such table. Changes nothing."""

    @abstractmethod
    def sharer(self, run: str, table: TargetTable) -> str | None:
        """A run of another task that writes the table and was not stopped; None: there is none. Each would remove rows
        of the other. Changes nothing."""

    def lost(self, run: str, tables: Sequence[TargetTable]) -> list[str]:
        """A sentence for each of the run's tables that is gone or `remade`. Asked again and again during a run."""
        found = []
        for table in tables:
            if self.columns(table) is None:
                found.append(f"{table} is gone")
            elif self.remade(run, table):
                found.append(f"{table} was dropped and made again")
        return found

    @abstractmethod
    def refusals(self, tables: Sequence[TargetTable]) -> list[TidegateError]:
        """Why no tables such as these can be here together, whether they exist or not; `prepare` refuses each of them
        alone in the same words. Pure."""

    @abstractmethod
    def misfits(self, table: TargetTable) -> list[Misfit]:
        """Why the existing table cannot take `table`'s rows: missing columns, too narrow or other types, required
        columns the source lacks, no unique key in upsert. Empty: it fits. The table must exist."""

    @abstractmethod
    def can_order(self, type: DataType) -> bool:
        """Whether a key column of this type compares at the target as it does at the source, so that key ranges can be
        cleared there. Pure."""

    def block_form(self, table: TargetTable) -> str:
        """The name of a form in which the existing table takes rows as blocks of bytes, which is faster than columns; a
        source that has this form hands them through. Empty: there is none."""
        return ""

    # --- a run ---

    @abstractmethod
    def open(self, run: str, epoch: int) -> Stored | None:
        """Take the run over as `epoch`: creates the state tables where missing, refuses (`Fenced`) if a newer epoch was
        here, and makes every later write of an older epoch fail. None: the run has stored nothing yet."""

    @abstractmethod
    def prepare(self, table: TargetTable, *, create: bool, replace: bool) -> bool:
        """Make the table ready before its first rows: create it where missing (`create`), else check it
        (`TargetMisfit`, `TargetTableMissing`). In upsert a table that holds rows this task never wrote is
        `TargetNotEmpty` unless `replace`, and one that another task's run writes is `TargetShared`. Returns whether the
        table is known to be empty. Idempotent."""

    @abstractmethod
    def add_columns(self, table: TargetTable, columns: Sequence[Column]) -> None:
        """Add the columns (nullable, each with its `default` for rows already there and rows that leave it out) that
        are not there yet. Raises `TargetTableGone`. Idempotent."""

    @abstractmethod
    def write(self, steps: Sequence[Step], progress: Progress) -> None:
        """Apply the steps in order and store the progress, all or nothing. On return it is durable. Raises `Fenced` if
        a newer epoch opened the run, `TargetTableGone` if a table, which was prepared, is not there any more; nothing
        is written then."""

    @abstractmethod
    def release(self) -> None:
        """Let go of what keeps others out (a file's lock) until the next call; nothing for most targets."""

    def view(self) -> TargetView:
        """For comparing, while the run is open. Raises `NotComparable` where a target has no such thing. Connects to
        nothing yet."""
        raise NotComparable(f"{self.title} cannot be read as of one instant")

    @abstractmethod
    def forget(self, run: str) -> None:
        """Remove the run's state from the target; its tables and rows stay. Idempotent."""

    @abstractmethod
    def stored(self, run: str) -> Stored | None:
        """The run's state, without taking it over; for the checks before Continue."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back. Idempotent; never raises."""
