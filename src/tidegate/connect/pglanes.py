"""Frames of PostgreSQL's log in, parts or batches out: made change by change, or gathered table by table.

It changes from the one to the other between two transactions, so that each is read in one way. Pure but for the
question about a table's shape.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.connect.pgassembly import PART_BYTES_MAX, Assembler, Doubts, Stand
from tidegate.connect.pgbatches import Batches, Item
from tidegate.connect.source import Gathering
from tidegate.decode.fault import Malformed
from tidegate.errors import SourceLogBroken, TidegateError

PARTS_MAX = 1_000
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What is asked of the lanes, told from an equal one before it."""

    gathering: Gathering | None = None


class Entry(NamedTuple):
    """What goes to the writer at once; without items it says that from here on another request is followed."""

    request: Request
    items: list[Item]

    @property
    def gathered(self) -> bool:
        return self.request.gathering is not None


class Lanes:
    """Used by the thread that reads, but for `wanted`."""

    def __init__(self, stand: Stand, doubts: Doubts) -> None:
        self._stand = stand
        self._doubts = doubts
        self._assembler = Assembler(stand)
        self._batches = Batches(stand)
        self.wanted = self._request = Request()
        """The newest request."""
        self._made: list[Entry] = []
        self._parts: list[Item] = []
        self._parts_bytes = 0

    @property
    def gathers(self) -> bool:
        return self._request.gathering is not None

    @property
    def _inside(self) -> bool:
        return self._batches.in_transaction if self.gathers else self._assembler.in_transaction

    @property
    def _turning(self) -> bool:
        return self.wanted is not self._request

    def feed(self, frames: memoryview) -> None:
        """Read all of them. Raises `SourceLogBroken`, and `SourceUnreachable` for what may have been garbled on its
        way; what stands in front of it is made."""
        at = 0
        self._turn()
        while at < len(frames):
            try:
                at = self._gather(frames, at) if self.gathers else self._assemble(frames, at)
            finally:
                self._close_parts()
            self._turn()

    def idle(self, lsn: int) -> None:
        """The server has read its log up to here, and there was nothing for us (I2: never backwards)."""
        if self._inside:
            return
        if self.gathers and self._batches.holds:
            self._stand.reached = max(self._stand.reached, lsn)  # told of with the batch
        elif (part := self._assembler.idle(lsn)) is not None:
            self._made.append(Entry(self._request, [part]))

    def made(self, *, all: bool) -> list[Entry]:
        """What is ready; `all`: what is gathered too, if no transaction is open, or else as soon as none is."""
        self._turn()
        if all and self.gathers:
            self._batches.hurry = self._batches.in_transaction
            if not self._batches.in_transaction:
                self._cut()
        made, self._made = self._made, []
        return made

    # --- changing over ---

    def _turn(self) -> None:
        if self._turning and not self._inside:
            if self.gathers:
                self._cut()
            self._request = self.wanted
            if self._request.gathering is not None:
                self._batches.begin(self._request.gathering)
            self._made.append(Entry(self._request, []))

    def _cut(self) -> None:
        if self._batches.holds:
            self._made.append(Entry(self._request, [self._batches.cut()]))

    # --- gathering ---

    def _gather(self, frames: memoryview, at: int) -> int:
        """One step of it; returns where it ends."""
        self._batches.hurry = self._batches.hurry or self._turning
        try:
            at, finished = self._batches.step(frames, at)
        except (Malformed, SourceLogBroken) as error:
            raise self._judged(error, frames, at) from error
        self._made += [Entry(self._request, [item]) for item in finished]
        return at

    # --- making parts ---

    def _assemble(self, frames: memoryview, at: int) -> int:
        """Until the end, or (if it is turning) the next commit; returns where that is."""
        while at + _LENGTH.size <= len(frames):
            (length,) = _LENGTH.unpack_from(frames, at)
            try:
                part = self._assembler.feed(bytes(frames[at + _LENGTH.size : at + _LENGTH.size + length]))
            except SourceLogBroken as error:
                raise self._judged(error, frames, at) from error
            at += _LENGTH.size + length
            if part is not None:
                self._parts.append(part)
                self._parts_bytes += part.bytes
                if len(self._parts) >= PARTS_MAX or self._parts_bytes >= PART_BYTES_MAX:
                    self._close_parts()
            if self._turning and not self._inside:
                break
        return at

    def _close_parts(self) -> None:
        if self._parts:
            self._made.append(Entry(self._request, self._parts))
            self._parts, self._parts_bytes = [], 0

    def _judged(self, error: Malformed | SourceLogBroken, frames: memoryview, at: int) -> TidegateError:
        """What the server has comes again as it was; what was garbled on its way does not."""
        (length,) = _LENGTH.unpack_from(frames, at)
        message = bytes(frames[at + _LENGTH.size : at + _LENGTH.size + length])
        return self._doubts.judged(error, message, self._stand.reached)
