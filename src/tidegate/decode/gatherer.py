"""Whole buffers of `pgoutput` messages in, Arrow columns out: what a gatherer is, and what it says.

There are two, alike to the last byte of their errors: the compiled one (`native.py`, `rust/`) and its readable twin
(`plain.py`). Neither makes a Python object per row on its way to the compiled one's caller. `choice.py` says which is
used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, TypeAlias

import pyarrow as pa

from tidegate.decode.pgoutput import Relation, Truncate

Buffer: TypeAlias = "bytes | bytearray | memoryview"

# The most that is gathered at once, and the longest message: a column's offsets end at 2^31, and a value may come out
# twice.
BYTES_MAX = (1 << 30) - 1
COLUMNS_MAX = (1 << 16) - 1
COUNT_MAX = (1 << 64) - 1


class Mode(IntEnum):
    """What becomes of a relation's changes."""

    NET = 0
    """The net change per key."""
    LOG = 1
    """A row per change, in order."""
    SKIP = 2
    """They are counted and passed over."""


class Stop(IntEnum):
    """Why feeding ended."""

    END = 0
    """The rest of the buffer is no whole frame."""
    FULL = 1
    """A limit is reached: behind a commit, or inside a transaction that would exceed it. Take before feeding on."""
    RELATION = 2
    """Behind a relation's description (`Fed.met`). Its rows are not taken in before `shape` is called again."""
    TRUNCATE = 3
    """Behind a truncate (`Fed.met`), which counts as a change of each of its tables."""
    UNSHAPED = 4
    """In front of a change of a relation (`Fed.oid`) whose shape was not said."""
    BROKEN = 5
    """In front of a message that makes no sense: feeding it raises what is wrong."""


class EventKind(IntEnum):
    BEGIN = 1
    COMMIT = 2


class Event(NamedTuple):
    """Where a transaction ends, or (`Gatherer.open`) begins. What a kind does not have is 0."""

    kind: EventKind
    xid: int
    """32 bits, as the server sends it."""
    transaction: int
    """Which of all transactions this gatherer was fed, from 0."""
    commit_lsn: int
    end_lsn: int
    """Behind the commit."""
    at_us: int
    """When it was committed, in microseconds since 1970-01-01 UTC."""
    changes: int
    """How many changes it had so far, gathered or not."""


class Fed(NamedTuple):
    consumed_bytes: int
    """From `start` on. What is behind must be fed again, with more behind it or once the stop is dealt with."""
    events: list[Event]
    stop: Stop
    met: Relation | Truncate | None
    oid: int
    """The relation of `UNSHAPED`; else 0."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Behind a commit feeding stops when `changes_max` or `bytes_max` are gathered; in front of a change that would be
    one too many for `split_changes_max` or `split_bytes_max` (or for `BYTES_MAX`), unless nothing is gathered. What
    counts are the bytes of the messages."""

    changes_max: int = 50_000
    bytes_max: int = 16 << 20
    split_changes_max: int = 200_000
    split_bytes_max: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Patch:
    """Rows of which only some columns are known."""

    columns: tuple[int, ...]
    """Which of the table's columns the batch has."""
    rows: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Moved:
    """Rows whose key changed while large values were left out: those stand in the rows with the keys `origin` (row by
    row, the key's columns) before this batch."""

    columns: tuple[int, ...]
    """Which of the table's columns `rows` has."""
    rows: pa.RecordBatch
    origin: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Net:
    """The net change of a relation, one entry for each key: see `connect.target.Net`. Rows stand in the order in which
    their keys came first; patches and moved rows are put together by the columns that are known of them."""

    deletes: pa.RecordBatch | None
    """The key's columns, in the key's order."""
    inserts: pa.RecordBatch | None
    """Whole rows of keys that no row had before this batch."""
    puts: pa.RecordBatch | None
    patches: list[Patch] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)


class LogOp(IntEnum):
    """`op` of a log's stamps."""

    INSERT = 0
    UPDATE = 1
    DELETE = 2


STAMPS = pa.schema([("op", pa.int8()), ("transaction", pa.int64()), ("index", pa.int64()), ("nth", pa.int8())])


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Rows in which the values of some columns were left out: they are NULL there, and are not."""

    columns: tuple[int, ...]
    rows: pa.Array
    """Their numbers (int64)."""


@dataclass(frozen=True, slots=True)
class Log:
    """A relation's changes in order. A changed key is a delete and an insert, as is any update without a key."""

    rows: pa.RecordBatch
    stamps: pa.RecordBatch
    """As long as `rows`: the `op` (`LogOp`), `Event.transaction`, the `index` of the change in it, and `nth`: 1 for an
    insert's row and 0 for others, so that a changed key's delete comes before its insert."""
    unchanged: list[Unchanged] = field(default_factory=list)


class Gatherer(ABC):
    """Reads transactions and keeps their rows until they are taken. Used by one thread at a time.

    The buffer is frames: a length of four bytes, most significant first, and a `pgoutput` message. Cells are texts.
    Transactions are committed ones (see `blocks.py` for others). After an error is raised what was gathered is sound,
    and nothing behind it can be fed.
    """

    @abstractmethod
    def resume(self, lsn: int, inside: int = 0, changes: int = 0) -> None:
        """Go on where a reader before this one stopped: transactions that commit before `lsn`, and the first `changes`
        changes of the one that commits at `inside`, are counted and not gathered (I2). For transactions fed from now
        on."""

    @abstractmethod
    def shape(self, oid: int, names: Sequence[str], key: Sequence[int], mode: Mode) -> None:
        """From now on the relation has columns of these names, `key` says which are its key. Raises `ValueError` if
        rows of another shape are gathered (take them first), or the shape is none."""

    @abstractmethod
    def feed(self, buffer: Buffer, start: int, limits: Limits) -> Fed:
        """Reads frames from byte `start` on. Raises `Malformed` (or `Contradiction`, one of it) if the first of them
        makes no sense; those in front of a later one are fed first."""

    @property
    @abstractmethod
    def open(self) -> Event | None:
        """The transaction feeding stands in, as of now (its end is not known)."""

    @property
    @abstractmethod
    def passed_over(self) -> int:
        """How many of the open transaction's changes, from its first on, are not to be delivered (see `resume`); all of
        them: `COUNT_MAX`."""

    @abstractmethod
    def held(self) -> list[int]:
        """The relations that have something to take, in the order of their first change."""

    @abstractmethod
    def take(self, oid: int) -> Net | Log:
        """What is gathered of a relation, and no longer is. Raises `KeyError` if it is not one that is gathered."""

    @abstractmethod
    def clear(self) -> None:
        """Forget what is gathered. Shapes stay, and the place in the log."""

    @property
    @abstractmethod
    def changes(self) -> int:
        """How many changes are gathered."""

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """How long the gathered changes' messages are."""


def check_shape(oid: int, names: Sequence[str], key: Sequence[int], mode: Mode) -> None:
    """Raises `ValueError`."""
    if not 0 <= oid < 1 << 32 or len(names) > COLUMNS_MAX:
        raise ValueError(f"relation {oid} with {len(names)} columns")
    if len(set(key)) != len(key) or not all(0 <= column < len(names) for column in key):
        raise ValueError(f"a key of columns {list(key)} among {len(names)}")
    if mode is Mode.NET and not key:
        raise ValueError("there is no net change without a key")


def check_start(start: int, size_bytes: int) -> None:
    """Raises `ValueError`."""
    if not 0 <= start <= size_bytes:
        raise ValueError(f"byte {start} of {size_bytes}")
