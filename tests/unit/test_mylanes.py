"""Parts and batches of MariaDB's log: however it is read, and however often it is begun again, the same arrives."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decode_binlog import wire
from decode_binlog.streams import gtid
from tidegate.connect import mybatches
from tidegate.connect.lanes import Request
from tidegate.connect.myassembly import Assembler
from tidegate.connect.myfollowed import Followed
from tidegate.connect.mylanes import Lanes
from tidegate.connect.mypackets import Packets
from tidegate.connect.myposition import MyPosition, Place
from tidegate.connect.myshapes import Shapes
from tidegate.connect.source import Gathering, LogBatch
from tidegate.decode.binlog import BinlogDecoder
from tidegate.decode.binlog_gatherer import packets
from tidegate.decode.binlog_table import TableMap
from tidegate.decode.gatherer import Mode
from tidegate.errors import SourceLogBroken, SourceLogFormat, SourceUnreachable, TidegateError
from tidegate.model.change import LogPart, Op
from tidegate.model.schema import TableName, TableSchema
from unit.arriving import KEYED, LOGGED, MODES, Arrived, decoding

OTHER = TableName("public", "other")
START = MyPosition.parse("log.000001:4")
COMPRESSED = {23: 166, 24: 167, 25: 168}


def table_map(name: TableName, names: list[str], *, key: bool) -> bytes:
    optional = [(2, wire.packed(45)), (4, b"".join(wire.sized(one.encode()) for one in names))]
    ids = {KEYED: 21, LOGGED: 22, OTHER: 23}
    event = wire.table_map(
        [15] * len(names), b"\xd0\x07" * len(names), [*optional, *([(8, b"\0")] if key else [])], table_id=ids[name]
    )
    whole = wire.sized(name.schema.encode()) + b"\0" + wire.sized(name.name.encode()) + b"\0"
    event = event.replace(b"\x01s\0\x01t\0", whole, 1)
    return event[:9] + struct.pack("<I", len(event)) + event[13:]


MAPS = {
    KEYED: table_map(KEYED, ["k", "v"], key=True),
    LOGGED: table_map(LOGGED, ["v"], key=False),
    OTHER: table_map(OTHER, ["v"], key=False),
}
WIDER = table_map(KEYED, ["k", "v", "more"], key=True)


def image(*cells: str | None) -> bytes:
    nulls = sum(1 << at for at, cell in enumerate(cells) if cell is None)
    texts = (struct.pack("<H", len(cell.encode())) + cell.encode() for cell in cells if cell is not None)
    return bytes([nulls]) + b"".join(texts)


def rows(kind: int, name: TableName, *images: bytes, columns: int = 0, map: bytes = b"", packed: bool = False) -> bytes:
    """A map and the rows behind it."""
    ids = {KEYED: 21, LOGGED: 22, OTHER: 23}
    count = columns or {KEYED: 2}.get(name, 1)
    body = b"".join(images)
    if packed:
        body = b"\x84" + struct.pack(">I", len(body)) + zlib.compress(body)
        kind = COMPRESSED[kind]
    head = ids[name].to_bytes(6, "little") + struct.pack("<H", 1) + wire.packed(count)
    present = bytes([(1 << count) - 1]) * (2 if kind in (24, 167) else 1)
    return (map or MAPS[name]) + wire.event(kind, head + present + body)


def insert(key: str, value: str) -> bytes:
    return rows(23, KEYED, image(key, value))


def split(events: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(events):
        size = int.from_bytes(events[at + 9 : at + 13], "little")
        yield events[at : at + size]
        at += size


XID = wire.event(16, bytes(8))


def committed(sequence: int, *changes: bytes, end: bytes = XID) -> list[bytes]:
    return [gtid(sequence), *(event for change in changes for event in split(change)), end]


def statement(sequence: int, text: bytes) -> list[bytes]:
    return [gtid(sequence, 1 | 32), in_public(text)]


def in_public(text: bytes) -> bytes:
    return wire.event(2, bytes(8) + b"\x06" + bytes(2) + b"\x00\0" + b"public\0" + text)


def named(sequence: int, flag: int, xid: bytes) -> bytes:
    """The beginning of an XA transaction (64), or of what decides it (128)."""
    name = struct.pack("<IBB", 1, len(xid), 0) + xid
    return wire.event(162, struct.pack("<QIB", sequence, 3, 4 | flag) + name, server=7)


@dataclass
class Log:
    """A server's files."""

    checksums: bool = False
    files: list[list[tuple[int, bytes]]] = field(default_factory=list)
    _end: int = 4

    def __post_init__(self) -> None:
        self.rotate()

    def rotate(self) -> None:
        if self.files:
            self._add(wire.event(4, struct.pack("<Q", 4) + f"log.{len(self.files) + 1:06}".encode()))
        self.files.append([])
        self._end = 4
        self._add(wire.format_description("10.11.8-MariaDB-log", checksum=self.checksums))

    def add(self, events: list[bytes]) -> Log:
        for event in events:
            self._add(event)
        return self

    def _add(self, event: bytes) -> None:
        raw = self._placed(event, self._end + len(event) + 4 * (self.checksums and event[4] != 15))
        self.files[-1].append((self._end, raw))
        self._end += len(raw)

    def _placed(self, event: bytes, end: int) -> bytes:
        size = len(event) + 4 * (self.checksums and event[4] != 15)
        raw = event[:9] + struct.pack("<II", size, end) + event[17:]
        if event[4] == 15:
            return raw[:-4] + struct.pack("<I", zlib.crc32(raw[:-4]))
        return raw + struct.pack("<I", zlib.crc32(raw)) if self.checksums else raw

    def sent(self, since: Place) -> list[bytes]:
        """What the server sends from there."""
        found: list[bytes] = []
        for number, file in enumerate(self.files, 1):
            if number < since.number:
                continue
            first = since.offset if number == since.number else 4
            found.append(self._placed(wire.event(4, struct.pack("<Q", first) + f"log.{number:06}".encode()), 0))
            if first > 4:
                found.append(self._placed(file[0][1], 0))
            found += [raw for at, raw in file if at >= first]
        return found


@dataclass
class History:
    """A log, and what its tables hold in the end."""

    r: Random
    log: Log
    rows: dict[str, str] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)
    prepared: dict[bytes, str] = field(default_factory=dict)
    sequence: int = 0

    def grow(self, count: int) -> History:
        for _ in range(count):
            self.sequence += 1
            kind = self.r.choice(["rows"] * 8 + ["truncate", "rotate", "rolled back", "prepare", "decide", "savepoint"])
            if kind == "rotate":
                self.log.rotate()
            self.log.add(self._transaction(kind))
        while self.prepared:
            self.sequence += 1
            self.log.add(self._transaction("decide"))
        return self

    def _transaction(self, kind: str) -> list[bytes]:
        r, number = self.r, self.sequence
        if kind == "truncate":
            self.rows.clear()
            return statement(number, b"truncate keyed")
        if kind == "rolled back":
            return committed(number, insert("gone", "x"), end=in_public(b"ROLLBACK"))
        if kind == "prepare":
            xid, value = b"x%d" % number, f"xa{number}"
            self.prepared[xid] = value
            prepare = wire.event(38, struct.pack("<BIII", 0, 1, len(xid), 0) + xid)
            return [named(number, 64, xid), *split(rows(23, LOGGED, image(value))), prepare]
        if kind == "decide" and self.prepared:
            xid = r.choice(sorted(self.prepared))
            value, commits = self.prepared.pop(xid), r.random() < 0.7
            self.logged += [value] * commits
            word = b"COMMIT" if commits else b"ROLLBACK"
            return [named(number, 128, xid), in_public(b"XA " + word + b" X'" + xid.hex().encode() + b"',X'',1")]
        changes = [self._change() for _ in range(r.choice((0, 1, 2, 7)))]
        if kind == "savepoint":
            back = [in_public(b"SAVEPOINT `s`"), insert("gone", "x"), in_public(b"ROLLBACK TO `s`")]
            changes += back
        return committed(number, *changes, end=XID if r.random() < 0.7 else in_public(b"COMMIT"))

    def _change(self) -> bytes:
        r = self.r
        packed = r.random() < 0.2
        kind = r.choice(("put", "put", "put", "move", "delete", "delete", "log", "log", "other", "note"))
        key, value = str(r.randrange(6)), str(r.randrange(1000))
        if kind == "put":
            before, self.rows[key] = self.rows.get(key), value
            if before is None:
                return rows(23, KEYED, image(key, value), packed=packed)
            return rows(24, KEYED, image(key, before), image(key, value), packed=packed)
        if kind == "move" and self.rows and key not in self.rows:
            before = r.choice(sorted(self.rows))
            was = self.rows.pop(before)
            self.rows[key] = value
            return rows(24, KEYED, image(before, was), image(key, value), packed=packed)
        if kind == "delete" and key in self.rows:
            return rows(25, KEYED, image(key, self.rows.pop(key)), packed=packed)
        if kind == "log":
            self.logged += [value, value + "!"]
            return rows(23, LOGGED, image(value), image(value + "!"), packed=packed)
        return rows(23, OTHER, image(value)) if kind == "other" else wire.event(160, b"insert")


def known() -> dict[TableName, TableSchema]:
    decoder = BinlogDecoder()
    decoder.decode(wire.format_description("10.11.8-MariaDB-log"))
    shapes = Shapes({}, lambda _: [], Followed().added)
    found = {}
    for name in MODES:
        table = decoder.decode(MAPS[name]).body
        assert isinstance(table, TableMap)
        found[name] = shapes.shape(table).schema
    return found


def reading(start: MyPosition = START, *, checksums: bool = False) -> Lanes:
    followed = Followed()
    followed.replace(KEYED, LOGGED)
    shapes = Shapes(known(), lambda _: [], followed.added)
    told = Packets(lambda packet: SourceUnreachable("it said something else"))
    return Lanes(Assembler(start, followed, shapes), followed, shapes, told, checksums=checksums)


def feed(lanes: Lanes, got: bytes) -> None:
    for _ in lanes.feed(got):
        pass


def gathering(*events: bytes, most: int = 1000, start: MyPosition = START) -> Lanes:
    """Fed, and asked to gather before anything came."""
    lanes = reading(start)
    lanes.wanted = Request(Gathering(MODES, most))
    feed(lanes, packets(Log().add(list(events)).sent(start.read_from)))
    return lanes


def items(lanes: Lanes, *, all: bool = True) -> list[Any]:
    return [item for entry in lanes.made(all=all) for item in entry.items]


@pytest.mark.parametrize("decoder", ["native", "python"])
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_same_arrives_whichever_way_it_is_read(decoder: str, seed: int, request: pytest.FixtureRequest) -> None:
    decoding(decoder, request)
    r = Random(seed)
    history = History(r, Log(checksums=r.random() < 0.5)).grow(r.randint(1, 14))
    arrived = Arrived(START)
    for _ in range(6):
        read(history, arrived, r, everything=False)
    read(history, arrived, r, everything=True)
    assert arrived.rows == history.rows
    assert [value for _, value in arrived.logged] == history.logged
    places = [place for place, _ in arrived.logged]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("decoder", ["native", "python"])
def test_a_transaction_that_mysql_names_has_no_place_in_mariadbs_log(
    decoder: str, request: pytest.FixtureRequest
) -> None:
    decoding(decoder, request)
    with pytest.raises(SourceLogBroken, match="as MySQL names them"):
        gathering(wire.gtid(uuid.UUID(int=1), 1), *split(insert("1", "a")), XID)


def read(history: History, arrived: Arrived, r: Random, *, everything: bool) -> None:
    """Begin where the target stands, and go on for a while: in gulps, now this way and now that."""
    start = MyPosition.of(arrived.position)
    lanes = reading(start, checksums=history.log.checksums)
    try:
        for item in coming(lanes, packets(history.log.sent(start.read_from)), r):
            arrived.take(item)
            if not everything and not r.randrange(12):
                return
    finally:
        lanes.close()


def coming(lanes: Lanes, stream: bytes, r: Random) -> Iterator[LogPart | LogBatch]:
    wanted = Gathering(MODES, r.choice((1, 3, 100)))
    while stream:
        size = r.choice([1, 50, 300, 3000])
        gulp, stream = stream[:size], stream[size:]
        if not r.randrange(3):
            lanes.wanted = Request(wanted if r.randrange(3) else None)
        feed(lanes, gulp)
        for entry in lanes.made(all=bool(r.randrange(2)) or not stream):
            for item in entry.items:
                assert entry.gathered or isinstance(item, LogPart)
                yield item


def test_a_batch_that_is_full_comes_by_itself_and_others_when_they_are_wanted() -> None:
    lanes = gathering(
        *committed(1, insert("a", ""), insert("b", "")), *committed(2, insert("c", ""), insert("d", "")), most=4
    )
    (batch,) = items(lanes, all=False)
    assert (batch.changes, batch.ended, batch.ends) == (4, 2, True)
    assert str(batch.position.gtids) == "3-7-2"
    assert items(lanes) == []


def test_a_transaction_larger_than_batches_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mybatches, "BATCH_BYTES_MAX", 300)
    events = committed(1, *(insert(str(n), "x" * 60) for n in range(10)))
    first, *others = items(gathering(*events, most=2))
    pieces = [first, *others]
    assert sum(piece.changes for piece in pieces) == 10
    assert [piece.ends for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert first.position.changes == first.changes == 4
    assert first.position.inside > first.position.place.offset, "which rows those are does not go by who is followed"
    again = items(gathering(*events, start=first.position))
    assert sum(len(item.changes) if isinstance(item, LogPart) else item.changes for item in again) == 6


def test_a_transaction_with_more_than_rows_comes_as_a_part_between_two_batches() -> None:
    truncated = statement(2, b"truncate table keyed")
    lanes = gathering(*committed(1, insert("a", "")), *truncated, *committed(3, insert("b", "")))
    before, truncate, after = items(lanes)
    assert (before.changes, before.ends) == (1, True)
    assert isinstance(truncate, LogPart)
    assert [change.op for change in truncate.changes] == [Op.TRUNCATE]
    assert isinstance(after, LogBatch)
    assert before.position < truncate.position < after.position


def test_what_was_gathered_of_a_large_transaction_stays_when_a_statement_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mybatches, "BATCH_BYTES_MAX", 100)
    back = [in_public(b"SAVEPOINT `s`"), insert("c", "x"), in_public(b"ROLLBACK TO `s`")]
    stream = packets(Log().add(committed(1, *(insert(n, "x" * 90) for n in "ab"), *back)).sent(START.place))
    border = stream.index(b"SAVEPOINT") - 50
    lanes = reading()
    lanes.wanted = Request(Gathering(MODES, 1000))
    feed(lanes, stream[:border])
    feed(lanes, stream[border:])
    *pieces, last = items(lanes)
    assert sum(piece.changes for piece in pieces) == 2
    assert not any(piece.ends for piece in pieces)
    assert (last.changes, last.first_index, last.ends) == ([], 2, True)


def test_a_shape_is_told_with_the_first_batch_that_has_it() -> None:
    wider = rows(23, KEYED, image("b", "", "m"), columns=3, map=WIDER)
    lanes = gathering(*committed(1, insert("a", "")), *committed(2, wider))
    narrow, wide = items(lanes)
    assert [[table.name for table in batch.met] for batch in (narrow, wide)] == [[KEYED], [KEYED]]
    assert [len(batch.tables[0][0].columns) for batch in (narrow, wide)] == [2, 3]
    assert narrow.tables[0][0] is narrow.met[0]


def test_a_table_that_nobody_follows_moves_the_position_and_nothing_else() -> None:
    lanes = gathering(*committed(1, rows(23, OTHER, image("a"))))
    (part,) = items(lanes)
    assert (part.transaction, str(part.position.gtids)) == (None, "3-7-1")


def test_a_request_is_followed_between_two_transactions_and_said_so() -> None:
    stream = packets(Log().add([*committed(1, insert("a", "")), *committed(2, insert("b", ""))]).sent(START.place))
    border = stream.index(gtid(2)[21:30]) + 30
    lanes = reading()
    feed(lanes, stream[: border - 200])
    lanes.wanted = Request(Gathering(MODES, 1))
    feed(lanes, stream[border - 200 :])
    entries = [entry for entry in lanes.made(all=True) if entry.items == [] or entry.gathered]
    assert entries[0].items == []
    assert entries[0].request is lanes.wanted


@pytest.mark.parametrize("request_", [Request(), Request(Gathering(MODES, 1))], ids=["parts", "batches"])
def test_what_makes_no_sense_is_said_and_what_stands_in_front_of_it_comes(request_: Request) -> None:
    broken: list[tuple[bytes, type[TidegateError]]] = [
        (insert("b", "x")[:-1] + b"\xff", SourceLogFormat),
        (rows(23, KEYED, image("b", "x")[:-1]), SourceLogBroken),
        (wire.event(99, b""), SourceLogBroken),
    ]
    for change, error in broken:
        lanes = reading()
        lanes.wanted = request_
        events = [*committed(1, insert("a", "")), *committed(2, change)]
        with pytest.raises(error):
            feed(lanes, packets(Log().add(events).sent(START.place)))
        assert sum(len(i.changes) if isinstance(i, LogPart) else i.changes for i in items(lanes)) == 1


def test_rows_that_are_not_whole_are_refused() -> None:
    change = insert("a", "x")
    at = change.rindex(b"\x02\x03")
    with pytest.raises(SourceLogFormat, match="not whole"):
        gathering(*committed(1, change[:at] + b"\x02\x01" + change[at + 2 :]))


def test_the_modes_say_what_a_batch_has() -> None:
    lanes = gathering(*committed(1, insert("a", ""), rows(23, LOGGED, image("v"))))
    (batch,) = items(lanes)
    assert {table.name for table, _ in batch.tables} == {name for name, mode in MODES.items() if mode is not Mode.SKIP}
