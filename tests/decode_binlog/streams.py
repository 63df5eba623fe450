"""Transactions of rows made by rule: tables with columns of every type that is read in bulk, and of some that are not,
and values that are mostly ones a server writes."""

from __future__ import annotations

import random
import struct
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from decode_binlog import wire

Draw = Callable[[random.Random], bytes]


@dataclass(frozen=True)
class Kind:
    code: int
    metadata: bytes
    draw: Draw
    unsigned: bool | None = None
    collation: int | None = None
    labels: tuple[bytes, ...] = ()


def number(size: int) -> Draw:
    edges = [
        bytes(size),
        b"\xff" * size,
        b"\xff" * (size - 1) + b"\x7f",
        bytes(size - 1) + b"\x80",
        b"\x01" + bytes(size - 1),
    ]
    return lambda r: r.choice(edges) if r.random() < 0.4 else r.randbytes(size)


def sized(length_size: int, texts: list[bytes], odd: float = 0.002) -> Draw:
    def draw(r: random.Random) -> bytes:
        raw = r.randbytes(r.randrange(12)) if r.random() < odd else r.choice(texts)
        return len(raw).to_bytes(length_size, "little") + raw

    return draw


def decimal(precision: int, scale: int) -> Draw:
    groups = [(precision - scale) % 9, *[9] * ((precision - scale) // 9), *[9] * (scale // 9), scale % 9]

    def draw(r: random.Random) -> bytes:
        raw = b""
        for count in groups:
            size = (count + 1) // 2 if count < 9 else 4
            top = 10**count if r.random() < 0.998 else 256**size
            value = r.choice([0, min(1, top - 1), top - 1, r.randrange(top)])
            raw += value.to_bytes(size, "big")
        raw = bytes([raw[0] ^ 0x80]) + raw[1:]
        return raw if r.random() < 0.5 else bytes(byte ^ 0xFF for byte in raw)

    return draw


def fraction(r: random.Random, decimals: int) -> bytes:
    size = (decimals + 1) // 2
    top = 100**size if r.random() < 0.998 else 256**size
    return r.choice([0, r.randrange(top), r.randrange(top) // 10 * 10]).to_bytes(size, "big")


def odd(r: random.Random, top: int, beyond: int) -> int:
    return r.randrange(top) if r.random() < 0.998 else r.randrange(beyond)


def date_time(decimals: int) -> Draw:
    def draw(r: random.Random) -> bytes:
        months = odd(r, 10_000, 10_080) * 13 + odd(r, 13, 13)
        packed = (months << 5 | odd(r, 32, 32)) << 17
        packed |= odd(r, 24, 32) << 12 | odd(r, 60, 64) << 6 | odd(r, 60, 64)
        sign = 0x8000000000 if r.random() < 0.998 else 0
        return (packed % 0x8000000000 + sign).to_bytes(5, "big") + fraction(r, decimals)

    return draw


def time(decimals: int) -> Draw:
    size = (decimals + 1) // 2

    def draw(r: random.Random) -> bytes:
        packed = odd(r, 839, 1024) << 12 | odd(r, 60, 64) << 6 | odd(r, 60, 64)
        whole = packed << 8 * size | int.from_bytes(fraction(r, decimals), "big")
        return ((0x800000 << 8 * size) + r.choice([1, -1]) * whole).to_bytes(3 + size, "big")

    return draw


def timestamp(decimals: int) -> Draw:
    def draw(r: random.Random) -> bytes:
        return r.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, r.randrange(1 << 32)]).to_bytes(4, "big") + fraction(r, decimals)

    return draw


def date(r: random.Random) -> bytes:
    return (odd(r, 10_000, 1 << 15) << 9 | odd(r, 13, 16) << 5 | odd(r, 32, 32)).to_bytes(3, "little")


def bits(length: int) -> Draw:
    return lambda r: odd(r, 1 << length, 256 ** ((length + 7) // 8)).to_bytes((length + 7) // 8, "big")


def single(r: random.Random) -> bytes:
    if r.random() < 0.5:
        return r.randbytes(4)
    edges = [0.0, -0.0, 1.0, 0.1, 1e-45, 3.4028235e38, 16777216.0, 1e-4, 1e-5, 123456.0, 1234567.0]
    return struct.pack("<f", r.choice([*edges, 2.0 ** r.randint(-149, 127), round(r.uniform(-1000, 1000), 2)]))


def double(r: random.Random) -> bytes:
    if r.random() < 0.5:
        return r.randbytes(8)
    edges = [0.0, -0.0, 1.0, 0.1, 5e-324, 1.7976931348623157e308, 2.0**53, 1e-4, 1e-5, 1e14, 1e15, 123456789012345680.0]
    return struct.pack("<d", r.choice([*edges, 2.0 ** r.randint(-1074, 1023), round(r.uniform(-1000, 1000), 2)]))


UTF8 = [b"", b"a", "größe".encode(), "数字".encode(), "🜁".encode(), b"x" * 40, b"\0", "ø".encode() * 60]
LATIN1 = [b"", b"a", "größe".encode("latin-1"), b"x" * 40, bytes(range(0x80, 0xA0))]
RAW = [b"", b"\0", b"\xff\xfe", bytes(range(40))]
LABELS = (b"a", "größe".encode(), b"c d")
INTEGERS = [(1, 1), (2, 2), (9, 3), (3, 4), (8, 8)]

KINDS = [
    *(Kind(code, b"", number(size), unsigned) for code, size in INTEGERS for unsigned in (False, True)),
    *(
        Kind(246, bytes([p, s]), decimal(p, s), False)
        for p, s in [(1, 0), (10, 2), (9, 9), (19, 9), (65, 30), (38, 38)]
    ),
    Kind(4, b"\x04", single, False),
    Kind(5, b"\x08", double, False),
    Kind(13, b"", number(1), True),
    Kind(10, b"", date),
    *(Kind(18, bytes([n]), date_time(n)) for n in (0, 1, 3, 6)),
    *(Kind(19, bytes([n]), time(n)) for n in (0, 2, 5, 6)),
    *(Kind(17, bytes([n]), timestamp(n)) for n in (0, 1, 4, 6)),
    *(Kind(16, bytes([n % 8, n // 8]), bits(n)) for n in (1, 9, 64)),
    Kind(15, b"\x64\x00", sized(1, UTF8), collation=45),
    Kind(15, b"\xd0\x07", sized(2, UTF8), collation=33),
    Kind(15, b"\x64\x00", sized(1, LATIN1), collation=8),
    Kind(254, b"\xfe\x1e", sized(1, [b"abc", b"\x95"]), collation=22),
    Kind(252, b"\x02", sized(2, UTF8), collation=45),
    Kind(252, b"\x03", sized(3, [b"", b"a", b"x" * 40]), collation=11),
    Kind(252, b"\x01", sized(1, RAW), collation=63),
    Kind(254, b"\xfe\x10", sized(1, RAW), collation=63),
    Kind(254, b"\xf7\x01", lambda r: bytes([odd(r, 4, 6)]), collation=45, labels=LABELS),
    Kind(254, b"\xf8\x01", lambda r: bytes([odd(r, 8, 16)]), collation=45, labels=LABELS),
    Kind(255, b"\x04", sized(4, RAW), collation=63),
]
RARE = [
    Kind(15, b"\x64\x00", sized(1, ["größe".encode("utf-16-be"), b"\0a"]), collation=35),
    Kind(15, b"\x64\x00", sized(1, [b"a", "数".encode("gbk")]), collation=28),
    Kind(141, b"\x64\x00", sized(1, [b"\0a", b"\x89\x03" + zlib.compress(b"abc", wbits=-15)]), collation=45),
    Kind(12, b"", number(8)),
]
KEYS = [bytes([0, 0, 0, n]) for n in range(6)]


@dataclass(frozen=True)
class Made:
    """A table, and how its rows are made; its first column is its key."""

    table_id: int
    name: str
    kinds: tuple[Kind, ...]
    keyed: bool

    def map(self) -> bytes:
        kinds = self.kinds
        signed = [kind for kind in kinds if kind.unsigned is not None]
        flags = sum(1 << (len(signed) + 7) // 8 * 8 - 1 - at for at, kind in enumerate(signed) if kind.unsigned)
        texts = [kind for kind in kinds if kind.collation is not None and not kind.labels]
        labelled = [kind for kind in kinds if kind.labels]
        listed = {code: [k for k in labelled if k.metadata[:1] == code] for code in (b"\xf7", b"\xf8")}
        optional = [(1, flags.to_bytes((len(signed) + 7) // 8, "big"))]
        if texts:
            optional.append((3, b"".join(wire.packed(kind.collation or 0) for kind in texts)))
        if labelled:
            optional.append((11, b"".join(wire.packed(kind.collation or 0) for kind in labelled)))
        for code, field in ((b"\xf8", 5), (b"\xf7", 6)):
            if listed[code]:
                one = wire.packed(len(LABELS)) + b"".join(map(wire.sized, LABELS))
                optional.append((field, one * len(listed[code])))
        if self.keyed:
            optional.append((8, b"\0"))
        metadata = b"".join(kind.metadata for kind in kinds)
        event = wire.table_map([kind.code for kind in kinds], metadata, optional, table_id=self.table_id)
        return event.replace(b"\x01s\0\x01t\0", b"\x01s\0" + wire.sized(self.name.encode()) + b"\0", 1)

    def image(self, r: random.Random) -> bytes:
        nulls, cells = 0, b""
        for at, kind in enumerate(self.kinds):
            if not at:
                cells += r.choice(KEYS) if r.random() < 0.9 else kind.draw(r)
            elif r.random() < 0.15:
                nulls |= 1 << at
            else:
                cells += kind.draw(r)
        return nulls.to_bytes((len(self.kinds) + 7) // 8, "little") + cells

    def rows(self, r: random.Random, *, ends: bool, mysql: bool = False) -> bytes:
        kind = r.choice([30, 30, 31, 31, 32, 23] if mysql else [23, 23, 24, 24, 25, 30, 31, 166, 167, 168])
        updates = kind in (24, 31, 167)
        body = b"".join(self.image(r) for _ in range(r.choice([1, 1, 2, 5]) * (2 if updates else 1)))
        if kind >= 166:
            head = struct.pack(">I", len(body)).lstrip(b"\0")
            body = bytes([0x80 | len(head)]) + head + zlib.compress(body, r.choice([0, 1, 9]))
        count, size = len(self.kinds), (len(self.kinds) + 7) // 8
        present = ((1 << count) - 1).to_bytes(size, "little")
        if r.random() < 0.005:
            present = bytes([present[0] & 0xFD]) + present[1:]
        extra = struct.pack("<H", 2) if kind in (30, 31, 32) else b""
        head = self.table_id.to_bytes(6, "little") + struct.pack("<H", int(ends)) + extra + wire.packed(count)
        return wire.event(kind, head + present * (2 if updates else 1) + body)


def gtid(sequence: int, flags: int = 4) -> bytes:
    body = struct.pack("<QIB", sequence, 3, flags) + (bytes(8) if flags & 2 else bytes(6))
    return wire.event(162, body, server=7)


def gtid_of_mysql(r: random.Random, sequence: int) -> bytes:
    """As any version from 5.7 on writes it."""
    server = uuid.UUID(int=r.randint(1, 3))
    at_us, size = 1_700_000_000_123_456, r.choice([300, 70_000])
    tails = [
        b"",
        at_us.to_bytes(7, "little") + wire.packed(size) + struct.pack("<I", 80_400),
        (at_us | 1 << 55).to_bytes(7, "little") + at_us.to_bytes(7, "little") + wire.packed(size),
    ]
    if r.random() < 0.4:
        return wire.tagged_gtid(server, r.choice(["blue", "a" * 32]), sequence, at_us, size)
    if r.random() < 0.2:
        return wire.gtid(server, 0, kind=34, tail=r.choice(tails))
    return wire.gtid(server, sequence, tail=r.choice(tails))


def query(statement: bytes) -> bytes:
    return wire.event(2, bytes(8) + b"\x01" + bytes(2) + b"\x02\0" + b"xy" + b"s\0" + statement)


def tables(r: random.Random) -> list[Made]:
    key = Kind(3, b"", number(4), False)
    found = []
    for name, keyed in (("net", True), ("log", True), ("keyless", False), ("skipped", True), ("passed", True)):
        some = tuple(r.choice(KINDS if r.random() < 0.97 else RARE) for _ in range(r.randrange(9)))
        found.append(Made(20 + len(found), name, (key, *some), keyed))
    return found


def events(r: random.Random, *, checksums: bool, mysql: bool = False) -> list[bytes]:
    """A file of some transactions, each event in its place."""
    made = [wire.format_description("8.4.0" if mysql else "10.11.8-MariaDB-log", checksum=checksums)]
    known = tables(r)
    for sequence in range(r.randint(1, 5)):
        if r.random() < 0.08:
            made += [gtid_of_mysql(r, sequence + 1) if mysql else gtid(sequence + 1, 1 | 4)]
            made.append(query(b"create table z (a int)"))
        if mysql:
            made += [gtid_of_mysql(r, sequence + 1), query(b"BEGIN")]
        else:
            made.append(gtid(sequence + 1, r.choice([4, 6, 12])))
        for _ in range(r.randrange(4)):
            chosen = r.sample(known, r.choice([1, 1, 2]))
            if r.random() < 0.2:
                made.append(wire.event(160, b"insert into t"))
            made += [table.map() for table in chosen]
            made += [table.rows(r, ends=table is chosen[-1], mysql=mysql) for table in chosen]
            if r.random() < 0.05:
                made.append(query(b"SAVEPOINT `a`"))
        made.append(wire.event(16, struct.pack("<Q", sequence)) if r.random() < 0.8 else query(b"COMMIT"))
        if r.random() < 0.1:
            known = tables(r)
    return placed(made, checksums=checksums)


def placed(made: list[bytes], *, checksums: bool) -> list[bytes]:
    """With where each ends, and with checksums if there are some."""
    found, at = [], 4
    for event in made:
        size = len(event) + 4 * (checksums and event[4] != 15)
        at += size
        raw = event[:9] + struct.pack("<II", size, at) + event[17:]
        if event[4] == 15:
            raw = raw[:-4] + struct.pack("<I", zlib.crc32(raw[:-4]))
        elif checksums:
            raw += struct.pack("<I", zlib.crc32(raw))
        found.append(raw)
    return found
