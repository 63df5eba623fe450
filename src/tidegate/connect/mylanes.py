"""Packets of a binary log in, parts or batches out. Pure but for what the catalogue is asked about a table's shape.

While batches are gathered, a transaction with more in it than rows (a statement, XA) is made into parts all the same.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeAlias

from tidegate.connect.lanes import Entry, Turning
from tidegate.connect.myassembly import Assembler
from tidegate.connect.mybatches import Batches
from tidegate.connect.myfollowed import Followed
from tidegate.connect.mypackets import Packets
from tidegate.connect.myshapes import Shapes
from tidegate.decode.binlog import BinlogDecoder, Event
from tidegate.decode.binlog_cursor import Malformed, Refused
from tidegate.decode.binlog_event import FormatDescription
from tidegate.decode.binlog_gtid import MariadbBegin, MysqlBegin
from tidegate.decode.binlog_rows import Rows
from tidegate.decode.binlog_table import TableMap
from tidegate.errors import SourceLogBroken, SourceLogFormat

Step: TypeAlias = Generator[None, None, tuple[int, bool]]


class Lanes(Turning):
    """Bytes in, entries out."""

    def __init__(
        self, assembler: Assembler, followed: Followed, shapes: Shapes, packets: Packets, *, checksums: bool
    ) -> None:
        """`checksums`: whether events have them in front of the first format description."""
        self._assembler, self._packets = assembler, packets
        self._batches = Batches(assembler, followed, shapes)
        self._decoder = BinlogDecoder(checksums)
        self._format: FormatDescription | None = None
        super().__init__(self._batches)

    @property
    def _inside(self) -> bool:
        if self.gathers and self._batches.in_transaction:
            return True
        return self._format is None or not self._assembler.settled

    @property
    def holds(self) -> bool:
        """Whether something is gathered."""
        return self.gathers and self._batches.holds

    def close(self) -> None:
        self._assembler.close()

    def feed(self, got: bytes) -> Iterator[None]:
        """Read all that is whole, and stop where what is made had better be taken before there is more of it. Raises
        `SourceLogBroken`, `SourceLogFormat` and what the server says in place of an event; what stands in front of it
        is made."""
        held = self._packets.held
        held += got
        at, on = 0, True
        self._turn()
        try:
            while on:
                gathers = self.gathers and not self._assembler.in_transaction
                behind, on = yield from self._gather(at) if gathers else self._assemble(at)
                on = on or behind > at
                at = behind
                self._turn()
        except Malformed as error:
            raise SourceLogBroken(f"behind {self._assembler.at}: {error}") from error
        except Refused as error:
            raise SourceLogFormat(f"behind {self._assembler.at}: {error}") from error
        finally:
            self._close_parts()
            self._packets.forget(at)
        self._tell()

    def _tell(self) -> None:
        """How far the log was read, where nothing else says it."""
        if self._batches.in_transaction or self.holds:
            return
        part = self._assembler.progress()
        if part is not None:
            self._made.append(Entry(self._request, [part]))

    # --- gathering ---

    def _gather(self, at: int) -> Step:
        """One step of it; returns where it ends, and whether there may be more to do there."""
        self._batches.hurry = self._batches.hurry or self._turning
        at, finished, other = self._batches.step(self._packets.held, at)
        self._made += [Entry(self._request, [item]) for item in finished]
        if not other:
            return at, bool(finished)
        found = self._packets.event(at)
        if found is None:
            return at, False
        behind, raw = found
        return (behind if (yield from self._other(raw)) else at), True

    def _other(self, raw: bytes) -> Generator[None, None, bool]:
        """An event that the gatherer leaves to others. False: it is to be fed again."""
        self._decoder = self._reading_on()
        event = self._decoder.decode(raw)
        body, batches = event.body, self._batches
        if batches.in_transaction and isinstance(body, TableMap):
            self._made += [Entry(self._request, [item]) for item in batches.shape(raw, body)]
            return False
        if batches.in_transaction and isinstance(body, Rows):
            self._made += [Entry(self._request, [item]) for item in batches.read(body, event.header.end)]
            return True
        if batches.in_transaction:
            self._made += [Entry(self._request, [item]) for item in batches.leave()]
        elif isinstance(body, (MariadbBegin, MysqlBegin)):
            self._cut()
        yield from self._take(event)
        self._went_on()
        return True

    def _reading_on(self) -> BinlogDecoder:
        if self._format is None:
            return self._decoder
        return BinlogDecoder.amid(self._format, self._batches.gatherer.active())

    def _went_on(self) -> None:
        """The gatherer reads on where the assembler stands, once that is between two transactions."""
        if self._assembler.in_transaction:
            return
        self._close_parts()
        self._batches.goes_on()

    # --- making parts ---

    def _assemble(self, at: int) -> Step:
        """One event; returns where it ends, and whether there was one."""
        found = self._packets.event(at)
        if found is None:
            return at, False
        behind, raw = found
        event = self._decoder.decode(raw)
        yield from self._take(event)
        if self.gathers:
            self._went_on()
        return behind, True

    def _take(self, event: Event) -> Iterator[None]:
        if isinstance(event.body, FormatDescription):
            self._format = event.body
            self._batches.checksums = event.body.checksums
        for part in self._assembler.feed(event):
            self._finish(part)
            if self._made:
                yield
