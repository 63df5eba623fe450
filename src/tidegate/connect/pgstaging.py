"""Frames as a walsender sends them in, frames of committed transactions out: what it tells of a transaction before the
commit is kept, in memory while it is little and in a temporary file beyond, and comes as if it had been sent then.

Whoever reads the frames behind it need not know of any of this: the same changes come in the same order, so a place
inside a transaction means the same however it was sent.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from tidegate.connect.pgassembly import Doubts, Stand
from tidegate.connect.spool import BlockSpool, Memory
from tidegate.decode import stream
from tidegate.decode.blocks import NUMBERS
from tidegate.decode.choice import open_blocks
from tidegate.decode.fault import Contradiction, Fault, Malformed
from tidegate.errors import SourceLogBroken, SourceUnreachable

# What all transactions together hold in memory.
STAGED_BYTES_MAX = 8 << 20
# About how much of a staged transaction comes at once.
PIECE_BYTES = 1 << 20

_LENGTH = struct.Struct(">I")


@dataclass(slots=True)
class _Staged:
    """A transaction that is sent before it is committed."""

    spool: BlockSpool
    """Its blocks' frames."""
    aborted: array[int] = field(default_factory=lambda: array(NUMBERS))
    """Its subtransactions that were rolled back. None of them comes again."""


class Staging:
    """Used by the thread that reads."""

    def __init__(self, stand: Stand, doubts: Doubts) -> None:
        """Raises as `open_blocks`."""
        self._stand = stand
        self._doubts = doubts
        self._blocks = open_blocks()
        self._memory = Memory(STAGED_BYTES_MAX)
        self._staged: dict[int, _Staged] = {}
        self._open: _Staged | None = None
        """The transaction whose block feeding stands in."""

    def feed(self, frames: memoryview) -> Iterator[memoryview]:
        """The pieces in order, each valid until the next is asked for; ask for all of them. Frames outside of blocks
        are pieces of what was given. Raises `WorkerDiskFull`, and as `Lanes.feed`."""
        at = 0
        while at < len(frames):
            try:
                walked = self._blocks.walk(frames, at, inside=self._open is not None)
            except Malformed as error:
                raise self._doubts.judged(error, _message(frames, at), self._stand.reached) from error
            passed, at = frames[at : at + walked.consumed_bytes], at + walked.consumed_bytes
            if self._open is not None:
                if passed:
                    self._open.spool.add(bytes(passed))
                elif not walked.mark:
                    raise SourceLogBroken("half a message")
            elif passed:
                yield passed
            if walked.mark:
                message = _message(frames, at)
                at += _LENGTH.size + len(message)
                yield from self._marked(message)

    def close(self) -> None:
        """Let go of what is staged: the source sends it again, whole, to who reads from where it stood. Idempotent."""
        for staged in self._staged.values():
            staged.spool.close()
        self._staged = {}

    def _marked(self, message: bytes) -> Iterator[memoryview]:
        try:
            mark = stream.decode(message)
            if isinstance(mark, stream.StreamStart):
                self._enter(mark, message)
            elif isinstance(mark, stream.StreamStop):
                self._leave(message)
            elif self._open is not None or (isinstance(mark, stream.StreamCommit) and mark.xid not in self._staged):
                raise Contradiction(message, Fault.PLACE)
        except Malformed as error:
            raise self._doubts.judged(error, message, self._stand.reached) from error
        if isinstance(mark, stream.StreamAbort):
            self._abort(mark)
        elif isinstance(mark, stream.StreamCommit):
            staged = self._staged.pop(mark.xid)
            try:
                yield from self._told(staged, mark)
            finally:
                staged.spool.close()

    def _enter(self, start: stream.StreamStart, message: bytes) -> None:
        # I3: a block that is missing, or comes twice, would be rows that are.
        if self._open is not None or start.first is (start.xid in self._staged):
            raise Contradiction(message, Fault.PLACE)
        if start.first:
            self._staged[start.xid] = _Staged(BlockSpool("a transaction", self._memory))
        self._open = self._staged[start.xid]

    def _leave(self, message: bytes) -> None:
        if self._open is None:
            raise Contradiction(message, Fault.PLACE)
        self._open = None

    def _abort(self, abort: stream.StreamAbort) -> None:
        """PostgreSQL 18 also tells of subtransactions of one that it sent nothing of, having seen in time that it was
        rolled back (`ReorderBufferCheckAndTruncateAbortedTXN`)."""
        staged = self._staged.get(abort.xid)
        if staged is not None and abort.subxid == abort.xid:
            del self._staged[abort.xid]
            staged.spool.close()
        elif staged is not None:
            staged.aborted.append(abort.subxid)

    def _told(self, staged: _Staged, commit: stream.StreamCommit) -> Iterator[memoryview]:
        """The transaction as if it were sent now."""
        staged.spool.seal()
        begin, end = stream.ends(commit)
        yield _framed(begin)
        aborted = array(NUMBERS, sorted(staged.aborted))
        held = bytearray()
        for block in staged.spool:
            held += block
            if len(held) >= max(PIECE_BYTES, _first_bytes(held)):
                piece, held = self._plain(held, aborted)
                yield piece
        if held:
            piece, held = self._plain(held, aborted)
            yield piece
        if held:
            raise SourceUnreachable("half a message came back from the worker's disk")
        yield _framed(end)

    def _plain(self, held: bytearray, aborted: array[int]) -> tuple[memoryview, bytearray]:
        """The whole frames as those of a committed transaction, and what is left behind them.

        Descriptions of tables that a rolled back subtransaction sent go with it, as its ALTER TABLE has never been: the
        server sends those anew that a later change needs (`cleanup_rel_sync_cache` in its `pgoutput.c`)."""
        try:
            done = self._blocks.strip(held, aborted)
        except Malformed as error:
            raise SourceUnreachable(f"what came back from the worker's disk is garbled: {error}") from error
        return memoryview(held)[: done.written_bytes], held[done.consumed_bytes :]


def _message(frames: memoryview, at: int) -> bytes:
    (length,) = _LENGTH.unpack_from(frames, at)
    return bytes(frames[at + _LENGTH.size : at + _LENGTH.size + length])


def _framed(message: bytes) -> memoryview:
    return memoryview(_LENGTH.pack(len(message)) + message)


def _first_bytes(held: bytearray) -> int:
    """How long the first frame is."""
    return _LENGTH.size + int.from_bytes(held[: _LENGTH.size], "big")
