"""PostgreSQL's places in the log, and which transactions its snapshots see."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from tidegate.connect.source import SnapshotMark
from tidegate.model.position import Position


def lsn_text(lsn: int) -> str:
    """The server's own spelling."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def parse_lsn(text: str) -> int:
    """Raises ValueError."""
    found = re.fullmatch(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})", text)
    if found is None:
        raise ValueError("not a log sequence number, such as 16/B374D848")
    return int(found[1], 16) << 32 | int(found[2], 16)


@dataclass(frozen=True, slots=True, order=False)
class PgPosition(Position):
    """Everything that ends at or before `lsn` is done, and of the transaction that commits at `inside` (0: none) the
    first `changes` too. The server sends that transaction again from its start, in the same order."""

    lsn: int
    inside: int = 0
    changes: int = 0

    def __str__(self) -> str:
        text = lsn_text(self.lsn)
        return f"{text}+{lsn_text(self.inside)}:{self.changes}" if self.inside else text

    @classmethod
    def parse(cls, text: str) -> PgPosition:
        """Raises ValueError."""
        whole, cut, part = text.partition("+")
        if not cut:
            return cls(parse_lsn(whole))
        inside, _, changes = part.partition(":")
        if not re.fullmatch(r"[0-9]{1,18}", changes):
            raise ValueError("the number of changes is missing")
        return cls(parse_lsn(whole), parse_lsn(inside), int(changes))

    @classmethod
    def of(cls, position: Position) -> PgPosition:
        """The position as this source's own. Raises TypeError for another source's."""
        if not isinstance(position, cls):
            raise TypeError(f"{type(position).__name__} is not a PostgreSQL position")
        return position

    def _order(self) -> tuple[int, int, int]:
        return (self.lsn, self.inside, self.changes)

    def __lt__(self, other: Position) -> bool:
        return self._order() < other._order() if isinstance(other, PgPosition) else NotImplemented

    def __le__(self, other: Position) -> bool:
        return self._order() <= other._order() if isinstance(other, PgPosition) else NotImplemented

    def sortable(self) -> str:
        return f"{self.lsn >> 32:08X}/{self.lsn & 0xFFFFFFFF:08X}"


class PgSnapshot(SnapshotMark):
    """A `pg_snapshot`. It sees a committed transaction if its id is below `xmax` and not among those in progress.

    Only top-level ids occur here and in Begin, so savepoints and prepared transactions need nothing special.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        _, xmax, _ = text.split(":")
        self._xmax = int(xmax)

    @cached_property
    def _in_progress(self) -> frozenset[int]:
        listed = self._text.split(":")[2]
        return frozenset(int(xid) for xid in listed.split(",")) if listed else frozenset()

    def sees(self, transaction: int) -> bool:
        """`transaction` is a 32-bit id; the 64-bit one meant is the nearest to `xmax`."""
        xid = (self._xmax & ~0xFFFFFFFF) | transaction
        if xid - self._xmax > 1 << 31:
            xid -= 1 << 32
        elif self._xmax - xid > 1 << 31:
            xid += 1 << 32
        return xid < self._xmax and xid not in self._in_progress

    def __str__(self) -> str:
        return self._text
