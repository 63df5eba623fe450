"""Frames of PostgreSQL's log in, parts or batches out: made change by change, or gathered table by table.

It changes from the one to the other between two transactions, so that each is read in one way. Pure but for the
question about a table's shape.
"""

from __future__ import annotations

import struct

from tidegate.connect.lanes import Entry, Turning
from tidegate.connect.pgassembly import Assembler, Doubts, Stand
from tidegate.connect.pgbatches import Batches
from tidegate.decode.fault import Malformed
from tidegate.errors import SourceLogBroken, TidegateError

_LENGTH = struct.Struct(">I")


class Lanes(Turning):
    """Frames in, entries out."""

    def __init__(self, stand: Stand, doubts: Doubts) -> None:
        self._stand = stand
        self._doubts = doubts
        self._assembler = Assembler(stand)
        self._batches = Batches(stand)
        super().__init__(self._batches)

    @property
    def _inside(self) -> bool:
        return self._batches.in_transaction if self.gathers else self._assembler.in_transaction

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
                self._finish(part)
            if self._turning and not self._inside:
                break
        return at

    def _judged(self, error: Malformed | SourceLogBroken, frames: memoryview, at: int) -> TidegateError:
        """What the server has comes again as it was; what was garbled on its way does not."""
        (length,) = _LENGTH.unpack_from(frames, at)
        message = bytes(frames[at + _LENGTH.size : at + _LENGTH.size + length])
        return self._doubts.judged(error, message, self._stand.reached)
