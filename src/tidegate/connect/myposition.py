"""Places in the binary log of MariaDB and MySQL, and which transactions a snapshot sees.

The log of one server has one order, in which the server also commits. MariaDB's `START TRANSACTION WITH CONSISTENT
SNAPSHOT` is taken between two commits and says which place of the log it belongs to (of MySQL's it is found out, see
`mysnapshot.py`), so a snapshot is a place: it sees exactly the transactions in front of it. What the hand-over needs
(see `engine/handoff.py`) follows:

R1: a transaction is sent once it is in the log, maybe a moment before it is committed; a snapshot taken later may stand
in front of it. The gate asks for snapshots until one stands behind it, and places of snapshots only grow.
R2, R3: as for every source.
R4: there is nobody who committed and is not seen. Only a prepared XA transaction has its rows in the log before it is
decided; a run begins once all that were prepared in front of its beginning are decided.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.connect.source import SnapshotMark
from tidegate.decode.gtid import NO_GTIDS, Gtids, parse_gtids
from tidegate.model.position import Position

_PLACE = re.compile(r"([^\s:;/]+)\.([0-9]{6,10}):([0-9]{1,18})")
_INSIDE = re.compile(r"([0-9]{1,18})@([0-9]{1,18})")


class Place(NamedTuple):
    """Where an event begins or ends. Ordered: files are numbered in the order of the log."""

    number: int
    offset: int
    file: str

    @classmethod
    def of(cls, file: str, offset: int) -> Place:
        """Raises ValueError for what is no name of a binary log file."""
        return cls.parse(f"{file}:{offset}")

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raises ValueError."""
        found = _PLACE.fullmatch(text)
        if found is None:
            raise ValueError("not a place in a binary log, such as log.000007:4711")
        return cls(int(found[2]), int(found[3]), f"{found[1]}.{found[2]}")

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"


@dataclass(frozen=True, slots=True, order=False)
class MyPosition(Position):
    """Everything in front of `place` is done, and of the transaction that begins there the first `changes` too: those
    of the row events that end at `inside` or in front of it (0: they are counted)."""

    place: Place
    gtids: Gtids = NO_GTIDS
    """The last transaction of each domain in front of the place, or with MySQL all of them: by it a log that was begun
    anew, or restored, is told from the one that was read. Empty: not known."""
    changes: int = 0
    inside: int = 0
    prepared: Place | None = None
    """Where the oldest XA transaction that was not decided in front of the place was prepared: its rows are there, so
    the log is read again from there on."""
    named_until: Place | None = None
    """In front of here the run knows its tables only as they were here, later: columns are then what the log calls
    them, or nobody knows (a run that began in the past)."""

    def __str__(self) -> str:
        whole = f"{self.place}+{self.changes}@{self.inside}" if self.changes else str(self.place)
        parts = [whole, str(self.gtids), str(self.prepared or ""), str(self.named_until or "")]
        while not parts[-1]:
            parts.pop()
        return ";".join(parts)

    @classmethod
    def parse(cls, text: str) -> MyPosition:
        """Raises ValueError."""
        whole, *rest = text.split(";")
        place, cut, part = whole.partition("+")
        within = _INSIDE.fullmatch(part)
        if len(rest) > 3 or (cut and not within) or (len(rest) > 1 and not rest[-1]):
            raise ValueError("not a position in a binary log")
        gtids = parse_gtids(rest[0]) if rest else NO_GTIDS
        prepared, named_until = (Place.parse(one) if one else None for one in (*rest[1:], "", "")[:2])
        changes, inside = (int(within[1]), int(within[2])) if within else (0, 0)
        return cls(Place.parse(place), gtids, changes, inside, prepared, named_until)

    @classmethod
    def of(cls, position: Position) -> MyPosition:
        """The position as this source's own. Raises TypeError for another source's."""
        if not isinstance(position, cls):
            raise TypeError(f"{type(position).__name__} is not a position in a binary log")
        return position

    @property
    def read_from(self) -> Place:
        return self.prepared or self.place

    def _order(self) -> tuple[int, int, int]:
        return (self.place.number, self.place.offset, self.changes)

    def __lt__(self, other: Position) -> bool:
        return self._order() < other._order() if isinstance(other, MyPosition) else NotImplemented

    def __le__(self, other: Position) -> bool:
        return self._order() <= other._order() if isinstance(other, MyPosition) else NotImplemented

    def sortable(self) -> str:
        return f"{self.place.number:010d}:{self.place.offset:015d}"


class MySnapshot(SnapshotMark):
    """The place in the log that a consistent snapshot belongs to."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def sees(self, transaction: Place) -> bool:
        """`transaction` is where it begins in the log; an XA transaction, where its decision does."""
        return transaction[:2] < self.place[:2]

    def __str__(self) -> str:
        return str(self.place)
