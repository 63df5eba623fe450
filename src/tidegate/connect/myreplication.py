"""Following a binary log: a thread that reads it as a replica and makes parts or batches of it.

The server keeps its log by time and size of its own choosing and is told nothing (I1 holds by the position that the
target has). While nobody takes what was read the thread does not read on, so memory stays bounded; the server waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from tidegate.connect import mytypes
from tidegate.connect.lanes import BATCHES_WAIT_MAX, PARTS_WAIT_MAX, Entry, LanedReader
from tidegate.connect.mariadb import MariadbConfig, place
from tidegate.connect.myassembly import Assembler
from tidegate.connect.mychunk import MyInstant
from tidegate.connect.myfollowed import Followed
from tidegate.connect.mylanes import Lanes
from tidegate.connect.mypackets import Packets
from tidegate.connect.myposition import MyPosition
from tidegate.connect.myshapes import Shapes
from tidegate.connect.mystream import LISTEN_S, MyStream
from tidegate.connect.tide import Tide
from tidegate.errors import SourceUnreachable, TidegateError
from tidegate.model.position import Position
from tidegate.model.schema import TableName, TableSchema

# How long to listen while something is gathered that the writer may ask for.
BUSY_S = 0.004


class MyLog(LanedReader):
    """One reader of one run."""

    def __init__(
        self,
        config: MariadbConfig,
        start: MyPosition,
        followed: Followed,
        known: Mapping[TableName, TableSchema],
        *,
        server_id: int,
        name: str,
        server: str | None,
        unnamed: bool,
        family: str,
    ) -> None:
        """`known` are the shapes the run knows its tables in; `unnamed`: the log may not name columns; `family`: whose
        types it has. Of the others see `MyStream`."""
        self._config = config
        self._catalogue: MyInstant | None = None
        self._place = place(config)
        self._read_at_us = 0
        """When the first was read of what has not been handed over."""
        self._tide = Tide(0.0)
        shapes = Shapes(known, self._described, followed.added, followed.joined, family)
        shapes.unnamed = unnamed
        assembler = Assembler(start, followed, shapes)
        self._stream = MyStream(config, start.read_from, server_id, name, server=server)
        packets = Packets(self._stream.told)
        self._lanes = Lanes(assembler, followed, shapes, packets, checksums=self._stream.checksums)
        super().__init__(self._lanes)
        self._thread = threading.Thread(target=self._read, name="log-reader", daemon=True)
        self._thread.start()

    # --- called by the writer ---

    def acknowledge(self, position: Position) -> None:
        MyPosition.of(position)  # the server keeps its log as it likes

    def close(self) -> None:
        self._closed.set()
        self._stream.close()
        self._thread.join(timeout=10)

    # --- the thread ---

    def _read(self) -> None:
        try:
            while not self._closed.is_set():
                self._swallow(self._stream.take(BUSY_S if self._lanes.holds else LISTEN_S))
        except TidegateError as error:
            self._failure = self._placed_at(error, self._place)
        except BaseException as error:  # noqa: BLE001  whatever ends the thread is handed to the writer
            failure = SourceUnreachable(f"{self._place}: reading the log ended: {type(error).__name__}")
            failure.__cause__ = error
            self._failure = failure
        finally:
            self._stream.close()
            self._lanes.close()
            if self._catalogue is not None:
                self._catalogue.close()

    def _described(self, name: TableName) -> list[mytypes.Described]:
        """The table as the catalogue has it now, asked over a connection of this thread's own."""
        if self._catalogue is None or not self._catalogue.alive:
            self._catalogue = MyInstant(self._config)
            self._catalogue.open()
        return mytypes.described(self._catalogue.query, name, self._catalogue.flavour)

    def _swallow(self, got: bytes) -> None:
        """Make something of it and hand that over, also what stands in front of an event that makes no sense."""
        self._tide.came(len(got))
        if got:
            self._read_at_us = self._read_at_us or int(time.time() * 1e6)
        failure: TidegateError | None = None
        try:
            for _ in self._lanes.feed(got):  # what was prepared may be much, and comes with one event
                self._hand_over_made(all=False)
                if self._closed.is_set():
                    return
        except TidegateError as error:
            failure = error
        all = failure is not None or (self._entries.asked and self._tide.let_go())
        if self._hand_over_made(all=all):
            self._read_at_us = 0
        if failure is not None:
            raise failure

    def _hand_over_made(self, *, all: bool) -> bool:
        """Whether there was anything."""
        made = self._lanes.made(all=all)
        for entry in made:
            for item in entry.items:
                item.read_at_us = self._read_at_us
            self._hand_over(entry)
        return any(entry.items for entry in made)

    def _hand_over(self, entry: Entry) -> None:
        room = BATCHES_WAIT_MAX if entry.gathered else PARTS_WAIT_MAX
        began = time.monotonic()
        while not self._closed.is_set() and not self._entries.put(entry, room=room, timeout_s=0.2):
            pass
        self._stream.heard()
        self._tide.waited(time.monotonic() - began)
