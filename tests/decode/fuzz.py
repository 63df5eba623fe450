"""Garbles streams until both gatherers have met every fault, and keeps the first stream that showed each:

    PYTHONPATH=tests python -m decode.fuzz --seconds 60 [--seed 7]

What is kept in `corpus/` is tried by the tests, as it is and garbled again.
"""

from __future__ import annotations

import argparse
import random
import re
import struct
import sys
import time
from pathlib import Path

from decode.streams import CHANGES, ODD, TABLES, Seen, frames, transaction, watched
from tidegate.decode.fault import Fault
from tidegate.decode.native import NativeGatherer
from tidegate.decode.plain import PlainGatherer
from tidegate.model.change import UNCHANGED
from unit import pgwire

CORPUS = Path(__file__).with_name("corpus")

KINDS = {
    "B": "begin",
    "C": "commit",
    "R": "relation",
    "I": "insert",
    "U": "update",
    "D": "delete",
    "T": "truncate",
}
CONTRARY = [
    pgwire.insert(1, ["a", "1", UNCHANGED]),
    pgwire.insert(1, ["a"]),
    pgwire.insert(2, [None, None, "1"]),
    pgwire.update(1, ["a"], old=["a", "b"]),
    pgwire.update(3, [None, "1", UNCHANGED], key=["a", None, None]),
]


def sound(r: random.Random) -> bytes:
    """A stream that is whole, though its changes may contradict each other."""
    messages = [table.described for table in TABLES.values()]
    for number in range(r.randint(1, 3)):
        oids = r.choices(list(TABLES), k=2)
        changes = [r.choice(CHANGES[r.choice(oids)]) for _ in range(r.randint(0, 6))]
        if r.random() < 0.3:
            changes.insert(r.randint(0, len(changes)), r.choice([*ODD, *CONTRARY]))
        whole = transaction(*changes, commit=200 + number, xid=number)
        messages += whole
    return frames(*messages)


def garbled(stream: bytes, r: random.Random) -> bytes:
    """Some bits flipped, bytes cut out or put in, frames swapped or cut short with their length put right."""
    found = bytearray(stream)
    for _ in range(r.choice([1, 1, 1, 2, 5])):
        at = r.randrange(len(found) + 1)
        match r.choice("fciLms"):
            case "f" if at < len(found):
                found[at] ^= 1 << r.randrange(8)
            case "c":
                del found[at : at + r.randint(1, 5)]
            case "i":
                found[at:at] = r.randbytes(r.randint(1, 5))
            case "L":
                found[at : at + 4] = struct.pack(">I", r.choice([0, 1, 5, 255, 1 << 30, (1 << 32) - 1]))
            case _:
                found = bytearray(_reframed(bytes(found), r))
    return bytes(found)


def _reframed(stream: bytes, r: random.Random) -> bytes:
    messages, at = [], 0
    while at + 4 <= len(stream) and len(messages) < 1_000:
        length = int.from_bytes(stream[at : at + 4], "big")
        messages.append(stream[at + 4 : at + 4 + length])
        at += 4 + length
    if not messages:
        return stream
    one, other = r.randrange(len(messages)), r.randrange(len(messages))
    if r.random() < 0.5:
        messages[one], messages[other] = messages[other], messages[one]
    else:
        message = bytearray(messages[one][: r.randint(0, len(messages[one]))])
        if message and r.random() < 0.5:
            message[r.randrange(len(message))] = r.randrange(256)
        messages[one] = bytes(message)
    return frames(*messages)


def agreed(stream: bytes) -> Seen:
    """What both say of it. Raises `AssertionError` if they do not say the same."""
    plain = watched(PlainGatherer(), stream)
    native = watched(NativeGatherer(), stream)
    assert native.error == plain.error
    assert native.said == plain.said
    return plain


def ending(seen: Seen) -> str:
    """The fault a stream showed, and in which kind of message."""
    if seen.error is None:
        return "sound"
    kind = seen.error[1].removeprefix("message '")[0]
    return f"{KINDS.get(kind, 'other')}_{shown(seen.error[1]).name}".lower()


def shown(text: str) -> Fault:
    return next(fault for fault in Fault if all(word in text for word in re.split(r"\{.\}", fault.text)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    r = random.Random(asked.seed)
    known: set[str] = set()
    kept = sorted(CORPUS.glob("*.bin"))
    ends_s, tried = time.monotonic() + asked.seconds, 0
    while time.monotonic() < ends_s:
        if tried < len(kept):
            stream = kept[tried].read_bytes()
        else:
            stream = garbled(sound(r) if r.random() < 0.7 or not kept else r.choice(kept).read_bytes(), r)
        try:
            seen = agreed(stream)
        except BaseException:
            Path("disagreed.bin").write_bytes(stream)
            print(f"they disagree; the stream is in disagreed.bin, seed {asked.seed}", file=sys.stderr)
            raise
        name = ending(seen)
        if name not in known and tried >= len(kept) and len(stream) < 2_000:
            (CORPUS / f"{name}.bin").write_bytes(stream)
        known.add(name)
        tried += 1
    print(f"{tried} streams, {len(known)} endings")


if __name__ == "__main__":
    main()
