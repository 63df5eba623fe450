"""How many rows a second of one core's time both gatherers of MariaDB's log take in, and hand over to pyarrow:
`python bench/decode_binlog.py`.

The stream is made here, by the mix of `decode.py`: a table of seven columns (a bigint key, an int, a varchar, a
decimal, two datetimes with microseconds, a text of about forty characters), 60 % inserts, 30 % updates with both images
and 10 % deletes in transactions of 1 to 100 rows, each one statement, in row events of at most 8 KiB with checksums, as
the server makes them; half of the updates hit a recent tenth. It is read in buffers of 1 MiB and taken as net change
per key, and as a log, at every 50,000 changes. Time is the process's CPU time, the best of some rounds.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import time
import zlib
from typing import Any

from tidegate.decode.binlog import BinlogDecoder
from tidegate.decode.binlog_event import FormatDescription
from tidegate.decode.binlog_gatherer import BinlogGatherer, Stop, Table, packets, raw_map
from tidegate.decode.binlog_native import NativeBinlogGatherer
from tidegate.decode.binlog_plain import PlainBinlogGatherer
from tidegate.decode.binlog_table import TableMap
from tidegate.decode.gatherer import Limits, Mode

NAMES = ("id", "customer", "state", "total", "placed_at", "changed_at", "note")
BUFFER_BYTES = 1 << 20
EVENT_BYTES = 8 << 10
FORMAT = FormatDescription("10.11.8-MariaDB", True, True, b"")
HEAD = (7).to_bytes(6, "little")
NOTE = b"a note of forty characters, as notes go."


class Stream:
    """Events, each in its place in the file."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self._end = 4

    def add(self, kind: int, body: bytes) -> None:
        size = 19 + len(body) + 4
        self._end += size
        raw = struct.pack("<IBIIIH", 1_763_000_000, kind, 1, size, self._end & 0xFFFFFFFF, 0) + body
        self.events.append(raw + struct.pack("<I", zlib.crc32(raw)))

    def rows(self, kind: int, rows: list[bytes]) -> None:
        head = b"\x07" + b"\x7f" * (2 if kind == 24 else 1)
        while rows:
            size = count = 0
            while count < len(rows) and (not count or size + len(rows[count]) <= EVENT_BYTES):
                size += len(rows[count])
                count += 1
            some, rows = rows[:count], rows[count:]
            self.add(kind, HEAD + struct.pack("<H", int(not rows)) + head + b"".join(some))


def table_map() -> bytes:
    types, metadata = bytes([8, 3, 15, 246, 18, 18, 252]), b"\x14\x00" + b"\x0a\x02" + b"\x06\x06" + b"\x02"
    optional = b"\x01\x01\x00" + b"\x02\x01\x2d" + b"\x08\x01\x00"
    names = b"".join(bytes([len(name)]) + name.encode() for name in NAMES)
    optional += b"\x04" + bytes([len(names)]) + names
    columns = b"\x07" + types + bytes([len(metadata)]) + metadata + b"\x00"
    return HEAD + b"\x01\x00" + b"\x04shop\x00" + b"\x06orders\x00" + columns + optional


def row(key: int, state: bytes) -> bytes:
    second = (2026 * 13 + 11 << 5 | 22) << 17 | 10 << 12 | key // 60 % 60 << 6 | key % 60
    moment = (second + 0x8000000000).to_bytes(5, "big") + (key % 1_000_000).to_bytes(3, "big")
    total = bytes([0x80]) + (key % 90_000).to_bytes(3, "big") + bytes([key % 100])
    texts = bytes([len(state)]) + state + total + moment + moment + struct.pack("<H", len(NOTE)) + NOTE
    return b"\0" + struct.pack("<qi", key, key % 100_000) + texts


def stream(rows: int, seed: int) -> list[bytes]:
    r = random.Random(seed)  # noqa: S311
    made, next_id, sequence, found = 0, 1_000_000, 0, Stream()
    while made < rows:
        sequence += 1
        size, kind = r.randint(1, 100), r.random()
        found.add(162, struct.pack("<QIB", sequence, 0, 12) + bytes(6))
        found.add(19, table_map())
        images = []
        for _ in range(size):
            key = next_id if kind < 0.6 else next_id - r.randrange(100_000 if r.random() < 0.5 else 1_000_000)
            images.append(row(key, b"paid") + (row(key, b"sent") if 0.6 <= kind < 0.9 else b""))
            next_id += kind < 0.6
        found.rows(23 if kind < 0.6 else 24 if kind < 0.9 else 25, images)
        found.add(16, struct.pack("<Q", sequence))
        made += size
    return found.events


def taken_in(gatherer: BinlogGatherer, buffers: list[bytes], table: Table) -> int:
    """How many changes."""
    gatherer.begin(4, checksums=True)
    gatherer.table(1, table)
    limits, changes, left = Limits(), 0, b""
    for buffer in buffers:
        held, at, stop = left + buffer, 0, Stop.FULL
        while stop is Stop.FULL:
            fed = gatherer.feed(held, at, limits)
            at, stop = at + fed.consumed_bytes, fed.stop
            if stop is Stop.FULL:
                changes += gatherer.changes
                gatherer.take(1)
        if stop is Stop.OTHER:
            raise SystemExit("an event that the gatherer does not read")
        left = held[at:]
    changes += gatherer.changes
    gatherer.take(1)
    return changes


def rows_per_s(
    kind: type[PlainBinlogGatherer] | type[NativeBinlogGatherer], events: list[bytes], mode: Mode, rounds: int
) -> int:
    found = BinlogDecoder.amid(FORMAT, {}).decode(events[1]).body
    if not isinstance(found, TableMap):
        raise TypeError("the second event is not the table's map")
    table = Table(found, raw_map(events[1], checksums=True), found.columns, NAMES, (0,), mode)
    whole = packets(events)
    buffers = [whole[at : at + BUFFER_BYTES] for at in range(0, len(whole), BUFFER_BYTES)]
    gatherer, best = kind(), 0.0
    for _ in range(rounds):
        began_s = time.process_time()
        changes = taken_in(gatherer, buffers, table)
        best = max(best, changes / (time.process_time() - began_s))
    return int(best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    whole, some = stream(asked.rows, asked.seed), stream(asked.rows // 10, asked.seed)
    results: dict[str, Any] = {"rows": asked.rows, "bytes": sum(map(len, whole)), "seed": asked.seed}
    for mode in (Mode.NET, Mode.LOG):
        native = rows_per_s(NativeBinlogGatherer, whole, mode, asked.rounds)
        python = rows_per_s(PlainBinlogGatherer, some, mode, 1)
        ratio = round(native / python, 1)
        results[mode.name.lower()] = {"rows_per_s": {"native": native, "python": python}, "ratio": ratio}
    print(json.dumps(results))  # noqa: T201


if __name__ == "__main__":
    main()
