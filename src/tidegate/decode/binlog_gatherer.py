"""Whole buffers of MariaDB's or MySQL's log in, Arrow columns out: what a gatherer of it is, and what it says.

There are two, alike in all they say: the compiled one (`binlog_native.py`, `rust/`) and its readable twin
(`binlog_plain.py`). They take in what a log mostly has, transactions of rows, and judge nothing: in front of all else
(statements, XA, tables not said before, values of rare types, what makes no sense) they stop, and `BinlogDecoder` reads
what stands there or says what is wrong with it.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tidegate.decode.binlog_reading import UNREAD, Reading, reading
from tidegate.decode.binlog_rows import RowChange
from tidegate.decode.binlog_table import Column, TableMap, Type
from tidegate.decode.gatherer import Buffer, Limits, Log, Mode, Net, check_shape
from tidegate.decode.gtid import Gtid
from tidegate.model.change import UNCHANGED, Op, Row

PACKET_HEADER_BYTES = 4
PACKET_BYTES_MAX = 0xFFFFFF
HEADER_BYTES, ID_BYTES, CHECKSUM_BYTES = 19, 6, 4


class Stop(IntEnum):
    """Why feeding ended."""

    END = 0
    """The rest of the buffer is no whole packet, or a transaction that is not whole yet."""
    FULL = 1
    """A limit is reached: behind a commit, or in front of rows that would exceed it. Take before feeding on."""
    OTHER = 2
    """In front of a packet that is not this one's to read."""


class Transaction(NamedTuple):
    number: int
    """Which of all transactions this gatherer was fed, from 0."""
    start: int
    """Offsets in the file, of where it begins and (0: not known yet) behind where it ends."""
    end: int
    gtid: Gtid | None
    """None: an anonymous one, of a MySQL server that has no GTIDs on."""
    at_s: int
    changes: int
    """How many it had so far that count."""


class Fed(NamedTuple):
    consumed_bytes: int
    """From `start` on. What is behind must be fed again, with more behind it or once the stop is dealt with."""
    ended: list[Transaction]
    stop: Stop


@dataclass(frozen=True, slots=True)
class Table:
    """What a table's rows are read by, and what becomes of them."""

    map: TableMap
    raw: bytes
    """The map as it stands in the log (see `raw_map`): while it is the same, so is the table."""
    columns: tuple[Column, ...]
    """Those of the map, completed by what is known otherwise."""
    names: tuple[str, ...]
    key: tuple[int, ...]
    mode: Mode | None
    """None: its rows are passed over and do not count."""

    @property
    def readings(self) -> list[Reading]:
        return [reading(column) if self.mode is not None else UNREAD for column in self.columns]

    def row(self, row: Row) -> Row:
        """In the grammar of `Kind`, in which a YEAR that is none is `0`."""
        years = [at for at, column in enumerate(self.columns) if column.type is Type.YEAR]
        return tuple("0" if at in years and cell == "0000" else cell for at, cell in enumerate(row)) if years else row


class BinlogGatherer(ABC):
    """Reads transactions and keeps their rows until they are taken. Used by one thread at a time.

    The buffer is the connection's packets: a length of three bytes, least significant first, a number of one, and as
    many bytes, of which the first is 0 and the others an event. What counts as bytes are the values' texts.
    """

    @abstractmethod
    def begin(self, offset: int, *, checksums: bool) -> None:
        """From here on events stand in a file at this offset, and tables are to be said again."""

    @abstractmethod
    def table(self, number: int, table: Table) -> None:
        """From now on maps that are `table.raw` mean this. A table keeps its number. Raises `ValueError` if rows of
        another shape are gathered (take them first), or the shape is none."""

    @abstractmethod
    def feed(self, buffer: Buffer, start: int, limits: Limits) -> Fed:
        """Reads packets from byte `start` on. A transaction is waited for until it is whole, or `bytes_max` of it are
        there."""

    def push(self, number: int, changes: Iterable[tuple[Op, Row | None, Row | None]]) -> None:
        """Rows of the open transaction that somebody else has read. Raises `Contradiction` for one that cannot be."""
        key = self._tables[number].key
        self._push(number, [_message(number, key, *change) for change in changes])

    @property
    @abstractmethod
    def _tables(self) -> Mapping[int, Table]: ...

    @abstractmethod
    def _push(self, number: int, messages: Sequence[bytes]) -> None: ...

    @abstractmethod
    def passed(self, end: int, *, ends_statement: bool) -> None:
        """What feeding stopped in front of was dealt with: `end` is its header's, as `ends_statement` is `Rows`'s."""

    @abstractmethod
    def leave(self) -> None:
        """Somebody else reads the rest of the open transaction."""

    @property
    @abstractmethod
    def offset(self) -> int:
        """Behind what was read."""

    @property
    @abstractmethod
    def open(self) -> Transaction | None:
        """The transaction feeding stands in, as of now."""

    @abstractmethod
    def active(self) -> dict[int, TableMap]:
        """By their ids the tables whose rows may come next: what `BinlogDecoder.amid` wants to know."""

    @abstractmethod
    def held(self) -> list[int]:
        """The tables that have something to take, in the order of their first change."""

    @abstractmethod
    def take(self, number: int) -> Net | Log:
        """What is gathered of a table, and no longer is. Raises `KeyError` if it is not one that is gathered."""

    @abstractmethod
    def clear(self) -> None:
        """Forget what is gathered. Tables stay, and the place in the log."""

    @property
    @abstractmethod
    def changes(self) -> int:
        """How many changes are gathered."""

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """How long their texts are."""


def check_table(number: int, table: Table) -> None:
    """Raises `ValueError`."""
    check_shape(number, table.names, table.key, Mode.SKIP if table.mode is None else table.mode)
    if len(table.names) != len(table.columns):
        raise ValueError(f"{len(table.names)} names for {len(table.columns)} columns")


def raw_map(event: bytes, *, checksums: bool) -> bytes:
    """Of a table map event what is the same as long as the table is."""
    return event[HEADER_BYTES + ID_BYTES : len(event) - CHECKSUM_BYTES * checksums]


def packets(events: Iterable[bytes]) -> bytes:
    """Events as a connection sends them. They are smaller than the largest packet."""
    return b"".join(struct.pack("<I", len(event) + 1) + b"\0" + event for event in events)


def moves(key: Sequence[int], old: Row, new: Row) -> bool:
    """Whether the row that is now cannot be found by the key of the one that was. Without a key it never can."""
    return not key or any(old[at] != new[at] for at in key)


def _message(number: int, key: Sequence[int], op: Op, old: Row | None, new: Row | None) -> bytes:
    """A change as a message of `pgoutput`, which both gatherers read."""
    if old is not None and new is not None:
        new = tuple(was if cell is UNCHANGED else cell for was, cell in zip(old, new, strict=True))
        if not moves(key, old, new):
            old = None
    message = {Op.INSERT: b"I", Op.UPDATE: b"U", Op.DELETE: b"D"}[op] + struct.pack(">I", number)
    if old is not None:
        message += b"O" + _cells(old)
    return message if new is None else message + b"N" + _cells(new)


def _cells(row: Row) -> bytes:
    found = [struct.pack(">H", len(row))]
    for cell in row:
        if isinstance(cell, str):
            text = cell.encode()
            found += [b"t", struct.pack(">I", len(text)), text]
        else:
            found.append(b"n" if cell is None else b"u")
    return b"".join(found)


def change_of(table: Table, op: Op, change: RowChange) -> tuple[Op, Row | None, Row | None]:
    """As the readable decoder gave it, in the grammar of `Kind`."""
    return op, change.old and table.row(change.old), change.new and table.row(change.new)
