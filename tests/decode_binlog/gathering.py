"""Events fed to a gatherer of MariaDB's log, and what comes of it in a form that can be compared. What it leaves to
others the readable decoder reads here."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from decode.streams import compared
from tidegate.decode.binlog import BinlogDecoder, Body, Event
from tidegate.decode.binlog_cursor import Malformed, Refused
from tidegate.decode.binlog_event import Commit, FormatDescription, Query, Rotate, XaPrepare
from tidegate.decode.binlog_gatherer import BinlogGatherer, Stop, Table, change_of, packets, raw_map
from tidegate.decode.binlog_gtid import MariadbBegin, MysqlBegin
from tidegate.decode.binlog_rows import Rows
from tidegate.decode.binlog_table import Column, TableMap
from tidegate.decode.fault import Contradiction
from tidegate.decode.gatherer import Limits, Mode

ROOMY = Limits()


@dataclass
class Seen:
    """Everything a gatherer said, in order, until the stream ended or an error was raised."""

    said: list[Any] = field(default_factory=list)
    error: tuple[type[Exception], str] | None = None
    read_by_others: int = 0
    """Row events that the readable decoder read."""


@dataclass
class Feeding:
    """`modes` by a table's name, `Mode.LOG` for others; `completed` are columns of tables whose maps lack something."""

    gatherer: BinlogGatherer
    modes: Mapping[str, Mode | None] = field(default_factory=dict)
    completed: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)
    limits: Limits = ROOMY
    seen: Seen = field(default_factory=Seen)
    _format: FormatDescription | None = None
    _numbers: dict[str, int] = field(default_factory=dict)
    _begin: MariadbBegin | None = None
    """Of a transaction that is read here, by a decoder of its own."""
    _decoder: BinlogDecoder | None = None

    def feed(self, events: Sequence[bytes], borders: Sequence[int] = ()) -> Seen:
        """In buffers that end at `borders`."""
        stream = packets(events)
        at = 0
        try:
            for border in sorted({*(border % (len(stream) + 1) for border in borders), len(stream)}):
                at = self._feed(stream[:border], at)
        except (Malformed, Refused, Contradiction) as error:
            self.seen.error = (type(error), str(error))
        self.seen.said += [("left", len(stream) - at), *self.taken()]
        return self.seen

    def _feed(self, stream: bytes, at: int) -> int:
        while True:
            if self._begin is None:
                fed = self.gatherer.feed(memoryview(stream), at, self.limits)
                at += fed.consumed_bytes
                of_it = self.gatherer
                self.seen.said.append((at, fed, of_it.open, of_it.offset, of_it.changes, of_it.size_bytes))
                if fed.stop is Stop.END:
                    return at
                if fed.stop is Stop.FULL:
                    self.seen.said += self.taken()
                    continue
            size = int.from_bytes(stream[at : at + 3], "little")
            if len(stream) < at + 4 or len(stream) < at + 4 + size:
                return at
            payload = stream[at + 4 : at + 4 + size]
            if payload[:1] != b"\0":
                raise Malformed("a packet that is no event")
            at += self._other(payload[1:], 4 + size)

    def _other(self, raw: bytes, size: int) -> int:
        """How many bytes were dealt with: a table's map is fed again."""
        format = self._format or FormatDescription("", True, False, b"")
        decoder = self._decoder if self._begin is not None else None
        if decoder is None:
            decoder = BinlogDecoder.amid(format, self.gatherer.active()) if self._format else BinlogDecoder()
        event = decoder.decode(raw)
        body = event.body
        self.seen.said.append(("other", event.header.kind))
        if isinstance(body, TableMap) and self.gatherer.open is not None:
            self._table(body, raw_map(raw, checksums=format.checksums))
            return 0
        if isinstance(body, Rows) and self.gatherer.open is not None:
            self._rows(body)
        elif self._begin is not None or self.gatherer.open is not None or isinstance(body, MariadbBegin | MysqlBegin):
            self._decoder = decoder
            self._odd(event)
        elif isinstance(body, FormatDescription):
            self._format = body
            self.gatherer.begin(4, checksums=body.checksums)
        elif isinstance(body, Rotate):
            self.gatherer.begin(body.position, checksums=format.checksums)
        ends = isinstance(body, Rows) and body.ends_statement
        self.gatherer.passed(event.header.end, ends_statement=ends)
        return size

    def _table(self, table: TableMap, raw: bytes) -> None:
        number = self._numbers.setdefault(table.name, len(self._numbers) + 1)
        if number in self.gatherer.held():
            self.seen.said += self.taken()
        columns = self.completed.get(table.name, table.columns)
        names = tuple(column.name or f"c{at}" for at, column in enumerate(columns))
        key = tuple(dict.fromkeys(at for at, _ in table.key or ()))
        mode = self.modes.get(table.name, Mode.LOG)
        self.gatherer.table(
            number, Table(table, raw, columns, names, key, mode if key or mode is not Mode.NET else Mode.LOG)
        )

    def _rows(self, rows: Rows) -> None:
        self.seen.read_by_others += 1
        if rows.table is None:
            return
        number = self._numbers[rows.table.name]
        table = self.gatherer._tables[number]
        changes = [(change_of(table, rows.op, change)) for change in rows.changes(table.columns)]
        if table.mode is not None:
            self.gatherer.push(number, changes)

    def _odd(self, event: Event) -> None:
        """A transaction that has more than rows, or what was left of one, is passed over as somebody else's."""
        if self.gatherer.open is not None:
            self.gatherer.leave()
            self._begin = MARK
        body: Body | None = event.body
        if isinstance(body, MariadbBegin):
            self._begin = body
        elif isinstance(body, MysqlBegin):
            self._begin = STATEMENT  # unless it is said to be none
        elif isinstance(body, Query) and body.statement == "BEGIN":
            self._begin = MARK
        elif isinstance(body, Commit | XaPrepare):
            self._begin = None
        elif isinstance(body, Query):
            first = body.statement.split()[:1]
            if first in (["COMMIT"], ["ROLLBACK"], ["XA"]) or (self._begin is not None and self._begin.standalone):
                self._begin = None

    def taken(self) -> list[Any]:
        gatherer = self.gatherer
        return [(number, compared(gatherer.take(number))) for number in gatherer.held()]


STATEMENT = MariadbBegin(None, True, False, True, None, None, None)  # type: ignore[arg-type]
MARK = MariadbBegin(None, False, False, False, None, None, None)  # type: ignore[arg-type]


def garbled(events: Sequence[bytes], r: random.Random) -> list[bytes]:
    """Some bytes of one or two events are others; their lengths still say how long they are, mostly."""
    found = list(events)
    for _ in range(r.randint(1, 2)):
        which = r.randrange(len(found))
        raw = bytearray(found[which])
        for _ in range(r.randint(1, 4)):
            at = r.randrange(len(raw)) if r.random() < 0.6 else r.randrange(min(60, len(raw)))
            match r.choice(["set", "set", "bit", "cut", "put"]):
                case "set":
                    raw[at] = r.choice([0, 1, 127, 128, 250, 251, 252, 254, 255, r.randrange(256)])
                case "bit":
                    raw[at] ^= 1 << r.randrange(8)
                case "cut" if len(raw) > 30:
                    del raw[at : at + r.randint(1, 9)]
                case _:
                    raw[at:at] = r.randbytes(r.randint(1, 8))
        if r.random() < 0.8 and len(raw) >= 19:
            raw[9:13] = len(raw).to_bytes(4, "little")
        found[which] = bytes(raw)
    return found
