"""MySQL's log, built from the published formats: what `test_mylanes` makes of MariaDB's, as MySQL would write it."""

from __future__ import annotations

import struct
import sys
import uuid
from dataclasses import dataclass, field
from random import Random

from decode_binlog import wire
from tidegate.decode.gtid import MysqlGtid, MysqlGtidSet
from unit.test_mylanes import XID, History, Log, in_public

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SERVER = uuid.UUID("3e11fa47-71ca-11e1-9e33-c80aa9429562")
OTHER_SERVER = uuid.UUID("2174b383-5441-11e8-b90a-c80aa9429562")
VERSION = "8.4.0"
BEGIN = in_public(b"BEGIN")


def name(sequence: int, server: uuid.UUID = SERVER) -> MysqlGtid:
    return MysqlGtid((str(server), ""), sequence)


def previous(held: MysqlGtidSet) -> bytes:
    body = struct.pack("<Q", len(held.sources))
    for (server, _), intervals in held.sources:
        body += uuid.UUID(server).bytes + struct.pack("<Q", len(intervals))
        body += b"".join(struct.pack("<QQ", first, last + 1) for first, last in intervals)
    return wire.event(35, body)


def compressed(events: list[bytes]) -> bytes:
    """A transaction behind its name, as one event. What is in it has no places of its own."""
    inner = b"".join(event[:9] + struct.pack("<II", len(event), 0) + event[17:] for event in events)
    held = zstd.compress(inner)
    fields = b"\x02" + wire.sized(wire.packed(0)) + b"\x03" + wire.sized(wire.packed(len(inner)))
    return wire.event(40, fields + b"\x01" + wire.sized(wire.packed(len(held))) + b"\0" + held)


def xa(word: str, xid: bytes) -> bytes:
    return in_public(f"XA {word} X'{xid.hex()}',X'',1".encode())


def xa_prepare(xid: bytes, *, one_phase: bool) -> bytes:
    return wire.event(38, struct.pack("<BIII", one_phase, 1, len(xid), 0) + xid)


@dataclass
class MysqlLog(Log):
    named: bool = True
    """Whether transactions have names (gtid_mode = ON)."""
    held: MysqlGtidSet = field(default_factory=MysqlGtidSet)

    def rotate(self) -> None:
        if self.files:
            self._add(wire.event(4, struct.pack("<Q", 4) + f"log.{len(self.files) + 1:06}".encode()))
        self.files.append([])
        self._end = 4
        self._add(wire.format_description(VERSION, checksum=self.checksums))
        self._add(previous(self.held))

    def begin(self, gtid: MysqlGtid) -> bytes:
        if not self.named:
            return wire.gtid(uuid.UUID(int=0), 0, kind=34)
        self.held = self.held.after(gtid)
        return wire.gtid(uuid.UUID(gtid.source[0]), gtid.sequence)


@dataclass
class MysqlHistory(History):
    """The same history in MySQL's words: some transactions compressed, some XA in one phase, some of another server."""

    sequences: dict[uuid.UUID, int] = field(default_factory=dict)

    def _transaction(self, kind: str) -> list[bytes]:
        assert isinstance(self.log, MysqlLog)
        first, *others = super()._transaction(kind)
        flags = first[19 + 8 + 4]
        server = self.r.choice([SERVER, SERVER, OTHER_SERVER])
        self.sequences[server] = sequence = self.sequences.get(server, 0) + 1
        begin = self.log.begin(name(sequence, server))
        if flags & (1 | 128):  # a statement by itself, or what decides an XA transaction
            return [begin, *others]
        if flags & 64:
            *changes, prepare = others
            return [begin, xa("START", _named(first)), *changes, xa("END", _named(first)), prepare]
        plain = not any(b"SAVEPOINT" in event for event in others)
        if plain and others[-1] == XID and not self.r.randrange(6):
            xid = b"one%d" % sequence
            return [begin, xa("START", xid), *others[:-1], xa("END", xid), xa_prepare(xid, one_phase=True)]
        if not self.r.randrange(4):
            return [begin, compressed([BEGIN, *others])]
        return [begin, BEGIN, *others]


def _named(begin: bytes) -> bytes:
    """The XA transaction's name in MariaDB's beginning of one."""
    name = begin[19 + 13 :]
    return name[6 : 6 + name[4]]


def history(r: Random, *, checksums: bool, named: bool) -> MysqlHistory:
    return MysqlHistory(r, MysqlLog(checksums=checksums, named=named)).grow(r.randint(1, 14))  # type: ignore[return-value]
