"""How many rows a second of one core's time both gatherers take in, and hand over to pyarrow: `python bench/decode.py`.

The stream is made here: a table of seven columns (a bigint key, an int, a varchar, a numeric, two timestamps, a text of
about forty characters), 60 % inserts, 30 % updates and 10 % deletes in transactions of 1 to 100 rows; half of the
updates hit a recent tenth. It is read in buffers of 1 MiB and taken as net change per key, and as a log, at every
50,000 changes, by one gatherer again and again. Time is the process's CPU time, the best of some rounds.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import time
from typing import Any

from tidegate.decode.gatherer import Gatherer, Limits, Mode, Stop
from tidegate.decode.native import NativeGatherer
from tidegate.decode.plain import PlainGatherer

OID = 16_400
NAMES = ("id", "customer", "state", "total", "placed_at", "changed_at", "note")
BUFFER_BYTES = 1 << 20


def row(*cells: str | None) -> bytes:
    values = (b"n" if cell is None else b"t" + struct.pack(">I", len(cell)) + cell.encode() for cell in cells)
    return struct.pack(">H", len(cells)) + b"".join(values)


def stream(rows: int, seed: int) -> bytes:
    r = random.Random(seed)  # noqa: S311
    made, messages, next_id, lsn = 0, list[bytes](), 1_000_000, 1 << 32
    head = struct.pack(">I", OID)
    while made < rows:
        messages.append(b"B" + struct.pack(">QqI", lsn, made, lsn & 0xFFFFFFFF))
        size, kind = r.randint(1, 100), r.random()
        for _ in range(size):
            key = next_id if kind < 0.6 else next_id - r.randrange(100_000 if r.random() < 0.5 else 1_000_000)
            second = f"2026-11-22 10:{key // 60 % 60:02}:{key % 60:02}.{key % 1_000_000:06}"
            if kind < 0.9:
                note = "a note of forty characters, as notes go"
                cells = row(str(key), str(key % 100_000), "paid", f"{key % 90_000 / 7:.2f}", second, second, note)
                messages.append((b"I" if kind < 0.6 else b"U") + head + b"N" + cells)
            else:
                messages.append(b"D" + head + b"K" + row(str(key), *[None] * 6))
            next_id += kind < 0.6
        made += size
        messages.append(b"C" + struct.pack(">BQQq", 0, lsn, lsn + 8, made))
        lsn += 16
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


def taken_in(gatherer: Gatherer, buffers: list[bytes], mode: Mode) -> int:
    """How many changes."""
    gatherer.shape(OID, NAMES, [0], mode)
    limits, changes = Limits(), 0
    for buffer in buffers:
        at, stop = 0, Stop.FULL
        while stop is Stop.FULL:
            fed = gatherer.feed(buffer, at, limits)
            at, stop = at + fed.consumed_bytes, fed.stop
            if stop is Stop.FULL:
                changes += gatherer.changes
                gatherer.take(OID)
    changes += gatherer.changes
    gatherer.take(OID)
    return changes


def buffers_of(whole: bytes) -> list[bytes]:
    """Cut between frames, as a reader that puts frames together has them."""
    found, start, at = [], 0, 0
    while at < len(whole):
        at += 4 + int.from_bytes(whole[at : at + 4], "big")
        if at - start >= BUFFER_BYTES or at == len(whole):
            found.append(whole[start:at])
            start = at
    return found


def rows_per_s(kind: type[PlainGatherer] | type[NativeGatherer], whole: bytes, mode: Mode, rounds: int) -> int:
    gatherer, buffers, best = kind(), buffers_of(whole), 0.0
    for _ in range(rounds):
        began_s = time.process_time()
        changes = taken_in(gatherer, buffers, mode)
        best = max(best, changes / (time.process_time() - began_s))
    return int(best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    whole = stream(asked.rows, asked.seed)
    some = stream(asked.rows // 10, asked.seed)
    results: dict[str, Any] = {"rows": asked.rows, "bytes": len(whole), "seed": asked.seed}
    for mode in (Mode.NET, Mode.LOG):
        native = rows_per_s(NativeGatherer, whole, mode, asked.rounds)
        python = rows_per_s(PlainGatherer, some, mode, 1)
        ratio = round(native / python, 1)
        results[mode.name.lower()] = {"rows_per_s": {"native": native, "python": python}, "ratio": ratio}
    print(json.dumps(results))  # noqa: T201


if __name__ == "__main__":
    main()
